"""Every operation of the file-system store with an error on the n-th system call, for every n."""

from __future__ import annotations

import errno
import os

import pytest

from holdfast.errors import Denied, HoldfastError, NoSpace, NotFound, StorageFailure
from holdfast.leases import FileLeases
from holdfast.store.calls import OsCalls
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls
from holdfast.testing.faults import DISK_ERRORS, Fault, FaultyCalls

MANY = {f"many/{i % 2}/{i}": b"%d" % i * 100 for i in range(10)}


def stream(store):
    with store.open_writer("w/a", staging="staging") as writer:
        writer.write(b"x" * 5000)
        writer.write(b"y" * 5000)


def batch(store):
    with store.batch() as files:
        for path, data in MANY.items():
            files.put(path, data)
        with files.open_writer("many/0/s") as writer:
            writer.write(b"streamed")
        files.commit()


OPERATIONS = {
    "put": (lambda s: s.put("new/folder/a", b"1" * 5000), {"new/folder/a": b"1" * 5000}),
    "put_many": (lambda s: s.put_many(MANY.items()), MANY),
    "put_few": (lambda s: s.put_many([("p/1", b"1"), ("q/2", b"2")]), {"p/1": b"1", "q/2": b"2"}),
    "create by swap": (lambda s: s.compare_and_swap("n/c", None, b"1"), {"n/c": b"1"}),
    "swap": (lambda s: s.compare_and_swap("old/a", b"old", b"new"), {"old/a": b"new"}),
    "delete": (lambda s: s.delete("old/b"), {"old/b": None}),
    "writer": (stream, {"w/a": b"x" * 5000 + b"y" * 5000}),
    "batch": (batch, MANY | {"many/0/s": b"streamed"}),
}
OLD = {"old/a": b"old", "old/b": b"other"}


class NoSyncfs(OsCalls):
    def can_sync_file_system(self, fd):
        return False

    def sync_file_system(self, fd):
        return False


def prepared(folder, inner):
    calls = FaultyCalls(inner)
    FileSystemStore(folder, calls=calls).put_many(OLD.items())
    store = FileSystemStore(folder, calls=calls)
    calls.reset()
    return store, calls


def contents(store):
    return {entry.path: store.get(entry.path) for entry in store.list()}


def count_calls(folder, inner, operation):
    store, calls = prepared(folder, inner)
    operation(store)
    return calls.total


@pytest.mark.parametrize(
    ("kind", "number"),
    [(OsCalls, number) for number in DISK_ERRORS] + [(NoSyncfs, errno.EIO)],
    ids=lambda value: errno.errorcode.get(value) if isinstance(value, int) else value.__name__,
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_error_on_any_call_is_typed_and_leaves_nothing_half_visible(
    name, number, kind, tmp_path
):
    operation, made = OPERATIONS[name]
    total = count_calls(tmp_path / "count", kind(), operation)
    failed = 0
    for nth in range(1, total + 1):
        store, calls = prepared(tmp_path / str(nth), kind())
        calls.fail(Fault(number, nth=nth))
        try:
            operation(store)
            done = True
        except HoldfastError as caught:
            done = False
            failed += 1
            error = caught
        calls.fail()
        if not done:
            assert type(error) is (
                NoSpace if number in (errno.ENOSPC, errno.EDQUOT) else StorageFailure
            ), error
            assert error.details["errno"] == errno.errorcode[number]
        wanted = OLD | made
        for path in wanted:
            found = store.get(path) if store.exists(path) else None
            allowed = {wanted[path]} if done else {OLD.get(path), wanted[path]}
            assert found in allowed, (nth, path, calls.log)
        assert set(contents(store)) <= set(wanted)
        # The clean-up met no error (only one call failed), so no temporary file is left.
        litter = [p for _, _, names in os.walk(store.root) for p in names if p.startswith(".hf-")]
        assert litter == [], (nth, calls.log)
        # The same operation works now, or meets what is whole already.
        if name not in ("swap", "delete", "create by swap") and not contents(store).keys() & made:
            operation(store)
            assert contents(store) == wanted
    assert failed >= total // 2


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_disk_that_fails_for_good_leaves_nothing_half_visible(name, number, tmp_path):
    operation, made = OPERATIONS[name]
    total = count_calls(tmp_path / "count", OsCalls(), operation)
    for nth in range(1, total + 1):
        store, calls = prepared(tmp_path / str(nth), OsCalls())
        calls.fail(Fault(number, nth=nth, ever_after=True))
        try:
            operation(store)
        except StorageFailure:
            pass
        calls.fail()
        wanted = OLD | made
        for path, data in contents(store).items():
            if name == "batch" and data != wanted[path]:
                # Not committed and impossible to remove: what a batch says of its files.
                continue
            assert data in (OLD.get(path), wanted[path]), (nth, path)
        assert store.remove_stale_temps().failed == []
        assert list(store.stale_temps()) == []
        litter = [p for _, _, names in os.walk(store.root) for p in names if p.startswith(".hf-")]
        assert litter == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EROFS, Denied),
        (errno.EACCES, Denied),
        (errno.EPERM, Denied),
        (errno.EDQUOT, NoSpace),
        (errno.EFBIG, NoSpace),
        (errno.ENOMEM, StorageFailure),
        (errno.ENFILE, StorageFailure),
    ],
)
@pytest.mark.parametrize("op", ["open", "write", "fsync", "link"])
def test_each_error_has_its_kind(op, number, kind, tmp_path):
    store, calls = prepared(tmp_path, OsCalls())
    calls.fail(Fault(number, op=op, path="old"))
    with pytest.raises(kind) as caught:
        store.put("old/c", b"1")
    assert errno.errorcode[number] in str(caught.value)
    assert contents(store) == OLD


