"""Leases as `flock` locks on files that are never removed."""

from __future__ import annotations

import contextlib
import json
import os
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from holdfast.clock import Clock, SystemClock, rfc3339
from holdfast.errors import Denied, from_oserror
from holdfast.leases.holder import busy, check_name, holder_facts, holder_text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

_FIRST_PAUSE = 0.0005
_SHORT_PAUSE = 0.001
_SHORT_TIME = 0.5
_LONGEST_PAUSE = 0.05
_MAX_HOLDER = 4096
# O_NONBLOCK: a pipe that somebody put there must not make us wait for its writer.
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class Linked(Protocol):
    """What is asked of an open file: how many names it has."""

    @property
    def links(self) -> int: ...


class _Links(NamedTuple):
    links: int


class LockCalls(Protocol):
    """The system calls that leases need; `holdfast.store.calls.SystemCalls` has them all."""

    def open(self, path: str, flags: int, mode: int = 0o666) -> int: ...
    def close(self, fd: int) -> None: ...
    def read_at(self, fd: int, size: int, offset: int) -> bytes: ...
    def write_at(self, fd: int, data: Buffer, offset: int) -> int: ...
    def make_folder(self, path: str) -> None: ...
    def stat_open(self, fd: int) -> Linked: ...
    def lock(self, fd: int, exclusive: bool) -> bool: ...
    def unlock(self, fd: int) -> None: ...


class OsLockCalls:
    """`LockCalls` of the operating system."""

    close = staticmethod(os.close)
    read_at = staticmethod(os.pread)
    write_at = staticmethod(os.pwrite)
    make_folder = staticmethod(os.mkdir)

    @staticmethod
    def open(path: str, flags: int, mode: int = 0o666) -> int:
        """As `os.open`, which by itself would make executable files."""
        return os.open(path, flags, mode)

    def stat_open(self, fd: int) -> Linked:
        """How many names the open file has."""
        return _Links(os.fstat(fd).st_nlink)

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


def _pauses() -> Iterator[float]:
    """Seconds between two tries. Most leases are held for milliseconds: who slept much longer than
    that would leave them idle."""
    pause, waited = _FIRST_PAUSE, 0.0
    while True:
        yield pause
        waited += pause
        pause = min(2 * pause, _SHORT_PAUSE if waited < _SHORT_TIME else _LONGEST_PAUSE)


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

    def fileno(self) -> int:
        """The lock file's descriptor: a process that keeps it open holds the lease too, until
        `close` is called here."""
        return self._fd

    def close(self) -> None:
        """Release; idempotent. In a forked child it only drops the child's copy."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        # Ctrl-C may come at any step: the lock must not stay with a process that lives on.
        try:
            self._leases._held.discard(self)
            if self._pid == os.getpid():
                self._unlock(fd)
        finally:
            with contextlib.suppress(OSError):
                self._calls.close(fd)

    def _unlock(self, fd: int) -> None:
        try:
            with contextlib.suppress(OSError):
                if self.exclusive:
                    self._calls.write_at(fd, b"\n", 0)
        finally:
            # Children forked meanwhile share the open file: only an explicit unlock frees it.
            with contextlib.suppress(OSError):
                self._calls.unlock(fd)

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
        prepare: called before folders are made: makes what `folder` stands in, durable.
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
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.folder = folder
        self._prepare = prepare
        self._calls: LockCalls = calls or OsLockCalls()
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._read_only = read_only
        self._command = command
        self._facts: dict[str, Any] | None = None
        self._held: set[FileLease] = set()
        self._real: set[str] = set()
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
            fd = None
            # A file whose name is gone keeps nobody out who comes later: take the new one.
            while fd is None:
                opened = self._open(path, exclusive)
                if opened is None:
                    return _Unlocked(self._calls, name, self)
                fd = self._locked(opened, name, exclusive, timeout)
        except OSError as error:
            raise from_oserror(error, "taking the lease", path) from error
        lease = FileLease(self._calls, name, exclusive, fd, self)
        self._held.add(lease)
        return lease

    def _locked(self, fd: int, name: str, exclusive: bool, timeout: float | None) -> int | None:
        """`fd` with its lock taken, or None when the file was removed meanwhile."""
        kept = -1
        try:
            if not _wait(
                lambda: self._calls.lock(fd, exclusive) or None, timeout, self._clock, self._sleep
            ):
                raise busy(name, self._read_holder(fd), timeout)
            if not self._calls.stat_open(fd).links:
                return None
            if exclusive:
                self._calls.write_at(fd, self._holder_bytes(), 0)
            kept = fd
            return kept
        finally:
            if kept < 0:
                with contextlib.suppress(OSError):
                    self._calls.close(fd)

    def holder(self, name: str) -> str | None:
        """A text that names who holds the lease exclusively now, or None when nobody does."""
        path = self._path(name)
        try:
            self._refuse_symlinks(os.path.dirname(path))
            fd = self._calls.open(path, os.O_RDONLY | _FLAGS)
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
        return f"{self.folder}/{check_name(name)}.lock"

    def _open(self, path: str, exclusive: bool) -> int | None:
        """A descriptor, or None where a shared lease needs no lock because none can be made."""
        if exclusive or not self._read_only:
            flags = os.O_RDWR | os.O_CREAT | _FLAGS
            folder = os.path.dirname(path)
            try:
                try:
                    self._refuse_symlinks(folder)
                    return self._calls.open(path, flags)
                except FileNotFoundError:
                    self._make_folders(folder)
                    self._refuse_symlinks(folder)
                    return self._calls.open(path, flags)
            except OSError as error:
                refused = isinstance(from_oserror(error, ""), Denied)
                if exclusive or not refused:
                    raise
        try:
            self._refuse_symlinks(os.path.dirname(path))
            return self._calls.open(path, os.O_RDONLY | _FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            return None

    def _refuse_symlinks(self, folder: str) -> None:
        """Look once at the folder of lock files, and at those below it on the way to `folder`: a
        symlink would have us write to files elsewhere. Raises `Denied`, `FileNotFoundError`."""
        if folder in self._real:
            return
        if folder != self.folder:
            self._refuse_symlinks(os.path.dirname(folder))
        try:
            self._calls.close(self._calls.open(folder, _FOLDER))
        except NotADirectoryError:
            raise Denied(
                "taking a lease in", folder, found="a symlink or a file", expected="a folder"
            ) from None
        except PermissionError:
            pass  # a folder, and one that cannot be listed
        self._real.add(folder)

    def _make_folders(self, folder: str) -> None:
        if self._prepare is not None:
            # What the folder stands in must be durable: its owner would not look at it again.
            self._prepare()
        missing = [folder]
        while missing:
            try:
                self._calls.make_folder(missing[-1])
            except FileExistsError:
                pass
            except FileNotFoundError:
                above = os.path.dirname(missing[-1])
                if above == missing[-1]:
                    raise
                missing.append(above)
                continue
            missing.pop()

    def _holder_bytes(self) -> bytes:
        facts = self._facts
        if facts is None:
            facts = self._facts = holder_facts(self._clock, self._command)
        since = {"since": rfc3339(self._clock.now_ns())}
        # One line; what a longer text left behind it does not count. No truncation: that is slow.
        return json.dumps(facts | since).encode() + b"\n"

    def _read_holder(self, fd: int) -> str | None:
        line = self._calls.read_at(fd, _MAX_HOLDER, 0).partition(b"\n")[0]
        if not line:
            return None
        try:
            facts = json.loads(line)
        except (ValueError, RecursionError):
            return "an unknown process"
        return holder_text(facts) if isinstance(facts, dict) else "an unknown process"
