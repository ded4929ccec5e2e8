"""Block hashes (spec/datasets.md §9.2)."""

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.digests import sha256_hex
from holdfast.errors import Invalid, Unsupported
from holdfast.snapshotting.block_hashes import (
    BLOCK,
    BlockHasher,
    block_count,
    has_sidecar,
    hash_blocks,
    sidecar_path,
)


def patterned(size):
    return (b"0123456789abcde" * (size // 15 + 1))[:size]


def by_hand(data):
    return [hashlib.sha256(data[at : at + BLOCK]).digest() for at in range(0, len(data), BLOCK)]


def test_golden_sidecar_of_a_mebibyte_and_a_byte():
    hasher = BlockHasher()
    hasher.update(b"\0" * BLOCK + b"x")
    assert hasher.sidecar().hex() == (
        "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58"
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    )
    assert hasher.blocks_sha256 == sha256_hex(hasher.sidecar())


def test_files_below_a_mebibyte_have_no_sidecar():
    assert not has_sidecar(BLOCK - 1)
    assert has_sidecar(BLOCK)
    hasher = BlockHasher()
    hasher.update(b"small")
    assert hasher.blocks_sha256 == ""
    assert sidecar_path("a/b.bin") == "a/b.bin.blk"


@pytest.mark.parametrize("background", [False, True])
@given(
    total=st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 7]),
    cuts=st.lists(st.integers(1, 3 * BLOCK), max_size=6),
)
@settings(max_examples=25, deadline=None)
def test_pieces_of_any_size_give_the_same_hashes(background, total, cuts):
    data = patterned(total)
    with BlockHasher(("sha256", "md5"), background=background) as hasher:
        at = 0
        for cut in cuts:
            hasher.update(memoryview(data)[at : at + cut])
            at += cut
        hasher.update(data[at:])
        assert hasher.size == total
        assert hasher.sidecar() == b"".join(by_hand(data))
        assert hasher.sha256_hex == sha256_hex(data)
        assert hasher.checksum("md5").hex == hashlib.md5(data).hexdigest()
        assert block_count(total) * 32 == len(hasher.sidecar())


def test_the_caller_may_use_its_buffer_again():
    buffer = bytearray(patterned(BLOCK))
    with BlockHasher(background=True) as hasher:
        hasher.update(buffer)
        buffer[:] = b"\0" * BLOCK
        assert hasher.sidecar() == b"".join(by_hand(patterned(BLOCK)))


@pytest.mark.parametrize("size", [0, 1, BLOCK, 9 * BLOCK + 1])
def test_large_data_hashed_on_threads_gives_the_same(size):
    data = patterned(size)
    assert hash_blocks(data) == by_hand(data)


def test_arrays_of_any_shape_are_hashed_as_their_bytes():
    import numpy

    array = numpy.arange(300_000, dtype="<i8").reshape(300, 1000)
    for view in (array, array[:, ::2], numpy.zeros((0, 3))):
        hasher = BlockHasher()
        hasher.update(view)
        assert hasher.sha256_hex == sha256_hex(view.tobytes())


def test_a_hasher_that_has_ended_takes_nothing():
    hasher = BlockHasher()
    hasher.sidecar()
    with pytest.raises(Invalid):
        hasher.update(b"more")


def test_a_digest_that_was_not_asked_for_is_refused():
    with pytest.raises(Invalid, match="md5"):
        BlockHasher().checksum("md5")
    with pytest.raises(Unsupported):
        BlockHasher(("crc32",))


def test_what_stops_the_hashing_thread_is_raised_and_no_wrong_digest_is_given(monkeypatch):
    hasher = BlockHasher(background=True)
    hasher.update(patterned(BLOCK))

    def fail(block):
        raise MemoryError

    monkeypatch.setattr(hasher._worker, "_take", fail)
    # More than may wait: it does not hang either.
    with pytest.raises(MemoryError):
        hasher.update(patterned(20 * BLOCK))
    with pytest.raises(MemoryError):
        hasher.checksum()


def test_a_forked_child_neither_hangs_nor_hashes_on():
    with BlockHasher(background=True) as hasher:
        hasher.update(patterned(BLOCK))
        child = os.fork()
        if child == 0:
            try:
                hasher.update(patterned(BLOCK))
            except Invalid:
                hasher.close()
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert hasher.sha256_hex == sha256_hex(patterned(BLOCK))
