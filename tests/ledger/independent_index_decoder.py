"""A decoder of segments, blocks and snapshots written from docs/spec/ledger_index.md alone.

Nothing here comes from `holdfast`: if the page and the program part ways, its test fails.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

Extent = tuple[int, int, int]


def decode_segment(data: bytes) -> list[dict[str, Any]]:
    """The records of a segment of any version, in order."""
    assert data[:7] == b"ASLIDX0"
    version = int(data[7:8])
    header_size = 112 if version == 3 else 104
    assert struct.unpack_from("<HHI", data, 8) == (version, 0, header_size)
    fields = struct.unpack_from("<10Q", data, 16)
    _, _, count, records_at, bloom_at, bloom_size, digests_at, _, extents_at, _ = fields
    crc, _, _ = struct.unpack("<QQQ", data[-24:])
    assert zlib.crc32(data[:-24]) == crc
    out = []
    for number in range(count):
        at = records_at + number * (56 if version == 3 else 48)
        hash_id, size, _, digest_at, first, extents, tag, length = struct.unpack_from(
            "<IHHQQIIQ", data, at
        )
        domain = visibility = 0
        if version == 3:
            domain, _, visibility, _, has_tag, flags, _ = struct.unpack_from(
                "<IIBBBBI", data, at + 40
            )
        else:
            has_tag, flags = struct.unpack_from("<BB", data, at + 40)
        digest = data[digests_at + digest_at : digests_at + digest_at + size]
        if bloom_size:
            assert may_hold(data[bloom_at : bloom_at + bloom_size], hash_id, digest)
        out.append(
            {
                "hash_id": hash_id,
                "digest": digest,
                "type_tag": tag if has_tag else None,
                "length": length,
                "domain": domain,
                "visibility": visibility,
                "tombstone": bool(flags & 1),
                "extents": [
                    struct.unpack_from("<QII", data, extents_at + 16 * (first + i))
                    for i in range(extents)
                ],
            }
        )
    return out


def may_hold(filter_bytes: bytes, hash_id: int, digest: bytes) -> bool:
    """What the bloom filter says of a reference."""
    if filter_bytes[:8] != b"HFBLOOM1":
        return True
    if hash_id != 1:
        digest = hashlib.sha256(struct.pack(">H", hash_id) + digest).digest()
    (words,) = struct.unpack_from("<Q", filter_bytes, 8)
    place, bits = struct.unpack_from("<QQ", digest, 8)
    (word,) = struct.unpack_from("<Q", filter_bytes, 16 + 8 * (place % words))
    return all(word >> (bits >> 6 * i & 63) & 1 for i in range(5))


def read_artifact(record: dict[str, Any], read: Callable[[str], bytes]) -> bytes:
    """The artifact of a record, its digest checked; `read` gives a file below the ledger."""
    data = b""
    for block_id, offset, length in record["extents"]:
        if block_id:
            name = f"{block_id:016x}"
            data += read(f"blocks/sealed/{name[:2]}/{name}.blk")[offset : offset + length]
    assert len(data) == record["length"]
    tag = record["type_tag"]
    prefix = b"\0" if tag is None else b"\1" + struct.pack(">I", tag)
    whole = prefix + struct.pack(">Q", len(data)) + data
    assert record["hash_id"] == 1
    assert hashlib.sha256(whole).digest() == record["digest"]
    return data


def decode_snapshot(data: bytes) -> dict[str, Any]:
    """A snapshot file, u64 as integers."""
    value = json.loads(data)
    assert value["schema"] == "holdfast.ledger.snapshot/1"
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical.encode() == data
    for name in ("snapshot_id", "logseq"):
        value[name] = int(value[name])
    value["segments"] = [(int(s["id"]), s["sha256"]) for s in value["segments"]]
    value["inline"] = [(ref, int(logseq)) for ref, logseq in value["inline"]]
    value["pins"] = [int(pin) for pin in value["pins"]]
    for tombstone in value["tombstones"]:
        tombstone["logseq"] = int(tombstone["logseq"])
    return value


def seals_and_anchors(log: bytes) -> tuple[list[tuple[int, str]], list[tuple[int, int, str]]]:
    """(segment id, SHA-256) of each SEGMENT_SEAL and (logseq, snapshot id, SHA-256) of each
    SNAPSHOT_ANCHOR of one log file."""
    at, seals, anchors = 24, [], []
    while at < len(log):
        logseq, kind, size = struct.unpack_from("<QII", log, at)
        payload = log[at + 16 : at + 16 + size]
        if kind in (0x01, 0x20):
            (number,) = struct.unpack_from("<Q", payload)
            if kind == 0x01:
                seals.append((number, payload[8:].hex()))
            else:
                anchors.append((logseq, number, payload[8:].hex()))
        at += 16 + size + 32
    return seals, anchors
