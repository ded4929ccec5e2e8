"""Compressors: what they write, what they read, and what they refuse."""

from __future__ import annotations

import base64
import gzip
import json
import os
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from holdfast.datasets.compressors import GZIP, NOOP, PIECE, ZSTD, Compressor, compressor_of
from holdfast.errors import InvalidFormat, Unsupported

_SHARED = Path(__file__).parents[3] / "shared" / "fixtures"
VECTORS = Path(os.environ.get("HOLDFAST_FIXTURES") or _SHARED) / "lode" / "vectors" / "vectors.json"

ALL = [NOOP, GZIP, ZSTD]
PACKED = [GZIP, ZSTD]
NOISE = zlib.compress(b"".join(i.to_bytes(4, "big") for i in range(60_000)), 9)
contents = st.binary(max_size=300) | st.integers(0, 3).map(lambda n: NOISE * n + b"x" * 70_000 * n)


class Bytes:
    """A sink in memory."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: Any) -> None:
        self.data += bytes(data)


def packed(compressor: Compressor, *pieces: Any) -> bytes:
    sink = Bytes()
    writer = compressor.writer(sink)
    for piece in pieces:
        writer.write(piece)
    writer.finish()
    return sink.data


def unpacked(compressor: Compressor, data: bytes, size: int = 1 << 20) -> bytes:
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(compressor.reader(iter(pieces), "f"))


def vectors(kind: str) -> list[Any]:
    if not VECTORS.is_file():
        return []
    return list(json.loads(VECTORS.read_text("utf-8"))[kind])


needs_vectors = pytest.mark.skipif(
    not VECTORS.is_file(), reason=f"no vectors at {VECTORS}; HOLDFAST_FIXTURES names their folder"
)


@needs_vectors
def test_what_the_go_program_compressed_is_read() -> None:
    seen = 0
    for vector in vectors("compress"):
        if "compressed" not in vector:
            continue
        out = unpacked(compressor_of(vector["compressor"]), base64.b64decode(vector["compressed"]))
        assert len(out) == vector["payload_size"]
        if "payload" in vector:
            assert out.startswith(base64.b64decode(vector["payload"]))
        seen += 1
    assert seen


@needs_vectors
def test_what_the_go_program_refuses_is_refused() -> None:
    for vector in vectors("decompress"):
        compressor = compressor_of(vector["compressor"])
        data = base64.b64decode(vector["bytes"])
        if "error" in vector:
            with pytest.raises(InvalidFormat):
                unpacked(compressor, data)
        else:
            assert unpacked(compressor, data) == vector["out"].encode()


@pytest.mark.parametrize("compressor", ALL, ids=lambda c: c.name)
@given(pieces=st.lists(contents, max_size=3), size=st.sampled_from([1, 7, 1000, 1 << 20]))
def test_what_was_compressed_comes_back(
    compressor: Compressor, pieces: list[bytes], size: int
) -> None:
    whole = b"".join(pieces)
    data = packed(compressor, *pieces)
    if len(data) > 5000:
        size = max(size, 1000)
    assert unpacked(compressor, data, size) == whole


@pytest.mark.parametrize("compressor", ALL, ids=lambda c: c.name)
def test_any_buffer_is_taken(compressor: Compressor) -> None:
    data = packed(compressor, bytearray(b"ab"), memoryview(b"cd"), memoryview(b"efgh")[::1])
    assert unpacked(compressor, data) == b"abcdefgh"


def test_gzip_has_level_six_and_no_time() -> None:
    data = packed(GZIP, b"hello")
    assert data[:8] == bytes.fromhex("1f8b080000000000")
    assert data[8] == 0  # neither the fastest nor the best
    assert gzip.decompress(data) == b"hello"


def test_zstd_has_a_checksum_of_the_content() -> None:
    data = packed(ZSTD, b"hello")
    assert zstandard.get_frame_parameters(data).has_checksum
    assert zstandard.ZstdDecompressor().decompressobj().decompress(data) == b"hello"


def test_nothing_is_zero_bytes_in_zstd_and_a_member_in_gzip() -> None:
    assert packed(ZSTD) == b""
    assert packed(ZSTD, b"") == b""
    assert unpacked(ZSTD, b"") == b""
    assert gzip.decompress(packed(GZIP)) == b""
    assert unpacked(GZIP, packed(GZIP)) == b""
    with pytest.raises(InvalidFormat):
        unpacked(GZIP, b"")


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_members_and_frames_may_follow_each_other(size: int) -> None:
    members = gzip.compress(b"one") + gzip.compress(b"") + gzip.compress(b"two")
    assert unpacked(GZIP, members, size) == b"onetwo"
    sized = zstandard.ZstdCompressor(write_content_size=True).compress(b"one")
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"two" * 50_000)
    skipped = (0x184D2A53).to_bytes(4, "little") + (40_000).to_bytes(4, "little") + bytes(40_000)
    empty = zstandard.ZstdCompressor(write_checksum=True).compress(b"")
    frames = sized + skipped + empty + unsized + skipped
    assert unpacked(ZSTD, frames, size) == b"one" + b"two" * 50_000


@pytest.mark.parametrize("compressor", PACKED, ids=lambda c: c.name)
def test_every_truncation_is_refused(compressor: Compressor) -> None:
    data = packed(compressor, b"some words, some words, some more words" * 3)
    for end in range(1, len(data)):
        with pytest.raises(InvalidFormat):
            unpacked(compressor, data[:end])


@pytest.mark.parametrize("compressor", PACKED, ids=lambda c: c.name)
def test_no_changed_bit_gives_other_content(compressor: Compressor) -> None:
    whole = b"some words, some words, some more words" * 3
    data = packed(compressor, whole)
    for at in range(len(data) * 8):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        try:
            assert unpacked(compressor, bytes(changed)) == whole
        except InvalidFormat:
            continue


@pytest.mark.parametrize("compressor", PACKED, ids=lambda c: c.name)
@given(data=st.binary(max_size=200), keep=st.integers(0, 40))
def test_foreign_bytes_end_in_a_typed_error(compressor: Compressor, data: bytes, keep: int) -> None:
    try:
        unpacked(compressor, packed(compressor, b"abc" * 20)[:keep] + data)
    except InvalidFormat:
        pass


@pytest.mark.parametrize("compressor", PACKED, ids=lambda c: c.name)
@pytest.mark.parametrize("after", [b"\0", b"garbage"])
def test_nothing_may_follow(compressor: Compressor, after: bytes) -> None:
    with pytest.raises(InvalidFormat):
        unpacked(compressor, packed(compressor, b"abc") + after)


@pytest.mark.parametrize("compressor", PACKED, ids=lambda c: c.name)
def test_a_bomb_comes_out_in_bounded_pieces(compressor: Compressor) -> None:
    data = packed(compressor, *[bytes(PIECE)] * 64)
    assert len(data) < 100_000
    tracemalloc.start()
    try:
        total = 0
        for piece in compressor.reader([data], "f"):
            assert 0 < len(piece) <= PIECE
            total += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 64 * PIECE
    assert peak < 8 * PIECE


def test_names() -> None:
    assert compressor_of(None) is NOOP
    assert compressor_of("none") is NOOP
    assert compressor_of("noop") is NOOP
    assert [(c.name, c.extension) for c in map(compressor_of, ("noop", "gzip", "zstd"))] == [
        ("noop", ""),
        ("gzip", ".gz"),
        ("zstd", ".zst"),
    ]
    with pytest.raises(Unsupported, match="lz4"):
        compressor_of("lz4")


def test_a_compressor_of_a_third_party_is_taken_as_it_is() -> None:
    class Own(type(NOOP)):  # type: ignore[misc]
        name = "own"

    own = Own()
    assert compressor_of(own) is own
