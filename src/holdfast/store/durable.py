"""The durable write: what is acknowledged survives a power loss.

A new file is written under a temporary name, fsynced, linked to its name (which fails when the
name is taken) and its folder fsynced; only then the call returns. A failed fsync is never tried
again: the system may have dropped the bytes and call the next one a success. The operation fails,
what it wrote is taken away, and a new try writes new files.

Functions that take a descriptor raise `OSError`; those that take a path raise typed errors. Paths
are absolute. A temporary file is locked (`flock`) while it is written, so that a sweep can tell
one that is in use from one that a dead process left (spec/ledger.md §11).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from holdfast.errors import (
    HoldfastError,
    Integrity,
    NotFound,
    PathExists,
    StorageFailure,
    from_oserror,
)
from holdfast.store.paths import TEMP_PREFIX

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.store.calls import SystemCalls

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
"""Flags that make a new file and refuse an existing one, a symlink too."""

# O_NONBLOCK: a pipe that somebody put there must not make us wait for its writer.
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_TRIES = 16

Token = Callable[[], str]
"""Gives the 16 hex digits of a temporary name."""


def random_token() -> str:
    """16 random hex digits."""
    return os.urandom(8).hex()


@contextlib.contextmanager
def typed(doing: str, path: str) -> Iterator[None]:
    """Turn an `OSError` into the typed error for `path`, and bytes that memory cannot hold too."""
    try:
        yield
    except OSError as error:
        raise from_oserror(error, doing, path) from error
    except MemoryError:
        raise StorageFailure(
            doing,
            path,
            found="more bytes than there is memory for",
            hint="look whether the file is what it should be",
        ) from None


def write_all(calls: SystemCalls, fd: int, data: Buffer) -> None:
    """Write all of `data` at the descriptor's position. Raises `OSError`."""
    if type(data) is bytes:
        written = calls.write(fd, data)
        size = len(data)
        if written == size:
            return
        view = memoryview(data)
    else:
        view = memoryview(data)
        if not view.c_contiguous or not view.nbytes:
            view = memoryview(view.tobytes())
        elif view.format != "B" or view.ndim != 1:
            view = view.cast("B")
        written, size = 0, len(view)
    while written < size:
        count = calls.write(fd, view[written:])
        if count <= 0:
            raise OSError(errno.EIO, "a write wrote nothing")
        written += count


def read_all_at(calls: SystemCalls, fd: int, size: int, offset: int) -> bytes:
    """At most `size` bytes from `offset` on, fewer only where the file ends. Raises `OSError`."""
    data = calls.read_at(fd, size, offset) if size else b""
    if len(data) == size or not data:
        return data
    parts = [data]
    have = len(data)
    while have < size:
        data = calls.read_at(fd, size - have, offset + have)
        if not data:
            break
        parts.append(data)
        have += len(data)
    return b"".join(parts)


def open_file(calls: SystemCalls, path: str, doing: str = "reading") -> tuple[int, int]:
    """(descriptor, size in bytes) of an existing regular file, for reading.

    Raises:
        NotFound: nothing there, or a folder.
        Denied: a symlink.
    """
    try:
        fd = calls.open(path, READ)
        try:
            status = calls.stat_open(fd)
            if not status.is_file:
                raise NotFound(doing, path, found="not a file")
        except BaseException:
            close_quietly(calls, fd)
            raise
    except OSError as error:
        raise from_oserror(error, doing, path) from error
    return fd, status.size


def read_file(calls: SystemCalls, path: str, *, longest: int | None = None) -> bytes:
    """All bytes of a file.

    Raises:
        NotFound: nothing there.
        Integrity: more than `longest` bytes.
        StorageFailure: it cannot be read, or became shorter meanwhile.
    """
    fd, size = open_file(calls, path)
    try:
        if longest is not None and size > longest:
            raise Integrity("reading", path, found=f"{size} bytes", expected=f"at most {longest}")
        with typed("reading", path):
            data = read_all_at(calls, fd, size, 0)
    finally:
        close_quietly(calls, fd)
    if len(data) != size:
        raise StorageFailure(
            "reading", path, found=f"{len(data)} bytes", expected=f"{size}", offset=len(data)
        )
    return data


