from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import Integrity, Invalid, Unsupported
from holdfast.ledger.artifact import Reference
from holdfast.ledger.log import GENESIS, Entry, Record
from holdfast.ledger.payload import (
    PLAIN,
    Batch,
    Commit,
    Erase,
    GcFence,
    InlinePut,
    Pin,
    Publish,
    RecordType,
    SegmentRetire,
    SegmentSeal,
    SnapshotAnchor,
    SnapshotDrop,
    Tombstone,
    TombstoneLift,
    Unpin,
    Unpublish,
    decode_payload,
    entry_of,
    payload_of,
)
from holdfast.ledger.record import (
    LOG_HEADER,
    MAX_PAYLOAD,
    chain_records,
    check_header,
    decode_backwards,
    decode_chain,
    encode_checked,
    encode_record,
    skip_chain,
    verify_chain,
)

REF = Reference(1, bytes(range(32)))
OTHER = Reference(0x0102, b"abc")
REF_BYTES = struct.pack("<HH", 1, 32) + bytes(range(32))
OTHER_BYTES = struct.pack("<HH", 0x0102, 3) + b"abc"
HASH = bytes(range(32, 64))

PAYLOADS = [
    (SegmentSeal(5, HASH), 0x01, struct.pack("<Q", 5) + HASH),
    (SegmentRetire(5, 2**63), 0x02, struct.pack("<QQ", 5, 2**63)),
    (Batch(70000), 0x03, struct.pack("<I", 70000)),
    (Tombstone(REF, 1, 2**32 - 1), 0x10, REF_BYTES + struct.pack("<II", 1, 2**32 - 1)),
    (TombstoneLift(OTHER, 9), 0x11, OTHER_BYTES + struct.pack("<Q", 9)),
    (Erase(REF, 10), 0x12, REF_BYTES + struct.pack("<Q", 10)),
    (SnapshotAnchor(3, HASH), 0x20, struct.pack("<Q", 3) + HASH),
    (SnapshotDrop(3), 0x21, struct.pack("<Q", 3)),
    (Pin(2**64 - 1), 0x22, b"\xff" * 8),
    (Unpin(4), 0x23, struct.pack("<Q", 4)),
    (Publish(REF), 0x30, REF_BYTES),
    (Unpublish(OTHER), 0x31, OTHER_BYTES),
    (GcFence(77), 0x40, struct.pack("<Q", 77)),
    (Commit(0x0104, REF), 0x1000, b"\x04\x01" + REF_BYTES),
    (InlinePut(REF), 0x1001, REF_BYTES),
]
ENTRIES = st.lists(
    st.builds(Entry, st.integers(0, 2**32 - 1), st.binary(max_size=60)), min_size=1, max_size=12
)


def golden(entries, first=1, previous=bytes(32)):
    out = b""
    for logseq, entry in enumerate(entries, first):
        body = struct.pack("<QII", logseq, entry.type, len(entry.payload)) + entry.payload
        previous = hashlib.sha256(previous + body).digest()
        out += body + previous
    return out


@pytest.mark.parametrize(("payload", "kind", "data"), PAYLOADS, ids=lambda v: type(v).__name__)
def test_a_payload_has_the_bytes_of_the_format(payload, kind, data):
    assert entry_of(payload) == Entry(kind, data)
    assert decode_payload(kind, data) == payload


def test_every_record_type_has_a_payload():
    assert sorted(kind for _, kind, _ in PAYLOADS) == sorted(RecordType)


@pytest.mark.parametrize(("payload", "kind", "data"), PAYLOADS, ids=lambda v: type(v).__name__)
def test_a_payload_that_is_too_short_or_too_long_is_corrupt(payload, kind, data):
    for bad in [data[:n] for n in range(len(data))] + [data + b"\0"]:
        with pytest.raises(Integrity, match=RecordType(kind).name) as caught:
            decode_payload(kind, bad, "file", 12)
        assert caught.value.details["logseq"] == 12
        assert caught.value.target == "file"


