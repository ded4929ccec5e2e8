"""Which rows of a data file a condition matches, and the file without them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.datasets.compressors import compressor_of
from holdfast.datasets.output import Output, Part
from holdfast.datasets.partition import partition_of
from holdfast.errors import HoldfastError, Invalid, Unsupported

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

    from holdfast.datasets.codecs.protocol import Chunk, Codec
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.manifest import DatasetManifest, FileRef
    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.datasets.source import FileSource

_ROW = "\x00row"
_NO_FIELD = re.compile(r"No match for FieldRef\.Name\((.*?)\) in ", re.DOTALL)


@dataclass(slots=True)
class Rewritten:
    """A file without the rows that match. `part` is None where no row is left."""

    erased: int
    part: Part | None


class Matcher:
    """A condition, applied to files.

    Args:
        where: an Arrow expression, of which null counts as no; or a function of a row (as
            `DatasetSnapshot.read` gives it).

    Attributes:
        missing: columns that it names and that every file lacks; None: no file was looked at.
    """

    def __init__(self, dataset: Dataset, where: pc.Expression | Callable[[Any], bool]) -> None:
        self._dataset = dataset
        import pyarrow.compute as pc

        self._where: Any = where
        self._call: Callable[[Any], bool] | None = None
        if not isinstance(where, pc.Expression):
            self._call = where
        if self._call is not None and not callable(self._call):
            raise Invalid(
                "erasing rows of",
                f"dataset {dataset.id}",
                found=f"a condition of type {type(where).__name__}",
                expected="a pyarrow.compute expression, or a function of a row",
            )
        self.missing: set[str] | None = None

    def rewrite(self, snapshot: DatasetSnapshot, file: FileRef) -> Rewritten | None:
        """The file without the rows that match; None: none does. Every byte read is verified.

        Raises:
            Unsupported: raw bytes have no rows.
            Invalid: the condition cannot be applied.
        """
        codec = self._dataset.codec_of(snapshot)
        if codec is None:
            raise Unsupported(
                "erasing rows of",
                snapshot,
                found="raw bytes, which have none",
                hint="expire the snapshot, or erase the whole dataset",
            )
        source = snapshot.source(file)
        rows = self._matches(codec, source)
        if not rows:
            return None
        part = self._without(codec, source, snapshot.manifest, file, rows)
        return Rewritten(len(rows), part)

    def _matches(self, codec: Codec, source: FileSource) -> set[int]:
        """Numbers of the rows that match, counted over the file."""
        first = 0
        found: set[int] = set()
        if self._call is not None:
            for rows in codec.read_rows(source):
                for number, row in enumerate(rows, first):
                    if self._asked(row):
                        found.add(number)
                first += len(rows)
            return found
        import pyarrow as pa

        lacking: set[str] = set()
        for batch in codec.read_batches(source):
            numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
            table = pa.Table.from_batches([batch]).append_column(_ROW, numbers)
            found.update(self._filtered(table, lacking)[_ROW].to_pylist())
            first += batch.num_rows
        self.missing = lacking if self.missing is None else self.missing & lacking
        return found

    def _asked(self, row: Any) -> bool:
        assert self._call is not None
        try:
            return bool(self._call(row))
        except HoldfastError:
            raise
        except Exception as error:
            raise Invalid(
                "erasing rows of",
                f"dataset {self._dataset.id}",
                found=f"the condition raised {type(error).__name__}: {error}",
            ) from error

    def _filtered(self, table: pa.Table, lacking: set[str]) -> pa.Table:
        import pyarrow as pa

        for name in sorted(lacking - set(table.column_names)):
            table = table.append_column(name, pa.nulls(table.num_rows))
        while True:
            try:
                return table.filter(self._where)
            except (pa.ArrowException, TypeError) as error:
                # An expression does not tell which columns it names, but what it misses.
                missing = _NO_FIELD.search(str(error))
                if missing is None or missing[1] in lacking:
                    raise Invalid(
                        "erasing rows of",
                        f"dataset {self._dataset.id}",
                        found=str(error).split("\n", maxsplit=1)[0][:300],
                    ) from None
                lacking.add(missing[1])
                table = table.append_column(missing[1], pa.nulls(table.num_rows))

    def _without(
        self,
        codec: Codec,
        source: FileSource,
        manifest: DatasetManifest,
        file: FileRef,
        rows: set[int],
    ) -> Part | None:
        dataset = self._dataset
        output = Output(
            dataset.store,
            dataset.chain.places.folder,
            compressor_of(manifest.compressor),
            manifest.checksum_algorithm,
        )
        try:
            encoder = codec.encoder(output)
            left = 0
            for chunk in _kept(codec, source, rows):
                left += len(chunk)
                encoder.write(chunk)
            if not left:
                output.abort()
                return None
            stats = encoder.finish()
            return output.finish(partition_of(file.path), stats, left)
        except BaseException:
            output.abort()
            raise


def _kept(codec: Codec, source: FileSource, rows: set[int]) -> Iterator[Chunk]:
    """The records that are not among `rows`: columns of Parquet, values of anything else."""
    first = 0
    if codec.name == "parquet":
        import numpy as np
        import pyarrow as pa

        gone = np.sort(np.fromiter(rows, np.int64, len(rows)))
        for batch in codec.read_batches(source):
            keep = np.ones(batch.num_rows, np.bool_)
            low, high = np.searchsorted(gone, (first, first + batch.num_rows))
            keep[gone[low:high] - first] = False
            first += batch.num_rows
            table = pa.Table.from_batches([batch]).filter(pa.array(keep))
            if len(table):
                yield table
        return
    for records in codec.read_rows(source):
        left = [record for n, record in enumerate(records, first) if n not in rows]
        first += len(records)
        if left:
            yield left
