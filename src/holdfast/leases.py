"""Leases: who may change what (spec/ledger.md §11).

`FileLeases` are `flock` locks on files that are never removed. The system drops the lock of a
process that dies, so a dead holder never blocks. `LocalLeases` do the same inside one process.

The order in which leases are taken is fixed: runs, arrays, datasets and volumes by id, ledger
last. Nothing here enforces it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.clock import Clock, SystemClock, rfc3339
from holdfast.errors import Busy, Denied, Invalid, from_oserror

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05
_MAX_HOLDER = 4096


class Lease(Protocol):
    """A held lease. Released by `close` only; closed by itself in a forked child."""

    name: str
    exclusive: bool

    @property
    def held(self) -> bool:
        """Whether this process holds it: false after `close`, and in a forked child."""

    def close(self) -> None:
        """Release; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Leases(Protocol):
    """Named leases. Threads of one process exclude each other too; a lease is not re-entrant."""

    def acquire(self, name: str, *, exclusive: bool = True, timeout: float | None = 30.0) -> Lease:
        """Take the lease, waiting at most `timeout` seconds (0: do not wait, None: for ever).

        Raises:
            Busy: held by another; the message and details name the holder (pid, host, what, since).
        """

    def holder(self, name: str) -> str | None:
        """A text that names who holds the lease exclusively now, or None when it is free."""


class LockCalls(Protocol):
    """The system calls that leases need; `holdfast.store.calls.SystemCalls` has them all."""

    def open(self, path: str, flags: int, mode: int = 0o666) -> int: ...
    def close(self, fd: int) -> None: ...
    def read_at(self, fd: int, size: int, offset: int) -> bytes: ...
    def write_at(self, fd: int, data: Buffer, offset: int) -> int: ...
    def make_folder(self, path: str) -> None: ...
    def lock(self, fd: int, exclusive: bool) -> bool: ...
    def unlock(self, fd: int) -> None: ...


class OsLockCalls:
    """`LockCalls` of the operating system."""

    open = staticmethod(os.open)
    close = staticmethod(os.close)
    read_at = staticmethod(os.pread)
    write_at = staticmethod(os.pwrite)
    make_folder = staticmethod(os.mkdir)

    def lock(self, fd: int, exclusive: bool) -> bool:
        """Take the `flock` of the open file, without waiting; false when another has it."""
        import fcntl

        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, fd: int) -> None:
        """Release the `flock` of the open file, in forked children too."""
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_UN)


def _check_name(name: str) -> str:
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in name or "\\" in name:
        raise Invalid("taking the lease", repr(name), expected="names parted by single slashes")
    return name


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


def _wait(
    attempt: Callable[[], Any], timeout: float | None, clock: Clock, sleep: Callable[[float], None]
) -> Any:
    """What `attempt` returns as soon as that is not None; None when the time is up.

    Polls rather than blocks in the system: a signal (Ctrl-C) is served within 50 ms.
    """
    found = attempt()
    if found is not None or timeout == 0:
        return found
    end = None if timeout is None else clock.monotonic() + timeout
    for pause in _pauses():
        if end is not None:
            left = end - clock.monotonic()
            if left <= 0:
                return None
            pause = min(pause, left)
        sleep(pause)
        found = attempt()
        if found is not None:
            return found
    return None


def _busy(name: str, holder: str | None, timeout: float | None) -> Busy:
    waited = "" if not timeout else f" after {timeout:g} s"
    return Busy(
        "taking the lease",
        name,
        found=f"held by {holder or 'others, shared'}{waited}",
        holder=holder or "shared",
    )


def _holder_facts(clock: Clock, command: str | None) -> dict[str, Any]:
    import platform
    import sys

    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "command": command or " ".join(sys.argv[:3])[:200],
        "since": rfc3339(clock.now_ns()),
    }


def _holder_text(facts: dict[str, Any]) -> str:
    return (
        f"process {facts.get('pid')} on {facts.get('host')} "
        f"({facts.get('command')}) since {facts.get('since')}"
    )


