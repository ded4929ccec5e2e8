from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import Integrity, Invalid, Unsupported
from holdfast.ledger import bloom
from holdfast.ledger.artifact import SHA256, Reference
from holdfast.ledger.segment import (
    EMPTY_EXTENT,
    EXTENT,
    HEADER,
    RECORD,
    Extent,
    SegmentRecord,
    assemble,
    encode_segment,
    pack_record,
    parse_segment_path,
    segment_path,
    sort_key,
)
from holdfast.ledger.segment_columns import (
    Columns,
    check_cover,
    digest_order,
    encode_columns,
    extent_array,
)
from holdfast.ledger.segment_reader import SegmentReader
from ledger.segment_cases import (
    FIRST,
    GOLDEN_RECORDS,
    SECOND,
    golden_old,
    golden_v3,
    reference,
)

SEAL = {"snapshot_min": 5, "seal_snapshot": 6, "seal_time_ns": 1_700_000_000_000_000_001}


def resealed(data: bytes) -> bytes:
    """`data` with a CRC that fits, so that what lies behind the CRC is tested."""
    body = data[:-24]
    return body + struct.pack("<Q", zlib.crc32(body)) + data[-16:]


def patched(offset: int, value: bytes) -> bytes:
    data = golden_v3()
    return resealed(data[:offset] + value + data[offset + len(value) :])


def test_two_records_are_written_as_the_page_says():
    filter_bytes = bloom.build([FIRST, SECOND], 2)
    assert encode_segment(GOLDEN_RECORDS[::-1], **SEAL) == golden_v3(filter_bytes)


def test_a_version_3_segment_without_a_filter_is_read():
    reader = SegmentReader(golden_v3(), "s")
    reader.check()
    assert list(reader) == GOLDEN_RECORDS
    assert reader.find(SECOND) == [GOLDEN_RECORDS[1]]
    assert reader.find(reference(3)) == []
    assert reader.footer.seal_snapshot == 6
    assert reader.header.snapshot_min == 5


@pytest.mark.parametrize("version", [1, 2])
def test_older_versions_are_read_as_local_and_internal(version):
    reader = SegmentReader(golden_old(version), "s")
    reader.check()
    check_cover(reader)
    assert list(reader) == GOLDEN_RECORDS
    assert reader.find(FIRST) == [GOLDEN_RECORDS[0]]
    assert (reader.header.domain_id, reader.header.visibility) == (0, 0)


def test_federation_fields_and_tombstones_survive_a_round_trip():
    records = [
        SegmentRecord(FIRST, (Extent(1, 0, 3),), 3, None, 0),
        SegmentRecord(FIRST, (Extent(1, 0, 3),), 3, None, 9, 12, 1),
        SegmentRecord(FIRST, (), 3, None, 11, None, 0, True),
        SegmentRecord(Reference(0x7777, b"short"), (Extent(2, 5, 1),), 1),
    ]
    data = encode_segment(records[::-1], **SEAL, domain_id=9, visibility=1)
    reader = SegmentReader(data, "s")
    reader.check()
    assert list(reader) == records
    assert reader.find(FIRST) == records[:3]
    assert reader.find(Reference(0x7777, b"short")) == [records[3]]
    assert (reader.header.domain_id, reader.header.visibility) == (9, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.binary(min_size=32, max_size=32),
            st.lists(st.integers(1, 1000), max_size=3),
        ),
        unique_by=lambda item: item[0],
        max_size=40,
    ),
    st.none() | st.integers(0, 2**32 - 1),
)
def test_the_vectorised_encoder_writes_the_same_bytes(items, type_tag):
    records, extents = [], []
    for number, (digest, lengths) in enumerate(items):
        own = tuple(Extent(number + 1, 7, n) for n in lengths) or (EMPTY_EXTENT,)
        records.append(SegmentRecord(Reference(SHA256, digest), own, sum(lengths), type_tag))
        extents += own
    plain = encode_segment(records, **SEAL)
    table = np.array(extents, np.uint64).reshape(-1, 3)
    columns = Columns(
        np.frombuffer(b"".join(d for d, _ in items), np.uint8).reshape(-1, 32),
        np.array([r.total_length for r in records], np.uint64),
        np.array([len(r.extents) for r in records], np.uint32),
        extent_array(table[:, 0], table[:, 1], table[:, 2]),
        type_tag,
    )
    assert encode_columns(columns, **SEAL) == plain
    reader = SegmentReader(plain, "s")
    reader.check()
    check_cover(reader)
    assert list(reader) == sorted(records, key=sort_key)
    for record in records:
        assert reader.find(record.reference) == [record]


def test_equal_digest_beginnings_are_ordered_by_what_follows():
    digests = np.array([[1] * 31 + [n] for n in (3, 1, 2)], np.uint8)
    assert digest_order(digests).tolist() == [1, 2, 0]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_record_is_found_in_any_mixture_of_hashes(data):
    keys = data.draw(
        st.lists(
            st.tuples(st.sampled_from([1, 2, 0xFFFF]), st.binary(min_size=32, max_size=32)),
            unique=True,
            min_size=1,
            max_size=30,
        )
    )
    records = [SegmentRecord(Reference(*key), (EMPTY_EXTENT,), 0) for key in keys]
    reader = SegmentReader(encode_segment(records, **SEAL), "s")
    for record in records:
        assert reader.find(record.reference) == [record]
        prefix = record.reference.digest.hex()
        for size in (8, 9, 64):
            assert record in list(reader.find_prefix(prefix[:size]))
    assert reader.find(Reference(3, bytes(32))) == []


