"""Which values a JSON line may hold, and as what they are written (§3, §5).

None, bool, int, float, text, lists and dicts with text keys are themselves. Bytes become base64;
times and dates RFC 3339, a time without a zone counts as UTC; NaT and pandas.NA null; tuples, sets
and arrays lists; NumPy's scalars what they hold, float32 by its own shortest digits; enumerations
their value; dataclasses and msgspec structs objects; Decimal, UUID, time of day and duration text.
Lone surrogates become U+FFFD. NaN, infinities and everything else are refused.
"""

from __future__ import annotations

import base64
import itertools
import math
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from holdfast.errors import Invalid, SchemaViolation
from holdfast.snapshotting.go_numbers import go_float, is_numpy_float
from holdfast.snapshotting.rfc3339 import is_time, time_text

MAX_DEPTH = 128
"""Deepest nesting of lists and objects in a record."""

_SAME = frozenset({str, int, bool, type(None), float, bytes, date, dict, list, tuple})
_NESTED = frozenset({dict, list, tuple})
REPLACEMENT = "\ufffd"
_LONE = re.compile("[\ud800-\udfff]")


class Refused(Exception):
    """A value that cannot be written; `place` is its field, innermost part first."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.place: list[str | int] = []

    def violation(self, record: int) -> SchemaViolation:
        """The error for the record with this index."""
        parts = [f"[{p}]" if isinstance(p, int) else f".{p:.60}" for p in reversed(self.place)]
        if len(parts) > 8:
            parts[4:-4] = [".…"]
        field = "".join(parts).lstrip(".")
        return SchemaViolation(
            "writing JSON lines",
            f"record {record}",
            found=f"field {field}: {self.why}" if field else self.why,
            record=record,
            field=field,
        )


def written_as_they_are(rows: Sequence[Any]) -> bool:
    """Whether all values in `rows` are of kinds that the library writes as they should be, finite
    and not nested too deep. Goes level by level, without a Python step for each value."""
    level: Sequence[Any] = rows
    for _ in range(MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if not kinds <= _SAME:
            return False
        if float in kinds and not all(
            map(math.isfinite, level if len(kinds) == 1 else [v for v in level if type(v) is float])
        ):
            return False
        nested = kinds & _NESTED
        if not nested:
            return True
        deeper: list[Any] = []
        if dict in nested:
            dicts = level if len(kinds) == 1 else [v for v in level if type(v) is dict]
            deeper.extend(itertools.chain.from_iterable(map(dict.values, dicts)))
        if len(nested) > 1 or dict not in nested:
            lists = [v for v in level if type(v) is list or type(v) is tuple]
            deeper.extend(itertools.chain.from_iterable(lists))
        level = deeper
    return False


def json_value(value: Any, depth: int = 0, lone: str = REPLACEMENT) -> Any:
    """`value` in nothing but None, bool, int, float, str, list and dict.

    Args:
        depth: how many lists and objects are around it.
        lone: what stands for a lone surrogate.

    Raises:
        Refused: something in it cannot be written.
    """
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _LONE.sub(lone, value)
    if kind is bool or value is None:
        return value
    if kind is int:
        # Python neither prints nor reads integers of more than 4,300 digits.
        if value.bit_length() > 14_000:
            raise Refused("an integer of thousands of digits")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise Refused(f"the number {value}")
        return value
    if depth > MAX_DEPTH:
        raise Refused(f"nesting deeper than {MAX_DEPTH}")
    if kind is dict:
        return _object(value, depth, lone)
    if kind is list or kind is tuple:
        if depth == MAX_DEPTH:
            raise Refused(f"nesting deeper than {MAX_DEPTH}")
        out = []
        for i, item in enumerate(value):
            try:
                out.append(json_value(item, depth + 1, lone))
            except Refused as refused:
                refused.place.append(i)
                raise
        return out
    # The step counts as a level, in case somebody's class converts to itself.
    step = not isinstance(value, (list, tuple, Mapping))
    return json_value(native(value), depth + step, lone)


def _object(value: dict[Any, Any], depth: int, lone: str) -> dict[str, Any]:
    if depth == MAX_DEPTH:
        raise Refused(f"nesting deeper than {MAX_DEPTH}")
    out: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise Refused(f"a key of type {type(key).__name__}")
        try:
            name = json_value(str.__str__(key), 0, lone)
            out[name] = json_value(item, depth + 1, lone)
        except Refused as refused:
            refused.place.append(str.__str__(key))
            raise
    if len({name.replace(lone, REPLACEMENT) for name in out}) != len(value):
        raise Refused("keys that are the same once they are written")
    return out


def native(value: Any) -> Any:
    """`value`, of a type beyond JSON's own, one step closer to them: what the library calls for
    what it does not know.

    Raises:
        Refused: no such step.
    """
    kind = type(value)
    if isinstance(value, str):
        return str.__str__(value)
    if is_time(value):
        return None if _is_nat(value) else _time(value)
    if isinstance(value, float):
        return _finite(float(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if is_numpy_float(value):
            _finite(float(value))
            return float(go_float(value))
        if isinstance(value, numpy.timedelta64):
            raise Refused("a value of type numpy.timedelta64")
        if isinstance(value, (numpy.bool_, numpy.integer)):
            return value.item()
        if isinstance(value, numpy.ndarray):
            return _listed(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    if kind.__name__ == "NAType" and kind.__module__.startswith("pandas."):
        return None
    return _of_library(value)


def _of_library(value: Any) -> Any:
    # Keeps times, which are to be spelled by us, and floats, which may not be finite.
    name = kind_name(value)

    def inner(item: Any) -> Any:
        if item is value:
            raise TypeError
        return native(item)

    try:
        out = msgspec.to_builtins(value, builtin_types=(datetime,), order="sorted", enc_hook=inner)
    except (TypeError, ValueError, OverflowError):
        if isinstance(value, int):
            return int(value)
        raise Refused(f"a value of type {name}") from None
    except RecursionError:
        raise Refused(f"nesting deeper than {MAX_DEPTH}") from None
    if type(out) is type(value):
        raise Refused(f"a value of type {name}")
    return out


def kind_name(value: Any) -> str:
    """The name of its type, for messages."""
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__name__
    return f"{kind.__module__}.{kind.__qualname__}"


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise Refused(f"the number {value}")
    return value


def _is_nat(value: Any) -> bool:
    return bool(value != value)  # NaT equals nothing


def _time(value: Any) -> str:
    try:
        return time_text(value)
    except Invalid as error:
        raise Refused(error.found) from None


def _listed(array: Any) -> Any:
    # tolist() would make integers of datetime64[ns] and doubles of float32.
    if array.dtype.kind in "biuUSO" or array.dtype == "float64":
        return array.tolist()
    return list(array) if array.ndim else array[()]
