"""Writing to the ledger: puts, tombstones, lifts, snapshots (spec/ledger.md §5).

What has files of its own (blocks, segments, snapshots) is written between taking a share of the
lease ``ledger-writers`` and the append of its record, so that a collection, which takes the whole
lease, never meets files that a living writer is about to name.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from holdfast.clock import rfc3339
from holdfast.errors import Conflict, Denied, NotFound, PathExists
from holdfast.ledger import payload as payloads
from holdfast.ledger.artifact import Reference, artifact_bytes, artifact_prefix, reference_of
from holdfast.ledger.log import Entry, Head
from holdfast.ledger.put import CHUNK, BatchPut, read_chunks, remaining_length
from holdfast.ledger.snapshot import snapshot_path
from holdfast.records import COMMIT_TYPE_TAG
from holdfast.store.filesystem import FileSystemStore

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.clock import Clock, Ids
    from holdfast.ledger.opened import Opened, Place

MAX_INLINE = 64 * 1024
"""The longest ``ArtifactBytes`` that an inline put may have."""

ROTATE_ABOVE = 2**20
"""A snapshot's anchor begins a new log file when the newest one is longer than this."""


_SNAPSHOT_TRIES = 64


class _Overtaken(Conflict):
    """The log moved while the records of an append were made: make them again."""


class Put(NamedTuple):
    """What a put did: `stored` when bytes were written; `tombstoned` when a tombstone hides the
    artifact, which only a lift brings back."""

    reference: Reference
    stored: bool
    tombstoned: bool


