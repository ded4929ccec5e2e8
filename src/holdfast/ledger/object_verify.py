"""Checking, mending and clearing the objects of a log."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, NotFound
from holdfast.ledger.log import GENESIS, Record
from holdfast.ledger.log_verify import MODEL, FrameCheck, reference_in
from holdfast.ledger.object_names import (
    Catalogue,
    Hint,
    decode_hint,
    merged_name,
    sidecar_name,
    single_name,
)
from holdfast.ledger.payload import RecordType, payload_of
from holdfast.ledger.record import HEADER_SIZE, check_header, decode_chain, skip_chain
from holdfast.ledger.sidecar import FrameIndex
from holdfast.records import Checked, Finding, GcReport, Severity

if TYPE_CHECKING:
    from holdfast.store.protocol import Store


class ObjectLogCheck:
    """One check of all objects of a log."""

    def __init__(self, store: Store, folder: str, *, deep: bool) -> None:
        self._store = store
        self._folder = folder
        self._deep = deep
        self._catalogue = Catalogue()
        self._sizes: dict[str, int] = {}
        self._fitting: set[str] = set()
        self._hashes: dict[int, bytes] = {0: GENESIS}
        """Record hashes by logseq at the ends of objects, and before those that overlap."""

    def run(self) -> Iterator[Finding | Checked]:
        """The findings, and what was read."""
        start = len(self._folder) + 1
        self._sizes = {e.path[start:]: e.size for e in self._store.list(self._folder)}
        self._catalogue = Catalogue(self._sizes)
        for name in self._catalogue.others:
            text = "not an object of the log"
            yield Finding(Severity.INFO, "unexpected_file", self._path(name), text, MODEL)
        logseq = 1
        while True:
            found = self._catalogue.covering(logseq)
            if found is None or (logseq > 1 and found[1] < logseq and not self._reaches(logseq)):
                later = self._next_after(logseq)
                if later is None:
                    break
                text = f"records {logseq} to {later - 1} are in no object"
                path = self._path(single_name(logseq))
                yield Finding(Severity.ERROR, "missing", path, text, MODEL)
                logseq = later
                continue
            logseq = yield from self._check_object(*found)
        yield from self._check_rest()
        yield from self._check_hint()

    def _reaches(self, logseq: int) -> bool:
        return any(first <= logseq <= last for first, last in self._catalogue.merged)

    def _next_after(self, logseq: int) -> int | None:
        firsts = [f for f in self._catalogue.singles if f > logseq]
        firsts += [f for f, _ in self._catalogue.merged if f > logseq]
        return min(firsts, default=None)

    def _check_object(self, name: str, first: int) -> Generator[Finding | Checked, None, int]:
        """Check one object and its frames; returns the logseq that must follow."""
        self._fitting.add(name)
        path = self._path(name)
        try:
            data = self._store.get(path)
            yield Checked(1, len(data))
            check_header(data, path)
        except HoldfastError as error:
            yield self._of(error, path)
            return self._next_after(first) or first + 1
        records: list[Record] = []
        before = self._hashes.get(first - 1)
        if before is None:
            before = GENESIS
        end = decode_chain(data, before, first, offset=HEADER_SIZE, into=records)
        if records:
            self._hashes[records[-1].logseq] = records[-1].record_hash
        for other, _ in self._catalogue.merged:
            if records and records[0].logseq < other <= records[-1].logseq:
                self._hashes[other - 1] = records[other - 1 - first].record_hash
        yield from self._check_frames(name, first, records, data[-32:])
        if end.fault is not None or not records:
            text = "no record"
            if end.fault is not None:
                text = f"record {end.fault.logseq}: {end.fault.found}"
            offset = end.fault.offset if end.fault is not None else HEADER_SIZE
            yield Finding(Severity.ERROR, "integrity", path, text, MODEL, offset)
            following = self._next_after(first)
            if following is not None:
                # What follows is judged by the hash that this object ends with.
                self._hashes[following - 1] = data[-32:]
            return following or first + max(1, len(records))
        return records[-1].logseq + 1

    def _check_frames(
        self, name: str, first: int, records: list[Record], last_hash: bytes
    ) -> Iterator[Finding | Checked]:
        """Check the frames of an object's records, batch by batch."""
        if name == single_name(first):
            yield from self._check_sidecar(sidecar_name(first, last_hash), records)
            return
        # Where the merged batches ended, the names of their sidecars tell.
        ends = {record.record_hash[:8].hex(): record.logseq for record in records}
        batches = []
        for start, text in self._catalogue.sidecars:
            last = ends.get(text, 0)
            if start <= last and start >= first:
                batches.append((start, last, f"{start:020d}-{text}.commits"))
        framed: set[int] = set()
        for start, last, sidecar in batches:
            part = records[start - first : last - first + 1]
            framed.update(record.logseq for record in part)
            yield from self._check_sidecar(sidecar, part)
        rest = [record for record in records if record.logseq not in framed]
        yield from self._check_sidecar(sidecar_name(first, last_hash), rest)

    def _check_sidecar(self, name: str, records: list[Record]) -> Iterator[Finding | Checked]:
        path = self._path(name)
        index = FrameIndex()
        size = self._sizes.get(name, -1)
        if size < 0 and any(r.type in (RecordType.COMMIT, RecordType.INLINE_PUT) for r in records):
            size = self._put_since(path)

        def read(count: int, offset: int) -> bytes:
            return self._store.read_range(path, offset, count)

        try:
            if size >= 0:
                self._fitting.add(name)
                index.extend(read, size)
                yield Checked(1, size)
            check = FrameCheck(read, index, path, deep=self._deep)
            for record in records:
                try:
                    if reference_in(record) is None:
                        payload_of(record, path)
                except HoldfastError as error:
                    yield self._of(error, path)
                    continue
                yield from check.check(record)
            if size >= 0 and self._deep and records:
                yield from check.finish(size, records[-1].logseq, is_newest=False)
        except HoldfastError as error:
            yield self._of(error, path)

    def _check_rest(self) -> Iterator[Finding | Checked]:
        """Objects that readers pass over: merged ones and batches that longer ones cover, and
        frames that fit no object."""
        merged = [(merged_name(*pair), pair[0]) for pair in self._catalogue.merged]
        singles = [(single_name(first), first) for first in self._catalogue.singles]
        for name, first in merged + singles:
            if name not in self._fitting:
                yield from self._check_object(name, first)
        for first, text in self._catalogue.sidecars:
            name = f"{first:020d}-{text}.commits"
            if name not in self._fitting:
                said = "frames that fit no object of the log"
                yield Finding(Severity.INFO, "litter", self._path(name), said, MODEL)

    def _check_hint(self) -> Iterator[Finding | Checked]:
        path = self._path("head")
        try:
            data = self._store.get(path)
        except NotFound:
            return
        except HoldfastError as error:
            yield self._of(error, path)
            return
        yield Checked(1, len(data))
        hint = decode_hint(data)
        if hint is not None and hint.last > max(self._hashes) and self._is_there(hint):
            return
        if hint is None or self._hashes.get(hint.last) != hint.record_hash:
            text = "a hint that names no batch of this log"
            yield Finding(Severity.ERROR, "malformed", path, text, MODEL, 0, True)
        elif hint.first not in self._catalogue.singles:
            text = "a hint that names a batch that is gone"
            yield Finding(Severity.WARNING, "malformed", path, text, MODEL, 0, True)

    def _is_there(self, hint: Hint) -> bool:
        """Whether the batch that a hint names was put since the objects were listed."""
        try:
            data = self._store.get(self._path(single_name(hint.first)))
        except NotFound:
            return False
        end = skip_chain(data, hint.first, offset=HEADER_SIZE)
        return (end.logseq, end.record_hash) == (hint.last, hint.record_hash)

    def _put_since(self, path: str) -> int:
        """Bytes of an object that was not listed, -1 where it is not there. A listing that goes on
        while somebody writes may pass a sidecar's place before it is put, and meet its batch."""
        try:
            return self._store.size(path)
        except NotFound:
            return -1

    def _of(self, error: HoldfastError, path: str) -> Finding:
        found = Finding.of(error, path, MODEL)
        if isinstance(error, NotFound):
            return Finding(Severity.ERROR, "missing", path, found.message, MODEL)
        return found

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"


