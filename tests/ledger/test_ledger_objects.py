"""The ledger on an object store."""

from __future__ import annotations

import io
import random
import threading

import pytest

from holdfast.errors import NotFound
from holdfast.ledger.artifact import reference_of
from holdfast.ledger.ledger import Ledger
from holdfast.records import Checked
from s3_servers import moto  # noqa: F401

LARGE = random.Random(3).randbytes(100_000)


@pytest.fixture
def store(moto):  # noqa: F811
    with_store = moto.store()
    yield with_store
    with_store.close()


@pytest.fixture
def ledger(store):
    with Ledger(store) as opened:
        yield opened


def test_artifacts_come_back_after_reopening_from_a_snapshot(ledger, store):
    inline, large = ledger.put(b"inline", 3), ledger.put(LARGE)
    batch = ledger.put_many([b"%d" % n for n in range(300)])
    streamed = ledger.put_stream(io.BytesIO(LARGE * 2))
    logseq = ledger.tombstone(inline)
    ledger.snapshot()
    with Ledger(store) as again:
        assert again.opened.index.state.snapshot_id == 1
        assert again.get(large) == LARGE
        assert again.open_artifact(streamed).read() == LARGE * 2
        assert list(again.get_many(batch)) == [b"%d" % n for n in range(300)]
        with pytest.raises(NotFound):
            again.get(inline)
        again.lift(inline, logseq)
        assert not again.put_artifact(LARGE).stored
    assert ledger.exists(inline) is True
    assert not [f for f in ledger.verify() if not isinstance(f, Checked)]


def test_neighbours_are_read_with_one_request(ledger, monkeypatch):
    references = ledger.put_many([b"%d" % n * 100 for n in range(200)])
    requests = []
    real = ledger.store.read_range

    def counted(path, offset, length):
        requests.append(path)
        return real(path, offset, length)

    monkeypatch.setattr(ledger.store, "read_range", counted)
    random.Random(1).shuffle(references)
    assert len(list(ledger.get_many(references))) == 200
    assert len([path for path in requests if "blocks" in path]) == 1


def test_writers_at_once_lose_nothing(store):
    failures = []

    def work(number):
        try:
            with Ledger(store) as ledger:
                for n in range(3):
                    ledger.put(b"%d-%d" % (number, n))
                    ledger.put_many([b"%d-%d-batch" % (number, n)])
                ledger.snapshot()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with Ledger(store) as ledger:
        for number in range(3):
            for n in range(3):
                assert ledger.exists(reference_of(b"%d-%d" % (number, n)))
                assert ledger.exists(reference_of(b"%d-%d-batch" % (number, n)))
        assert ledger.opened.index.state.snapshot_id >= 3
        assert not [f for f in ledger.verify() if not isinstance(f, Checked)]


def test_litter_is_told_and_never_removed_without_leases(ledger, store):
    ledger.put_many([b"x"])
    path = "ledger/index/shard-000/segment-00000000000000000009.idx"
    store.put(path, b"left behind")
    assert path in [f.path for f in ledger.verify() if not isinstance(f, Checked)]
    assert ledger.collect(dry_run=False).removed == []
    assert store.exists(path)
