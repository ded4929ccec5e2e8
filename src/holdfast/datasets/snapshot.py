"""A dataset snapshot: its manifest, and what can be read of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from holdfast.datasets.manifest import DatasetManifest, FileRef
from holdfast.errors import Invalid, NotFound, Unsupported
from holdfast.snapshotting.facts import SnapshotFacts
from holdfast.snapshotting.iteration import Iteration

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow as pa
    import pyarrow.compute as pc

    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.scan import Scan
    from holdfast.datasets.source import FileSource
    from holdfast.snapshotting.form import Stored
    from holdfast.snapshotting.verified_file import VerifiedFile


class DatasetSnapshot(SnapshotFacts[DatasetManifest]):
    """One snapshot of a dataset, immutable. Every read checks what it reads.

    Made by `Dataset.write`, `latest`, `at` and their like.
    """

    def __init__(self, dataset: Dataset, stored: Stored[DatasetManifest]) -> None:
        super().__init__(stored)
        self._dataset = dataset

    @property
    def row_count(self) -> int:
        """Records; a raw blob counts as one."""
        return self.manifest.row_count

    @property
    def files(self) -> Sequence[FileRef]:
        """Its data files, by path."""
        return self.manifest.files

    # Reading

    def read(self) -> Any:
        """All records as a list of Python values; the bytes of a raw blob.

        Raises:
            Integrity: damaged; nothing wrong is ever returned.
        """
        if self._dataset.codec_of(self) is None:
            return self._blob().read_all()
        return [row for rows in self.read_rows() for row in rows]

    def read_rows(self) -> Iteration[list[Any]]:
        """The records in lists of bounded size: for snapshots that memory cannot hold."""
        return Iteration(self._rows())

    def _rows(self) -> Iterator[list[Any]]:
        codec = self._codec("reading records of")
        for file in self.files:
            yield from codec.read_rows(self._source(file))

    def to_batches(self, columns: Sequence[str] | None = None) -> Iteration[pa.RecordBatch]:
        """The records as Arrow record batches, file by file; schemas of files may differ."""
        return Iteration(self._batches(columns))

    def _batches(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        codec = self._codec("reading a table from")
        for file in self.files:
            yield from codec.read_batches(self._source(file), columns=columns)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The records as one Arrow table; the schemas of its files are unified."""
        from holdfast.datasets.tables import table_of

        return table_of(self.to_batches(columns))

    def to_pandas(self, columns: Sequence[str] | None = None) -> pandas.DataFrame:
        """The records as a pandas frame."""
        from holdfast.datasets.tables import to_pandas

        return to_pandas(self.to_arrow(columns))

    def to_polars(self, columns: Sequence[str] | None = None) -> polars.DataFrame:
        """The records as a Polars frame."""
        from holdfast.datasets.tables import to_polars

        return to_polars(self.to_arrow(columns))

    def to_duckdb(
        self, name: str | None = None, connection: duckdb.DuckDBPyConnection | None = None
    ) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection (default: a new one in memory) in which the records are the view
        `name` (default: the dataset's id)."""
        import duckdb

        con = duckdb.connect() if connection is None else connection
        con.register(name or self._dataset.id, self.to_arrow())
        return con

    def scan(
        self,
        where: pc.Expression | None = None,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Scan:
        """A lazy selection; files that cannot match are not read."""
        from holdfast.datasets.scan import Scan

        return Scan(self._dataset, (self,), where=where, columns=columns, limit=limit)

    def open(self, file: FileRef | str | None = None) -> IO[bytes]:
        """A data file's decompressed bytes, as a seekable file; without `file` the only one."""
        return self._source(self._file(file)).open()

    def open_object(self, file: FileRef | str | None = None) -> VerifiedFile:
        """A data file as it is stored, for ranges: `read_at`, `stream`, `open`."""
        return self._dataset.verified(self._file(file), self.manifest.checksum_algorithm)

    def source(self, file: FileRef) -> FileSource:
        """A data file for its codec."""
        return self._source(file)

    def _file(self, file: FileRef | str | None) -> FileRef:
        if isinstance(file, FileRef):
            return file
        if file is None:
            if len(self.files) != 1:
                raise Invalid(
                    "opening the file of",
                    self,
                    found=f"{len(self.files)} files",
                    hint="say which one: a path of `files`",
                )
            return self.files[0]
        for known in self.files:
            if known.path == file:
                return known
        raise NotFound("opening", file, found=f"no file of {self}")

    def _blob(self) -> FileSource:
        if len(self.files) != 1:
            raise Unsupported(
                "reading",
                self,
                found=f"{len(self.files)} files without a codec",
                expected="one",
                hint="open them one by one: `open(file)`",
            )
        return self._source(self.files[0])

    def _codec(self, doing: str) -> Any:
        codec = self._dataset.codec_of(self)
        if codec is None:
            raise Invalid(doing, self, found="raw bytes", hint="use `read()` or `open()`")
        return codec

    def _source(self, file: FileRef) -> FileSource:
        return self._dataset.source(file, self.manifest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatasetSnapshot) and self._stored == other._stored

    def __hash__(self) -> int:
        return hash((self._stored.path, self._stored.sha256))

    def __str__(self) -> str:
        return f"snapshot {self.id} of dataset {self._dataset.id}"

    def __repr__(self) -> str:
        return f"DatasetSnapshot({self._dataset.id!r}, {self.id!r}, rows={self.row_count})"
