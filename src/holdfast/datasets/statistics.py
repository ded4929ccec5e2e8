"""Statistics of a data file: row count and per column bounds, nulls, distinct values (§7, §9.4).

What a bound means, so that nobody prunes a row away:

- It covers every value that is neither null nor NaN, under the order of the column's type: numbers
  by value, text by UTF-8 bytes (which is code point order), times by instant. NaN is outside all
  bounds: a condition that NaN fulfils (``!=``, ``not (x < 1)``) must not be decided by them.
- A column without bounds says nothing, a column that is not listed says nothing either.
- Numbers are the shortest text that reads back as the same float32 or float64, so a bound read as
  float64 may lie beside the value by less than half a step: `lower_bound` and `upper_bound` give
  numbers that are surely outside.
- Times and dates are text: compare them as times, in whole nanoseconds. A time without a zone
  counts as UTC.
- `distinct_count` is exact, nulls not counted, and left out above 1,024.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from holdfast.datasets.manifest import ColumnStats, FileStats
from holdfast.datasets.timestamps import instant, rfc3339_short

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_TEXT = 1024
"""UTF-8 bytes of the longest text that is stored as a bound."""

MOST_DISTINCT = 1024
"""Different values that are counted in one column."""
MOST_ROW_KEYS = 256
"""Rows with more different keys than this have no columns to speak of."""

DISTINCT_BYTES = 1 << 20
"""Of the different values that are remembered."""

_PROBE = 8192
_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_MS = 86_400_000


def lower_bound(value: float) -> float:
    """A number that no value of the column lies below, from the stored `min`."""
    return min([value, *_readings(value)])


def upper_bound(value: float) -> float:
    """A number that no value of the column lies above, from the stored `max`."""
    return max([value, *_readings(value)])


def _readings(value: float) -> list[float]:
    # A float32 or float64 whose shortest text is this number; huge integers are such texts too.
    import numpy as np

    try:
        wide = float(value)
    except OverflowError:
        return []
    with np.errstate(over="ignore"):
        narrow = float(np.float32(wide))
    return [wide, narrow] if math.isfinite(narrow) else [wide]


@dataclass(slots=True)
class _Bound:
    """The least or greatest value so far and, for a time, its zone's offset in minutes."""

    value: Any
    offset: int = 0


class _Column:
    """What is known about one column."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.null_count = 0
        self.kind = ""  # of its values: number, float32, text, date, a unit of time; "" unknown
        self.low: _Bound | None = None
        self.high: _Bound | None = None
        self.blocked = False  # no bounds for this column, whatever comes
        self._distinct: Any = None
        self._countable = True

    def add(self, kind: str, low: _Bound, high: _Bound) -> None:
        """Take in the bounds of more values; of equal values the first stays."""
        if self.kind not in ("", kind):
            self.blocked = True
        self.kind = kind
        if self.blocked:
            return
        if self.low is None or low.value < self.low.value:
            self.low = low
        if self.high is None or high.value > self.high.value:
            self.high = high

    def count(self, values: pa.ChunkedArray | pa.Array) -> None:
        """Take in values for the count of distinct ones, until there are too many."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._countable or self.blocked or not len(values):
            self._countable = self._countable and not self.blocked
            return
        if len(values) > _PROBE and len(pc.unique(values.slice(0, _PROBE))) > MOST_DISTINCT + 1:
            self._countable = False
            return
        found = pc.unique(values).drop_null()
        if self._distinct is not None:
            if found.type != self._distinct.type:  # integers, and then floats
                self.count_no_more()
                return
            found = pc.unique(pa.concat_arrays([self._distinct, found]))
        self._countable = len(found) <= MOST_DISTINCT and found.nbytes <= DISTINCT_BYTES
        self._distinct = found if self._countable else None

    def count_no_more(self) -> None:
        """Give up counting distinct values."""
        self._countable = False
        self._distinct = None

    def stats(self) -> ColumnStats:
        """As the manifest has it."""
        low, high = (None, None) if self.blocked else (self._text(self.low), self._text(self.high))
        if self.kind in ("number", "float32") and (infinite(low) or infinite(high)):
            low = high = None
        distinct = len(self._distinct) if self._countable and self._distinct is not None else None
        return ColumnStats(self.name, low, high, self.null_count, distinct)

    def _text(self, bound: _Bound | None) -> Any:
        if bound is None:
            return None
        if self.kind == "text":
            return bound.value if len(bound.value.encode()) <= LONGEST_TEXT else None
        if self.kind == "date":
            day = bound.value + _EPOCH_DAY
            inside = date.min.toordinal() <= day <= date.max.toordinal()
            return date.fromordinal(day).isoformat() if inside else None
        if self.kind in _UNIT_NS:
            return rfc3339_short(bound.value * _UNIT_NS[self.kind], bound.offset)
        if self.kind == "float32" and math.isfinite(bound.value):
            import numpy as np

            return float(str(np.float32(bound.value)))
        return bound.value


