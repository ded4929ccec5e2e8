"""The ledger on a file system, in memory, and on an object store."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import threading

import pytest

from holdfast.clock import rfc3339
from holdfast.errors import Conflict, Denied, Erased, Integrity, Invalid, NotFound, Unsupported
from holdfast.ledger import payload as payloads
from holdfast.ledger import put as put_module
from holdfast.ledger.artifact import Reference, reference_of
from holdfast.ledger.ledger import Ledger
from holdfast.ledger.segment import segment_path
from holdfast.records import COMMIT_TYPE_TAG, CommitRecord
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from s3_servers import moto

__all__ = ["moto"]

LARGE = random.Random(1).randbytes(100_000)


@pytest.fixture(params=["files", "memory", "objects"])
def store(request, tmp_path):
    if request.param == "files":
        made = FileSystemStore(tmp_path / "repository")
    elif request.param == "memory":
        made = MemoryStore()
    else:
        made = request.getfixturevalue("moto").store()
    yield made
    made.close()


@pytest.fixture
def file_store(tmp_path):
    return FileSystemStore(tmp_path / "repository")


@pytest.fixture
def ledger(store):
    with Ledger(store) as opened:
        yield opened


def reopened(ledger: Ledger, **options) -> Ledger:
    return Ledger(ledger.store, **options)


def commit_of(name: str, id: str = "1", model: str = "dataset") -> CommitRecord:
    return CommitRecord(model, name, id, (), rfc3339(0), "0" * 32, "tester")


def test_a_small_artifact_comes_back(ledger):
    reference = ledger.put(b"hello")
    assert reference == reference_of(b"hello")
    assert ledger.get(reference) == b"hello"
    assert reopened(ledger).get(reference) == b"hello"


def test_a_large_artifact_comes_back(ledger):
    reference = ledger.put(LARGE, 7)
    assert reference == reference_of(LARGE, 7)
    assert ledger.get(reference) == LARGE
    assert reopened(ledger).get(reference) == LARGE


def test_the_type_tag_is_part_of_the_identity(ledger):
    assert ledger.put(b"x", 1) != ledger.put(b"x", 2) != ledger.put(b"x")
    assert ledger.stat(reference_of(b"x", 2)).type_tag == 2


@pytest.mark.parametrize("type_tag", [None, 3])
def test_the_longest_inline_artifact_and_one_byte_more_come_back(ledger, type_tag):
    longest = 64 * 1024 - (9 if type_tag is None else 13)
    for length, extents in ((longest, None), (longest + 1, 1)):
        reference = ledger.put(LARGE[:length], type_tag)
        location = ledger.opened.index.standing(reference).visible[0]
        assert (location.extents if extents is None else len(location.extents)) == extents
        assert ledger.get(reference) == LARGE[:length]


def test_a_batch_comes_back_in_order_with_duplicates_and_an_empty_artifact(ledger):
    items = [b"a", b"", b"b" * 70_000, b"a", bytearray(b"c"), memoryview(b"d")]
    references = ledger.put_many(items, 5)
    assert references == [reference_of(item, 5) for item in items]
    assert [ledger.get(r) for r in references] == [bytes(item) for item in items]
    assert list(reopened(ledger).get_many(references)) == [bytes(item) for item in items]
    assert ledger.position() == 1


def test_a_batch_of_only_an_empty_artifact_needs_no_block(ledger):
    (reference,) = ledger.put_many([b""])
    assert ledger.get(reference) == b""
    assert not list(ledger.store.list("ledger/blocks"))


def test_a_large_batch_is_encoded_by_columns_and_comes_back(ledger):
    items = [b"%d" % n for n in range(1000)]
    references = ledger.put_many(iter(items), None)
    assert list(ledger.get_many(references)) == items
    assert list(reopened(ledger).get_many(reversed(references))) == items[::-1]


def test_an_empty_batch_appends_nothing(ledger):
    assert ledger.put_many([]) == []
    assert ledger.position() == 0


def test_what_is_there_already_is_not_stored_again(ledger):
    ledger.put(b"one")
    ledger.put_many([b"two", LARGE])
    position, files = ledger.position(), list(ledger.store.list())
    for data in (b"one", b"two", LARGE):
        assert not ledger.put_artifact(data).stored
    ledger.put_many([b"one", LARGE, b"two"])
    ledger.put_stream(io.BytesIO(LARGE))
    assert ledger.position() == position
    after = [entry for entry in ledger.store.list() if not entry.path.startswith("locks/")]
    assert after == [entry for entry in files if not entry.path.startswith("locks/")]


@pytest.mark.parametrize("length", [0, 10, 70_000, 9_000_000])
def test_a_stream_comes_back(ledger, length):
    data = (LARGE * 91)[:length]
    source = io.BytesIO(b"skipped" + data)
    source.seek(7)
    reference = ledger.put_stream(source, 9)
    assert reference == reference_of(data, 9)
    assert ledger.open_artifact(reference).read() == data
    assert b"".join(ledger.open_artifact(reference).chunks()) == data


class Pipe(io.RawIOBase):
    """A source that cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._source = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._source.readinto(buffer)


