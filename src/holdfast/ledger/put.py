"""Writing artifacts into a block and an index segment (spec/ledger.md §5.1).

`BatchPut` takes artifacts in order, writes their bytes into open blocks, and at the end publishes
the blocks and one segment with one shared sync. Nothing is visible until the segment's seal is in
the log; that is the caller's last step.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from holdfast.errors import Conflict, HoldfastError, Invalid, PathExists
from holdfast.ledger.artifact import SHA256, ArtifactHasher, Reference
from holdfast.ledger.block import MAX_BLOCK, OPEN, Packer, block_path, join_extents
from holdfast.ledger.segment import (
    EMPTY_EXTENT,
    Extent,
    SegmentRecord,
    encode_segment,
    segment_path,
)

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.clock import Clock, Ids
    from holdfast.store.protocol import Store, Writer

VECTORISED = 256
"""From so many records on, numpy encodes the segment; below, importing it costs more."""

_FLUSH = 4 * 2**20
CHUNK = 4 * 2**20
_OVERLAP = 8 * 2**20


class Sealed(NamedTuple):
    """A published segment, ready for its seal."""

    segment_id: int
    sha256: bytes


class BatchPut:
    """Artifacts on their way into one segment.

    Args:
        prefix: the ledger's folder.
        type_tag: of every artifact of the batch.
        snapshot_id: the newest ledger snapshot as the segment is created.
        limit: bytes of a block at most.

    As a context manager it aborts unless `keep` was called.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        clock: Clock,
        ids: Ids,
        type_tag: int | None,
        snapshot_id: int,
        limit: int = MAX_BLOCK,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._clock = clock
        self._ids = ids
        self._type_tag = type_tag
        self._snapshot_id = snapshot_id
        self._batch = store.batch()
        self._packer = Packer(self._new_block, limit)
        self._writer: Writer | None = None
        self._waiting: list[Buffer] = []
        self._waiting_bytes = 0
        self._open_path = ""
        self._paths: list[str] = []
        self._digests: list[bytes] = []
        self._lengths: list[int] = []
        self._counts: list[int] = []
        self._extents: list[Extent] = []
        self._kept = False
        self._pid = os.getpid()

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, digest: bytes, data: Buffer) -> None:
        """Take in one artifact whose SHA-256 digest is known."""
        length = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
        if not length:
            self._note(digest, 0, (EMPTY_EXTENT,))
            return
        self._packer.begin(length)
        extent = self._packer.place(length)
        if extent.length == length:
            self._write(data, length)
            self._digests.append(digest)
            self._lengths.append(length)
            self._counts.append(1)
            self._extents.append(extent)
            return
        view = memoryview(data).cast("B")
        pieces, at = [extent], extent.length
        self._write(view[:at], at)
        while at < length:
            extent = self._packer.place(length - at)
            self._write(view[at : at + extent.length], extent.length)
            pieces.append(extent)
            at += extent.length
        self._note(digest, length, join_extents(pieces))

    def add_stream(self, source: BinaryIO, length: int) -> Reference:
        """Take in one artifact of `length` > 0 bytes chunk by chunk; its reference.

        Raises:
            Conflict: the source ended before, or has more: it changed while it was read.
        """
        hasher = ArtifactHasher(length, self._type_tag)
        pieces: list[Extent] = []
        self._packer.begin(length)
        with _Overlap(hasher, threaded=length >= _OVERLAP) as hashing:
            for chunk in read_chunks(source, length):
                hashing.update(chunk)
                at = 0
                while at < len(chunk):
                    extent = self._packer.place(len(chunk) - at)
                    self._write(memoryview(chunk)[at : at + extent.length], extent.length)
                    pieces.append(extent)
                    at += extent.length
                self._flush()
        reference = hasher.finish()
        self._note(reference.digest, length, join_extents(pieces))
        return reference

    def publish(self, first_id: int, seal_snapshot: int) -> Sealed:
        """Make blocks and segment durable, the segment under the first free id from `first_id`."""
        self._close_block()
        data = self._encode(seal_snapshot)
        segment_id = first_id
        while True:
            path = f"{self._prefix}/{segment_path(segment_id)}"
            try:
                self._batch.put(path, data)
                break
            except PathExists:
                # Another writer's, or one that never was sealed: its id is taken all the same.
                segment_id += 1
        self._paths.append(path)
        self._batch.commit()
        return Sealed(segment_id, hashlib.sha256(data).digest())

    def keep(self) -> None:
        """From here on a seal in the log may name the files: never remove them again."""
        self._kept = True

    def _encode(self, seal_snapshot: int) -> bytes:
        if len(self) >= VECTORISED:
            return self._encode_columns(seal_snapshot)
        records, at = [], 0
        for digest, length, count in zip(self._digests, self._lengths, self._counts, strict=True):
            extents = tuple(self._extents[at : at + count])
            at += count
            reference = Reference(SHA256, digest)
            records.append(SegmentRecord(reference, extents, length, self._type_tag))
        return encode_segment(
            records,
            snapshot_min=self._snapshot_id,
            seal_snapshot=seal_snapshot,
            seal_time_ns=self._clock.now_ns(),
        )

    def _encode_columns(self, seal_snapshot: int) -> bytes:
        import numpy as np

        from holdfast.ledger.segment_columns import Columns, encode_columns, extent_array

        digests = np.frombuffer(b"".join(self._digests), np.uint8).reshape(-1, 32)
        table = np.array(self._extents, np.uint64).reshape(-1, 3)
        columns = Columns(
            digests,
            np.array(self._lengths, np.uint64),
            np.array(self._counts, np.uint32),
            extent_array(table[:, 0], table[:, 1], table[:, 2]),
            self._type_tag,
        )
        return encode_columns(
            columns,
            snapshot_min=self._snapshot_id,
            seal_snapshot=seal_snapshot,
            seal_time_ns=self._clock.now_ns(),
        )

    def _note(self, digest: bytes, length: int, extents: tuple[Extent, ...]) -> None:
        self._digests.append(digest)
        self._lengths.append(length)
        self._counts.append(len(extents))
        self._extents += extents

    def _write(self, data: Buffer, length: int) -> None:
        self._waiting.append(data)
        self._waiting_bytes += length
        if self._waiting_bytes >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            assert self._writer is not None
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._writer.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))

    def _new_block(self) -> int:
        self._close_block()
        block_id = self._ids.u64()
        path = f"{self._prefix}/{block_path(block_id)}"
        self._writer = self._batch.open_writer(path, staging=f"{self._prefix}/{OPEN}")
        self._open_path = path
        return block_id

    def _close_block(self) -> None:
        self._flush()
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except BaseException:
                writer.abort()
                raise
            self._paths.append(self._open_path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.abort()
        self._batch.abort()
        # A forked child drops its copy: the files are its parent's.
        if not self._kept and self._pid == os.getpid():
            for path in self._paths:
                # What cannot be removed now is litter that a collection finds.
                with suppress(HoldfastError):
                    self._store.delete(path)


class _Hashing(Protocol):
    def update(self, chunk: bytes) -> None: ...


class _Overlap:
    """Hashes in a second thread while the caller writes: both release the interpreter's lock."""

    def __init__(self, hasher: ArtifactHasher, *, threaded: bool) -> None:
        self._hasher = hasher
        self._pool = ThreadPoolExecutor(1) if threaded else None
        self._last: Future[None] | None = None

    def update(self, chunk: bytes) -> None:
        """Hash `chunk` after those before it; at most two chunks are on their way."""
        if self._pool is None:
            self._hasher.update(chunk)
            return
        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(self._hasher.update, chunk)

    def __enter__(self) -> _Hashing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            if error is None and self._last is not None:
                self._last.result()


def read_chunks(source: BinaryIO, length: int) -> Iterator[bytes]:
    """Exactly `length` bytes of `source` in chunks.

    Raises:
        Conflict: the source has less or more.
    """
    left = length
    while left:
        chunk = source.read(min(CHUNK, left))
        if not chunk:
            raise _changed(f"{length - left} bytes", f"{length}")
        left -= len(chunk)
        yield chunk
    if source.read(1):
        raise _changed(f"more than {length} bytes", f"{length}")


def _changed(found: str, expected: str) -> Conflict:
    return Conflict(
        "reading the source of an artifact",
        found=found,
        expected=expected,
        hint="it changed while it was read; put it again when it is still",
    )


def remaining_length(source: BinaryIO) -> int | None:
    """The bytes between a stream's position and its end, or None for one that cannot seek."""
    try:
        if not source.seekable():
            return None
        start = source.tell()
        end = source.seek(0, os.SEEK_END)
        source.seek(start)
    except (AttributeError, OSError, ValueError):
        return None
    if end < start:
        raise Invalid("reading the source of an artifact", found="a position behind its end")
    return end - start
