"""Reference sets and the files below them, made by somebody who means no good."""

from __future__ import annotations

import base64
import bz2
import hashlib
import json
import struct
import sys

import h5py
import numpy as np
import pytest

from holdfast.errors import HoldfastError, Invalid, ManifestInvalid, Unsupported
from holdfast.interop import hdf5_attributes
from holdfast.interop.hdf5_references import hdf5_references
from holdfast.interop.references import ReferenceSet
from holdfast.interop.xarray import open_reference_set
from interop_files import CountingStore, hdf5, kept

# The package has a function of this name.
MODULE = sys.modules[hdf5_references.__module__]


def referenced(data):
    return hdf5_references(kept(CountingStore(), "files/a.h5", data))


def text_attribute(file):
    file.attrs["text"] = "of any length"
    file.create_dataset("v", data=np.arange(3))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_heap_whose_object_leads_to_itself_is_refused_before_the_library_follows_it(libver):
    data = bytearray(hdf5(text_attribute, libver=libver))
    heap = data.index(b"GCOL")
    # The first object: free space of no bytes.
    data[heap + 16 : heap + 32] = bytes(16)
    with pytest.raises(Invalid, match="leads to the next") as caught:
        referenced(bytes(data))
    assert caught.value.offset == heap + 16
    data[heap + 16 : heap + 32] = struct.pack("<HHIQ", 1, 1, 0, 2**64 - 16)
    with pytest.raises(Invalid, match="leads to the next"):
        referenced(bytes(data))


def test_heaps_of_many_objects_pass():
    def fill(file):
        file.attrs["texts"] = ["x" * n for n in range(300)]
        file.create_dataset("s", data=["y" * n for n in range(300)], dtype=h5py.string_dtype())

    assert b"x" * 299 in referenced(hdf5(fill)).refs[".zattrs"]


def test_strings_that_are_only_said_to_be_there_are_not_made(monkeypatch):
    monkeypatch.setattr(MODULE, "INLINE_STRINGS", 1000)

    def fill(file):
        file.create_dataset("s", (251,), dtype=h5py.string_dtype(), chunks=(100,))

    with pytest.raises(Unsupported, match="strings of more than 1000"):
        referenced(hdf5(fill))


def test_a_large_attribute_is_left_out(monkeypatch):
    monkeypatch.setattr(hdf5_attributes, "MOST_ITEMS", 100)

    def fill(file):
        file.attrs["large"], file.attrs["small"] = np.arange(101), np.arange(100)

    references = referenced(hdf5(fill))
    assert references.left_out == ("@large",)
    assert b'"small"' in references.refs[".zattrs"]


def test_a_huge_chunk_that_skips_a_filter_is_not_made(monkeypatch):
    monkeypatch.setattr(MODULE, "MOST_AGAIN", 1000)

    def fill(file):
        data = file.create_dataset("v", (400,), "<f8", chunks=(200,), compression="gzip")
        data[200:] = 1.0
        data.id.write_direct_chunk((0,), bytes(1600), filter_mask=1)

    with pytest.raises(Unsupported, match="more than 1000 bytes skips"):
        referenced(hdf5(fill))


# Reference sets

BYTES = bytes(range(256))


def reference_set(refs=(), types=(), attributes=(), **array):
    """A set of one coordinate, x, with the changes that are given."""
    metadata = {
        "zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "<f8", "compressor": None,
        "filters": None, "fill_value": None, "order": "C",
    }  # fmt: skip
    known = {
        "format": 1,
        "files": {"a": {"size": 256, "sha256": hashlib.sha256(BYTES).hexdigest()}},
        "ranges": dict.fromkeys(("x/0", *dict(refs)), hashlib.sha256(BYTES[:32]).hexdigest()),
        "attribute_types": dict(types),
    }
    all_refs = {
        ".zgroup": '{"zarr_format": 2}',
        "x/.zarray": json.dumps(metadata | array),
        "x/.zattrs": json.dumps({"_ARRAY_DIMENSIONS": ["x"], **dict(attributes)}),
        "x/0": ["a", 0, 32],
        **dict(refs),
    }
    return json.dumps({"version": 1, "refs": all_refs, "holdfast": known}).encode()