def test_a_stream_that_cannot_seek_comes_back(ledger):
    reference = ledger.put_stream(Pipe(LARGE))
    assert ledger.get(reference) == LARGE


class Changing(io.BytesIO):
    """A source whose end lies elsewhere when it is read than when it was asked."""

    def __init__(self, data: bytes, then: bytes) -> None:
        super().__init__(data)
        self._then = io.BytesIO(then)

    def read(self, size: int = -1) -> bytes:
        return self._then.read(size)


@pytest.mark.parametrize("then", [LARGE[:-1], LARGE + b"x"])
def test_a_source_that_changes_is_a_conflict_and_leaves_nothing(ledger, then):
    with pytest.raises(Conflict):
        ledger.put_stream(Changing(LARGE, then))
    assert ledger.position() == 0
    assert not [e for e in ledger.store.list("ledger") if "blocks" in e.path or "index" in e.path]


def test_an_artifact_longer_than_a_block_has_several_extents(ledger, monkeypatch):
    defaults = dict(put_module.BatchPut.__init__.__kwdefaults__) | {"limit": 40_000}
    monkeypatch.setattr(put_module.BatchPut.__init__, "__kwdefaults__", defaults)
    first = ledger.put(LARGE)
    second = ledger.put_stream(io.BytesIO(LARGE[1:]))
    many = ledger.put_many([LARGE[:30_000], LARGE[2:], LARGE[:20_000]])
    location = ledger.opened.index.standing(first).visible[0]
    assert [extent.length for extent in location.extents] == [40_000, 40_000, 20_000]
    assert ledger.get(first) == LARGE
    assert ledger.open_artifact(second).read() == LARGE[1:]
    assert list(ledger.get_many(many)) == [LARGE[:30_000], LARGE[2:], LARGE[:20_000]]
    assert not [f for f in ledger.verify() if not hasattr(f, "files")]


def test_what_is_not_there_is_not_found(ledger):
    missing = reference_of(b"never")
    assert not ledger.exists(missing)
    for ask in (ledger.get, ledger.stat, ledger.open_artifact, ledger.tombstone):
        with pytest.raises(NotFound):
            ask(missing)
    with pytest.raises(NotFound):
        list(ledger.get_many([missing]))


def test_an_unknown_hash_is_not_found_and_not_corrupt(ledger):
    with pytest.raises((NotFound, Unsupported)):
        ledger.get(Reference(0x7777, b"abc"))


def test_stat_tells_size_tag_and_logseq(ledger):
    ledger.put(b"first")
    ledger.put(b"hello", 4)
    ledger.put_many([b"in a segment", b"other"])
    assert ledger.stat(reference_of(b"hello", 4))[1:] == (5, 4, False, 2)
    assert ledger.stat(reference_of(b"in a segment"))[1:] == (12, None, False, 3)
    ledger.snapshot()
    again = reopened(ledger)
    assert again.stat(reference_of(b"in a segment"))[1:] == (12, None, False, 3)
    assert again.stat(reference_of(b"hello", 4)).logseq == 2


def test_a_prefix_finds_what_begins_with_it(ledger):
    inline, sealed = ledger.put(b"inline"), ledger.put_many([b"sealed"])[0]
    logseq = ledger.commit(commit_of("trips"))
    committed = reference_of(commit_of("trips").to_bytes(), COMMIT_TYPE_TAG)
    for reference in (inline, sealed, committed):
        assert ledger.find(reference.digest.hex()[:8]) == [reference]
        assert ledger.find(reference.digest.hex()) == [reference]
    assert ledger.find("0" * 64) == []
    assert ledger.at(logseq - 1).find(committed.digest.hex()) == []
    for bad in ("1234567", "ABCDEF12", "xyzxyzxyz", ""):
        with pytest.raises(Invalid):
            ledger.find(bad)


