"""Reading a source's files: hash and copy in one pass, and notice what changes meanwhile
(`holdfast.ingest.small` says when a file is believed)."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import InvalidPath
from holdfast.ingest.pipe import WriteBehind
from holdfast.ingest.small import (
    SMALL,
    Changed,
    Read,
    check_unchanged,
    open_source,
    read_whole,
    settled,
)
from holdfast.ingest.walk import File, Skip, because, kind_of
from holdfast.runs.model import FileEntry

if TYPE_CHECKING:
    from holdfast.runs.writer import RunWriter

TRIES = 3
CHANGED = "changed while read"


class Taken(NamedTuple):
    """A file that was read: its entry, and the bytes read from the source for it."""

    entry: FileEntry
    bytes_read: int


class Reader:
    """Reads files of one source into one run. `take` may be called from several threads.

    Args:
        run: where bytes go and what is known of a path beforehand.
        read: reads from a descriptor, as `os.read`; tests change the file in here.
        moved: called with the number of bytes of each piece of a large file, for progress.
    """

    def __init__(
        self,
        run: RunWriter,
        *,
        read: Read = os.read,
        moved: Callable[[int], None] | None = None,
    ) -> None:
        self._run = run
        self._read = read
        self._moved = moved or (lambda size: None)

    def take(self, file: File) -> Taken | Skip:
        """Read `file` and stage it unless its bytes are those of the current version.

        Returns:
            The entry to register (with an error when the file could not be read, or changed each
            time it was), or a `Skip` when it is gone or is no regular file any more.

        Raises:
            HoldfastError: the repository could not take the bytes.
        """
        total = 0
        for _ in range(TRIES):
            try:
                fd = open_source(file.name, file.folder.fd)
            except OSError as error:
                return _refused(file, error)
            try:
                before = settled(fd)
                if not stat.S_ISREG(before.st_mode):
                    return Skip(file.path, kind_of(before.st_mode))
                total += before.st_size
                if before.st_size <= SMALL:
                    sha256, stored = self._small(file, fd, before)
                else:
                    sha256, stored = self._large(file, fd, before)
            except Changed:
                continue
            except OSError as error:
                return _refused(file, error)
            except InvalidPath as error:
                return Taken(_failed(file, str(error)), total)
            finally:
                os.close(fd)
            entry = FileEntry(
                path=file.path,
                size=before.st_size,
                sha256=sha256,
                mode=stat.S_IMODE(before.st_mode),
                mtime_ns=before.st_mtime_ns,
                stored=stored,
            )
            return Taken(entry, total)
        return Taken(_failed(file, CHANGED), total)

    def _small(self, file: File, fd: int, before: os.stat_result) -> tuple[str, str | None]:
        size = before.st_size
        data = read_whole(fd, before, self._read)
        sha256 = hashlib.sha256(data).hexdigest()
        if self._run.predict(file.path, size).sha256 == sha256:
            return sha256, None
        return sha256, self._run.stage(file.path, data, sha256)

    def _large(self, file: File, fd: int, before: os.stat_result) -> tuple[str, str | None]:
        known = self._run.predict(file.path, before.st_size)
        if known.sha256 is not None and known.size == before.st_size:
            sha256 = self._hash(fd, before)
            if sha256 == known.sha256:
                return sha256, None
            os.lseek(fd, 0, os.SEEK_SET)
        with self._run.open_stage(file.path) as writer:
            with WriteBehind(writer) as pipe:
                self._stream(fd, before, pipe.write)
            _, sha256, stored = writer.finish()
        return sha256, stored

    def _hash(self, fd: int, before: os.stat_result) -> str:
        state = hashlib.sha256()
        self._stream(fd, before, state.update)
        return state.hexdigest()

    def _stream(self, fd: int, before: os.stat_result, take: Callable[[bytes], object]) -> None:
        left = before.st_size
        while left >= 0:
            piece = self._read(fd, min(SMALL, left + 1))
            if not piece:
                break
            left -= len(piece)
            take(piece)
            self._moved(len(piece))
        if left != 0:
            raise Changed
        check_unchanged(fd, before)


def _refused(file: File, error: OSError) -> Taken | Skip:
    if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR):
        return Skip(file.path, "vanished or was replaced while being read", True, True)
    return Taken(_failed(file, because(error)), 0)


def _failed(file: File, reason: str) -> FileEntry:
    return FileEntry(path=file.path, error=reason)
