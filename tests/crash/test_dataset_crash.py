"""Datasets under a power loss at every moment of a commit.

After it, the dataset holds what it held after some number of whole commits, none of the
acknowledged missing, in one line; the next writer goes on, and then everything verifies.
"""

from __future__ import annotations

import pytest

from holdfast.datasets.dataset import Dataset
from holdfast.errors import NoSnapshots
from holdfast.ledger.ledger import Ledger
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls

BLOB = bytes(range(256)) * 6000  # more than a block of hashes
DAYS = [{"day": f"2024-01-0{n % 3 + 1}", "n": n} for n in range(6)]


class Clock:
    def __init__(self, now=1_700_000_000_000_000_000):
        self.now = now

    def now_ns(self):
        self.now += 1_000_000
        return self.now

    def monotonic(self):
        return 0.0


class CountedIds:
    def __init__(self):
        self.last = 0

    def u64(self):
        self.last += 1
        return self.last

    def token(self, size):
        return self.u64().to_bytes(size, "big").hex()

    def uuid4(self):
        return "00000000-0000-4000-8000-000000000000"


def transact(ds):
    with ds.transaction() as tx:
        tx.stage([{"n": 1}])
        tx.stage([{"n": 2}, {"n": 3}])


def stream(ds):
    with ds.stream_write({"name": "blob"}) as out:
        out.write(BLOB[:1000])
        out.write(BLOB[1000:])


SCRIPTS = {
    "rows": (
        {"codec": "jsonl"},
        [
            lambda ds: ds.write([{"n": 1}], {"k": "v"}),
            lambda ds: ds.append([{"n": 2}]),
            lambda ds: ds.write([]),
            transact,
        ],
    ),
    "hive": (
        {"partition_by": "day", "codec": "jsonl"},
        [lambda ds: ds.write(DAYS), lambda ds: ds.append(DAYS[:2]), lambda ds: ds.write(DAYS[:1])],
    ),
    "blob": ({"codec": "raw"}, [stream, lambda ds: ds.write(b"small")]),
}


def opened(calls, options, *, ledger, start=0):
    store = FileSystemStore("/repository", calls=calls)
    ids = CountedIds()
    ids.last = start
    clock = Clock()
    clock.now += start
    sink = Ledger(store, clock=clock, ids=ids) if ledger else None
    return Dataset("d", store, sink=sink, clock=clock, ids=ids, author="tester", **options), sink


def said(ds):
    snapshots = [(s.read(), dict(s.metadata)) for s in ds.snapshots()]
    try:
        latest = ds.latest()
    except NoSnapshots:
        assert not snapshots
        return snapshots
    assert (latest.read(), dict(latest.metadata)) == snapshots[-1]
    return snapshots


def one_line(ds):
    ids = [s.id for s in ds.history()]
    assert set(ids) >= {s.id for s in ds.snapshots()}
    assert ids == sorted(ids, key=int, reverse=True)


@pytest.mark.parametrize("ledger", [True, False], ids=["ledger", "alone"])
@pytest.mark.parametrize("syncfs", [True, False], ids=["syncfs", "fsync"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_crash_leaves_whole_snapshots_and_every_acknowledged_one(name, syncfs, ledger):
    options, steps = SCRIPTS[name]
    model = CrashCalls(syncfs=syncfs)
    ds, sink = opened(model, options, ledger=ledger)
    after = [said(ds)]
    for step in steps:
        step(ds)
        model.acknowledge(len(after))
        after.append(said(ds))
    states = healed = lost = 0
    for state in model.crashes(limit=500):
        states += 1
        done = len(state.acknowledged)
        again, sink = opened(state, options, ledger=ledger, start=10_000_000_000 + states)
        found = said(again)
        assert found in after[done : done + 2], (name, done, state.story)
        lost += found == after[done] and done + 1 < len(after)
        one_line(again)
        if states % 3:
            continue
        before = len(found)
        steps[0](again)
        now = said(again)
        assert now[:before] == found, state.story
        assert len(now) == before + 1
        one_line(again)
        healed += any(s.manifest.mark for s in again.history())
        if sink is not None:
            anchored = [r.id for _, r in sink.commits(model="dataset")]
            assert anchored == [s.id for s in again.history()], state.story
            sink.close()
    assert states > 30
    assert lost > 0
    assert healed > 0
