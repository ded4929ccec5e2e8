"""Whether two Zarr transactions that began on the same snapshot can both be committed.

Never is a chunk merged: a value is that of one transaction or of another. Values are compared by
their digests: one that was written again as it was did not change. The rules, for what one
transaction changed and what was committed since it began:

1. A key that both changed is a conflict; but two that wrote the same metadata agree.
2. A change below an array whose metadata was changed meanwhile is a conflict, and so is one below
   a group that is gone, or below a group that became an array.
3. Who changes, makes or removes the metadata of an array conflicts with every change below it.
4. Who clears a prefix conflicts with every change below it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from holdfast.interop.zarr_pack import Placed

METADATA = "zarr.json"


class Clash(NamedTuple):
    """The key that two transactions cannot both have changed, and why."""

    key: str
    why: str


def clash(
    base: Mapping[str, Placed],
    latest: Mapping[str, Placed],
    changes: Mapping[str, Placed | None],
    cleared: Collection[str],
    is_array: Callable[[Placed], bool],
) -> Clash | None:
    """Why `changes`, made on `base`, cannot be committed on `latest`; None: they can.

    Args:
        base, latest: what keys held when the transaction began, and hold now.
        changes: what it made of keys; None: removed.
        cleared: prefixes ("" or ending with "/") below which it removed everything.
        is_array: whether the metadata at a place is that of an array.
    """
    if base == latest:
        return None
    for key, ours in changes.items():
        theirs = latest.get(key)
        if not _same(theirs, base.get(key)) and not (is_metadata(key) and _same(ours, theirs)):
            return Clash(key, "another transaction changed it too")
    for document in sorted({d for key in changes for d in documents(key)}):
        before, after = base.get(document), latest.get(document)
        if document in changes or _same(before, after):
            continue
        if before is not None and after is None:
            return Clash(document, "another transaction removed it")
        if any(p is not None and is_array(p) for p in (before, after)):
            return Clash(document, "another transaction changed the array")
    prefixes = set(cleared)
    for key, ours in changes.items():
        before = base.get(key)
        if not is_metadata(key) or _same(ours, before) or _same(ours, latest.get(key)):
            continue
        if any(p is not None and is_array(p) for p in (before, ours)):
            prefixes.add(key[: -len(METADATA)])
    if prefixes:
        for key in _differences(base, latest):
            below = next((p for p in prefixes if key.startswith(p)), None)
            if below is not None and not (
                key in changes and is_metadata(key) and _same(changes[key], latest.get(key))
            ):
                return Clash(key, f"this transaction replaced {below or 'everything'}")
    return None


def is_metadata(key: str) -> bool:
    """Whether `key` is the metadata of an array or group."""
    return key == METADATA or key.endswith(f"/{METADATA}")


def documents(key: str) -> Iterator[str]:
    """The metadata of everything that `key` lies below, itself left out."""
    parts = key.split("/")
    for depth in range(len(parts)):
        document = "/".join([*parts[:depth], METADATA])
        if document != key:
            yield document


def _same(one: Placed | None, other: Placed | None) -> bool:
    """Whether both are there with the same bytes, or both are not."""
    if one is None or other is None:
        return one is other
    return one.sha256 == other.sha256


def _differences(base: Mapping[str, Placed], latest: Mapping[str, Placed]) -> Iterator[str]:
    for key, placed in latest.items():
        if not _same(base.get(key), placed):
            yield key
    for key in base:
        if key not in latest:
            yield key
