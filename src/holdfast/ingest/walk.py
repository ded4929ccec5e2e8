"""One pass over a source: everything below a folder, in path order, without leaving it.

Every step is relative to an open folder and follows no symlink, so that a folder swapped for a link
while the walk runs cannot lead outside; depth costs memory, never recursion, and only the deepest
levels keep a descriptor, so neither PATH_MAX nor the descriptor limit bounds the tree.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.errors import Invalid, from_oserror
from holdfast.ingest.ignore import IGNORE_FILE, Ignore, Pattern, parse_ignore_file

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

REPOSITORY_FILE = "holdfast.json"
_REPOSITORY_MARK = b'"holdfast.repository/'
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_LEVELS = 32
"""Levels that keep their descriptor; those above are opened again through ``..``."""
_IGNORE_FILE_LIMIT = 1 << 20


_ENCODING = sys.getfilesystemencoding()
_MARKS = (b"/", b"\0")


class Folder:
    """An open folder of the source. Closed when the walk and everyone who retained it are done.

    `retain` and `release` belong to one thread, the walker's; others only use `fd`.
    """

    __slots__ = ("_holders", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._holders = 1

    def retain(self) -> Folder:
        self._holders += 1
        return self

    def release(self) -> None:
        self._holders -= 1
        if self._holders == 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(slots=True)
class File:
    """A regular file: open it as `name` in `folder`. `path` is relative to the root, as bytes."""

    path: bytes
    folder: Folder
    name: bytes


@dataclass(slots=True)
class Link:
    """A symlink, never followed."""

    path: bytes
    target: bytes
    mode: int
    mtime_ns: int


@dataclass(slots=True)
class EmptyFolder:
    """A folder in which nothing was found that is taken in or named."""

    path: bytes
    mode: int
    mtime_ns: int


@dataclass(slots=True)
class Skip:
    """Something that is not taken in, and why.

    `unseen`: what is at or below `path` could not be seen, so its absence proves nothing.
    `failed`: it should have been taken in, and the system refused.
    """

    path: bytes
    reason: str
    unseen: bool = False
    failed: bool = False


Found = File | Link | EmptyFolder | Skip


@dataclass(slots=True)
class _Level:
    name: bytes
    identity: tuple[int, int]
    mode: int
    mtime_ns: int
    folder: Folder | None
    ignore: Ignore | None
    keys: list[bytes]
    """Names still to come, last first, as `_listing` marks them."""
    bare: bool = True
    """Nothing in it was taken in or named so far."""


@dataclass(slots=True)
class Walk:
    """The walk over one source: iterate once, then close.

    `ignored` counts the entries that the ignore files left out.
    """

    root: str
    ignore_file: bytes = IGNORE_FILE
    avoid: frozenset[tuple[int, int]] = frozenset()
    ignored: int = 0
    _path: bytes = b""
    """Path of the innermost level; those above are cut from it, so that depth costs no copies."""
    _levels: list[_Level] = field(default_factory=list)
    _inside: set[tuple[int, int]] = field(default_factory=set)

    def __iter__(self) -> Iterator[Found]:
        try:
            fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except NotADirectoryError:
            yield from self._single()
            return
        except OSError as error:
            raise from_oserror(error, "reading the source", self.root) from None
        skip = self._enter(fd, b"", b"", None)
        if skip is not None:
            raise Invalid(
                "taking in",
                self.root,
                found=skip.reason,
                hint="name a folder that can be read and is not a repository",
            )
        while self._levels:
            level = self._levels[-1]
            keys = level.keys
            if level.ignore is None and level.folder is not None:
                # Files, one after the other: most of any tree.
                folder, before = level.folder, self._path + b"/" if self._path else b""
                while keys and keys[-1][-1:] not in _MARKS:
                    name = keys.pop()
                    level.bare = False
                    yield File(before + name, folder, name)
            if keys:
                yield from self._next(level)
            else:
                yield from self._leave()

    def _single(self) -> Iterator[Found]:
        """A source that is one file. The root was named by the user: a link is followed."""
        true = os.path.realpath(self.root)
        try:
            fd = os.open(os.path.dirname(true), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            found = os.stat(os.path.basename(true), dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            raise from_oserror(error, "reading the source", self.root) from None
        folder = Folder(fd)
        try:
            name = os.fsencode(os.path.basename(self.root))
            if stat.S_ISREG(found.st_mode):
                yield File(name, folder, os.fsencode(os.path.basename(true)))
            else:
                yield Skip(name, kind_of(found.st_mode))
        finally:
            folder.release()

    def _enter(self, fd: int, name: bytes, path: bytes, ignore: Ignore | None) -> Skip | None:
        """Push the level of the open folder `fd`, or close it and say why it is not entered."""
        folder = Folder(fd)
        try:
            found = os.fstat(fd)
            identity = (found.st_dev, found.st_ino)
            if identity in self._inside:
                raise _NotEntered("a loop: the same folder as one above it")
            if identity in self.avoid:
                raise _NotEntered("a Holdfast repository")
            keys = _listing(fd)
            if _is_repository(fd, keys):
                raise _NotEntered("a Holdfast repository")
            patterns = _read_ignore_file(fd, self.ignore_file, keys)
        except _NotEntered as refused:
            folder.release()
            return Skip(path, str(refused), unseen=True)
        except OSError as error:
            folder.release()
            return Skip(path, because(error), unseen=True, failed=True)
        if patterns:
            ignore = Ignore(patterns, path, ignore)
        self._path = path
        self._inside.add(identity)
        self._levels.append(
            _Level(name, identity, found.st_mode, found.st_mtime_ns, folder, ignore, keys)
        )
        if len(self._levels) > _OPEN_LEVELS:
            above = self._levels[-1 - _OPEN_LEVELS]
            if above.folder is not None:
                above.folder.release()
                above.folder = None
        return None

    def _next(self, level: _Level) -> Iterator[Found]:
        folder = level.folder
        assert folder is not None
        key = level.keys.pop()
        name, mark = _unmarked(key)
        path = self._path + b"/" + name if self._path else name
        if level.ignore is not None and level.ignore.ignores(path, name, is_folder=mark == b"/"):
            self.ignored += 1
            return
        if mark == b"":
            level.bare = False
            yield File(path, folder, name)
            return
        try:
            if mark == b"/":
                fd = os.open(name, _OPEN_FOLDER, dir_fd=folder.fd)
                skip = self._enter(fd, name, path, level.ignore)
                if skip is None:
                    return
                level.bare = False
                yield skip
                return
            level.bare = False
            found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                target = os.readlink(name, dir_fd=folder.fd)
                yield Link(path, target, found.st_mode, found.st_mtime_ns)
            else:
                yield Skip(path, kind_of(found.st_mode))
        except OSError as error:
            level.bare = False
            gone = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)
            reason = "vanished or was replaced while being read" if gone else because(error)
            yield Skip(path, reason, unseen=True, failed=True)

    def _leave(self) -> Iterator[Found]:
        level = self._levels.pop()
        self._inside.discard(level.identity)
        path = self._path
        self._path = path[: -len(level.name) - 1] if len(self._levels) > 1 else b""
        try:
            if level.bare and path:
                yield EmptyFolder(path, level.mode, level.mtime_ns)
            if self._levels:
                above = self._levels[-1]
                above.bare = False
                if above.folder is None and not self._reopen(above, level):
                    above.keys = []
                    yield Skip(self._path, "moved while being read", unseen=True, failed=True)
        finally:
            if level.folder is not None:
                level.folder.release()

    def _reopen(self, above: _Level, level: _Level) -> bool:
        """Open the folder above through ``..``; False when it is not the one we came through."""
        if level.folder is None:
            return False
        try:
            fd = os.open("..", _OPEN_FOLDER, dir_fd=level.folder.fd)
        except OSError:
            return False
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) != above.identity:
            os.close(fd)
            return False
        above.folder = Folder(fd)
        return True

    def close(self) -> None:
        """Release the folders that a walk cut short left open; idempotent."""
        for level in self._levels:
            if level.folder is not None:
                level.folder.release()
        self._levels = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def walk(
    root: str | os.PathLike[str],
    *,
    ignore_file: bytes = IGNORE_FILE,
    avoid: frozenset[tuple[int, int]] = frozenset(),
) -> Walk:
    """The walk over `root`, a folder or a single file.

    Args:
        ignore_file: name of the ignore files.
        avoid: (device, inode) of folders that are never entered: the repository written to.

    Raises:
        NotFound, Denied, StorageFailure: on iterating: the root cannot be opened.
        Invalid: on iterating: the root is a repository.
    """
    return Walk(os.path.abspath(os.fspath(root)), ignore_file, avoid)


class _NotEntered(Exception):
    """Why a folder is left alone."""


def _listing(fd: int) -> list[bytes]:
    """The folder's entries, last first by path bytes: folders as name + ``/`` (which is how they
    sort among paths), files as they are, everything else as name + NUL."""
    keys = []
    with os.scandir(fd) as entries:
        for entry in entries:
            name = entry.name.encode(_ENCODING, "surrogateescape")
            if entry.is_file(follow_symlinks=False):
                keys.append(name)
            elif entry.is_dir(follow_symlinks=False):
                keys.append(name + b"/")
            else:
                keys.append(name + b"\0")
    keys.sort(reverse=True)
    return keys


def _unmarked(key: bytes) -> tuple[bytes, bytes]:
    mark = key[-1:]
    return (key[:-1], mark) if mark in _MARKS else (key, b"")


def _read_ignore_file(fd: int, name: bytes, keys: list[bytes]) -> tuple[Pattern, ...]:
    if name not in keys:
        return ()
    return parse_ignore_file(_read_small(fd, name))


def _is_repository(fd: int, keys: list[bytes]) -> bool:
    name = REPOSITORY_FILE.encode()
    return name in keys and _REPOSITORY_MARK in _read_small(fd, name)


def _read_small(fd: int, name: bytes) -> bytes:
    file = os.open(name, _OPEN_FILE, dir_fd=fd)
    try:
        data = b""
        while len(data) < _IGNORE_FILE_LIMIT:
            piece = os.read(file, _IGNORE_FILE_LIMIT - len(data))
            if not piece:
                break
            data += piece
        return data
    finally:
        os.close(file)


_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


def kind_of(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "neither file, folder nor symlink")


def because(error: OSError) -> str:
    return f"{error.strerror or error} [{errno.errorcode.get(error.errno or 0, 'unknown error')}]"
