"""JSON lines as Arrow batches of one schema, inferred from all records of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.datasets.codecs.jsonl_reader import read_rows
from holdfast.errors import Invalid, SchemaViolation

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

    from holdfast.datasets.codecs.protocol import Source

KEPT = 64 * 2**20
"""Bytes of Arrow data up to which a file's batches wait in memory until its schema is known; a
larger file is decoded twice."""

_DOING = "reading a table from"
_ONE_TYPE = "values of one type in each column"
_HINT = "read it as records, or convert the values"
_NO_FIELD = re.compile(r"No match for FieldRef\.Name\((.*?)\) in ", re.DOTALL)


def read_batches(
    source: Source, columns: Sequence[str] | None, where: pc.Expression | None
) -> Iterator[pa.RecordBatch]:
    """See `Jsonl.read_batches`."""
    schema, kept = _infer(source)
    batches = _again(source, schema) if kept is None else iter(kept)
    extra = _missing(schema, columns, where)
    some = False
    for batch in batches:
        table = _fit(batch, schema, source)
        out = _chosen(table, extra, columns, where)
        for part in out.combine_chunks().to_batches():
            if part.num_rows:
                some = True
                yield part
    if not some:
        yield _empty(_chosen(schema.empty_table(), extra, columns, where).schema)


def _infer(source: Source) -> tuple[pa.Schema, list[pa.RecordBatch] | None]:
    """The schema of all records and, if they are not too many, the records."""
    import pyarrow as pa

    schema = pa.schema([])
    kept: list[pa.RecordBatch] | None = []
    size = first = 0
    for rows in read_rows(source):
        batch = _batch(rows, None, first, source)
        first += len(rows)
        if batch.schema != schema:
            try:
                schema = _unified(schema, batch.schema)
            except (pa.ArrowException, TypeError) as error:
                raise SchemaViolation(
                    _DOING,
                    source.name,
                    found=_line(error),
                    expected=_ONE_TYPE,
                    hint=_HINT,
                ) from None
        size += batch.nbytes
        if kept is not None:
            kept.append(batch)
            if size > KEPT:
                kept = None
    return schema, kept


def _unified(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    schema = pa.unify_schemas([one, other], promote_options="permissive")
    # Arrow makes int64 of both kinds of integers; but the unsigned ones do not fit into it.
    for at, field in enumerate(schema):
        before = {s.field(field.name).type for s in (one, other) if field.name in s.names}
        if field.type == pa.int64() and pa.uint64() in before:
            schema = schema.set(at, pa.field(field.name, pa.uint64()))
    return schema


def _again(source: Source, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    kind = pa.struct(list(schema))
    first = 0
    for rows in read_rows(source):
        yield _batch(rows, kind, first, source)
        first += len(rows)


def _batch(rows: list[Any], kind: pa.DataType | None, first: int, source: Source) -> pa.RecordBatch:
    import pyarrow as pa

    for i, row in enumerate(rows) if set(map(type, rows)) != {dict} else ():
        if type(row) is not dict:
            raise SchemaViolation(
                _DOING,
                source.name,
                found=f"record {first + i} is a {type(row).__name__}",
                expected="objects, whose keys are columns",
                hint="read it as records",
            )
    try:
        return pa.RecordBatch.from_struct_array(pa.array(rows, type=kind))
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return _by_column(rows, kind, first, source)


def _by_column(
    rows: list[dict[str, Any]], kind: pa.DataType | None, first: int, source: Source
) -> pa.RecordBatch:
    """As `_batch`, slower; knows uint64, and which column is at fault."""
    import pyarrow as pa

    arrays = {}
    for name in (
        kind.names if kind is not None else dict.fromkeys(key for row in rows for key in row)
    ):
        try:
            wanted = None if kind is None else kind.field(name).type
            values = [row.get(name) for row in rows]
            try:
                arrays[name] = pa.array(values, type=wanted)
            except OverflowError:
                arrays[name] = pa.array(values, type=wanted or pa.uint64())
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            where = f"column {name!r:.80} of records {first} to {first + len(rows) - 1}: "
            raise SchemaViolation(
                _DOING,
                source.name,
                found=where + _line(error),
                expected=_ONE_TYPE,
                hint=_HINT,
            ) from None
    return pa.RecordBatch.from_pydict(arrays)


def _fit(batch: pa.RecordBatch, schema: pa.Schema, source: Source) -> pa.Table:
    import pyarrow as pa

    table = pa.Table.from_batches([batch])
    if table.schema == schema:
        return table
    arrays = []
    for field in schema:
        at = table.schema.get_field_index(field.name)
        if at < 0:
            arrays.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(at)
        try:
            arrays.append(column.cast(field.type) if column.type != field.type else column)
        except pa.ArrowException as error:
            raise SchemaViolation(
                _DOING, source.name, found=f"column {field.name!r:.80}: {_line(error)}"
            ) from None
    return pa.Table.from_arrays(arrays, schema=schema)


def _missing(
    schema: pa.Schema, columns: Sequence[str] | None, where: pc.Expression | None
) -> list[str]:
    """Columns that are asked for and that no record has."""
    import pyarrow as pa

    missing = [name for name in dict.fromkeys(columns or ()) if name not in schema.names]
    while where is not None:
        table = _with_nulls(schema.empty_table(), missing)
        try:
            table.filter(where)
            break
        except (pa.ArrowException, TypeError) as error:
            # An expression does not tell which columns it names, but what it misses.
            found = _NO_FIELD.search(str(error))
            if found is None or found[1] in missing:
                raise Invalid("filtering records", found=_line(error)) from None
            missing.append(found[1])
    return missing


def _with_nulls(table: pa.Table, names: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    for name in names:
        table = table.append_column(name, pa.nulls(table.num_rows))
    return table


def _chosen(
    table: pa.Table, extra: list[str], columns: Sequence[str] | None, where: pc.Expression | None
) -> pa.Table:
    names = table.schema.names if columns is None else list(columns)
    table = _with_nulls(table, extra)
    if where is not None:
        table = table.filter(where)
    return table.select(names)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)


def _line(error: BaseException) -> str:
    return str(error).split("\n", maxsplit=1)[0][:300] or type(error).__name__
