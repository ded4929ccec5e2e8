from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Integrity, NotFound, Unsupported
from holdfast.ledger.artifact import Reference, artifact_bytes, reference_of
from holdfast.ledger.log import Entry
from holdfast.ledger.payload import decode_payload
from holdfast.ledger.sidecar import FrameIndex, encode_erased, encode_frames, fits, pick
from ledger_logs import commit, inline, pin

FRAMES = st.lists(
    st.tuples(st.integers(1, 6), st.none() | st.binary(max_size=40)), min_size=1, max_size=12
)


def golden(frames):
    return b"".join(
        struct.pack("<QI", logseq, 0xFFFFFFFF if data is None else len(data)) + (data or b"")
        for logseq, data in frames
    )


def indexed(data, index=None):
    index = FrameIndex() if index is None else index
    index.extend(lambda size, offset: data[offset : offset + size], len(data))
    return index


def reader(data):
    return lambda size, offset: data[offset : offset + size]


def test_frames_are_logseq_length_and_bytes_of_the_entries_that_have_one():
    entries = [inline(b"a"), pin(1), commit("c"), Entry(0x1001, b"", b"")]
    assert encode_frames(5, entries) == golden(
        [(5, artifact_bytes(b"a")), (7, entries[2].frame), (8, b"")]
    )
    assert encode_erased(9) == golden([(9, None)])


@given(FRAMES)
def test_an_index_knows_every_frame_and_where_it_lies(frames):
    data = golden(frames)
    index = indexed(data)
    assert index.end == len(data)
    found = [
        (f.logseq, None if f.length < 0 else data[f.offset : f.offset + f.length]) for f in index
    ]
    assert found == frames
    assert index[0].start == 0
    assert [f.end for f in index][:-1] == [f.start for f in index][1:]
    for logseq in range(7):
        assert [f for f in index if f.logseq == logseq] == index.find(logseq)


@given(FRAMES, st.data())
def test_an_index_grows_with_its_file_at_any_sizes(frames, data):
    buffer = golden(frames)
    sizes = sorted(data.draw(st.lists(st.integers(0, len(buffer)), max_size=5)))
    index = FrameIndex()
    for size in [*sizes, len(buffer)]:
        indexed(buffer[:size], index)
        assert index.end <= size
    assert list(index) == list(indexed(buffer))


@given(FRAMES, st.integers(0, 6), st.integers(0, 30))
def test_the_tail_above_a_logseq_begins_behind_the_last_frame_at_or_below_it(frames, logseq, torn):
    whole = golden(frames)
    data = whole + golden([(7, bytes(100))])[:torn]
    index = indexed(data)
    assert index.end == len(whole)
    kept = [i for i, (number, _) in enumerate(frames) if number <= logseq]
    end = len(golden(frames[: kept[-1] + 1])) if kept else 0
    assert index.tail_after(logseq) == end
    index.cut(end)
    assert list(index) == list(indexed(data[:end]))
    assert index.end == end


def test_a_frame_larger_than_a_chunk_is_skipped_without_being_read():
    big = bytes(3 * 2**20)
    data = golden([(1, big), (2, b"x"), (3, big)])
    read = []

    def counting(size, offset):
        read.append(size)
        return data[offset : offset + size]

    index = FrameIndex()
    index.extend(counting, len(data))
    assert [f.length for f in index] == [len(big), 1, len(big)]
    assert sum(read) < len(big)


@given(st.binary(max_size=100))
def test_no_bytes_make_an_index_fail(data):
    index = indexed(data)
    assert index.end <= len(data)
    assert all(f.end <= len(data) for f in index)


def test_zeros_behind_the_frames_are_a_torn_tail():
    data = golden([(5, b"five")])
    index = indexed(data + bytes(1000))
    assert (index.end, len(index)) == (len(data), 1)
    assert index.tail_after(5) == len(data)


def test_a_file_that_shrinks_while_it_is_read_ends_the_scan():
    index = FrameIndex()
    index.extend(lambda size, offset: b"", 1000)
    assert (index.end, len(index)) == (0, 0)


def test_the_frame_whose_digest_is_named_counts_among_those_of_one_logseq():
    wrong, right = artifact_bytes(b"left by a failed writer"), artifact_bytes(b"right")
    data = golden([(4, wrong), (5, b"other"), (4, right), (4, wrong)])
    frames = indexed(data).find(4)
    assert pick(frames, 4, reference_of(b"right"), reader(data), "file") == right
    with pytest.raises(Integrity, match="another digest") as caught:
        pick(frames, 4, reference_of(b"none"), reader(data), "file")
    assert caught.value.details["logseq"] == 4


def test_a_commit_record_is_named_as_an_artifact_with_its_type_tag():
    entry = commit("x")
    reference = decode_payload(entry.type, entry.payload).reference
    assert fits(reference, entry.frame)
    assert not fits(reference_of(entry.frame), entry.frame)
    assert fits(reference_of(entry.frame), artifact_bytes(entry.frame))


def test_an_erased_frame_is_not_found_and_says_why():
    data = golden([(4, None)])
    with pytest.raises(NotFound, match="erased") as caught:
        pick(indexed(data).find(4), 4, reference_of(b""), reader(data), "file")
    assert caught.value.details["erased"] is True
    with pytest.raises(NotFound) as caught:
        pick([], 4, reference_of(b""), reader(data), "file")
    assert caught.value.details["erased"] is False


def test_a_frame_under_an_unknown_hash_is_unsupported_not_corrupt():
    data = golden([(4, b"x")])
    with pytest.raises(Unsupported):
        pick(indexed(data).find(4), 4, Reference(9, b"abc"), reader(data), "file")
