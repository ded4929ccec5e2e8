"""Hive partitions (spec/datasets.md §4): ``key=value`` segments of a path, values as text that is
percent-encoded. Values are spelled as the original's ``%v`` spells them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from holdfast.errors import Invalid, InvalidPath, SchemaViolation
from holdfast.snapshotting.go_numbers import go_float_v, is_numpy_float
from holdfast.snapshotting.rfc3339 import is_time, time_text
from holdfast.store.paths import MAX_COMPONENT, check_path

if TYPE_CHECKING:
    import pyarrow as pa

_DOING = "partitioning by"
_SAFE = "-_.~$&+=:@"
NIL = "<nil>"
"""The text of a null."""
_MAX_DEPTH = 64


def partition_segment(key: str, value: Any) -> str:
    """``key=value``, the value encoded.

    Text may hold bytes that are no UTF-8, as surrogates of ``surrogateescape``. A naive time
    counts as local: its own date is taken.

    Raises:
        Invalid: over 255 bytes, or a key that no path can hold.
        SchemaViolation: a value of a type that has no text.
    """
    text = partition_text(key, value)
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise SchemaViolation(_DOING, key, found="a value with a lone surrogate") from None
    segment = f"{key}={quote_from_bytes(data, safe=_SAFE)}"
    if (
        len(segment) > MAX_COMPONENT // 4
        and len(segment.encode("utf-8", "replace")) > MAX_COMPONENT
    ):
        raise Invalid(
            _DOING,
            key,
            found=f"a value whose segment has {len(segment)} characters once encoded",
            expected=f"at most {MAX_COMPONENT} bytes",
            hint="partition by a shorter column",
        )
    if "/" in key:
        raise InvalidPath(_DOING, repr(key), found="a key with a slash")
    return check_path(segment)


def partition_text(key: str, value: Any, depth: int = 0) -> str:
    """The text of a value, not yet encoded; `key` is for messages.

    Raises:
        SchemaViolation: a type that has no text.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return NIL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float) or is_numpy_float(value):
        return go_float_v(value)
    if is_time(value) and depth == 0:
        return _local_date(key, value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.bool_, numpy.integer)):
        return partition_text(key, value.item(), depth)
    if depth > _MAX_DEPTH:
        raise SchemaViolation(_DOING, key, found=f"nesting deeper than {_MAX_DEPTH}")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"[{' '.join(map(str, bytes(value)))}]"
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(partition_text(key, item, depth + 1) for item in value)}]"
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        items = (f"{k}:{partition_text(key, value[k], depth + 1)}" for k in sorted(value))
        return f"map[{' '.join(items)}]"
    raise SchemaViolation(
        _DOING,
        key,
        found=f"a value of type {type(value).__name__}",
        expected="text, a number, a boolean, a time or null",
    )


def _local_date(key: str, value: date | Any) -> str:
    try:
        # numpy's times have no zone of their own: they are UTC, and time_text says so.
        text = value.isoformat() if isinstance(value, date) else time_text(value)
    except (Invalid, ValueError):
        text = "NaT"
    if text == "NaT":
        raise SchemaViolation(_DOING, key, found="NaT")
    return text[:10]


def partition_path(keys: Sequence[str], get: Callable[[str], Any]) -> str:
    """The partition of a record: a segment for each key, in their order. `get` gives the value of
    a key and raises KeyError where the record has none.

    Raises:
        SchemaViolation: a key is missing, or its value has no text.
        Invalid: a segment over 255 bytes.
    """
    segments = []
    for key in keys:
        try:
            value = get(key)
        except KeyError:
            raise SchemaViolation(_DOING, key, found="a record without it") from None
        segments.append(partition_segment(key, value))
    return "/".join(segments)


def partition_of(path: str) -> str:
    """The partition in the path of a data file or manifest: ``k1=v1/k2=v2``; "" where the path has
    none."""
    parts = path.split("/")
    if len(parts) > 3 and parts[0] == "datasets" and parts[2] == "partitions":
        # A data file lies a folder deeper than a manifest.
        for end in (-4, -3):
            if len(parts) + end > 3 and parts[end] == "segments":
                return "/".join(parts[3:end])
    return ""