def mend_hint(store: Store, folder: str, newest: Hint) -> Iterator[Finding]:
    """Write the hint anew where it is wrong."""
    path = f"{folder}/head"
    try:
        data: bytes | None = store.get(path)
    except NotFound:
        data = None
    right = newest.encode()
    if not newest.last or data == right:
        return
    store.compare_and_swap(path, data, right)
    if data is not None and decode_hint(data) is None:
        text = "the hint was written anew"
        yield Finding(Severity.INFO, "malformed", path, text, MODEL)


def collect_litter(store: Store, folder: str, head: int, *, dry_run: bool) -> GcReport:
    """Remove frames that fit no object. Those above `head` may be a writer's that has not put its
    batch yet, and are left."""
    report = GcReport()
    start = len(folder) + 1
    sizes = {entry.path[start:]: entry.size for entry in store.list(folder)}
    catalogue = Catalogue(sizes)
    for first, text in catalogue.sidecars:
        name = f"{first:020d}-{text}.commits"
        if first > head or first not in catalogue.singles:
            continue
        path = f"{folder}/{name}"
        try:
            if sidecar_name(first, store.get(f"{folder}/{single_name(first)}")[-32:]) == name:
                continue
            if not dry_run:
                store.delete(path)
            report.removed.append((path, sizes[name]))
        except HoldfastError as error:
            report.failed.append((path, str(error)))
    return report
