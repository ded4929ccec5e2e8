"""A dataset: immutable snapshots of tables or blobs, in one line (spec/datasets.md).

A snapshot holds exactly what one write gave it. `append` is the write that repeats what was there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from holdfast.datasets.handle import DatasetHandle
from holdfast.datasets.snapshot import DatasetSnapshot
from holdfast.datasets.writer import OnConflict, SnapshotWriter
from holdfast.errors import NoSnapshots
from holdfast.snapshotting.lineage import lineage_of

if TYPE_CHECKING:
    from datetime import datetime

    import pandas
    import polars
    import pyarrow as pa
    import pyarrow.compute as pc

    from holdfast.datasets.diff import Diff
    from holdfast.datasets.erase import ErasureReport
    from holdfast.datasets.retention import RetentionReport
    from holdfast.datasets.scan import Scan
    from holdfast.datasets.streams import BlobStream, RecordStream
    from holdfast.datasets.tags import Tag
    from holdfast.datasets.transaction import Transaction
    from holdfast.records import Checked, Finding, GcReport
    from holdfast.snapshotting.iteration import Iteration


class Dataset(DatasetHandle):
    """The dataset `id` in `store`. Safe to use from several threads and, on every store, from
    several processes at once; what was acknowledged is durable.

    What is not said is taken from what is stored. For a new dataset the layout is default, files
    are not compressed and have SHA-256 checksums, and the first write decides on the codec: raw
    for bytes, Parquet for Arrow, pandas and Polars, JSON Lines for records.

    Args:
        id: any name that can be a path component; in a repository 1 to 128 of ``[A-Za-z0-9._-]``.
        layout: ``"default"``, ``"hive"`` or ``"flat"``.
        partition_by: keys of the hive layout; given alone they choose it.
        codec: ``"jsonl"``, ``"parquet"``, ``"raw"`` or an object of `codecs.Codec`.
        schema: of Parquet files: a `pyarrow.Schema` or a list of `Field`.
        compressor: ``"none"``, ``"gzip"``, ``"zstd"``.
        checksum: ``"sha256"``, ``"md5"``, ``"blake2b-16"``, ``"none"``.
        verify: ``"off"`` reads without checking digests; sizes are always checked.
        sink: who is told of commits; in a repository the ledger.
        dead_after: on stores without leases, the seconds after which a writer that stands between
            its two steps counts as dead.

    Raises:
        Invalid: options that do not go together, or a name that is none.
    """

    # Writing

    def write(
        self,
        data: Any,
        metadata: Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
        inputs: Sequence[str] = (),
        run: str | None = None,
        parent: str | None = None,
        on_conflict: OnConflict = "retry",
    ) -> DatasetSnapshot:
        """Commit a snapshot that holds exactly `data`; it never appends. Durable on return.

        Args:
            data: records (dicts, dataclasses, any JSON values; a list or an iterable of any
                length), an Arrow table, record batch or reader, a pandas or Polars frame; bytes or
                a binary file for a raw dataset.
            metadata: JSON-like values, kept in the manifest.
            message: a line for people.
            inputs: what it was made from: ``commit:<logseq>``, ``asl1:…``, ``sha256:…``.
            run: the run that made it.
            parent: commit only on top of this snapshot.
            on_conflict: ``"raise"`` when somebody commits while this call runs; ``"retry"`` then
                commits on top of that.

        Raises:
            SchemaViolation: a record that does not fit; names its index and field.
            SnapshotConflict: as `parent` and `on_conflict` say. Nothing is visible.
            Invalid: data of a kind that this dataset does not take.
            StorageFailure, NoSpace, Denied: nothing was acknowledged.
        """
        lineage = lineage_of(message, inputs, run)
        return self.writer.write(data, metadata, lineage, parent, on_conflict, appends=False)

    def append(
        self,
        data: Any,
        metadata: Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
        inputs: Sequence[str] = (),
        run: str | None = None,
        parent: str | None = None,
        on_conflict: OnConflict = "retry",
    ) -> DatasetSnapshot:
        """Commit a snapshot that holds what the newest one holds, and `data`. Files are not
        copied: both snapshots name them. Arguments and errors as `write`."""
        lineage = lineage_of(message, inputs, run)
        return self.writer.write(data, metadata, lineage, parent, on_conflict, appends=True)

    def transaction(
        self,
        metadata: Mapping[str, Any] | None = None,
        *,
        append: bool = False,
        message: str | None = None,
        inputs: Sequence[str] = (),
        run: str | None = None,
        parent: str | None = None,
        on_conflict: OnConflict = "retry",
    ) -> Transaction:
        """Several parts in one snapshot, staged from any number of threads::

            with ds.transaction() as tx:
                tx.stage(one)
                tx.stage(other)
            print(tx.snapshot.id)

        An exception in the block leaves nothing visible. Arguments as `write`.
        """
        from holdfast.datasets.transaction import Transaction

        return Transaction(
            self.writer,
            metadata,
            lineage_of(message, inputs, run),
            self.writer.expected(parent, on_conflict),
            appends=append,
        )

    def stream_write(
        self,
        metadata: Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
        inputs: Sequence[str] = (),
        run: str | None = None,
        parent: str | None = None,
        on_conflict: OnConflict = "retry",
    ) -> BlobStream:
        """A raw blob of any length in constant memory: ``write(bytes)``, then ``commit()``. As a
        context manager it commits, and after an exception aborts: nothing is visible."""
        from holdfast.datasets.streams import BlobStream

        lineage = lineage_of(message, inputs, run)
        expected = self.writer.expected(parent, on_conflict)
        return BlobStream(self.writer, metadata, lineage, expected)

    def stream_write_records(
        self,
        metadata: Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
        inputs: Sequence[str] = (),
        run: str | None = None,
        parent: str | None = None,
        on_conflict: OnConflict = "retry",
    ) -> RecordStream:
        """Records of any number in constant memory: ``write(records)`` as often as you like, then
        ``commit()``; otherwise as `stream_write`. The hive layout refuses it."""
        from holdfast.datasets.streams import RecordStream

        lineage = lineage_of(message, inputs, run)
        expected = self.writer.expected(parent, on_conflict)
        return RecordStream(self.writer, metadata, lineage, expected)

    # Snapshots

    def latest(self) -> DatasetSnapshot:
        """The newest snapshot. Raises `NotFound` (code ``no_snapshots``) when there is none."""
        stored = self.chain.latest()
        if stored is None:
            raise _no_snapshots(self.id)
        return DatasetSnapshot(self, stored)

    def snapshot(self, id: str) -> DatasetSnapshot:
        """The snapshot with this id, marked ones too.

        Raises:
            NotFound: there is none, or it is expired.
            Erased: rows of it were erased; the message names the snapshot that has the others.
        """
        from holdfast.datasets.moments import load

        return load(self, id)

    def snapshots(self) -> Iteration[DatasetSnapshot]:
        """All snapshots, oldest first; those that healing or collection marked, and expired and
        erased ones, are left out. What stands in for an erased snapshot comes in its place.
        Lists the store, as the only one of the readers."""
        from holdfast.datasets.moments import listed

        return listed(self)

    def history(self) -> Iteration[DatasetSnapshot]:
        """The line of parents from the newest snapshot on, marked snapshots too; expired and
        erased ones are passed over."""
        from holdfast.datasets.moments import history

        return history(self)

    def at(self, when: DatasetSnapshot | datetime | str) -> DatasetSnapshot:
        """The snapshot with this id, the one that a tag names, or the newest that was there at a
        time.

        Args:
            when: text is taken for an id, else a tag, else a time (RFC 3339 with a zone); or an
                aware datetime. A time follows the line of parents.

        Raises:
            NotFound: there is none such, or it is expired; `Erased`.
            Invalid: a time without a zone.
        """
        from holdfast.datasets.moments import at

        return at(self, when)

    def diff(
        self, old: DatasetSnapshot | datetime | str, new: DatasetSnapshot | datetime | str
    ) -> Diff:
        """What changed from one snapshot to another, from their manifests alone; `Diff.rows`
        compares row by row. Arguments and errors as `at`."""
        from holdfast.datasets.diff import Diff

        return Diff(self, self.at(old), self.at(new))

    # Keeping and forgetting

    def tag(
        self,
        name: str,
        snapshot: DatasetSnapshot | datetime | str | None = None,
        *,
        message: str | None = None,
        move: bool = False,
    ) -> Tag:
        """Give a snapshot (default: the latest) a name, durable on return. A tagged snapshot does
        not expire.

        Args:
            name: 1 to 128 of ``[A-Za-z0-9._-]``, no dot first.
            move: take the name from the snapshot that has it.

        Raises:
            AlreadyExists: another snapshot, or this one, has that tag.
            Conflict: somebody moved it meanwhile.
            NotFound, Invalid: as `at`; a name that is none.
        """
        from holdfast.datasets.tags import set_tag

        named = self.latest() if snapshot is None else self.at(snapshot)
        return set_tag(self, name, named, message, move=move)

    def untag(self, name: str) -> Tag:
        """Take a tag away; what it was. Raises `NotFound`."""
        from holdfast.datasets.tags import remove_tag

        return remove_tag(self, name)

    def tags(self) -> dict[str, Tag]:
        """All tags by name."""
        from holdfast.datasets.tags import read_tags

        return {tag.name: tag for tag in read_tags(self)}

    def expire(
        self, snapshots: Iterable[DatasetSnapshot | str] | DatasetSnapshot | str, reason: str = ""
    ) -> list[str]:
        """Expire snapshots: they are not found any more, and `collect` frees what only they need.
        Kept in the ledger, as tombstones on their COMMITs; the ids that were not expired before.

        Raises:
            NotFound: there is no such snapshot; `Erased`. Nothing was expired.
            Denied: the latest snapshot, or a tagged one. Nothing was expired.
            Unsupported: the dataset has no ledger.
        """
        from holdfast.datasets.expiry import expire

        some = [snapshots] if isinstance(snapshots, (str, DatasetSnapshot)) else snapshots
        return expire(self, [s if isinstance(s, str) else s.id for s in some], reason)

    def apply_retention(
        self,
        *,
        keep_last: int = 0,
        daily: int = 0,
        weekly: int = 0,
        monthly: int = 0,
        tags: bool = True,
        dry_run: bool = False,
        reason: str = "",
    ) -> RetentionReport:
        """Expire all snapshots but the newest `keep_last`, the newest one of each of the last
        `daily` days, `weekly` weeks and `monthly` months that have one (UTC), and the latest.

        Args:
            tags: tagged snapshots are kept too; False: the tags of those that nothing else keeps
                are taken away.
            dry_run: only say what would happen.

        Raises:
            Invalid: a rule that keeps nothing.
            Unsupported: the dataset has no ledger.
        """
        from holdfast.datasets.expiry import apply_retention
        from holdfast.datasets.retention import Rule

        rule = Rule(keep_last, daily, weekly, monthly)
        return apply_retention(self, rule, tags=tags, dry_run=dry_run, reason=reason)

    def erase_rows(
        self, where: pc.Expression | Callable[[Any], bool], reason: str
    ) -> ErasureReport:
        """Erase rows by law, from every snapshot that is kept, durable on return: their bytes, and
        the statistics that tell of them, are nowhere in the dataset any more.

        Each snapshot that held such rows is replaced by one that holds its others; reading it
        raises `Erased`, which names the replacement. Files that had to be rewritten come last in
        it, in the order that they had. Tags move along. What was destroyed, by whom
        and why stays, in a record and in the ledger. Expired snapshots, and what dead writers
        left, are collected. Not reached: backups, copies that others took, spare flash cells.

        Args:
            where: an Arrow expression (null is no), or a function of a row.
            reason: why; kept for ever.

        Raises:
            Invalid: no reason, or a condition that cannot be applied.
            Unsupported: a snapshot of raw bytes, which has no rows.
            Integrity: a file is damaged; nothing was erased.
        """
        from holdfast.datasets.erase import erase_rows

        return erase_rows(self, where, reason)

    # Looking after it (records.Maintainable)

    def verify(self, *, deep: bool = True) -> Iterator[Finding | Checked]:
        """Check manifests, files, pointer, line, tags and anchors; `deep` reads every byte."""
        from holdfast.datasets.maintenance import verify

        return verify(self, deep=deep)

    def repair(self) -> Iterator[Finding]:
        """Mend what can be mended without loss: heal, anchor, finish, complete; yields what was
        mended, as INFO findings. Raises `Denied` where this is opened for reading."""
        from holdfast.datasets.maintenance import repair

        self.chain.check_writable()
        return repair(self)

    def collect(self, *, dry_run: bool = False) -> GcReport:
        """Delete what no kept snapshot and no tag needs: files of expired snapshots, and of writers
        that died. Can run beside writers. It commits a marked snapshot, if there is something to
        delete."""
        from holdfast.datasets.collect import collect
        from holdfast.datasets.erase import care

        if dry_run:
            return collect(self, dry_run=True)
        self.chain.check_writable()
        with care(self):
            return collect(self, dry_run=False)

    # Reading the latest

    def read(self) -> Any:
        """The latest snapshot's records, or the bytes of its blob; see `DatasetSnapshot.read`."""
        return self.latest().read()

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The latest snapshot as an Arrow table."""
        return self.latest().to_arrow(columns)

    def to_pandas(self, columns: Sequence[str] | None = None) -> pandas.DataFrame:
        """The latest snapshot as a pandas frame."""
        return self.latest().to_pandas(columns)

    def to_polars(self, columns: Sequence[str] | None = None) -> polars.DataFrame:
        """The latest snapshot as a Polars frame."""
        return self.latest().to_polars(columns)

    def to_duckdb(self, name: str | None = None, connection: Any = None) -> Any:
        """The latest snapshot as a view of a DuckDB connection."""
        return self.latest().to_duckdb(name, connection)

    def scan(
        self,
        where: pc.Expression | None = None,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        *,
        snapshots: Literal["all"] | Iterable[DatasetSnapshot | str] | None = None,
    ) -> Scan:
        """A lazy selection over the latest snapshot, or over several, oldest first."""
        from holdfast.datasets.scan import Scan

        chosen: tuple[DatasetSnapshot, ...]
        if snapshots is None:
            chosen = (self.latest(),)
        elif snapshots == "all":
            chosen = tuple(self.snapshots())
        else:
            named = [s if isinstance(s, DatasetSnapshot) else self.snapshot(s) for s in snapshots]
            chosen = tuple(sorted(named, key=lambda s: (len(s.id), s.id)))
        return Scan(self, chosen, where=where, columns=columns, limit=limit)

    @property
    def writer(self) -> SnapshotWriter:
        """What writes snapshots. Raises `Denied` where this is opened for reading."""
        self.chain.check_writable()
        return SnapshotWriter(self)

    def __repr__(self) -> str:
        return f"Dataset({self.id!r}, {self.store.url!r})"


def _no_snapshots(dataset: str) -> NoSnapshots:
    return NoSnapshots(
        "reading the latest snapshot of",
        f"dataset {dataset}",
        found="it has none",
        hint="write one",
    )