class FileLease:
    """A lease of `FileLeases`."""

    __slots__ = ("_calls", "_fd", "_leases", "_pid", "exclusive", "name")

    def __init__(
        self,
        calls: LockCalls,
        name: str,
        exclusive: bool,
        fd: int,
        leases: FileLeases,
    ) -> None:
        self.name = name
        self.exclusive = exclusive
        self._calls = calls
        self._fd = fd
        self._leases = leases  # kept alive: it drops the lease in forked children
        self._pid = os.getpid()

    @property
    def held(self) -> bool:
        return self._fd != -1 and self._pid == os.getpid()

    def close(self) -> None:
        """Release; idempotent. In a forked child it only drops the child's copy."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        self._leases._held.discard(self)
        if self._pid == os.getpid():
            # Children forked meanwhile share the open file: only an explicit unlock frees it.
            with contextlib.suppress(OSError):
                if self.exclusive:
                    self._calls.write_at(fd, b"\n", 0)
            with contextlib.suppress(OSError):
                self._calls.unlock(fd)
        with contextlib.suppress(OSError):
            self._calls.close(fd)

    def _drop_in_child(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                self._calls.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Unlocked(FileLease):
    """A shared lease on a medium where no lock file can be made, so nobody can write either."""

    __slots__ = ()

    def __init__(self, calls: LockCalls, name: str, leases: FileLeases) -> None:
        super().__init__(calls, name, False, -2, leases)

    def close(self) -> None:
        self._fd = -1


class FileLeases:
    """Leases on files below a folder, one file ``<name>.lock`` each, never removed.

    Args:
        folder: absolute path; made when first needed.
        calls: the system calls to use.
        clock: for the time-out and the holder's text.
        sleep: how to wait between two tries.
        read_only: make no lock files: an exclusive lease is `Denied`, a shared one on a file that
            is not there is granted without a lock.
        command: what to call this process in the holder's text; default its command line.
    """

    def __init__(
        self,
        folder: str,
        *,
        calls: LockCalls | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        read_only: bool = False,
        command: str | None = None,
    ) -> None:
        self.folder = folder
        self._calls: LockCalls = calls or OsLockCalls()
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._read_only = read_only
        self._command = command
        self._facts: dict[str, Any] | None = None
        self._held: set[FileLease] = set()
        self._watches_forks = False

    def _watch_forks(self) -> None:
        """A forked child must not keep the parent's locks alive when the parent dies."""
        self._watches_forks = True
        me = weakref.ref(self)

        def after_fork() -> None:
            leases = me()
            if leases is not None:
                leases._drop_in_child()

        os.register_at_fork(after_in_child=after_fork)

    def _drop_in_child(self) -> None:
        held, self._held = self._held, set()
        self._facts = None
        for lease in held:
            lease._drop_in_child()

    def acquire(
        self, name: str, *, exclusive: bool = True, timeout: float | None = 30.0
    ) -> FileLease:
        """Take the lease `name`; see `Leases.acquire`.

        Raises:
            Busy: held by another.
            Denied: exclusive, and read-only or no right to make the lock file.
            StorageFailure: the lock file cannot be opened.
        """
        path = self._path(name)
        if not self._watches_forks:
            self._watch_forks()
        if exclusive and self._read_only:
            raise Denied("taking the lease", name, found="the store is open for reading only")
        try:
            fd = self._open(path, exclusive)
            if fd is None:
                return _Unlocked(self._calls, name, self)
            try:
                got = _wait(
                    lambda: self._calls.lock(fd, exclusive) or None,
                    timeout,
                    self._clock,
                    self._sleep,
                )
                if not got:
                    raise _busy(name, self._read_holder(fd), timeout)
                if exclusive:
                    self._calls.write_at(fd, self._holder_bytes(), 0)
            except BaseException:
                with contextlib.suppress(OSError):
                    self._calls.close(fd)
                raise
        except OSError as error:
            raise from_oserror(error, "taking the lease", path) from error
        lease = FileLease(self._calls, name, exclusive, fd, self)
        self._held.add(lease)
        return lease

    def holder(self, name: str) -> str | None:
        """A text that names who holds the lease exclusively now, or None when nobody does."""
        path = self._path(name)
        try:
            fd = self._calls.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise from_oserror(error, "reading the lease", path) from error
        try:
            text = self._read_holder(fd)
            # The text outlives a holder that died; only then is it worth disturbing the lock.
            if text is not None and self._calls.lock(fd, False):
                return None
            return text
        except OSError as error:
            raise from_oserror(error, "reading the lease", path) from error
        finally:
            with contextlib.suppress(OSError):
                self._calls.close(fd)

    def _path(self, name: str) -> str:
        return f"{self.folder}/{_check_name(name)}.lock"

    def _open(self, path: str, exclusive: bool) -> int | None:
        """A descriptor, or None where a shared lease needs no lock because none can be made."""
        if exclusive or not self._read_only:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            try:
                try:
                    return self._calls.open(path, flags)
                except FileNotFoundError:
                    self._make_folders(os.path.dirname(path))
                    return self._calls.open(path, flags)
            except OSError as error:
                refused = isinstance(from_oserror(error, ""), Denied)
                if exclusive or not refused:
                    raise
        try:
            return self._calls.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            return None

    def _make_folders(self, folder: str) -> None:
        try:
            self._calls.make_folder(folder)
        except FileExistsError:
            return
        except FileNotFoundError:
            above = os.path.dirname(folder)
            if above == folder:
                raise
            self._make_folders(above)
            with contextlib.suppress(FileExistsError):
                self._calls.make_folder(folder)

    def _holder_bytes(self) -> bytes:
        facts = self._facts
        if facts is None:
            facts = self._facts = _holder_facts(self._clock, self._command)
        since = {"since": rfc3339(self._clock.now_ns())}
        # One line; what a longer text left behind it does not count. No truncation: that is slow.
        return json.dumps(facts | since).encode() + b"\n"

    def _read_holder(self, fd: int) -> str | None:
        line = self._calls.read_at(fd, _MAX_HOLDER, 0).partition(b"\n")[0]
        if not line:
            return None
        try:
            facts = json.loads(line)
        except ValueError:
            return "an unknown process"
        return _holder_text(facts) if isinstance(facts, dict) else "an unknown process"


