"""What a set of blocks covers (spec/datasets.md §8). Pure.

A block is anything with an offset and a length in bytes, both as in a manifest: offsets from 0 on,
lengths above 0, blocks that do not overlap.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter, index
from typing import Generic, NamedTuple, Protocol, TypeVar

from holdfast.errors import Invalid, OverlappingBlocks, RangeMissing


class Span(Protocol):
    """A range of a volume, in bytes."""

    @property
    def offset(self) -> int: ...

    @property
    def length(self) -> int: ...


class Range(NamedTuple):
    """A range of a volume, in bytes."""

    offset: int
    length: int


B = TypeVar("B", bound=Span)
_offset = attrgetter("offset")


@dataclass(frozen=True, slots=True)
class Piece(Generic[B]):
    """The part of a block that a range needs: `length` bytes from `start` on, in the block."""

    block: B
    start: int
    length: int


class BlockIndex(Generic[B]):
    """Blocks sorted by offset, looked up in O(log B + R).

    Args:
        blocks: sorted by offset.
        total_length: bytes of the volume's address space.

    Raises:
        OverlappingBlocks: two of them overlap.
        Invalid: they are not sorted, or one is empty or leaves the address space.
    """

    def __init__(self, blocks: Sequence[B], total_length: int) -> None:
        end = 0
        starts: list[int] = []
        for block in blocks:
            start = block.offset
            if start < end:
                raise _wrong_order(block, starts[-1] if starts else 0, end)
            if block.length <= 0:
                raise Invalid("reading the block", _text(block), found="no bytes")
            end = start + block.length
            starts.append(start)
        if end > total_length:
            raise outside(blocks[-1], total_length)
        self.blocks = blocks
        self.total_length = total_length
        self._starts = starts

    def __len__(self) -> int:
        return len(self.blocks)

    def __contains__(self, block: object) -> bool:
        offset = getattr(block, "offset", None)
        if not isinstance(offset, int):
            return False
        at = bisect_left(self._starts, offset)
        return at < len(self.blocks) and self.blocks[at] == block

    def at(self, offset: int) -> B | None:
        """The block that begins at `offset`, if any."""
        at = bisect_left(self._starts, offset)
        found = at < len(self._starts) and self._starts[at] == offset
        return self.blocks[at] if found else None

    def find(self, offset: int, length: int) -> list[Piece[B]]:
        """The pieces that make up a range, in order.

        Raises:
            Invalid: a range of no bytes, or one that leaves the address space.
            RangeMissing: not all of it is covered.
        """
        offset, length = whole(offset, "reading"), whole(length, "reading")
        check_range(offset, length, self.total_length, "reading")
        end = offset + length
        at = bisect_right(self._starts, offset) - 1
        pieces: list[Piece[B]] = []
        position = offset
        while position < end:
            block = self.blocks[at] if 0 <= at < len(self.blocks) else None
            if block is None or not block.offset <= position < block.offset + block.length:
                raise self._missing(offset, length)
            start = position - block.offset
            taken = min(block.length - start, end - position)
            pieces.append(Piece(block, start, taken))
            position += taken
            at += 1
        return pieces

    def missing(self, offset: int = 0, length: int | None = None) -> Iterator[Range]:
        """The gaps in a range (default: from `offset` to the end of the address space)."""
        if length is None:
            length = self.total_length - whole(offset, "looking for gaps")
        offset, length = whole(offset, "looking for gaps"), whole(length, "looking for gaps")
        if offset < 0 or length < 0 or offset + length > self.total_length:
            raise outside(Range(offset, length), self.total_length)
        return self._gaps(offset, offset + length)

    def overlapping(self, span: Span) -> B | None:
        """A block that covers bytes of `span`, if any."""
        at = bisect_left(self._starts, span.offset + span.length) - 1
        if at >= 0 and self.blocks[at].offset + self.blocks[at].length > span.offset:
            return self.blocks[at]
        return None

    def merged(self, new: Iterable[B]) -> tuple[B, ...]:
        """These blocks and the new ones, sorted.

        Raises:
            OverlappingBlocks: a new one overlaps another, committed or new.
            Invalid: one is empty or leaves the address space.
        """
        added = sorted(new, key=_offset)
        BlockIndex(added, self.total_length)
        for block in added:
            other = self.overlapping(block)
            if other is not None:
                raise _overlap(block, other)
        # Two sorted runs: the sort merges them.
        return tuple(sorted([*self.blocks, *added], key=_offset))

    def _gaps(self, offset: int, end: int) -> Iterator[Range]:
        at = max(0, bisect_right(self._starts, offset) - 1)
        position = offset
        while position < end and at < len(self.blocks):
            block = self.blocks[at]
            if block.offset > position:
                yield Range(position, min(block.offset, end) - position)
            position = max(position, block.offset + block.length)
            at += 1
        if position < end:
            yield Range(position, end - position)

    def _missing(self, offset: int, length: int) -> RangeMissing:
        gap = next(self._gaps(offset, offset + length))
        return RangeMissing(
            "reading",
            _text(Range(offset, length)),
            found=f"{gap.length} bytes from {gap.offset} on that are not committed",
            hint="stage and commit them; `missing_ranges` names all",
            missing_offset=gap.offset,
            missing_length=gap.length,
        )


def missing_ranges(
    blocks: Sequence[Span], total_length: int, offset: int = 0, length: int | None = None
) -> list[Range]:
    """The gaps in a range (default: the whole address space) that sorted blocks leave."""
    return list(BlockIndex(blocks, total_length).missing(offset, length))


def coverage(blocks: Sequence[Span], total_length: int, cells: int) -> list[float]:
    """How much of each of `cells` equal parts of the address space is covered, 0 to 1.

    There are never more cells than bytes. O(blocks + cells), for sorted blocks.

    Raises:
        Invalid: fewer than one cell.
    """
    if cells < 1 or total_length < 1:
        raise Invalid("drawing the map", found=f"{cells} cells for {total_length} bytes")
    cells = min(cells, total_length)
    edges = [cell * total_length // cells for cell in range(cells + 1)]
    covered = [0] * cells
    for block in blocks:
        position, end = block.offset, min(block.offset + block.length, total_length)
        cell = bisect_right(edges, position) - 1
        while position < end:
            stop = min(edges[cell + 1], end)
            covered[cell] += stop - position
            position = stop
            cell += 1
    return [
        have / (edges[cell + 1] - edges[cell]) if have else 0.0 for cell, have in enumerate(covered)
    ]


def whole(number: object, doing: str) -> int:
    """`number` as an int, if it is a whole one: NumPy's too. Raises `Invalid`."""
    try:
        if not isinstance(number, bool):
            return index(number)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise Invalid(doing, found=f"{number!r:.80}", expected="a whole number of bytes")


