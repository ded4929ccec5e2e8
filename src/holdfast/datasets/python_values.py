"""Arrow columns as lists of Python values, times exact to the nanosecond."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from holdfast.datasets.timestamps import NanoTime
from holdfast.errors import Unsupported

if TYPE_CHECKING:
    import pyarrow as pa


def values_of(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values, None for null.

    Raises:
        Unsupported: durations and times of day with digits below the microsecond.
        ValueError, OverflowError: times outside the years 1 to 9999.
    """
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks != 1:
            return [value for chunk in column.chunks for value in values_of(chunk)]
        column = column.chunk(0)
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _times(column)
    if "[ns" not in str(kind):
        if not column.null_count and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            values: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
            return values
        return column.to_pylist()  # type: ignore[no-any-return]
    return _exact(column)


def _exact(column: pa.Array) -> list[Any]:
    """The values of a type that has nanoseconds somewhere."""
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_time(kind) or types.is_duration(kind):
        coarse = pa.time64("us") if types.is_time(kind) else pa.duration("us")
        try:
            return column.cast(coarse).to_pylist()  # type: ignore[no-any-return]
        except pa.ArrowInvalid:
            raise Unsupported(
                "reading rows",
                found=f"{kind} with digits below the microsecond",
                hint="read it as a table, with to_arrow()",
            ) from None
    if types.is_dictionary(kind):
        return values_of(column.dictionary_decode())
    valid = column.is_valid().to_pylist()
    if types.is_struct(kind):
        names = [kind.field(at).name for at in range(kind.num_fields)]
        fields = [values_of(column.field(at)) for at in range(kind.num_fields)]
        rows = zip(*fields, strict=True)
        return [
            dict(zip(names, row, strict=True)) if there else None
            for there, row in zip(valid, rows, strict=True)
        ]
    if types.is_map(kind):
        pairs = list(zip(values_of(column.keys), values_of(column.items), strict=True))
        return _cut(pairs, column.offsets, valid)
    if types.is_list(kind) or types.is_large_list(kind):
        return _cut(values_of(column.values), column.offsets, valid)
    # Fixed-size lists and rarer ones: value by value.
    return [values_of(scalar.values) if scalar.is_valid else None for scalar in column]


def _cut(values: list[Any], offsets: pa.Array, valid: list[bool]) -> list[Any]:
    ends = offsets.to_pylist()
    return [values[ends[at] : ends[at + 1]] if there else None for at, there in enumerate(valid)]


def _times(column: pa.Array) -> list[Any]:
    import numpy as np
    import pyarrow as pa

    kind = column.type
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    counts = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    low, high = (edge // _MICROS[kind.unit] for edge in (_FIRST, _LAST))
    below = None
    if kind.unit == "ns":
        micros, below = np.divmod(counts, 1000)
    elif counts.size and (counts.min() < low or counts.max() > high):
        raise ValueError("a time outside the years 1 to 9999")
    else:
        micros = counts * _MICROS[kind.unit]
    if kind.tz in (None, "UTC"):
        values: list[Any] = micros.astype("M8[us]").tolist()
        if kind.tz is not None:
            values = [value.replace(tzinfo=UTC) for value in values]
        for at in np.flatnonzero(~valid).tolist():
            values[at] = None
    else:
        values = pa.array(micros, pa.timestamp("us", kind.tz), mask=~valid).to_pylist()
    if below is not None and below.any():
        for at in np.flatnonzero(below).tolist():
            values[at] = NanoTime.of(int(counts[at]), values[at].tzinfo)
    return values


_MICROS = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 1}
_FIRST = -62_135_596_800_000_000
_LAST = 253_402_300_799_999_999