def test_a_foreign_digest_order_is_searched_all_the_same():
    """Digests need not lie in record order."""
    first, second = sorted((reference(5), reference(6)))
    records = [
        SegmentRecord(first, (Extent(1, 0, 1),), 1),
        SegmentRecord(second, (Extent(1, 1, 1),), 1),
    ]
    data = assemble(
        pack_record(records[0], 32, 0) + pack_record(records[1], 0, 1),
        second.digest + first.digest,
        EXTENT.pack(1, 0, 1) + EXTENT.pack(1, 1, 1),
        b"",
        **SEAL,
    )
    reader = SegmentReader(data, "s")
    reader.check()
    check_cover(reader)
    assert reader.find(first) == [records[0]]
    assert reader.find(second) == [records[1]]


def test_two_records_of_one_artifact_are_refused_by_the_writer():
    with pytest.raises(Invalid):
        encode_segment([GOLDEN_RECORDS[0]] * 2, **SEAL)


def test_extents_that_do_not_cover_are_refused_by_the_writer():
    with pytest.raises(Invalid):
        encode_segment([SegmentRecord(FIRST, (Extent(1, 0, 3),), 4)], **SEAL)


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (8, struct.pack("<H", 4)),
        (0, b"ASLIDX04"),
        (0, b"ASLIDX99"),
        (101, b"\2"),
        (104, b"\1"),
    ],
)
def test_what_a_later_version_wrote_is_unsupported(offset, value):
    with pytest.raises(Unsupported) as caught:
        SegmentReader(patched(offset, value), "ledger/index/s")
    assert caught.value.target == "ledger/index/s"


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0, b"XSLIDX03"),
        (8, struct.pack("<H", 2)),
        (8, struct.pack("<H", 0)),
        (12, struct.pack("<I", 104)),
        (32, struct.pack("<Q", 3)),
        (32, struct.pack("<Q", 2**64 - 1)),
        (40, struct.pack("<Q", 2**63)),
        (48, struct.pack("<QQ", 0, 16)),
        (64, struct.pack("<Q", 0)),
        (72, struct.pack("<Q", 2**64 - 1)),
        (80, struct.pack("<Q", 2**64 - 1)),
        (88, struct.pack("<Q", 2**60)),
        (100, b"\2"),
        (101, b"\0"),
        (102, b"\1"),
    ],
)
def test_a_malformed_header_is_integrity_with_an_offset(offset, value):
    with pytest.raises(Integrity) as caught:
        SegmentReader(patched(offset, value), "ledger/index/s")
    assert caught.value.target == "ledger/index/s"
    assert caught.value.offset is not None


RECORDS_AT = HEADER.size


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (RECORDS_AT, struct.pack("<I", 0)),
        (RECORDS_AT, struct.pack("<I", 0x10000)),
        (RECORDS_AT + 4, struct.pack("<H", 31)),
        (RECORDS_AT + 6, b"\1"),
        (RECORDS_AT + 8, struct.pack("<Q", 64)),
        (RECORDS_AT + 8, struct.pack("<Q", 2**64 - 1)),
        (RECORDS_AT + 16, struct.pack("<Q", 3)),
        (RECORDS_AT + 24, struct.pack("<I", 2**32 - 1)),
        (RECORDS_AT + 24, struct.pack("<I", 0)),
        (RECORDS_AT + 32, struct.pack("<Q", 121)),
        (RECORDS_AT + 48, b"\2"),
        (RECORDS_AT + 51, b"\1"),
        (RECORDS_AT + 52, b"\1"),
        (RECORDS_AT + RECORD.size + 8, struct.pack("<Q", 0)),
        (RECORDS_AT + 2 * RECORD.size + 64, struct.pack("<Q", 0)),
        (RECORDS_AT + 2 * RECORD.size + 64 + 8, struct.pack("<I", 2**32 - 1)),
    ],
)
def test_a_malformed_record_is_integrity_with_an_offset(offset, value):
    reader = SegmentReader(patched(offset, value), "ledger/index/s")
    with pytest.raises(Integrity) as caught:
        reader.check()
    assert caught.value.offset is not None
    with pytest.raises(Integrity):
        check_cover(reader)


def test_a_wrong_crc_is_integrity():
    data = bytearray(golden_v3())
    data[-24] ^= 1
    with pytest.raises(Integrity, match="CRC"):
        SegmentReader(bytes(data), "s").check()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([golden_v3(), golden_old(1), golden_old(2)]), st.data())
def test_mutated_segments_end_in_typed_errors_or_sound_records(golden, data):
    mutated = bytearray(golden)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        mutated[position] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del mutated[data.draw(st.integers(0, len(mutated))) :]
    whole = resealed(bytes(mutated)) if len(mutated) >= 24 else bytes(mutated)
    try:
        reader = SegmentReader(whole, "s")
        for record in reader:
            reader.find(record.reference)
        list(reader.find_prefix(FIRST.digest.hex()[:8]))
        check_cover(reader)
        reader.check()
    except (Integrity, Unsupported):
        pass


def test_segment_paths_are_parsed_back():
    assert parse_segment_path(segment_path(2**64 - 1)) == 2**64 - 1
    for path in ("index/shard-000/segment-1.idx", "index/segment-" + "0" * 20 + ".idx", "x"):
        assert parse_segment_path(path) is None
