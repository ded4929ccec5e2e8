"""Leases, over files between processes and inside one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from holdfast.clock import SystemClock
from holdfast.errors import Busy, Denied, Invalid, InvalidPath, StorageFailure
from holdfast.leases import FileLeases, LocalLeases
from holdfast.store.calls import OsCalls
from holdfast.testing.faults import Fault, FaultyCalls

HOLD = """
import sys
from holdfast.leases import FileLeases
folder, name, mode = sys.argv[1:]
lease = FileLeases(folder, command="the holder").acquire(name, exclusive=mode == "x")
print("held", flush=True)
sys.stdin.readline()
lease.close()
print("released", flush=True)
sys.stdin.readline()
"""

TRY = """
import sys
from holdfast.leases import FileLeases
from holdfast.errors import Busy
try:
    FileLeases(sys.argv[1]).acquire(sys.argv[2], exclusive=sys.argv[3] == "x", timeout=0)
    print("taken")
except Busy:
    print("busy")
"""


class FakeClock:
    """A clock that `sleep` moves."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def now_ns(self):
        return 1_700_000_000_000_000_000

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(params=["files", "local"])
def leases(request, tmp_path):
    return FileLeases(str(tmp_path / "locks")) if request.param == "files" else LocalLeases()


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "locks")


@pytest.fixture
def holder():
    """Starts processes that hold a lease; they are killed at the end."""
    started = []

    def start(folder, name, mode="x"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, folder, name, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def tried_elsewhere(folder, name, mode="x"):
    found = subprocess.run(
        [sys.executable, "-c", TRY, folder, name, mode], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def test_an_exclusive_lease_excludes_others_until_closed(leases):
    lease = leases.acquire("a")
    for exclusive in (True, False):
        with pytest.raises(Busy):
            leases.acquire("a", exclusive=exclusive, timeout=0)
    lease.close()
    leases.acquire("a", timeout=0).close()


def test_shared_leases_go_together_and_exclude_an_exclusive_one(leases):
    one = leases.acquire("a", exclusive=False, timeout=0)
    two = leases.acquire("a", exclusive=False, timeout=0)
    for lease in (one, two):
        with pytest.raises(Busy):
            leases.acquire("a", timeout=0)
        lease.close()
    leases.acquire("a", timeout=0).close()


def test_leases_of_different_names_do_not_meet(leases):
    with leases.acquire("a"), leases.acquire("a/b"), leases.acquire("b", timeout=0):
        pass


def test_a_lease_is_not_reentrant(leases):
    with leases.acquire("a"), pytest.raises(Busy):
        leases.acquire("a", timeout=0)


def test_closing_twice_releases_only_once(leases):
    one = leases.acquire("a")
    one.close()
    two = leases.acquire("a", timeout=0)
    one.close()
    with pytest.raises(Busy):
        leases.acquire("a", timeout=0)
    assert (one.held, two.held) == (False, True)


def test_a_with_block_releases_on_an_exception(leases):
    def work():
        with leases.acquire("a"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    leases.acquire("a", timeout=0).close()


def test_a_waiting_thread_gets_the_lease_when_it_is_released(leases):
    lease = leases.acquire("a")
    got = threading.Event()

    def wait():
        with leases.acquire("a", timeout=None):
            got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not got.is_set()
    lease.close()
    thread.join()
    assert got.is_set()


def test_threads_that_count_under_a_lease_count_exactly(leases):
    count = 0

    def work():
        nonlocal count
        for _ in range(25):
            with leases.acquire("count"):
                seen = count
                os.sched_yield()
                count = seen + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == 100


def test_the_holder_is_named_while_it_holds_and_not_after(leases):
    assert leases.holder("a") is None
    with leases.acquire("a"):
        assert f"process {os.getpid()} on " in leases.holder("a")
        with pytest.raises(Busy) as caught:
            leases.acquire("a", timeout=0)
        assert f"process {os.getpid()}" in str(caught.value)
        assert caught.value.details["holder"] == leases.holder("a")
    assert leases.holder("a") is None


def test_shared_holders_are_not_named(leases):
    with leases.acquire("a", exclusive=False):
        assert leases.holder("a") is None
        with pytest.raises(Busy, match="shared"):
            leases.acquire("a", timeout=0)


@pytest.mark.parametrize("name", ["", "/a", "a//b", "../a", "a/..", "a/", ".", "a\0", "a\\b"])
def test_a_hostile_name_is_refused(leases, name):
    with pytest.raises(Invalid):
        leases.acquire(name)
    with pytest.raises(Invalid):
        leases.holder(name)


def test_waiting_ends_at_the_timeout_in_pauses_that_grow_to_a_limit(folder):
    clock = FakeClock()
    leases = FileLeases(folder, clock=clock, sleep=clock.sleep)
    with leases.acquire("a"), pytest.raises(Busy, match="after 2 s"):
        leases.acquire("a", timeout=2)
    assert sum(clock.slept) == pytest.approx(2)
    assert clock.slept[0] == 0.0005
    # Most leases are held for milliseconds: the pauses stay short for half a second.
    assert max(clock.slept[:100]) == 0.001
    assert max(clock.slept) == 0.05


def test_a_lease_of_another_process_excludes_and_its_holder_is_named(folder, holder):
    process = holder(folder, "projects/Ä b")
    leases = FileLeases(folder)
    with pytest.raises(Busy, match=rf"process {process.pid} on .*the holder"):
        leases.acquire("projects/Ä b", timeout=0)
    assert f"process {process.pid}" in leases.holder("projects/Ä b")
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "released\n"
    leases.acquire("projects/Ä b", timeout=0).close()


def test_a_shared_lease_of_another_process_lets_others_share(folder, holder):
    holder(folder, "a", "s")
    leases = FileLeases(folder)
    leases.acquire("a", exclusive=False, timeout=0).close()
    with pytest.raises(Busy):
        leases.acquire("a", timeout=0)


@pytest.mark.parametrize("mode", ["x", "s"])
def test_a_killed_holder_blocks_nobody(folder, holder, mode):
    process = holder(folder, "a", mode)
    process.send_signal(signal.SIGKILL)
    process.wait()
    leases = FileLeases(folder)
    assert leases.holder("a") is None
    leases.acquire("a", timeout=0).close()


def in_child(work):
    """Run `work` in a forked child; its return value must be an exit code."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return child


def exit_code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_in_a_forked_child_the_lease_is_closed_and_the_parents_lock_stays(folder):
    leases = FileLeases(folder)
    lease = leases.acquire("a")

    def work():
        if lease.held:
            return 1
        lease.close()
        try:
            leases.acquire("a", timeout=0)
        except Busy:
            return 0
        return 2

    assert exit_code(in_child(work)) == 0
    assert lease.held
    assert tried_elsewhere(folder, "a") == "busy"


def test_a_child_that_lives_on_does_not_keep_a_released_lease(folder):
    read, write = os.pipe()
    leases = FileLeases(folder)
    lease = leases.acquire("a")

    def wait():
        os.close(write)
        return os.read(read, 1) and 0

    child = in_child(wait)
    lease.close()
    try:
        leases.acquire("a", timeout=0).close()
    finally:
        os.write(write, b"x")
        exit_code(child)
        os.close(read)
        os.close(write)


FORK = """
import os, sys
from holdfast.leases import FileLeases
lease = FileLeases(sys.argv[1]).acquire("a")
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, b"x")
    sys.stdin.read()
    os._exit(0)
os.read(read, 1)
print("forked", flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_child_that_outlives_its_killed_parent_does_not_keep_the_parents_lease(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", FORK, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "forked\n"
        assert process.wait() == -signal.SIGKILL
        FileLeases(folder).acquire("a", timeout=0).close()
    finally:
        process.stdin.close()
        process.stdout.close()


def test_a_child_takes_leases_of_its_own_after_a_fork(folder):
    leases = FileLeases(folder)
    leases.acquire("a").close()

    def work():
        with leases.acquire("a", timeout=0):
            return 0 if f"process {os.getpid()} " in leases.holder("a") else 1

    assert exit_code(in_child(work)) == 0


def test_a_local_lease_does_not_reach_into_a_forked_child():
    leases = LocalLeases()
    lease = leases.acquire("a")

    def work():
        lease.close()
        leases.acquire("a", timeout=0).close()
        return int(lease.held)

    assert exit_code(in_child(work)) == 0
    assert lease.held


def test_a_lease_file_is_never_removed(folder):
    leases = FileLeases(folder)
    leases.acquire("a/b").close()
    inode = os.stat(f"{folder}/a/b.lock").st_ino
    leases.acquire("a/b").close()
    assert os.stat(f"{folder}/a/b.lock").st_ino == inode


@pytest.mark.parametrize(
    "junk", [b"{", b"[1]\n", b"\xff\xfe\n", b"{}\n", b"9" * 9000, b"[" * 4000 + b"\n"]
)
def test_junk_in_a_lease_file_harms_nobody(folder, junk):
    leases = FileLeases(folder)
    lease = leases.acquire("a")
    with open(f"{folder}/a.lock", "r+b") as file:
        file.write(junk)
    with pytest.raises(Busy):
        leases.acquire("a", timeout=0)
    lease.close()
    leases.acquire("a", timeout=0).close()


def test_a_symlink_in_place_of_a_lease_file_is_refused(folder, tmp_path):
    leases = FileLeases(folder)
    leases.acquire("a").close()
    os.symlink(tmp_path / "victim", f"{folder}/b.lock")
    with pytest.raises(Denied):
        leases.acquire("b", timeout=0)
    assert not (tmp_path / "victim").exists()


def test_a_read_only_repository_gets_no_lock_files(folder):
    leases = FileLeases(folder, read_only=True)
    with leases.acquire("a", exclusive=False) as lease:
        assert lease.held
    with pytest.raises(Denied):
        leases.acquire("a")
    assert leases.holder("a") is None
    assert not os.path.exists(folder)


def test_a_read_only_shared_lease_respects_a_lock_file_that_is_there(folder):
    with FileLeases(folder).acquire("a"), pytest.raises(Busy):
        FileLeases(folder, read_only=True).acquire("a", exclusive=False, timeout=0)


def read_only_medium():
    """Calls on a medium where nothing can be made, though what is there can be read."""

    class ReadOnly(OsCalls):
        def open(self, path, flags, mode=0o666):
            if flags & os.O_ACCMODE != os.O_RDONLY:
                raise OSError(errno.EROFS, "Read-only file system", path)
            return os.open(path, flags, mode)

        def make_folder(self, path):
            raise OSError(errno.EROFS, "Read-only file system", path)

    return ReadOnly()


def test_on_a_read_only_medium_a_shared_lease_is_granted_and_an_exclusive_one_denied(folder):
    leases = FileLeases(folder, calls=read_only_medium())
    leases.acquire("a", exclusive=False, timeout=0).close()
    with pytest.raises(Denied):
        leases.acquire("a", timeout=0)


def test_on_a_read_only_medium_a_lock_file_that_is_there_is_used(folder):
    leases = FileLeases(folder, calls=read_only_medium())
    with FileLeases(folder).acquire("a"), pytest.raises(Busy):
        leases.acquire("a", exclusive=False, timeout=0)
    leases.acquire("a", exclusive=False, timeout=0).close()


def test_a_medium_that_fails_is_a_storage_failure(folder):
    calls = FaultyCalls(OsCalls(), Fault(errno.EIO, op="open"))
    with pytest.raises(StorageFailure):
        FileLeases(folder, calls=calls).acquire("a", timeout=0)


def test_a_name_that_is_too_long_is_a_typed_error(folder):
    with pytest.raises(InvalidPath):
        FileLeases(folder).acquire("x" * 300)


def test_the_text_of_a_holder_has_the_time_of_its_lease(folder):
    class Later(SystemClock):
        times = iter([1_000_000_000, 1_000_000_000, 5_000_000_000, 5_000_000_000])

        def now_ns(self):
            return next(self.times)

    leases = FileLeases(folder, clock=Later())
    with leases.acquire("a"):
        assert "1970-01-01T00:00:01." in leases.holder("a")
    with leases.acquire("a"):
        assert "1970-01-01T00:00:05." in leases.holder("a")


def test_who_waited_for_a_lease_file_that_was_removed_holds_the_new_one(folder):
    holder = FileLeases(folder).acquire("a")

    def sleep(seconds):
        if holder.held:
            os.unlink(f"{folder}/a.lock")
            holder.close()

    with FileLeases(folder, sleep=sleep).acquire("a"), pytest.raises(Busy):
        FileLeases(folder).acquire("a", timeout=0)
