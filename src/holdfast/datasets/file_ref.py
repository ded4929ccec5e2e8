"""The data files that a dataset's manifest names, and their text in it (spec/datasets.md §3).

Structs and not dataclasses: a manifest may name 100,000 files.
"""

from __future__ import annotations

import math
import sys
from functools import cached_property
from typing import Any

import msgspec

from holdfast.errors import InvalidPath
from holdfast.snapshotting.fields import MAX_INT64
from holdfast.snapshotting.manifest_json import go_float, string
from holdfast.store.paths import check_path

# Beyond it the original's reader refuses an integer.
MAX_BOUND = int(sys.float_info.max)


class ColumnStats(msgspec.Struct, frozen=True, gc=False):
    """What a column of a file holds. `min` and `max` are JSON values, times as RFC 3339 text; None
    where they are not known. `distinct_count` is an estimate; None or 0: not known."""

    name: str
    min: Any = None
    max: Any = None
    null_count: int = 0
    distinct_count: int | None = None


class FileStats(msgspec.Struct, frozen=True, gc=False):
    """What a file holds: rows, and its columns in the schema's order."""

    row_count: int
    columns: tuple[ColumnStats, ...] = ()


class FileRef(msgspec.Struct, frozen=True, dict=True):
    """A data file. `path` is relative to the store; size and checksum (lower hex, "" for none) are
    of the stored, compressed bytes; `blocks_sha256` is the SHA-256 of its sidecar, "" for none."""

    path: str
    size_bytes: int
    checksum: str = ""
    stats: FileStats | None = None
    blocks_sha256: str = ""

    @cached_property
    def entry(self) -> str | None:
        """Its text in a manifest, as `manifest_json.encode` would write it there; None where
        something about it needs a closer look. Kept: an append repeats its parent's files."""
        try:
            return _entry(self)
        except _Unusual:
            return None


class _Unusual(Exception):
    """Perhaps wrong, perhaps only rare."""


def _entry(file: FileRef) -> str:
    if not _is_count(file.size_bytes):
        raise _Unusual
    text = f'\n    {{\n      "path": {_path(file.path)},\n      "size_bytes": {file.size_bytes}'
    if file.checksum != "":
        text += f',\n      "checksum": {_text(file.checksum)}'
    if file.stats is not None:
        text += f',\n      "stats": {_stats(file.stats)}'
    if file.blocks_sha256 != "":
        text += f',\n      "blocks_sha256": {_text(file.blocks_sha256)}'
    return text + "\n    }"


def _stats(stats: FileStats) -> str:
    if type(stats) is not FileStats or type(stats.columns) is not tuple:
        raise _Unusual
    if not _is_count(stats.row_count):
        raise _Unusual
    text = f'{{\n        "row_count": {stats.row_count}'
    if stats.columns:
        columns = ",".join([_column(column) for column in stats.columns])
        text += f',\n        "columns": [{columns}\n        ]'
    return text + "\n      }"


def _column(column: ColumnStats) -> str:
    nulls, distinct = column.null_count, column.distinct_count
    if type(column) is not ColumnStats or not _is_count(nulls):
        raise _Unusual
    # A minimum of 0 or "" is one: only None is left out.
    low = "" if column.min is None else f',\n            "min": {_bound(column.min)}'
    high = "" if column.max is None else f',\n            "max": {_bound(column.max)}'
    last = ""
    if distinct is not None:
        if not _is_count(distinct):
            raise _Unusual
        if distinct:
            last = f',\n            "distinct_count": {distinct}'
    return (
        f'\n          {{\n            "name": {_text(column.name)}{low}{high}'
        f',\n            "null_count": {nulls}{last}\n          }}'
    )


def _path(path: str) -> str:
    try:
        return _text(check_path(path))
    except InvalidPath:
        raise _Unusual from None


def _text(value: str) -> str:
    if type(value) is not str:
        raise _Unusual
    return string(value)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT64


def _bound(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return string(value)
    if kind is int and -MAX_BOUND <= value <= MAX_BOUND:
        return int.__repr__(value)
    if kind is float and math.isfinite(value):
        if 1e-4 <= abs(value) < 1e16:  # which Python prints as Go does, but for a last ".0"
            return float.__repr__(value).removesuffix(".0")
        return go_float(value)
    if kind is bool:
        return "true" if value else "false"
    raise _Unusual