def close_quietly(calls: SystemCalls, fd: int) -> None:
    """Close a descriptor of which no error can matter any more."""
    with contextlib.suppress(OSError):
        calls.close(fd)


def unlink_quietly(calls: SystemCalls, path: str) -> None:
    """Remove a file that nobody was told about, as far as the system lets us."""
    with contextlib.suppress(OSError):
        calls.unlink(path)


def sync_folder(calls: SystemCalls, path: str) -> None:
    """Make the entries of a folder durable.

    Raises:
        StorageFailure: the fsync failed; what had been done in the folder must not be acknowledged.
    """
    with typed("syncing the folder", path):
        fd = calls.open(path, _FOLDER)
        try:
            calls.fsync(fd)
        finally:
            close_quietly(calls, fd)


def make_folders(calls: SystemCalls, path: str) -> None:
    """Make the folder `path` and those above it that are missing, all durable on return.

    The folder above the first new one is synced too, and so is that above a `path` that was there:
    another process may have made it a moment ago and not have come to its sync.

    Raises:
        PathExists: a file stands where a folder must be.
    """
    doing = "making the folder"
    missing: list[str] = []
    with typed(doing, path):
        while not stands_as_folder(calls, path):
            missing.append(path)
            path = os.path.dirname(path)
    above = os.path.dirname(path)
    if above != path:
        _sync_above(calls, above)
    for path in reversed(missing):
        with typed(doing, path):
            try:
                calls.make_folder(path)
            except FileExistsError:
                if not stands_as_folder(calls, path):
                    raise PathExists(doing, path, found="a file of that name") from None
        sync_folder(calls, os.path.dirname(path))


def _sync_above(calls: SystemCalls, above: str) -> None:
    try:
        sync_folder(calls, above)
    except HoldfastError as error:
        # A folder that we may not read is not ours: nothing was made in it by us.
        if error.details.get("errno") not in ("EACCES", "EPERM"):
            raise


def stands_as_folder(calls: SystemCalls, path: str) -> bool:
    """Whether `path` is a folder, or a symlink that leads to one. Raises `OSError`."""
    try:
        status = calls.stat(path)
        if status.is_folder or status.is_file:
            return status.is_folder
        calls.close(calls.open(path, _FOLDER))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


class TempFile:
    """A new file under a temporary name, locked while it is open.

    `write` and `sync` it, then `publish` or `replace`; `discard` at any time before.
    """

    __slots__ = ("_calls", "_pid", "fd", "path")

    def __init__(self, calls: SystemCalls, folder: str, token: Token = random_token) -> None:
        """Open it in `folder`. Raises `OSError`."""
        self._calls = calls
        self._pid = os.getpid()
        for _ in range(_TRIES):
            self.path = f"{folder}/{TEMP_PREFIX}{token()}"
            try:
                self.fd = calls.open(self.path, CREATE)
            except FileExistsError:
                continue
            try:
                # A sweep may come between open and lock: it takes the lock, then the name.
                if calls.lock(self.fd, True) and calls.stat_open(self.fd).links:
                    return
                close_quietly(calls, self.fd)
            except BaseException:
                self.discard()
                raise
        raise OSError(errno.EAGAIN, "no free temporary name", folder)

    def write(self, data: Buffer) -> None:
        """Append `data`. Raises `OSError`."""
        write_all(self._calls, self.fd, data)

    def sync(self) -> None:
        """Make the bytes durable. Raises `OSError`; only `discard` may follow then."""
        self._calls.fsync(self.fd)

    def publish(self, path: str) -> None:
        """Give the file its name, if that is free; the folder is not yet synced.

        Raises `OSError`, `FileExistsError` when the name is taken; the file is discarded then.
        """
        try:
            self._calls.link(self.path, path)
        except BaseException:
            self.discard()
            raise
        try:
            self._calls.unlink(self.path)
            self._close()
        except BaseException:
            self.withdraw(path)
            raise

    def link(self, path: str) -> None:
        """Give the file its name, if that is free, and keep it open: neither its bytes nor the
        folder are synced yet. Raises `OSError`; the file has not got the name then."""
        self._calls.link(self.path, path)
        try:
            self._calls.unlink(self.path)
        except BaseException:
            unlink_quietly(self._calls, path)
            raise
        self.path = ""

    def replace(self, path: str) -> None:
        """Put the file in the place of `path`; the folder is not yet synced. Raises `OSError`."""
        try:
            self._calls.rename(self.path, path)
        except BaseException:
            self.discard()
            raise
        self._close()

    def withdraw(self, path: str) -> None:
        """Take the name away again from a file that nobody was told about."""
        unlink_quietly(self._calls, path)
        self.discard()

    def discard(self) -> None:
        """Remove the temporary file; idempotent. A forked child only drops its copy."""
        if self.fd >= 0:
            if self.path and self._pid == os.getpid():
                unlink_quietly(self._calls, self.path)
            fd, self.fd = self.fd, -1
            close_quietly(self._calls, fd)

    def _close(self) -> None:
        fd, self.fd = self.fd, -1
        self._calls.close(fd)


