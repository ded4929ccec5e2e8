"""Verified reads (spec/datasets.md §9.2)."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.digests import digest
from holdfast.errors import Integrity, Invalid, NotFound, Unsupported
from holdfast.snapshotting import verified_file
from holdfast.snapshotting.block_hashes import BLOCK, BlockHasher, sidecar_path
from holdfast.snapshotting.verified_file import VerifiedFile
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore

PATH = "d/file.bin"


class Counting(MemoryStore):
    """A store in memory that counts its reads."""

    def __init__(self):
        super().__init__()
        self.reads = []

    def read_range(self, path, offset, length):
        self.reads.append((path, offset, length))
        return super().read_range(path, offset, length)

    def damage(self, path, at):
        data = bytearray(self._files[path])
        data[at] ^= 1
        self._files[path] = bytes(data)


def patterned(size):
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


def stored(data, store=None, *, sidecar=True, checksum="sha256", **options):
    """(store, file) with `data` in it."""
    store = Counting() if store is None else store
    store.put(PATH, data)
    hasher = BlockHasher()
    hasher.update(data)
    blocks_sha256 = hasher.blocks_sha256 if sidecar else ""
    if blocks_sha256:
        store.put(sidecar_path(PATH), hasher.sidecar())
    known = digest(data, checksum) if checksum else None
    options.setdefault("size", len(data))
    return store, VerifiedFile(store, PATH, checksum=known, blocks_sha256=blocks_sha256, **options)


LARGE = patterned(3 * BLOCK + 17)
WAYS = [
    pytest.param({}, id="block hashes"),
    pytest.param({"sidecar": False}, id="checksum only"),
    pytest.param({"sidecar": False, "checksum": "md5"}, id="md5"),
    pytest.param({"sidecar": False, "checksum": "blake2b-16"}, id="blake2b-16"),
    pytest.param({"sidecar": False, "checksum": ""}, id="size only"),
    pytest.param({"checksum": ""}, id="block hashes only"),
    pytest.param({"verify": "off"}, id="not verified"),
    pytest.param({"sidecar": False, "verify_ranges": "off"}, id="ranges not verified"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("data", [b"", b"small", LARGE[:BLOCK], LARGE], ids=len)
def test_every_way_of_reading_gives_the_bytes(tmp_path, way, data):
    _, file = stored(data, FileSystemStore(tmp_path), **way)
    assert file.read_at(0, len(data)) == data
    assert file.read_at(1, 10) == data[1:11]
    assert file.read_all() == data
    assert b"".join(file.stream()) == data
    assert b"".join(file.stream(3 * BLOCK)) == data
    assert file.open().read() == data


@given(
    reads=st.lists(
        st.tuples(st.integers(0, len(LARGE) + 9), st.integers(0, len(LARGE))), max_size=12
    ),
    keep=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_ranges_in_any_order_are_slices(reads, keep):
    _, file = stored(LARGE, keep_blocks=keep)
    for offset, length in reads:
        assert file.read_at(offset, length) == LARGE[offset : offset + length]


def test_a_verified_block_is_neither_read_nor_hashed_again(monkeypatch):
    store, file = stored(LARGE)
    file.read_at(BLOCK + 5, 100)
    store.reads.clear()
    monkeypatch.setattr(verified_file, "hash_blocks", None)
    for offset in range(BLOCK, 2 * BLOCK, 4096):
        assert file.read_at(offset, 4096) == LARGE[offset : offset + 4096]
    assert store.reads == []


def test_only_the_blocks_that_a_range_touches_are_read():
    store, file = stored(LARGE)
    file.read_at(BLOCK + 5, 100)
    assert [r for r in store.reads if r[0] == PATH] == [(PATH, BLOCK, BLOCK)]
    file.read_at(2 * BLOCK - 5, 10)
    assert [r for r in store.reads if r[0] == PATH][1:] == [(PATH, 2 * BLOCK, BLOCK)]


def test_a_small_file_is_read_once():
    store, file = stored(b"small file")
    assert file.read_at(0, 5) + file.read_at(5, 5) == b"small file"
    assert len(store.reads) == 1


def test_damage_is_found_in_the_block_that_has_it_and_only_there():
    store, file = stored(LARGE)
    store.damage(PATH, 2 * BLOCK + 3)
    assert file.read_at(0, 2 * BLOCK) == LARGE[: 2 * BLOCK]
    with pytest.raises(Integrity, match=PATH) as caught:
        file.read_at(2 * BLOCK - 1, 2)
    assert caught.value.offset == 2 * BLOCK
    with pytest.raises(Integrity):
        file.read_all()
    handed_out = []
    with pytest.raises(Integrity):
        handed_out.extend(file.stream())
    assert b"".join(handed_out) == LARGE[: 2 * BLOCK]


@pytest.mark.parametrize("checksum", ["sha256", "md5", "blake2b-16"])
@pytest.mark.parametrize("data", [b"small", LARGE], ids=len)
def test_damage_is_found_by_the_checksum(checksum, data):
    store, file = stored(data, sidecar=False, checksum=checksum)
    store.damage(PATH, 1)
    with pytest.raises(Integrity, match=checksum):
        file.read_all()
    with pytest.raises(Integrity, match=checksum):
        file.read_at(2, 1)
    handed_out = []
    with pytest.raises(Integrity):
        handed_out.extend(file.stream())
    assert len(b"".join(handed_out)) < len(data)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrong", [-1, 1, 1 << 62])
@pytest.mark.parametrize("data", [b"small", LARGE], ids=len)
def test_another_size_is_found_whatever_is_verified(way, wrong, data):
    _, file = stored(data, size=len(data) + wrong, **way)
    with pytest.raises(Integrity, match="expected"):
        file.read_all()
    with pytest.raises(Integrity):
        file.read_at(0, 1)
    with pytest.raises(Integrity):
        list(file.stream())


@pytest.mark.parametrize("harm", ["gone", "damaged", "short"])
def test_without_a_sound_sidecar_the_checksum_decides(harm):
    store, file = stored(LARGE)
    blocks = store.get(sidecar_path(PATH))
    store.delete(sidecar_path(PATH))
    if harm != "gone":
        store.put(sidecar_path(PATH), b"x" * 32 + blocks[32:] if harm == "damaged" else blocks[:9])
    assert file.read_at(BLOCK, 10) == LARGE[BLOCK : BLOCK + 10]
    assert file.read_all() == LARGE


def test_without_a_sound_sidecar_and_a_checksum_nothing_is_believed():
    store, file = stored(LARGE, checksum="")
    blocks = store.get(sidecar_path(PATH))
    store.delete(sidecar_path(PATH))
    with pytest.raises(NotFound, match=r"\.blk"):
        file.read_at(BLOCK, 10)
    store.put(sidecar_path(PATH), blocks[:-1] + b"x")
    with pytest.raises(Integrity, match=r"\.blk"):
        file.read_at(BLOCK, 10)


def test_the_policy_can_refuse_ranges_that_cannot_be_verified():
    _, file = stored(LARGE, sidecar=False, verify_ranges="refuse")
    with pytest.raises(Unsupported):
        file.read_at(0, 10)
    assert file.read_all() == LARGE
    _, file = stored(b"small", sidecar=False, verify_ranges="refuse")
    assert file.read_at(0, 5) == b"small"


def test_a_file_too_large_to_keep_is_checked_whole_once_and_then_read_in_ranges(monkeypatch):
    monkeypatch.setattr(verified_file, "KEPT_WHOLE", BLOCK)
    store, file = stored(LARGE, sidecar=False)
    assert file.read_at(5, 10) == LARGE[5:15]
    store.reads.clear()
    assert file.read_at(BLOCK, 10) == LARGE[BLOCK : BLOCK + 10]
    assert store.reads == [(PATH, BLOCK, 10)]
    store, file = stored(LARGE, sidecar=False)
    store.damage(PATH, 5)
    with pytest.raises(Integrity):
        file.read_at(BLOCK, 10)


def test_a_file_that_is_gone_is_not_found():
    store, file = stored(LARGE)
    store.delete(PATH)
    for read in (file.read_all, lambda: file.read_at(0, 1), lambda: list(file.stream())):
        with pytest.raises(NotFound):
            read()


def test_negative_numbers_are_refused():
    _, file = stored(b"small")
    for offset, length in ((-1, 1), (1, -1)):
        with pytest.raises(Invalid):
            file.read_at(offset, length)


def test_the_reader_behaves_as_a_file():
    _, file = stored(LARGE)
    with file.open() as reader:
        assert reader.readable()
        assert reader.seekable()
        assert not reader.writable()
        assert reader.seek(-17, io.SEEK_END) == 3 * BLOCK
        assert reader.read(5) == LARGE[-17:-12]
        assert reader.tell() == 3 * BLOCK + 5
        assert reader.read() == LARGE[-12:]
        assert reader.read(1) == b""
        assert reader.seek(2) == 2
        assert reader.seek(3, io.SEEK_CUR) == 5
        buffer = bytearray(10)
        assert reader.readinto(buffer) == 10
        assert buffer == LARGE[5:15]
        with pytest.raises(Invalid):
            reader.seek(-1)
    with pytest.raises(Invalid):
        reader.read(1)
    assert file.read_at(0, 3) == LARGE[:3]


def test_the_reader_works_below_a_buffer_and_pyarrow():
    import pyarrow as pa

    _, file = stored(LARGE)
    with io.BufferedReader(file.open()) as buffered:
        buffered.seek(BLOCK - 1)
        assert buffered.read(3) == LARGE[BLOCK - 1 : BLOCK + 2]
    with pa.PythonFile(file.open(), mode="r") as arrow:
        assert arrow.size() == len(LARGE)
        arrow.seek(BLOCK)
        assert arrow.read(4) == LARGE[BLOCK : BLOCK + 4]


def test_blocks_are_checked_again_though_the_whole_file_was_read_before():
    store, file = stored(LARGE)
    assert file.read_all() == LARGE
    store.damage(PATH, BLOCK + 5)
    with pytest.raises(Integrity):
        file.read_at(BLOCK, 10)
