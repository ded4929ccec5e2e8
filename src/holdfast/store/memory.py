"""A store in memory: for tests, and for what need not last."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from holdfast.errors import Conflict, Invalid, NotFound, PathExists
from holdfast.leases import LocalLeases
from holdfast.store.paths import check_folder, check_path
from holdfast.store.protocol import Entry, Staged

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.leases import Leases


class MemoryStore:
    """Files in a dict; see `holdfast.store.protocol.Store` for the methods.

    Nothing is durable beyond the process. As on a file system, a path cannot be a file and a
    folder at once, so what works here works there.
    """

    def __init__(self, *, leases: Leases | None = None) -> None:
        self._files: dict[str, bytes] = {}
        self._folders: dict[str, int] = {}
        self._lock = threading.Lock()
        self._leases: Leases = leases or LocalLeases()

    @property
    def url(self) -> str:
        return "memory:"

    @property
    def leases(self) -> Leases:
        return self._leases

    def put(self, path: str, data: Buffer) -> None:
        self._create(check_path(path), bytes(data))

    def put_many(self, items: Iterable[tuple[str, Buffer]]) -> None:
        for path, data in items:
            self._create(check_path(path), bytes(data))

    def get(self, path: str) -> bytes:
        data = self._files.get(check_path(path))
        if data is None:
            raise NotFound("reading", path)
        return data

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        data = self.get(path)
        if offset < 0 or length < 0:
            raise Invalid("reading", path, found=f"offset {offset}, length {length}")
        return data[offset : offset + length]

    def size(self, path: str) -> int:
        return len(self.get(path))

    def exists(self, path: str) -> bool:
        return check_path(path) in self._files

    def list(self, folder: str = "") -> Iterator[Entry]:
        below = f"{check_folder(folder)}/" if folder else ""
        with self._lock:
            found = [(p, len(d)) for p, d in self._files.items() if p.startswith(below)]
        return (Entry(path, size) for path, size in sorted(found))

    def children(self, folder: str = "") -> tuple[builtins.list[str], builtins.list[Entry]]:
        start = len(check_folder(folder)) + 1 if folder else 0
        folders: dict[str, None] = {}
        files = []
        for entry in self.list(folder):
            name, slash, _ = entry.path[start:].partition("/")
            if slash:
                folders[name] = None
            else:
                files.append(entry)
        return sorted(folders), files

    def delete(self, path: str) -> None:
        check_path(path)
        with self._lock:
            if self._files.pop(path, None) is not None:
                for folder in _above(path):
                    self._folders[folder] -= 1
                    if not self._folders[folder]:
                        del self._folders[folder]

    def compare_and_swap(self, path: str, expected: bytes | None, replacement: bytes) -> None:
        check_path(path)
        with self._lock:
            found = self._files.get(path)
            if found != expected:
                raise Conflict(
                    "replacing",
                    path,
                    found="no file" if found is None else "other bytes than expected",
                )
            if found is None:
                self._add(path, bytes(replacement))
            else:
                self._files[path] = bytes(replacement)

    def swap_staged(self, path: str, expected: bytes | None, staged: Staged) -> None:
        if not isinstance(staged, MemoryStaged):
            raise Invalid("replacing", path, found="a file that another store staged")
        self.compare_and_swap(path, expected, staged.body("replacing"))

    def open_writer(self, path: str, *, staging: str | None = None) -> MemoryWriter:
        if staging:
            check_path(staging)
        return MemoryWriter(self, check_path(path), None)

    def stage(self, folder: str) -> MemoryStaged:
        check_path(folder)
        return MemoryStaged(self)

    def publish_many(
        self,
        items: Sequence[tuple[Staged, str]],
        *,
        along: Sequence[Staged] = (),
        whole: bool = False,
    ) -> None:
        for staged, path in items:
            staged.publish(path)
        for staged in along:
            staged.prepare()

    def batch(self) -> MemoryBatch:
        return MemoryBatch(self)

    def close(self) -> None:
        """Nothing to release; the files stay."""

    def _create(self, path: str, data: bytes) -> None:
        with self._lock:
            self._add(path, data)

    def _add(self, path: str, data: bytes) -> None:
        if path in self._files or path in self._folders:
            raise PathExists("writing", path, found="something that is there already")
        above = _above(path)
        for folder in above:
            if folder in self._files:
                raise PathExists("making the folder", folder, found="a file of that name")
        for folder in above:
            self._folders[folder] = self._folders.get(folder, 0) + 1
        self._files[path] = data


def _above(path: str) -> builtins.list[str]:
    return [path[:i] for i, c in enumerate(path) if c == "/"]


class MemoryWriter:
    """A stream into one new file of a `MemoryStore`."""

    def __init__(self, store: MemoryStore, path: str, made: builtins.list[str] | None) -> None:
        self._store = store
        self._path = path
        self._made = made
        self._data: bytearray | None = bytearray()
        self._closed = False

    def write(self, data: Buffer) -> None:
        if self._data is None:
            raise Invalid("writing", self._path, found="a writer that has ended")
        self._data += data

    def close(self) -> None:
        if self._closed:
            return
        data, self._data = self._data, None
        if data is None:
            raise Invalid("closing", self._path, found="a writer that was aborted")
        self._store._create(self._path, bytes(data))
        if self._made is not None:
            self._made.append(self._path)
        self._closed = True

    def abort(self) -> None:
        self._data = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()


class MemoryStaged:
    """A file of a `MemoryStore` that waits for its name."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._data: bytearray | None = bytearray()
        self._prepared = False

    def write(self, data: Buffer) -> None:
        if self._prepared:
            raise Invalid("writing", self._store.url, found="a file that was prepared already")
        self._open("writing").extend(memoryview(data).cast("B"))

    def prepare(self) -> None:
        self._open("preparing")
        self._prepared = True

    def publish(self, path: str) -> None:
        self._store.put(path, self._open("publishing"))

    def close(self) -> None:
        self._data = None

    def body(self, doing: str) -> bytes:
        """What was staged."""
        return bytes(self._open(doing))

    def _open(self, doing: str) -> bytearray:
        if self._data is None:
            raise Invalid(doing, self._store.url, found="a staged file that has ended")
        return self._data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class MemoryBatch:
    """A batch of a `MemoryStore`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._made: builtins.list[str] = []
        self._ended = False

    def put(self, path: str, data: Buffer) -> None:
        self._check_usable()
        self._store.put(path, data)
        self._made.append(path)

    def open_writer(self, path: str, *, staging: str | None = None) -> MemoryWriter:
        self._check_usable()
        if staging:
            check_path(staging)
        return MemoryWriter(self._store, check_path(path), self._made)

    def commit(self) -> None:
        self._check_usable()
        self._made.clear()

    def abort(self) -> None:
        self._ended = True
        made, self._made = self._made, []
        for path in made:
            self._store.delete(path)

    def _check_usable(self) -> None:
        if self._ended:
            raise Invalid("using a batch", self._store.url, found="a batch that has ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()