def test_a_tombstone_hides_and_its_lift_shows_again(ledger):
    reference = ledger.put(b"hidden")
    logseq = ledger.tombstone(reference, 1, 2)
    assert not ledger.exists(reference)
    with pytest.raises(NotFound) as caught:
        ledger.get(reference)
    assert caught.value.details["tombstones"] == [logseq]
    assert ledger.stat(reference).tombstoned
    ledger.lift(reference, logseq)
    assert ledger.get(reference) == b"hidden"
    assert not reopened(ledger).stat(reference).tombstoned


def test_each_of_several_tombstones_needs_its_own_lift(ledger):
    reference = ledger.put_many([b"hidden"])[0]
    first, second = ledger.tombstone(reference), ledger.tombstone(reference)
    ledger.lift(reference, first)
    assert not ledger.exists(reference)
    with pytest.raises(NotFound):
        ledger.lift(reference, first)
    ledger.lift(reference, second)
    assert ledger.exists(reference)


def test_a_lift_of_no_tombstone_appends_nothing(ledger):
    reference = ledger.put(b"here")
    position = ledger.position()
    for logseq in (0, 1, 99):
        with pytest.raises(NotFound):
            ledger.lift(reference, logseq)
    assert ledger.position() == position


def test_a_lift_of_what_is_gone_is_not_found_and_appends_nothing(ledger):
    (reference,) = ledger.put_many([b"gone"])
    logseq = ledger.tombstone(reference)
    for entry in list(ledger.store.list("ledger/blocks")):
        ledger.store.delete(entry.path)
    with reopened(ledger) as again, pytest.raises(NotFound):
        again.lift(reference, logseq)
    assert ledger.position() == logseq


def test_putting_a_tombstoned_artifact_stores_nothing_and_says_so(ledger):
    for put in (b"inline", LARGE):
        reference = ledger.put(put)
        ledger.tombstone(reference)
        position = ledger.position()
        assert ledger.put_artifact(put)[1:] == (False, True)
        assert ledger.put_many([put]) == [reference]
        assert ledger.position() == position
        assert not ledger.exists(reference)


def test_a_snapshot_keeps_the_state_and_later_lifts_act(ledger):
    inline, hidden = ledger.put(b"inline"), ledger.put(b"hidden")
    sealed = ledger.put_many([b"%d" % n for n in range(300)])
    logseq = ledger.tombstone(hidden)
    assert ledger.snapshot() == 1
    again = reopened(ledger)
    assert again.opened.index.state.snapshot_id == 1
    assert again.get(inline) == b"inline"
    assert list(again.get_many(sealed)) == [b"%d" % n for n in range(300)]
    assert not again.exists(hidden)
    again.lift(hidden, logseq)
    assert reopened(ledger).get(hidden) == b"hidden"
    assert ledger.snapshot() == 2
    assert reopened(ledger).exists(hidden)


def test_opening_starts_at_the_newest_snapshot_whose_anchor_stands(ledger):
    ledger.put(b"one")
    ledger.snapshot()
    ledger.put(b"two")
    lost = ledger.opened.index
    lost.refresh()
    litter = lost.snapshot(2, domain=0, created_at=rfc3339(0)).encode()
    ledger.store.put("ledger/snapshots/00000000000000000002.json", litter)
    ledger.store.put("ledger/snapshots/00000000000000000009.json", b"damaged")
    again = reopened(ledger)
    assert again.get(reference_of(b"two")) == b"two"
    assert again.opened.index.state.snapshot_id == 1
    assert again.snapshot() == 3


def test_any_earlier_state_can_be_opened(ledger):
    hidden = ledger.put(b"hidden")
    tombstone = ledger.tombstone(hidden)
    sealed = ledger.put_many([b"sealed"])[0]
    ledger.snapshot()
    lift = ledger.lift(hidden, tombstone)
    assert not ledger.at(0).exists(hidden)
    assert ledger.at(1).get(hidden) == b"hidden"
    view = ledger.at(tombstone)
    assert view.position() == tombstone
    assert not view.exists(hidden)
    assert not view.exists(sealed)
    assert view.stat(hidden).tombstoned
    assert ledger.at(tombstone + 1).open_artifact(sealed).read() == b"sealed"
    assert not ledger.at(lift - 1).exists(hidden)
    assert list(ledger.at(lift).get_many([hidden, sealed])) == [b"hidden", b"sealed"]
    assert ledger.at(lift).find(sealed.digest.hex()) == [sealed]


