"""Parquet written as a stream of row groups in bounded memory (§7)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from holdfast.datasets.codecs.parquet_columns import fit_table
from holdfast.datasets.codecs.parquet_rows import field_table, inferred_table, schema_table
from holdfast.datasets.codecs.parquet_schema import Field, arrow_schema, check_names
from holdfast.datasets.statistics import TableStats
from holdfast.errors import Invalid, SchemaViolation, Unsupported

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Buffer

    from holdfast.datasets.codecs.protocol import Sink
    from holdfast.datasets.manifest import FileStats

GROUP_BYTES = 128 << 20
"""Arrow bytes after which a row group ends, whatever its rows."""

_LEAST_GROUP = 1024
_THREAD_ROWS = 100_000


class ParquetEncoder:
    """One Parquet file, written into `sink`; see `holdfast.datasets.codecs.protocol.Encoder`.

    Without a schema the rows' first chunk gives it; until the first row group is full, later
    chunks may bring further keys, and types for keys that had only None.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        fields: Sequence[Field] | None,
        schema: pa.Schema | None,
        compression: str,
        row_group_rows: int,
    ) -> None:
        self._fields = fields
        self._schema = arrow_schema(fields) if fields is not None else schema
        self._open = self._schema is None  # the schema may still grow
        self._compression = compression
        self._group_rows = row_group_rows
        self._file = _SinkFile(sink)
        self._writer: Any = None
        self._stats: TableStats | None = None
        self._pending: list[tuple[pa.Table, dict[str, Sequence[Any]]]] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._records = 0
        self._finished = False

    def write(self, chunk: Sequence[Any] | pa.Table) -> None:
        """Take in rows or columns. All of the chunk is checked before any of it is written.

        Raises:
            SchemaViolation: with the number of the record and its field.
        """
        if self._finished:
            raise Invalid("writing", "Parquet", found="an encoder that is finished")
        zoned: dict[str, Sequence[Any]] = {}
        if isinstance(chunk, Sequence):
            if not chunk:
                return
            table, zoned = self._rows(chunk)
        else:
            table = self._columns(chunk)
        self._pending.append((table, zoned))
        self._records += table.num_rows
        self._pending_rows += table.num_rows
        self._pending_bytes += table.nbytes
        if self._pending_rows >= self._group_rows or self._pending_bytes >= GROUP_BYTES:
            self._flush()

    def finish(self) -> FileStats:
        """Write what waits and the footer; the statistics of the file."""
        if self._finished:
            raise Invalid("writing", "Parquet", found="an encoder that is finished")
        self._flush()
        self._finished = True
        with self._writing():
            self._started().close()
        return self._stats_of_file().result()

    def _rows(self, rows: Sequence[Any]) -> tuple[pa.Table, dict[str, Sequence[Any]]]:
        import pyarrow as pa

        first = self._records
        if self._fields is not None and self._schema is not None:
            return field_table(rows, self._fields, self._schema, first)
        if self._schema is None:
            table = inferred_table(rows, first)
            self._schema = table.schema
            return table, {}
        if self._open:
            table = inferred_table(rows, first)
            try:
                self._schema = pa.unify_schemas([self._schema, table.schema])
            except pa.ArrowException:
                pass  # other types than before: they fit, or not
            else:
                return table, {}
        return schema_table(rows, self._schema, first), {}

    def _columns(self, chunk: pa.Table) -> pa.Table:
        import pyarrow as pa

        table = pa.Table.from_batches([chunk]) if isinstance(chunk, pa.RecordBatch) else chunk
        if self._schema is None:
            self._schema = check_names(table.schema)
        # Columns were typed by whoever made them: the schema grows no further.
        self._open = False
        return fit_table(table, self._schema, self._records)

    def _flush(self) -> None:
        if not self._pending:
            return
        import pyarrow as pa

        self._open = False
        assert self._schema is not None
        first = self._records - self._pending_rows
        pieces, tables = [], []
        for table, zoned in self._pending:
            fitted = fit_table(table, self._schema, first)
            first += fitted.num_rows
            tables.append(fitted)
            pieces.append((fitted, zoned))
        whole = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        if any(pa.types.is_dictionary(field.type) for field in whole.schema):
            whole = whole.unify_dictionaries()
        rows = self._group_rows
        if self._pending_bytes:
            fitting = GROUP_BYTES * whole.num_rows // self._pending_bytes
            rows = min(rows, max(_LEAST_GROUP, fitting))
        self._pending = []
        self._pending_rows = self._pending_bytes = 0
        stats = self._stats_of_file()
        with _beside(stats, pieces, whole.num_rows >= _THREAD_ROWS), self._writing():
            self._started().write_table(whole, row_group_size=rows)

    def _started(self) -> Any:
        if self._writer is None:
            import pyarrow as pa
            import pyarrow.parquet as pq

            schema = self._schema if self._schema is not None else pa.schema([])
            self._writer = pq.ParquetWriter(
                pa.PythonFile(self._file, "w"), schema, compression=self._compression
            )
        return self._writer

    def _stats_of_file(self) -> TableStats:
        if self._stats is None:
            import pyarrow as pa

            schema = self._schema if self._schema is not None else pa.schema([])
            order = None if self._fields is None else [field.name for field in self._fields]
            self._stats = TableStats(schema, order)
        return self._stats

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Let bytes through to the sink, and turn Arrow's errors into ours."""
        import pyarrow as pa

        self._file.through = True
        try:
            yield
        except BaseException as error:
            self._finished = True
            if self._file.error is not None:
                raise self._file.error from None
            if isinstance(error, pa.ArrowNotImplementedError):
                raise Unsupported("writing", "Parquet", found=str(error)) from None
            if isinstance(error, pa.ArrowException):
                raise SchemaViolation("writing", "Parquet", found=str(error)) from None
            raise
        finally:
            self._file.through = False


@contextmanager
def _beside(
    stats: TableStats, pieces: Sequence[tuple[pa.Table, dict[str, Sequence[Any]]]], thread: bool
) -> Iterator[None]:
    """Gather the statistics while the body runs; Arrow holds no lock while it works."""
    errors: list[BaseException] = []

    def gather() -> None:
        try:
            for table, zoned in pieces:
                stats.update(table, zoned)
        except BaseException as error:
            errors.append(error)

    worker = threading.Thread(target=gather, name="holdfast-statistics", daemon=True)
    if thread:
        worker.start()
    else:
        gather()
    try:
        yield
    finally:
        if thread:
            worker.join()
    if errors:
        raise errors[0]


class _SinkFile:
    """The sink as the file that Arrow writes to.

    Arrow's writer writes a footer when it is dropped, and it is dropped when writing was given up:
    outside the encoder's own calls nothing passes to the sink.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._at = 0
        self.through = False
        self.error: BaseException | None = None
        self.closed = False

    def write(self, data: Buffer) -> int:
        size = memoryview(data).nbytes
        if self.through and self.error is None:
            try:
                self._sink.write(data)
            except BaseException as error:
                self.error = error
                raise
        self._at += size
        return size

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
