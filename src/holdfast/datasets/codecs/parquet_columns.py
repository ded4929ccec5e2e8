"""Columns made to fit a schema: cast without loss or refused, never boxed row by row (§9.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.errors import SchemaViolation

if TYPE_CHECKING:
    import pyarrow as pa


def violation(record: int, field: str, found: str, expected: str = "") -> SchemaViolation:
    """The error for one value; `record` counts from 0 over all that was written."""
    return SchemaViolation(
        "writing",
        f"record {record}, field {field!r}",
        found=found,
        expected=expected,
        record=record,
        field=field,
    )


def fit_table(table: pa.Table, schema: pa.Schema, first: int) -> pa.Table:
    """The table with the columns, order and types of the schema.

    Numbers, texts, times and nested values are cast where nothing is lost; a column that may be
    null may be missing. `first` is the record number of the table's first row.

    Raises:
        SchemaViolation: a column that the schema does not have, a missing one, another kind of
            type, a value that does not fit, or null where there must be none.
    """
    import pyarrow as pa

    if table.schema.equals(schema, check_metadata=False) and all(f.nullable for f in schema):
        return table.replace_schema_metadata(schema.metadata)
    names = table.column_names
    known = set(schema.names)
    for name in names:
        if name not in known:
            raise violation(first, name, "a column that the schema does not have")
    columns = []
    for field in schema:
        if field.name in names:
            column = table.column(field.name)
            columns.append(fit_column(column, field, first))
        elif field.nullable or not table.num_rows:
            nulls = pa.nulls(table.num_rows, field.type)
            columns.append(pa.chunked_array([nulls], field.type))
        else:
            raise violation(first, field.name, "a required column is missing")
    return pa.Table.from_arrays(columns, schema=schema)


def fit_column(column: pa.ChunkedArray, field: pa.Field, first: int) -> pa.ChunkedArray:
    """The column with the field's type, see `fit_table`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not field.nullable and column.null_count:
        at = pc.index(column.is_null(), True).as_py()
        raise violation(first + at, field.name, "null in a required column")
    if column.type == field.type:
        return column
    wrong = violation(first, field.name, f"a column of {column.type}", str(field.type))
    if not _same_family(column.type, field.type):
        raise wrong
    try:
        out = _cast(column, field.type)
    except pa.ArrowNotImplementedError:
        raise wrong from None
    except pa.ArrowException as error:

        def fails(start: int, stop: int) -> bool:
            try:
                _cast(column.slice(start, stop - start), field.type)
            except pa.ArrowException:
                return True
            return False

        at = first_bad(len(column), fails)
        raise violation(first + at, field.name, str(error), str(field.type)) from None
    if pa.types.is_floating(field.type) and pa.types.is_floating(column.type):
        lost = pc.and_(pc.is_inf(pc.cast(out, pa.float64())), pc.is_finite(column))
        at = pc.index(lost, True).as_py()
        if at >= 0:
            raise violation(
                first + at, field.name, f"value {column[at]} overflows", str(field.type)
            )
    return out


def first_bad(count: int, fails: Callable[[int, int], bool]) -> int:
    """Of `count` items that fail together the index of the first that fails; `fails` tells it of
    those from start to stop."""
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        if fails(low, middle):
            high = middle
        else:
            low = middle
    return low


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(column.type):
        column = pc.cast(column, kind.value_type).dictionary_encode()
    return column if column.type == kind else pc.cast(column, kind, safe=True)


def _same_family(found: pa.DataType, wanted: pa.DataType) -> bool:
    from pyarrow import types

    if types.is_dictionary(found):
        return _same_family(found.value_type, wanted)
    if types.is_dictionary(wanted):
        return _same_family(found, wanted.value_type)
    if types.is_null(found) or (types.is_nested(found) and types.is_nested(wanted)):
        return True
    mine, other = _family(found), _family(wanted)
    return mine == other or (mine, other) == ("string", "binary")


def _family(kind: pa.DataType) -> str:
    from pyarrow import types

    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_timestamp(kind) or types.is_date(kind):
        return "date"
    for name in ("string", "binary"):
        if str(kind) in (name, f"large_{name}", f"{name}_view"):
            return name
    if types.is_fixed_size_binary(kind):
        return "binary"
    return "time" if types.is_time(kind) else _name(kind)


def _name(kind: Any) -> str:
    return str(kind).split("[", maxsplit=1)[0]
