"""The files of a manifest decoded quickly, where they are as they are usually written.

A manifest names every file of its snapshot. What is found here is what the strict way finds; where
that is not certain, the strict way is left to find it.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from holdfast.datasets.file_ref import MAX_BOUND, FileRef
from holdfast.errors import InvalidPath
from holdfast.snapshotting.fields import MAX_INT64
from holdfast.snapshotting.manifest_json import MAX_BYTES
from holdfast.store.paths import MAX_COMPONENT, check_path

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_INT64)]
_Bound = int | float | str | bool | None
# `json` and msgspec read the integer -0 as 0.
_NEGATIVE_ZERO = re.compile(rb"-0\s*[,\]}]")


# What is always written has no default, and what is left out where it is the default has one: so
# each value tells which keys it was written with.
class _Column(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True
):
    name: str
    null_count: _Count
    min: _Bound = None
    max: _Bound = None
    distinct_count: Annotated[int, msgspec.Meta(ge=1, le=MAX_INT64)] | None = None


class _Stats(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    row_count: _Count
    columns: tuple[_Column, ...] = ()


class _File(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    path: str
    size_bytes: _Count
    checksum: str = ""
    stats: _Stats | None = None
    blocks_sha256: str = ""


class _Outline(msgspec.Struct):
    files: msgspec.Raw


def quick_files(data: bytes) -> tuple[tuple[FileRef, ...], bytes] | None:
    """The files of the manifest in `data`, and the manifest with ``[]`` in their place, which is
    still to be decoded strictly: unless its files are ``[]`` then, the same text stood in another
    field before them. None where there are none, or something about them needs a closer look.

    msgspec lets a key stand twice. That shows in the number of strings: it writes each only once.
    """
    if len(data) > MAX_BYTES:
        return None
    try:
        text = bytes(msgspec.json.decode(data, type=_Outline).files)
        if _NEGATIVE_ZERO.search(text):
            return None
        found = msgspec.json.decode(text, type=list[_File])
        if not found or _strings(msgspec.json.encode(found)) != _strings(text):
            return None
        files = msgspec.convert(found, type=tuple[FileRef, ...], from_attributes=True)
        _check_paths([file.path for file in files])
        if not all(map(_in_range, files)):
            return None
    except (msgspec.MsgspecError, UnicodeError, RecursionError, InvalidPath):
        return None
    # All of it is long to search for, and it will hardly begin like something else.
    at = data.find(text[:256])
    if not data.startswith(text, at):
        return None
    return files, b"[]".join((data[:at], data[at + len(text) :]))


def _strings(text: bytes) -> int:
    """Twice the number of strings in valid JSON."""
    quotes = text.count(b'"')
    if b"\\" in text:
        # Without the pairs, a backslash before a quotation mark escapes it.
        quotes -= text.replace(b"\\\\", b"").count(b'\\"')
    return quotes


def _check_paths(paths: list[str]) -> None:
    """Raises `InvalidPath`, if one of them is not a path that a store takes."""
    together = f"/{'/'.join(paths)}/"
    plain = together.isascii() and max(map(len, paths)) <= MAX_COMPONENT
    # A component that is empty or begins with a point, the folder of locks, and what no component
    # holds: without them each is a path.
    if plain and not any(odd in together for odd in ("//", "/.", "/locks/", "\\", "\0")):
        return
    for path in paths:
        check_path(path)


def _in_range(file: FileRef) -> bool:
    if file.stats is not None:
        for column in file.stats.columns:
            low, high = column.min, column.max
            if type(low) is int and not -MAX_BOUND <= low <= MAX_BOUND:
                return False
            if type(high) is int and not -MAX_BOUND <= high <= MAX_BOUND:
                return False
    return True
