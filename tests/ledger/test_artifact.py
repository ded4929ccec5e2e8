from __future__ import annotations

import hashlib
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Integrity, Invalid, Unsupported
from holdfast.ledger.artifact import (
    ArtifactHasher,
    Reference,
    artifact_bytes,
    decode_artifact,
    decode_ref,
    decode_reference,
    encode_ref,
    encode_reference,
    hash_chunks,
    reference_of,
    verify_artifact,
)

TAGS = st.none() | st.integers(0, 2**32 - 1)
REFERENCES = st.builds(Reference, st.just(1), st.binary(min_size=32, max_size=32)) | st.builds(
    Reference, st.integers(2, 0xFFFF), st.binary(min_size=1, max_size=80)
)


def golden_artifact(data, tag):
    if tag is None:
        return struct.pack(">BQ", 0, len(data)) + data
    return struct.pack(">BIQ", 1, tag, len(data)) + data


@given(st.binary(max_size=300), TAGS)
def test_artifact_bytes_are_presence_tag_length_and_bytes_big_endian(data, tag):
    assert artifact_bytes(data, tag) == golden_artifact(data, tag)
    assert decode_artifact(golden_artifact(data, tag)) == (data, tag)


@given(st.binary(max_size=300), TAGS)
def test_a_reference_is_the_sha_256_of_the_artifact_bytes(data, tag):
    digest = hashlib.sha256(golden_artifact(data, tag)).digest()
    assert reference_of(data, tag) == Reference(1, digest)


def test_the_type_tag_is_part_of_the_identity():
    assert len({reference_of(b"x"), reference_of(b"x", 0), reference_of(b"x", 1)}) == 3


@given(st.lists(st.binary(max_size=50)), TAGS)
def test_hashing_in_chunks_gives_the_same_reference(chunks, tag):
    data = b"".join(chunks)
    assert hash_chunks(chunks, len(data), tag) == reference_of(data, tag)


def test_a_hasher_refuses_more_and_fewer_bytes_than_it_was_told():
    with pytest.raises(Invalid, match="1 bytes more"):
        ArtifactHasher(3).update(b"1234")
    state = ArtifactHasher(3)
    state.update(b"12")
    with pytest.raises(Invalid, match="1 bytes are missing"):
        state.finish()


def test_any_buffer_is_an_artifact():
    data = memoryview(struct.pack("<4I", 1, 2, 3, 4)).cast("I")
    assert reference_of(data) == reference_of(bytes(data))
    assert artifact_bytes(bytearray(b"ab")) == artifact_bytes(b"ab")
    assert reference_of(io.BytesIO(b"ab").getbuffer()) == reference_of(b"ab")


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (b"\2" + bytes(8), 0),
        (b"\xff" + bytes(12), 0),
        (b"\0" + bytes(7), 0),
        (b"\1" + bytes(11), 0),
        (golden_artifact(b"abc", None) + b"\0", 1),
        (golden_artifact(b"abc", None)[:-1], 1),
        (golden_artifact(b"abc", 7) + b"\0", 5),
        (b"\0" + b"\xff" * 8, 1),
    ],
)
def test_artifact_bytes_that_break_the_form_are_corrupt_and_say_where(data, offset):
    with pytest.raises(Integrity) as caught:
        decode_artifact(data, "file")
    assert caught.value.offset == offset
    assert caught.value.target == "file"


@pytest.mark.parametrize("tag", [-1, 2**32])
def test_a_type_tag_that_is_no_u32_is_refused(tag):
    with pytest.raises(Invalid):
        artifact_bytes(b"", tag)


@given(REFERENCES)
def test_reference_bytes_are_big_endian_to_the_end(reference):
    golden = struct.pack(">H", reference.hash_id) + reference.digest
    assert encode_reference(reference) == golden
    assert decode_reference(golden) == reference


@given(REFERENCES, st.binary(max_size=8), st.binary(max_size=8))
def test_an_encoded_ref_is_little_endian_with_its_length(reference, before, after):
    golden = struct.pack("<HH", reference.hash_id, len(reference.digest)) + reference.digest
    assert encode_ref(reference) == golden
    found = decode_ref(before + golden + after, len(before))
    assert found == (reference, len(before) + len(golden))


@given(REFERENCES)
def test_the_text_of_a_reference_reads_back(reference):
    assert reference.text == f"asl1:{reference.hash_id:04x}:{reference.digest.hex()}"
    assert str(reference) == reference.text
    assert Reference.parse(reference.text) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        "asl1:",
        "asl1:0000:" + "00" * 32,
        "asl1:0001:" + "00" * 31,
        "asl1:0001:" + "00" * 33,
        "asl1:0001:" + "AB" * 32,
        "asl1:1:" + "00" * 32,
        "asl1:0002:",
        "asl1:0002:0",
        "asl2:0001:" + "00" * 32,
        "asl1:0001:" + "00" * 32 + "\n",
        " asl1:0001:" + "00" * 32,
    ],
)
def test_a_text_that_is_no_reference_is_invalid(text):
    with pytest.raises(Invalid):
        Reference.parse(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1",
        b"\1\0\x20",
        struct.pack("<HH", 0, 32) + bytes(32),
        struct.pack("<HH", 1, 31) + bytes(31),
        struct.pack("<HH", 1, 33) + bytes(33),
        struct.pack("<HH", 1, 32) + bytes(31),
        struct.pack("<HH", 2, 0),
        struct.pack("<HH", 2, 0xFFFF) + bytes(100),
    ],
)
def test_an_encoded_ref_that_breaks_the_form_is_corrupt(data):
    with pytest.raises(Integrity):
        decode_ref(data)


@pytest.mark.parametrize("data", [b"", b"\0", bytes(34), b"\0\1" + bytes(31), b"\0\2"])
def test_reference_bytes_that_break_the_form_are_corrupt(data):
    with pytest.raises(Integrity):
        decode_reference(data)


def test_an_unknown_hash_decodes_and_is_unsupported_only_when_verified():
    reference, _ = decode_ref(struct.pack("<HH", 0x0BEE, 5) + b"abcde")
    assert reference.text == "asl1:0bee:6162636465"
    with pytest.raises(Unsupported, match="0bee"):
        verify_artifact(reference, b"anything")


def test_other_bytes_than_a_reference_names_are_corrupt():
    verify_artifact(reference_of(b"abc", 3), b"abc", 3)
    for data, tag in ((b"abd", 3), (b"abc", 4), (b"abc", None)):
        with pytest.raises(Integrity):
            verify_artifact(reference_of(b"abc", 3), data, tag)


def test_references_are_ordered_by_hash_and_digest():
    a, b, c = Reference(1, b"\0" * 32), Reference(1, b"\1" * 32), Reference(2, b"\0")
    assert sorted([c, b, a]) == [a, b, c]


@pytest.mark.parametrize(
    "reference",
    [Reference(0, b"x"), Reference(1, b"x"), Reference(2, b""), Reference(65536, b"x")],
)
def test_a_reference_that_breaks_the_rules_is_not_written(reference):
    with pytest.raises(Invalid):
        encode_ref(reference)
    with pytest.raises(Invalid):
        encode_reference(reference)


@given(st.binary(max_size=60))
def test_no_bytes_make_a_decoder_fail_otherwise(data):
    for decode in (decode_artifact, decode_reference, decode_ref):
        try:
            decode(data)
        except Integrity:
            pass
