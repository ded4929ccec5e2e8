"""The pointer: a small file that names the newest snapshot (spec/datasets.md §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import NotFound
from holdfast.snapshotting.snapshot_id import is_readable

if TYPE_CHECKING:
    from holdfast.store.protocol import Store

LONGEST = 1024
"""Bytes of a pointer that are looked at: an id is far shorter."""

MOST = 1 << 20
"""Bytes up to which a longer one, which somebody damaged, is replaced by the next writer."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer file holds: its bytes (None: no file) and the id in them (None: none)."""

    data: bytes | None
    id: str | None


def read_pointer(store: Store, path: str) -> Pointer:
    """The pointer at `path`. What is no id counts as none: a pointer to nothing is tolerated."""
    try:
        data = store.read_range(path, 0, LONGEST)
    except NotFound:
        return Pointer(None, None)
    if len(data) == LONGEST:
        # Not an id, but a writer who swaps it has to know all of it.
        data = store.read_range(path, 0, MOST)
    try:
        id = data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return Pointer(data, None)
    return Pointer(data, id if is_readable(id) else None)