def create_file(
    calls: SystemCalls, path: str, data: Buffer, *, token: Token = random_token
) -> None:
    """Create `path` with `data`, durable on return; its folder must be there and durable.

    Raises:
        PathExists: something is there already; it is durable then, if it was written by this
            function.
        NotFound: no such folder.
        StorageFailure, NoSpace, Denied: the system refused; nothing is left behind, as far as the
            system lets us clean up.
    """
    folder = os.path.dirname(path)
    doing = "writing"
    with typed(doing, path):
        temp = TempFile(calls, folder, token)
        try:
            temp.write(data)
            temp.sync()
        except BaseException:
            temp.discard()
            raise
        publish_durable(calls, temp, path)


def publish_durable(calls: SystemCalls, temp: TempFile, path: str) -> None:
    """Give a synced temporary file its name and sync the folder.

    Raises `PathExists`, `StorageFailure`, or `OSError`.
    """
    folder = os.path.dirname(path)
    try:
        temp.publish(path)
    except FileExistsError:
        # Whoever was faster may still be on the way to this sync; who is told that the file exists
        # may build on it.
        sync_folder(calls, folder)
        raise PathExists("writing", path, found="a file that is there already") from None
    try:
        sync_folder(calls, folder)
    except BaseException:
        # Not acknowledged, and a second sync could succeed falsely: take the name away, so that a
        # new try writes everything anew.
        unlink_quietly(calls, path)
        raise


def replace_file(
    calls: SystemCalls, path: str, data: Buffer, *, token: Token = random_token
) -> None:
    """Put `data` in the place of what `path` holds, if anything, durable on return.

    After an error `path` holds the old bytes or the new ones, whole.

    Raises:
        NotFound: no such folder.
        StorageFailure, NoSpace, Denied: the system refused.
    """
    folder = os.path.dirname(path)
    with typed("replacing", path):
        temp = TempFile(calls, folder, token)
        try:
            temp.write(data)
            temp.sync()
        except BaseException:
            temp.discard()
            raise
        temp.replace(path)
    sync_folder(calls, folder)


def publish_many(
    calls: SystemCalls,
    temps: Sequence[tuple[TempFile, str]],
    sync_first: Callable[[], None],
    sync_names: Callable[[Sequence[str]], None] | None = None,
) -> None:
    """Publish several temporary files: `sync_first` makes their bytes durable, then each gets its
    name, then `sync_names` makes these durable (default: each folder is synced once).

    Raises:
        PathExists: a name is taken. Files before it in the sequence stay, durable; those after it
            are discarded.
        StorageFailure, NoSpace, Denied: all that had been published is taken away again.
    """
    published: list[str] = []
    taken: str | None = None
    path = temps[0][1]
    try:
        try:
            sync_first()
            for temp, path in temps:
                try:
                    temp.publish(path)
                except FileExistsError:
                    taken = path
                    break
                published.append(path)
        finally:
            for temp, _ in temps:
                temp.discard()
        if sync_names is None:
            for folder in {os.path.dirname(name): None for name in [*published, path]}:
                sync_folder(calls, folder)
        else:
            sync_names([*published, path])
    except BaseException as error:
        for name in published:
            unlink_quietly(calls, name)
        if isinstance(error, OSError):
            raise from_oserror(error, "writing", path) from error
        raise
    if taken is not None:
        raise PathExists("writing", taken, found="a file that is there already")
