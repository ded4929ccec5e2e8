"""References to what datasets and volumes hold, kept as snapshots."""

from __future__ import annotations

import json

import eccodes
import numpy as np
import pytest
import xarray
from hypothesis import given
from hypothesis import strategies as st

from holdfast import MemoryStore, interop
from holdfast.datasets.dataset import Dataset
from holdfast.errors import HoldfastError, Integrity, Invalid, ManifestInvalid, Unsupported
from holdfast.interop.references import Range, ReferenceSet, SourceFile
from holdfast.volumes.volume import Volume
from interop_files import CountingStore, hdf5, kept

VALUES = np.random.default_rng(2).random((40, 1000, 10))


def netcdf() -> bytes:
    data = xarray.Dataset({"v": (("t", "y", "x"), VALUES)}, coords={"t": np.arange(40)})
    return bytes(data.to_netcdf(engine="h5netcdf", encoding={"v": {"chunksizes": (1, 1000, 10)}}))


CONTENT = netcdf()


def test_a_file_in_a_dataset_opens_by_the_snapshot_of_its_references():
    store = CountingStore()
    source = Dataset("files", store).write(CONTENT)
    made = interop.make_references(source)
    snapshot = interop.write_references(Dataset("references", store), made, message="all")
    assert snapshot.manifest.lineage.inputs == (f"sha256:{source.files[0].checksum}",)
    assert interop.read_references(snapshot) == made
    store.ranges.clear()
    data = interop.open_references(snapshot)
    assert [path for path, _, _ in store.ranges if path == source.files[0].path] == []
    assert np.array_equal(data["v"][3].values, VALUES[3])
    read = sum(n for path, _, n in store.ranges if path == source.files[0].path)
    assert 0 < read <= 3 << 20 < len(CONTENT)


@pytest.mark.parametrize("size", [100_003, 1 << 20])
def test_a_file_in_a_volume_opens_across_its_blocks(size):
    store = CountingStore()
    snapshot = committed(store, size)
    made = interop.make_references(snapshot)
    data = interop.open_references(interop.write_references(Dataset("refs", store), made))
    assert np.array_equal(data["v"].values, VALUES)
    assert made.files[snapshot.manifest_path].volume == "raw"


def committed(store, size):
    volume = Volume("raw", store, total_length=len(CONTENT))
    blocks = [
        volume.stage_write_at(at, CONTENT[at : at + size]) for at in range(0, len(CONTENT), size)
    ]
    return volume.commit(blocks, {})


def test_a_volume_snapshot_that_is_another_is_not_opened():
    store = MemoryStore()
    made = interop.make_references(committed(store, 1 << 20))
    path, source = next(iter(made.files.items()))
    wrong = SourceFile(path, source.size, "0" * 64, "", source.volume, source.snapshot)
    broken = ReferenceSet(made.refs, {path: wrong})
    with pytest.raises(Integrity):
        interop.open_references(broken, store)["v"].load()


def test_grib_and_other_formats_are_told_apart():
    store = MemoryStore()
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    message = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    data = interop.make_references(Dataset("grib", store).write(message))
    assert interop.open_references(data, store)["t"].shape == (31, 16)
    block = hdf5(lambda f: f.create_dataset("v", data=[1, 2]), userblock_size=2048)
    assert "v/0" in interop.make_references(Dataset("user", store).write(block)).refs
    for name, content in (("three", b"CDF\x01" + bytes(50)), ("text", b"hello"), ("none", b"")):
        with pytest.raises(Unsupported):
            interop.make_references(Dataset(name, store).write(content))


def test_a_compressed_snapshot_is_refused():
    snapshot = Dataset("files", MemoryStore(), compressor="zstd").write(CONTENT)
    with pytest.raises(Unsupported, match="compressed with zstd"):
        interop.make_references(snapshot)


PATH = "d/blob"


def document():
    content = hdf5(lambda f: f.create_dataset("v", data=np.arange(8), chunks=(4,)))
    return json.loads(interop.make_references(kept(MemoryStore(), PATH, content)).to_json())


def broken(change):
    data = document()
    change(data)
    return json.dumps(data).encode()