def opened(data):
    store = CountingStore()
    store.put("a", BYTES)
    return open_reference_set(ReferenceSet.from_json(data), store)


def test_the_set_of_these_tests_opens_as_long_as_nothing_is_changed():
    assert opened(reference_set())["x"].size == 4


@pytest.mark.parametrize(
    "array",
    [
        {"shape": [-1]}, {"shape": ["4"]}, {"shape": 4}, {"shape": [2**63]}, {"shape": [4.5]},
        {"shape": []}, {"shape": [1] * 33, "chunks": [1] * 33}, {"chunks": [0]},
        {"chunks": [-1]}, {"chunks": [4, 4]}, {"chunks": None}, {"dtype": None}, {"dtype": 5},
        {"dtype": [["a"]]}, {"dtype": []}, {"order": "Z"}, {"dimension_separator": "../"},
        {"zarr_format": 3}, {"filters": "zlib"}, {"filters": [None]}, {"filters": [5]},
        {"compressor": 5}, {"compressor": {"id": ["zlib"]}}, {"compressor": {}},
    ],
    ids=str,
)  # fmt: skip
def test_metadata_that_break_a_rule_are_refused_before_anybody_trusts_them(array):
    with pytest.raises(ManifestInvalid, match=r"refs\[x/\.zarray\]"):
        ReferenceSet.from_json(reference_set(**array))


@pytest.mark.parametrize("key", [".zgroup", "x/.zattrs", "x/.zarray"])
@pytest.mark.parametrize("value", ["5", "[]", "null", "{", "[" * 100_000, ["a", 0, 32]])
def test_documents_that_are_no_objects_are_refused(key, value):
    with pytest.raises(ManifestInvalid, match=r"Zarr metadata|in a range"):
        ReferenceSet.from_json(reference_set({key: value}))


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "evil"}, {"dtype": "|O"}, {"dtype": [["a", "|O"]]}, {"fill_value": {"a": 1}},
        {"shape": [2**40]}, {"compressor": {"id": "zlib"}},
        {"compressor": {"id": "bz2"}}, {"compressor": {"id": "blosc"}},
        {"compressor": {"id": "grib"}}, {"filters": [{"id": "shuffle", "elementsize": "a"}]},
        {"refs": {"../x/.zgroup": '{"zarr_format": 2}'}},
        {"attributes": {"_ARRAY_DIMENSIONS": 5}}, {"attributes": {"_ARRAY_DIMENSIONS": [["x"]]}},
        {"attributes": {"coordinates": 5}}, {"attributes": {"_FillValue": {}}},
        {"attributes": {"units": "days since 0000-99-99"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_xarray_makes_of_a_hostile_set_is_a_typed_error_or_a_dataset(changes):
    data = reference_set(**changes)
    try:
        opened(data)
    except HoldfastError:
        pass


def test_the_coordinate_of_a_set_does_not_become_more_than_its_chunk_says():
    bomb = base64.b64encode(bz2.compress(bytes(1 << 20))).decode()
    with pytest.raises(Invalid, match="opening"):
        opened(reference_set({"x/0": f"base64:{bomb}"}, compressor={"id": "bz2"}))


def test_a_coordinate_of_very_many_values_is_not_read_for_an_index(monkeypatch):
    monkeypatch.setattr(sys.modules[open_reference_set.__module__], "MOST_INDEXED", 3)
    with pytest.raises(Unsupported, match="coordinate x of 4 values"):
        opened(reference_set())


@pytest.mark.parametrize("dtype", ["<U999999999", "100000000f8", "(9,)f8", "|O", "f4,f4", "<M8[s]"])
def test_types_of_attributes_that_are_no_numbers_change_nothing(dtype):
    data = opened(reference_set(types={"x": {"level": dtype}}, attributes={"level": 2.0}))
    assert data["x"].attrs["level"] == 2.0
