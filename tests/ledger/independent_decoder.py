"""A decoder of the ledger's files, written from the format page alone.

It imports nothing of Holdfast: struct, hashlib, json and zlib are all that is needed. What does not
fit raises `AssertionError`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib

COMMIT_TAG = 0x00484601


def artifact_bytes(data, type_tag=None):
    if type_tag is None:
        return b"\0" + struct.pack(">Q", len(data)) + data
    return b"\1" + struct.pack(">IQ", type_tag, len(data)) + data


def decode_artifact(data):
    """(bytes, type tag or None)"""
    if data[0] == 0:
        (length,) = struct.unpack_from(">Q", data, 1)
        body, tag = data[9:], None
    else:
        assert data[0] == 1
        tag, length = struct.unpack_from(">IQ", data, 1)
        body = data[13:]
    assert len(body) == length
    return body, tag


def text(hash_id, digest):
    return f"asl1:{hash_id:04x}:{digest.hex()}"


class Payload:
    """Reads fields off a payload; `end` insists that nothing is left."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    def ref(self):
        hash_id, size = self.take("HH")
        digest = self.data[self.at : self.at + size]
        assert len(digest) == size
        assert hash_id != 0
        assert hash_id != 1 or size == 32
        self.at += size
        return text(hash_id, digest)

    def end(self):
        assert self.at == len(self.data)


FIELDS = {
    0x01: ("SEGMENT_SEAL", ("segment_id", "Q"), ("segment_hash", "32s")),
    0x02: ("SEGMENT_RETIRE", ("segment_id", "Q"), ("replaced_by", "Q")),
    0x03: ("BATCH", ("n", "I")),
    0x10: ("TOMBSTONE", ("ref", None), ("scope", "I"), ("reason_code", "I")),
    0x11: ("TOMBSTONE_LIFT", ("ref", None), ("logseq", "Q")),
    0x12: ("ERASE", ("ref", None), ("logseq", "Q")),
    0x20: ("SNAPSHOT_ANCHOR", ("snapshot_id", "Q"), ("snapshot_hash", "32s")),
    0x21: ("SNAPSHOT_DROP", ("snapshot_id", "Q")),
    0x22: ("PIN", ("logseq", "Q")),
    0x23: ("UNPIN", ("logseq", "Q")),
    0x30: ("ARTIFACT_PUBLISH", ("ref", None)),
    0x31: ("ARTIFACT_UNPUBLISH", ("ref", None)),
    0x40: ("GC_FENCE", ("horizon", "Q")),
    0x1000: ("COMMIT", ("model", "H"), ("ref", None)),
    0x1001: ("INLINE_PUT", ("ref", None)),
}


def decode_payload(kind, data):
    """{"record": name, field: value …}; unknown types: {"record": None, "payload": bytes}"""
    if kind not in FIELDS:
        return {"record": None, "payload": data}
    name, *fields = FIELDS[kind]
    payload = Payload(data)
    found = {"record": name}
    for field, form in fields:
        found[field] = payload.ref() if form is None else payload.take(form)
    payload.end()
    return found


def decode_log(data, first=1, previous=bytes(32)):
    """[(logseq, type, payload bytes, record hash)] of one log file that ends with a record"""
    magic, version, header_size, flags = struct.unpack_from("<8sIIQ", data)
    assert (magic, version, header_size, flags) == (b"ASLLOG01", 1, 24, 0)
    records = []
    at = 24
    while at < len(data):
        logseq, kind, size = struct.unpack_from("<QII", data, at)
        assert size <= 1 << 20
        body = data[at : at + 16 + size]
        assert len(body) == 16 + size
        record_hash = data[at + 16 + size : at + 48 + size]
        assert hashlib.sha256(previous + body).digest() == record_hash
        assert logseq == first + len(records)
        records.append((logseq, kind, body[16:], record_hash))
        previous = record_hash
        at += 48 + size
    return records


def decode_sidecar(data):
    """[(logseq, bytes, or None when erased)]"""
    frames = []
    at = 0
    while at < len(data):
        logseq, size = struct.unpack_from("<QI", data, at)
        at += 12
        if size == 0xFFFFFFFF:
            frames.append((logseq, None))
            continue
        frame = data[at : at + size]
        assert len(frame) == size
        frames.append((logseq, frame))
        at += size
    return frames


def decode_head(data):
    """(logseq, offset, record hash) of the slot that counts"""
    assert len(data) == 1024
    slots = []
    for at in (0, 512):
        logseq, offset, record_hash, crc = struct.unpack_from("<QQ32sI", data, at)
        if zlib.crc32(data[at : at + 48]) == crc:
            slots.append((logseq, offset, record_hash))
    return max(slots)


def read_ledger_log(folder):
    """Decode the folder ``ledger/log`` of a file-system repository.

    Returns (records, frames): records as `decode_log` gives them, frames {reference text: bytes}
    of what the records name.
    """
    names = sorted(n for n in os.listdir(folder) if re.fullmatch(r"\d{20}\.asl", n))
    records, frames = [], {}
    for name in names:
        assert int(name[:20]) == len(records) + 1
        with open(f"{folder}/{name}", "rb") as file:
            previous = records[-1][3] if records else bytes(32)
            records += decode_log(file.read(), len(records) + 1, previous)
        sidecar = f"{folder}/{name[:20]}.commits"
        if os.path.exists(sidecar):
            with open(sidecar, "rb") as file:
                take_frames(records, decode_sidecar(file.read()), frames)
    with open(f"{folder}/head", "rb") as file:
        logseq, offset, record_hash = decode_head(file.read())
    assert (logseq, record_hash) == (records[-1][0], records[-1][3])
    holder = max(n for n in names if int(n[:20]) <= logseq)
    assert os.path.getsize(f"{folder}/{holder}") == offset
    return records, frames


def take_frames(records, found, frames):
    """Put into `frames` those of `found` that the records name."""
    for logseq, frame in found:
        if frame is None or logseq > len(records):
            continue
        kind, payload = records[logseq - 1][1:3]
        if kind not in (0x1000, 0x1001):
            continue
        ref = decode_payload(kind, payload)["ref"]
        whole = artifact_bytes(frame, COMMIT_TAG) if kind == 0x1000 else frame
        if ref == text(1, hashlib.sha256(whole).digest()):
            frames[ref] = frame


def decode_commit(frame):
    """A commit record as a dict; its bytes must be what canonical JSON gives for ASCII content."""
    record = json.loads(frame)
    again = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert again.encode() == frame
    assert record["schema"] == "holdfast.commit/1"
    return record
