"""Rows of a snapshot as bytes of a format, in constant memory; and as a table for people."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.cli.dataset_input import EXTENSIONS
from holdfast.errors import Invalid, SchemaViolation

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    from typing_extensions import Buffer

    from holdfast.datasets.codecs.protocol import Codec
    from holdfast.datasets.manifest import FileRef
    from holdfast.datasets.snapshot import DatasetSnapshot

FORMATS = ("table", "jsonl", "csv", "parquet", "arrow", "raw")
_GROUP_ROWS = 1 << 20
_GROUP_BYTES = 64 << 20
_CELL = 40


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of a snapshot that a command wants."""

    snapshot: DatasetSnapshot
    columns: tuple[str, ...] | None = None
    where: pc.Expression | None = None
    limit: int | None = None
    file: FileRef | None = None
    """Only this file's rows, all of them; the other wishes do not count then."""

    def of(self, file: FileRef) -> Selection:
        """The rows of one file."""
        return Selection(self.snapshot, file=file)

    @property
    def is_raw(self) -> bool:
        """Whether the snapshot holds bytes, not rows."""
        return not self.snapshot.manifest.codec

    def chunks(self) -> Iterator[Any]:
        """The rows: lists of records as they are stored, where nothing else is asked for; else
        record batches."""
        plain = self.columns is None and self.where is None and self.file is None
        if not plain or self.snapshot.manifest.codec != "jsonl":
            yield from self.batches()
            return
        left = self.limit
        for rows in self.snapshot.read_rows():
            if left is not None and len(rows) >= left:
                yield rows[:left]
                return
            yield rows
            if left is not None:
                left -= len(rows)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as record batches; their schemas may differ from file to file."""
        if self.file is not None:
            return self._codec().read_batches(self.snapshot.source(self.file))
        return self.snapshot.scan(self.where, self.columns, self.limit).to_batches()

    def schema(self) -> pa.Schema:
        """A schema that all batches fit into.

        Raises:
            SchemaViolation: files whose columns have no common type.
        """
        import pyarrow as pa

        if self.file is not None:
            return self._schema_of(self.file)
        scan = self.snapshot.scan(self.where, self.columns, self.limit)
        kept = {plan.path for plan in scan.explain().kept}
        files = [file for file in self.snapshot.files if file.path in kept]
        found = [self._schema_of(file) for file in files or self.snapshot.files[:1]]
        try:
            return pa.unify_schemas(found, promote_options="permissive")
        except pa.ArrowException as error:
            raise SchemaViolation(
                "reading a table from", self.snapshot, found=str(error).split("\n", maxsplit=1)[0],
                hint="read it as JSON Lines",
            ) from None  # fmt: skip

    def _schema_of(self, file: FileRef) -> pa.Schema:
        import pyarrow as pa

        batches = self._codec().read_batches(self.snapshot.source(file), columns=self.columns)
        first = next(iter(batches), None)
        return pa.schema([]) if first is None else first.schema

    def _codec(self) -> Codec:
        from holdfast.datasets.codecs.choose import codec_of

        codec = codec_of(self.snapshot.manifest.codec)
        assert codec is not None
        return codec


def format_for(output: str, named: str | None) -> str | None:
    """The format that `--format` says, else the extension of `output`; None: neither does.

    Raises:
        Invalid: an unknown `--format`.
    """
    if named is not None:
        if named not in FORMATS:
            raise Invalid("reading --format", repr(named), expected=", ".join(FORMATS))
        return named
    return EXTENSIONS.get(os.path.splitext(output.lower())[1])


class Counter:
    """Encodes rows, and counts them while they go by."""

    def __init__(self) -> None:
        self.rows = 0

    def encoded(self, selection: Selection, kind: str, *, streamed: bool) -> Iterator[bytes]:
        """The bytes of `selection` in the format `kind`; Arrow as a stream or as a file."""
        if kind == "jsonl":
            return self._jsonl(selection.chunks())
        schema = selection.schema()
        batches = self._counted(selection.batches(), schema)
        if kind == "csv":
            return _csv(batches, schema)
        if kind == "parquet":
            return _parquet(batches, schema)
        return _arrow(batches, schema, streamed=streamed)

    def _jsonl(self, chunks: Iterable[Any]) -> Iterator[bytes]:
        import pyarrow as pa

        from holdfast.datasets.codecs.jsonl import Jsonl

        sink = _Drain()
        encoder = Jsonl(statistics=False).encoder(sink)
        for chunk in chunks:
            table = pa.Table.from_batches([chunk]) if isinstance(chunk, pa.RecordBatch) else chunk
            encoder.write(table)
            self.rows += len(table)
            yield from sink.drained()
        encoder.finish()
        yield from sink.drained()

    def _counted(
        self, batches: Iterable[pa.RecordBatch], schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self.rows += batch.num_rows
            yield from _fitted(batch, schema)


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """`batch` with the columns of `schema`; those that it lacks are null."""
    import pyarrow as pa

    if batch.schema.equals(schema):
        yield batch
        return
    tables = [pa.Table.from_batches([batch]), schema.empty_table()]
    table = pa.concat_tables(tables, promote_options="permissive").select(schema.names)
    yield from table.cast(schema).to_batches()


def _csv(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    import pyarrow as pa
    from pyarrow import csv

    for field in schema:
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            raise Invalid(
                "writing CSV", f"column {field.name!r}", found=f"the type {field.type}",
                hint="CSV has no form for it: use jsonl or parquet, or name other --columns",
            )  # fmt: skip
    sink = _Drain()
    with csv.CSVWriter(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield from sink.drained()
    yield from sink.drained()


def _parquet(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = _Drain()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            waiting.append(batch)
            large = sum(b.nbytes for b in waiting) >= _GROUP_BYTES
            if large or sum(b.num_rows for b in waiting) >= _GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting = []
                yield from sink.drained()
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema))
    yield from sink.drained()


def _arrow(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, streamed: bool
) -> Iterator[bytes]:
    import pyarrow as pa

    sink = _Drain()
    with (pa.ipc.new_stream if streamed else pa.ipc.new_file)(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield from sink.drained()
    yield from sink.drained()


class _Drain(io.RawIOBase):
    """What a writer wrote, to be taken away piece by piece: so that a failing output never has to
    find its way through the writer."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._size

    def drained(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def close(self) -> None:
        """Nothing: what is left can still be taken."""


# For people


def table_of(selection: Selection, most: int) -> tuple[list[str], list[list[str]], bool]:
    """Heads and cells of the first `most` rows, and whether there are more."""
    found: list[dict[str, Any]] = []
    for chunk in selection.chunks():
        found += _records(chunk, most + 1 - len(found))
        if len(found) > most:
            break
    names: Sequence[str] = list(dict.fromkeys(name for row in found for name in row))
    right = {n for n in names if all(_is_number(row.get(n)) for row in found[:most])}
    head = [f">{name}" if name in right else name for name in names]
    return head, [[_cell(row.get(n)) for n in names] for row in found[:most]], len(found) > most


def _records(chunk: Any, most: int) -> list[dict[str, Any]]:
    from holdfast.datasets.tables import rows_of

    rows = chunk[:most] if isinstance(chunk, list) else rows_of(chunk.slice(0, most))
    return [row if isinstance(row, dict) else {"value": row} for row in rows]


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
