"""Staged bytes: raw_source files of an open run, made before it is known if they are needed."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import (
    HoldfastError,
    Invalid,
    InvalidPath,
    NotFound,
    PathExists,
    StorageFailure,
)
from holdfast.runs.decide import Content
from holdfast.runs.journals import seam_of
from holdfast.runs.naming import (
    FILE_SYSTEM_PATH_BYTES,
    OBJECT_PATH_BYTES,
    check_source_path,
    stored_path,
)
from holdfast.runs.share import Sharer
from holdfast.runs.state import SHARE_FROM

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.runs.history import ProjectHistory
    from holdfast.runs.register import Decided
    from holdfast.store.protocol import Batch, Store, Writer

RAW_SOURCE = "raw_source"
_TWINS = 1000


class Staged(NamedTuple):
    """What was staged under a key."""

    path: bytes
    sha256: str
    size: int


class StageWriter:
    """A stream into one raw_source file. As a context manager it aborts unless `finish` was
    called."""

    def __init__(self, stage: Stage, path: bytes, key: str, writer: Writer) -> None:
        self._stage = stage
        self._path = path
        self._key = key
        self._writer = writer
        self._hash = hashlib.sha256()
        self._size = 0
        self._open = True

    def write(self, data: Buffer) -> None:
        """Append `data`."""
        self._hash.update(data)
        self._writer.write(data)
        self._size += memoryview(data).nbytes

    def finish(self) -> tuple[int, str, str]:
        """(size, sha256 hex, stored key); durable with the run's next `flush`."""
        if not self._open:
            raise Invalid("staging", self._key, found="a stream that has ended")
        self._open = False
        sha256 = self._hash.hexdigest()
        key = self._stage.published(self._path, self._key, self._writer, sha256, self._size)
        return self._size, sha256, key

    def abort(self) -> None:
        """Drop what was written."""
        if self._open:
            self._open = False
            self._writer.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()


