"""Log header and chained records as bytes (spec/ledger.md §2).

::

    LogHeader  24 bytes: "ASLLOG01" · u32 version = 1 · u32 header_size = 24 · u64 flags = 0
    LogRecord  u64 logseq · u32 record_type · u32 payload_len · payload · u8 record_hash[32]
    record_hash = SHA-256(prev_record_hash · everything of the record before the hash)

The loops over many records bind their names locally: they carry replay and verification.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from holdfast.errors import Integrity, Invalid, Unsupported
from holdfast.ledger.log import Entry, Record

MAGIC = b"ASLLOG01"
VERSION = 1
HEADER_SIZE = 24
MAX_PAYLOAD = 2**20
"""A longer payload is malformed."""

OVERHEAD = 48
"""Bytes of a record beside its payload."""

MAX_LOGSEQ = 2**64 - 1

_FILE_HEADER = struct.Struct("<8sIIQ")
_RECORD_HEADER = struct.Struct("<QII")

LOG_HEADER = _FILE_HEADER.pack(MAGIC, VERSION, HEADER_SIZE, 0)


class Fault(NamedTuple):
    """What is wrong at `offset` of a buffer, where record `logseq` should be. `incomplete`: the
    buffer ends inside the record, which more bytes might make whole."""

    offset: int
    logseq: int
    found: str
    expected: str
    incomplete: bool


class Chain(NamedTuple):
    """How far a chain goes: `offset` behind its last record, that one's logseq and hash, and what
    stopped it before the end of the buffer (None: nothing)."""

    offset: int
    logseq: int
    record_hash: bytes
    fault: Fault | None


def check_header(data: bytes, target: object = None) -> None:
    """Check the first 24 bytes of a log file.

    Raises:
        Integrity: not a log, or cut short.
        Unsupported: a later version, or flags that this version does not know.
    """
    doing = "reading the log header of"
    if len(data) < HEADER_SIZE:
        raise Integrity(
            doing, target, found=f"{len(data)} bytes", expected=f"{HEADER_SIZE}", offset=0
        )
    magic, version, size, flags = _FILE_HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Integrity(doing, target, found=f"magic {magic!r}", expected=repr(MAGIC), offset=0)
    if version > VERSION:
        raise Unsupported(doing, target, found=f"version {version}", expected="1", offset=8)
    if version != VERSION or size != HEADER_SIZE:
        raise Integrity(
            doing,
            target,
            found=f"version {version}, header size {size}",
            expected=f"version {VERSION}, header size {HEADER_SIZE}",
            offset=8,
        )
    if flags:
        raise Unsupported(doing, target, found=f"flags {flags:#x}", expected="0", offset=16)


def encode_record(previous: bytes, logseq: int, kind: int, payload: bytes) -> bytes:
    """One record, chained to the hash `previous`. Raises `Invalid` as `chain_records` does."""
    return chain_records(previous, logseq, (Entry(kind, payload),))


def encode_checked(record: Record) -> bytes:
    """The bytes of a record whose hash is known to be right."""
    payload = record.payload
    header = _RECORD_HEADER.pack(record.logseq, record.type, len(payload))
    return header + payload + record.record_hash


def chain_records(previous: bytes, first: int, entries: Iterable[Entry]) -> bytes:
    """The bytes of `entries` as records from logseq `first` on, chained to the hash `previous`.

    The hash of the last record is the last 32 bytes.

    Raises:
        Invalid: a payload beyond 1 MiB, a type that is no u32, a logseq that is no u64.
    """
    out: list[bytes] = []
    add = out.append
    pack = _RECORD_HEADER.pack
    sha256 = hashlib.sha256
    logseq = first
    try:
        for entry in entries:
            payload = entry.payload
            length = len(payload)
            if length > MAX_PAYLOAD:
                raise Invalid(
                    "appending to the log",
                    found=f"a payload of {length} bytes",
                    expected=f"at most {MAX_PAYLOAD}",
                )
            body = pack(logseq, entry.type, length) + payload
            previous = sha256(previous + body).digest()
            add(body)
            add(previous)
            logseq += 1
    except struct.error:
        raise Invalid(
            "appending to the log",
            found=f"record type {entry.type} at logseq {logseq}",
            expected="a u32 type and a u64 logseq",
        ) from None
    return b"".join(out)


def decode_chain(
    buffer: bytes,
    previous: bytes,
    first: int,
    *,
    offset: int = 0,
    stop: int = MAX_LOGSEQ,
    into: list[Record],
) -> Chain:
    """Append to `into` the records from logseq `first` to `stop` that chain on at `offset`.

    Stops, with the fault, at the first record that is bad or incomplete; never raises on bytes.
    """
    size = len(buffer)
    position = offset
    logseq = first
    fault: Fault | None = None
    unpack = _RECORD_HEADER.unpack_from
    sha256 = hashlib.sha256
    add = into.append
    make = Record
    while position < size and logseq <= stop:
        body = position + 16
        if body > size:
            fault = _short(buffer, position, logseq)
            break
        found, kind, length = unpack(buffer, position)
        if found != logseq or length > MAX_PAYLOAD:
            fault = _malformed(position, logseq, found, length)
            break
        end = body + length
        after = end + 32
        if after > size:
            fault = _short(buffer, position, logseq)
            break
        # The hash before a record lies right before it, save for the first one.
        chained = buffer[position - 32 : end] if logseq > first else previous + buffer[position:end]
        record_hash = buffer[end:after]
        if sha256(chained).digest() != record_hash:
            fault = _unchained(position, logseq)
            break
        add(make(logseq, kind, buffer[body:end], record_hash))
        position = after
        logseq += 1
    if logseq > first:
        previous = buffer[position - 32 : position]
    return Chain(position, logseq - 1, previous, fault)


def verify_chain(
    buffer: bytes,
    previous: bytes,
    first: int,
    *,
    offset: int = 0,
    stop: int = MAX_LOGSEQ,
    plain: Mapping[int, tuple[int, bytes]] | None = None,
    into: list[Record] | None = None,
) -> Chain:
    """As `decode_chain` without making records: only how far the chain holds.

    With `into`, the records that need a look are appended to it: all but those whose payload has
    the length and the first four bytes that `plain` gives for their type.
    """
    size = len(buffer)
    position = offset
    logseq = first
    fault: Fault | None = None
    unpack = _RECORD_HEADER.unpack_from
    sha256 = hashlib.sha256
    form_of = (plain or {}).get
    while position < size and logseq <= stop:
        body = position + 16
        if body > size:
            fault = _short(buffer, position, logseq)
            break
        found, kind, length = unpack(buffer, position)
        if found != logseq or length > MAX_PAYLOAD:
            fault = _malformed(position, logseq, found, length)
            break
        end = body + length
        after = end + 32
        if after > size:
            fault = _short(buffer, position, logseq)
            break
        # The hash before a record lies right before it, save for the first one.
        chained = buffer[position - 32 : end] if logseq > first else previous + buffer[position:end]
        record_hash = buffer[end:after]
        if sha256(chained).digest() != record_hash:
            fault = _unchained(position, logseq)
            break
        if into is not None and form_of(kind) != (length, buffer[body : body + 4]):
            into.append(Record(logseq, kind, buffer[body:end], record_hash))
        position = after
        logseq += 1
    if logseq > first:
        previous = buffer[position - 32 : position]
    return Chain(position, logseq - 1, previous, fault)


def skip_chain(buffer: bytes, first: int, *, offset: int = 0, stop: int = MAX_LOGSEQ) -> Chain:
    """As `verify_chain` by the headers only: hashes are not checked."""
    size = len(buffer)
    position = offset
    logseq = first
    fault: Fault | None = None
    unpack = _RECORD_HEADER.unpack_from
    while position < size and logseq <= stop:
        if position + 16 > size:
            fault = _short(buffer, position, logseq)
            break
        found, _, length = unpack(buffer, position)
        if found != logseq or length > MAX_PAYLOAD:
            fault = _malformed(position, logseq, found, length)
            break
        after = position + OVERHEAD + length
        if after > size:
            fault = _short(buffer, position, logseq)
            break
        position = after
        logseq += 1
    return Chain(position, logseq - 1, buffer[max(0, position - 32) : position], fault)


def decode_backwards(buffer: bytes, logseq: int, record_hash: bytes, into: list[Record]) -> Chain:
    """Append to `into`, newest first, the records that end where `buffer` ends.

    The last of them has `logseq` and `record_hash`. `buffer` must begin with the record hash
    before its first record, or anywhere inside a record: what lies there is left alone. In the
    answer `offset` is where the oldest record found begins, `logseq` and `record_hash` are those
    before it, and a fault says that no record was found that ends there.
    """
    end = len(buffer)
    sha256 = hashlib.sha256
    while logseq and end > 32:
        start = -1
        if buffer[end - 32 : end] == record_hash:
            needle = logseq.to_bytes(8, "little")
            start = buffer.rfind(needle, 32, max(32, end - 40))
            while start >= 32:
                _, kind, length = _RECORD_HEADER.unpack_from(buffer, start)
                if start + OVERHEAD + length == end:
                    body = buffer[start - 32 : end - 32]
                    if sha256(body).digest() == record_hash:
                        break
                start = buffer.rfind(needle, 32, start + 7)
        if start < 32:
            fault = Fault(end, logseq, f"no record {logseq} that ends here", "the chain", False)
            return Chain(end, logseq, record_hash, fault)
        into.append(Record(logseq, kind, buffer[start + 16 : end - 32], record_hash))
        record_hash = buffer[start - 32 : start]
        logseq -= 1
        end = start
    return Chain(end, logseq, record_hash, None)


def _short(buffer: bytes, position: int, logseq: int) -> Fault:
    left = len(buffer) - position
    # A header that is there already and wrong does not become right with more bytes.
    if left >= 8 and int.from_bytes(buffer[position : position + 8], "little") != logseq:
        found = int.from_bytes(buffer[position : position + 8], "little")
        return _malformed(position, logseq, found, 0)
    return Fault(position, logseq, f"{left} bytes of a record", f"record {logseq} whole", True)


def _malformed(position: int, logseq: int, found: int, length: int) -> Fault:
    if found != logseq:
        return Fault(position, logseq, f"logseq {found}", f"logseq {logseq}", False)
    return Fault(
        position, logseq, f"a payload of {length} bytes", f"at most {MAX_PAYLOAD} bytes", False
    )


def _unchained(position: int, logseq: int) -> Fault:
    return Fault(
        position, logseq, f"a record hash of record {logseq} that does not fit", "the chain", False
    )
