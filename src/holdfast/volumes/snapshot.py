"""A volume snapshot: its manifest, and what can be read of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from holdfast.clock import parse_rfc3339
from holdfast.errors import Invalid, NotFound
from holdfast.snapshotting.facts import SnapshotFacts
from holdfast.volumes.blocks import BlockIndex, Range, coverage
from holdfast.volumes.reading import VolumeFile

if TYPE_CHECKING:
    from holdfast.snapshotting.form import Stored
    from holdfast.snapshotting.verified_file import VerifiedFile
    from holdfast.volumes.manifest import BlockRef, VolumeManifest
    from holdfast.volumes.reading import BlockReader

_SHADES = " ░▒▓█"


@dataclass(frozen=True, slots=True)
class VolumeMap:
    """What of a volume is committed. Offsets and lengths in bytes."""

    total_length: int
    runs: tuple[Range, ...]
    """The parts that are there: neighbouring blocks joined."""

    @property
    def covered(self) -> int:
        """Bytes that are there."""
        return sum(run.length for run in self.runs)

    @property
    def complete(self) -> bool:
        """Whether every byte is there."""
        return self.covered == self.total_length

    @property
    def gaps(self) -> tuple[Range, ...]:
        """The parts that are not there."""
        return tuple(BlockIndex(self.runs, self.total_length).missing())

    def cells(self, count: int) -> list[float]:
        """How much of each of `count` equal parts is there, 0 to 1; never more cells than bytes."""
        return coverage(self.runs, self.total_length, count)

    def picture(self, width: int = 64) -> str:
        """A line of `width` characters, darker where more is there. Blank: nothing; full block:
        all."""
        full = len(_SHADES) - 1
        return "".join(
            _SHADES[full] if part == 1 else _SHADES[min(full - 1, 1 + int(part * (full - 1)))]
            if part
            else _SHADES[0]
            for part in self.cells(width)
        )  # fmt: skip


class VolumeSnapshot(SnapshotFacts["VolumeManifest"]):
    """One snapshot of a volume, immutable: all blocks that were committed up to it.

    Made by `Volume.commit`, `latest`, `at` and their like.
    """

    def __init__(self, volume: str, stored: Stored[VolumeManifest], reader: BlockReader) -> None:
        super().__init__(stored)
        self._volume = volume
        self._reader = reader

    @property
    def total_length(self) -> int:
        """Bytes of the address space."""
        return self.manifest.total_length

    @property
    def blocks(self) -> Sequence[BlockRef]:
        """All committed blocks, by offset."""
        return self.manifest.blocks

    @cached_property
    def index(self) -> BlockIndex[BlockRef]:
        """The blocks, for look-ups."""
        return BlockIndex(self.manifest.blocks, self.manifest.total_length)

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on, verified.

        Raises:
            RangeMissing: not all of them are committed; nothing is ever filled with zeros.
            Invalid: no bytes, or outside of the volume.
            Integrity: damaged.
        """
        return self._reader.read(self.index.find(offset, length), self.manifest.checksum_algorithm)

    def missing_ranges(self, offset: int = 0, length: int | None = None) -> list[Range]:
        """The gaps in a range (default: to the end), as (offset, length)."""
        return list(self.index.missing(offset, length))

    def map(self) -> VolumeMap:
        """What is there."""
        return VolumeMap(self.total_length, tuple(_runs(self.blocks)))

    def open(self) -> VolumeFile:
        """The snapshot as a seekable file for reading."""
        return VolumeFile(self)

    def open_block(self, block: BlockRef) -> VerifiedFile:
        """A block's file: `read_all`, `read_at`, `stream`."""
        return self._reader.fresh(block, self.manifest.checksum_algorithm)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VolumeSnapshot) and self._stored == other._stored

    def __hash__(self) -> int:
        return hash((self._stored.path, self._stored.sha256))

    def __str__(self) -> str:
        return f"snapshot {self.id} of volume {self._volume}"

    def __repr__(self) -> str:
        return f"VolumeSnapshot({self._volume!r}, {self.id!r}, blocks={len(self.blocks)})"


def newest_at(history: Iterable[VolumeSnapshot], when: str | datetime) -> VolumeSnapshot:
    """The newest snapshot of a history, newest first, that was there at a time.

    Raises:
        Invalid: a time without a zone, or a text that is none.
        NotFound: none was there.
    """
    if isinstance(when, datetime) and when.tzinfo is None:
        raise Invalid("looking for a snapshot at", when, found="a time without a zone")
    moment = parse_rfc3339(when if isinstance(when, str) else when.isoformat())
    for snapshot in history:
        if not snapshot.mark and parse_rfc3339(snapshot.created_at) <= moment:
            return snapshot
    raise NotFound("looking for a snapshot at", when, found="none that early")


def _runs(blocks: Sequence[BlockRef]) -> Iterator[Range]:
    start = end = -1
    for block in blocks:
        if block.offset != end:
            if end > start:
                yield Range(start, end - start)
            start = block.offset
        end = block.offset + block.length
    if end > start:
        yield Range(start, end - start)
