"""Scans: a lazy selection of rows and columns that reads only files that can matter (§9.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from holdfast.datasets.bounds import Bounds
from holdfast.datasets.explanation import Explanation, FilePlan
from holdfast.datasets.expression import crashes, fields_of, parse
from holdfast.datasets.manifest import FileRef
from holdfast.datasets.prune import TRUE, Test, condition, possible
from holdfast.datasets.snapshot import DatasetSnapshot
from holdfast.errors import Invalid

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow as pa
    import pyarrow.compute as pc

    from holdfast.datasets.codecs.protocol import Codec
    from holdfast.datasets.dataset import Dataset

_KEPT = 2
_bounds: WeakKeyDictionary[Dataset, tuple[Bounds, ...]] = WeakKeyDictionary()
# Of the manifests that were scanned last, by identity: comparing them would be slow.


@dataclass(frozen=True, slots=True)
class _Step:
    """A file in the order of reading. `mask`: the outcomes that the condition can have in it."""

    snapshot: DatasetSnapshot
    number: int
    file: FileRef
    kept: bool
    mask: int
    limited: bool = False

    @property
    def rows(self) -> int | None:
        return None if self.file.stats is None else self.file.stats.row_count


class Scan:
    """Rows of snapshots for which a condition is true; made by `Dataset.scan` and
    `DatasetSnapshot.scan`::

        from pyarrow.compute import field
        ds.scan(where=(field("day") == "2024-01-02") & (field("n") > 5)).to_arrow()

    Nothing is read before rows are asked for, and the same scan can be asked again. The result is
    that of reading everything and filtering it, but that columns which only pruned files have do
    not appear. Rows come in the order of `snapshots`, of their files' paths, and of the file; a
    file that several of the snapshots name is read for each.

    Args:
        where: a pyarrow expression over top-level columns. A column that a file does not have is
            null there. Rows for which it is false or null are left out.
        columns: those wanted, in this order; None: all.
        limit: rows after which reading stops.

    Raises:
        Invalid: no such arguments; when read, raw bytes or a condition that does not fit the data.
        Integrity: when read: damaged files.
    """

    def __init__(
        self,
        dataset: Dataset,
        snapshots: Sequence[DatasetSnapshot],
        *,
        where: pc.Expression | None = None,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> None:
        _check(dataset, where, columns, limit)
        self.snapshots = tuple(snapshots)
        self._dataset = dataset
        self._where = where
        self._columns = None if columns is None else tuple(columns)
        self._limit = limit
        self._condition: Test | None = None if where is None else condition(where)
        self._steps: list[_Step] | None = None

    # Tables

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as record batches, file by file; schemas of files may differ. One empty batch
        where there is no row, so that there is a schema."""
        some = False
        empty = None
        for batch in self._read(self._columns):
            if batch.num_rows:
                some = True
                yield batch
            elif empty is None:
                empty = batch
        if not some and empty is not None:
            yield empty

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.to_batches()

    def to_arrow(self) -> pa.Table:
        """The rows as one table; the schemas of files are unified."""
        import pyarrow as pa

        from holdfast.datasets.tables import table_of

        batches = list(self._read(self._columns))
        if not batches and self._columns is not None:
            return pa.table({name: pa.nulls(0) for name in self._columns})
        return table_of(batches)

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas frame."""
        from holdfast.datasets.tables import to_pandas

        return to_pandas(self.to_arrow())

    def to_polars(self) -> polars.DataFrame:
        """The rows as a Polars frame."""
        from holdfast.datasets.tables import to_polars

        return to_polars(self.to_arrow())

    def to_duckdb(
        self, name: str | None = None, connection: duckdb.DuckDBPyConnection | None = None
    ) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection (default: a new one in memory) in which the rows are the view `name`
        (default: the dataset's id)."""
        import duckdb

        con = duckdb.connect() if connection is None else connection
        con.register(name or self._dataset.id, self.to_arrow())
        return con

    # Rows

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows as dicts, with the columns of their file; a key that a record lacks is None."""
        from holdfast.datasets.tables import rows_of

        for batch in self._read(self._columns):
            yield from rows_of(batch)

    def read(self) -> list[dict[str, Any]]:
        """All rows as a list of dicts."""
        return list(self.rows())

    def count(self) -> int:
        """The number of rows. Files all of whose rows count are not read: without a condition
        none is."""
        if self._where is None:
            total = sum(snapshot.row_count for snapshot in self.snapshots)
            return total if self._limit is None else min(total, self._limit)
        fields = fields_of(parse(self._where))
        columns = fields[:1] if fields else None  # any column will do
        total = 0
        for step in self._plan():
            if self._limit is not None and total >= self._limit:
                return self._limit
            if step.kept and step.mask == TRUE and step.rows is not None:
                total += step.rows
            elif step.kept:
                total += sum(batch.num_rows for batch in self._batches(step, columns))
        return total if self._limit is None else min(total, self._limit)

    # The plan

    def explain(self) -> Explanation:
        """What is read, what not, and why; reads nothing. With a condition and a limit, files at
        the end may turn out not to be needed."""
        plans = []
        for step in self._plan():
            why = self._reason(step)
            plans.append(
                FilePlan(
                    step.file.path,
                    step.snapshot.id,
                    step.rows,
                    step.file.size_bytes,
                    step.kept,
                    why,
                )
            )
        unread = self._schema_step()
        return Explanation(
            dataset=self._dataset.id,
            snapshots=tuple(snapshot.id for snapshot in self.snapshots),
            where=None if self._where is None else str(self._where),
            columns=self._columns,
            limit=self._limit,
            files=tuple(plans),
            schema_from="" if unread is None else unread.file.path,
            row_groups=self._within(),
        )

    def _plan(self) -> list[_Step]:
        if self._steps is None:
            steps = [step for snapshot in self.snapshots for step in self._steps_of(snapshot)]
            self._steps = self._until_limit(steps)
        return self._steps

    def _steps_of(self, snapshot: DatasetSnapshot) -> Iterator[_Step]:
        files = snapshot.files
        if self._condition is None:
            masks, kept = [TRUE] * len(files), [True] * len(files)
        else:
            masks = self._condition.masks(self._bounds_of(snapshot))
            kept = possible(masks)
        for number, file in enumerate(files):
            has_rows = self._where is None or file.stats is None or file.stats.row_count > 0
            yield _Step(snapshot, number, file, kept[number] and has_rows, masks[number])

    def _until_limit(self, steps: list[_Step]) -> list[_Step]:
        """Without the files that cannot be reached, as far as the manifest tells."""
        left = self._limit
        if left is None:
            return steps
        out = []
        for step in steps:
            out.append(replace(step, kept=False, limited=True) if left == 0 else step)
            if left and step.kept and step.mask == TRUE:
                left = max(0, left - (step.rows or 0))
        return out

    def _schema_step(self) -> _Step | None:
        """The file whose schema is that of an empty result: the smallest of the last snapshot."""
        steps = self._plan()
        if any(step.kept for step in steps):
            return None
        last = [step for step in steps if step.snapshot is steps[-1].snapshot]
        return min(last, key=lambda step: step.file.size_bytes, default=None)

    def _bounds_of(self, snapshot: DatasetSnapshot) -> Bounds:
        manifest = snapshot.manifest
        known = _bounds.get(self._dataset, ())
        for bounds in known:
            if bounds.manifest is manifest:
                return bounds
        bounds = Bounds(manifest, self._dataset.options.keys)
        _bounds[self._dataset] = (bounds, *known)[:_KEPT]
        return bounds

    def _reason(self, step: _Step) -> str:
        if step.limited:
            return f"the limit of {self._limit} rows is reached before it"
        if self._condition is None:
            return "no condition"
        if not step.kept and step.rows == 0:
            return "it has no rows"
        if not step.kept:
            return self._condition.reason(self._bounds_of(step.snapshot), step.number)
        return "all rows match" if step.mask == TRUE else "rows may match"

    def _within(self) -> str:
        if self._where is None:
            return "all rows of a file"
        if any(snapshot.manifest.codec == "parquet" for snapshot in self.snapshots):
            return "row groups of Parquet whose bounds exclude the condition are not read"
        return "all records of a file are read, then filtered"

    # Reading

    def _read(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        left = self._limit
        for step in self._plan():
            if not step.kept:
                continue
            for batch in self._batches(step, columns):
                if left is not None and batch.num_rows >= left:
                    yield batch.slice(0, left)
                    return
                yield batch
                if left is not None:
                    left -= batch.num_rows
        unread = self._schema_step()
        if unread is not None:
            for batch in self._batches(unread, columns):
                yield batch.slice(0, 0)
                return

    def _batches(self, step: _Step, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        codec = self._codec(step.snapshot)
        source = step.snapshot.source(step.file)
        import pyarrow as pa

        try:
            yield from codec.read_batches(source, columns=columns, where=self._where)
        except pa.ArrowException as error:
            if isinstance(error, MemoryError):
                raise
            # What a codec lets through: a value that the condition cannot be compared with.
            raise Invalid(
                "scanning", step.file.path, found=str(error).partition("\n")[0][:300]
            ) from error

    def _codec(self, snapshot: DatasetSnapshot) -> Codec:
        codec = self._dataset.codec_of(snapshot)
        if codec is None:
            raise Invalid("scanning", snapshot, found="raw bytes", hint="use `read()` or `open()`")
        return codec


def _check(dataset: Dataset, where: Any, columns: Any, limit: Any) -> None:
    doing, target = "scanning", f"dataset {dataset.id}"
    if where is not None:
        import pyarrow.compute as pc

        if not isinstance(where, pc.Expression):
            raise Invalid(
                doing,
                target,
                found=f"a condition of type {type(where).__name__}",
                expected="a pyarrow expression",
                hint='as in `pyarrow.compute.field("x") > 5`',
            )
        if crashes(parse(where)):
            raise Invalid(
                doing,
                target,
                found="a null of a large type, at which Arrow crashes",
                hint="leave out its type: `pyarrow.scalar(None)`; or ask with `is_null()`",
            )
    if columns is not None and (
        isinstance(columns, str) or not all(isinstance(name, str) for name in columns)
    ):
        raise Invalid(doing, target, found="columns", expected="a list of names")
    if limit is not None and (type(limit) is not int or limit < 0):
        raise Invalid(doing, target, found=f"limit {limit!r}", expected="a number of rows")
