"""Tables in: any of the usual forms as chunks for a codec. Tables out: Arrow, pandas, Polars, rows.

What is columnar stays columnar (§9.3).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from holdfast.datasets.records_of import field_names, plain_rows
from holdfast.datasets.timestamps import TimeRange
from holdfast.errors import HoldfastError, Invalid, SchemaViolation, Unsupported

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped, unused-ignore]
    import polars
    import pyarrow as pa

    from holdfast.datasets.codecs.protocol import Chunk

ROWS = 16_384
"""Rows of a chunk that is made of single records."""

_DOING = "writing a table"


def chunks(data: Any, times: TimeRange | None = None, *, rows: int = ROWS) -> Iterator[Chunk]:
    """The records of `data` in chunks.

    Args:
        data: records (dicts, dataclass instances, msgspec structs, named tuples) in a list or any
            iterable; an Arrow table, record batch, reader, dataset or scanner; a pandas frame,
            whose index is kept where it has a name; a Polars frame; a structured array; anything
            with ``__arrow_c_stream__``; an iterable of Arrow tables or batches.
        times: takes in the times of records that have a method ``timestamp()``.
        rows: records of a chunk, where they come one by one.

    Raises:
        Invalid: something else.
        SchemaViolation: a frame that Arrow cannot hold.
    """
    table = _columnar(data)
    if table is not None:
        return table
    if isinstance(data, (str, bytes, bytearray, memoryview)) or not isinstance(data, Iterable):
        raise _no_table(data)
    if type(data).__name__ == "Series" or hasattr(data, "read"):
        raise _no_table(data)
    if isinstance(data, Mapping):
        raise _no_table(data, "a list of records; for columns, pyarrow.table(...)")
    if field_names(type(data)) is not None:
        raise _no_table(data, "a list of records")
    return _rows(data, times, rows)


def _no_table(data: Any, expected: str = "records or a table") -> Invalid:
    kind = type(data)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return Invalid(
        _DOING,
        found=f"a {name}",
        expected=expected,
        hint="wrap one record in a list; bytes need a dataset without a codec",
    )


def _rows(data: Iterable[Any], times: TimeRange | None, rows: int) -> Iterator[Chunk]:
    items = iter(data)
    for first in items:
        items = itertools.chain([first], items)
        if _is_columnar(first):
            for item in items:
                found = _columnar(item)
                if found is None:
                    raise _no_table(item, "tables only, as the first item is one")
                yield from found
            return
        break
    if isinstance(data, (list, tuple)):
        for at in range(0, len(data), rows):
            yield plain_rows(data if len(data) <= rows else data[at : at + rows], times)
        return
    while piece := list(itertools.islice(items, rows)):
        yield plain_rows(piece, times)


def _is_columnar(item: Any) -> bool:
    # A dict is what most items are, and asking it is all that it costs.
    return type(item) is not dict and (
        hasattr(item, "__arrow_c_stream__") or hasattr(item, "__arrow_c_array__")
    )


def _columnar(data: Any) -> Iterator[Chunk] | None:
    """The chunks of columnar data; None for anything else."""
    kind = type(data)
    module = kind.__module__.split(".")[0]
    if module == "pandas" and kind.__name__ == "DataFrame":
        return iter([_from_pandas(data)])
    if module == "polars" and kind.__name__ == "LazyFrame":
        data = data.collect()
    if module == "polars" and hasattr(data, "to_arrow") and hasattr(data, "columns"):
        return iter([data.to_arrow()])
    if module == "numpy" and hasattr(data, "dtype"):
        if data.dtype.names is None or data.ndim != 1:
            raise _no_table(data, "a structured array with one dimension")
        return iter([_from_numpy(data)])
    if module == "pyarrow":
        return _from_arrow(data)
    if module != "pandas" and hasattr(data, "__arrow_c_stream__"):
        return _streamed(data)
    if hasattr(data, "__arrow_c_array__"):
        import pyarrow as pa

        return iter([pa.Table.from_batches([pa.record_batch(data)])])
    return None


def _from_arrow(data: Any) -> Iterator[Chunk]:
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return iter([data])
    if isinstance(data, pa.RecordBatch):
        return iter([pa.Table.from_batches([data])])
    if isinstance(data, pa.RecordBatchReader):
        return (pa.Table.from_batches([batch]) for batch in data)
    if hasattr(data, "to_batches"):  # a dataset, a scanner
        return (pa.Table.from_batches([batch]) for batch in data.to_batches())
    raise _no_table(data)


def _streamed(data: Any) -> Iterator[Chunk]:
    import pyarrow as pa

    try:
        reader = pa.RecordBatchReader.from_stream(data)
    except (pa.ArrowException, TypeError) as error:
        raise Invalid(_DOING, found=str(error), expected="a stream of record batches") from None
    return _from_arrow(reader)


def _from_pandas(frame: Any) -> pa.Table:
    import pyarrow as pa

    named = any(name is not None for name in frame.index.names)
    try:
        return pa.Table.from_pandas(frame, preserve_index=named)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SchemaViolation(
            _DOING, "from pandas", found="; ".join(str(arg) for arg in error.args)
        ) from None


def _from_numpy(array: Any) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    columns = {}
    for name in array.dtype.names:
        values = np.ascontiguousarray(array[name])
        if values.ndim == 1 and values.dtype.names is None:
            columns[name] = pa.array(values)
        else:
            columns[name] = pa.array(values.tolist())
    return pa.table(columns)


def table_of(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """One table of batches whose schemas may differ: columns that a batch lacks are null there,
    numbers take the wider type.

    Raises:
        SchemaViolation: a column whose types have nothing in common.
    """
    import pyarrow as pa

    found = list(batches)
    if not found:
        return pa.table({})
    first = found[0].schema
    if all(batch.schema.equals(first) for batch in found):
        return pa.Table.from_batches(found)
    tables = [pa.Table.from_batches([batch]) for batch in found]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise SchemaViolation(
            "reading a table", found=str(error).split("\n", maxsplit=1)[0],
            hint="read the records as rows, or one snapshot at a time",
        ) from None  # fmt: skip


def to_pandas(
    table: pa.Table, *, dtype_backend: Literal["numpy", "pyarrow"] = "numpy"
) -> pandas.DataFrame:
    """The table as a pandas frame. "pyarrow": columns keep their Arrow types, nulls included.

    Raises:
        Unsupported: pandas is not installed.
    """
    pandas = _imported("pandas")
    if dtype_backend == "pyarrow":
        frame = table.to_pandas(types_mapper=pandas.ArrowDtype)
    else:
        frame = table.to_pandas()
    return frame


def to_polars(table: pa.Table) -> polars.DataFrame:
    """The table as a Polars frame. Raises `Unsupported` where Polars is not installed."""
    frame: polars.DataFrame = _imported("polars").from_arrow(table)
    return frame


def _imported(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise Unsupported(
            "making a frame", found=f"{name} is not installed", hint="pip install holdfast[tables]"
        ) from None


def rows_of(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as dicts. Times with a zone are aware datetimes; `NanoTime` where there are digits
    below the microsecond.

    Raises:
        Unsupported: a value that Python has no exact form for.
    """
    from holdfast.datasets.python_values import values_of

    names = table.schema.names
    if not names:
        return [{} for _ in range(table.num_rows)]
    try:
        columns = [values_of(column) for column in table.columns]
    except HoldfastError:
        raise
    except (ValueError, OverflowError) as error:
        raise Unsupported(
            "reading rows", found=str(error), hint="read it as a table, with to_arrow()"
        ) from None
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