def test_a_record_of_an_unknown_type_has_no_payload_and_is_kept():
    data = chain_records(GENESIS, 1, [Entry(0x99, b"later"), Entry(0x22, bytes(8))])
    records: list[Record] = []
    assert decode_chain(data, GENESIS, 1, into=records).fault is None
    assert payload_of(records[0]) is None
    assert records[0].payload == b"later"
    assert payload_of(records[1]) == Pin(0)


@pytest.mark.parametrize(
    "payload",
    [SegmentSeal(1, b"short"), Pin(-1), Pin(2**64), Batch(2**32), Tombstone(REF, -1, 0)],
)
def test_a_payload_that_its_fields_cannot_hold_is_refused(payload):
    with pytest.raises(Invalid):
        entry_of(payload)


def test_the_header_is_24_bytes_as_written_in_the_format():
    assert LOG_HEADER.hex() == "41534c4c4f47303101000000180000000000000000000000"
    check_header(LOG_HEADER)


@pytest.mark.parametrize(
    ("at", "value", "kind", "offset"),
    [
        (0, b"B", Integrity, 0),
        (8, b"\0", Integrity, 8),
        (8, b"\2", Unsupported, 8),
        (11, b"\1", Unsupported, 8),
        (12, b"\x20", Integrity, 8),
        (16, b"\1", Unsupported, 16),
        (23, b"\x80", Unsupported, 16),
    ],
)
def test_another_header_is_refused(at, value, kind, offset):
    data = LOG_HEADER[:at] + value + LOG_HEADER[at + 1 :]
    with pytest.raises(kind) as caught:
        check_header(data, "file")
    assert caught.value.offset == offset


def test_a_cut_header_is_corrupt():
    for n in range(24):
        with pytest.raises(Integrity):
            check_header(LOG_HEADER[:n])


@given(ENTRIES, st.integers(1, 2**40), st.binary(min_size=32, max_size=32))
def test_records_are_chained_as_in_the_format(entries, first, previous):
    data = chain_records(previous, first, entries)
    assert data == golden(entries, first, previous)
    assert data == b"".join(
        encode_record(p, first + i, e.type, e.payload)
        for i, (e, p) in enumerate(zip(entries, [previous, *hashes(data, entries)], strict=False))
    )


def hashes(data, entries):
    at = 0
    for entry in entries:
        at += 48 + len(entry.payload)
        yield data[at - 32 : at]


@given(ENTRIES, st.integers(1, 2**40), st.binary(min_size=32, max_size=32))
def test_a_chain_reads_back_forwards_and_backwards(entries, first, previous):
    data = chain_records(previous, first, entries)
    last = first + len(entries) - 1
    records: list[Record] = []
    end = decode_chain(data, previous, first, into=records)
    assert end == (len(data), last, data[-32:], None)
    assert [Entry(r.type, r.payload) for r in records] == entries
    assert b"".join(map(encode_checked, records)) == data
    assert verify_chain(data, previous, first) == end
    assert skip_chain(data, first) == end
    back: list[Record] = []
    start = decode_backwards(previous + data, last, data[-32:], back)
    assert start == (32, first - 1, previous, None)
    assert back == records[::-1]


@given(ENTRIES, st.data())
def test_a_chain_stops_where_it_is_asked_to(entries, data):
    buffer = chain_records(GENESIS, 1, entries)
    stop = data.draw(st.integers(0, len(entries)))
    records: list[Record] = []
    end = decode_chain(buffer, GENESIS, 1, stop=stop, into=records)
    assert (len(records), end.logseq, end.fault) == (stop, stop, None)
    assert verify_chain(buffer, GENESIS, 1, stop=stop) == end
    assert verify_chain(buffer, end.record_hash, stop + 1, offset=end.offset).fault is None


@settings(max_examples=200)
@given(ENTRIES, st.data())
def test_any_changed_byte_is_found_where_it_is(entries, data):
    buffer = chain_records(GENESIS, 1, entries)
    at = data.draw(st.integers(0, len(buffer) - 1))
    bad = bytearray(buffer)
    bad[at] ^= data.draw(st.integers(1, 255))
    records: list[Record] = []
    end = decode_chain(bytes(bad), GENESIS, 1, into=records)
    assert end.fault is not None
    begins = [0, *ends(entries)]
    hit = max(i for i, begin in enumerate(begins) if begin <= at)
    assert (end.fault.offset, end.fault.logseq) == (begins[hit], hit + 1)
    assert len(records) == hit
    assert verify_chain(bytes(bad), GENESIS, 1) == end


