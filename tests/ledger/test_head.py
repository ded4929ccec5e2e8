from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ledger.head import (
    HEAD_SIZE,
    Slot,
    decode_slot,
    encode_head,
    encode_slot,
    head_faults,
    newest_slot,
    next_offset,
)

SLOTS = st.builds(
    Slot,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(min_size=32, max_size=32),
)


def write(data, slot):
    at = next_offset(data)
    return data[:at] + encode_slot(slot) + data[at + 52 :]


@given(SLOTS)
def test_a_slot_is_logseq_offset_hash_and_crc(slot):
    body = struct.pack("<QQ", slot.logseq, slot.offset) + slot.record_hash
    assert encode_slot(slot) == body + struct.pack("<I", zlib.crc32(body))
    assert decode_slot(encode_slot(slot), 0) == slot


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=6))
def test_slots_are_written_in_turn_and_the_newest_counts(hashes):
    data = encode_head(Slot(1, 100, hashes[0]))
    for logseq, record_hash in enumerate(hashes[1:], 2):
        before = newest_slot(data)
        data = write(data, Slot(logseq, 100 * logseq, record_hash))
        assert newest_slot(data) == (logseq, 100 * logseq, record_hash)
        assert before in (decode_slot(data, 0), decode_slot(data, 512))
    assert len(data) == HEAD_SIZE
    assert head_faults(data) == []


@given(st.integers(1, 6), st.integers(0, 51), st.integers(1, 255))
def test_a_torn_write_leaves_the_slot_before(count, at, change):
    data = encode_head(Slot(1, 1, bytes(32)))
    for logseq in range(2, count + 1):
        data = write(data, Slot(logseq, logseq, bytes(32)))
    place = next_offset(data)
    torn = bytearray(write(data, Slot(count + 1, count + 1, bytes(32))))
    torn[place + at] ^= change
    assert newest_slot(bytes(torn)) == newest_slot(data)
    assert next_offset(bytes(torn)) == place
    assert [offset for offset, _ in head_faults(bytes(torn))] == [place]


@given(st.integers(1, 3), st.integers(0, HEAD_SIZE - 1), st.integers(1, 255))
def test_any_changed_byte_of_a_head_file_is_found(count, at, change):
    data = encode_head(Slot(1, 1, bytes(32)))
    for logseq in range(2, count + 1):
        data = write(data, Slot(logseq, logseq, bytes(32)))
    bad = bytearray(data)
    bad[at] ^= change
    assert head_faults(bytes(bad)) != []


@given(st.binary(max_size=1100))
def test_no_bytes_make_the_decoder_fail(data):
    newest_slot(data)
    next_offset(data)
    assert head_faults(data) != []


@pytest.mark.parametrize("size", [0, 51, 564, 1023, 1025])
def test_a_head_file_of_another_size_is_a_fault(size):
    data = encode_head(Slot(1, 1, bytes(32)))[:size].ljust(size, b"\0")
    assert head_faults(data) != []


def test_zeros_are_a_slot_that_was_never_written():
    assert newest_slot(bytes(HEAD_SIZE)) is None
    assert head_faults(bytes(HEAD_SIZE)) == []
