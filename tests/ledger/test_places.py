"""Lookups of many references at once say the same as lookups one by one."""

from __future__ import annotations

import hashlib
import random
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import Integrity
from holdfast.ledger import lookup as lookup_module
from holdfast.ledger.admission import Segments
from holdfast.ledger.artifact import Reference
from holdfast.ledger.bloom import Bloom, build_from_digests
from holdfast.ledger.lookup import Lookup
from holdfast.ledger.replay import IndexState, SealedSegment
from holdfast.ledger.sealed import open_files
from holdfast.ledger.segment import (
    EMPTY_EXTENT,
    Extent,
    SegmentRecord,
    encode_segment,
    segment_path,
)
from holdfast.ledger.snapshot import StandingTombstone
from holdfast.store.filesystem import FileSystemStore
from ledger.segment_cases import golden_old, reference

REFERENCES = [reference(n) for n in range(80)]
FOREIGN = Reference(0x4242, bytes(range(32)))


class Case:
    """A state over segments in a real folder; each `seal` takes records or a segment's bytes."""

    def __init__(self, folder) -> None:
        self.store = FileSystemStore(folder)
        self.state = IndexState()
        self.lookup = self.fresh()

    def fresh(self) -> Lookup:
        return Lookup(self.state, Segments(open_files(self.store, "ledger"), prefix="ledger"))

    def seal(self, records, data=None):
        if data is None:
            data = encode_segment(records, snapshot_min=0, seal_snapshot=0, seal_time_ns=1)
        number = self.state.next_segment_id
        self.store.put(f"ledger/{segment_path(number)}", data)
        sealed = SealedSegment(number, hashlib.sha256(data).digest(), number * 10)
        self.state.segments[number] = self.state.sealed[number] = sealed
        self.lookup.sync()
        return number

    def retire(self, number):
        del self.state.segments[number]
        self.lookup.sync()


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def record(number, block=1, domain=0, tag=None, count=1, tombstone=False):
    extents = tuple(Extent(block + 2**63, 7 * number + i * 9, 5) for i in range(count))
    size = 5 * count
    if tombstone:
        return SegmentRecord(REFERENCES[number], (), 0, None, domain, tombstone=True)
    return SegmentRecord(REFERENCES[number], extents, size, tag, domain)


def plain(lookup, wanted):
    """What one-by-one lookups find of `wanted` where it is one extent in one place."""
    out = []
    for ref in wanted:
        standing = lookup.standing(ref)
        found = standing.visible[0] if len(standing.visible) == 1 else None
        if found is None or found.extents is None or len(found.extents) != 1 or not found.size:
            out.append(None)
        else:
            out.append((*found.extents[0], -1 if found.type_tag is None else found.type_tag))
    return out


def found(lookup, wanted):
    places = lookup.places(wanted)
    return [row if row[2] else None for row in zip(*places, strict=True)]


def test_few_are_left_to_be_asked_one_by_one(case):
    case.seal([record(1)])
    assert case.lookup.places(REFERENCES[:63]) is None


@pytest.mark.parametrize("merged", [0, 1000], ids=["large segments", "merged segments"])
def test_all_records_with_one_extent_are_found_in_the_order_asked(case, monkeypatch, merged):
    monkeypatch.setattr(lookup_module, "MERGED_RECORDS", merged)
    for start in range(0, 60, 20):
        numbers = range(start, start + 20)
        case.seal([record(n, block=n, tag=n if n % 3 else None) for n in numbers])
    wanted = [random.Random(1).choice(REFERENCES) for _ in range(300)]
    expected = plain(case.fresh(), wanted)
    assert found(case.lookup, wanted) == expected
    assert sum(row is not None for row in expected) > 200


@pytest.mark.parametrize("merged", [0, 1000], ids=["large segments", "merged segments"])
def test_inline_tombstoned_erased_empty_split_and_foreign_ones_are_left_out(
    case, monkeypatch, merged
):
    monkeypatch.setattr(lookup_module, "MERGED_RECORDS", merged)
    empty = SegmentRecord(REFERENCES[6], (EMPTY_EXTENT,), 0)
    split = [record(5, count=2), empty, *(record(n) for n in range(10, 20))]
    case.seal([record(n) for n in range(5)])
    case.seal(split)
    case.state.inline[REFERENCES[1]] = 4
    case.state.tombstones[REFERENCES[2]] = {9: StandingTombstone(REFERENCES[2], 9, 0, 0)}
    case.state.erased.add(REFERENCES[3])
    answers = found(case.lookup, [*REFERENCES, FOREIGN])
    assert [n for n, row in enumerate(answers) if row] == [0, 4, *range(10, 20)]


