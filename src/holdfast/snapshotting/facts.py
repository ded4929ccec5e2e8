"""What the snapshots of datasets and of volumes say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic

from holdfast.snapshotting.form import M, Stored


class SnapshotFacts(Generic[M]):
    """The facts of one snapshot, from its manifest."""

    def __init__(self, stored: Stored[M]) -> None:
        self._stored = stored

    @property
    def id(self) -> str:
        """The snapshot's id: decimal Unix nanoseconds."""
        return self._stored.id

    @property
    def manifest(self) -> M:
        """What the manifest says."""
        return self._stored.manifest

    @property
    def manifest_path(self) -> str:
        """Where the manifest lies in the store."""
        return self._stored.path

    @property
    def manifest_sha256(self) -> str:
        """SHA-256 of the manifest's bytes, which fixes every byte below it."""
        return self._stored.sha256

    @property
    def parent(self) -> str | None:
        """Id of the snapshot below, or None."""
        return self.manifest.parent_snapshot_id or None

    @property
    def created_at(self) -> str:
        """When it was made: RFC 3339."""
        return self.manifest.created_at

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What its writer said of it."""
        return self.manifest.metadata

    @property
    def message(self) -> str | None:
        """What its writer said in a line, or None."""
        lineage = self.manifest.lineage
        return None if lineage is None else lineage.message

    @property
    def mark(self) -> str:
        """Empty, or why this snapshot stands in for another: ``healed``, ``gc``,
        ``replacement``."""
        return self.manifest.mark
