"""The concurrency matrix of docs/spec/contracts/volume.md: what meets what."""

from __future__ import annotations

import pytest

from holdfast import (
    Conflict,
    FileSystemStore,
    OverlappingBlocks,
    RangeMissing,
    SnapshotConflict,
    Volume,
)


@pytest.fixture
def store(tmp_path):
    return FileSystemStore(str(tmp_path))


@pytest.fixture
def pair(store):
    """Two handles on one volume, as of two processes."""
    one, other = Volume("v", store, total_length=100), Volume("v", store, total_length=100)
    yield one, other
    one.close()
    other.close()


def test_blocks_of_different_bytes_are_both_committed(pair):
    one, other = pair
    mine, theirs = one.stage_write_at(0, b"aa"), other.stage_write_at(2, b"bb")
    one.commit([mine])
    other.commit([theirs])
    assert one.read_at(0, 4) == b"aabb"


def test_an_equal_block_of_another_stager_is_shared_and_committed_once(pair):
    one, other = pair
    mine, theirs = one.stage_write_at(0, b"aa"), other.stage_write_at(0, b"aa")
    assert mine == theirs
    one.commit([mine])
    with pytest.raises(OverlappingBlocks):
        other.commit([theirs])


def test_other_bytes_for_the_same_block_are_a_conflict_as_long_as_the_first_may_commit(pair):
    one, other = pair
    mine = one.stage_write_at(0, b"aa")
    with pytest.raises(Conflict):
        other.stage_write_at(0, b"bb")
    one.commit([mine])
    assert other.read_at(0, 2) == b"aa"
    with pytest.raises(OverlappingBlocks):
        other.stage_write_at(0, b"bb")


def test_leftovers_of_a_dead_stager_are_replaced(pair):
    one, other = pair
    one.stage_write_at(0, b"aa")
    one.close()
    other.commit([other.stage_write_at(0, b"bb")])
    assert other.read_at(0, 2) == b"bb"


def test_of_two_blocks_that_overlap_the_second_to_commit_is_refused(pair):
    one, other = pair
    mine, theirs = one.stage_write_at(0, b"aaaa"), other.stage_write_at(2, b"bbbb")
    other.commit([theirs])
    with pytest.raises(OverlappingBlocks):
        one.commit([mine])
    assert other.missing_ranges(0, 6) == [(0, 2)]


@pytest.mark.parametrize("how", ["parent", "on_conflict"])
def test_who_asks_for_a_conflict_gets_one(pair, how):
    one, other = pair
    first = one.commit([one.stage_write_at(0, b"a")])
    asked = {"parent": first.id} if how == "parent" else {"on_conflict": "raise"}
    transaction = one.transaction(**asked)
    transaction.stage_write_at(1, b"b")
    other.commit([other.stage_write_at(2, b"c")])
    with pytest.raises(SnapshotConflict):
        transaction.commit()
    with pytest.raises(RangeMissing):
        other.read_at(1, 1)


def test_a_first_commit_of_another_length_is_a_conflict(store):
    one, other = Volume("v", store, total_length=10), Volume("v", store, total_length=20)
    mine, theirs = one.stage_write_at(0, b"a"), other.stage_write_at(1, b"b")
    one.commit([mine])
    with pytest.raises(Conflict):
        other.commit([theirs])
    other.close()


def test_a_collection_does_nothing_while_somebody_stages(pair):
    one, other = pair
    block = one.stage_write_at(0, b"a")
    assert not other.collect().removed
    one.commit([block])
    assert other.read_at(0, 1) == b"a"


def test_an_open_file_stays_with_its_snapshot(pair):
    one, other = pair
    one.commit([one.stage_write_at(0, b"a")])
    with one.open() as file:
        other.commit([other.stage_write_at(1, b"b")])
        assert file.read(10) == b"a"
    assert one.read_at(0, 2) == b"ab"
