"""Rows to columns, strictly: under declared fields, under an Arrow schema, or by inference (§7)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from holdfast.datasets.codecs.parquet_columns import first_bad, fit_column, violation
from holdfast.datasets.timestamps import INT64_MAX, INT64_MIN, datetime_ns, instant
from holdfast.errors import Invalid, SchemaViolation

if TYPE_CHECKING:
    import pyarrow as pa

    from holdfast.datasets.codecs.parquet_schema import Field

_SAFE = 2**53
_DEPTH = 64
_EXACT: dict[str, type] = {
    "int32": int,
    "int64": int,
    "float32": float,
    "float64": float,
    "string": str,
    "bytes": bytes,
    "bool": bool,
    "timestamp": datetime,
}


def field_table(
    rows: Sequence[Any], fields: Sequence[Field], schema: pa.Schema, first: int
) -> tuple[pa.Table, dict[str, Sequence[Any]]]:
    """Rows under declared fields, and by column the times as they were given.

    Types must be those of the field: no integer for a float, no text for a number. A float is
    taken for an integer where it is whole and at most 2**53; text for bytes as UTF-8; RFC 3339
    text for a timestamp. Keys that are no field are ignored, as the Go implementation does.

    Raises:
        SchemaViolation: of all that does not fit, the first, with its record and field.
    """
    import pyarrow as pa

    values = _fetch(rows, [field.name for field in fields], first)
    arrays, zoned = {}, {}
    errors: list[SchemaViolation] = []
    for field, column in zip(fields, values, strict=True):
        try:
            kind = schema.field(field.name).type
            arrays[field.name] = _field_column(column, field, kind, first)
        except SchemaViolation as error:
            errors.append(error)
        if field.type == "timestamp":
            zoned[field.name] = column
    if errors:
        raise min(errors, key=lambda error: error.details["record"])
    ordered = [arrays[name] for name in schema.names]
    return pa.Table.from_arrays(ordered, schema=schema), zoned


def schema_table(rows: Sequence[Any], schema: pa.Schema, first: int) -> pa.Table:
    """Rows under an Arrow schema: what Arrow converts without loss. A key that is no column is
    refused. Raises `SchemaViolation`."""
    import pyarrow as pa

    values = _fetch(rows, schema.names, first)
    known = set(schema.names)
    for at, row in enumerate(rows):
        if not row.keys() <= known:
            name = next(key for key in row if key not in known)
            raise violation(first + at, str(name), "a field that the schema does not have")
    errors: list[SchemaViolation] = []
    columns = []
    for field, column in zip(schema, values, strict=True):
        try:
            array = _typed(column, field, first)
            columns.append(fit_column(pa.chunked_array([array]), field, first))
        except SchemaViolation as error:
            errors.append(error)
    if errors:
        raise min(errors, key=lambda error: error.details["record"])
    return pa.Table.from_arrays(columns, schema=schema)


def inferred_table(rows: Sequence[Any], first: int) -> pa.Table:
    """Rows without a schema: a column for every key, in the order in which they come. Raises
    `SchemaViolation` where values of one key have no type in common."""
    import pyarrow as pa

    _check_mappings(rows, first)
    names = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    if rows and not names:
        raise violation(first, "", "a record without fields", "at least one column")
    for name in names:
        if not isinstance(name, str):
            at = next(at for at, row in enumerate(rows) if name in row)
            raise violation(first + at, str(name), f"a key of type {type(name).__name__}", "text")
    columns = [
        _inferred(v, n, first) for n, v in zip(names, _fetch(rows, names, first), strict=True)
    ]
    return pa.table(columns, names=names)


def _check_mappings(rows: Sequence[Any], first: int) -> None:
    if not set(map(type, rows)) <= {dict}:
        for at, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise SchemaViolation(
                    "writing",
                    f"record {first + at}",
                    found=f"a {type(row).__name__}",
                    expected="a mapping of field names to values",
                    record=first + at,
                )


def _fetch(rows: Sequence[Any], names: Sequence[str], first: int) -> list[Sequence[Any]]:
    """The values of each name; None where a record has none."""
    _check_mappings(rows, first)
    out: list[Sequence[Any]] = []
    for name in names:
        try:
            out.append(list(map(itemgetter(name), rows)))
        except KeyError:
            out.append([row.get(name) for row in rows])
    return out


# Declared fields


def _field_column(values: Sequence[Any], field: Field, kind: pa.DataType, first: int) -> pa.Array:
    import pyarrow as pa

    kinds = set(map(type, values))
    if field.nullable:
        kinds.discard(type(None))
    if kinds <= {_EXACT[field.type]}:
        try:
            fast = _fast(values, field.type, kind)
        except (pa.ArrowException, ValueError, OverflowError):
            fast = None  # found again below, with its place
        if fast is not None:
            return fast
    coerce = _COERCE[field.type]
    out: list[Any] = []
    for at, value in enumerate(values):
        if value is None:
            if not field.nullable:
                raise violation(first + at, field.name, "missing required field")
            out.append(None)
            continue
        try:
            out.append(coerce(value, field.type))
        except _Misfit as error:
            raise violation(first + at, field.name, error.args[0]) from None
    return pa.array(out, kind)


def _fast(values: Sequence[Any], name: str, kind: pa.DataType) -> pa.Array | None:
    """The column of values that have the exact type already; None: look at each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name == "timestamp":
        if any(value is not None and value.tzinfo is None for value in values):
            return None
        return pa.array(values, pa.timestamp("us", "UTC")).cast(kind)
    array = pa.array(values, kind)
    if name == "float32" and pc.any(pc.is_inf(array)).as_py():
        return None
    return array