class ArtifactWriter:
    """One write operation's view of the ledger: up to date when it is made."""

    def __init__(self, opened: Opened, clock: Clock, ids: Ids, domain: int) -> None:
        self._opened = opened
        self._index = opened.index
        self._clock = clock
        self._ids = ids
        self._domain = domain
        self._index.refresh()
        self._began = self._index.state.position

    def put(self, data: Buffer, type_tag: int | None) -> Put:
        """See `Ledger.put_artifact`."""
        reference = reference_of(data, type_tag)
        present = self._present(reference, type_tag)
        if present is not None:
            return present
        length = memoryview(data).nbytes
        if length + len(artifact_prefix(length, type_tag)) > MAX_INLINE:
            with self._writing(), self._batch(type_tag) as batch:
                batch.add(reference.digest, data)
                self._seal(batch)
            return self._stored(reference)
        frame = artifact_bytes(data, type_tag)
        found: list[Put] = []

        def build(head: Head) -> Sequence[Entry]:
            found.clear()
            if head.logseq != self._began:
                self._index.refresh()
                again = self._present(reference, type_tag)
                if again is not None:
                    found.append(again)
                    return ()
            return (payloads.entry_of(payloads.InlinePut(reference), frame),)

        self._append(build)
        return found[0] if found else self._stored(reference)

    def put_many(self, items: Iterable[Buffer], type_tag: int | None) -> list[Reference]:
        """See `Ledger.put_many`."""
        references: list[Reference] = []
        seen: set[bytes] = set()
        with self._writing(), self._batch(type_tag) as batch:
            for data in items:
                reference = reference_of(data, type_tag)
                references.append(reference)
                digest = reference.digest
                if digest in seen:
                    continue
                seen.add(digest)
                if self._present(reference, type_tag) is None:
                    batch.add(digest, data)
            if len(batch):
                self._seal(batch)
        return references

    def put_stream(self, source: BinaryIO, type_tag: int | None) -> Reference:
        """See `Ledger.put_stream`."""
        length = remaining_length(source)
        if length is None:
            with tempfile.TemporaryFile() as spool:
                while chunk := source.read(CHUNK):
                    spool.write(chunk)
                spool.seek(0)
                return self.put_stream(spool, type_tag)
        if length + len(artifact_prefix(length, type_tag)) <= MAX_INLINE:
            return self.put(b"".join(read_chunks(source, length)), type_tag).reference
        with self._writing(), self._batch(type_tag) as batch:
            reference = batch.add_stream(source, length)
            if self._present(reference, type_tag) is None:
                self._seal(batch)
        return reference

    def tombstone(self, reference: Reference, scope: int, reason: int) -> int:
        """See `Ledger.tombstone`."""
        self._opened.reader.stat(reference)
        entry = payloads.entry_of(payloads.Tombstone(reference, scope, reason))
        return self._append(lambda head: (entry,))

    def lift(self, reference: Reference, logseq: int) -> int:
        """See `Ledger.lift`."""
        entry = payloads.entry_of(payloads.TombstoneLift(reference, logseq))

        def build(head: Head) -> Sequence[Entry]:
            self._index.refresh()
            if logseq not in self._index.state.tombstones.get(reference, {}):
                raise NotFound(
                    "lifting the tombstone",
                    f"{logseq} of {reference.text}",
                    found="no such tombstone in force",
                )
            return (entry,)

        self._opened.reader.must_have_bytes(reference)
        return self._append(build)

    def snapshot(self) -> int:
        """See `Ledger.snapshot`."""
        store, prefix = self._opened.store, self._opened.prefix
        taken: list[tuple[int, str]] = []

        def build(head: Head) -> Sequence[Entry]:
            self._index.refresh()
            created_at = rfc3339(self._clock.now_ns())
            snapshot_id = max([self._index.state.snapshot_id, *(i for i, _ in taken)]) + 1
            while True:
                path = f"{prefix}/{snapshot_path(snapshot_id)}"
                made = self._index.snapshot(snapshot_id, domain=self._domain, created_at=created_at)
                if made.prev_record_hash != head.record_hash:
                    # Another writer appended between the look at head and at the state.
                    raise _Overtaken("writing a ledger snapshot", path, found="a newer record")
                data = made.encode()
                try:
                    store.put(path, data)
                    break
                except PathExists:
                    # A writer that lost the append left it: the next id is ours.
                    snapshot_id += 1
            taken.append((snapshot_id, path))
            anchor = payloads.SnapshotAnchor(snapshot_id, hashlib.sha256(data).digest())
            return (payloads.entry_of(anchor),)

        with self._writing():
            if self._newest_log_file() > ROTATE_ABOVE:
                self._opened.log.rotate()
            for tries_left in reversed(range(_SNAPSHOT_TRIES)):
                try:
                    self._append(build)
                    break
                except _Overtaken:
                    if not tries_left:
                        raise
            for _, path in taken[:-1]:
                store.delete(path)
        return taken[-1][0]

    def _present(self, reference: Reference, type_tag: int | None) -> Put | None:
        """What a put of `reference` does when its bytes are there already; None when not.

        Raises:
            Denied: the artifact was erased.
        """
        state = self._index.state
        if state.erased and reference in state.erased:
            raise Denied("putting", reference.text, found="an artifact that was erased")
        standing = self._index.standing(reference)
        if standing.visible:
            return Put(reference, False, False)
        if standing.hidden:
            return Put(reference, False, True)
        if type_tag == COMMIT_TYPE_TAG and self._opened.commits.by_reference(reference):
            return Put(reference, False, False)
        return None

    def _stored(self, reference: Reference) -> Put:
        return Put(reference, True, reference in self._index.state.tombstones)

    def _seal(self, batch: BatchPut) -> None:
        """Publish the batch and append its seal."""
        state = self._index.state
        segment_id, sha256 = batch.publish(state.next_segment_id, state.snapshot_id)
        entry = payloads.entry_of(payloads.SegmentSeal(segment_id, sha256))

        def build(head: Head) -> Sequence[Entry]:
            self._index.refresh()
            if self._index.state.fence > self._began:
                # What we wrote may be judged as litter already.
                raise Conflict(
                    "putting artifacts",
                    self._opened.store.url,
                    found="a collection that began meanwhile",
                    hint="nothing was stored; put them again",
                )
            batch.keep()
            return (entry,)

        self._append(build)

    def _append(self, build: Callable[[Head], Sequence[Entry]]) -> int:
        """Append to the log; the first logseq. This process sees its own records at once."""
        try:
            return self._opened.log.append(build)[0]
        finally:
            self._index.behind = True

    def _batch(self, type_tag: int | None) -> BatchPut:
        return BatchPut(
            self._opened.store,
            self._opened.prefix,
            clock=self._clock,
            ids=self._ids,
            type_tag=type_tag,
            snapshot_id=self._index.state.snapshot_id,
        )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with writers_lease(self._opened, exclusive=False, timeout=30.0):
            yield

    def _newest_log_file(self) -> int:
        """Bytes of the newest log file; 0 on stores whose log is not of files."""
        store = self._opened.store
        if not isinstance(store, FileSystemStore):
            return 0
        _, files = store.children(f"{self._opened.prefix}/log")
        return next((f.size for f in reversed(files) if f.path.endswith(".asl")), 0)


@contextlib.contextmanager
def writers_lease(place: Place, *, exclusive: bool, timeout: float) -> Iterator[None]:
    """Hold the lease ``ledger-writers``: shared by writers, whole for a collection.

    Nothing on a store without leases. Raises `Busy` after `timeout` seconds.
    """
    leases = place.store.leases
    if leases is None:
        yield
        return
    name = f"{place.prefix}-writers"
    with leases.acquire(name, exclusive=exclusive, timeout=timeout):
        yield
