"""``log/head``: how far the log is acknowledged (spec/ledger.md §2).

::

    Head file  1024 bytes, two slots at offsets 0 and 512, every other byte 0
    Slot       52 bytes: u64 logseq · u64 offset · u8 record_hash[32] · u32 CRC-32 of the 48 before

`offset` is where the record ends in the log file that holds it. The slots are written in turn, so
that a torn write leaves the other one; the slot with the greater logseq counts.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

HEAD_SIZE = 1024
SLOT_SIZE = 52
SLOT_OFFSETS = (0, 512)
READ_SIZE = SLOT_OFFSETS[1] + SLOT_SIZE
"""Bytes from the start of the file that hold both slots."""

_SLOT = struct.Struct("<QQ32s")
_CRC = struct.Struct("<I")


class Slot(NamedTuple):
    """The newest acknowledged record: logseq, where it ends in its file, its hash."""

    logseq: int
    offset: int
    record_hash: bytes


def encode_slot(slot: Slot) -> bytes:
    """The 52 bytes of `slot`."""
    body = _SLOT.pack(*slot)
    return body + _CRC.pack(zlib.crc32(body))


def encode_head(slot: Slot) -> bytes:
    """A new head file: `slot` in the first place, the second one never written."""
    return encode_slot(slot).ljust(HEAD_SIZE, b"\0")


def decode_slot(data: bytes, offset: int) -> Slot | None:
    """The slot at `offset` of a head file's bytes; None when it is torn or was never written."""
    body = data[offset : offset + SLOT_SIZE - 4]
    crc = data[offset + SLOT_SIZE - 4 : offset + SLOT_SIZE]
    if len(crc) != 4 or _CRC.unpack(crc)[0] != zlib.crc32(body):
        return None
    return Slot(*_SLOT.unpack(body))


def newest_slot(data: bytes) -> Slot | None:
    """The slot that counts in a head file's bytes (at least the first 564); None: none is valid."""
    slots = [slot for slot in (decode_slot(data, offset) for offset in SLOT_OFFSETS) if slot]
    return max(slots, default=None)


def next_offset(data: bytes) -> int:
    """Where the next slot is to be written: over the older one, or an invalid one."""
    first, second = (decode_slot(data, offset) for offset in SLOT_OFFSETS)
    if first is None or (second is not None and second > first):
        return SLOT_OFFSETS[0]
    return SLOT_OFFSETS[1]


def head_faults(data: bytes) -> list[tuple[int, str]]:
    """What is wrong in the bytes of a whole head file, as (offset, text)."""
    faults: list[tuple[int, str]] = []
    if len(data) != HEAD_SIZE:
        faults.append((min(len(data), HEAD_SIZE), f"{len(data)} bytes instead of {HEAD_SIZE}"))
    for offset in SLOT_OFFSETS:
        slot = data[offset : offset + SLOT_SIZE]
        if any(slot) and decode_slot(data, offset) is None:
            faults.append((offset, "a slot whose CRC does not fit"))
        end = offset + SLOT_SIZE
        gap = data[end : offset + SLOT_OFFSETS[1]]
        if any(gap):
            faults.append((end + len(gap) - len(gap.lstrip(b"\0")), "bytes between the slots"))
    return faults
