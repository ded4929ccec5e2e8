"""Reference sets and the files below them, made by somebody who means no good."""

from __future__ import annotations

import struct
import sys

import h5py
import numpy as np
import pytest

from holdfast.errors import Invalid, Unsupported
from holdfast.interop import hdf5_attributes
from holdfast.interop.hdf5_references import hdf5_references
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
