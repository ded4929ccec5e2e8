"""The seam: every system call on a repository's files goes through `SystemCalls`.

Nothing else in Holdfast calls `os` on files below a store's root, so that faults can be injected
and crashes modelled (`holdfast.testing`). Every call raises `OSError` as the system does.
"""

from __future__ import annotations

import mmap
import os
import stat as stat_module
import sys
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Status(NamedTuple):
    """What `stat` tells: enough to recognise a file."""

    mode: int
    inode: int
    device: int
    links: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def is_file(self) -> bool:
        return stat_module.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        return stat_module.S_ISDIR(self.mode)


class SystemCalls(Protocol):
    """The operations that a file-system store needs. Paths are absolute."""

    def open(self, path: str, flags: int, mode: int = 0o666) -> int: ...

    def close(self, fd: int) -> None: ...

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        """One `pread`: may return less than asked; empty at the end."""

    def write(self, fd: int, data: Buffer) -> int:
        """One `write` at the descriptor's position (the end with O_APPEND); may write less."""

    def write_at(self, fd: int, data: Buffer, offset: int) -> int:
        """One `pwrite`; may write less."""

    def truncate(self, fd: int, size: int) -> None: ...

    def fsync(self, fd: int) -> None:
        """Make the file's bytes durable (macOS: F_FULLFSYNC); on a folder, its entries."""

    def sync_file_system(self, fd: int) -> bool:
        """`syncfs`: make everything on the file system durable. False where the system has no
        `syncfs` that reports errors (Linux before 5.8, macOS): nothing was done then."""

    def link(self, source: str, target: str) -> None: ...

    def rename(self, source: str, target: str) -> None: ...

    def unlink(self, path: str) -> None: ...

    def make_folder(self, path: str) -> None: ...

    def remove_folder(self, path: str) -> None: ...

    def list_folder(self, path: str) -> list[tuple[str, bool]]:
        """(name, is a folder) of each entry, unsorted; symlinks are not followed."""

    def stat(self, path: str) -> Status:
        """Symlinks are not followed."""

    def stat_open(self, fd: int) -> Status: ...

    def map(self, fd: int, size: int) -> memoryview:
        """The file's first `size` > 0 bytes, read-only, mapped where the system can."""


def _status(found: os.stat_result) -> Status:
    return Status(
        found.st_mode,
        found.st_ino,
        found.st_dev,
        found.st_nlink,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


class OsCalls:
    """The operating system."""

    open = staticmethod(os.open)
    close = staticmethod(os.close)
    write = staticmethod(os.write)
    truncate = staticmethod(os.ftruncate)
    link = staticmethod(os.link)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)
    remove_folder = staticmethod(os.rmdir)
    read_at = staticmethod(os.pread)
    write_at = staticmethod(os.pwrite)
