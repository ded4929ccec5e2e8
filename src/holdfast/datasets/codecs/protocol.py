"""What a codec is: records in, the bytes of one data file out, and back (spec: Datasets §5, §7).

A codec knows nothing of stores, compressors, digests or partitions. It writes into a `Sink`, which
compresses, hashes and stages; it reads from a `Source`, which has verified and decompressed. It may
keep what it was configured with, and no state of a file: one codec serves many files and threads.
An encoder belongs to one file and one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.compute
    from typing_extensions import Buffer

    from holdfast.datasets.manifest import FileStats

Chunk: TypeAlias = "Sequence[Any] | pyarrow.Table"
"""Some records: rows as Python values, or columns. `tables.chunks` makes them of any input."""


class Sink(Protocol):
    """Where the bytes of one file go, in order."""

    def write(self, data: Buffer, /) -> object:
        """Take all of `data`; it may be changed or freed after the return."""


class Source(Protocol):
    """The bytes of one file, verified and decompressed."""

    @property
    def name(self) -> str:
        """The path of the file, for errors."""

    def read_all(self) -> bytes:
        """The whole content."""

    def stream(self) -> Iterator[bytes]:
        """The content from its first byte in pieces of any size; may be called again."""

    def open(self) -> IO[bytes]:
        """A seekable binary file over the content; the caller closes it."""


class Encoder(Protocol):
    """Writes one file."""

    def write(self, chunk: Chunk) -> None:
        """Append the records of `chunk`.

        A chunk of any length is taken; memory beyond it stays bounded. A chunk that is refused
        leaves the encoder unusable, and the file is to be dropped: nothing of it was published.

        Raises:
            SchemaViolation: a record that cannot be written; the error names its index, counted
                from 0 over the encoder's life, and the field (details ``record``, ``field``).
        """

    def finish(self) -> FileStats:
        """Write what is left and return the file's statistics. The sink stays open; no `write`
        and no second `finish` after it."""


class Codec(Protocol):
    """A format of data files."""

    @property
    def name(self) -> str:
        """Its name in manifests: ``jsonl``, ``parquet``, or that of a third party's codec."""

    def encoder(self, sink: Sink) -> Encoder:
        """An encoder for a new file whose bytes go to `sink`."""

    def read_rows(self, source: Source) -> Iterator[list[Any]]:
        """The records in order, as lists of Python values of bounded size, none of them empty.

        Raises:
            InvalidFormat: bytes that no encoder of this format wrote, with the offset in the
                content where it is known.
        """

    def read_batches(
        self,
        source: Source,
        *,
        columns: Sequence[str] | None = None,
        where: pyarrow.compute.Expression | None = None,
    ) -> Iterator[pyarrow.RecordBatch]:
        """The records in order, as batches of bounded size that share one schema.

        Args:
            columns: top-level columns wanted, in this order; None: all. One that the file does not
                have is `Invalid` in a format with a schema of its own (Parquet), and nulls of type
                ``null`` where every field is optional (JSONL).
            where: keep only the records for which this is true; it may name columns that are not
                in `columns`. It is applied exactly, not only as a hint.

        At least one batch is given, if need be an empty one, so that the schema is known.

        Raises:
            InvalidFormat: as `read_rows`.
            SchemaViolation: records that have no common Arrow type.
        """
