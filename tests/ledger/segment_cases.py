"""Segments for tests, the goldens packed with `struct` alone, straight from the layout's page."""

from __future__ import annotations

import hashlib
import struct
import zlib

from holdfast.ledger.artifact import SHA256, Reference
from holdfast.ledger.segment import EMPTY_EXTENT, Extent, SegmentRecord


def reference(number: int) -> Reference:
    return Reference(SHA256, hashlib.sha256(b"%d" % number).digest())


FIRST, SECOND = sorted((reference(1), reference(2)))

GOLDEN_RECORDS = [
    SegmentRecord(FIRST, (Extent(0xAABB, 16, 100), Extent(0xCCDD, 0, 20)), 120, 7),
    SegmentRecord(SECOND, (EMPTY_EXTENT,), 0),
]


def golden_v3(filter_bytes: bytes = b"") -> bytes:
    """The two golden records as a version 3 segment."""
    records_at = 112 + len(filter_bytes)
    digests_at = records_at + 2 * 56
    extents_at = digests_at + 64
    out = b"ASLIDX03" + struct.pack("<HHI", 3, 0, 112)
    out += struct.pack("<QQQ", 5, 2**64 - 1, 2)
    out += struct.pack("<QQQ", records_at, 112, len(filter_bytes))
    out += struct.pack("<QQQQ", digests_at, 64, extents_at, 3)
    out += struct.pack("<IBBHQ", 0, 0, 1, 0, 0)
    assert len(out) == 112
    out += filter_bytes
    out += struct.pack("<IHHQQII", 1, 32, 0, 0, 0, 2, 7) + struct.pack("<Q", 120)
    out += struct.pack("<IIBBBBI", 0, 0, 0, 0, 1, 0, 0)
    out += struct.pack("<IHHQQII", 1, 32, 0, 32, 2, 1, 0) + struct.pack("<Q", 0)
    out += struct.pack("<IIBBBBI", 0, 0, 0, 0, 0, 0, 0)
    out += FIRST.digest + SECOND.digest
    out += struct.pack("<QII", 0xAABB, 16, 100)
    out += struct.pack("<QII", 0xCCDD, 0, 20)
    out += struct.pack("<QII", 0, 0, 0)
    return out + struct.pack("<QQQ", zlib.crc32(out), 6, 1_700_000_000_000_000_001)


def golden_old(version: int) -> bytes:
    """The two golden records as a segment of version 1 or 2."""
    digests_at = 104 + 2 * 48
    out = b"ASLIDX0%d" % version + struct.pack("<HHI", version, 0, 104)
    out += struct.pack("<QQQ", 5, 2**64 - 1, 2)
    out += struct.pack("<QQQ", 104, 104, 0)
    out += struct.pack("<QQQQ", digests_at, 64, digests_at + 64, 3)
    out += struct.pack("<Q", 0)
    assert len(out) == 104
    out += struct.pack("<IHHQQIIQ", 1, 32, 0, 0, 0, 2, 7, 120) + struct.pack("<BBHI", 1, 0, 0, 0)
    out += struct.pack("<IHHQQIIQ", 1, 32, 0, 32, 2, 1, 0, 0) + struct.pack("<BBHI", 0, 0, 0, 0)
    out += FIRST.digest + SECOND.digest
    out += struct.pack("<QII", 0xAABB, 16, 100)
    out += struct.pack("<QII", 0xCCDD, 0, 20)
    out += struct.pack("<QII", 0, 0, 0)
    return out + struct.pack("<QQQ", zlib.crc32(out), 6, 1_700_000_000_000_000_001)