def test_no_state_opens_above_head_or_below_the_horizon(ledger):
    for n in range(4):
        ledger.put(b"%d" % n)
    with pytest.raises(NotFound):
        ledger.at(5)
    with pytest.raises(Invalid):
        ledger.at(-1)
    fence = payloads.entry_of(payloads.GcFence(3))
    ledger.log.append(lambda head: (fence,))
    with pytest.raises(NotFound, match="at least 3"):
        ledger.at(2)
    assert ledger.at(3).exists(reference_of(b"2"))


def test_an_erased_artifact_says_so_and_is_not_put_again(ledger):
    reference = ledger.put(b"secret")
    erase = payloads.entry_of(payloads.Erase(reference, 1))
    ledger.log.append(lambda head: (erase,))
    with reopened(ledger) as again:
        for ask in (again.get, again.stat, again.open_artifact):
            with pytest.raises(Erased):
                ask(reference)
        assert not again.exists(reference)
        assert again.find(reference.digest.hex()) == []
        with pytest.raises(Denied):
            again.put(b"secret")


def test_a_batch_that_meets_a_collection_is_a_conflict_and_leaves_nothing(ledger):
    other = reopened(ledger)
    fence = payloads.entry_of(payloads.GcFence(0))

    def items():
        yield LARGE
        other.log.append(lambda head: (fence,))
        yield b"more"

    with pytest.raises(Conflict):
        ledger.put_many(items())
    assert not ledger.exists(reference_of(LARGE))
    assert not list(ledger.store.list("ledger/blocks"))
    assert not list(ledger.store.list("ledger/index"))
    ledger.put_many([LARGE])
    assert ledger.exists(reference_of(LARGE))


def test_a_batch_whose_source_fails_leaves_nothing(ledger):
    def items():
        yield LARGE
        raise ValueError("source")

    with pytest.raises(ValueError, match="source"):
        ledger.put_many(items())
    assert ledger.position() == 0
    assert not list(ledger.store.list("ledger/blocks"))


def test_a_taken_segment_id_is_passed_over(ledger):
    ledger.store.put("ledger/index/shard-000/segment-00000000000000000001.idx", b"litter")
    (reference,) = ledger.put_many([b"x"])
    assert reopened(ledger).get(reference) == b"x"
    assert list(reopened(ledger).opened.index.state.segments) == [2]


def test_one_handle_sees_what_another_appends(ledger):
    other = reopened(ledger)
    assert not other.exists(reference_of(b"later"))
    reference = ledger.put(b"later")
    assert other.get(reference) == b"later"
    tombstone = ledger.tombstone(reference)
    assert other.refresh()
    assert not other.exists(reference)
    assert other.lift(reference, tombstone) == tombstone + 1
    assert not other.put_artifact(b"later").stored


def test_damaged_bytes_are_integrity_and_another_copy_serves(ledger):
    (reference,) = ledger.put_many([b"precious" * 10])
    path = next(ledger.store.list("ledger/blocks")).path
    ledger.store.delete(path)
    ledger.store.put(path, b"Precious" * 10)
    with reopened(ledger) as again:
        with pytest.raises(Integrity) as caught:
            again.get(reference)
        assert caught.value.target == path
        stream = again.open_artifact(reference)
        with pytest.raises(Integrity):
            stream.read()
        with pytest.raises(Integrity):
            list(again.get_many([reference]))
        assert again.get(reference, verify=False) == b"Precious" * 10
    frame = b"\0" + (80).to_bytes(8, "big") + b"precious" * 10
    entry = payloads.entry_of(payloads.InlinePut(reference), frame)
    ledger.log.append(lambda head: (entry,))
    assert reopened(ledger).get(reference) == b"precious" * 10


def test_a_missing_segment_is_never_answered_as_not_found(ledger):
    ledger.put_many([b"kept"])
    other = ledger.put_many([b"lost"])
    paths = [entry.path for entry in ledger.store.list("ledger/index")]
    ledger.store.delete(paths[1])
    with reopened(ledger) as again:
        with pytest.raises(Integrity):
            again.get(other[0])
        with pytest.raises(Integrity):
            again.exists(reference_of(b"never"))


