"""References into HDF5 files: every layout, filter and type that they map reads back equal."""

from __future__ import annotations

import hashlib
import math

import h5py
import hdf5plugin
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Integrity, Invalid, NotFound, Unsupported
from holdfast.interop.hdf5_references import cut, hdf5_references
from holdfast.interop.references import Range, ReferenceSet
from holdfast.interop.zarr_store import ReferenceStore
from interop_files import CountingStore, hdf5, kept

RANDOM = np.random.default_rng(3)


def opened(fill, **options):
    """The group that references to the file of `fill` make, the set, and its store."""
    store = CountingStore()
    file = kept(store, "files/a.h5", hdf5(fill, **options))
    references = ReferenceSet.from_json(hdf5_references(file).to_json())
    group = zarr.open_group(ReferenceStore(references, store), mode="r", zarr_format=2)
    return group, references, store


FILTERS = {
    "none": {},
    "deflate": {"compression": "gzip", "compression_opts": 6},
    "shuffle and deflate": {"compression": "gzip", "shuffle": True},
    "fletcher32": {"fletcher32": True},
    "all three": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "zstd": dict(hdf5plugin.Zstd(clevel=5)),
    "blosc": dict(hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=1)),
    "bzip2": dict(hdf5plugin.BZip2()),
}


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2", ">u4"])
def test_chunks_with_filters_read_back_equal_at_the_edges_too(filters, dtype):
    values = (RANDOM.random((17, 23)) * 1000).astype(dtype)
    group, references, _ = opened(
        lambda f: f.create_dataset("v", data=values, chunks=(5, 8), **filters)
    )
    assert np.array_equal(group["v"][:], values)
    assert group["v"].dtype == np.dtype(dtype)
    assert sum(key.startswith("v/") for key in references.refs) == 12 + 2


@pytest.mark.parametrize("first", [0, 1], ids=["all", "some"])
def test_chunks_that_skipped_a_filter_which_gains_nothing_read_back_equal(first):
    values = np.zeros((4, 64))
    values[first:] = RANDOM.random(values[first:].shape)
    lz4 = hdf5plugin.Blosc(cname="lz4", shuffle=0)
    group, _, _ = opened(lambda f: f.create_dataset("v", data=values, chunks=(1, 64), **lz4))
    assert np.array_equal(group["v"][:], values)


TYPES = {
    "bool": np.array([True, False, True]),
    "complex": np.array([1 + 2j, 3 - 4j], "<c8"),
    "half": np.array([1.5, 2.5], "<f2"),
    "fixed strings": np.array([b"ab", b"cdefg"], "S5"),
    "characters": np.array([[b"a", b"b"]], "S1"),
    "compound": np.array([(1, 2.5), (3, 4.5)], [("a", "<i4"), ("b", "<f8")]),
    "int64": np.array([2**63 - 1, -(2**63)]),
    "scalar": np.array(4.25, ">f8"),
    "empty": np.empty((0, 3), "<f4"),
}


@pytest.mark.parametrize("values", TYPES.values(), ids=TYPES)
def test_types_read_back_equal(values):
    group, _, _ = opened(lambda f: f.create_dataset("v", data=values))
    assert group["v"].dtype == values.dtype
    assert np.array_equal(group["v"][...], values)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_strings_of_variable_length_go_into_the_set(shape):
    values = np.full(shape, "", dtype=object)
    values[...] = "grüße"
    group, references, _ = opened(
        lambda f: f.create_dataset("v", data=values, dtype=h5py.string_dtype())
    )
    assert np.array_equal(np.asarray(group["v"][...], dtype=object), values)
    assert not any(isinstance(r, Range) for r in references.refs.values())


def test_a_compact_dataset_goes_into_the_set():
    def fill(file):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((4,))
        data = h5py.h5d.create(file.id, b"v", h5py.h5t.IEEE_F32BE, space, plist)
        data.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(4, dtype=">f4"))

    group, references, _ = opened(fill)
    assert isinstance(references.refs["v/0"], bytes)
    assert group["v"][:].tolist() == [0, 1, 2, 3]