def with_codec(codec):
    def change(data):
        metadata = json.loads(data["refs"]["v/.zarray"])
        metadata["filters"] = [{"id": codec}]
        data["refs"]["v/.zarray"] = json.dumps(metadata)

    return change


def set_ref(key, value):
    return lambda data: data["refs"].__setitem__(key, value)


HOSTILE = {
    "another file": (set_ref("v/0", ["../../etc/passwd", 0, 9]), ManifestInvalid),
    "beyond the file": (set_ref("v/0", [PATH, 10, 1 << 50]), ManifestInvalid),
    "negative": (set_ref("v/0", [PATH, -1, 4]), ManifestInvalid),
    "a float": (set_ref("v/0", [PATH, 1.5, 4]), ManifestInvalid),
    "a bool": (set_ref("v/0", [PATH, True, 4]), ManifestInvalid),
    "whole files": (set_ref("v/0", [PATH]), ManifestInvalid),
    "no digest": (set_ref("v/9", [PATH, 0, 4]), ManifestInvalid),
    "base64": (set_ref("v/0", "base64:?"), ManifestInvalid),
    "a number": (set_ref("v/0", 5), ManifestInvalid),
    "pickle": (with_codec("pickle"), Unsupported),
    "json2": (with_codec("json2"), Unsupported),
    "zarr 3": (set_ref("v/zarr.json", "{}"), Unsupported),
    "consolidated": (set_ref(".zmetadata", "{}"), Unsupported),
    "metadata in a range": (set_ref("v/.zarray", [PATH, 0, 4]), ManifestInvalid),
    "metadata that is none": (set_ref("v/.zarray", "[1]"), ManifestInvalid),
    "deep metadata": (set_ref("v/.zarray", "[" * 100_000), ManifestInvalid),
    "templates": (lambda d: d.update(templates={"u": "x"}), Unsupported),
    "version": (lambda d: d.update(version=2), Unsupported),
    "format": (lambda d: d["holdfast"].update(format=2), Unsupported),
    "no digests": (lambda d: d.pop("holdfast"), ManifestInvalid),
    "size": (lambda d: d["holdfast"]["files"][PATH].update(size="9"), ManifestInvalid),
    "sha": (lambda d: d["holdfast"]["files"][PATH].update(sha256="9"), ManifestInvalid),
}


@pytest.mark.parametrize(("change", "kind"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_set_is_refused(change, kind):
    with pytest.raises(kind):
        ReferenceSet.from_json(broken(change), "refs.json")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"version":1,"version":1}']
)
def test_what_is_not_a_set_is_refused(data):
    with pytest.raises(ManifestInvalid):
        ReferenceSet.from_json(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_set_or_a_typed_error(data):
    try:
        ReferenceSet.from_json(data)
    except HoldfastError:
        pass


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1).map(lambda k: f"{k}/0"), st.binary()
    )
)
def test_what_is_inline_comes_back_byte_for_byte(values):
    made = ReferenceSet(values, {})
    assert ReferenceSet.from_json(made.to_json()).refs == values


def test_the_json_is_that_of_its_page():
    made = ReferenceSet(
        {
            ".zgroup": b'{"zarr_format":2}',
            "t/0": Range("d/blob", 8, 4, "a" * 64),
            "t/1": b"\xff\x00",
        },
        {"d/blob": SourceFile("d/blob", 12, "b" * 64)},
        {"t": {"scale_factor": "<f4"}},
        ("t@where",),
    )
    assert made.to_json(root="s3://x/") == (
        b'{"version":1,"refs":{".zgroup":"{\\"zarr_format\\":2}","t/0":["s3://x/d/blob",8,4],'
        b'"t/1":"base64:/wA="},"holdfast":{"format":1,"files":{"d/blob":{"size":12,"sha256":"'
        + b"b" * 64
        + b'"}},"ranges":{"t/0":"'
        + b"a" * 64
        + b'"},"attribute_types":{"t":{"scale_factor":"<f4"}},"left_out":["t@where"]}}'
    )


def test_records_are_not_references():
    with pytest.raises(Invalid, match="not a raw file"):
        interop.read_references(Dataset("rows", MemoryStore()).write([{"a": 1}]))