@pytest.mark.parametrize("op", ["fsync", "sync_file_system"])
@pytest.mark.parametrize("name", ["put", "put_many", "put_few", "create by swap", "writer"])
def test_after_a_failed_sync_a_new_try_writes_everything_again(name, op, tmp_path):
    """A second fsync of the same bytes could succeed falsely: there must be no such call."""
    operation, made = OPERATIONS[name]
    store, calls = prepared(tmp_path / "count", OsCalls())
    operation(store)
    total = calls.counts[op]
    for nth in range(1, total + 1):
        store, calls = prepared(tmp_path / str(nth), OsCalls())
        calls.fail(Fault(errno.EIO, op=op, nth=nth))
        with pytest.raises(StorageFailure):
            operation(store)
        at = max(i for i, call in enumerate(calls.log) if call.op == op)
        assert not [c for c in calls.log[at + 1 :] if c.op in ("fsync", "link", "rename")]
        assert contents(store) == OLD
        calls.reset()
        operation(store)
        written = sum(call.op == "write" for call in calls.log)
        assert written >= len(made)
        assert contents(store) == OLD | made


def test_a_batch_whose_sync_failed_never_commits(tmp_path):
    store, calls = prepared(tmp_path, OsCalls())
    with store.batch() as files:
        files.put("b/1", b"1")
        calls.fail(Fault(errno.EIO, op="sync_file_system"))
        with pytest.raises(StorageFailure):
            files.commit()
        with pytest.raises(StorageFailure):
            files.commit()
        with pytest.raises(StorageFailure):
            files.put("b/2", b"2")
        with pytest.raises(StorageFailure):
            files.put("b/1/x", b"2")
    assert calls.counts["sync_file_system"] == 1
    assert contents(store) == OLD


@pytest.mark.parametrize(
    ("name", "fsyncs"),
    [
        # the folder of the root, the root, "new", the file, "new/folder"
        ("put", 5),
        # the folder of the root, the root, the file, "old"
        ("swap", 4),
        # the folder of the root (where the lease's folder is made), "old"
        ("delete", 2),
    ],
)
def test_the_first_write_into_new_folders_syncs_every_folder_on_the_way(name, fsyncs, tmp_path):
    operation, _ = OPERATIONS[name]
    store, calls = prepared(tmp_path / "s", OsCalls())
    operation(store)
    assert calls.counts["fsync"] == fsyncs, calls.log


def test_a_put_into_a_known_folder_costs_two_fsyncs(tmp_path):
    store, calls = prepared(tmp_path, OsCalls())
    store.put("f/1", b"")
    calls.reset()
    store.put("f/2", b"x" * 10_000)
    assert calls.counts["fsync"] == 2
    assert calls.counts["write"] == 1
    assert calls.total <= 14, calls.log


def test_put_many_of_a_hundred_files_shares_its_syncs(tmp_path):
    store, calls = prepared(tmp_path, OsCalls())
    store.put("f/1", b"")
    store.put("g/1", b"")
    calls.reset()
    store.put_many((f"{'fg'[i % 2]}/n{i}", b"x") for i in range(100))
    assert calls.counts["sync_file_system"] == 1
    assert calls.counts["fsync"] == 2