def test_chunks_that_were_never_written_are_the_fill_value():
    def fill(file):
        data = file.create_dataset("v", (10, 10), "<i4", chunks=(5, 5), fillvalue=-7)
        data[:5, :5] = 1
        file.create_dataset("w", (3,), "<f8", fillvalue=math.nan)

    group, references, _ = opened(fill)
    assert group["v"][:].sum() == 25 - 7 * 75
    assert np.isnan(group["w"][:]).all()
    assert [k for k, r in references.refs.items() if isinstance(r, Range)] == ["v/0.0"]


def test_a_user_block_before_the_file_shifts_every_range():
    values = np.arange(60).reshape(6, 10)

    def fill(file):
        file.create_dataset("chunked", data=values, chunks=(4, 4), compression="gzip")
        file.create_dataset("whole", data=values)

    group, _, _ = opened(fill, userblock_size=1024)
    assert np.array_equal(group["chunked"][:], values)
    assert np.array_equal(group["whole"][:], values)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("maxshape", [None, (None, 9), (None, None)])
def test_every_chunk_index_of_hdf5_is_read(libver, maxshape):
    values = RANDOM.integers(0, 99, (13, 9))
    group, _, _ = opened(
        lambda f: f.create_dataset("v", data=values, chunks=(4, 4), maxshape=maxshape),
        libver=libver,
    )
    assert np.array_equal(group["v"][:], values)


def test_a_large_contiguous_dataset_is_cut_into_pieces():
    values = np.arange(3 << 20, dtype="<f8").reshape(3, 1 << 20)
    group, references, store = opened(lambda f: f.create_dataset("v", data=values))
    assert group["v"].chunks == (1, 1 << 20)
    store.ranges.clear()
    assert np.array_equal(group["v"][1, :10], values[1, :10])
    assert sum(length for _, _, length in store.ranges) < 10 << 20
    assert len([r for r in references.refs.values() if isinstance(r, Range)]) == 3


