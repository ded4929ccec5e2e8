from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import Integrity
from holdfast.ledger import payload as payloads
from holdfast.ledger.log import GENESIS, Record
from holdfast.ledger.replay import IndexState
from ledger.segment_cases import reference

A, B = reference(1), reference(2)
TIME = "2026-01-01T00:00:00.000000000Z"


def chained(items, first=1, previous=GENESIS):
    """Records of payloads, or of (type, bytes) for unknown types."""
    out = []
    for logseq, item in enumerate(items, first):
        if isinstance(item, tuple):
            kind, payload = item
        else:
            kind, payload = int(item.TYPE), item.encode()
        previous = hashlib.sha256(previous + b"%d" % logseq + payload).digest()
        out.append(Record(logseq, kind, payload, previous))
    return out


def replayed(*items) -> IndexState:
    return IndexState().replay(chained(items))


def said(state: IndexState):
    return state.to_snapshot(1, domain=0, created_at=TIME)


def test_segments_stand_in_seal_order_and_leave_when_retired():
    state = replayed(
        payloads.SegmentSeal(9, b"9" * 32),
        payloads.SegmentSeal(4, b"4" * 32),
        payloads.SegmentSeal(10, b"x" * 32),
        payloads.SegmentRetire(9, 10),
    )
    assert list(state.segments) == [4, 10]
    assert list(state.sealed) == [9, 4, 10]
    assert state.next_segment_id == 11


def test_a_live_segment_that_is_sealed_again_is_integrity():
    with pytest.raises(Integrity):
        replayed(payloads.SegmentSeal(1, b"1" * 32), payloads.SegmentSeal(1, b"2" * 32))


def test_a_lift_cancels_only_the_tombstone_that_it_names():
    state = replayed(
        payloads.Tombstone(A, 1, 2),
        payloads.Tombstone(A, 3, 4),
        payloads.Tombstone(B),
        payloads.TombstoneLift(A, 1),
        payloads.TombstoneLift(B, 2),
    )
    assert list(state.tombstones[A]) == [2]
    assert state.tombstones[A][2].reason_code == 4
    assert list(state.tombstones[B]) == [3]


def test_lifting_every_tombstone_leaves_none():
    state = replayed(payloads.Tombstone(A), payloads.TombstoneLift(A, 1))
    assert A not in state.tombstones


def test_a_batch_counts_when_its_last_record_is_there():
    items = [payloads.Batch(2), payloads.SegmentSeal(1, b"1" * 32), payloads.Tombstone(A)]
    state = IndexState()
    first, second, third = chained(items)
    state.apply(first)
    state.apply(second)
    assert not state.segments
    assert state.position == 2
    state.apply(third)
    assert list(state.segments) == [1]
    assert list(state.tombstones[A]) == [3]


def test_a_batch_within_a_batch_is_integrity():
    with pytest.raises(Integrity):
        replayed(payloads.Batch(2), payloads.Batch(1))


def test_unknown_types_are_passed_over_and_counted():
    state = replayed((0x7777, b"later"), payloads.InlinePut(A))
    assert state.inline == {A: 2}


def test_the_newest_inline_put_counts():
    assert replayed(payloads.InlinePut(A), payloads.InlinePut(A)).inline == {A: 2}


def test_an_erased_artifact_is_inline_no_longer():
    state = replayed(payloads.InlinePut(A), payloads.Erase(A, 1))
    assert state.erased == {A}
    assert not state.inline


def test_the_last_publish_or_unpublish_counts():
    state = replayed(payloads.Publish(A), payloads.Publish(B), payloads.Unpublish(A))
    assert state.published == {A: False, B: True}
    assert said(state).published == (B,)


def test_pins_fences_and_dropped_snapshots_are_followed():
    state = replayed(
        payloads.Pin(3),
        payloads.Pin(4),
        payloads.Unpin(3),
        payloads.SnapshotAnchor(1, b"1" * 32),
        payloads.SnapshotAnchor(2, b"2" * 32),
        payloads.SnapshotDrop(1),
        payloads.GcFence(5),
        payloads.GcFence(2),
    )
    assert state.pins == {4}
    assert list(state.snapshots) == [2]
    assert (state.snapshot_id, state.horizon, state.fence) == (2, 5, 8)


def test_a_gap_in_the_logseqs_is_integrity():
    with pytest.raises(Integrity):
        IndexState().apply(chained([payloads.Pin(1)], first=2)[0])


def test_a_malformed_payload_is_integrity_that_names_the_record():
    with pytest.raises(Integrity) as caught:
        replayed((payloads.RecordType.SEGMENT_SEAL, b"short"))
    assert caught.value.details["logseq"] == 1


references = st.sampled_from([A, B, reference(3)])
logseqs = st.integers(1, 30)
records = st.one_of(
    st.builds(payloads.InlinePut, references),
    st.builds(payloads.Tombstone, references, st.integers(0, 3), st.integers(0, 3)),
    st.builds(payloads.TombstoneLift, references, logseqs),
    st.builds(payloads.SegmentRetire, st.integers(1, 40), st.just(0)),
    st.builds(payloads.Publish, references),
    st.builds(payloads.Unpublish, references),
    st.builds(payloads.Erase, references, logseqs),
    st.builds(payloads.Pin, logseqs),
    st.builds(payloads.Unpin, logseqs),
    st.builds(payloads.Commit, st.integers(0, 5), references),
    st.just("seal"),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(records, max_size=30), st.data())
def test_replay_from_any_snapshot_and_the_rest_is_replay_of_all(items, data):
    items = [
        payloads.SegmentSeal(i, b"%02d" % i * 16) if item == "seal" else item
        for i, item in enumerate(items, 1)
    ]
    at = data.draw(st.integers(0, len(items)))
    before = IndexState().replay(chained(items[:at]))
    snapshot = said(before)
    anchor = payloads.SnapshotAnchor(1, hashlib.sha256(snapshot.encode()).digest())
    whole = chained([*items[:at], anchor, *items[at:]])
    full = IndexState().replay(whole)
    short = IndexState.from_snapshot(snapshot, whole[at]).replay(whole[at + 1 :])
    assert said(short) == said(full)
    assert (short.position, short.record_hash) == (full.position, full.record_hash)
    assert short.snapshots == full.snapshots
