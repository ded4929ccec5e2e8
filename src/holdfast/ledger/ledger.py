"""The ledger: artifacts and the history of commits on any store (spec/ledger.md)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from holdfast.clock import Clock, Ids, SystemClock, SystemIds
from holdfast.errors import Denied, Integrity, NotFound
from holdfast.ledger import payload as payloads
from holdfast.ledger.artifact import reference_of
from holdfast.ledger.commit_index import CommitIndex
from holdfast.ledger.log import Entry, Head, open_log
from holdfast.ledger.opened import Opened, Place, open_index
from holdfast.ledger.sealed import open_files
from holdfast.records import COMMIT_TYPE_TAG, MODEL_NUMBERS, CommitRecord

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.ledger.artifact import Reference
    from holdfast.ledger.read import ArtifactInfo, ArtifactReader, ArtifactStream
    from holdfast.ledger.view import LedgerView
    from holdfast.ledger.write import ArtifactWriter, Put
    from holdfast.records import Checked, Finding, GcReport, ObjectRef
    from holdfast.store.protocol import Store


class Ledger:
    """The ledger under `prefix` of `store`.

    Implements `CommitSink` and `Maintainable`. Safe to use from several threads and, on every
    store, from several processes at once; a handle does not survive a fork. What was acknowledged
    is durable.

    Args:
        cache: absolute local folder for what can be rebuilt; None: nowhere.
        domain: this repository's number among federated ones (u32), for snapshots.
    """

    def __init__(
        self,
        store: Store,
        prefix: str = "ledger",
        *,
        clock: Clock | None = None,
        ids: Ids | None = None,
        cache: str | None = None,
        domain: int = 0,
        read_only: bool = False,
    ) -> None:
        self.store = store
        self.prefix = prefix
        self.read_only = read_only
        self.domain = domain
        self.clock: Clock = clock or SystemClock()
        self.ids: Ids = ids or SystemIds()
        self.log = open_log(store, prefix, ids=self.ids, read_only=read_only)
        self._place = Place(store, prefix, self.log, open_files(store, prefix))
        self._cache = cache
        self._commits = CommitIndex(self.log)
        self._loading = threading.Lock()
        self._opened: Opened | None = None
        self.fault: Integrity | None = None
        """Damage that whoever opened the ledger knows of: what is not found then is not absent."""

    # Reading

    def get(self, reference: Reference, *, verify: bool = True) -> bytes:
        """The artifact's bytes, their digest checked unless `verify` is false.

        Raises:
            NotFound: not there, or tombstoned (logseqs in ``details["tombstones"]``); `Erased`.
            Integrity: the bytes are damaged.
            Unsupported: a hash id that this version cannot verify.
        """
        return (self._opened or self._open()).reader.get(reference, verify=verify)

    def get_many(self, references: Iterable[Reference]) -> Iterator[bytes]:
        """The bytes of each reference, in order; raises as `get` at the one that fails."""
        return self._reader.get_many(references)

    def open_artifact(self, reference: Reference) -> ArtifactStream:
        """The artifact as a stream in constant memory; its end is the check of its digest."""
        return self._reader.open(reference)

    def stat(self, reference: Reference) -> ArtifactInfo:
        """Size, type tag, standing and logseq, of a tombstoned artifact too. Raises `NotFound`."""
        return self._reader.stat(reference)

    def exists(self, reference: Reference) -> bool:
        """Whether `get` would find the artifact."""
        return self._reader.exists(reference)

    def find(self, prefix: str) -> list[Reference]:
        """The references whose digest begins with `prefix`, ascending; tombstoned ones too.

        Raises:
            Invalid: fewer than 8 hex digits, or other characters.
        """
        return self._reader.find(prefix)

    def position(self) -> int:
        """The logseq of the newest record; 0: none."""
        return self.log.head().logseq

    def refresh(self) -> bool:
        """Take in what others appended; whether there was something."""
        return (self._opened or self._open()).index.refresh()

    def at(self, position: int) -> LedgerView:
        """The ledger as it was at logseq `position`, for reading.

        Raises:
            NotFound: above head, or below the horizon of the last collection.
        """
        from holdfast.ledger.view import LedgerView

        opened = self._opened or self._open()
        return LedgerView(opened, position)

    # Writing

    def put(self, data: Buffer, type_tag: int | None = None) -> Reference:
        """Store one artifact, durable on return; one that is visible already is not stored again.
        See `put_artifact`."""
        return self._writer.put(data, type_tag).reference

    def put_artifact(self, data: Buffer, type_tag: int | None = None) -> Put:
        """As `put`, and says what was done.

        Raises:
            Invalid: a type tag that is no u32.
            Denied: an erased artifact, or a ledger opened for reading only.
        """
        return self._writer.put(data, type_tag)

    def put_many(self, items: Iterable[Buffer], type_tag: int | None = None) -> list[Reference]:
        """Store many artifacts as one batch: all durable and visible on return, or none.

        Artifacts that are there already, or twice in the batch, are stored once. `items` may be
        a generator; memory holds some 16 MiB of them at a time.
        """
        return self._writer.put_many(items, type_tag)

    def put_stream(self, source: BinaryIO, type_tag: int | None = None) -> Reference:
        """Store what is left of a binary stream, in constant memory.

        A stream that cannot seek is copied to a temporary file first: the identity begins with
        the length.

        Raises:
            Conflict: the source changed while it was read.
        """
        return self._writer.put_stream(source, type_tag)

    def tombstone(self, reference: Reference, scope: int = 0, reason: int = 0) -> int:
        """Hide an artifact from here on; the logseq of the tombstone, which a lift names.
        `scope` and `reason` (u32) are kept and mean nothing here.

        Raises:
            NotFound: no such artifact.
        """
        return self._writer.tombstone(reference, scope, reason)

    def lift(self, reference: Reference, logseq: int) -> int:
        """Cancel the tombstone at `logseq` and no other; the logseq of the lift.

        Raises:
            NotFound: no such tombstone in force, or the artifact's bytes are gone.
        """
        return self._writer.lift(reference, logseq)

    def snapshot(self) -> int:
        """Write a snapshot of the index state, so that opening need not replay what lies before;
        its id."""
        return self._writer.snapshot()

    # Commits (records.CommitSink)

    def commit(self, record: CommitRecord, *, since: int = 0) -> int:
        """Append a COMMIT durably; its logseq. See `records.CommitSink.commit`."""
        self._check_writable()
        data = record.to_bytes()
        reference = reference_of(data, COMMIT_TYPE_TAG)
        entry = payloads.entry_of(payloads.Commit(MODEL_NUMBERS[record.model], reference), data)
        name = (record.model, record.name, record.id)
        found: list[int] = []

        def build(head: Head) -> Sequence[Entry]:
            found.clear()
            logseq = self._commits.find(name, since) if head.logseq > since else None
            if logseq is not None:
                found.append(logseq)
                return ()
            return (entry,)

        first, _ = self.log.append(build)
        if not found:
            self._commits.wrote(reference, record)
        return found[0] if found else first

    def find_commit(self, model: str, name: str, id: str) -> int | None:
        """The logseq of the COMMIT of (model, name, id), or None."""
        return self._commits.find((model, name, id))

    def last_commit(self, model: str, name: str) -> tuple[int, str] | None:
        """Logseq and id of the newest COMMIT of `name` in `model`, or None."""
        return self._commits.last(model, name)

    def find_object(self, model: str, name: str, id: str) -> ObjectRef | None:
        """The root object that the newest COMMIT of (model, name, id) fixes, or None."""
        return self._commits.root((model, name, id))

    def tombstone_of(self, model: str, name: str, id: str) -> int | None:
        """The logseq of a tombstone in force on the record of the COMMIT of (model, name, id), or
        None. A snapshot whose COMMIT has one is expired (spec/datasets.md §9.1)."""
        return self._commits.tombstone((model, name, id))

    def tombstone_commits(
        self, model: str, name: str, ids: Sequence[str], *, reason: int = 0
    ) -> list[str]:
        """Tombstone the records of the COMMITs of (model, name) with these ids, all in one append;
        the ids that had no tombstone before. `reason` (u32) is kept and means nothing here.

        Raises:
            NotFound: no such COMMIT; nothing is tombstoned.
        """
        self._check_writable()
        done: list[str] = []

        def build(head: Head) -> Sequence[Entry]:
            done.clear()
            entries = []
            for id in ids:
                reference = self._commits.reference((model, name, id))
                if reference is None:
                    raise NotFound("tombstoning the commit of", f"{model} {name} {id}")
                if self._commits.tombstone((model, name, id)) is None:
                    done.append(id)
                    entries.append(payloads.entry_of(payloads.Tombstone(reference, 0, reason)))
            return entries

        try:
            self.log.append(build)
        finally:
            if self._opened is not None:
                self._opened.index.behind = True
        return done

    def commits(
        self,
        *,
        model: str | None = None,
        name: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[int, CommitRecord]]:
        """The commits with their logseqs, newest first; the last few cost little."""
        matching = (
            (logseq, commit)
            for logseq, commit in self._commits.newest_first(before)
            if model in (None, commit.model) and name in (None, commit.name)
        )
        return islice(matching, limit)

    def commit_record(self, logseq: int) -> CommitRecord:
        """The record of the COMMIT at `logseq`. Raises `NotFound`, `Integrity`."""
        return self._commits.read(logseq)

    # Maintenance (records.Maintainable)

    def export_log(self, out: BinaryIO) -> int:
        """Write the canonical single-file log to `out`; returns the bytes."""
        return self.log.export(out)

    def verify(self, *, deep: bool = True) -> Iterator[Finding | Checked]:
        """Check the log, every segment, block and snapshot; `deep` reads every artifact."""
        from holdfast.ledger.check import LedgerCheck

        return LedgerCheck(self._place, deep=deep).run()

    def repair(self) -> Iterator[Finding]:
        """Mend the log and remove litter; yields what was mended."""
        from holdfast.ledger.litter import repair

        self._check_writable()
        return repair(self._place)

    def collect(self, *, dry_run: bool) -> GcReport:
        """Remove files that no record names and no living writer is about to name."""
        from holdfast.ledger.litter import collect

        if not dry_run:
            self._check_writable()
        return collect(self._place, dry_run=dry_run)

    @property
    def opened(self) -> Opened:
        """The index and what reads it, loaded at first use: history needs none of it."""
        return self._opened or self._open()

    def close(self) -> None:
        """Release files and keep the cache; idempotent."""
        with self._loading:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.segments.close(keep=not self.read_only)
        self._place.files.close()
        self.log.close()

    @property
    def _reader(self) -> ArtifactReader:
        return (self._opened or self._open()).reader

    @property
    def _writer(self) -> ArtifactWriter:
        from holdfast.ledger.write import ArtifactWriter

        self._check_writable()
        return ArtifactWriter(self.opened, self.clock, self.ids, self.domain)

    def _open(self) -> Opened:
        with self._loading:
            if self._opened is None:
                opened = open_index(self._place, self._commits, self._cache)
                opened.index.fault = opened.index.fault or self.fault
                self._opened = opened
            return self._opened

    def _check_writable(self) -> None:
        if self.read_only:
            raise Denied("writing to the ledger of", self.store.url, found="opened for reading")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
