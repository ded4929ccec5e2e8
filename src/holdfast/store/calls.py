"""The seam: every system call on a repository's files goes through `SystemCalls`.

Nothing else in Holdfast calls `os` on files below a store's root, so that faults can be injected
and crashes modelled (`holdfast.testing`). Every call raises `OSError` as the system does.
"""

from __future__ import annotations

import os
import stat as stat_module
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from holdfast.leases import OsLockCalls

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

    def lock(self, fd: int, exclusive: bool) -> bool:
        """Take the `flock` of the open file, without waiting; false when another has it."""

    def unlock(self, fd: int) -> None:
        """Release the `flock` of the open file, in forked children too."""

    def can_sync_file_system(self, fd: int) -> bool:
        """Whether `sync_file_system` on this descriptor would do its work."""

    def file_system(self, path: str) -> str:
        """The kind of file system at `path`: "ext4", "nfs", "fuse.sshfs"; "" when unknown."""


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


# Magic numbers of statfs(2).
_KINDS = {
    0xEF53: "ext4",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0xF2F52010: "f2fs",
    0x01021994: "tmpfs",
    0x794C7630: "overlay",
    0x2FC12FC1: "zfs",
    0x6969: "nfs",
    0x517B: "smb",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x01021997: "9p",
    0x5346414F: "afs",
    0x00C36400: "ceph",
    0x0BD00BD0: "lustre",
    0x47504653: "gpfs",
    0x65735546: "fuse",
}

_SYNCFS_REPORTS = frozenset({"ext4", "xfs", "btrfs", "f2fs", "tmpfs"})
"""Where `syncfs` is known to write everything and to report what failed: FUSE servers may ignore
it, and an overlay does not hand on write-back errors of the layer below."""

NETWORK_KINDS = frozenset({"nfs", "smb", "cifs", "smb2", "9p", "afs", "ceph", "lustre", "gpfs"})
_LOCAL_FUSE = frozenset(
    {"fuseblk", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.mergerfs", "fuse.bindfs"}
)


def is_network_kind(kind: str) -> bool:
    """Whether a file system of this kind may lie on another machine, so that locks or syncs may
    not hold. A FUSE server of which nothing is known counts as such."""
    return kind in NETWORK_KINDS or (
        kind.startswith(("fuse", "virtiofs", "nfs")) and kind not in _LOCAL_FUSE
    )


class OsCalls(OsLockCalls):
    """The operating system. Interrupted calls are retried by Python itself."""

    write = staticmethod(os.write)
    truncate = staticmethod(os.ftruncate)
    link = staticmethod(os.link)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)
    remove_folder = staticmethod(os.rmdir)
    change_mode = staticmethod(os.chmod)

    def __init__(self) -> None:
        self._libc: Any = None

    if sys.platform == "darwin":

        def fsync(self, fd: int) -> None:
            """F_FULLFSYNC: macOS's fsync leaves the drive's cache alone."""
            import errno
            import fcntl

            try:
                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                    raise
                os.fsync(fd)

    else:
        fsync = staticmethod(os.fsync)

    def sync_file_system(self, fd: int) -> bool:
        if not self.can_sync_file_system(fd):
            return False
        import ctypes

        if self._libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return True

    def can_sync_file_system(self, fd: int) -> bool:
        return self._library() is not None and self._kind(fd) in _SYNCFS_REPORTS

    def file_system(self, path: str) -> str:
        if self._library() is None:
            return ""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            kind = self._kind(fd)
            return (_mounted_kind(os.fstat(fd).st_dev) or kind) if kind == "fuse" else kind
        finally:
            os.close(fd)

    def _library(self) -> Any:
        """libc, where it has `syncfs` and the kernel reports its errors (Linux from 5.8 on)."""
        if self._libc is None:
            self._libc = _load_libc() or False
        return self._libc or None

    def _kind(self, fd: int) -> str:
        import ctypes

        # struct statfs begins with the type, one machine word; it has 120 bytes.
        found = (ctypes.c_ulong * 64)()
        if self._libc.fstatfs(fd, ctypes.byref(found)) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return _KINDS.get(found[0] & 0xFFFFFFFF, "")

    def clone(self, source: int, target: int) -> None:
        """Let the empty file `target` share the bytes of `source` (FICLONE), on file systems that
        can: btrfs, XFS, bcachefs."""
        import fcntl

        if sys.platform != "linux":
            import errno

            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        fcntl.ioctl(target, 0x40049409, source)

    def list_folder(self, path: str) -> list[tuple[str, bool]]:
        with os.scandir(path) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]

    def stat(self, path: str) -> Status:
        return _status(os.lstat(path))

    def stat_open(self, fd: int) -> Status:
        return _status(os.fstat(fd))

    def map(self, fd: int, size: int) -> memoryview:
        import mmap

        try:
            return memoryview(mmap.mmap(fd, size, prot=mmap.PROT_READ))
        except ValueError as error:  # shorter than `size`
            import errno

            raise OSError(errno.EINVAL, str(error)) from None


def _load_libc() -> Any:
    if sys.platform != "linux":
        return None
    import re

    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if version is None or (int(version[1]), int(version[2])) < (5, 8):
        return None
    import ctypes

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syncfs.argtypes = [ctypes.c_int]
        libc.fstatfs.argtypes = [ctypes.c_int, ctypes.c_void_p]
    except (OSError, AttributeError):
        return None
    return libc


def _mounted_kind(device: int) -> str:
    """The kind that the system's table of mounts gives for a device; "" when it is not in it."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
            for line in table:
                before, _, after = line.partition(" - ")
                fields = before.split()
                if len(fields) > 2 and fields[2] == wanted:
                    return after.split(" ", 1)[0]
    except OSError:
        return ""
    return ""
