"""Commits by name and by reference, found in the log as far as they are asked for (§7).

The log is the truth and the only copy; this index grows in memory over the stretches of log that
questions needed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from holdfast.errors import NotFound
from holdfast.ledger import payload as payloads
from holdfast.ledger.payload import RecordType
from holdfast.records import CommitRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from holdfast.ledger.artifact import Reference
    from holdfast.ledger.log import Log, Record
    from holdfast.records import ObjectRef

Name = tuple[str, str, str]
"""Model, name and id: what a commit is called."""


class CommitIndex:
    """Commits of one log. Safe from several threads; no lock is held while the log is read."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        # Names are known for the logseqs in (low, high].
        self._names: dict[Name, int] = {}
        self._records: dict[Name, Reference] = {}
        self._roots: dict[Name, ObjectRef] = {}
        self._newest: dict[tuple[str, str], tuple[int, str]] = {}
        # Tombstones in (low, high]: those of a COMMIT come after it, so a known COMMIT's are known.
        self._tombstones: dict[Reference, set[int]] = {}
        self._lifted: set[int] = set()
        self._low = 0
        self._high = 0
        self._hash: bytes | None = None
        self._references: dict[Reference, int] = {}
        self._seals: dict[int, int] = {}
        self._passed = 0
        self._passed_hash: bytes | None = None
        self._written: tuple[Reference, CommitRecord] | None = None

    def wrote(self, reference: Reference, record: CommitRecord) -> None:
        """This process has just appended the COMMIT of `record`: it need not be read back."""
        self._written = reference, record

    def newest_first(self, before: int | None = None) -> Iterator[tuple[int, CommitRecord]]:
        """The commits below logseq `before`, newest first; erased ones are left out."""
        return self._commits(self._log.records_backwards(before))

    def read(self, logseq: int) -> CommitRecord:
        """The commit record of COMMIT `logseq`.

        Raises:
            NotFound: no COMMIT there, or its record is erased.
            Integrity: the record's bytes are damaged.
        """
        record = next(self._log.records(logseq, stop=logseq), None) if logseq > 0 else None
        payload = None if record is None else payloads.payload_of(record)
        if not isinstance(payload, payloads.Commit):
            raise NotFound("reading the commit", f"commit:{logseq}", found="no commit there")
        return CommitRecord.from_bytes(self._log.frame(logseq, payload.reference))

    def find(self, name: Name, since: int = 0) -> int | None:
        """The logseq of the COMMIT called `name` above logseq `since`, or None."""
        self._extend()
        with self._lock:
            found, low = self._names.get(name), self._low
        if found is None and since < low:
            self._deepen(lambda commit: _name(commit) == name, since)
            with self._lock:
                found = self._names.get(name)
        return found if found is not None and found > since else None

    def root(self, name: Name) -> ObjectRef | None:
        """The first object of the newest COMMIT called `name`, or None."""
        if self.find(name) is None:
            return None
        with self._lock:
            return self._roots.get(name)

    def tombstone(self, name: Name) -> int | None:
        """The logseq of a tombstone in force on the record of the COMMIT called `name`, or None."""
        reference = self.reference(name)
        with self._lock:
            if reference is None or not self._tombstones:
                return None
            return min(self._tombstones.get(reference, set()) - self._lifted, default=None)

    def reference(self, name: Name) -> Reference | None:
        """The Reference of the record of the newest COMMIT called `name`, or None."""
        if self.find(name) is None:
            return None
        with self._lock:
            return self._records.get(name)

    def last(self, model: str, name: str) -> tuple[int, str] | None:
        """Logseq and id of the newest COMMIT of `name` in `model`, or None. What was learned is
        kept: asked again, only the records appended since are read."""
        self._extend()
        with self._lock:
            found = self._newest.get((model, name))
        if found is None and self._low:
            self._deepen(lambda commit: (commit.model, commit.name) == (model, name), 0)
            with self._lock:
                found = self._newest.get((model, name))
        return found

    def by_reference(self, reference: Reference) -> int | None:
        """The logseq of a COMMIT whose record is the artifact `reference`, or None."""
        self._pass()
        return self._references.get(reference)

    def find_prefix(self, prefix: str) -> list[Reference]:
        """The references of commit records whose digest begins with `prefix` (hex)."""
        self._pass()
        return [r for r in list(self._references) if r.digest.hex().startswith(prefix)]

    def seal_of(self, segment_id: int) -> int:
        """The logseq of the newest seal of a segment; 0 when there is none."""
        self._pass()
        return self._seals.get(segment_id, 0)

    def _extend(self) -> None:
        """Learn the names of what was appended since."""
        head = self._log.head()
        with self._lock:
            if not self._high:
                # Start at the end: most questions are about the newest records.
                self._low = self._high = head.logseq
                self._hash = head.record_hash
            high, previous = self._high, self._hash
        if head.logseq <= high:
            return
        records = list(self._log.records(high + 1, previous=previous, stop=head.logseq))
        learned = list(self._referenced(records))
        with self._lock:
            self._note_tombstones(records)
            if self._high == high and records:
                self._high, self._hash = records[-1].logseq, records[-1].record_hash
                for logseq, reference, commit in learned:
                    name = _name(commit)
                    self._names[name] = logseq
                    self._records[name] = reference
                    if commit.objects:
                        self._roots[name] = commit.objects[0]
                    self._newest[commit.model, commit.name] = logseq, commit.id

    def _deepen(self, wanted: Callable[[CommitRecord], bool], since: int) -> None:
        """Learn older commits, down to `since` or to one that is wanted."""
        with self._lock:
            low = self._low
        learned: list[tuple[int, Reference, CommitRecord]] = []
        reached = since
        older = self._noting(self._below(low, since))
        for logseq, reference, commit in self._referenced(older):
            learned.append((logseq, reference, commit))
            if wanted(commit):
                reached = logseq - 1
                break
        with self._lock:
            for logseq, reference, commit in learned:
                name = _name(commit)
                self._names.setdefault(name, logseq)
                self._records.setdefault(name, reference)
                if commit.objects:
                    self._roots.setdefault(name, commit.objects[0])
                self._newest.setdefault((commit.model, commit.name), (logseq, commit.id))
            self._low = min(self._low, reached)

    def _noting(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            if record.type in (RecordType.TOMBSTONE, RecordType.TOMBSTONE_LIFT):
                with self._lock:
                    self._note_tombstones((record,))
            yield record

    def _note_tombstones(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.type == RecordType.TOMBSTONE:
                tombstone = payloads.payload_of(record)
                assert isinstance(tombstone, payloads.Tombstone)
                self._tombstones.setdefault(tombstone.reference, set()).add(record.logseq)
            elif record.type == RecordType.TOMBSTONE_LIFT:
                lift = payloads.payload_of(record)
                assert isinstance(lift, payloads.TombstoneLift)
                self._lifted.add(lift.logseq)

    def _below(self, low: int, since: int) -> Iterator[Record]:
        for record in self._log.records_backwards(low + 1):
            if record.logseq <= since:
                return
            yield record

    def _pass(self) -> None:
        """Read the whole log once, for references and seals; later only what was appended."""
        with self._lock:
            passed, previous = self._passed, self._passed_hash
        references: dict[Reference, int] = {}
        seals: dict[int, int] = {}
        for record in self._log.records(passed + 1, previous=previous):
            passed, previous = record.logseq, record.record_hash
            if record.type == RecordType.COMMIT:
                commit = payloads.payload_of(record)
                assert isinstance(commit, payloads.Commit)
                references[commit.reference] = record.logseq
            elif record.type == RecordType.SEGMENT_SEAL:
                seal = payloads.payload_of(record)
                assert isinstance(seal, payloads.SegmentSeal)
                seals[seal.segment_id] = record.logseq
        with self._lock:
            self._references.update(references)
            self._seals.update(seals)
            if passed > self._passed:
                self._passed, self._passed_hash = passed, previous

    def _commits(self, records: Iterable[Record]) -> Iterator[tuple[int, CommitRecord]]:
        for logseq, _, commit in self._referenced(records):
            yield logseq, commit

    def _referenced(
        self, records: Iterable[Record]
    ) -> Iterator[tuple[int, Reference, CommitRecord]]:
        for record in records:
            if record.type != RecordType.COMMIT:
                continue
            payload = payloads.payload_of(record)
            assert isinstance(payload, payloads.Commit)
            written = self._written
            if written is not None and written[0] == payload.reference:
                yield record.logseq, payload.reference, written[1]
                continue
            try:
                frame = self._log.frame(record.logseq, payload.reference)
            except NotFound as error:
                if error.details.get("erased"):
                    continue
                raise
            yield record.logseq, payload.reference, CommitRecord.from_bytes(frame)


def _name(commit: CommitRecord) -> Name:
    return commit.model, commit.name, commit.id
