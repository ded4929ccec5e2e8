"""Segments of many records, encoded and decoded column-wise with numpy (spec/ledger.md §4).

Only own records: SHA-256 digests, one domain. `segment.encode_segment` writes the same bytes for
the same records and handles every other case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import Integrity, Invalid
from holdfast.ledger import bloom
from holdfast.ledger.artifact import SHA256
from holdfast.ledger.segment import RECORD_OLD, assemble

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from holdfast.ledger.segment_reader import SegmentReader

_RECORD_FIELDS = [
    ("hash_id", "<u4"),
    ("digest_len", "<u2"),
    ("reserved", "<u2"),
    ("digest_offset", "<u8"),
    ("first_extent", "<u8"),
    ("extent_count", "<u4"),
    ("type_tag", "<u4"),
    ("total_length", "<u8"),
    ("domain_id", "<u4"),
    ("cross_domain_source", "<u4"),
    ("visibility", "u1"),
    ("has_cross_domain_source", "u1"),
    ("has_type_tag", "u1"),
    ("flags", "u1"),
    ("reserved_too", "<u4"),
]
_EXTENT_FIELDS = [("block_id", "<u8"), ("offset", "<u4"), ("length", "<u4")]


class Columns(NamedTuple):
    """Records of one batch, one array entry each, in any order.

    digests u8 (n, 32); lengths u64 (n,); extent_counts u32 (n,); extents structured
    (block_id u64, offset u32, length u32), those of each record in a row, in record order;
    type_tag: of all records, or None.
    """

    digests: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.uint64]
    extent_counts: npt.NDArray[np.uint32]
    extents: npt.NDArray[np.void]
    type_tag: int | None


def extent_array(block_ids: object, offsets: object, lengths: object) -> npt.NDArray[np.void]:
    """The structured array of extents from three columns."""
    import numpy as np

    ids = np.asarray(block_ids, "<u8")
    out = np.empty(len(ids), np.dtype(_EXTENT_FIELDS))
    out["block_id"], out["offset"], out["length"] = ids, offsets, lengths
    return out


def digest_order(digests: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """The order in which digests, shape (n, 32), ascend.

    Sorts by the first eight bytes, which nearly always decide, and by all where they do not.
    """
    import numpy as np

    words = np.ascontiguousarray(digests).view(">u8").astype(np.uint64)
    order = np.argsort(words[:, 0], kind="stable")
    first = words[order, 0]
    if len(first) > 1 and bool((first[1:] == first[:-1]).any()):
        order = np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0]))
    return order


def encode_columns(
    columns: Columns, *, snapshot_min: int, seal_snapshot: int, seal_time_ns: int
) -> bytes:
    """A version 3 segment of own records.

    Raises:
        Invalid: a digest that stands twice.
    """
    import numpy as np

    count = len(columns.digests)
    order = digest_order(columns.digests)
    digests = np.ascontiguousarray(columns.digests[order])
    if count > 1 and bool((digests[1:] == digests[:-1]).all(axis=1).any()):
        raise Invalid("writing a segment", found="two records of one artifact")
    counts = columns.extent_counts.astype(np.int64)
    firsts = np.cumsum(counts) - counts
    counts_sorted, firsts_sorted = counts[order], firsts[order]
    new_firsts = np.cumsum(counts_sorted) - counts_sorted
    # Extent j of a record moves with it: its old place is first + (j - new first).
    moves = np.repeat(firsts_sorted - new_firsts, counts_sorted)
    extents = columns.extents[np.arange(len(columns.extents)) + moves]
    table = np.zeros(count, np.dtype(_RECORD_FIELDS))
    table["hash_id"] = SHA256
    table["digest_len"] = 32
    table["digest_offset"] = np.arange(count, dtype=np.uint64) * np.uint64(32)
    table["first_extent"] = new_firsts
    table["extent_count"] = counts_sorted
    table["total_length"] = columns.lengths[order]
    if columns.type_tag is not None:
        table["type_tag"] = columns.type_tag
        table["has_type_tag"] = 1
    return assemble(
        table.tobytes(),
        digests.tobytes(),
        extents.tobytes(),
        bloom.build_from_digests(digests),
        snapshot_min=snapshot_min,
        seal_snapshot=seal_snapshot,
        seal_time_ns=seal_time_ns,
    )


def record_table(reader: SegmentReader) -> npt.NDArray[np.void] | None:
    """The records as a structured array over the mapped bytes; None for versions 1 and 2."""
    import numpy as np

    header = reader.header
    if header.record_size == RECORD_OLD.size:
        return None
    return np.frombuffer(
        reader.data, np.dtype(_RECORD_FIELDS), header.record_count, header.records_offset
    )


def digest_table(reader: SegmentReader) -> npt.NDArray[np.uint8] | None:
    """The digests as an array of shape (n, 32) over the mapped bytes, where they are SHA-256 in
    record order, as own segments have them; else None."""
    import numpy as np

    header, table = reader.header, record_table(reader)
    count = header.record_count
    if table is None or header.digests_size != 32 * count:
        return None
    expected = np.arange(count, dtype=np.uint64) * np.uint64(32)
    if not (
        bool((table["hash_id"] == SHA256).all())
        and bool((table["digest_len"] == 32).all())
        and bool((table["digest_offset"] == expected).all())
    ):
        return None
    flat = np.frombuffer(reader.data, np.uint8, 32 * count, header.digests_offset)
    return flat.reshape(count, 32)


def prefixes(reader: SegmentReader) -> npt.NDArray[np.uint64]:
    """The first eight digest bytes of every record, big-endian, ascending as the records do.

    Raises:
        Integrity: records out of order.
    """
    import numpy as np

    if digest_table(reader) is not None:
        header = reader.header
        digests = np.frombuffer(reader.data, ">u8", 4 * len(reader), header.digests_offset)
        words = digests[::4].astype(np.uint64)
    else:
        keys = (reader.key(i)[1][:8].ljust(8, b"\0") for i in range(len(reader)))
        words = np.fromiter((int.from_bytes(k, "big") for k in keys), np.uint64, len(reader))
    return words


def extent_table(reader: SegmentReader) -> npt.NDArray[np.void]:
    """All extents as a structured array over the mapped bytes."""
    import numpy as np

    header = reader.header
    return np.frombuffer(
        reader.data, np.dtype(_EXTENT_FIELDS), header.extent_count, header.extents_offset
    )


def check_cover(reader: SegmentReader) -> None:
    """Check all records of an own segment at once: order, bounds, extents that cover exactly.

    Falls back to `SegmentReader.check` for segments of another shape, or to name what is wrong.

    Raises:
        Integrity: the first thing that is wrong, with its offset.
    """
    import zlib

    import numpy as np

    table, digests, extents = record_table(reader), digest_table(reader), extent_table(reader)
    if table is None or digests is None:
        reader.check()
        return
    size = len(reader.data) - 24
    firsts = table["first_extent"].astype(np.uint64)
    counts = table["extent_count"].astype(np.uint64)
    sound = zlib.crc32(reader.data[:size]) == reader.footer.crc
    sound = sound and bool((digest_order(digests) == np.arange(len(digests))).all())
    sound = sound and len(digests) == len(np.unique(digests.view("V32")))
    sound = sound and bool((firsts <= len(extents)).all())
    sound = sound and bool((firsts + counts <= len(extents)).all())
    sound = sound and bool((counts == 1).all())
    if sound:
        lengths = extents["length"][firsts.astype(np.int64)]
        sound = bool((lengths == table["total_length"]).all()) and not table["flags"].any()
    if not sound:
        reader.check()
        return
    if any(bool(table[name].any()) for name in ("reserved", "reserved_too")):
        raise Integrity("reading the segment", reader.path, found="reserved bytes that are set")
