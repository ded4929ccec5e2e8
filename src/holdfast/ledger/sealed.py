"""Sealed files as read-only buffers: mapped where the store is a folder, fetched where not.

Sealed files never change, so a buffer stays right for as long as it is held. Small files are read
into memory, which costs less than a map and no descriptor; large ones are mapped.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from holdfast.errors import Integrity, NotFound, from_oserror
from holdfast.store.durable import close_quietly, open_file

if TYPE_CHECKING:
    from holdfast.store.filesystem import FileSystemStore
    from holdfast.store.protocol import Store

SMALL = 256 * 1024
"""Files up to this many bytes are read rather than mapped."""

MAPS = 256
"""Maps held at once: each takes a file descriptor."""

HELD_BYTES = 64 * 2**20
"""Bytes of small files held at once."""

CHUNK = 2**20
"""Longer ranges are read in pieces of this size and are not mapped."""

_NEAR = 64
_TOGETHER = 32 * 2**20
_GAP = 64 * 1024
_RANGE = 8 * 2**20
_T = TypeVar("_T")

Identity = tuple[int, int, int, int, int]
"""What recognises a file: device, inode, size, mtime and ctime in nanoseconds."""


class View(NamedTuple):
    """A file's bytes, and its identity where the store has such a thing."""

    data: memoryview
    identity: Identity | None


class Piece(NamedTuple):
    """A range of a file: path below the ledger's folder, offset and length in bytes."""

    path: str
    offset: int
    length: int


Range = tuple[str, int, int]
"""A `Piece` or a plain tuple of its fields."""


class Files(Protocol):
    """How sealed files are read. Paths are relative to the ledger's folder."""

    def open(self, path: str) -> View:
        """The whole file. Raises `NotFound`, `StorageFailure`."""

    def read(self, piece: Piece) -> bytes:
        """Exactly these bytes. Raises `NotFound`; `Integrity` when the file ends before."""

    def read_many(self, pieces: Sequence[Range]) -> Iterator[bytes | None]:
        """As `read` for each, in order; neighbouring ranges may be read together. None for one
        that cannot be read: `read` it to learn why."""

    def chunks(self, piece: Piece) -> Iterator[bytes]:
        """The bytes of a long range in pieces of up to 1 MiB, in constant memory: not mapped,
        because mapped pages count as this process's."""

    def close(self) -> None:
        """Release what is held."""


class Held(Generic[_T]):
    """Things made from files, held up to a count of maps and a sum of bytes, oldest out first."""

    def __init__(self, maps: int = MAPS, held_bytes: int = HELD_BYTES) -> None:
        self._maps = maps
        self._bytes = held_bytes
        self._mapped: dict[object, _T] = {}
        self._small: dict[object, tuple[_T, int]] = {}
        self._small_bytes = 0
        self._lock = threading.Lock()

    def get(self, key: object) -> _T | None:
        """What is held under `key`."""
        found = self._mapped.get(key)
        if found is not None:
            return found
        small = self._small.get(key)
        return None if small is None else small[0]

    def put(self, key: object, thing: _T, size: int) -> None:
        """Hold `thing`, made from `size` bytes."""
        with self._lock:
            if size > SMALL:
                while len(self._mapped) >= self._maps:
                    del self._mapped[next(iter(self._mapped))]
                self._mapped[key] = thing
                return
            self._drop_small(key)
            self._small[key] = (thing, size)
            self._small_bytes += size
            while self._small_bytes > self._bytes:
                self._drop_small(next(iter(self._small)))

    def drop(self, key: object) -> None:
        """Hold it no longer."""
        with self._lock:
            self._mapped.pop(key, None)
            self._drop_small(key)

    def clear(self) -> None:
        """Hold nothing."""
        with self._lock:
            self._mapped.clear()
            self._small.clear()
            self._small_bytes = 0

    def _drop_small(self, key: object) -> None:
        gone = self._small.pop(key, None)
        if gone is not None:
            self._small_bytes -= gone[1]


