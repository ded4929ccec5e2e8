"""Inodes of the crash model, and what it records of the things done to them."""

from __future__ import annotations

from typing import Any, NamedTuple


class File:
    """An inode with bytes. `data` is shared (`bytes`) until first written to."""

    __slots__ = ("changed", "data", "inode", "links", "volatile")

    def __init__(self, inode: int, data: bytes = b"", volatile: bool = False) -> None:
        self.inode = inode
        self.data: bytes | bytearray = data
        self.links = 0
        self.changed = 0
        self.volatile = volatile


class Folder:
    """An inode with entries."""

    __slots__ = ("changed", "entries", "inode", "volatile")

    def __init__(self, inode: int, volatile: bool = False) -> None:
        self.inode = inode
        self.entries: dict[str, File | Folder] = {}
        self.changed = 0
        self.volatile = volatile


class Write(NamedTuple):
    """Bytes written to a file."""

    inode: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """A new size of a file."""

    inode: int
    size: int


class Change(NamedTuple):
    """One directory entry set (`node`) or removed (None)."""

    folder: int
    name: str
    node: File | Folder | None


class Entries(NamedTuple):
    """Directory entries changed as one unit: one change, or a rename's two, the new name first."""

    what: str
    changes: tuple[Change, ...]


class Sync(NamedTuple):
    """An fsync of an inode; 0: of everything."""

    inode: int


class Acknowledged(NamedTuple):
    """The program told somebody that this holds."""

    fact: Any


Operation = Write | Truncate | Entries | Sync | Acknowledged


def apply_write(data: bytearray, offset: int, written: bytes) -> None:
    """Put `written` into `data` at `offset`; a gap is filled with zeros."""
    if offset > len(data):
        data += bytes(offset - len(data))
    data[offset : offset + len(written)] = written
