"""The codec ``parquet`` (§7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from holdfast.datasets.codecs.parquet_encoder import ParquetEncoder
from holdfast.datasets.codecs.parquet_reader import read_batches
from holdfast.datasets.codecs.parquet_schema import TYPES, Field, check_fields, check_names
from holdfast.errors import Invalid

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

    from holdfast.datasets.codecs.protocol import Sink, Source

__all__ = ["ROW_GROUP_ROWS", "TYPES", "Field", "Parquet"]

ROW_GROUP_ROWS = 1 << 20

_COMPRESSIONS = ("zstd", "snappy", "none")


class Parquet:
    """Tables as Parquet files.

    Args:
        schema: `Field`s, whose files the Go implementation reads too and whose rows are checked
            as strictly as it does; or an Arrow schema, nested types included; None: the first
            chunk's.
        compression: of the pages inside the file.
        row_group_rows: most rows of a row group; large rows make smaller groups.

    Raises:
        SchemaViolation: an empty or repeated name, an unknown type.
        Invalid: another compression, no rows.
    """

    name = "parquet"

    def __init__(
        self,
        schema: Sequence[Field] | pa.Schema | None = None,
        compression: Literal["zstd", "snappy", "none"] = "zstd",
        row_group_rows: int = ROW_GROUP_ROWS,
    ) -> None:
        if compression not in _COMPRESSIONS:
            expected = ", ".join(_COMPRESSIONS)
            raise Invalid("setting up Parquet", found=f"{compression!r}", expected=expected)
        if row_group_rows < 1:
            raise Invalid("setting up Parquet", found=f"{row_group_rows} rows in a group")
        self.fields: tuple[Field, ...] | None = None
        self.schema: pa.Schema | None = None
        if schema is None:
            pass
        elif isinstance(schema, (list, tuple)):
            self.fields = check_fields(schema)
        else:
            self.schema = check_names(_arrow(schema))
        self.compression = compression
        self.row_group_rows = row_group_rows

    def encoder(self, sink: Sink) -> ParquetEncoder:
        """Writes one file into `sink`."""
        return ParquetEncoder(
            sink,
            fields=self.fields,
            schema=self.schema,
            compression=self.compression,
            row_group_rows=self.row_group_rows,
        )

    def read_rows(self, source: Source) -> Iterator[list[Any]]:
        """The rows as dicts, in lists; times as `datetime`, or `NanoTime` where that is too
        coarse. Raises `InvalidFormat`."""
        from holdfast.datasets.tables import rows_of

        for batch in read_batches(source, None, None):
            for at in range(0, batch.num_rows, _ROWS):
                yield rows_of(batch.slice(at, _ROWS))

    def read_batches(
        self,
        source: Source,
        *,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """The rows that fulfil `where`; at least one batch. Row groups that cannot have such rows
        are not read; a column that is not there is null. Raises `InvalidFormat`, and `Invalid` for
        a condition that does not suit the columns' types."""
        return read_batches(source, columns, where)


_ROWS = 16_384


def _arrow(schema: Any) -> pa.Schema:
    import pyarrow as pa

    if not isinstance(schema, pa.Schema):
        raise Invalid(
            "setting up Parquet",
            found=f"a schema of type {type(schema).__name__}",
            expected="a list of Field, or a pyarrow.Schema",
        )
    return schema
