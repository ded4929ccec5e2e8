"""Parquet read from verified bytes: whole, by row group, pruned (§7, §9.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.datasets.codecs.parquet_file import Opened, SourceFile, group_range, in_order
from holdfast.errors import HoldfastError, Invalid, InvalidFormat, Unsupported

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow.parquet import FileMetaData, ParquetFile

    from holdfast.datasets.codecs.protocol import Source

WHOLE_GROUP = 256 << 20
"""Largest row group, bytes before compression, that is decoded in one piece."""

_BATCH_ROWS = 65_536
_MISSING = re.compile(r"No match for FieldRef\.Name\((.*?)\) in ")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAN_MAY_PASS = re.compile(r"!=|\w\(|\binvert\b")


def read_batches(
    source: Source, columns: Sequence[str] | None, where: pc.Expression | None
) -> Iterator[pa.RecordBatch]:
    """The rows that fulfil `where`, a row group at a time; at least one batch, if an empty one,
    so that the schema is known. Row groups that cannot have such rows are not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with source.open() as file:
        with _reading(source, None):
            opened = Opened(file)
        with _reading(source, opened):
            parquet = pq.ParquetFile(pa.PythonFile(SourceFile(opened), "r"))
            stored = parquet.schema_arrow
        names = stored.names if columns is None else list(columns)
        schema = _widened(stored, names)
        groups = list(range(parquet.num_row_groups))
        used: list[str] = []
        if where is not None:
            schema, used = _used_columns(where, schema, source)
            lacking = any(name not in stored.names for name in used)
            if not lacking and _may_prune(where, [schema.field(n) for n in used], schema):
                with _reading(source, opened):
                    groups = _possible_groups(opened, where, stored)
        needed = None
        if columns is not None:
            needed = [n for n in dict.fromkeys([*names, *used]) if n in stored.names]
        reader = _GroupReader(source, opened, parquet.metadata, needed)
        empty = True
        for table in reader.tables(groups):
            table = _with_nulls(table, schema)
            if where is not None:
                table = _filtered(table, where, source)
            if table.column_names != names:
                table = table.select(names)
            for batch in table.to_batches():
                empty = False
                yield batch
        if empty:
            chosen = schema if schema.names == names else _chosen(schema, names)
            arrays = [pa.array([], field.type) for field in chosen]
            yield pa.RecordBatch.from_arrays(arrays, schema=chosen)


def _widened(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    """The schema with a column of nulls for each name that it lacks."""
    import pyarrow as pa

    for name in names:
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.null()))
    return schema


def _with_nulls(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    for field in schema:
        if pa.types.is_null(field.type) and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows))
    return table


def _chosen(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([schema.field(name) for name in names], metadata=schema.metadata)


class _GroupReader:
    """Decodes row groups."""

    def __init__(
        self, source: Source, opened: Opened, metadata: FileMetaData, columns: list[str] | None
    ) -> None:
        self._source = source
        self._opened = opened
        self._metadata = metadata
        self._columns = columns

    def tables(self, groups: Sequence[int]) -> Iterator[pa.Table]:
        """The row groups, each as a table; those that are very large in pieces."""
        run: list[int] = []
        for group in groups:
            if self._metadata.row_group(group).total_byte_size <= WHOLE_GROUP:
                run.append(group)
                continue
            yield from in_order(self._whole, run)
            run = []
            yield from self._pieces(group)
        yield from in_order(self._whole, run)

    def _whole(self, group: int) -> pa.Table:
        with _reading(self._source, self._opened):
            ends = (0, 0)
            if self._columns is None:
                ends = group_range(self._metadata.row_group(group))
            return self._file(*ends).read_row_group(group, columns=self._columns)

    def _pieces(self, group: int) -> Iterator[pa.Table]:
        import pyarrow as pa

        with _reading(self._source, self._opened):
            batches = self._file().iter_batches(
                _BATCH_ROWS, row_groups=[group], columns=self._columns
            )
        while True:
            with _reading(self._source, self._opened):
                batch = next(batches, None)
            if batch is None:
                return
            yield pa.Table.from_batches([batch])

    def _file(self, start: int = 0, end: int = 0) -> ParquetFile:
        import pyarrow as pa
        import pyarrow.parquet as pq

        view = pa.PythonFile(SourceFile(self._opened, start, end), "r")
        return pq.ParquetFile(view, metadata=self._metadata)


def _filtered(table: pa.Table, where: pc.Expression, source: Source) -> pa.Table:
    import pyarrow as pa

    try:
        return table.filter(where)
    except (pa.ArrowException, TypeError) as error:
        raise _unfit(source, error) from None


def _used_columns(
    where: pc.Expression, schema: pa.Schema, source: Source
) -> tuple[pa.Schema, list[str]]:
    """The schema with the columns that only the condition names, as columns of nulls, and the
    names of all columns that it looks at: those that it cannot do without."""
    import pyarrow as pa

    if "FieldPath(" in str(where):
        raise Invalid("filtering", source.name, found="a column by number", expected="its name")
    while True:
        empty = schema.empty_table()
        try:
            empty.filter(where)
            break
        except (pa.ArrowException, TypeError) as error:
            missing = _MISSING.search(str(error))
            if missing is None or missing[1] in schema.names:
                raise _unfit(source, error) from None
            schema = _widened(schema, [missing[1]])

    def used(names: list[str]) -> list[str]:
        try:
            empty.drop_columns(names).filter(where)
        except (pa.ArrowException, TypeError):
            half = len(names) // 2
            return used(names[:half]) + used(names[half:]) if half else names
        return []

    return schema, used(list(dict.fromkeys(schema.names)))


def _unfit(source: Source, error: Exception) -> Invalid:
    return Invalid("filtering", source.name, found=_line(error), expected="a condition on its rows")


def _may_prune(where: pc.Expression, used: Sequence[pa.Field], schema: pa.Schema) -> bool:
    """Whether row groups may be left out by their bounds.

    Bounds leave NaN out, but Arrow concludes from them as if they did not: it would lose rows with
    NaN under ``x != 5`` or ``not (x < 5)``. So conditions on floats must be plain comparisons.
    """
    if not any(re.search(r"float|double", str(field.type)) for field in used):
        return True
    if any('"' in name for name in schema.names):
        return False
    return _NAN_MAY_PASS.search(_TEXT.sub("", str(where))) is None


def _possible_groups(opened: Opened, where: pc.Expression, schema: pa.Schema) -> list[int]:
    import pyarrow as pa
    import pyarrow.dataset as pds

    fragment = pds.ParquetFileFormat().make_fragment(pa.PythonFile(SourceFile(opened), "r"))
    return [group.id for group in fragment.subset(filter=where, schema=schema).row_groups]


@contextmanager
def _reading(source: Source, opened: Opened | None) -> Iterator[None]:
    """Turn what Arrow says of bytes that it cannot read into our errors; a failed read stays what
    it was."""
    import pyarrow as pa

    try:
        yield
    except HoldfastError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        if opened is not None and opened.error is not None:
            raise opened.error from None
        if isinstance(error, pa.ArrowNotImplementedError):
            raise Unsupported("reading", source.name, found=_line(error)) from None
        raise InvalidFormat(
            "reading", source.name, found=_line(error), expected="a Parquet file"
        ) from None


def _line(error: BaseException) -> str:
    return str(error).split("\n", maxsplit=1)[0][:300] or type(error).__name__
