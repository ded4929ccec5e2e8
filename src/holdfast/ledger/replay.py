"""Replay: the index state that a sequence of log records stands for (spec/ledger.md §5).

Pure: it neither reads files nor decides whether a segment's bytes are sound. A state is built from
nothing or from a snapshot, then takes in records one by one; the same records give the same state
from any snapshot on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.errors import Integrity
from holdfast.ledger import payload as payloads
from holdfast.ledger.log import GENESIS, Record
from holdfast.ledger.payload import RecordType
from holdfast.ledger.snapshot import LedgerSnapshot, StandingTombstone

if TYPE_CHECKING:
    from holdfast.ledger.artifact import Reference


class SealedSegment(NamedTuple):
    """A segment that the log admits. `logseq` of its seal; 0 when a snapshot named it."""

    segment_id: int
    sha256: bytes
    logseq: int


class Anchor(NamedTuple):
    """A snapshot that the log names: where its anchor stands and its file's SHA-256."""

    logseq: int
    sha256: bytes


class IndexState:
    """The state after all records up to `position` (inclusive).

    Attributes:
        position: logseq of the last record taken in; 0: none.
        record_hash: that record's hash.
        snapshot_id: the newest snapshot anchored so far; 0: none.
        segments: live segments by id, in seal order.
        inline: inline artifacts and the logseq of their newest INLINE_PUT.
        tombstones: by reference, the tombstones in force by their logseq.
        published: what the last PUBLISH (True) or UNPUBLISH (False) of a reference said.
        erased: references whose bytes are erased.
        pins: logseqs whose states are kept.
        snapshots: retained snapshots whose anchors were met.
        sealed: every segment sealed, retired ones too, as far as records were met.
        horizon: the oldest logseq that can still be opened, as the last GC_FENCE said.
        fence: logseq of the last GC_FENCE; 0: none met.
    """

    def __init__(self) -> None:
        self.position = 0
        self.record_hash = GENESIS
        self.snapshot_id = 0
        self.segments: dict[int, SealedSegment] = {}
        self.inline: dict[Reference, int] = {}
        self.tombstones: dict[Reference, dict[int, StandingTombstone]] = {}
        self.published: dict[Reference, bool] = {}
        self.erased: set[Reference] = set()
        self.pins: set[int] = set()
        self.snapshots: dict[int, Anchor] = {}
        self.sealed: dict[int, SealedSegment] = {}
        self.horizon = 0
        self.fence = 0
        self._batch: list[Record] = []
        self._batch_size = 0

    @classmethod
    def from_snapshot(cls, snapshot: LedgerSnapshot, anchor: Record) -> IndexState:
        """The state that `snapshot` holds; `anchor` is its SNAPSHOT_ANCHOR record."""
        state = cls()
        state.position = anchor.logseq
        state.record_hash = anchor.record_hash
        state.snapshot_id = snapshot.snapshot_id
        for segment_id, sha256 in snapshot.segments:
            state.segments[segment_id] = SealedSegment(segment_id, sha256, 0)
        state.sealed = dict(state.segments)
        state.inline = dict(snapshot.inline)
        for tombstone in snapshot.tombstones:
            standing = state.tombstones.setdefault(tombstone.reference, {})
            standing[tombstone.logseq] = tombstone
        state.published = dict.fromkeys(snapshot.published, True)
        state.erased = set(snapshot.erased)
        state.pins = set(snapshot.pins)
        fixed = payloads.payload_of(anchor)
        assert isinstance(fixed, payloads.SnapshotAnchor)
        state.snapshots[snapshot.snapshot_id] = Anchor(anchor.logseq, fixed.snapshot_hash)
        return state

    def to_snapshot(self, snapshot_id: int, *, domain: int, created_at: str) -> LedgerSnapshot:
        """This state as the snapshot whose anchor would be the next record."""
        return LedgerSnapshot(
            snapshot_id=snapshot_id,
            logseq=self.position + 1,
            prev_record_hash=self.record_hash,
            segments=tuple((s.segment_id, s.sha256) for s in self.segments.values()),
            inline=tuple(sorted(self.inline.items(), key=lambda item: item[1])),
            tombstones=tuple(
                sorted(
                    (t for standing in self.tombstones.values() for t in standing.values()),
                    key=lambda t: t.logseq,
                )
            ),
            published=tuple(sorted(r for r, told in self.published.items() if told)),
            erased=tuple(sorted(self.erased)),
            pins=tuple(sorted(self.pins)),
            domain=domain,
            created_at=created_at,
        )

    @property
    def next_segment_id(self) -> int:
        """The lowest id above every segment known."""
        return max(self.sealed, default=0) + 1

    def replay(self, records: Iterable[Record], stop: int | None = None) -> IndexState:
        """Take in `records`, those up to logseq `stop` if given; returns self."""
        for record in records:
            if stop is not None and record.logseq > stop:
                break
            self.apply(record)
        return self

    def apply(self, record: Record) -> None:
        """Take in the next record.

        Records behind a BATCH wait for the last of them and are then taken in together.

        Raises:
            Integrity: a gap in the logseqs, a malformed payload, a BATCH within a batch, or a
                live segment that is sealed again.
        """
        if record.logseq != self.position + 1:
            raise self._bad(record, f"logseq {record.logseq}", f"{self.position + 1}")
        if self._batch_size:
            if record.type == RecordType.BATCH:
                raise self._bad(record, "a BATCH within a batch", "one of its records")
            self._batch.append(record)
            if len(self._batch) == self._batch_size:
                batch, self._batch, self._batch_size = self._batch, [], 0
                for held in batch:
                    self._take(held)
        elif record.type == RecordType.BATCH:
            payload = payloads.payload_of(record)
            assert isinstance(payload, payloads.Batch)
            self._batch_size = payload.count
        else:
            self._take(record)
        self.position = record.logseq
        self.record_hash = record.record_hash

    def _take(self, record: Record) -> None:
        rule = _RULES.get(record.type)
        if rule is not None:
            rule(self, record, payloads.payload_of(record))

    def _seal(self, record: Record, payload: payloads.SegmentSeal) -> None:
        if payload.segment_id in self.segments:
            raise self._bad(record, f"a second seal of segment {payload.segment_id}", "one")
        segment = SealedSegment(payload.segment_id, payload.segment_hash, record.logseq)
        self.segments[payload.segment_id] = segment
        self.sealed[payload.segment_id] = segment

    def _retire(self, record: Record, payload: payloads.SegmentRetire) -> None:
        self.segments.pop(payload.segment_id, None)

    def _inline(self, record: Record, payload: payloads.InlinePut) -> None:
        self.inline[payload.reference] = record.logseq

    def _tombstone(self, record: Record, payload: payloads.Tombstone) -> None:
        self.tombstones.setdefault(payload.reference, {})[record.logseq] = StandingTombstone(
            payload.reference, record.logseq, payload.scope, payload.reason_code
        )

    def _lift(self, record: Record, payload: payloads.TombstoneLift) -> None:
        standing = self.tombstones.get(payload.reference)
        if standing is not None:
            standing.pop(payload.logseq, None)
            if not standing:
                del self.tombstones[payload.reference]

    def _erase(self, record: Record, payload: payloads.Erase) -> None:
        self.erased.add(payload.reference)
        self.inline.pop(payload.reference, None)

    def _anchor(self, record: Record, payload: payloads.SnapshotAnchor) -> None:
        self.snapshot_id = payload.snapshot_id
        self.snapshots[payload.snapshot_id] = Anchor(record.logseq, payload.snapshot_hash)

    def _drop(self, record: Record, payload: payloads.SnapshotDrop) -> None:
        self.snapshots.pop(payload.snapshot_id, None)

    def _pin(self, record: Record, payload: payloads.Pin) -> None:
        self.pins.add(payload.logseq)

    def _unpin(self, record: Record, payload: payloads.Unpin) -> None:
        self.pins.discard(payload.logseq)

    def _publish(self, record: Record, payload: payloads.Publish) -> None:
        self.published[payload.reference] = True

    def _unpublish(self, record: Record, payload: payloads.Unpublish) -> None:
        self.published[payload.reference] = False

    def _fence(self, record: Record, payload: payloads.GcFence) -> None:
        self.fence = record.logseq
        self.horizon = max(self.horizon, payload.horizon)

    @staticmethod
    def _bad(record: Record, found: str, expected: str) -> Integrity:
        return Integrity(
            "replaying the log",
            f"record {record.logseq}",
            found=found,
            expected=expected,
            logseq=record.logseq,
        )


_RULES: dict[int, Callable[[IndexState, Record, Any], None]] = {
    RecordType.SEGMENT_SEAL: IndexState._seal,
    RecordType.SEGMENT_RETIRE: IndexState._retire,
    RecordType.INLINE_PUT: IndexState._inline,
    RecordType.TOMBSTONE: IndexState._tombstone,
    RecordType.TOMBSTONE_LIFT: IndexState._lift,
    RecordType.ERASE: IndexState._erase,
    RecordType.SNAPSHOT_ANCHOR: IndexState._anchor,
    RecordType.SNAPSHOT_DROP: IndexState._drop,
    RecordType.PIN: IndexState._pin,
    RecordType.UNPIN: IndexState._unpin,
    RecordType.ARTIFACT_PUBLISH: IndexState._publish,
    RecordType.ARTIFACT_UNPUBLISH: IndexState._unpublish,
    RecordType.GC_FENCE: IndexState._fence,
}