def parse_partition(path: str, keys: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """Key and decoded text of each segment of a partition, or of the path of a file in one. Bytes
    that are no UTF-8 become surrogates (``surrogateescape``). `keys`, where they are known, tell
    a ``=`` of the key from that of the value.

    Raises:
        Invalid: a segment without ``=``, or other keys than `keys`.
    """
    partition = partition_of(path) or ("" if path.startswith("datasets/") else path)
    segments = partition.split("/") if partition else []
    if keys and len(keys) != len(segments):
        found = f"{len(segments)} keys"
        raise Invalid("reading the partition", path, found=found, expected=f"{len(keys)}")
    out = []
    for i, segment in enumerate(segments):
        key = keys[i] if keys else segment.partition("=")[0]
        if not segment.startswith(f"{key}="):
            raise Invalid("reading the partition", path, found=f"{segment!r}", expected=f"{key}=…")
        data = unquote_to_bytes(segment[len(key) + 1 :])
        out.append((key, data.decode("utf-8", "surrogateescape")))
    return tuple(out)


def partition_keys(path: str) -> tuple[str, ...]:
    """The keys in the path of a file, as far as its ``=`` tell them; () where it has none."""
    return tuple(key for key, _ in parse_partition(path))


def partition_chunk(
    chunk: Sequence[Any] | pa.Table, keys: Sequence[str]
) -> Iterator[tuple[str, Sequence[Any] | pa.Table]]:
    """The parts of a chunk, each with its partition; records keep their order in a part.

    Raises:
        SchemaViolation: a record without a key, or that is no object; names its index in the chunk.
        Invalid: a segment over 255 bytes.
    """
    if hasattr(chunk, "column_names"):
        return _table_parts(chunk, keys)
    return iter(_row_parts(chunk, keys).items())


def _row_parts(rows: Sequence[Any], keys: Sequence[str]) -> dict[str, list[Any]]:
    parts: dict[str, list[Any]] = {}
    known: dict[tuple[str, ...], str] = {}
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            found = f"record {index} of type {type(row).__name__}, which has no keys"
            raise SchemaViolation("partitioning", found=found, record=index)
        try:
            values = tuple([row[key] for key in keys])
        except KeyError:
            missing = next(key for key in keys if key not in row)
            raise SchemaViolation(
                _DOING,
                missing,
                found=f"record {index} has no such key",
                record=index,
                field=missing,
            ) from None
        # Only texts are remembered: 1, 1.0 and True are one key of a dict and three values.
        texts = all(type(value) is str for value in values)
        path = known.get(values) if texts else None
        if path is None:
            path = partition_path(keys, row.__getitem__)
            if texts:
                known[values] = path
        parts.setdefault(path, []).append(row)
    return parts


def _table_parts(table: pa.Table, keys: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    import numpy as np
    import pyarrow as pa

    codes = np.zeros(len(table), dtype=np.int64)
    texts: list[list[str]] = []
    for key in keys:
        if key not in table.column_names:
            raise SchemaViolation(_DOING, key, found="a table without this column", field=key)
        column_codes, segments = _column_segments(key, table.column(key))
        codes = codes * len(segments) + column_codes
        # After each key the codes are made dense, so that their product stays small.
        distinct, codes = np.unique(codes, return_inverse=True)
        before = texts or [[]]
        texts = [[*before[c // len(segments)], segments[c % len(segments)]] for c in distinct]
    paths = ["/".join(parts) for parts in texts]
    # Values that are told apart may have one text.
    places: dict[str, int] = {}
    group = np.array([places.setdefault(path, len(places)) for path in paths], dtype=np.int64)
    codes = group[codes] if len(paths) else codes
    rows = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[rows], np.arange(len(places) + 1))
    for number, path in enumerate(places):
        wanted = rows[starts[number] : starts[number + 1]]
        yield path, (table if len(places) == 1 else table.take(pa.array(wanted)))


def _column_segments(key: str, column: pa.ChunkedArray) -> tuple[Any, list[str]]:
    """For each row the number of its segment, and the segments."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_timestamp(kind):
        column = (pc.local_timestamp(column) if kind.tz else column).cast(pa.date32(), safe=False)
    try:
        coded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    except pa.ArrowNotImplementedError:
        raise SchemaViolation(_DOING, key, found=f"a column of type {kind}", field=key) from None
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    values = coded.dictionary.to_pylist()
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        narrow = np.float32 if pa.types.is_float32(kind) else np.float16
        values = [None if value is None else narrow(value) for value in values]
    segments = [partition_segment(key, value) for value in values]
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), segments or [""]
