"""Snapshot ids: decimal Unix nanoseconds (spec/datasets.md §2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from holdfast.errors import Unsupported

if TYPE_CHECKING:
    from holdfast.clock import Ids

_DECIMAL = re.compile(r"[1-9][0-9]{0,19}\Z")
_SHAPE = re.compile(r"[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,200}\Z")
SPREAD = 1000
"""An id that was taken late gets a random number below this, so that two hosts rarely meet."""


def is_decimal(id: str) -> bool:
    """Whether `id` is one that Holdfast makes; ids of other shapes are only read."""
    return _DECIMAL.match(id) is not None


def is_readable(id: str) -> bool:
    """Whether `id` can be one component of a path."""
    return _SHAPE.match(id) is not None and id not in (".", "..") and not id.startswith(".hf-")


def order(id: str) -> tuple[int, int, str]:
    """Sort key: decimal ids by their number, after ids of any other shape."""
    return (1, int(id), id) if is_decimal(id) else (0, 0, id)


def next_id(now_ns: int, above: str | None, ids: Ids) -> str:
    """A new id: the time, or, where that is not above the newest id, the next one and a little.

    Raises:
        Unsupported: the newest id is the largest that there is, or nearly so.
    """
    floor = int(above) if above is not None and is_decimal(above) else 0
    if now_ns > floor:
        return str(now_ns)
    id = str(floor + 1 + ids.u64() % SPREAD)
    if not is_decimal(id):
        raise Unsupported(
            "making a snapshot id",
            found=f"the newest snapshot is {above}",
            expected="one that leaves room for larger ids of at most 20 digits",
            hint="no clock made it; take that snapshot out of the store",
        )
    return id
