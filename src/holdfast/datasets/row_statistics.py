"""Statistics of rows that are stored as JSON (§9.4); what they mean is said in `statistics`.

Values of a few thousand rows are looked at in Python, which costs less there than calls of Arrow;
numbers of longer slices by Arrow. Text is always looked at in Python: where few values are
different, a set is the quickest way to them, and its least member is that of the column.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from holdfast.datasets.manifest import ColumnStats, FileStats
from holdfast.datasets.statistics import (
    DISTINCT_BYTES,
    LONGEST_TEXT,
    MOST_DISTINCT,
    MOST_ROW_KEYS,
    infinite,
)

_FEW = 2048
"""Values up to which numbers are looked at in Python."""

_NONE = type(None)
_KINDS = {"int64": "number", "uint64": "number", "double": "number", "string": "text"}


@dataclass(slots=True)
class _Found:
    """What a slice of a column holds.

    Attributes:
        form: int64, uint64, double or string; "null" for nothing but nulls; "" for values of no
            common order.
        nulls: how many are null.
        low, high: the bounds; None where there is none.
        distinct: the different values, those of before left out or not; None where there are too
            many, or nobody asked.
    """

    form: str
    nulls: int
    low: Any = None
    high: Any = None
    distinct: set[Any] | None = None


class _Column:
    """What is known about one key."""

    __slots__ = ("countable", "distinct", "form", "high", "kind", "low", "name", "nulls")

    def __init__(self, name: str, nulls: int) -> None:
        self.name = name
        self.nulls = nulls
        self.kind = ""  # number or text; mixed: no bounds, whatever comes; "": unknown
        self.form = ""  # of the values that are counted
        self.low: Any = None
        self.high: Any = None
        self.countable = True
        self.distinct: set[Any] = set()

    def update(self, values: Sequence[Any]) -> None:
        """Take in the values of more rows."""
        if self.kind == "mixed":
            self.nulls += sum(value is None for value in values)
            return
        if self.countable and (self.kind == "text" or type(values[0]) is str):
            found = _few_texts(values, self.distinct)
            if found is not None:
                self.add(found)
                return
        self.add(_look(values, counted=self.countable))

    def add(self, found: _Found) -> None:
        """Take in what more rows hold; of equal bounds the first stays."""
        self.nulls += found.nulls
        if found.form == "null":
            return
        kind = _KINDS.get(found.form, "mixed")
        if self.kind not in ("", kind):
            kind = "mixed"
        self.kind = kind
        if kind == "mixed":
            self.countable, self.distinct = False, set()
            return
        if self.countable:
            self._count(found)
        if found.low is None:
            return
        if self.low is None or found.low < self.low:
            self.low = found.low
        if self.high is None or found.high > self.high:
            self.high = found.high

    def _count(self, found: _Found) -> None:
        # Integers, and then floats: the same number may be among both.
        if found.distinct is not None and self.form in ("", found.form):
            self.form = found.form
            if found.distinct <= self.distinct:
                return
            self.distinct |= found.distinct
            if len(self.distinct) <= MOST_DISTINCT and self._size() <= DISTINCT_BYTES:
                return
        self.countable, self.distinct = False, set()

    def _size(self) -> int:
        """Bytes of the different values, text as UTF-8."""
        return len("".join(self.distinct).encode()) if self.kind == "text" else 0

    def stats(self) -> ColumnStats:
        """As the manifest has it."""
        low, high = self.low, self.high
        if self.kind == "mixed" or infinite(low) or infinite(high):
            low = high = None
        if self.kind == "text":
            low, high = _short(low), _short(high)
        distinct = len(self.distinct) if self.countable and self.form else None
        return ColumnStats(self.name, low, high, self.nulls, distinct)


def _short(text: str) -> str | None:
    return text if len(text.encode()) <= LONGEST_TEXT else None


def _look(values: Sequence[Any], *, counted: bool) -> _Found:
    """What `values` are. `counted`: the different ones are asked for."""
    if len(values) > _FEW:
        if not counted and type(values[0]) is int:
            found = _many_integers(values)
            if found is not None:
                return found
        return _by_arrow(values, counted=counted)
    kinds = set(map(type, values))
    nulls = 0
    if _NONE in kinds and len(kinds) <= 2:
        kinds.discard(_NONE)
        nulls = sum(value is None for value in values)
        if not kinds:
            return _Found("null", nulls)
        values = [value for value in values if value is not None]
    if kinds == {str}:
        return _texts(values, nulls, set(values) if counted else None)
    if kinds == {int}:
        return _integers(values, nulls, counted=counted)
    if kinds == {float}:
        # A sum with NaN is NaN; so is that of both infinities, which is seldom.
        total = sum(values)
        if total == total:
            distinct = _floats(values) if counted else None
            return _Found("double", nulls, min(values), max(values), distinct)
    if kinds == {bool}:
        return _Found("", nulls)
    found = _by_arrow(values, counted=counted)
    found.nulls += nulls
    return found


def _few_texts(values: Sequence[Any], known: set[Any]) -> _Found | None:
    """For values that may be text; None where they are not, or too many are different. Those that
    are among the `known` texts tell nothing new."""
    try:
        distinct = set(values)
    except TypeError:
        return None
    if len(distinct) > MOST_DISTINCT + 1 and len(values) > _FEW:
        return None
    distinct -= known
    nulls = 0
    if None in distinct:
        distinct.discard(None)
        nulls = sum(value is None for value in values)
    if not distinct:
        return _Found("null" if nulls == len(values) else "string", nulls, distinct=distinct)
    # An object that is equal to a text in the set, and not there itself, is written like it.
    return _texts(distinct, nulls, distinct) if set(map(type, distinct)) == {str} else None


def _texts(values: Iterable[str], nulls: int, distinct: set[str] | None) -> _Found:
    low, high = min(values), max(values)
    try:
        "".join(values if distinct is None else distinct).encode()
    except UnicodeEncodeError:  # lone surrogates
        return _Found("", nulls)
    if distinct is not None and len(distinct) > MOST_DISTINCT:
        distinct = None
    return _Found("string", nulls, low, high, distinct)


def _integers(values: Sequence[int], nulls: int, *, counted: bool) -> _Found:
    low, high = min(values), max(values)
    if not -(2**63) <= low <= high < 2**63:
        return _Found("", nulls)  # Arrow has no such integers either
    return _Found("int64", nulls, low, high, set(values) if counted else None)


def _many_integers(values: Sequence[Any]) -> _Found | None:
    """The bounds of integers of 64 bits; None for anything else."""
    import numpy as np

    if set(map(type, values)) != {int}:
        return None
    try:
        array = np.fromiter(values, np.int64, len(values))
    except OverflowError:
        return None
    return _Found("int64", 0, int(array.min()), int(array.max()))


def _floats(values: Iterable[float]) -> set[Any]:
    """The different ones: both zeros, and NaN once."""
    distinct: set[Any] = set(values)
    nans = {value for value in distinct if value != value}
    if nans:
        distinct = (distinct - nans) | {"NaN"}
    if 0.0 in distinct:
        distinct.discard(0.0)
        signs = {math.copysign(1.0, value) for value in values if value == 0.0}
        distinct.update((0.0, sign) for sign in signs)
    return distinct


def _by_arrow(values: Sequence[Any], *, counted: bool) -> _Found:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        array = pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return _Found("", sum(value is None for value in values))
    form = str(array.type)
    if form == "null":
        return _Found("null", array.null_count)
    if form not in _KINDS:
        return _Found("", sum(value is None for value in values))
    distinct: set[Any] | None = None
    if counted:
        different = pc.unique(array).drop_null()
        if len(different) <= MOST_DISTINCT:
            plain = different.to_pylist()
            distinct = _floats(plain) if form == "double" else set(plain)
    ends = pc.min_max(array)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low != low:  # nothing but NaN
        low = high = None
    elif form == "double" and 0.0 in (low, high):
        first = array[pc.index(array, 0.0).as_py()].as_py()
        low, high = (first if end == 0.0 else end for end in (low, high))
    return _Found(form, array.null_count, low, high, distinct)


class RowStats:
    """Statistics of rows that are stored as JSON (§9.4).

    Bounds for keys whose values are all integers and floats, or all text. Every other key has a
    null count only: times, dates and bytes become text of another order. A key that a row does
    not have is null there. Rows that are no dicts leave no columns.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._columns: dict[str, _Column] | None = {}

    def update(self, rows: Sequence[Any], *, dicts: bool | None = None) -> None:
        """Take in rows. `dicts`: whether each of them is a dict; None: not known."""
        before = self._rows
        self._rows += len(rows)
        columns = self._columns
        if columns is None or not rows:
            return
        if dicts is None:
            dicts = set(map(type, rows)) <= {dict}
        found = _columns_of(rows) if dicts else None
        if found is None or len(columns.keys() | found.keys()) > MOST_ROW_KEYS:
            self._columns = None
            return
        for name in columns.keys() - found.keys():
            columns[name].nulls += len(rows)
        for name, values in found.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = _Column(name, before)
            column.update(values)

    def result(self) -> FileStats:
        """What was found; columns in the order in which they came."""
        columns = (self._columns or {}).values()
        return FileStats(self._rows, tuple(column.stats() for column in columns))


def _columns_of(rows: Sequence[Any]) -> dict[str, Sequence[Any]] | None:
    """The dicts' values by key; None where that makes no sense."""
    names = list(rows[0])
    if names and sum(map(len, rows)) == len(names) * len(rows):
        # All rows have as many keys: the same ones, unless a look-up fails. One list for each key,
        # as a tuple for each row would keep the garbage collector busy.
        try:
            return _named(names, [list(map(itemgetter(name), rows)) for name in names])
        except KeyError:
            pass
    keys = dict.fromkeys(itertools.chain.from_iterable(rows))
    if len(keys) > MOST_ROW_KEYS:
        return None
    return _named(keys, ([row.get(key) for row in rows] for key in keys))


def _named(
    names: Iterable[Any], columns: Iterable[Sequence[Any]]
) -> dict[str, Sequence[Any]] | None:
    out = dict(zip(names, columns, strict=True))
    return out if all(type(name) is str for name in out) else None