def infinite(value: Any) -> bool:
    """Whether it is an infinity."""
    return isinstance(value, float) and math.isinf(value)


class TableStats:
    """Statistics of Arrow tables of one schema.

    Args:
        schema: of every table that follows.
        order: column names in the order of the result; None: the schema's.
    """

    def __init__(self, schema: pa.Schema, order: Sequence[str] | None = None) -> None:
        self._rows = 0
        self._columns = {name: _Column(name) for name in schema.names}
        self._order = tuple(order) if order is not None else tuple(schema.names)

    def update(self, table: pa.Table, zoned: Mapping[str, Sequence[Any]] | None = None) -> None:
        """Take in a table. `zoned`: by column, the times as they were given, for their zones."""
        self._rows += table.num_rows
        for name, values in zip(table.column_names, table.columns, strict=True):
            _take(self._columns[name], values, (zoned or {}).get(name))

    def result(self) -> FileStats:
        """What was found."""
        return FileStats(self._rows, tuple(self._columns[name].stats() for name in self._order))


def _take(column: _Column, values: pa.ChunkedArray, zoned: Sequence[Any] | None = None) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        column.null_count += _dictionary_nulls(values)
        values = _used(values)
    else:
        column.null_count += values.null_count
    kind = _kind(values.type)
    if not kind:
        return
    if kind == "half":
        kind, values = "number", pc.cast(values, pa.float64())
    elif str(values.type) == "string_view":
        values = pc.cast(values, pa.large_string())
    column.count(values)
    ends = pc.min_max(values)
    least, greatest = ends["min"], ends["max"]
    if not least.is_valid:
        return
    is_time = kind in _UNIT_NS or kind == "date"
    low, high = (
        _Bound(end.value if is_time else _first_zero(values, end.as_py()))
        for end in (least, greatest)
    )
    if kind == "date" and pa.types.is_date64(values.type):
        # Parquet stores days, cut towards 1970, and so must the bounds be.
        low.value = int(math.copysign(abs(low.value) // _DAY_MS, low.value))
        high.value = int(math.copysign(abs(high.value) // _DAY_MS, high.value))
    if isinstance(low.value, float) and math.isnan(low.value):
        return  # nothing but NaN
    if zoned is not None and kind in _UNIT_NS:
        low.offset = instant(zoned[pc.index(values, least).as_py()])[1]
        high.offset = instant(zoned[pc.index(values, greatest).as_py()])[1]
    column.add(kind, low, high)


def _first_zero(values: pa.ChunkedArray, value: Any) -> Any:
    """Of 0.0 and -0.0, which are equal, the one that came first."""
    import pyarrow.compute as pc

    if isinstance(value, float) and value == 0.0:
        return values[pc.index(values, value).as_py()].as_py()
    return value


def _kind(kind: pa.DataType) -> str:
    """What bounds of the type are; "": it has none."""
    from pyarrow import types

    if types.is_integer(kind) or types.is_float64(kind):
        return "number"
    if types.is_float32(kind):
        return "float32"
    if types.is_float16(kind):
        return "half"
    if types.is_timestamp(kind):
        return str(kind.unit)
    if types.is_date(kind):
        return "date"
    return "text" if str(kind) in ("string", "large_string", "string_view") else ""


def _used(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values of a dictionary column, each only once for every chunk."""
    import pyarrow as pa

    used = [c.dictionary.take(c.indices.unique().drop_null()) for c in values.chunks]
    return pa.chunked_array(used, values.type.value_type)


def _dictionary_nulls(values: pa.ChunkedArray) -> int:
    count = 0
    for chunk in values.chunks:
        # A value of the dictionary may be null too.
        plain = chunk.dictionary_decode() if chunk.dictionary.null_count else chunk
        count += plain.null_count
    return count