class _Misfit(Exception):
    """A value that does not fit, and why."""


def _wrong(value: Any, name: str) -> _Misfit:
    return _Misfit(f"expected {name}, got {type(value).__name__}")


def _integer(value: Any, name: str) -> int:
    plain = _unboxed(value)
    if type(plain) is float:
        if not plain.is_integer():
            raise _Misfit(f"float {plain!r} is not an integer")
        if abs(plain) > _SAFE:
            raise _Misfit(f"value {plain!r} exceeds the integers that a float holds exactly")
        plain = int(plain)
    if type(plain) is not int:
        raise _wrong(value, name)
    bits = 31 if name == "int32" else 63
    if not -(2**bits) <= plain < 2**bits:
        raise _Misfit(f"value {plain} overflows {name}")
    return plain


def _float(value: Any, name: str) -> float:
    plain = _unboxed(value)
    if type(plain) is not float:
        raise _wrong(value, name)
    if name == "float32" and math.isfinite(plain) and abs(plain) >= _FLOAT32_END:
        raise _Misfit(f"value {plain!r} overflows float32")
    return plain


_FLOAT32_END = 2.0**128 - 2.0**103  # rounds to infinity from here on


def _string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise _wrong(value, name)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Misfit("text with half of a surrogate pair") from None
    return str(value)


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return _string(value, name).encode()
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _wrong(value, name)
    return bytes(value)


def _bool(value: Any, name: str) -> bool:
    plain = _unboxed(value)
    if type(plain) is not bool:
        raise _wrong(value, name)
    return plain


def _timestamp(value: Any, name: str) -> int:
    if not isinstance(value, (str, datetime)) and type(value).__name__ != "datetime64":
        raise _wrong(value, name)
    try:
        ns, _ = instant(value)
    except Invalid as error:
        raise _Misfit(f"invalid timestamp {value!r:.60}: {error.found or error.expected}") from None
    if not INT64_MIN <= ns <= INT64_MAX:
        raise _Misfit(f"value {value} overflows timestamp, which ends in 2262")
    return ns


