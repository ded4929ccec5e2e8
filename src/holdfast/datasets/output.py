"""One data file in the making: compressed, hashed and staged while it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.datasets.manifest import FileRef, FileStats
from holdfast.snapshotting.block_hashes import BlockHasher, sidecar_path

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.datasets.compressors import Compressor
    from holdfast.store.protocol import Staged, Store

IN_MEMORY = 256 * 1024
"""Bytes up to which a file waits in memory: many small ones are then published together."""


@dataclass(slots=True)
class Part:
    """A finished data file that waits for its name.

    Attributes:
        partition: path of the partition, "" for none.
        data: its bytes where it is small, else None and `staged` has them.
        sidecar: the hashes of its blocks, empty where it is small.
    """

    partition: str
    size: int
    checksum: str
    blocks_sha256: str
    stats: FileStats | None
    rows: int
    data: bytes | None
    staged: Staged | None
    sidecar: bytes

    def reference(self, path: str) -> FileRef:
        """The manifest's entry for it, at `path`."""
        return FileRef(path, self.size, self.checksum, self.stats, self.blocks_sha256)

    def files(self, path: str) -> list[tuple[str, bytes | None]]:
        """(path, bytes) of the file and its sidecar; no bytes where they are staged."""
        files = [(path, self.data)]
        if self.sidecar:
            files.append((sidecar_path(path), self.sidecar))
        return files

    def close(self) -> None:
        """Drop what was not published; idempotent."""
        if self.staged is not None:
            self.staged.close()


class Output:
    """Takes a data file's decoded bytes. Use `finish` or `abort`.

    Args:
        folder: where it is staged.
        algorithm: of the checksum, "" for none.
    """

    def __init__(self, store: Store, folder: str, compressor: Compressor, algorithm: str) -> None:
        self._store = store
        self._folder = folder
        self._algorithm = algorithm
        self._buffer = bytearray()
        self._staged: Staged | None = None
        self._hasher: BlockHasher | None = None
        self._compress = compressor.writer(_Stored(self))

    def write(self, data: Buffer) -> None:
        """Append decoded bytes."""
        self._compress.write(data)

    def finish(self, partition: str, stats: FileStats | None, rows: int) -> Part:
        """End the file: what is staged is durable then."""
        self._compress.finish()
        hasher = self._hasher or BlockHasher(self._algorithms())
        with hasher:
            if self._hasher is None:
                hasher.update(self._buffer)
            checksum = hasher.checksum(self._algorithm).hex if self._algorithm else ""
            blocks = hasher.blocks_sha256
            sidecar = hasher.sidecar() if blocks else b""
        if self._staged is not None:
            self._staged.prepare()
        return Part(
            partition=partition,
            size=hasher.size,
            checksum=checksum,
            blocks_sha256=blocks,
            stats=stats,
            rows=rows,
            data=None if self._staged is not None else bytes(self._buffer),
            staged=self._staged,
            sidecar=sidecar,
        )

    def abort(self) -> None:
        """Drop the file; idempotent."""
        if self._hasher is not None:
            self._hasher.close()
        if self._staged is not None:
            self._staged.close()

    def store_bytes(self, data: Buffer) -> None:
        """Append compressed bytes."""
        if self._staged is None:
            view = memoryview(data)
            if len(self._buffer) + view.nbytes <= IN_MEMORY:
                self._buffer += view
                return
            self._staged = self._store.stage(self._folder)
            self._hasher = BlockHasher(self._algorithms(), background=True)
            waiting, self._buffer = self._buffer, bytearray()
            if waiting:
                self._hasher.update(waiting)
                self._staged.write(waiting)
        assert self._hasher is not None
        self._hasher.update(data)
        self._staged.write(data)

    def _algorithms(self) -> tuple[str, ...]:
        return (self._algorithm,) if self._algorithm else ()


class _Stored:
    """The sink behind the compressor."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, data: Buffer) -> None:
        self._output.store_bytes(data)