def test_a_batch_of_a_thousand_files_syncs_once_and_costs_three_calls_a_file(tmp_path):
    store, calls = prepared(tmp_path, OsCalls())
    store.put("f/first", b"")
    calls.reset()
    with store.batch() as files:
        for i in range(1000):
            files.put(f"f/{i}", b"x")
        files.commit()
    assert calls.counts["sync_file_system"] == 1
    assert calls.counts["fsync"] == 0
    assert calls.total < 3 * 1000 + 20


@pytest.mark.parametrize(
    "name", [n for n in OPERATIONS if n not in ("delete", "batch", "put_many")]
)
def test_nothing_is_acknowledged_before_file_and_folder_are_synced(name, tmp_path):
    operation, made = OPERATIONS[name]
    store, calls = prepared(tmp_path, NoSyncfs())
    operation(store)
    calls.mark("acknowledged")
    for path in made:
        full = f"{store.root}/{path}"
        folder = os.path.dirname(full)
        ops = [(i, c) for i, c in enumerate(calls.log)]
        named = next(i for i, c in ops if c.op in ("link", "rename") and c.path == full)
        acknowledged = next(i for i, c in ops if c.op == "mark")
        before = [c for i, c in ops if i < named]
        last_write = max(i for i, c in enumerate(before) if c.op == "write")
        assert [c for c in before[last_write:] if c.op == "fsync"], calls.log
        between = [c for i, c in ops if named < i < acknowledged]
        assert ("fsync", folder) in between, calls.log


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.get("old/a"),
        lambda store: store.read_range("old/a", 0, 1),
        lambda store: store.size("old/a"),
        lambda store: store.exists("old/a"),
        lambda store: list(store.list()),
        lambda store: store.children("old"),
    ],
)
def test_an_error_while_reading_is_typed(read, tmp_path):
    store, calls = prepared(tmp_path, OsCalls())
    expected = read(store)
    reads = list(calls.log)
    assert reads
    for nth, call in enumerate(reads, 1):
        fresh = FileSystemStore(tmp_path, calls=calls)
        calls.fail(Fault(errno.EIO, nth=nth))
        if call.op == "close":  # of a file that was only read
            assert read(fresh) == expected
        else:
            with pytest.raises(StorageFailure):
                read(fresh)
        calls.fail()


def test_a_missing_file_is_not_a_failing_disk(tmp_path):
    store, calls = prepared(tmp_path, OsCalls())
    calls.fail(Fault(errno.EIO, op="read_at"))
    with pytest.raises(StorageFailure):
        store.get("old/a")
    with pytest.raises(NotFound):
        store.get("old/none")


def test_a_file_that_became_shorter_while_read_is_a_storage_failure(tmp_path):
    class Shrinking(OsCalls):
        def read_at(self, fd, size, offset):
            return os.pread(fd, size, offset)[:2] if offset == 0 else b""

    store = FileSystemStore(tmp_path, calls=Shrinking())
    store.put("a", b"12345")
    with pytest.raises(StorageFailure, match="2 bytes"):
        store.get("a")


@pytest.mark.parametrize("nth", range(1, 8))
def test_a_lease_that_cannot_be_taken_is_a_typed_error_and_stays_free(nth, tmp_path):
    calls = FaultyCalls(OsCalls(), Fault(errno.EMFILE, nth=nth))
    leases = FileLeases(str(tmp_path / "locks"), calls=calls)
    try:
        leases.acquire("a/b", timeout=0).close()
    except StorageFailure:
        pass
    calls.fail()
    leases.acquire("a/b", timeout=0).close()
    assert leases.holder("a/b") is None


def test_short_writes_are_continued(tmp_path):
    calls = FaultyCalls(OsCalls(), short_writes=7)
    store = FileSystemStore(tmp_path, calls=calls)
    store.put("a", b"0123456789" * 5)
    assert store.get("a") == b"0123456789" * 5
    assert calls.counts["write"] == 8


def test_a_fault_can_be_on_the_nth_call_of_one_kind_or_ever_after():
    calls = FaultyCalls(CrashCalls(), Fault(errno.EIO, op="make_folder", nth=2))
    calls.make_folder("/a")
    with pytest.raises(OSError):
        calls.make_folder("/b")
    calls.make_folder("/b")
    calls.fail(Fault(errno.ENOSPC, op="make_folder", nth=2, ever_after=True))
    calls.make_folder("/c")
    for _ in range(3):
        with pytest.raises(OSError):
            calls.make_folder("/d")
    assert calls.counts["make_folder"] == 7