@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=4).map(tuple), st.sampled_from([1, 4, 8])
)
def test_pieces_of_a_contiguous_dataset_are_of_equal_size_and_lie_one_after_the_other(shape, item):
    chunks = cut(shape, item)
    assert all(n % c == 0 for n, c in zip(shape, chunks, strict=True))
    assert math.prod(n // c for n, c in zip(shape, chunks, strict=True)) <= 1 << 16
    whole = next((i for i, c in enumerate(chunks) if c != 1), len(shape))
    assert chunks[whole + 1 :] == shape[whole + 1 :]


def test_each_range_is_named_with_the_digest_of_its_bytes_and_the_file_with_its_own():
    _, references, store = opened(lambda f: f.create_dataset("v", data=np.arange(9), chunks=(4,)))
    data = store.get("files/a.h5")
    ranges = [r for r in references.refs.values() if isinstance(r, Range)]
    assert len(ranges) == 3
    for r in ranges:
        assert hashlib.sha256(data[r.offset : r.offset + r.length]).hexdigest() == r.sha256
    assert references.files["files/a.h5"].sha256 == hashlib.sha256(data).hexdigest()


def test_a_damaged_chunk_is_never_handed_out():
    values = RANDOM.random(1 << 18)
    store = CountingStore()
    content = hdf5(lambda f: f.create_dataset("v", data=values, chunks=(1 << 16,)))
    references = hdf5_references(kept(store, "a.h5", content))
    lost = references.refs["v/2"]
    broken = bytearray(content)
    broken[lost.offset + 5] ^= 1
    store.delete("a.h5")
    store.put("a.h5", bytes(broken))
    array = zarr.open_array(ReferenceStore(references, store), path="v", mode="r")
    with pytest.raises(Integrity):
        array[2 << 16 :]


def test_the_digest_of_a_range_is_checked_where_the_file_below_checks_nothing():
    store = CountingStore()
    content = hdf5(lambda f: f.create_dataset("v", data=np.arange(9), chunks=(4,)))
    references = hdf5_references(kept(store, "a.h5", content))

    class Unchecked:
        def read_at(self, offset, length):
            return bytes(length)

    array = zarr.open_array(ReferenceStore(references, lambda file: Unchecked()), path="v")
    with pytest.raises(Integrity, match=r"reading v/0 from a\.h5 at offset"):
        array[:]


def test_groups_and_attributes_are_kept():
    def fill(file):
        file.attrs["title"] = "T"
        file.create_dataset("g/h/v", data=np.arange(3)).attrs["units"] = "K"

    group, _, _ = opened(fill)
    assert group.attrs["title"] == "T"
    assert group["g/h/v"].attrs["units"] == "K"


def test_dimensions_are_those_of_the_scales_and_made_up_where_there_are_none():
    def fill(file):
        file["x"] = np.arange(3)
        file["x"].make_scale("x")
        file["v"] = np.zeros((3, 4, 4))
        file["v"].dims[0].attach_scale(file["x"])

    group, _, _ = opened(fill)
    assert group["x"].attrs["_ARRAY_DIMENSIONS"] == ["x"]
    assert group["v"].attrs["_ARRAY_DIMENSIONS"] == ["x", "phony_dim_0", "phony_dim_1"]


def test_attributes_that_json_cannot_hold_are_named_as_left_out():
    def fill(file):
        file["v"] = np.zeros(3)
        file["v"].attrs["where"] = file["v"].ref

    _, references, _ = opened(fill)
    assert references.left_out == ("v@where",)


UNSUPPORTED = {
    "lzf": lambda f: f.create_dataset("v", data=np.arange(9), compression="lzf"),
    "scale-offset": lambda f: f.create_dataset("v", data=np.arange(9), scaleoffset=4, chunks=True),
    "lz4": lambda f: f.create_dataset("v", data=np.arange(9), chunks=(9,), **hdf5plugin.LZ4()),
    "reference": lambda f: f.create_dataset("v", data=f.ref, dtype=h5py.ref_dtype),
    "sequences": lambda f: f.create_dataset("v", (2,), dtype=h5py.vlen_dtype(np.int32)),
    "no shape": lambda f: f.create_dataset("v", data=h5py.Empty("f4")),
    "other files": lambda f: f.create_dataset("v", (8,), "<f8", external=[("/etc/x", 0, 64)]),
}


@pytest.mark.parametrize("fill", UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_zarr_has_no_word_for_is_refused_by_the_name_of_the_variable(fill):
    def both(file):
        file["good"] = np.arange(3)
        fill(file)

    file = kept(CountingStore(), "a.h5", hdf5(both))
    with pytest.raises(Unsupported, match="variable v: "):
        hdf5_references(file)
    assert "v/.zarray" not in hdf5_references(file, skip=["v"]).refs
    assert "good/.zarray" in hdf5_references(file, variables=["good"]).refs


def test_a_virtual_dataset_is_refused():
    def fill(file):
        layout = h5py.VirtualLayout((4,), "<f8")
        layout[:] = h5py.VirtualSource("/etc/other.h5", "x", shape=(4,))
        file.create_virtual_dataset("v", layout)

    with pytest.raises(Unsupported, match="data in other files"):
        hdf5_references(kept(CountingStore(), "a.h5", hdf5(fill)))


def test_a_link_to_another_file_is_not_followed():
    def fill(file):
        file["x"] = h5py.ExternalLink("/etc/other.h5", "/x")

    with pytest.raises(Unsupported, match="x: a link to another file"):
        hdf5_references(kept(CountingStore(), "a.h5", hdf5(fill)))


def test_groups_that_hold_themselves_are_refused():
    def fill(file):
        group = file.create_group("g")
        group["self"] = group

    with pytest.raises(Unsupported, match="reached by several links"):
        hdf5_references(kept(CountingStore(), "a.h5", hdf5(fill)))


def test_a_variable_that_is_not_there_is_not_found():
    file = kept(CountingStore(), "a.h5", hdf5(lambda f: f.create_dataset("v", data=[1])))
    with pytest.raises(NotFound, match="no variable w"):
        hdf5_references(file, variables=["w"])


@pytest.mark.parametrize("data", [b"", b"not HDF5 at all" * 99, b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_a_file_that_is_not_hdf5_is_invalid(data):
    with pytest.raises(Invalid):
        hdf5_references(kept(CountingStore(), "a.h5", data))


def test_damage_below_is_told_as_damage_and_not_as_a_wrong_format():
    store = CountingStore()
    file = kept(store, "a.h5", hdf5(lambda f: f.create_dataset("v", data=np.arange(9))))
    data = bytearray(store.get("a.h5"))
    data[40] ^= 1
    store.delete("a.h5")
    store.put("a.h5", bytes(data))
    with pytest.raises(Integrity):
        hdf5_references(file)
