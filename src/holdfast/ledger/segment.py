"""Index segments: what they say and their exact bytes (spec/ledger.md §4).

A segment maps references to the extents that hold their bytes. Layout of version 3, all integers
little-endian: header (112 bytes) · bloom filter · records (56 bytes each, ascending) · digests ·
extents (16 bytes each) · footer (24 bytes). This module has the structures, the header with every
bound checked, and the encoder for few records; `segment_columns` encodes many at once and
`segment_reader` finds records in the bytes where they lie.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import Integrity, Invalid, Unsupported
from holdfast.ledger import bloom
from holdfast.ledger.artifact import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 3
U64_MAX = 2**64 - 1

HEADER = struct.Struct("<8sHHIQQQQQQQQQQIBBHQ")
HEADER_OLD = struct.Struct("<8sHHIQQQQQQQQQQQ")
RECORD = struct.Struct("<IHHQQIIQIIBBBBI")
RECORD_OLD = struct.Struct("<IHHQQIIQBBHI")
EXTENT = struct.Struct("<QII")
FOOTER = struct.Struct("<QQQ")

_MAGIC = re.compile(rb"ASLIDX(\d\d)\Z")
_FOLDER = "index/shard-000"
_NAME = re.compile(r"segment-(\d{20})\.idx\Z")
_DOING = "reading the segment"


class Extent(NamedTuple):
    """Where bytes lie: block id (u64), offset and length in bytes (u32)."""

    block_id: int
    offset: int
    length: int


EMPTY_EXTENT = Extent(0, 0, 0)
"""The one extent of the empty artifact."""


class SegmentRecord(NamedTuple):
    """One artifact's entry. `extents` cover `total_length` bytes exactly; a tombstone has none."""

    reference: Reference
    extents: tuple[Extent, ...]
    total_length: int
    type_tag: int | None = None
    domain_id: int = 0
    cross_domain_source: int | None = None
    visibility: int = 0
    tombstone: bool = False


class SegmentHeader(NamedTuple):
    """The header, with the section bounds checked against the file; `size` is the file's."""

    version: int
    shard_id: int
    snapshot_min: int
    snapshot_max: int
    record_count: int
    records_offset: int
    bloom_offset: int
    bloom_size: int
    digests_offset: int
    digests_size: int
    extents_offset: int
    extent_count: int
    domain_id: int
    visibility: int
    size: int

    @property
    def record_size(self) -> int:
        """Bytes of one record."""
        return RECORD.size if self.version >= VERSION else RECORD_OLD.size


class SegmentFooter(NamedTuple):
    """CRC-32 over all before it, snapshot id and wall time (ns) at sealing."""

    crc: int
    seal_snapshot: int
    seal_time_ns: int


def segment_path(segment_id: int) -> str:
    """The segment's path below the ledger's folder."""
    return f"{_FOLDER}/segment-{segment_id:020d}.idx"


def parse_segment_path(path: str) -> int | None:
    """The segment id that a path below the ledger's folder names, or None."""
    folder, _, name = path.rpartition("/")
    match = _NAME.match(name)
    if folder != _FOLDER or match is None or int(match[1]) > U64_MAX:
        return None
    return int(match[1])


def parse_header(data: memoryview, path: str) -> SegmentHeader:
    """The header of the segment in `data` (the whole file), every section bound checked.

    Raises:
        Integrity: malformed; names `path` and the offset.
        Unsupported: a version from the future.
    """
    size = len(data)
    match = _MAGIC.match(bytes(data[:8]))
    if match is None:
        raise _bad(path, 0, f"magic {bytes(data[:8])!r}", "ASLIDX01, ASLIDX02 or ASLIDX03")
    named = int(match[1])
    layout = HEADER if named >= VERSION else HEADER_OLD
    if size < layout.size + FOOTER.size:
        raise _bad(path, 0, f"{size} bytes", f"at least {layout.size + FOOTER.size}")
    version = int.from_bytes(data[8:10], "little")
    if named > VERSION or version > VERSION:
        raise Unsupported(
            _DOING,
            path,
            found=f"version {max(named, version)}",
            expected=f"at most {VERSION}",
            offset=8,
            hint="open it with a newer Holdfast",
        )
    if version != named or version < 1:
        raise _bad(path, 8, f"version {version}", f"{named}, as the magic says")
    fields = layout.unpack_from(data)
    if fields[3] != layout.size:
        raise _bad(path, 12, f"header size {fields[3]}", f"{layout.size}")
    domain_id = visibility = 0
    if version >= VERSION:
        domain_id, visibility, federation, reserved = fields[14:18]
        _check_federation(path, visibility, federation, reserved)
    if fields[-1]:
        raise Unsupported(
            _DOING, path, found=f"flags {fields[-1]:#x}", expected="0", offset=layout.size - 8
        )
    header = SegmentHeader._make((version, fields[2], *fields[4:14], domain_id, visibility, size))
    _check_sections(header, layout.size, path)
    return header


