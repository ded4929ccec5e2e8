"""Making and removing trees relative to an open folder, at any depth, through no symlink."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from holdfast.ingest.walk import Folder

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_LEVELS = 32


class Tree:
    """Folders below an open one, made when asked for, in path order.

    Only the innermost levels keep a descriptor; one further up is opened again from the root.
    `remember` what was made, for `sync`.
    """

    def __init__(self, root: int, *, remember: bool = True) -> None:
        self._remember = remember
        self._root = Folder(os.dup(root))
        self._names: list[bytes] = []
        self._folders: list[Folder | None] = []
        self._identities: list[tuple[int, int]] = []
        self._made: list[tuple[bytes, ...]] = []

    def folder(self, path: tuple[bytes, ...]) -> Folder:
        """The folder at `path`; retain it to keep it open beyond the next call.

        Raises:
            NotADirectoryError, FileExistsError: something else has the name of a folder on the way.
            OSError: the system refused.
        """
        same = 0
        for mine, asked in zip(self._names, path, strict=False):
            if mine != asked:
                break
            same += 1
        while len(self._names) > same:
            self._pop()
        for name in path[same:]:
            self._push(name)
        return self._top()

    def _top(self) -> Folder:
        if not self._folders:
            return self._root
        top = self._folders[-1]
        if top is None:
            top = self._folders[-1] = _descend(self._root, self._names)
        return top

    def _push(self, name: bytes) -> None:
        above = self._top()
        try:
            os.mkdir(name, dir_fd=above.fd)
            if self._remember:
                self._made.append((*self._names, name))
        except FileExistsError:
            pass
        try:
            folder = Folder(os.open(name, _OPEN, dir_fd=above.fd))
        except OSError as error:
            # A symlink gives ELOOP or ENOTDIR; to the caller both are "something else is there".
            if stat.S_ISDIR(os.stat(name, dir_fd=above.fd, follow_symlinks=False).st_mode):
                raise
            raise NotADirectoryError(error.errno, error.strerror) from None
        self._names.append(name)
        self._folders.append(folder)
        self._identities.append(_identity(folder.fd))
        if len(self._folders) > _OPEN_LEVELS:
            outer = self._folders[-1 - _OPEN_LEVELS]
            if outer is not None:
                outer.release()
                self._folders[-1 - _OPEN_LEVELS] = None

    def _pop(self) -> None:
        self._names.pop()
        self._identities.pop()
        folder = self._folders.pop()
        if folder is None:
            return
        if self._folders and self._folders[-1] is None:
            # From below rather than from the root, which would take as many steps as levels.
            self._folders[-1] = _above(folder, self._identities[-1])
        folder.release()

    def sync(self, fsync: Callable[[int], None]) -> None:
        """Make the entries of every folder that was made, and of the root, durable."""
        for path in reversed(self._made):
            folder = _descend(self._root, list(path))
            try:
                fsync(folder.fd)
            finally:
                folder.release()
        fsync(self._root.fd)

    def close(self) -> None:
        """Release all descriptors."""
        while self._names:
            self._pop()
        self._root.release()


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _above(folder: Folder, identity: tuple[int, int]) -> Folder | None:
    """The folder above, or None when that is not the one that it was made in."""
    fd = os.open("..", _OPEN, dir_fd=folder.fd)
    if _identity(fd) == identity:
        return Folder(fd)
    os.close(fd)
    return None


def _descend(root: Folder, names: list[bytes]) -> Folder:
    fd = os.dup(root.fd)
    for name in names:
        try:
            below = os.open(name, _OPEN, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return Folder(fd)


def remove_tree(parent: int, name: bytes) -> None:
    """Remove the folder `name` in `parent` with everything below it; a missing one is fine.

    Raises:
        OSError: the system refused; part of it may be left.
    """
    try:
        here = os.open(name, _OPEN, dir_fd=parent)
    except FileNotFoundError:
        return
    names: list[bytes] = []
    way: list[tuple[int, int]] = []
    try:
        while True:
            inner = _clear(here)
            if inner is not None:
                below = os.open(inner, _OPEN, dir_fd=here)
                names.append(inner)
                way.append(_identity(here))
            elif names:
                below = os.open("..", _OPEN, dir_fd=here)
                if _identity(below) != way.pop():
                    # Moved by somebody: what lies around it now is not ours to remove.
                    os.close(below)
                    raise OSError(errno.ESTALE, "a folder was moved while it was removed")
                os.rmdir(names.pop(), dir_fd=below)
            else:
                break
            os.close(here)
            here = below
    finally:
        os.close(here)
    os.rmdir(name, dir_fd=parent)


def _clear(fd: int) -> bytes | None:
    """Remove what is no folder from the open folder; the name of a folder in it, or None."""
    inner = None
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner = os.fsencode(entry.name)
            else:
                os.unlink(entry.name, dir_fd=fd)
    return inner
