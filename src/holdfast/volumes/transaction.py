"""Several blocks in one snapshot, staged from any number of threads (spec/datasets.md §9.5)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from holdfast.errors import Invalid

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.snapshotting.commit import Expected
    from holdfast.snapshotting.lineage import Lineage
    from holdfast.volumes.manifest import BlockRef
    from holdfast.volumes.snapshot import VolumeSnapshot
    from holdfast.volumes.volume import Volume


class VolumeTransaction:
    """Made by `Volume.transaction`. What was staged when it is given up stays uncommitted: a later
    writer of the same bytes adopts it, else it is collected."""

    def __init__(
        self,
        volume: Volume,
        metadata: Mapping[str, Any] | None,
        lineage: Lineage,
        expected: Expected | None,
    ) -> None:
        self._volume = volume
        self._metadata = metadata
        self._lineage = lineage
        self._expected = expected
        self._lock = threading.Lock()
        self._blocks: list[BlockRef] = []
        self._ended = False
        self._snapshot: VolumeSnapshot | None = None

    @property
    def snapshot(self) -> VolumeSnapshot:
        """The snapshot, once it is committed. Raises `Invalid` before."""
        if self._snapshot is None:
            raise Invalid("asking for the snapshot of a transaction", found="it is not committed")
        return self._snapshot

    def stage_write_at(self, offset: int, data: Buffer | Iterable[Buffer]) -> BlockRef:
        """Write a block, as `Volume.stage_write_at`; it is committed with the others."""
        self._check_open()
        block = self._volume.stage_write_at(offset, data)
        with self._lock:
            self._check_open()
            self._blocks.append(block)
        return block

    def commit(self) -> VolumeSnapshot:
        """Commit what was staged, durable on return. Raises as `Volume.commit`."""
        with self._lock:
            self._check_open()
            self._ended = True
        self._snapshot = self._volume.commit_blocks(
            self._blocks, self._metadata, self._lineage, self._expected
        )
        return self._snapshot

    def abort(self) -> None:
        """Commit nothing; idempotent, and nothing happens after `commit`."""
        with self._lock:
            if not self._ended:
                self._ended = True
                self._volume.give_up(self._blocks)

    def _check_open(self) -> None:
        if self._ended:
            raise Invalid("using a transaction", self._volume, found="one that has ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.abort()
        elif not self._ended:
            self.commit()