def test_commits_are_found_and_listed_newest_first(ledger):
    ledger.put(b"between")
    first = ledger.commit(commit_of("trips", "1"))
    second = ledger.commit(commit_of("trips", "2"))
    third = ledger.commit(commit_of("cells", "1", "volume"))
    assert [logseq for logseq, _ in ledger.commits()] == [third, second, first]
    assert [logseq for logseq, _ in ledger.commits(limit=1)] == [third]
    assert [logseq for logseq, _ in ledger.commits(model="dataset")] == [second, first]
    assert [logseq for logseq, _ in ledger.commits(name="cells", limit=5)] == [third]
    assert [logseq for logseq, _ in ledger.commits(before=second)] == [first]
    for opened in (ledger, reopened(ledger)):
        assert opened.find_commit("dataset", "trips", "1") == first
        assert opened.find_commit("dataset", "trips", "2") == second
        assert opened.find_commit("dataset", "trips", "3") is None
        assert opened.commit_record(second) == commit_of("trips", "2")
    for logseq in (0, 1, 99):
        with pytest.raises(NotFound):
            ledger.commit_record(logseq)


def test_the_same_commit_twice_is_one_commit(ledger):
    began = ledger.position()
    first = ledger.commit(commit_of("trips"), since=began)
    assert ledger.commit(commit_of("trips"), since=began) == first
    assert reopened(ledger).commit(commit_of("trips")) == first
    assert ledger.position() == first


def test_since_looks_only_behind_it(ledger):
    first = ledger.commit(commit_of("trips"))
    again = reopened(ledger)
    second = again.commit(commit_of("trips"), since=first)
    assert second == first + 1
    assert again.commit(commit_of("trips"), since=first) == second


def test_a_commit_record_is_an_artifact(ledger):
    logseq = ledger.commit(commit_of("trips"))
    data = commit_of("trips").to_bytes()
    reference = reference_of(data, COMMIT_TYPE_TAG)
    assert ledger.get(reference) == data
    assert ledger.stat(reference)[1:] == (len(data), COMMIT_TYPE_TAG, False, logseq)
    assert not ledger.put_artifact(data, COMMIT_TYPE_TAG).stored
    assert not ledger.at(logseq - 1).exists(reference)


def test_listing_commits_loads_no_index(ledger, monkeypatch):
    ledger.commit(commit_of("trips"))
    again = reopened(ledger)
    monkeypatch.setattr(Ledger, "_open", lambda self: pytest.fail("the index was loaded"))
    assert len(list(again.commits(limit=10))) == 1
    assert again.position() == 1


def test_a_read_only_ledger_writes_nothing(store):
    with Ledger(store) as ledger:
        reference = ledger.put(b"x")
    with Ledger(store, read_only=True) as ledger:
        assert ledger.get(reference) == b"x"
        for write in (
            lambda: ledger.put(b"y"),
            lambda: ledger.put_many([b"y"]),
            lambda: ledger.tombstone(reference),
            ledger.snapshot,
            lambda: ledger.commit(commit_of("trips")),
            lambda: ledger.collect(dry_run=False),
        ):
            with pytest.raises(Denied):
                write()


def test_threads_share_one_ledger(ledger):
    failures = []

    def work(number):
        try:
            for n in range(5):
                data = b"%d-%d" % (number, n)
                assert ledger.get(ledger.put(data)) == data
                (reference,) = ledger.put_many([data + b"batch"])
                assert ledger.get(reference) == data + b"batch"
                ledger.commit(commit_of("t", f"{number}-{n}"))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    again = reopened(ledger)
    for number in range(4):
        for n in range(5):
            assert again.exists(reference_of(b"%d-%d" % (number, n)))
            assert again.exists(reference_of(b"%d-%dbatch" % (number, n)))
            assert again.find_commit("dataset", "t", f"{number}-{n}")
    assert not [f for f in again.verify() if not hasattr(f, "files")]


def test_a_snapshot_over_a_long_log_begins_a_new_file(file_store, monkeypatch):
    from holdfast.ledger import write

    monkeypatch.setattr(write, "ROTATE_ABOVE", 100)
    with Ledger(file_store) as ledger:
        ledger.put_many([b"x"])
        ledger.put(b"y")
        ledger.snapshot()
        ledger.put(b"z")
        names = [os.path.basename(e.path) for e in file_store.list("ledger/log")]
        assert "00000000000000000003.asl" in names
        assert reopened(ledger).get(reference_of(b"x")) == b"x"


