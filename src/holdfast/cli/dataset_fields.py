"""The JSON fields of dataset and volume snapshots (docs/guide/cli.md has them in tables)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.datasets.tags import Tag
    from holdfast.volumes.snapshot import VolumeSnapshot


def dataset_snapshot_fields(snapshot: DatasetSnapshot) -> dict[str, Any]:
    """A snapshot of a dataset."""
    manifest = snapshot.manifest
    lineage = manifest.lineage
    return {
        "snapshot": snapshot.id,
        "parent": snapshot.parent,
        "created": snapshot.created_at,
        "author": None if lineage is None else lineage.author or None,
        "message": snapshot.message,
        "rows": snapshot.row_count,
        "files": len(snapshot.files),
        "bytes": sum(file.size_bytes for file in snapshot.files),
        "codec": manifest.codec or "raw",
        "compressor": manifest.compressor,
        "partitioner": manifest.partitioner,
        "mark": manifest.mark or None,
        "metadata": dict(snapshot.metadata),
    }


def volume_snapshot_fields(snapshot: VolumeSnapshot) -> dict[str, Any]:
    """A snapshot of a volume."""
    lineage = snapshot.manifest.lineage
    return {
        "snapshot": snapshot.id,
        "parent": snapshot.parent,
        "created": snapshot.created_at,
        "author": None if lineage is None else lineage.author or None,
        "message": snapshot.message,
        "total_length": snapshot.total_length,
        "blocks": len(snapshot.blocks),
        "bytes": sum(block.length for block in snapshot.blocks),
        "mark": snapshot.mark or None,
        "metadata": dict(snapshot.metadata),
    }


def tag_fields(tag: Tag) -> dict[str, Any]:
    """A tag."""
    return {
        "name": tag.name,
        "snapshot": tag.snapshot_id,
        "time": tag.time,
        "author": tag.author,
        "message": tag.message,
    }
