"""What others may ask of a volume: the two sides of it, apart (spec/datasets.md §8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Buffer

    from holdfast.volumes.blocks import Range
    from holdfast.volumes.manifest import BlockRef
    from holdfast.volumes.snapshot import VolumeSnapshot


class VolumeWriter(Protocol):
    """Whoever fills a volume needs this."""

    def stage_write_at(self, offset: int, data: Buffer | Iterable[Buffer]) -> BlockRef:
        """Write a block, durable and invisible on return."""

    def commit(
        self, blocks: Iterable[BlockRef], metadata: Mapping[str, Any] | None = None
    ) -> VolumeSnapshot:
        """Make staged blocks visible, all in one snapshot."""

    def missing_ranges(self, offset: int = 0, length: int | None = None) -> list[Range]:
        """What is not committed yet."""


class VolumeReader(Protocol):
    """Whoever reads a volume needs this."""

    def latest(self) -> VolumeSnapshot:
        """The newest snapshot."""

    def snapshot(self, id: str) -> VolumeSnapshot:
        """The snapshot with this id."""

    def snapshots(self) -> Iterator[VolumeSnapshot]:
        """All snapshots, oldest first."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the newest snapshot, verified."""