def _unboxed(value: Any) -> Any:
    """A NumPy scalar as the Python value that it stands for."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


_COERCE: dict[str, Callable[[Any, str], Any]] = {
    "int32": _integer,
    "int64": _integer,
    "float32": _float,
    "float64": _float,
    "string": _string,
    "bytes": _bytes,
    "bool": _bool,
    "timestamp": _timestamp,
}


# Arrow types


def _inferred(values: Sequence[Any], name: str, first: int) -> pa.Array:
    try:
        return _array(values)
    except _trouble() as error:
        # Whether a value fits depends on those before it: the shortest beginning that fails.
        def fails(_start: int, stop: int) -> bool:
            try:
                _array(values[:stop])
            except _trouble():
                return True
            return False

        at = first_bad(len(values), fails)
        raise violation(first + at, name, _why(error)) from None


def _typed(values: Sequence[Any], field: pa.Field, first: int) -> pa.Array:
    """An array of the values, of the field's type or one that `fit_column` casts to it."""
    from pyarrow import types

    kind = field.type
    if types.is_nested(kind):
        for at, value in enumerate(values):
            try:
                _check_nested(value, kind, 0)
            except (_Misfit, TypeError, ValueError) as error:
                raise violation(first + at, field.name, _why(error), str(kind)) from None
    elif set(map(type, values)) - {type(None)} != {int} or not types.is_integer(kind):
        # With a type named, Arrow would cut 1.5 to 1 and read bytes as text: inferred, then cast.
        return _inferred(values, field.name, first)
    try:
        return _array(values, kind)
    except _trouble() as error:

        def fails(start: int, stop: int) -> bool:
            try:
                _array(values[start:stop], kind)
            except _trouble():
                return True
            return False

        at = first_bad(len(values), fails)
        raise violation(first + at, field.name, _why(error), str(kind)) from None


def _check_nested(value: Any, kind: pa.DataType, depth: int) -> None:
    """Refuse what Arrow would take and shorten, inside lists, maps and structs."""
    from pyarrow import types

    if depth > _DEPTH:
        raise _Misfit("values nested too deeply")
    if value is None:
        return
    if types.is_struct(kind):
        if not isinstance(value, Mapping):
            raise _Misfit(f"a {type(value).__name__}")
        names = {kind.field(at).name for at in range(kind.num_fields)}
        for key in value:
            if key not in names:
                raise _Misfit(f"key {key!r} that the schema does not have")
        for at in range(kind.num_fields):
            _check_nested(value.get(kind.field(at).name), kind.field(at).type, depth + 1)
    elif types.is_map(kind):
        for key, item in value.items() if isinstance(value, Mapping) else value:
            _check_nested(key, kind.key_type, depth + 1)
            _check_nested(item, kind.item_type, depth + 1)
    elif types.is_nested(kind) and hasattr(kind, "value_type"):
        if isinstance(value, (str, bytes)):
            raise _Misfit(f"a {type(value).__name__}")
        for item in value:
            _check_nested(item, kind.value_type, depth + 1)
    else:
        _check_leaf(value, kind)


def _check_leaf(value: Any, kind: pa.DataType) -> None:
    from pyarrow import types

    plain = _unboxed(value)
    if types.is_integer(kind):
        if type(plain) is float and not plain.is_integer():
            raise _Misfit(f"float {plain!r} is not an integer")
        wrong = type(plain) is bool
    elif types.is_floating(kind):
        wrong = type(plain) is bool
    elif types.is_timestamp(kind):
        wrong = not isinstance(value, datetime)
        if getattr(value, "nanosecond", 0):
            raise _Misfit("digits below the microsecond in a nested time")
    else:
        wrong = isinstance(value, bytes) and "string" in str(kind)
    if wrong:
        raise _Misfit(f"a {type(value).__name__}")


def _array(values: Sequence[Any], kind: pa.DataType | None = None) -> pa.Array:
    import pyarrow as pa

    array = pa.array(values, kind)
    if pa.types.is_timestamp(array.type) and kind is None:
        zones = {value.tzinfo is None for value in values if isinstance(value, datetime)}
        if len(zones) > 1:
            raise _Misfit("times with a zone and times without one")
        if any(getattr(value, "nanosecond", 0) for value in values):
            # Arrow would drop them.
            exact = [None if value is None else datetime_ns(value) for value in values]
            return pa.array(exact, pa.int64()).cast(pa.timestamp("ns", array.type.tz))
    elif kind is None and pa.types.is_nested(array.type) and "timestamp" in str(array.type):
        for value in values:
            _check_nested(value, array.type, 0)
    return array


def _trouble() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return (pa.ArrowException, ValueError, TypeError, OverflowError, _Misfit)


def _why(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text[:200]