class Stage:
    """The staged files of one run. `put` and `open` may be called from several threads.

    Attributes:
        base: what keys of staged files begin with.
        calls: the system calls of a file-system store, None elsewhere.
        folder: `base` as an absolute path, on a file-system store; both end with a slash.
    """

    def __init__(self, store: Store, prefix: str, run_dir: str, history: ProjectHistory) -> None:
        self._store = store
        self._prefix = prefix
        self.base = f"{run_dir[len(prefix) + 1 :]}/{RAW_SOURCE}/"
        self._history = history
        self._lock = threading.Lock()
        self._batch: Batch | None = None
        self._sharer = Sharer(store)
        self.calls, self._root = seam_of(store)
        self.folder = f"{self._root}/{prefix}/{self.base}"
        self._longest = OBJECT_PATH_BYTES if self.calls is None else FILE_SYSTEM_PATH_BYTES
        self._waiting: dict[str, Staged] = {}
        self._shared: dict[str, str] = {}
        self._dirty = False

    def put(self, path: bytes, data: Buffer, sha256: str) -> str:
        """The key (below the prefix) of `data`, staged or stored already."""
        check_source_path(path)
        known = self.known(path, sha256)
        if known is not None:
            return known
        size = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
        staged = Staged(path, sha256, size)
        if size >= SHARE_FROM:
            key = self._share(path, sha256)
            if key is not None:
                return self.note(key, staged)
        batch = self._batch or self.batch()
        base, prefix = self.base, self._prefix
        for twin in range(1, _TWINS):
            key = base + stored_path(path, longest=self._longest, twin=twin)
            try:
                batch.put(f"{prefix}/{key}", data)
            except PathExists:
                if self._store.exists(f"{prefix}/{key}"):
                    continue
                key = self._put_aside(batch, path, data)
            except (InvalidPath, NotFound, StorageFailure) as error:
                if not _is_about_the_name(error):
                    raise
                key = self._put_aside(batch, path, data)
            return self.note(key, staged)
        raise PathExists("staging", repr(path)[1:], found=f"{_TWINS} files of that name")

    def _put_aside(self, batch: Batch, path: bytes, data: Buffer) -> str:
        """A file stands where a folder must be, or a folder where the file must be."""
        key = self._aside(path)
        batch.put(f"{self._prefix}/{key}", data)
        return key

    def open(self, path: bytes) -> StageWriter:
        """A stream into the raw_source file of `path`."""
        check_source_path(path)
        batch = self._batch or self.batch()
        key = self._free_key(path)
        try:
            writer = batch.open_writer(f"{self._prefix}/{key}")
        except (PathExists, NotFound, InvalidPath, StorageFailure) as error:
            if not isinstance(error, PathExists) and not _is_about_the_name(error):
                raise
            key = self._aside(path)
            writer = batch.open_writer(f"{self._prefix}/{key}")
        return StageWriter(self, path, key, writer)

    def published(self, path: bytes, key: str, writer: Writer, sha256: str, size: int) -> str:
        """End a stream: publish it, or share or name bytes that are there already."""
        known = self.known(path, sha256)
        if known is not None:
            writer.abort()
            return known
        if size >= SHARE_FROM:
            shared = self._share(path, sha256)
            if shared is not None:
                writer.abort()
                return self.note(shared, Staged(path, sha256, size))
        writer.close()
        return self.note(key, Staged(path, sha256, size))

    def staged(self, key: str) -> Staged | None:
        """What waits under `key` for its registration."""
        return self._waiting.get(key)

    def waiting_keys(self) -> list[str]:
        """The keys of what waits to be registered."""
        return list(self._waiting)

    def commit(self) -> None:
        """Make everything staged so far durable."""
        self._sharer.sync()
        batch = self._batch
        if batch is not None and self._dirty:
            self._dirty = False
            batch.commit()

    def waiting(self, decided: Decided) -> list[str]:
        """Of the keys that nobody needs those that were staged here and that no line names."""
        if not decided.unneeded:
            return []
        named = {line.stored for line in decided.lines}
        return [key for key in decided.unneeded if key in self._waiting and key not in named]

    def settle(self, keys: Iterable[str]) -> None:
        """These keys are registered."""
        for key in keys:
            self._waiting.pop(key, None)

    def discard(self, keys: Iterable[str]) -> None:
        """Remove staged files that turned out not to be needed, as far as that can be done."""
        for key in keys:
            with contextlib.suppress(HoldfastError, OSError):
                if self.calls is not None:
                    self.calls.unlink(f"{self._root}/{self._prefix}/{key}")
                else:
                    self._store.delete(f"{self._prefix}/{key}")

    def abort(self) -> None:
        """Remove what is staged and not registered, and end the batch; idempotent."""
        waiting, self._waiting = self._waiting, {}
        self.discard(waiting)
        self.leave()

    def leave(self) -> None:
        """End the batch, and remove only what was never made durable: of the rest nobody knows
        whether the journal names it; idempotent."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.abort()

    def batch(self) -> Batch:
        """The batch that staged files belong to."""
        with self._lock:
            if self._batch is None:
                self._batch = self._store.batch()
            return self._batch

    def note(self, key: str, staged: Staged) -> str:
        """`staged` lies under `key`, and waits to be registered; returns `key`."""
        self._waiting[key] = staged
        self._dirty = True
        if staged.size >= SHARE_FROM:
            self._shared.setdefault(staged.sha256, key)
        return key

    def known(self, path: bytes, sha256: str) -> str | None:
        """The key of these bytes, where `path` has or had them as its content; or None."""
        state = self._history.state
        sight = state.current.get(path)
        if sight is not None and sight.line.sha256 == sha256 and sight.line.kind == "file":
            return sight.line.stored
        if path in state.older:
            line = state.older_with(path, Content("file", sha256))
            if line is not None:
                return line.stored
        return None

    def _share(self, path: bytes, sha256: str) -> str | None:
        existing = self._history.state.shared.get(sha256) or self._shared.get(sha256)
        if existing is None or self.calls is None:
            return None
        key = self._free_key(path)
        if self._sharer.share(f"{self._prefix}/{existing}", f"{self._prefix}/{key}"):
            return key
        return None

    def _free_key(self, path: bytes) -> str:
        for twin in range(1, _TWINS):
            key = self.base + stored_path(path, longest=self._longest, twin=twin)
            try:
                if key in self._waiting or self._store.exists(f"{self._prefix}/{key}"):
                    continue
                if self._has_room(key):
                    return key
            except HoldfastError as error:
                if not _is_about_the_name(error):
                    raise
            break
        return self._aside(path)

    def _has_room(self, key: str) -> bool:
        """Whether no folder has the file's name, and no file that of a folder above it."""
        if self._store.children(f"{self._prefix}/{key}") != ([], []):
            return False
        above = key.rpartition("/")[0]
        while len(above) > len(self.base):
            if self._store.exists(f"{self._prefix}/{above}"):
                return False
            above = above.rpartition("/")[0]
        return True

    def _aside(self, path: bytes) -> str:
        """A name that meets no other: by the path's hash, below ``raw_source`` itself."""
        for twin in range(1, _TWINS):
            key = f"{self.base}%~{hashlib.sha256(path).hexdigest()}" + (
                "" if twin == 1 else f"%~{twin}"
            )
            if key not in self._waiting and not self._store.exists(f"{self._prefix}/{key}"):
                return key
        raise PathExists("staging", repr(path)[1:], found=f"{_TWINS} files of that name")


def _is_about_the_name(error: HoldfastError) -> bool:
    """Whether another name may help: it is too long, or a file stands where a folder must be."""
    if isinstance(error, InvalidPath):
        return True
    return error.details.get("errno") in ("ENOTDIR", "EISDIR", "ENAMETOOLONG")
