"""The manifest of a dataset's snapshot (spec/datasets.md §3); its presence is the commit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any

from holdfast.datasets.file_ref import ColumnStats, FileRef, FileStats
from holdfast.datasets.quick_files import quick_files
from holdfast.errors import Invalid, ManifestInvalid
from holdfast.snapshotting.fields import Fields
from holdfast.snapshotting.lineage import Lineage, lineage_fields, read_lineage
from holdfast.snapshotting.manifest_json import Ordered, Rendered, decode, encode
from holdfast.snapshotting.schema import (
    FORMAT_VERSION,
    check_id,
    check_schema,
    check_writable,
    present,
)

__all__ = ["SCHEMA_NAME", "ColumnStats", "DatasetManifest", "FileRef", "FileStats",
           "decode_manifest", "encode_manifest"]  # fmt: skip

SCHEMA_NAME = "lode-manifest"


@dataclass(frozen=True, slots=True)
class DatasetManifest:
    """A snapshot of a dataset. Times are RFC 3339 text; "" stands for none in optional fields."""

    dataset_id: str
    snapshot_id: str
    created_at: str
    metadata: dict[str, Any]
    files: tuple[FileRef, ...]
    parent_snapshot_id: str = ""
    row_count: int = 0
    min_timestamp: str = ""
    max_timestamp: str = ""
    codec: str = ""
    compressor: str = "noop"
    partitioner: str = "noop"
    checksum_algorithm: str = ""
    lineage: Lineage | None = None
    mark: str = ""


def encode_manifest(manifest: DatasetManifest) -> bytes:
    """Its bytes; files are sorted by path. A file that was in a manifest before costs little.

    Raises:
        Invalid: something that `decode_manifest` would refuse, metadata that JSON cannot hold, or
            the same path twice.
    """
    files = sorted(manifest.files, key=attrgetter("path"))
    target = f"snapshot {manifest.snapshot_id} of dataset {manifest.dataset_id}"
    for one, other in pairwise(files):
        if one.path == other.path:
            raise Invalid("writing the manifest of", target, found=f"{one.path} stands twice in it")
    entries = [file.entry for file in files]
    usual = None not in entries
    fields = present(
        [
            ("schema_name", SCHEMA_NAME),
            ("format_version", FORMAT_VERSION),
            ("dataset_id", manifest.dataset_id),
            ("snapshot_id", manifest.snapshot_id),
            ("created_at", manifest.created_at),
            ("metadata", manifest.metadata),
            ("files", [] if usual else [_file_fields(file) for file in files]),
            ("parent_snapshot_id?", manifest.parent_snapshot_id),
            ("row_count", manifest.row_count),
            ("min_timestamp?", manifest.min_timestamp),
            ("max_timestamp?", manifest.max_timestamp),
            ("codec?", manifest.codec),
            ("compressor", manifest.compressor),
            ("partitioner", manifest.partitioner),
            ("checksum_algorithm?", manifest.checksum_algorithm),
            *lineage_fields(manifest.lineage, manifest.mark),
        ]
    )
    check_writable(_read_manifest, fields, target)
    if usual and entries:
        fields["files"] = Rendered(f"[{','.join(filter(None, entries))}\n  ]")
    return encode(fields)


def decode_manifest(data: bytes, path: str) -> DatasetManifest:
    """The manifest in `data`; `path` is where it was read, for messages. Takes time in proportion
    to the number of files.

    Unknown fields are ignored. ``"files": null`` is read where a codec is named: the original
    writes it for no records.

    Raises:
        ManifestInvalid: not JSON, a duplicate key, trailing bytes, a missing or wrong field, or a
            file whose path could leave the store.
        Unsupported: another schema, a newer major version, or an unknown mark.
    """
    found = quick_files(data)
    if found is not None:
        files, rest = found
        try:
            value = decode(rest, path)
        except ManifestInvalid:
            value = {}  # below, with the offset in the whole
        if value.get("files") == []:
            return _read_manifest(value, path, files)
    return _read_manifest(decode(data, path), path)


def _file_fields(file: FileRef) -> Ordered:
    return present(
        [
            ("path", file.path),
            ("size_bytes", file.size_bytes),
            ("checksum?", file.checksum),
            ("stats?", None if file.stats is None else _stats_fields(file.stats)),
            ("blocks_sha256?", file.blocks_sha256),
        ]
    )


def _stats_fields(stats: FileStats) -> Ordered:
    columns = [_column_fields(column) for column in stats.columns]
    return present([("row_count", stats.row_count), ("columns?", columns)])


def _column_fields(column: ColumnStats) -> Ordered:
    fields = Ordered(name=column.name)
    # A minimum of 0 or "" is one: only None is left out.
    for name, value in (("min", column.min), ("max", column.max)):
        if value is not None:
            fields[name] = value
    fields["null_count"] = column.null_count
    if column.distinct_count:
        fields["distinct_count"] = column.distinct_count
    return fields


def _read_manifest(
    value: dict[str, Any], path: str, decoded: tuple[FileRef, ...] = ()
) -> DatasetManifest:
    """`decoded`: the files, where they are decoded already."""
    fields = Fields(value, path)
    check_schema(fields, SCHEMA_NAME, path)
    lineage, mark = read_lineage(fields, path)
    codec = fields.text("codec")
    if fields.items("files") is None and not (codec and "files" in value):
        raise fields.wrong("files", "required")
    return DatasetManifest(
        dataset_id=fields.text("dataset_id", required=True),
        snapshot_id=check_id(fields, "snapshot_id", required=True),
        created_at=fields.time("created_at", required=True),
        metadata=fields.mapping("metadata"),
        files=decoded or tuple(_read_file(file) for file in fields.objects("files")),
        parent_snapshot_id=check_id(fields, "parent_snapshot_id"),
        row_count=fields.integer("row_count"),
        min_timestamp=fields.time("min_timestamp"),
        max_timestamp=fields.time("max_timestamp"),
        codec=codec,
        compressor=fields.text("compressor", required=True),
        partitioner=fields.text("partitioner", required=True),
        checksum_algorithm=fields.text("checksum_algorithm"),
        lineage=lineage,
        mark=mark,
    )


def _read_file(fields: Fields) -> FileRef:
    stats = fields.object("stats")
    return FileRef(
        path=fields.store_path("path"),
        size_bytes=fields.integer("size_bytes"),
        checksum=fields.text("checksum"),
        stats=None if stats is None else _read_stats(stats),
        blocks_sha256=fields.text("blocks_sha256"),
    )


def _read_stats(fields: Fields) -> FileStats:
    return FileStats(
        row_count=fields.integer("row_count"),
        columns=tuple(_read_column(column) for column in fields.objects("columns")),
    )


def _read_column(fields: Fields) -> ColumnStats:
    return ColumnStats(
        name=fields.text("name"),
        min=fields.any("min"),
        max=fields.any("max"),
        null_count=fields.integer("null_count"),
        distinct_count=fields.integer("distinct_count") or None,
    )
