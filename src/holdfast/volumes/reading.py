"""Reading the blocks of a volume, verified, and the volume as a file."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from holdfast.digests import Digest
from holdfast.errors import RangeMissing
from holdfast.snapshotting.seekable import SeekableReader
from holdfast.snapshotting.verified_file import VerifiedFile, Verify, VerifyRanges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.store.protocol import Store
    from holdfast.volumes.blocks import Piece
    from holdfast.volumes.manifest import BlockRef
    from holdfast.volumes.snapshot import VolumeSnapshot

KEPT_FILES = 32
"""Blocks of which a volume keeps what was verified last: at most 2 MiB of each that has block
hashes, all of each that is smaller than 1 MiB."""

_KEPT_BLOCKS = 2


class BlockReader:
    """Reads blocks of one volume; safe in several threads."""

    def __init__(self, store: Store, verify: Verify, verify_ranges: VerifyRanges) -> None:
        self._store = store
        self._verify = verify
        self._verify_ranges = verify_ranges
        self._files: OrderedDict[BlockRef, VerifiedFile] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, pieces: Sequence[Piece[BlockRef]], algorithm: str) -> bytes:
        """The bytes of the pieces, in order.

        Raises:
            Integrity: they are not those of the manifest.
            NotFound: a block's file is gone.
        """
        parts = [self.file(p.block, algorithm).read_at(p.start, p.length) for p in pieces]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def file(self, block: BlockRef, algorithm: str) -> VerifiedFile:
        """The file of a block. `algorithm` is that of its checksum, as in its manifest."""
        with self._lock:
            file = self._files.get(block)
            if file is not None:
                self._files.move_to_end(block)
                return file
            file = self._files[block] = self.fresh(block, algorithm)
            while len(self._files) > KEPT_FILES:
                self._files.popitem(last=False)
            return file

    def fresh(self, block: BlockRef, algorithm: str) -> VerifiedFile:
        """The file of a block, with nothing kept of it."""
        return VerifiedFile(
            self._store,
            block.path,
            size=block.length,
            checksum=Digest(algorithm, block.checksum) if block.checksum else None,
            blocks_sha256=block.blocks_sha256,
            verify=self._verify,
            verify_ranges=self._verify_ranges,
            keep_blocks=_KEPT_BLOCKS,
        )


class VolumeFile(SeekableReader):
    """A snapshot of a volume as a seekable file for reading, as long as its address space.

    A read ends before a gap, and one that begins in a gap raises `RangeMissing`: nothing is ever
    filled with zeros.
    """

    def __init__(self, snapshot: VolumeSnapshot) -> None:
        super().__init__(snapshot)
        self._snapshot = snapshot

    def size(self) -> int:
        return self._snapshot.total_length

    def read_some(self, offset: int, length: int) -> bytes:
        try:
            return self._snapshot.read_at(offset, length)
        except RangeMissing as error:
            before: int = error.details["missing_offset"] - offset
            if not before:
                raise
            return self._snapshot.read_at(offset, before)

    def read_rest(self, offset: int) -> bytes:
        left = self.size() - offset
        return self._snapshot.read_at(offset, left) if left else b""