class LocalLease:
    """A lease of `LocalLeases`."""

    def __init__(self, leases: LocalLeases, name: str, exclusive: bool) -> None:
        self.name = name
        self.exclusive = exclusive
        self._leases: LocalLeases | None = leases
        self._pid = os.getpid()

    @property
    def held(self) -> bool:
        return self._leases is not None and self._pid == os.getpid()

    def close(self) -> None:
        """Release; idempotent."""
        leases, self._leases = self._leases, None
        if leases is not None and self._pid == os.getpid():
            leases._release(self.name, self.exclusive)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class LocalLeases:
    """Leases inside one process: for stores in memory, and where no other process can come."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._exclusive: dict[str, dict[str, Any]] = {}
        self._shared: dict[str, int] = {}

    def acquire(
        self, name: str, *, exclusive: bool = True, timeout: float | None = 30.0
    ) -> LocalLease:
        """Take the lease `name`; see `Leases.acquire`."""
        _check_name(name)
        if self._pid != os.getpid():
            self._reset()
        with self._changed:
            if not self._changed.wait_for(lambda: self._free(name, exclusive), timeout):
                facts = self._exclusive.get(name)
                raise _busy(name, _holder_text(facts) if facts else None, timeout)
            if exclusive:
                facts = _holder_facts(self._clock, threading.current_thread().name)
                self._exclusive[name] = facts
            else:
                self._shared[name] = self._shared.get(name, 0) + 1
        return LocalLease(self, name, exclusive)

    def holder(self, name: str) -> str | None:
        """A text that names who holds the lease exclusively now, or None when nobody does."""
        facts = self._exclusive.get(_check_name(name))
        return None if facts is None else _holder_text(facts)

    def _free(self, name: str, exclusive: bool) -> bool:
        return name not in self._exclusive and not (exclusive and self._shared.get(name))

    def _release(self, name: str, exclusive: bool) -> None:
        with self._changed:
            if exclusive:
                self._exclusive.pop(name, None)
            elif self._shared[name] > 1:
                self._shared[name] -= 1
            else:
                del self._shared[name]
            self._changed.notify_all()


__all__ = [
    "FileLease",
    "FileLeases",
    "Lease",
    "Leases",
    "LocalLease",
    "LocalLeases",
    "LockCalls",
    "OsLockCalls",
]