@pytest.mark.parametrize("merged", [0, 1000], ids=["large segments", "merged segments"])
def test_a_record_of_a_retired_segment_does_not_count(case, monkeypatch, merged):
    monkeypatch.setattr(lookup_module, "MERGED_RECORDS", merged)
    numbers = [case.seal([record(n, block=k) for n in range(40)]) for k in range(3)]
    assert not any(found(case.lookup, REFERENCES))
    case.retire(numbers[0])
    case.retire(numbers[1])
    assert [row[0] for row in found(case.lookup, REFERENCES) if row] == [2**63 + 2] * 40
    case.retire(numbers[2])
    assert not any(found(case.lookup, REFERENCES))


@pytest.mark.parametrize("merged", [0, 1000], ids=["large segments", "merged segments"])
def test_segments_of_older_versions_are_left_to_be_asked_one_by_one(case, monkeypatch, merged):
    monkeypatch.setattr(lookup_module, "MERGED_RECORDS", merged)
    for version in (1, 2):
        case.seal([], golden_old(version))
    case.seal([record(n) for n in range(10, 20)])
    answers = found(case.lookup, REFERENCES)
    assert [n for n, row in enumerate(answers) if row] == [*range(10, 20)]


pieces = st.builds(
    record,
    st.integers(0, 30),
    block=st.integers(1, 5),
    domain=st.sampled_from([0, 0, 0, 7]),
    tag=st.sampled_from([None, 0, 9]),
    count=st.sampled_from([1, 1, 1, 2]),
    tombstone=st.sampled_from([False, False, False, True]),
)


def key(item):
    return item.reference, item.domain_id


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(pieces, min_size=1, max_size=12, unique_by=key), max_size=6),
    st.sets(st.integers(0, 5)),
    st.sampled_from([0, 4, 1000]),
)
def test_many_at_once_never_say_anything_else_than_one_by_one(segments, retired, merged):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup_module, "MERGED_RECORDS", merged)
        case = Case(folder)
        numbers = [case.seal(records) for records in segments]
        case.lookup.places(REFERENCES)
        for i in retired & set(range(len(numbers))):
            case.retire(numbers[i])
        one_by_one = plain(case.fresh(), REFERENCES)
        at_once = found(case.lookup, REFERENCES)
        for ref, one, many in zip(REFERENCES, one_by_one, at_once, strict=True):
            assert many in (one, None)
            held = [
                item
                for i, records in enumerate(segments)
                if i not in retired
                for item in records
                if item.reference == ref
            ]
            if one is not None and len(held) == 1:
                assert many == one


@pytest.mark.parametrize("merged", [0, 1000], ids=["large segments", "merged segments"])
def test_a_record_with_anything_wrong_is_left_to_be_asked_alone(tmp_path, monkeypatch, merged):
    monkeypatch.setattr(lookup_module, "MERGED_RECORDS", merged)
    records = sorted((record(n) for n in range(3)), key=key)
    sound = encode_segment(records, snapshot_min=0, seal_snapshot=0, seal_time_ns=1)
    wanted = [item.reference for item in records] * 30
    refused = 0
    start = sound.index(records[0].reference.digest) - 3 * 56
    for at in range(start, len(sound) - 24):
        case = Case(tmp_path / str(at))
        changed = bytearray(sound)
        changed[at] ^= 0x81
        case.seal([], bytes(changed))
        many = found(case.lookup, wanted)
        one = case.fresh()
        for ref, row in zip(wanted[:3], many, strict=False):
            try:
                (expected,) = plain(one, [ref])
            except Integrity:
                expected = None
                refused += 1
            assert row in (expected, None)
    assert refused > 50


@pytest.mark.parametrize("merged", [0, 1000], ids=["large segments", "merged segments"])
def test_records_of_one_artifact_in_two_domains_are_both_seen(case, monkeypatch, merged):
    monkeypatch.setattr(lookup_module, "MERGED_RECORDS", merged)
    case.seal([record(1), record(1, block=2, domain=7), record(2)])
    assert [n for n, row in enumerate(found(case.lookup, REFERENCES)) if row] == [2]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=60, unique=True),
    st.lists(st.binary(min_size=32, max_size=32), max_size=60),
)
def test_the_filter_says_the_same_of_many_as_of_one(inside, others):
    digests = np.frombuffer(b"".join(inside), np.uint8).reshape(-1, 32)
    data = build_from_digests(digests)
    bloom = Bloom(memoryview(data), 0, len(data))
    asked = inside + others
    words = np.frombuffer(b"".join(asked), ">u8").astype(np.uint64).reshape(-1, 4)
    assert bloom.may_hold_many(words).tolist() == [bloom.may_hold(digest) for digest in asked]


def test_without_a_filter_every_answer_is_maybe():
    words = np.zeros((3, 4), np.uint64)
    assert Bloom(memoryview(b""), 0, 0).may_hold_many(words).all()
