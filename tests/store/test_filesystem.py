"""What only the file-system store does; the rest is in the contract suite."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.errors import (
    Busy,
    Denied,
    InvalidPath,
    NotFound,
    PathExists,
    StorageFailure,
    Unsupported,
)
from holdfast.store.calls import OsCalls, is_network_kind
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.protocol import Entry
from holdfast.testing.faults import FaultyCalls
from holdfast.testing.strategies import contents, paths


@pytest.fixture
def store(tmp_path):
    return FileSystemStore(tmp_path / "store")


def names_below(folder):
    return sorted(name for _, folders, files in os.walk(folder) for name in folders + files)


def test_opening_a_store_makes_nothing(tmp_path):
    store = FileSystemStore(tmp_path / "a" / "b")
    assert list(store.list()) == []
    assert not store.exists("x")
    with pytest.raises(NotFound):
        store.get("x")
    store.delete("x")
    assert os.listdir(tmp_path) == []


def test_the_root_is_made_with_all_folders_above_it(tmp_path):
    FileSystemStore(tmp_path / "a" / "b").put("c", b"1")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"1"


def test_a_relative_root_stays_where_it_was_when_the_process_moves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = FileSystemStore("here")
    monkeypatch.chdir("/")
    store.put("a", b"1")
    assert (tmp_path / "here" / "a").exists()
    assert store.root == store.url == str(tmp_path / "here")


def test_the_root_may_be_a_symlink(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    store = FileSystemStore(tmp_path / "link")
    store.put("a/b", b"1")
    assert (tmp_path / "real" / "a" / "b").read_bytes() == b"1"
    assert [e.path for e in store.list()] == ["a/b"]


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PathExists):
        FileSystemStore(tmp_path / "file").put("a", b"")


@pytest.mark.parametrize("target", ["outside", "store/inside", "nowhere"])
def test_a_symlinked_folder_below_the_root_is_refused(tmp_path, target):
    store = FileSystemStore(tmp_path / "store")
    store.put("inside/x", b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_bytes(b"secret")
    (tmp_path / "store" / "link").symlink_to(tmp_path / target)
    for call in (
        lambda: store.get("link/x"),
        lambda: store.put("link/y", b""),
        lambda: store.put("link/deeper/y", b""),
        lambda: store.exists("link/x"),
        lambda: store.delete("link/x"),
        lambda: list(store.list("link")),
        lambda: store.open_writer("link/y"),
        lambda: store.open_writer("y", staging="link"),
        lambda: store.batch().put("link/y", b""),
        lambda: store.compare_and_swap("link/x", b"secret", b""),
    ):
        with pytest.raises(Denied, match="symlink"):
            call()
    assert names_below(tmp_path / "outside") == ["x"]
    assert [e.path for e in store.list()] == ["inside/x"]
    assert store.children() == (["inside"], [])


def test_a_symlink_in_place_of_a_file_is_neither_read_nor_written_nor_listed(store, tmp_path):
    store.put("a", b"")
    (tmp_path / "victim").write_bytes(b"secret")
    (tmp_path / "store" / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(Denied):
        store.get("link")
    with pytest.raises(Denied):
        store.compare_and_swap("link", b"secret", b"new")
    with pytest.raises(PathExists):
        store.put("link", b"new")
    with store.batch() as batch, pytest.raises(PathExists):
        batch.put("link", b"new")
    assert not store.exists("link")
    assert [e.path for e in store.list()] == ["a"]
    assert (tmp_path / "victim").read_bytes() == b"secret"


def test_a_dangling_symlink_does_not_become_a_file_elsewhere(store, tmp_path):
    store.put("a", b"")
    (tmp_path / "store" / "link").symlink_to(tmp_path / "new")
    with pytest.raises(PathExists):
        store.put("link", b"")
    with store.batch() as batch, pytest.raises(PathExists):
        batch.put("link", b"")
    assert not (tmp_path / "new").exists()


def test_a_pipe_in_place_of_a_file_does_not_hang_a_reader(store, tmp_path):
    store.put("a", b"")
    os.mkfifo(tmp_path / "store" / "pipe")
    with pytest.raises(NotFound):
        store.get("pipe")
    assert [e.path for e in store.list()] == ["a"]


def test_a_path_is_no_file_and_folder_at_once(store):
    store.put("a", b"")
    store.put("b/c", b"")
    with pytest.raises(PathExists):
        store.put("a/x", b"")
    with pytest.raises(PathExists):
        store.put("b", b"")
    with store.batch() as batch:
        with pytest.raises(PathExists):
            batch.put("a/x/y", b"")
        with pytest.raises(PathExists):
            batch.put("b", b"")


def test_a_path_longer_than_the_system_takes_is_an_invalid_path(store):
    path = "/".join(["x" * 200] * 30)
    for call in (lambda: store.put(path, b""), lambda: store.get(path)):
        with pytest.raises((InvalidPath, NotFound)):
            call()
    with pytest.raises(InvalidPath):
        store.put(path, b"")


def test_a_folder_removed_by_somebody_else_is_made_again(store, tmp_path):
    def remove():
        for folder, folders, files in os.walk(tmp_path / "store", topdown=False):
            for name in files:
                os.unlink(f"{folder}/{name}")
            for name in folders:
                os.rmdir(f"{folder}/{name}")

    store.put("a/b/c", b"1")
    for write in (
        lambda: store.put("a/b/c", b"2"),
        lambda: store.compare_and_swap("a/b/c", None, b"2"),
        lambda: store.open_writer("a/b/c").close(),
    ):
        remove()
        write()
        assert store.exists("a/b/c")
    remove()
    with store.batch() as batch:
        batch.put("a/b/c", b"3")
        remove()
        batch.put("a/b/d", b"4")
        batch.commit()
    assert [e.path for e in store.list()] == ["a/b/d"]


def test_files_get_the_rights_that_the_umask_leaves(store, tmp_path):
    before = os.umask(0o027)
    try:
        store.put("d/a", b"")
        with store.batch() as batch:
            batch.put("d/b", b"")
            batch.commit()
    finally:
        os.umask(before)
    root = tmp_path / "store"
    assert {stat.S_IMODE(os.stat(root / "d" / n).st_mode) for n in "ab"} == {0o640}
    assert stat.S_IMODE(os.stat(root / "d").st_mode) == 0o750


def test_no_descriptor_stays_open(store, tmp_path):
    store.put("a", b"")
    before = os.listdir("/proc/self/fd")
    store.put("b/c", b"")
    store.put_many((f"m/{i}", b"") for i in range(200))
    store.get("a")
    store.read_range("a", 0, 1)
    list(store.list())
    store.compare_and_swap("x", None, b"")
    store.compare_and_swap("x", b"", b"1")
    with store.open_writer("w") as writer:
        writer.write(b"x")
    store.open_writer("never").abort()
    with store.batch() as batch:
        batch.put("q", b"")
        batch.commit()
    with pytest.raises(PathExists):
        store.put("a", b"")
    store.delete("q")
    list(store.stale_temps())
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_range_reads_only_what_was_asked_for(tmp_path):
    class Counting(OsCalls):
        asked = 0

        def read_at(self, fd, size, offset):
            self.asked += size
            return os.pread(fd, size, offset)

    calls = Counting()
    store = FileSystemStore(tmp_path, calls=calls)
    store.put("a", bytes(1_000_000))
    store.read_range("a", 500_000, 100)
    assert calls.asked == 100


def test_listing_opens_folders_as_it_comes_to_them(tmp_path):
    class Counting(OsCalls):
        listed = 0

        def list_folder(self, path):
            self.listed += 1
            return super().list_folder(path)

    calls = Counting()
    store = FileSystemStore(tmp_path, calls=calls)
    store.put_many((f"d{i:03}/f", b"") for i in range(100))
    listing = store.list()
    assert next(listing) == Entry("d000/f", 0)
    assert calls.listed == 2


def test_a_tree_deeper_than_the_recursion_limit_is_listed(store):
    path = "/".join("d" * 1500) + "/file"
    store.put(path, b"1")
    assert [e.path for e in store.list()] == [path]
    assert list(store.stale_temps()) == []
    store.delete(path)
    above = path
    while above := above.rpartition("/")[0]:  # so that a plain rmtree gets through it too
        os.rmdir(f"{store.root}/{above}")


def test_names_that_are_no_paths_are_not_listed(store, tmp_path):
    store.put("a", b"")
    root = os.fsencode(tmp_path / "store")
    for name in (b"\xff\xfe", b"back\\slash", b".hf-0123456789abcdef", b".hf-else"):
        with open(root + b"/" + name, "wb"):
            pass
    assert [e.path for e in store.list()] == ["a"]
    assert store.children() == ([], [Entry("a", 0)])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=st.dictionaries(paths(), contents(600), max_size=8))
def test_any_files_are_listed_in_the_order_of_their_bytes(files, tmp_path_factory):
    store = FileSystemStore(tmp_path_factory.mktemp("any"))
    kept = {}
    for path, data in files.items():
        try:
            store.put(path, data)
        except PathExists:  # a file where a folder must be, or the other way
            continue
        kept[path] = data
    listed = list(store.list())
    assert listed == [Entry(p, len(kept[p])) for p in sorted(kept, key=str.encode)]
    assert all(store.get(path) == data for path, data in kept.items())


# Read-only


def test_a_read_only_store_refuses_every_write_and_makes_no_file(tmp_path):
    FileSystemStore(tmp_path).put("a", b"1")
    before = names_below(tmp_path)
    store = FileSystemStore(tmp_path, read_only=True)
    for call in (
        lambda: store.put("b", b""),
        lambda: store.put("a", b""),
        lambda: store.put_many([("b", b"")]),
        lambda: store.delete("a"),
        lambda: store.compare_and_swap("a", b"1", b"2"),
        lambda: store.open_writer("b"),
        store.batch,
        store.remove_stale_temps,
        lambda: store.leases.acquire("ledger"),
    ):
        with pytest.raises(Denied):
            call()
    store.leases.acquire("ledger", exclusive=False).close()
    assert store.get("a") == b"1"
    assert store.remove_stale_temps(dry_run=True).removed == []
    assert names_below(tmp_path) == before


# Network file systems


class NetworkCalls(OsCalls):
    def file_system(self, path):
        return "nfs"


def test_a_network_file_system_is_refused_unless_declared_safe(tmp_path):
    with pytest.raises(Unsupported, match="nfs"):
        FileSystemStore(tmp_path, calls=NetworkCalls())
    FileSystemStore(tmp_path, calls=NetworkCalls(), network_file_system_is_safe=True).put("a", b"")


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        ("ext4", False),
        ("tmpfs", False),
        ("overlay", False),
        ("", False),
        ("fuseblk", False),
        ("fuse.gocryptfs", False),
        ("nfs", True),
        ("nfs4", True),
        ("cifs", True),
        ("smb2", True),
        ("9p", True),
        ("fuse.sshfs", True),
        ("fuse", True),
        ("virtiofs", True),
    ],
)
def test_which_kinds_count_as_network_file_systems(kind, network):
    assert is_network_kind(kind) is network


@pytest.mark.skipif(sys.platform != "linux", reason="statfs is asked on Linux only")
def test_the_system_names_the_kind_of_its_file_systems():
    assert OsCalls().file_system("/dev/shm") == "tmpfs"
    assert OsCalls().file_system("/proc") == ""


def test_syncfs_is_not_trusted_where_it_may_do_nothing():
    calls = OsCalls()
    fd = os.open("/proc", os.O_RDONLY)
    try:
        assert calls.can_sync_file_system(fd) is False
        assert calls.sync_file_system(fd) is False
    finally:
        os.close(fd)


def test_a_syncfs_that_fails_raises():
    calls = OsCalls()
    fd = os.open("/dev/shm", os.O_RDONLY)
    os.close(fd)
    with pytest.raises(OSError) as caught:
        calls.sync_file_system(fd)
    assert caught.value.errno == errno.EBADF


def test_a_mapped_file_is_read_only_and_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    calls = OsCalls()
    fd = calls.open(str(tmp_path / "a"), os.O_RDONLY)
    try:
        view = calls.map(fd, 10)
        with pytest.raises(OSError):
            calls.map(fd, 20_000)
    finally:
        calls.close(fd)
    assert bytes(view) == b"0123456789"
    assert view.readonly


# Temporary files


def test_a_temporary_file_in_use_is_not_stale(store):
    writer = store.open_writer("a/b")
    writer.write(b"x")
    assert list(store.stale_temps()) == []
    assert store.remove_stale_temps().removed == []
    writer.close()
    assert store.get("a/b") == b"x"


LEAVE = """
import os, sys
from holdfast.store.filesystem import FileSystemStore
store = FileSystemStore(sys.argv[1])
store.open_writer("a/b", staging="staging").write(b"12345")
store.open_writer("a/c").write(b"123")
os.kill(os.getpid(), 9)
"""


def test_temporary_files_of_a_killed_process_are_stale_and_swept(store):
    subprocess.run([sys.executable, "-c", LEAVE, store.root], check=False)
    stale = list(store.stale_temps())
    assert [e.size for e in stale] == [3, 5] or [e.size for e in stale] == [5, 3]
    assert {e.path.partition("/")[0] for e in stale} == {"a", "staging"}
    assert list(store.list()) == []
    only = store.remove_stale_temps("staging", dry_run=True)
    assert [size for _, size in only.removed] == [5]
    assert only.bytes == 5
    assert len(list(store.stale_temps())) == 2
    assert sorted(store.remove_stale_temps().removed) == sorted((e.path, e.size) for e in stale)
    assert list(store.stale_temps()) == []


def test_a_sweep_between_the_making_of_a_temporary_file_and_its_lock_does_no_harm(tmp_path):
    class Swept(OsCalls):
        swept = 0

        def lock(self, fd, exclusive):
            if self.swept < 3 and sweeper is not None:
                self.swept += 1
                assert len(sweeper.remove_stale_temps().removed) == 1
            return super().lock(fd, exclusive)

    sweeper = None
    calls = Swept()
    store = FileSystemStore(tmp_path, calls=calls)
    store.put("a", b"1")
    sweeper = FileSystemStore(tmp_path)
    store.put("b", b"2")
    assert calls.swept == 3
    assert store.get("b") == b"2"


def test_a_file_that_only_looks_like_a_temporary_one_is_left_alone(store, tmp_path):
    store.put("a", b"")
    (tmp_path / "store" / ".hf-notes").write_bytes(b"mine")
    (tmp_path / "store" / ".hf-0123456789abcdef").symlink_to("a")
    report = store.remove_stale_temps()
    assert report.removed == []
    assert len(report.failed) == 1
    assert {".hf-notes", ".hf-0123456789abcdef", "a"} <= set(names_below(tmp_path / "store"))


def test_names_of_temporary_files_come_from_the_given_ids(tmp_path):
    class Ids:
        def token(self, size):
            return "ab" * size

    store = FileSystemStore(tmp_path, ids=Ids())
    writer = store.open_writer("a")
    assert os.listdir(tmp_path) == [".hf-abababababababab"]
    with pytest.raises(StorageFailure):  # no other name is to be had
        store.open_writer("b")
    writer.close()
    assert os.listdir(tmp_path) == ["a"]


# Several processes

PUT = """
import sys
from holdfast.store.filesystem import FileSystemStore
from holdfast.errors import PathExists
store = FileSystemStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
won = 0
for i in range(40):
    try:
        store.put(f"d{i % 5}/{i}", sys.argv[2].encode() * 500)
        won += 1
    except PathExists:
        pass
