"""Finding records in a segment's bytes where they lie (spec/ledger.md §4).

Nothing is decoded ahead: a lookup reads one word of the bloom filter, then a few records. Every
offset is checked before it is used, because a segment may come from elsewhere.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from holdfast.errors import Integrity
from holdfast.ledger.artifact import SHA256, Reference
from holdfast.ledger.bloom import Bloom, probe_source
from holdfast.ledger.segment import (
    EMPTY_EXTENT,
    EXTENT,
    FOOTER,
    RECORD,
    RECORD_OLD,
    Extent,
    SegmentFooter,
    SegmentHeader,
    SegmentRecord,
    parse_footer,
    parse_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

_KEY = struct.Struct("<IHHQ")
_DOING = "reading the segment"
_PREFIX = struct.Struct(">Q")
_GUESSES = 24
MAX_END = 2**32 - 1


class SegmentReader:
    """One segment over its bytes, in memory or mapped.

    Args:
        data: the whole file.
        path: what to call it in errors.

    Raises:
        Integrity: the header is malformed, or a record or extent met later is.
        Unsupported: a version from the future.
    """

    __slots__ = ("_bloom", "_data", "_path", "_stride", "header")

    def __init__(self, data: Buffer, path: str) -> None:
        self._data = memoryview(data).cast("B").toreadonly()
        self._path = path
        self.header: SegmentHeader = parse_header(self._data, path)
        self._stride = self.header.record_size
        self._bloom = Bloom(self._data, self.header.bloom_offset, self.header.bloom_size)

    def __len__(self) -> int:
        return self.header.record_count

    def __iter__(self) -> Iterator[SegmentRecord]:
        return (self.record(i) for i in range(len(self)))

    @property
    def data(self) -> memoryview:
        """The file's bytes."""
        return self._data

    @property
    def path(self) -> str:
        """What errors call it."""
        return self._path

    @property
    def bloom(self) -> Bloom:
        """The segment's filter."""
        return self._bloom

    @property
    def footer(self) -> SegmentFooter:
        """CRC, snapshot and time of sealing."""
        return parse_footer(self._data)

    def key(self, index: int) -> tuple[int, bytes]:
        """Hash id and digest of record `index`."""
        offset = self.header.records_offset + index * self._stride
        hash_id, size, _, start = _KEY.unpack_from(self._data, offset)
        if start + size > self.header.digests_size or not 0 < hash_id < 0x10000 or not size:
            raise self._bad(
                offset,
                f"record {index} with hash id {hash_id} and a digest of {size} bytes at {start}",
                f"a digest within {self.header.digests_size} bytes",
            )
        if hash_id == SHA256 and size != 32:
            raise self._bad(offset, f"record {index} with a digest of {size} bytes", "32")
        start += self.header.digests_offset
        return hash_id, bytes(self._data[start : start + size])

    def record(self, index: int) -> SegmentRecord:
        """Record `index`, its extents checked to cover the artifact exactly."""
        hash_id, digest = self.key(index)
        return self._record(index, Reference(hash_id, digest))

    def record_if(self, index: int, reference: Reference) -> SegmentRecord | None:
        """As `record`, or None where record `index` has another reference."""
        if self.key(index) != (reference.hash_id, reference.digest):
            return None
        return self._record(index, reference)

    def find(self, reference: Reference) -> list[SegmentRecord]:
        """The records of `reference`, ascending by domain; usually none or one."""
        if not self._bloom.may_hold(probe_source(reference)):
            return []
        key = (reference.hash_id, reference.digest)
        index = self._guess(key)
        if index is None:
            index = self._lower_bound(key)
        found = []
        while index < len(self) and self.key(index) == key:
            found.append(self._record(index, reference))
            index += 1
        return found

    def find_prefix(self, prefix: str) -> Iterator[SegmentRecord]:
        """The records whose digest in lowercase hex begins with `prefix`, under any hash id."""
        lowest = bytes.fromhex(prefix if len(prefix) % 2 == 0 else prefix + "0")
        index = 0
        while index < len(self):
            hash_id, _ = self.key(index)
            index = self._lower_bound((hash_id, lowest))
            while index < len(self):
                found, digest = self.key(index)
                if found != hash_id or not digest.hex().startswith(prefix):
                    break
                yield self._record(index, Reference(found, digest))
                index += 1
            index = self._lower_bound((hash_id + 1, b""))

    def check(self) -> None:
        """Check the CRC, every record, their order and their extents.

        Raises:
            Integrity: the first thing that is wrong, with its offset.
        """
        end = len(self._data) - FOOTER.size
        crc, footer = zlib.crc32(self._data[:end]), self.footer
        if footer.crc != crc:
            raise self._bad(end, f"CRC {footer.crc:#010x}", f"{crc:#010x}")
        before: tuple[int, bytes, int] | None = None
        for index in range(len(self)):
            record = self.record(index)
            key = (record.reference.hash_id, record.reference.digest, record.domain_id)
            if before is not None and key <= before:
                raise self._bad(
                    self.header.records_offset + index * self._stride,
                    f"record {index} not above the one before it",
                    "records ascending and unique",
                )
            before = key

    def _record(self, index: int, reference: Reference) -> SegmentRecord:
        header = self.header
        offset = header.records_offset + index * self._stride
        fields = RECORD.unpack_from(self._data, offset) if self._stride == RECORD.size else None
        if fields is not None:
            first, count, tag, total, domain_id, source = fields[4:10]
            visibility, has_source, has_tag, flags = fields[10:14]
            reserved = fields[2] | fields[14]
        else:
            fields = RECORD_OLD.unpack_from(self._data, offset)
            first, count, tag, total, has_tag, flags = fields[4:10]
            domain_id, source, visibility, has_source = 0, 0, 0, 0
            reserved = fields[2] | fields[10] | fields[11]
        if has_tag > 1 or has_source > 1 or visibility > 1 or flags > 1:
            raise self._bad(offset, f"record {index} with unknown flags", "0 or 1")
        if reserved:
            raise self._bad(offset, f"record {index} with reserved bytes set", "zeros")
        tombstone = flags == 1
        extents = self._extents(index, offset, first, count)
        length = extents[0].length if count == 1 else sum(extent.length for extent in extents)
        if bool(extents) is tombstone or (not tombstone and length != total):
            raise self._bad(
                offset,
                f"record {index} with {count} extents of {length} bytes",
                "none for a tombstone" if tombstone else f"{total} bytes",
            )
        return SegmentRecord(
            reference,
            extents,
            total,
            tag if has_tag else None,
            domain_id,
            source if has_source else None,
            visibility,
            tombstone,
        )

    def _extents(self, index: int, offset: int, first: int, count: int) -> tuple[Extent, ...]:
        header = self.header
        if first + count > header.extent_count:
            raise self._bad(
                offset,
                f"record {index} with extents {first} to {first + count}",
                f"at most {header.extent_count}",
            )
        start = header.extents_offset + first * EXTENT.size
        if count == 1:
            extent = Extent._make(EXTENT.unpack_from(self._data, start))
            if extent.block_id and extent.length and extent.offset + extent.length <= MAX_END:
                return (extent,)
            extents: tuple[Extent, ...] = (extent,)
        else:
            part = self._data[start : start + count * EXTENT.size]
            extents = tuple(map(Extent._make, EXTENT.iter_unpack(part)))
        for extent in extents:
            if extent.block_id == 0 or extent.length == 0:
                if extents != (EMPTY_EXTENT,):
                    raise self._bad(start, f"record {index} with extent {extent}", "bytes")
            elif extent.offset + extent.length > MAX_END:
                raise self._bad(start, f"extent {extent}", "an end below 4 GiB")
        return extents

    def _guess(self, key: tuple[int, bytes]) -> int | None:
        """The first record of `key`, or None when this way did not find it.

        Own segments keep 32-byte digests in record order. Where the sizes allow that, search the
        digests by proportion (they are uniform) and let the record itself confirm the find.
        """
        header, data = self.header, self._data
        count, digest = header.record_count, key[1]
        if header.digests_size != 32 * count or len(digest) != 32:
            return None
        want = _PREFIX.unpack_from(digest)[0]
        start, low, high, floor, ceiling = header.digests_offset, 0, count, 0, 1 << 64
        for _ in range(_GUESSES):
            if low >= high or not floor <= want <= ceiling or floor == ceiling:
                return None
            middle: int = low + (want - floor) * (high - low) // (ceiling - floor)
            if middle >= high:
                middle = high - 1
            value = _PREFIX.unpack_from(data, start + 32 * middle)[0]
            if value < want:
                low, floor = middle + 1, value
            elif value > want:
                high, ceiling = middle, value
            elif self.key(middle) == key:
                while middle and self.key(middle - 1) == key:
                    middle -= 1
                return middle
            else:
                return None
        return None

    def _lower_bound(self, key: tuple[int, bytes]) -> int:
        """The first record that is not below `key`, whatever the layout."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.key(middle) < key:
                low = middle + 1
            else:
                high = middle
        return low

    def _bad(self, offset: int, found: str, expected: str) -> Integrity:
        return Integrity(_DOING, self._path, found=found, expected=expected, offset=offset)