class MappedFiles:
    """Files of a `FileSystemStore`."""

    def __init__(self, store: FileSystemStore, prefix: str) -> None:
        self._calls = store.calls
        self._folder = f"{store.root.rstrip('/')}/{prefix}/"
        self._folders = store.folders
        self._held: Held[memoryview] = Held()

    def open(self, path: str) -> View:
        full, calls = self._folder + path, self._calls
        fd = self._open(full)
        try:
            try:
                status = calls.stat_open(fd)
                if status.size > SMALL:
                    data = calls.map(fd, status.size)
                else:
                    data = memoryview(self._read_all(fd, status.size))
            finally:
                close_quietly(calls, fd)
        except OSError as error:
            raise from_oserror(error, "reading", full) from error
        identity = (
            *(status.device, status.inode, status.size),
            *(status.mtime_ns, status.ctime_ns),
        )
        return View(data, identity)

    def read(self, piece: Piece) -> bytes:
        path, offset, length = piece
        if length > CHUNK:
            return b"".join(self.chunks(piece))
        data = self._held.get(path)
        if data is None:
            data = self.open(path).data
            self._held.put(path, data, len(data))
        found = bytes(data[offset : offset + length])
        if len(found) != length:
            self._held.drop(path)
            raise _short(self._folder + path, offset, len(found), length)
        return found

    def read_many(self, pieces: Sequence[Range]) -> Iterator[bytes | None]:
        near: dict[str, memoryview] = {}
        for path, offset, length in pieces:
            data = near.get(path)
            if data is not None and length <= CHUNK:
                found = bytes(data[offset : offset + length])
                if len(found) == length:
                    yield found
                    continue
            try:
                one = self.read(Piece(path, offset, length))
            except (NotFound, Integrity):
                yield None
                continue
            yield one
            data = self._held.get(path)
            if data is not None:
                if len(near) >= _NEAR:
                    near.clear()
                near[path] = data

    def chunks(self, piece: Piece) -> Iterator[bytes]:
        full, calls = self._folder + piece.path, self._calls
        at, end = piece.offset, piece.offset + piece.length
        fd = self._open(full)
        try:
            try:
                while at < end:
                    part = calls.read_at(fd, min(CHUNK, end - at), at)
                    if not part:
                        raise _short(full, at, 0, end - at)
                    at += len(part)
                    yield part
            finally:
                close_quietly(calls, fd)
        except OSError as error:
            raise from_oserror(error, "reading", full) from error

    def close(self) -> None:
        self._held.clear()

    def _open(self, full: str) -> int:
        folder = full[: full.rindex("/")]
        if not self._folders.check(folder):
            raise NotFound("reading", full)
        return open_file(self._calls, full)[0]

    def _read_all(self, fd: int, size: int) -> bytes:
        parts, at = [], 0
        while at < size:
            part = self._calls.read_at(fd, size - at, at)
            if not part:
                break
            parts.append(part)
            at += len(part)
        return b"".join(parts)


class FetchedFiles:
    """Files of any other store. Whole files are fetched at each `open`; ranges are not held."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = f"{prefix}/"

    def open(self, path: str) -> View:
        return View(memoryview(self._store.get(self._prefix + path)), None)

    def read(self, piece: Piece) -> bytes:
        path, offset, length = piece
        found = self._store.read_range(self._prefix + path, offset, length)
        if len(found) != length:
            raise _short(self._prefix + path, offset, len(found), length)
        return found

    def read_many(self, pieces: Sequence[Range]) -> Iterator[bytes | None]:
        start = size = 0
        for i, (_, _, length) in enumerate(pieces):
            if size and size + length > _TOGETHER:
                yield from self._read_together(pieces[start:i])
                start, size = i, 0
            size += length
        yield from self._read_together(pieces[start:])

    def _read_together(self, ranges: Sequence[Range]) -> list[bytes | None]:
        pieces = [Piece(*fields) for fields in ranges]
        out: list[bytes | None] = [None] * len(pieces)
        for group in _neighbours(pieces):
            first = pieces[group[0]]
            start = first.offset
            end = max(pieces[i].offset + pieces[i].length for i in group)
            try:
                data = self._store.read_range(self._prefix + first.path, start, end - start)
            except (NotFound, Integrity):
                continue
            if len(data) != end - start:
                continue
            for i in group:
                at = pieces[i].offset - start
                out[i] = data[at : at + pieces[i].length]
        return out

    def chunks(self, piece: Piece) -> Iterator[bytes]:
        path, offset, length = piece
        for at in range(0, length, CHUNK):
            yield self.read(Piece(path, offset + at, min(CHUNK, length - at)))

    def close(self) -> None:
        """Nothing is held."""


def _neighbours(pieces: Sequence[Piece]) -> list[list[int]]:
    """Indices of `pieces` in groups that lie close together in one file, to be read at once."""
    order = sorted(range(len(pieces)), key=lambda i: (pieces[i].path, pieces[i].offset))
    groups: list[list[int]] = []
    path, start, end = "", 0, 0
    for i in order:
        piece = pieces[i]
        stop = piece.offset + piece.length
        near = piece.path == path and piece.offset <= end + _GAP
        if near and max(stop, end) - start <= _RANGE:
            groups[-1].append(i)
            end = max(end, stop)
        else:
            groups.append([i])
            path, start, end = piece.path, piece.offset, stop
    return groups


def _short(path: str, offset: int, found: int, expected: int) -> Integrity:
    return Integrity(
        "reading", path, found=f"{found} bytes", expected=f"{expected} bytes", offset=offset
    )


def open_files(store: Store, prefix: str) -> Files:
    """The way to read sealed files that fits `store`."""
    from holdfast.store.filesystem import FileSystemStore

    if isinstance(store, FileSystemStore):
        return MappedFiles(store, prefix)
    return FetchedFiles(store, prefix)
