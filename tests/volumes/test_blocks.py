"""What a set of blocks covers (spec/datasets.md §8)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Invalid, OverlappingBlocks, RangeMissing
from holdfast.volumes.blocks import BlockIndex, Range, coverage, missing_ranges

TOTAL = 60


@st.composite
def layouts(draw):
    """Sorted blocks that do not overlap, some touching."""
    cuts = sorted(draw(st.sets(st.integers(0, TOTAL), max_size=14)))
    spans = [Range(a, b - a) for a, b in itertools.pairwise(cuts)]
    return [span for span in spans if draw(st.booleans())]


ranges = st.builds(Range, st.integers(0, TOTAL - 1), st.integers(1, TOTAL))


def bytes_of(spans):
    return {at for span in spans for at in range(span.offset, span.offset + span.length)}


@given(layouts(), ranges)
def test_a_lookup_gives_the_pieces_of_the_range_or_says_what_is_missing(blocks, wanted):
    index = BlockIndex(blocks, TOTAL)
    offset, length = wanted.offset, min(wanted.length, TOTAL - wanted.offset)
    need = set(range(offset, offset + length))
    if need <= bytes_of(blocks):
        got = [
            at
            for piece in index.find(offset, length)
            for at in range(
                piece.block.offset + piece.start, piece.block.offset + piece.start + piece.length
            )
        ]
        assert got == sorted(need)
    else:
        with pytest.raises(RangeMissing) as caught:
            index.find(offset, length)
        first = min(need - bytes_of(blocks))
        assert caught.value.details["missing_offset"] == first


@given(layouts(), ranges)
def test_gaps_and_blocks_together_make_up_the_range(blocks, wanted):
    offset, length = wanted.offset, min(wanted.length, TOTAL - wanted.offset)
    gaps = missing_ranges(blocks, TOTAL, offset, length)
    assert bytes_of(gaps) == set(range(offset, offset + length)) - bytes_of(blocks)
    assert all(gap.length > 0 for gap in gaps)
    assert all(a.offset + a.length < b.offset for a, b in itertools.pairwise(gaps))


@given(layouts(), st.lists(ranges, max_size=3))
def test_blocks_are_merged_unless_bytes_would_be_covered_twice(blocks, new):
    index = BlockIndex(blocks, TOTAL)
    new = [Range(r.offset, min(r.length, TOTAL - r.offset)) for r in new]
    covered = sum(span.length for span in [*blocks, *new])
    if covered == len(bytes_of([*blocks, *new])):
        assert list(index.merged(new)) == sorted([*blocks, *new])
    else:
        with pytest.raises(OverlappingBlocks):
            index.merged(new)


@given(layouts(), st.integers(1, 100))
def test_a_map_counts_every_covered_byte_once(blocks, cells):
    drawn = coverage(blocks, TOTAL, cells)
    assert len(drawn) == min(cells, TOTAL)
    edges = [cell * TOTAL // len(drawn) for cell in range(len(drawn) + 1)]
    for cell, part in enumerate(drawn):
        here = set(range(edges[cell], edges[cell + 1]))
        assert part == len(here & bytes_of(blocks)) / len(here)


def test_a_range_of_no_bytes_or_beyond_the_end_is_invalid_and_not_missing():
    index = BlockIndex([Range(0, 10)], TOTAL)
    for offset, length in ((0, 0), (0, -1), (-1, 5), (TOTAL, 1), (55, 6), (1 << 80, 1)):
        with pytest.raises(Invalid):
            index.find(offset, length)


def test_blocks_that_are_not_as_in_a_manifest_are_refused():
    with pytest.raises(Invalid, match="order"):
        BlockIndex([Range(10, 5), Range(0, 5)], TOTAL)
    with pytest.raises(OverlappingBlocks):
        BlockIndex([Range(0, 5), Range(4, 5)], TOTAL)
    with pytest.raises(OverlappingBlocks):
        BlockIndex([Range(0, 5), Range(0, 5)], TOTAL)
    for wrong in (Range(0, 0), Range(-1, 1), Range(59, 2)):
        with pytest.raises(Invalid):
            BlockIndex([wrong], TOTAL)


def test_a_committed_block_again_overlaps_itself():
    index = BlockIndex([Range(0, 5), Range(10, 5)], TOTAL)
    with pytest.raises(OverlappingBlocks, match="10-5"):
        index.merged([Range(10, 5)])


def test_a_block_is_found_by_its_offset():
    index = BlockIndex([Range(0, 5), Range(10, 5)], TOTAL)
    assert index.at(10) == Range(10, 5)
    assert index.at(11) is None
    assert Range(10, 5) in index
    assert Range(10, 4) not in index
    assert index.overlapping(Range(5, 5)) is None
    assert index.overlapping(Range(5, 6)) == Range(10, 5)


def test_gaps_outside_of_the_volume_are_not_asked_for():
    for offset, length in ((-1, 5), (0, TOTAL + 1), (TOTAL + 1, None)):
        with pytest.raises(Invalid):
            missing_ranges([], TOTAL, offset, length)
    assert missing_ranges([], TOTAL, TOTAL) == []
    with pytest.raises(Invalid):
        coverage([], TOTAL, 0)


def test_a_hundred_thousand_blocks_are_looked_up_by_halving():
    class Counted(list):
        asked = 0

        def __getitem__(self, at):
            Counted.asked += 1
            return super().__getitem__(at)

    blocks = Counted(Range(n * 10, 10) for n in range(100_000))
    index = BlockIndex(blocks, 1_000_000)
    Counted.asked = 0
    assert len(index.find(500_005, 20)) == 3
    assert Counted.asked == 3