print(won)
"""

COUNT = """
import sys
from holdfast.store.filesystem import FileSystemStore
from holdfast.errors import Conflict
store = FileSystemStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    while True:
        now = store.get("counter")
        try:
            store.compare_and_swap("counter", now, b"%d" % (int(now) + 1))
            break
        except Conflict:
            pass
print(25)
"""


def run_together(script, root, count):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, root, str(i)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(count)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    results = [int(process.communicate()[0]) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    return results


def test_of_several_processes_exactly_one_creates_each_file(store):
    assert sum(run_together(PUT, store.root, 3)) == 40
    entries = list(store.list())
    assert len(entries) == 40
    for entry in entries:
        data = store.get(entry.path)
        assert data == data[:1] * 500


def test_a_counter_that_processes_raise_by_swaps_is_exact(store):
    store.put("counter", b"0")
    run_together(COUNT, store.root, 3)
    assert store.get("counter") == b"75"


def test_a_swap_waits_for_the_lease_and_names_its_holder(tmp_path):
    from holdfast.digests import sha256_hex
    from holdfast.leases import FileLeases

    class Impatient(FileLeases):
        def acquire(self, name, *, exclusive=True, timeout=30.0):
            return super().acquire(name, exclusive=exclusive, timeout=0)

    store = FileSystemStore(tmp_path, leases=Impatient(str(tmp_path / "locks")))
    with store.leases.acquire("cas/" + sha256_hex(b"a")[:2]), pytest.raises(Busy):
        store.compare_and_swap("a", None, b"")


def test_a_forked_child_that_aborts_a_batch_leaves_the_parents_files(store):
    batch = store.batch()
    batch.put("a", b"1")
    writer = batch.open_writer("b")
    writer.write(b"2")
    child = os.fork()
    if child == 0:
        writer.abort()
        batch.abort()
        os._exit(0)
    os.waitpid(child, 0)
    writer.close()
    batch.commit()
    batch.abort()
    assert (store.get("a"), store.get("b")) == (b"1", b"2")


def test_a_lease_taken_first_leaves_the_folders_of_the_root_durable(tmp_path):
    calls = FaultyCalls(OsCalls())
    store = FileSystemStore(tmp_path / "a" / "b" / "root", calls=calls)
    calls.reset()
    store.leases.acquire("x").close()
    # One for each folder that holds a new entry: tmp_path, a, b.
    assert calls.counts["fsync"] >= 3
