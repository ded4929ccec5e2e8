"""Blocks: files that hold artifact bytes, one after another (spec/ledger.md §3).

A block has no header: the extents of index segments say where each artifact lies. Pure names and
packing are here; `put` writes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from holdfast.ledger.segment import EMPTY_EXTENT, Extent

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BLOCK = 2**32 - 1
"""Bytes of the largest block: 4 GiB - 1, so that offsets and lengths fit u32."""

SEALED = "blocks/sealed"
OPEN = "blocks/open"

_NAME = re.compile(r"blocks/sealed/([0-9a-f]{2})/([0-9a-f]{16})\.blk\Z")


def block_path(block_id: int) -> str:
    """The sealed block's path below the ledger's folder."""
    name = f"{block_id:016x}"
    return f"{SEALED}/{name[:2]}/{name}.blk"


def parse_block_path(path: str) -> int | None:
    """The block id that a path below the ledger's folder names, or None."""
    match = _NAME.match(path)
    if match is None or not match[2].startswith(match[1]):
        return None
    block_id = int(match[2], 16)
    return block_id or None


class Packer:
    """Gives bytes their places in blocks, in order.

    `begin` starts an artifact whose length is known; each `place` then takes the next bytes of it
    and says where they go. An artifact that fits a block is never split; a longer one is.

    Args:
        new_block: draws the id of a new block.
        limit: bytes of a block at most.
    """

    def __init__(self, new_block: Callable[[], int], limit: int = MAX_BLOCK) -> None:
        self._new_block = new_block
        self._limit = limit
        self._block = 0
        self._used = 0

    def begin(self, length: int) -> None:
        """Start an artifact of `length` bytes."""
        if self._block and self._used and self._used + length > self._limit:
            self._block = 0

    def place(self, length: int) -> Extent:
        """The extent for as many of the next `length` > 0 bytes as go in one piece."""
        if not self._block or self._used == self._limit:
            self._block, self._used = self._new_block(), 0
        extent = Extent(self._block, self._used, min(length, self._limit - self._used))
        self._used += extent.length
        return extent


def join_extents(pieces: list[Extent]) -> tuple[Extent, ...]:
    """The pieces of one artifact with neighbours made one; the empty artifact's extent for none."""
    joined: list[Extent] = []
    for piece in pieces:
        if joined:
            last = joined[-1]
            if last.block_id == piece.block_id and last.offset + last.length == piece.offset:
                joined[-1] = Extent(last.block_id, last.offset, last.length + piece.length)
                continue
        joined.append(piece)
    return tuple(joined) or (EMPTY_EXTENT,)
