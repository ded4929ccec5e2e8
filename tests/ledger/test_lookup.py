"""Lookups in hand-made segments: domains, shadowing, order, merging, admission."""

from __future__ import annotations

import hashlib

import pytest

from holdfast.errors import Integrity
from holdfast.ledger import lookup as lookup_module
from holdfast.ledger.admission import Segments
from holdfast.ledger.lookup import Lookup
from holdfast.ledger.replay import IndexState, SealedSegment
from holdfast.ledger.sealed import open_files
from holdfast.ledger.segment import Extent, SegmentRecord, encode_segment, segment_path
from holdfast.ledger.snapshot import StandingTombstone
from holdfast.store.filesystem import FileSystemStore
from ledger.segment_cases import reference

A, B = reference(1), reference(2)


class Case:
    """A state over segments in a real folder."""

    def __init__(self, folder) -> None:
        self.store = FileSystemStore(folder)
        self.cache = f"{folder}/cache"
        self.state = IndexState()
        self.segments = self.reopened()
        self.lookup = Lookup(self.state, self.segments)

    def reopened(self) -> Segments:
        files = open_files(self.store, "ledger")
        return Segments(files, prefix="ledger", cache=self.cache, calls=self.store.calls)

    def seal(self, *records: SegmentRecord) -> int:
        data = encode_segment(records, snapshot_min=0, seal_snapshot=0, seal_time_ns=1)
        number = self.state.next_segment_id
        self.store.put(f"ledger/{segment_path(number)}", data)
        sealed = SealedSegment(number, hashlib.sha256(data).digest(), number * 10)
        self.state.segments[number] = self.state.sealed[number] = sealed
        self.lookup.sync()
        return number

    def path(self, number: int) -> str:
        return f"{self.store.root}/ledger/{segment_path(number)}"


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def record(ref=A, block=1, domain=0, tombstone=False):
    extents = () if tombstone else (Extent(block, 0, 5),)
    return SegmentRecord(ref, extents, 5, None, domain, tombstone=tombstone)


def blocks(standing):
    return [location.extents[0].block_id for location in standing.visible]


def test_the_latest_seal_comes_first_and_the_local_domain_before_others(case):
    case.seal(record(block=1), record(block=2, domain=7))
    case.seal(record(block=3), record(block=4, domain=5))
    assert blocks(case.lookup.standing(A)) == [3, 1, 4, 2]


def test_a_tombstone_hides_the_local_domain_only(case):
    case.seal(record(block=1), record(block=2, domain=7))
    case.state.tombstones[A] = {9: StandingTombstone(A, 9, 0, 0)}
    standing = case.lookup.standing(A)
    assert blocks(standing) == [2]
    assert [location.extents[0].block_id for location in standing.hidden] == [1]


def test_a_tombstone_record_hides_earlier_records_of_its_domain_until_a_later_one(case):
    case.seal(record(block=1, domain=7), record(block=2, domain=8))
    case.seal(record(domain=7, tombstone=True))
    assert blocks(case.lookup.standing(A)) == [2]
    case.seal(record(block=3, domain=7))
    assert blocks(case.lookup.standing(A)) == [3, 2]


def test_an_inline_put_stands_behind_a_segment(case):
    case.state.inline[A] = 4
    assert case.lookup.standing(A).visible[0].logseq == 4
    case.seal(record(block=1))
    first, second = case.lookup.standing(A).visible
    assert first.extents is not None
    assert (second.extents, second.logseq) == (None, 4)


def test_a_retired_segment_is_asked_no_longer(case):
    number = case.seal(record(block=1))
    del case.state.segments[number]
    case.lookup.sync()
    assert not case.lookup.standing(A).visible


def test_merged_segments_answer_as_single_ones_do(case, monkeypatch):
    monkeypatch.setattr(lookup_module, "MERGE_LOOKUPS", 2)
    monkeypatch.setattr(lookup_module, "MERGED_RECORDS", 3)
    numbers = []
    for start in range(0, 60, 2):
        numbers.append(case.seal(*(record(reference(n), block=n + 1) for n in (start, start + 1))))
        case.lookup.standing(A)
    large = case.seal(*(record(reference(n), block=n + 1) for n in range(60, 66)))
    for n in range(66):
        assert blocks(case.lookup.standing(reference(n))) == [n + 1]
    assert not case.lookup.standing(reference(99)).visible
    del case.state.segments[numbers[3]]
    case.lookup.sync()
    assert not case.lookup.standing(reference(6)).visible
    assert blocks(case.lookup.standing(reference(8))) == [9]
    case.seal(record(reference(8), block=500))
    assert blocks(case.lookup.standing(reference(8))) == [500, 9]
    assert large in case.state.segments


def test_prefixes_find_segments_and_inline_puts(case):
    case.seal(record(A), record(B, block=2))
    case.state.inline[reference(3)] = 1
    for ref in (A, B, reference(3)):
        assert list(case.lookup.find_prefix(ref.digest.hex()[:8])) == [ref]


def test_a_segment_that_does_not_match_its_seal_answers_nothing(case):
    number = case.seal(record(A))
    with open(case.path(number), "r+b") as file:
        file.seek(120)
        file.write(b"\xff")
    with pytest.raises(Integrity, match=r"segment-0{19}1\.idx"):
        case.lookup.standing(A)


def test_a_missing_segment_is_integrity(case):
    number = case.seal(record(A))
    case.store.delete(f"ledger/{segment_path(number)}")
    with pytest.raises(Integrity, match="no such file"):
        case.lookup.standing(A)


class Hashes:
    """Counts what is hashed by `hashlib.sha256` in the admission module."""

    def __init__(self, monkeypatch) -> None:
        from holdfast.ledger import admission

        self.count = 0
        real = hashlib.sha256

        class Counting:
            @staticmethod
            def sha256(data=b""):
                self.count += 1
                return real(data)

        monkeypatch.setattr(admission, "hashlib", Counting)


def test_a_recognised_file_is_not_hashed_for_a_find_but_for_a_miss(case, monkeypatch):
    case.seal(record(A))
    case.lookup.standing(A)
    case.segments.close()
    hashes = Hashes(monkeypatch)
    again = Lookup(case.state, case.reopened())
    assert blocks(again.standing(A)) == [1]
    assert hashes.count == 0
    again.verify()
    again.verify()
    assert hashes.count == 1


def test_a_changed_file_is_hashed_again(case, monkeypatch):
    number = case.seal(record(A))
    case.lookup.standing(A)
    case.segments.close()
    with open(case.path(number), "r+b") as file:
        file.seek(120)
        file.write(b"\xff")
    with pytest.raises(Integrity):
        Lookup(case.state, case.reopened()).standing(A)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema":"x"}', '{"schema":"holdfast.cache.segments/1"}', "[" * 9999]
)
def test_a_damaged_cache_costs_a_hash_and_nothing_else(case, text):
    case.seal(record(A))
    case.lookup.standing(A)
    case.segments.close()
    with open(f"{case.cache}/segments.json", "w") as file:
        file.write(text)
    segments = case.reopened()
    assert blocks(Lookup(case.state, segments).standing(A)) == [1]
    segments.close()