def _check_federation(path: str, visibility: int, federation: int, reserved: int) -> None:
    if visibility > 1:
        raise _bad(path, 100, f"visibility {visibility}", "0 or 1")
    if federation > 1:
        raise Unsupported(
            _DOING, path, found=f"federation version {federation}", expected="1", offset=101
        )
    if federation != 1 or reserved:
        raise _bad(path, 101, f"federation version {federation}, reserved {reserved}", "1 and 0")


def _check_sections(header: SegmentHeader, start: int, path: str) -> None:
    """Every section between header and footer, none over another."""
    end = header.size - FOOTER.size
    sections = [
        ("bloom filter", header.bloom_offset, header.bloom_size, 48),
        ("records", header.records_offset, header.record_count * header.record_size, 40),
        ("digests", header.digests_offset, header.digests_size, 64),
        ("extents", header.extents_offset, header.extent_count * EXTENT.size, 80),
    ]
    behind = start
    for name, offset, length, field in sorted(sections, key=lambda s: (s[1], s[2])):
        if not length:
            continue
        if offset < behind or offset + length > end:
            raise _bad(
                path,
                field,
                f"{name} at {offset} with {length} bytes",
                f"a place of their own between {start} and {end}",
            )
        behind = offset + length


def parse_footer(data: memoryview) -> SegmentFooter:
    """The footer of a segment whose header was parsed."""
    return SegmentFooter(*FOOTER.unpack_from(data, len(data) - FOOTER.size))


def _bad(path: str, offset: int, found: str, expected: str) -> Integrity:
    return Integrity(_DOING, path, found=found, expected=expected, offset=offset)


def sort_key(record: SegmentRecord) -> tuple[int, bytes, int]:
    """Records ascend by (hash_id, digest, domain_id)."""
    return record.reference.hash_id, record.reference.digest, record.domain_id


def encode_segment(
    records: Sequence[SegmentRecord],
    *,
    snapshot_min: int,
    seal_snapshot: int,
    seal_time_ns: int,
    domain_id: int = 0,
    visibility: int = 0,
) -> bytes:
    """A version 3 segment of `records` in any order.

    Raises:
        Invalid: two records of one (reference, domain), or extents that do not cover the
            artifact exactly.
    """
    ordered = sorted(records, key=sort_key)
    table, digests, extents = bytearray(), bytearray(), bytearray()
    before = None
    for record in ordered:
        key = sort_key(record)
        if key == before:
            raise Invalid("writing a segment", record.reference, found="two records of it")
        before = key
        _check_cover(record)
        table += pack_record(record, len(digests), len(extents) // EXTENT.size)
        digests += record.reference.digest
        for extent in record.extents:
            extents += EXTENT.pack(*extent)
    return assemble(
        bytes(table),
        bytes(digests),
        bytes(extents),
        bloom.build((r.reference for r in ordered), len(ordered)),
        snapshot_min=snapshot_min,
        seal_snapshot=seal_snapshot,
        seal_time_ns=seal_time_ns,
        domain_id=domain_id,
        visibility=visibility,
    )


def pack_record(record: SegmentRecord, digest_offset: int, first_extent: int) -> bytes:
    """The 56 bytes of one record."""
    return RECORD.pack(
        record.reference.hash_id,
        len(record.reference.digest),
        0,
        digest_offset,
        first_extent,
        len(record.extents),
        record.type_tag or 0,
        record.total_length,
        record.domain_id,
        record.cross_domain_source or 0,
        record.visibility,
        record.cross_domain_source is not None,
        record.type_tag is not None,
        record.tombstone,
        0,
    )


def _check_cover(record: SegmentRecord) -> None:
    if record.tombstone:
        sound = not record.extents
    else:
        covered = sum(extent.length for extent in record.extents)
        sound = bool(record.extents) and covered == record.total_length
    if not sound:
        raise Invalid(
            "writing a segment",
            record.reference,
            found=f"extents that do not cover {record.total_length} bytes",
        )


def assemble(
    records: bytes,
    digests: bytes,
    extents: bytes,
    filter_bytes: bytes,
    *,
    snapshot_min: int,
    seal_snapshot: int,
    seal_time_ns: int,
    domain_id: int = 0,
    visibility: int = 0,
) -> bytes:
    """The version 3 file of encoded, sorted sections."""
    records_offset = HEADER.size + len(filter_bytes)
    digests_offset = records_offset + len(records)
    extents_offset = digests_offset + len(digests)
    header = HEADER.pack(
        b"ASLIDX03",
        VERSION,
        0,
        HEADER.size,
        snapshot_min,
        U64_MAX,
        len(records) // RECORD.size,
        records_offset,
        HEADER.size,
        len(filter_bytes),
        digests_offset,
        len(digests),
        extents_offset,
        len(extents) // EXTENT.size,
        domain_id,
        visibility,
        1,
        0,
        0,
    )
    crc = 0
    for part in (header, filter_bytes, records, digests, extents):
        crc = zlib.crc32(part, crc)
    return b"".join(
        (
            header,
            filter_bytes,
            records,
            digests,
            extents,
            FOOTER.pack(crc, seal_snapshot, seal_time_ns),
        )
    )