@given(ENTRIES, st.data())
def test_a_cut_chain_gives_its_whole_records_and_says_that_it_is_incomplete(entries, data):
    buffer = chain_records(GENESIS, 1, entries)
    size = data.draw(st.integers(0, len(buffer) - 1))
    records: list[Record] = []
    end = decode_chain(buffer[:size], GENESIS, 1, into=records)
    whole = sum(end <= size for end in ends(entries))
    assert len(records) == whole
    cut = size not in (0, *ends(entries))
    assert (end.fault is not None and end.fault.incomplete) == cut
    assert skip_chain(buffer[:size], 1)[:2] == end[:2]


def ends(entries):
    at = 0
    for entry in entries:
        at += 48 + len(entry.payload)
        yield at


@given(st.binary(max_size=200), st.binary(min_size=32, max_size=32))
def test_no_bytes_make_the_loops_raise(data, record_hash):
    records: list[Record] = []
    for first in (1, int.from_bytes(data[:8], "little") or 1):
        decode_chain(data, record_hash, first, into=records)
        verify_chain(data, record_hash, first)
        skip_chain(data, first)
        decode_backwards(data, first, record_hash, records)
        decode_backwards(data, first, data[-32:], records)
    assert records == []


def test_a_payload_of_one_mebibyte_is_written_and_one_byte_more_is_not():
    data = chain_records(GENESIS, 1, [Entry(7, bytes(MAX_PAYLOAD))])
    assert verify_chain(data, GENESIS, 1).fault is None
    with pytest.raises(Invalid, match="1048577"):
        chain_records(GENESIS, 1, [Entry(7, bytes(MAX_PAYLOAD + 1))])


def test_a_longer_payload_is_malformed_however_well_it_is_chained():
    body = struct.pack("<QII", 1, 7, MAX_PAYLOAD + 1) + bytes(MAX_PAYLOAD + 1)
    data = body + hashlib.sha256(bytes(32) + body).digest()
    for check in (verify_chain(data, GENESIS, 1), skip_chain(data, 1)):
        assert check.fault is not None
        assert not check.fault.incomplete


@pytest.mark.parametrize(("first", "kind"), [(2**64, 1), (1, 2**32), (1, -1)])
def test_a_number_beyond_its_field_is_refused(first, kind):
    with pytest.raises(Invalid):
        chain_records(GENESIS, first, [Entry(kind, b"")])


payloads = st.one_of(
    st.just(REF_BYTES),
    st.binary(min_size=8, max_size=8).map(lambda tail: REF_BYTES + tail),
    st.binary(max_size=60),
    st.binary(max_size=40).map(lambda tail: REF_BYTES[:4] + tail),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0x03, *PLAIN, 0x1000, 0x1001, 0x7777]), payloads)))
def test_a_verified_chain_leaves_out_only_records_that_decode_and_have_no_frame(entries):
    data = chain_records(GENESIS, 1, [Entry(*entry) for entry in entries])
    records: list[Record] = []
    decode_chain(data, GENESIS, 1, into=records)
    looked_at: list[Record] = []
    chain = verify_chain(data, GENESIS, 1, plain=PLAIN, into=looked_at)
    assert chain == verify_chain(data, GENESIS, 1)
    assert chain.logseq == len(entries)
    left_out = [record for record in records if record not in looked_at]
    assert sorted(looked_at + left_out, key=lambda record: record.logseq) == records
    for record in left_out:
        assert not isinstance(payload_of(record), (type(None), Commit, InlinePut))


def test_a_hash_is_compared_for_every_record_of_a_verified_chain():
    data = chain_records(GENESIS, 1, [Entry(RecordType.TOMBSTONE, REF_BYTES + bytes(8))] * 3)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        chain = verify_chain(bytes(changed), GENESIS, 1, plain=PLAIN, into=[])
        assert chain.fault is not None
        assert chain.logseq == at // (len(data) // 3)
