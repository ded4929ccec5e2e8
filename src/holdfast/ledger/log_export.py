"""The canonical single-file log: one header, then every record (spec/ledger.md §2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from holdfast.errors import Integrity
from holdfast.ledger.log import GENESIS, Record
from holdfast.ledger.record import (
    HEADER_SIZE,
    LOG_HEADER,
    MAX_PAYLOAD,
    check_header,
    decode_chain,
    encode_checked,
)

_AT_ONCE = 4096
_CHUNK = 2 * MAX_PAYLOAD


def export_records(records: Iterable[Record], out: BinaryIO) -> int:
    """Write the header and `records`, which are all from the first one on; returns the bytes."""
    size = out.write(LOG_HEADER)
    waiting: list[bytes] = []
    for record in records:
        waiting.append(encode_checked(record))
        if len(waiting) == _AT_ONCE:
            size += out.write(b"".join(waiting))
            waiting.clear()
    return size + out.write(b"".join(waiting))


def read_log(source: BinaryIO, target: object = "the exported log") -> Iterator[Record]:
    """The records of a single-file log, chain-checked from the first one on; bounded memory.

    Raises:
        Integrity: not a log, a record that does not continue the chain, a cut end.
        Unsupported: a log of a later version.
    """
    check_header(source.read(HEADER_SIZE), target)
    offset, logseq, previous = HEADER_SIZE, 1, GENESIS
    buffer = b""
    while True:
        more = source.read(_CHUNK)
        buffer += more
        if not buffer:
            return
        records: list[Record] = []
        end = decode_chain(buffer, previous, logseq, into=records)
        yield from records
        if end.fault is not None and not (end.fault.incomplete and more):
            raise Integrity(
                "reading the log",
                target,
                found=f"record {end.fault.logseq}: {end.fault.found}",
                expected=end.fault.expected,
                offset=offset + end.fault.offset,
                logseq=end.fault.logseq,
            )
        offset += end.offset
        buffer = buffer[end.offset :]
        logseq, previous = end.logseq + 1, end.record_hash
