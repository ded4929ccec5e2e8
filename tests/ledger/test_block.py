from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.ledger.block import Packer, block_path, join_extents, parse_block_path
from holdfast.ledger.segment import EMPTY_EXTENT, Extent


def test_a_block_lies_under_the_first_two_digits_of_its_id():
    assert block_path(0xAB) == "blocks/sealed/00/00000000000000ab.blk"
    assert parse_block_path(block_path(2**64 - 1)) == 2**64 - 1


def test_other_paths_name_no_block():
    for path in (
        "blocks/sealed/01/00000000000000ab.blk",
        "blocks/sealed/00/0000000000000000.blk",
        "blocks/open/00/00000000000000ab.blk",
        "blocks/sealed/00/00000000000000AB.blk",
    ):
        assert parse_block_path(path) is None


@given(st.lists(st.integers(0, 250), max_size=40))
def test_artifacts_fill_blocks_without_gaps_and_without_overlap(lengths):
    ids = iter(range(1, 10_000))
    packer = Packer(lambda: next(ids), limit=100)
    used: dict[int, int] = {}
    for length in lengths:
        packer.begin(length)
        left, pieces = length, []
        while left:
            extent = packer.place(left)
            pieces.append(extent)
            left -= extent.length
        if length <= 100:
            assert len(pieces) <= 1
        for extent in pieces:
            assert extent.offset == used.get(extent.block_id, 0)
            used[extent.block_id] = extent.offset + extent.length
            assert used[extent.block_id] <= 100
        joined = join_extents(pieces)
        assert sum(extent.length for extent in joined) == length


def test_neighbouring_pieces_become_one_extent():
    pieces = [Extent(1, 0, 5), Extent(1, 5, 5), Extent(2, 0, 5)]
    assert join_extents(pieces) == (Extent(1, 0, 10), Extent(2, 0, 5))


def test_an_empty_artifact_has_one_extent_of_block_0():
    assert join_extents([]) == (EMPTY_EXTENT,)
