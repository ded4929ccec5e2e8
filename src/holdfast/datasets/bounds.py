"""What a manifest says of the values of a column in a file (§4, §9.4): the ground for pruning.

Two sources: the file's statistics and, in the hive layout, the text of its partition. Neither tells
the column's type, so a column is read as the kind that the condition compares it with. Everything
here errs to one side only: a range covers every value that the file can have, if not more.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from holdfast.clock import parse_rfc3339
from holdfast.datasets.partition import NIL, parse_partition
from holdfast.errors import Invalid

if TYPE_CHECKING:
    from holdfast.datasets.manifest import ColumnStats, DatasetManifest, FileRef

Kind: TypeAlias = Literal["number", "text", "time", "bool", "any"]
"""What a column is compared with. Times are nanoseconds since the Unix epoch, dates too. "any":
only nulls matter."""

SECOND_NS = 1_000_000_000
DAY_NS = 86_400_000_000_000
LAST = "\U0010ffff"
"""Sorts after every other character."""

TEXT = "text"
INTEGERS = "text or integers"
DAYS = "text or days"
ANYTHING = "anything"

_FLOAT32 = struct.Struct("f")
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z")
_YEAR = re.compile(r"\s*[+-]?\d{4}-")
_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]*)\Z")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?\Z")
_OTHER = re.compile(r"(?:true|false|NaN|[+-]?Inf)\Z|[+-]?[0-9]")
_COMPOUND = re.compile(r"\[|map\[|\{|&|0x")


class Range(NamedTuple):
    """What values a column can have in a file.

    Attributes:
        low, high: bounds of the values, both inclusive; None: not known.
        values: whether there can be values that are neither null nor NaN.
        nulls, nan: whether there can be nulls, NaN.
        cast: of a text: what else its column may hold; see `TEXT` and the like. Arrow's `is_in`
            turns text into the column's type.
    """

    low: Any = None
    high: Any = None
    values: bool = True
    nulls: bool = True
    nan: bool = True
    cast: str = TEXT


class Bounds:
    """The ranges of all files of a snapshot, by column; kept once they were asked for.

    Args:
        keys: of the hive layout, where its owner said them. Otherwise those in the paths.
    """

    def __init__(self, manifest: DatasetManifest, keys: Sequence[str] | None = None) -> None:
        self.manifest = manifest
        self.files = manifest.files
        self._keys = tuple(keys or ())
        # JSON has no NaN, and its times are text.
        self._json = manifest.codec == "jsonl"
        self._hive = manifest.partitioner == "hive"
        self._partitions: list[dict[str, str]] | None = None
        self._ranges: dict[tuple[str, Kind], list[Range]] = {}

    def ranges(self, column: str, kind: Kind) -> list[Range]:
        """The range of a column in each file."""
        known = self._ranges.get((column, kind))
        if known is None:
            known = self._ranges[column, kind] = self._find(column, kind)
        return known

    def partition(self, file: int, column: str) -> str | None:
        """The text of a partition key in the path of a file; None where it has none."""
        return self.partitions()[file].get(column)

    def stats(self, file: int, column: str) -> ColumnStats | None:
        """The statistics of a column in a file."""
        return _column(self.files[file], column, 0)[0]

    def partitions(self) -> list[dict[str, str]]:
        """The partition of each file, as text by key."""
        if self._partitions is None:
            known: dict[str, dict[str, str]] = {}
            out = []
            for file in self.files if self._hive else ():
                folder = file.path.rpartition("/segments/")[0]
                values = known.get(folder)
                if values is None:
                    values = known[folder] = _partition(file.path, self._keys)
                out.append(values)
            self._partitions = out if self._hive else [{}] * len(self.files)
        return self._partitions

    def _find(self, column: str, kind: Kind) -> list[Range]:
        place = 0
        texts: dict[tuple[str, bool], Range] = {}
        known: dict[tuple[str, str, str | None], Range] = {}
        out = []
        for file, partition in zip(self.files, self.partitions(), strict=True):
            stats, place = _column(file, column, place)
            text = partition.get(column)
            key = None
            if stats is not None and type(stats.min) is type(stats.max) is str:
                # Many files have the same texts, those of a partition above all.
                key = None if stats.null_count else (stats.min, stats.max, text)
            found = None if key is None else known.get(key)
            if found is None and kind == "text" and key == (text, text, text):
                # The column of a partition, as a rule: the statistics say all.
                found = known[key] = self._from_stats(file, stats, kind)
            if found is None:
                found = self._from_stats(file, stats, kind)
                if text is not None:
                    timed = file.stats is not None
                    other = texts.get((text, timed))
                    if other is None:
                        other = texts[text, timed] = _from_text(text, kind, self._json, timed)
                    found = _both(found, other, confirmed=stats is not None and _is_text(stats))
                if key is not None:
                    known[key] = found
            out.append(found)
        return out

    def _from_stats(self, file: FileRef, stats: ColumnStats | None, kind: Kind) -> Range:
        nan = not self._json and kind in ("number", "any")
        if file.stats is None or stats is None:
            return Range(nan=nan, cast=ANYTHING)
        nulls = stats.null_count > 0
        if nulls and stats.null_count >= file.stats.row_count:
            return Range(values=False, nan=False)
        read = _READ[kind]
        low, high = read(stats.min, True), read(stats.max, False)
        of_two_kinds = None not in (stats.min, stats.max) and (low is None) != (high is None)
        if of_two_kinds or (low is not None and high is not None and low > high):
            low = high = None
        cast = _stats_cast(stats, self._json) if kind == "text" else TEXT
        return Range(low, high, True, nulls, nan, cast)


def literal(kind: Kind, value: Any) -> tuple[Any, Any]:
    """The least and the greatest of what a literal may become when Arrow gives it the column's
    type: a number may be narrowed to float32."""
    return _readings(value) if kind == "number" else (value, value)


def exact_texts(texts: Sequence[str]) -> frozenset[str]:
    """For which `Range.cast` a text of these equals a value exactly if their spelling is one."""
    out = {TEXT}
    if all(_INTEGER.match(text) for text in texts):
        out.add(INTEGERS)
    if all(_DATE.match(text) or not _YEAR.match(text) for text in texts):
        out.add(DAYS)
    return frozenset(out)


def _column(file: FileRef, name: str, place: int) -> tuple[ColumnStats | None, int]:
    """The statistics of a column, and where they were: most files have them at one place."""
    if file.stats is None:
        return None, place
    columns = file.stats.columns
    if place < len(columns) and columns[place].name == name:
        return columns[place], place
    for at, column in enumerate(columns):
        if column.name == name:
            return column, at
    return None, place


def _partition(path: str, keys: tuple[str, ...]) -> dict[str, str]:
    """The keys and texts of a partition; none where the path does not tell them for sure."""
    parts = path.split("/")
    if len(parts) == 8 and "%" not in path and parts[2] == "partitions" and not keys[1:]:
        # The same as below for most paths, in a fraction of the time.
        key, sign, text = parts[3].partition("=")
        if sign and "=" not in text and parts[4] == "segments" and (not keys or keys[0] == key):
            return {key: text}
    try:
        pairs = parse_partition(path, keys)
    except Invalid:
        return {}
    out: dict[str, str] = {}
    for key, text in pairs:
        # A second "=" may belong to the key, unless the keys are known.
        if key in out or ("=" in text and not keys):
            return {}
        out[key] = text
    return out


# From statistics


def _number(value: Any, low: bool) -> Any:
    if type(value) is float:
        try:
            (narrow,) = _FLOAT32.unpack(_FLOAT32.pack(value))
        except OverflowError:  # beyond float32, where no bound of such a column lies
            return value
        return narrow if (narrow < value if low else narrow > value) else value
    if type(value) is not int or -(1 << 24) <= value <= 1 << 24:
        return value if type(value) is int else None  # exact in every type
    return _readings(value)[0 if low else 1]


def _readings(value: float) -> tuple[float, float]:
    """The least and greatest of a number and the float64 and float32 that it may stand for."""
    try:
        wide = float(value)
        (narrow,) = _FLOAT32.unpack(_FLOAT32.pack(wide))
    except OverflowError:
        try:
            wide = narrow = float(value)
        except OverflowError:
            return value, value
    return min(value, wide, narrow), max(value, wide, narrow)


def _text(value: Any, low: bool) -> Any:
    # Whoever replaced bytes that are no UTF-8 has changed their order.
    return value if type(value) is str and "\ufffd" not in value else None


def _time(value: Any, low: bool) -> Any:
    if type(value) is not str:
        return None
    try:
        if _DATE.match(value):
            return (date.fromisoformat(value).toordinal() - _EPOCH_DAY) * DAY_NS
        return parse_rfc3339(value)
    except (Invalid, ValueError):
        return None


def _nothing(value: Any, low: bool) -> Any:
    return None


_READ: dict[Kind, Callable[[Any, bool], Any]] = {
    "number": _number,
    "text": _text,
    "time": _time,
    "bool": _nothing,
    "any": _nothing,
}


def _is_text(stats: ColumnStats) -> bool:
    return type(stats.min) is str or type(stats.max) is str


def _stats_cast(stats: ColumnStats, json: bool) -> str:
    # The bounds of a column of dates or times are text too.
    if type(stats.min) is type(stats.max) is str and not (
        _YEAR.match(stats.min) or _YEAR.match(stats.max)
    ):
        return TEXT
    bounds = [bound for bound in (stats.min, stats.max) if bound is not None]
    if not bounds or not all(type(bound) is str for bound in bounds):
        return ANYTHING
    if json or not any(_YEAR.match(bound) for bound in bounds):
        return TEXT
    return DAYS if all(_DATE.match(bound) for bound in bounds) else ANYTHING


# From partitions


def _from_text(text: str, kind: Kind, json: bool, timed: bool) -> Range:
    """The range of a column in a partition.

    Args:
        timed: the file has statistics, so Holdfast wrote it, if it is JSON.
    """
    nan = not json and kind in ("number", "any")
    if text == NIL:  # a null, or this very text
        if kind == "text":
            return Range(NIL, NIL, nan=False)
        return Range(values=kind == "any", nan=False)
    if _COMPOUND.match(text):
        return Range(nan=nan, cast=ANYTHING)
    low = high = None
    if kind == "number":
        if text == "NaN":
            return Range(values=False)
        low, high = _partition_number(text)
        nan = nan and low is None
    elif kind == "bool" and text in ("true", "false"):
        low = high = text == "true"
    elif kind == "time":
        low, high = _partition_time(text)
    elif kind == "text":
        low, high = _partition_text(text, json, timed)
    cast = _partition_cast(text, json) if kind == "text" else TEXT
    return Range(low, high, True, text == "NaN", nan, cast)


def _partition_cast(text: str, json: bool) -> str:
    if _INTEGER.match(text):
        return INTEGERS
    if (json and _DATE.match(text)) or not _OTHER.match(text):
        return TEXT
    return ANYTHING


def _partition_number(text: str) -> tuple[Any, Any]:
    if not _NUMBER.match(text):
        return None, None
    try:
        value = int(text) if text.lstrip("+-").isdigit() else float(text)
        ends = _readings(value)
        try:
            half = struct.unpack("e", struct.pack("e", float(value)))[0]
        except OverflowError:
            half = value
    except (ValueError, OverflowError):  # more digits than Python reads
        return None, None
    low, high = min(*ends, half), max(*ends, half)
    return (None, None) if high - low == float("inf") or abs(low) > 3e38 else (low, high)


def _partition_time(text: str) -> tuple[Any, Any]:
    at = _time(text, True)
    if at is None:
        return None, None
    if not _DATE.match(text):  # text that became a time, of seconds perhaps
        return at - SECOND_NS, at + SECOND_NS
    # The local date of some zone, of a time at any hour.
    return at - DAY_NS, at + 2 * DAY_NS


def _partition_text(text: str, json: bool, timed: bool) -> tuple[Any, Any]:
    if any("\ud800" <= char <= "\udfff" for char in text):
        return None, None
    if not json or not _DATE.match(text):
        return text, text
    # A time, of which the partition has the date and the record all.
    if not timed:
        return text, text + LAST
    try:
        # Holdfast writes a time as UTC whose zone JSON cannot spell.
        day = date.fromisoformat(text)
        before, after = (day + timedelta(days=n) for n in (-1, 1))
    except (ValueError, OverflowError):
        return None, None
    return before.isoformat(), after.isoformat() + LAST


def _both(stats: Range, text: Range, *, confirmed: bool) -> Range:
    """What two ranges leave, when both are true."""
    low = stats.low if text.low is None else text.low
    high = stats.high if text.high is None else text.high
    if stats.low is not None and text.low is not None:
        low = max(stats.low, text.low)
    if stats.high is not None and text.high is not None:
        high = min(stats.high, text.high)
    if low is not None and high is not None and low > high:
        low = high = None  # They contradict each other: something is not as it seems.
    return Range(
        low,
        high,
        stats.values and text.values,
        stats.nulls and text.nulls,
        stats.nan and text.nan,
        stats.cast if confirmed else text.cast,
    )
