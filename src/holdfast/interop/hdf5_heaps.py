"""A look at the global heaps of HDF5 files before the HDF5 library reads them.

A heap is a chain of objects, each after the one before. An object of no bytes, as in a damaged
file, leads to itself, and the library follows it for ever, where no signal reaches it.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.errors import Invalid

SIGNATURE = b"GCOL"
_ALIGNED = 8


def check_heap(read: Callable[[int, int], bytes], offset: int, lengths: int, path: str) -> None:
    """See that the objects of the heap at `offset` come one after the other.

    Args:
        read: gives bytes of the file, from an offset on; fewer at its end.
        lengths: bytes of a length in this file.
        path: of the file, for errors.

    Raises:
        Invalid: one does not lead on.
    """
    head = _ALIGNED + lengths
    size = int.from_bytes(read(offset, head)[_ALIGNED:], "little")
    header = head + -head % _ALIGNED
    at = header
    # Where the file ends before the heap does, the library says so itself.
    while at + header <= size and len(entry := read(offset + at, head)) == head:
        index = int.from_bytes(entry[:2], "little")
        length = int.from_bytes(entry[_ALIGNED:], "little")
        # The free space, object 0, counts its header and is not padded.
        step = header + length + -length % _ALIGNED if index else length
        if step == 0 or step >= 1 << 63:
            raise Invalid(
                "reading the global heap of",
                path,
                offset=offset + at,
                found=f"an object of {length} bytes",
                expected="one that leads to the next",
            )
        at += step