def check_range(offset: int, length: int, total_length: int, doing: str) -> None:
    """Raises `Invalid`, unless the range has bytes and lies in the address space."""
    whole(offset, doing)
    whole(length, doing)
    if length <= 0:
        raise Invalid(
            doing, _text(Range(offset, length)), found=f"{length} bytes", expected="1 or more"
        )
    if offset < 0 or offset + length > total_length:
        raise outside(Range(offset, length), total_length)


def outside(span: Span, total_length: int) -> Invalid:
    """The error for a range that leaves the address space."""
    return Invalid(
        "using the range",
        _text(span),
        found="bytes outside of the volume",
        expected=f"within 0 to {total_length}",
    )


def _wrong_order(block: Span, before: int, end: int) -> Invalid:
    if block.offset < before or block.offset < 0:
        return Invalid(
            "reading the block", _text(block), found="an offset out of order", expected="ascending"
        )
    return _overlap(block, Range(before, end - before))


def _overlap(block: Span, other: Span) -> OverlappingBlocks:
    return OverlappingBlocks(
        "adding the block",
        _text(block),
        found=f"bytes of the block {_text(other)} in it",
        hint="bytes of a volume are written once; `missing_ranges` names what is free",
    )


def _text(span: Span) -> str:
    return f"{span.offset}-{span.length}"
