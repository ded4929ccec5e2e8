"""System calls that fail on demand, write short, and are counted."""

from __future__ import annotations

import errno as errno_module
import os
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.store.calls import Status, SystemCalls


@dataclass(frozen=True, slots=True)
class Fault:
    """An error to raise.

    Args:
        errno: its number, `errno.EIO`.
        op: the call that fails ("fsync"); None: any call.
        nth: which one of them, counted from 1 since the fault was set.
        ever_after: every later one fails too.
        path: only calls on paths that contain this.
    """

    errno: int
    op: str | None = None
    nth: int = 1
    ever_after: bool = False
    path: str = ""


class Call(NamedTuple):
    """One call: its name, and the path that it was on ("" where that is not known)."""

    op: str
    path: str


class FaultyCalls:
    """`SystemCalls` over another, with faults; thread-safe.

    A failing `close` closes all the same, as Linux does; any other failing call has no effect,
    except a `write` under `short_writes`.

    Args:
        inner: where the calls go.
        faults: as for `fail`.
        short_writes: write at most so many bytes a call.

    Attributes:
        counts: how often each call was made, by name.
        log: every call in order; `mark` adds one of your own.
    """

    def __init__(self, inner: SystemCalls, *faults: Fault, short_writes: int | None = None) -> None:
        self.inner = inner
        self.short_writes = short_writes
        self.counts: Counter[str] = Counter()
        self.log: list[Call] = []
        self._paths: dict[int, str] = {}
        self._faults: dict[Fault, int] = {}
        self._mutex = threading.Lock()
        self.fail(*faults)

    def fail(self, *faults: Fault) -> None:
        """Raise these from now on, in place of those set before; none: no more faults."""
        with self._mutex:
            self._faults = dict.fromkeys(faults, 0)

    def reset(self) -> None:
        """Forget counts and log; faults stay."""
        with self._mutex:
            self.counts.clear()
            self.log.clear()

    def mark(self, text: str) -> None:
        """Note in the log that something happened, an acknowledgement say."""
        with self._mutex:
            self.log.append(Call("mark", text))

    @property
    def total(self) -> int:
        """How many calls were made."""
        return self.counts.total()

    def _enter(self, op: str, path: str) -> None:
        with self._mutex:
            self.counts[op] += 1
            self.log.append(Call(op, path))
            for fault, seen in self._faults.items():
                if fault.op not in (None, op) or fault.path not in path:
                    continue
                self._faults[fault] = seen + 1
                if seen + 1 == fault.nth or (fault.ever_after and seen >= fault.nth):
                    raise OSError(fault.errno, os.strerror(fault.errno), path or None)

    def _of(self, fd: int) -> str:
        return self._paths.get(fd, "")

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        self._enter("open", path)
        fd = self.inner.open(path, flags, mode)
        self._paths[fd] = path
        return fd

    def close(self, fd: int) -> None:
        try:
            self._enter("close", self._of(fd))
        except OSError:
            self._paths.pop(fd, None)
            self.inner.close(fd)
            raise
        self._paths.pop(fd, None)
        self.inner.close(fd)

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        self._enter("read_at", self._of(fd))
        return self.inner.read_at(fd, size, offset)

    def write(self, fd: int, data: Buffer) -> int:
        self._enter("write", self._of(fd))
        return self.inner.write(fd, self._shortened(data))

    def write_at(self, fd: int, data: Buffer, offset: int) -> int:
        self._enter("write_at", self._of(fd))
        return self.inner.write_at(fd, self._shortened(data), offset)

    def _shortened(self, data: Buffer) -> Buffer:
        if self.short_writes is None:
            return data
        return memoryview(data).cast("B")[: self.short_writes]

    def truncate(self, fd: int, size: int) -> None:
        self._enter("truncate", self._of(fd))
        self.inner.truncate(fd, size)

    def fsync(self, fd: int) -> None:
        self._enter("fsync", self._of(fd))
        self.inner.fsync(fd)

    def sync_file_system(self, fd: int) -> bool:
        self._enter("sync_file_system", self._of(fd))
        return self.inner.sync_file_system(fd)

    def can_sync_file_system(self, fd: int) -> bool:
        self._enter("can_sync_file_system", self._of(fd))
        return self.inner.can_sync_file_system(fd)

    def link(self, source: str, target: str) -> None:
        self._enter("link", target)
        self.inner.link(source, target)

    def rename(self, source: str, target: str) -> None:
        self._enter("rename", target)
        self.inner.rename(source, target)

    def unlink(self, path: str) -> None:
        self._enter("unlink", path)
        self.inner.unlink(path)

    def make_folder(self, path: str) -> None:
        self._enter("make_folder", path)
        self.inner.make_folder(path)

    def remove_folder(self, path: str) -> None:
        self._enter("remove_folder", path)
        self.inner.remove_folder(path)

    def list_folder(self, path: str) -> list[tuple[str, bool]]:
        self._enter("list_folder", path)
        return self.inner.list_folder(path)

    def stat(self, path: str) -> Status:
        self._enter("stat", path)
        return self.inner.stat(path)

    def stat_open(self, fd: int) -> Status:
        self._enter("stat_open", self._of(fd))
        return self.inner.stat_open(fd)

    def map(self, fd: int, size: int) -> memoryview:
        self._enter("map", self._of(fd))
        return self.inner.map(fd, size)

    def lock(self, fd: int, exclusive: bool) -> bool:
        self._enter("lock", self._of(fd))
        return self.inner.lock(fd, exclusive)

    def unlock(self, fd: int) -> None:
        self._enter("unlock", self._of(fd))
        self.inner.unlock(fd)

    def file_system(self, path: str) -> str:
        self._enter("file_system", path)
        return self.inner.file_system(path)


DISK_ERRORS = tuple(getattr(errno_module, name) for name in ("EIO", "ENOSPC", "EDQUOT", "EMFILE"))
"""Errors that a disk, a quota or a process limit may answer any call with."""