def test_opening_after_a_snapshot_does_not_read_the_log_before_it(file_store, monkeypatch):
    from holdfast.ledger import write
    from holdfast.testing.faults import FaultyCalls

    monkeypatch.setattr(write, "ROTATE_ABOVE", 100)
    with Ledger(file_store) as ledger:
        reference = ledger.put_many([b"x"])[0]
        ledger.snapshot()
    calls = FaultyCalls(file_store.calls)
    with Ledger(FileSystemStore(file_store.root, calls=calls)) as again:
        assert again.get(reference) == b"x"
        read = [call.path for call in calls.log if call.op == "read_at"]
        assert not [path for path in read if path.endswith("00000000000000000001.asl")]


def test_damage_in_the_log_leaves_what_lies_before_readable(file_store):
    with Ledger(file_store) as ledger:
        ledger.put_many([b"before"])
        ledger.put(b"damaged")
        ledger.put(b"behind")
    path = f"{file_store.root}/ledger/log/00000000000000000001.asl"
    with open(path, "r+b") as file:
        file.seek(24 + 48 + 40 + 20)
        file.write(b"\xff\xff")
    with Ledger(file_store) as ledger:
        assert ledger.get(reference_of(b"before")) == b"before"
        with pytest.raises(Integrity, match="asl"):
            ledger.get(reference_of(b"behind"))
        with pytest.raises(Integrity):
            ledger.put(b"new")


class Endless(io.RawIOBase):
    """A seekable source of `size` zeros that takes no memory."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        count = min(size, self._size - self._at)
        self._at += count
        return bytes(count)


def test_a_stream_takes_constant_memory_both_ways(file_store):
    import tracemalloc

    with Ledger(file_store) as ledger:
        ledger.put_many([b"warm"])
        tracemalloc.start()
        try:
            reference = ledger.put_stream(Endless(64 * 2**20))
            assert sum(len(c) for c in ledger.open_artifact(reference).chunks()) == 64 * 2**20
            assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
        finally:
            tracemalloc.stop()


def test_history_and_small_puts_load_no_numpy(tmp_path):
    program = (
        "import sys\n"
        "from holdfast.ledger.ledger import Ledger\n"
        "from holdfast.store.filesystem import FileSystemStore\n"
        "with Ledger(FileSystemStore(sys.argv[1])) as ledger:\n"
        "    ledger.get(ledger.put(b'x'))\n"
        "    ledger.get(ledger.put_many([b'y', b'z'])[0])\n"
        "    list(ledger.commits(limit=10))\n"
        "    list(ledger.verify())\n"
        "sys.exit('numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("ask", ["find", "stat"])
def test_a_segment_that_was_only_recognised_answers_no_prefix_and_no_description(file_store, ask):
    """A bit rots without a new mtime: the cache of identities calls the segment verified."""
    cache = f"{file_store.root}/cache"
    with Ledger(file_store, cache=cache) as ledger:
        reference = ledger.put_many([b"data" * 50], type_tag=7)[0]
        ledger.get(reference)
    path = f"{file_store.root}/ledger/{segment_path(1)}"
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        at = data.index(reference.digest) if ask == "find" else 112 + data[112:].index(b"\7\0\0\0")
        data[at] ^= 1
        file.seek(0)
        file.write(data)
    status = file_store.calls.stat(path)
    identity = [status.device, status.inode, status.size, status.mtime_ns, status.ctime_ns]
    with open(f"{cache}/segments.json", "r+") as file:
        known = json.load(file)
        known["segments"]["1"][1] = identity
        file.seek(0)
        file.truncate()
        json.dump(known, file)
    with Ledger(file_store, cache=cache) as ledger:
        question = reference.digest.hex()[:12] if ask == "find" else reference
        with pytest.raises(Integrity, match="SHA-256"):
            getattr(ledger, ask)(question)


def test_the_last_commit_of_a_name_is_found_however_far_back_it_lies(tmp_path):
    def record(name, id):
        return CommitRecord("dataset", name, id, (), rfc3339(0), "0" * 32, "tester")

    store = FileSystemStore(tmp_path)
    with Ledger(store) as ledger:
        ledger.commit(record("old", "1"))
        for i in range(20):
            ledger.commit(record("trips", str(i)))
    with Ledger(store) as one, Ledger(store) as other:
        assert one.last_commit("dataset", "trips") == (21, "19")
        assert one.last_commit("dataset", "old") == (1, "1")
        assert one.last_commit("volume", "old") is None
        assert one.last_commit("dataset", "none") is None
        other.commit(record("old", "2"))
        assert one.last_commit("dataset", "old") == (22, "2")
        assert one.last_commit("dataset", "trips") == (21, "19")
        assert one.find_commit("dataset", "old", "1") == 1
