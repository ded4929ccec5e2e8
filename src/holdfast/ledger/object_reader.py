"""Reading a log of objects (spec/ledger.md §2, "Object store").

A reader that knows the newest batch asks for the name that would follow, until nothing is there;
one that knows nothing begins at the hint, or lists.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Integrity, Invalid, NotFound
from holdfast.ledger.log import EMPTY, GENESIS, Head, Record
from holdfast.ledger.object_names import (
    Catalogue,
    Hint,
    decode_hint,
    sidecar_name,
    single_name,
)
from holdfast.ledger.record import (
    HEADER_SIZE,
    MAX_LOGSEQ,
    Chain,
    Fault,
    check_header,
    decode_chain,
    skip_chain,
    verify_chain,
)
from holdfast.ledger.sidecar import FrameIndex, pick

if TYPE_CHECKING:
    from holdfast.ledger.artifact import Reference
    from holdfast.store.protocol import Store

_KEPT_BYTES = 8 * 2**20
_KEPT_SIDECARS = 16


class ObjectReader:
    """The reading side of the log in `folder` of a store.

    Attributes:
        newest: the newest batch met: its last record; `first_of_head` is its first logseq.
        hint: the bytes of the hint as last read; None: there was none.
        lock: guards all of this.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self.lock = threading.RLock()
        self.newest = EMPTY
        self.first_of_head = 0
        self.hint: bytes | None = None
        self._found = False
        self._damage: Integrity | None = None
        self._sound = False
        self._catalogue = Catalogue()
        self._lasts: dict[str, int] = {}
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._sidecars: OrderedDict[str, FrameIndex] = OrderedDict()

    def head(self) -> Head:
        with self.lock:
            if not self._found:
                self._discover()
            while self._take_next():
                pass
            return self.newest

    def records(
        self, start: int = 1, *, previous: bytes | None = None, stop: int | None = None
    ) -> Iterator[Record]:
        if start < 1:
            raise Invalid("reading the log", found=f"logseq {start}", expected="at least 1")
        return self._records(start, previous, MAX_LOGSEQ if stop is None else stop)

    def records_backwards(self, before: int | None = None) -> Iterator[Record]:
        head = self.head()
        last = head.logseq if before is None else min(head.logseq, before - 1)
        above: bytes | None = head.record_hash if last == head.logseq else None
        while last:
            name, first, data = self._object_with(last)
            previous = self._hash_before(first)
            records, error = self._decode(name, data, first, first, previous, last)
            if error is None and (not records or records[-1].logseq != last):
                error = self._missing(last)
            if error is None and above not in (None, records[-1].record_hash):
                fault = Fault(len(data) - 32, last, "another record hash", "the chain", False)
                error = self._broken(name, fault)
            if error is not None:
                raise error
            yield from reversed(records)
            last, above = first - 1, previous

    def frame(self, logseq: int, reference: Reference) -> bytes:
        head = self.newest if logseq <= self.newest.logseq else self.head()
        if logseq > head.logseq:
            raise NotFound("reading the frame of record", logseq, found="no such record")
        name, first, data = self._object_with(logseq)
        if name == single_name(first):
            return self._pick(sidecar_name(first, data[-32:]), logseq, reference)
        self._relist()
        error: HoldfastError | None = None
        for candidate in self._catalogue.frames_for(logseq):
            try:
                return self._pick(candidate, logseq, reference)
            except (NotFound, Integrity) as found:
                error = found
        raise error or NotFound("reading the frame of record", logseq, found="no frame")

    def path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _discover(self) -> None:
        """Find a batch near the end: by the hint, or by listing."""
        hint = self.read_hint()
        data = None if hint is None else self.get(single_name(hint.first))
        if hint is not None and data is not None:
            end = self._ends(single_name(hint.first), data, hint.first)
            if (end.logseq, end.record_hash) == (hint.last, hint.record_hash):
                self.took(hint.first, data, Head(hint.last, hint.record_hash))
                self._found = True
                return
        self._relist()
        newest = self._catalogue.newest()
        while newest is not None:
            name, first = newest
            data = self.get(name)
            if data is None:
                raise self._missing(first)
            end = self._ends(name, data, first)
            if end.fault is None and end.logseq >= first:
                self.took(first, data, Head(end.logseq, end.record_hash), name)
                break
            # Damaged: the head is before it, and says so to whoever reads on or writes.
            newest = self._catalogue.covering(first - 1)
        self._found = True

    def _take_next(self) -> bool:
        """Take in the batch that follows head, if it is there and sound."""
        first = self.newest.logseq + 1
        name = single_name(first)
        data = self.get(name)
        if data is None:
            return False
        try:
            end = self._check(name, data, first, self.newest.record_hash)
        except Integrity as error:
            self._damage = error
            return False
        self._damage = None
        self.took(first, data, Head(end.logseq, end.record_hash))
        return True

    def took(self, first: int, data: bytes, head: Head, name: str | None = None) -> None:
        self.newest, self.first_of_head = head, first
        if name is None or name == single_name(first):
            self._catalogue.add(first)
        self._keep(name or single_name(first), data)

    def _keep(self, name: str, data: bytes) -> None:
        self._recent[name] = data
        self._recent.move_to_end(name)
        size = sum(map(len, self._recent.values()))
        while size > _KEPT_BYTES and len(self._recent) > 1:
            size -= len(self._recent.popitem(last=False)[1])

    def get(self, name: str) -> bytes | None:
        try:
            return self._store.get(self.path(name))
        except NotFound:
            return None

    def _relist(self) -> None:
        start = len(self._folder) + 1
        entries = self._store.list(self._folder)
        self._catalogue = Catalogue(entry.path[start:] for entry in entries)

    def read_hint(self) -> Hint | None:
        self.hint = self.get("head")
        return None if self.hint is None else decode_hint(self.hint)

    def newest_for_writing(self) -> Head:
        """The newest head. The hint is asked too: where batches that this process never saw were
        merged and removed, the name after its own last batch would look free."""
        with self.lock:
            head = self.head()
            hint = self.read_hint()
            if hint is not None and hint.last > head.logseq:
                self._found = False
                head = self.head()
            if self._damage is not None:
                raise self._damage
            if not self._sound and head.logseq:
                name, first, data = self._object_with(head.logseq)
                self._check(name, data, first, self._hash_before(first))
                self._sound = True
            return head

    def _object_with(self, logseq: int) -> tuple[str, int, bytes]:
        """(name, first logseq, bytes) of the object to read record `logseq` from."""
        with self.lock:
            for fresh in (False, True):
                if fresh:
                    self._relist()
                found = self._catalogue.covering(logseq)
                if found is None:
                    continue
                name, first = found
                data = self._recent.get(name) or self.get(name)
                if data is not None and (fresh or self._reaches(name, data, first, logseq)):
                    self._keep(name, data)
                    return name, first, data
        raise self._missing(logseq)

    def _reaches(self, name: str, data: bytes, first: int, logseq: int) -> bool:
        """Whether an object holds record `logseq`: what is known may have gaps."""
        last = self._lasts.get(name)
        if last is None:
            last = self._lasts[name] = self._ends(name, data, first).logseq
        return last >= logseq

    def _hash_before(self, first: int) -> bytes:
        if first == 1:
            return GENESIS
        name, start, data = self._object_with(first - 1)
        end = self._ends(name, data, start, stop=first - 1)
        if end.logseq != first - 1:
            raise self._missing(first - 1)
        return end.record_hash

    def _ends(self, name: str, data: bytes, first: int, *, stop: int = MAX_LOGSEQ) -> Chain:
        """How far an object goes by its records' headers."""
        try:
            check_header(data, self.path(name))
        except Integrity as error:
            fault = Fault(error.offset or 0, first, error.found, error.expected, False)
            return Chain(HEADER_SIZE, first - 1, b"", fault)
        return skip_chain(data, first, offset=HEADER_SIZE, stop=stop)

    def _check(self, name: str, data: bytes, first: int, previous: bytes) -> Chain:
        check_header(data, self.path(name))
        end = verify_chain(data, previous, first, offset=HEADER_SIZE)
        if end.fault is None and end.logseq < first:
            end = end._replace(fault=Fault(HEADER_SIZE, first, "no record", "a record", True))
        if end.fault is not None:
            raise self._broken(name, end.fault)
        return end

    def _decode(
        self, name: str, data: bytes, first: int, start: int, previous: bytes | None, stop: int
    ) -> tuple[list[Record], Integrity | None]:
        """The records from `start` to `stop` of an object that begins with record `first`, and the
        error that ends them. `previous` is the hash before `start`, where known."""
        place = self._ends(name, data, first, stop=start - 1)
        if place.fault is not None or place.logseq != start - 1:
            fault = place.fault or Fault(place.offset, start, "the end", f"record {start}", True)
            return [], self._broken(name, fault)
        if previous is None:
            previous = place.record_hash if start > first else self._hash_before(first)
        records: list[Record] = []
        end = decode_chain(data, previous, start, offset=place.offset, stop=stop, into=records)
        return records, None if end.fault is None else self._broken(name, end.fault)

    def _records(self, start: int, previous: bytes | None, stop: int) -> Iterator[Record]:
        head = self.head()
        damage = self._damage
        last = min(stop, head.logseq)
        if start == head.logseq + 1 and previous not in (None, head.record_hash):
            raise Integrity(
                "reading the log",
                self._folder,
                found=f"another record {head.logseq} than the one known",
                expected="the log to go on from there",
                logseq=head.logseq,
            )
        while start <= last:
            name, first, data = self._object_with(start)
            records, error = self._decode(name, data, first, start, previous, last)
            if error is None and not records:
                error = self._missing(start)
            yield from records
            if error is not None:
                raise error
            start, previous = records[-1].logseq + 1, records[-1].record_hash
        if damage is not None and stop > head.logseq:
            raise damage

    def _pick(self, name: str, logseq: int, reference: Reference) -> bytes:
        path = self.path(name)

        def read(count: int, offset: int) -> bytes:
            return self._store.read_range(path, offset, count)

        index = self._sidecars.get(path)
        if index is not None:
            try:
                return pick(index.find(logseq), logseq, reference, read, path)
            except (NotFound, Integrity):
                pass  # the object may have been replaced since: an erasure
        index = FrameIndex()
        index.extend(read, self._store.size(path))
        with self.lock:
            self._sidecars[path] = index
            if len(self._sidecars) > _KEPT_SIDECARS:
                self._sidecars.popitem(last=False)
        return pick(index.find(logseq), logseq, reference, read, path)

    def _broken(self, name: str, fault: Fault) -> Integrity:
        return Integrity(
            "reading the log",
            self.path(name),
            found=f"record {fault.logseq}: {fault.found}",
            expected=fault.expected,
            offset=fault.offset,
            logseq=fault.logseq,
        )

    def _missing(self, logseq: int) -> Integrity:
        return Integrity(
            "reading the log",
            self.path(single_name(logseq)),
            found=f"no object that holds record {logseq}",
            logseq=logseq,
        )
