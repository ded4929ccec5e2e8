"""Writing one path of a restore, checked, under a new name in an open folder."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Integrity, NotFound, from_oserror
from holdfast.ingest.walk import Folder
from holdfast.store.calls import OsCalls

if TYPE_CHECKING:
    from holdfast.runs.model import FileVersion
    from holdfast.runs.runs import Runs

PIECE = 1 << 20
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

TAKEN = "another path of the same restore has this name here"
Problem = Integrity | Exception | str | None
"""Of one path: what was wrong with it, or what of its status could not be set."""


@dataclass(slots=True)
class Entry:
    version: FileVersion
    folder: Folder
    name: bytes


def write_entry(runs: Runs, entry: Entry, *, sync: bool) -> Problem:
    """Write one file or symlink. An `Integrity` or `NotFound` is returned, and nothing left."""
    version, folder = entry.version, entry.folder
    if version.kind == "symlink":
        if not version.target or b"\0" in version.target:
            return Integrity("restoring", version.name, found="a symlink without a target")
        os.symlink(version.target, entry.name, dir_fd=folder.fd)
        return _set_link_time(entry)
    fd = os.open(entry.name, _CREATE, 0o600, dir_fd=folder.fd)
    try:
        try:
            with runs.open_file(version) as stored:
                while piece := stored.read(PIECE):
                    _write_whole(fd, piece)
        except HoldfastError as error:
            os.unlink(entry.name, dir_fd=folder.fd)
            if isinstance(error, NotFound):
                return Integrity("restoring", version.name, found=f"stored bytes gone: {error}")
            return error
        except BaseException:
            os.unlink(entry.name, dir_fd=folder.fd)
            raise
        problem = set_status(fd, version)
        if sync:
            OsCalls().fsync(fd)
        return problem
    finally:
        os.close(fd)


def unwritable(error: OSError) -> Exception | None:
    """What to say of a path whose name cannot be had here; None for every other error."""
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return FileExistsError(TAKEN)
    if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
        return from_oserror(error, "restoring", "the name")
    return None


def _write_whole(fd: int, data: bytes) -> None:
    done = os.write(fd, data)
    while done < len(data):
        done += os.write(fd, memoryview(data)[done:])


def set_status(fd: int, version: FileVersion) -> str | None:
    """Mode, then time. Set-user-id, set-group-id and sticky are left out: the owner is another."""
    try:
        if version.mode is not None:
            os.fchmod(fd, version.mode & 0o777)
        if version.mtime_ns is not None:
            os.utime(fd, ns=(version.mtime_ns, version.mtime_ns))
    except (OSError, OverflowError) as error:
        return f"mode or time not set: {error}"
    return None


def _set_link_time(entry: Entry) -> str | None:
    when = entry.version.mtime_ns
    try:
        if when is not None:
            os.utime(entry.name, ns=(when, when), dir_fd=entry.folder.fd, follow_symlinks=False)
    except (OSError, OverflowError, NotImplementedError) as error:
        return f"time not set: {error}"
    return None
