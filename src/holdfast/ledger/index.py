"""The index of one ledger: its state, loaded from the newest snapshot and kept up with the log."""

from __future__ import annotations

import hashlib
import threading
from itertools import islice
from typing import TYPE_CHECKING

from holdfast.errors import Integrity, Invalid, NotFound, Unsupported
from holdfast.ledger import payload as payloads
from holdfast.ledger.lookup import Lookup, Standing
from holdfast.ledger.payload import RecordType
from holdfast.ledger.replay import IndexState
from holdfast.ledger.snapshot import (
    LedgerSnapshot,
    decode_snapshot,
    parse_snapshot_path,
    snapshot_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.ledger.admission import Segments
    from holdfast.ledger.artifact import Reference
    from holdfast.ledger.log import Log, Record
    from holdfast.ledger.places import Places
    from holdfast.store.protocol import Store

_CHUNK = 65_536


class Index:
    """The state at the newest record met so far, and lookups in it. Safe from several threads.

    Never holds its lock while it reads the log: a writer inside `Log.append` asks the index too.

    Args:
        fixed: the state of one logseq, that does not follow the log.
        fault: damage of the log behind `state`: what lies before it can be read, but nothing can
            be said to be absent.
    """

    def __init__(
        self,
        state: IndexState,
        log: Log,
        segments: Segments,
        *,
        fixed: bool = False,
        fault: Integrity | None = None,
    ) -> None:
        self._log = log
        self._fixed = fixed
        self._lock = threading.RLock()
        self.state = state
        self.fault = fault
        self.behind = False
        """Set by a writer of this process after its append: the next lookup refreshes first."""
        self._lookup = Lookup(state, segments)

    def refresh(self) -> bool:
        """Take in what was appended since; whether there was something."""
        if self._fixed or self.fault is not None:
            return False
        self.behind = False
        changed = False
        while True:
            state = self.state
            with self._lock:
                position, record_hash = state.position, state.record_hash
            head = self._log.head()
            if head.logseq <= position:
                return changed
            records = self._log.records(position + 1, previous=record_hash, stop=head.logseq)
            chunk = list(islice(records, _CHUNK))
            if not chunk:
                return changed
            with self._lock:
                for record in chunk:
                    if record.logseq > state.position:
                        state.apply(record)
                self._lookup.sync()
            changed = True

    def standing(self, reference: Reference) -> Standing:
        """Where `reference` lies; see `Lookup.standing`."""
        if self.behind:
            self.refresh()
        with self._lock:
            return self._lookup.standing(reference)

    def places(self, references: Sequence[Reference]) -> Places | None:
        """Where many lie that are plain to see; see `Lookup.places`."""
        if self.behind:
            self.refresh()
        with self._lock:
            return self._lookup.places(references)

    def verify(self, segment_id: int | None = None) -> None:
        """Hash every live segment, or that one, that this process has not hashed yet; see
        `Lookup.verify`."""
        with self._lock:
            self._lookup.verify(segment_id)

    def find_prefix(self, prefix: str) -> list[Reference]:
        """The references whose digest begins with `prefix`, ascending."""
        with self._lock:
            return sorted(set(self._lookup.find_prefix(prefix)))

    def snapshot(self, snapshot_id: int, *, domain: int, created_at: str) -> LedgerSnapshot:
        """The present state as a snapshot to be anchored next."""
        with self._lock:
            return self.state.to_snapshot(snapshot_id, domain=domain, created_at=created_at)


def load_state(store: Store, prefix: str, log: Log) -> tuple[IndexState, Integrity | None]:
    """The state at head, from the newest snapshot whose anchor the log holds; where the log is
    damaged, the state before the damage, and what is wrong."""
    state = IndexState()
    records = None
    for snapshot, digest in stored_snapshots(store, prefix):
        found = log.records(snapshot.logseq, previous=snapshot.prev_record_hash)
        anchor = read_anchor(found, snapshot, digest)
        if anchor is not None:
            state, records = IndexState.from_snapshot(snapshot, anchor), found
            break
    try:
        state.replay(log.records() if records is None else records)
    except Integrity as error:
        return state, error
    return state, None


def state_at(store: Store, prefix: str, log: Log, position: int) -> IndexState:
    """The state at logseq `position`.

    Raises:
        Invalid: a negative position.
        NotFound: above head, or below the horizon of the last collection.
    """
    head = log.head()
    if position < 0:
        raise Invalid("opening the ledger at", position, expected="a logseq")
    if position > head.logseq:
        raise NotFound(
            "opening the ledger at",
            position,
            found="no record of that logseq yet",
            expected=f"at most {head.logseq}",
        )
    state = IndexState()
    records: Iterator[Record] = iter(())
    for snapshot, digest in stored_snapshots(store, prefix):
        if snapshot.logseq <= position:
            records = log.records(snapshot.logseq, previous=snapshot.prev_record_hash)
            anchor = read_anchor(records, snapshot, digest)
            if anchor is not None:
                state = IndexState.from_snapshot(snapshot, anchor)
                break
    if not state.position:
        records = log.records()
    horizon = 0
    try:
        for record in records:
            if record.logseq <= position:
                state.apply(record)
            # A fence further on may have put this position out of reach.
            elif record.type == RecordType.GC_FENCE:
                fence = payloads.payload_of(record)
                assert isinstance(fence, payloads.GcFence)
                horizon = max(horizon, fence.horizon)
    except Integrity:
        # Damage behind `position` is not in the way of reading up to there.
        if state.position < position:
            raise
    if position < max(horizon, state.horizon):
        raise NotFound(
            "opening the ledger at",
            position,
            found="a state whose files were collected",
            expected=f"at least {max(horizon, state.horizon)}, the oldest that opens",
        )
    return state


def stored_snapshots(store: Store, prefix: str) -> Iterator[tuple[LedgerSnapshot, bytes]]:
    """The snapshot files, newest first, each with its SHA-256. Damaged ones are passed over:
    `verify` reports them, and an older one or the log itself says the same."""
    _, files = store.children(f"{prefix}/snapshots")
    ids = [parse_snapshot_path(entry.path.removeprefix(f"{prefix}/")) for entry in files]
    for snapshot_id in sorted((i for i in ids if i is not None), reverse=True):
        path = f"{prefix}/{snapshot_path(snapshot_id)}"
        try:
            data = store.get(path)
            snapshot = decode_snapshot(data, path)
        except (Integrity, NotFound, Unsupported):
            continue
        if snapshot.snapshot_id == snapshot_id:
            yield snapshot, hashlib.sha256(data).digest()


def read_anchor(
    records: Iterator[Record], snapshot: LedgerSnapshot, digest: bytes
) -> Record | None:
    """The first of `records` if it is the anchor of `snapshot`, whose file hashes to `digest`.

    None for a file whose writer lost the append: another record stands there.
    """
    try:
        record = next(records, None)
    except Integrity:
        return None
    if record is None or record.type != RecordType.SNAPSHOT_ANCHOR:
        return None
    fixed = payloads.payload_of(record)
    assert isinstance(fixed, payloads.SnapshotAnchor)
    if (fixed.snapshot_id, fixed.snapshot_hash) != (snapshot.snapshot_id, digest):
        return None
    return record
