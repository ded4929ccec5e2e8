"""Reference sets opened by xarray: lazily, and equal to the file opened by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray

from holdfast.interop.hdf5_references import hdf5_references
from holdfast.interop.references import ReferenceSet
from holdfast.interop.xarray import open_reference_set
from interop_files import CountingStore, kept

RANDOM = np.random.default_rng(5)


def weather() -> xarray.Dataset:
    """Times, a variable to pack with missing values, strings, flags, coordinates of two axes."""
    time = pd.date_range("2024-02-27", periods=7, freq="6h", unit="ns")
    temperature = (RANDOM.random((7, 12, 20)) * 60 - 20).round(1)
    temperature[2, 3:5, 7] = np.nan
    return xarray.Dataset(
        {
            "temperature": (("time", "lat", "lon"), temperature, {"units": "degC", "n": 3}),
            "pressure": (("time", "lat", "lon"), RANDOM.random((7, 12, 20)).astype("f4")),
            "station": (("lat",), np.array([f"näme {i}" for i in range(12)], dtype=object)),
            "flags": (("lat", "lon"), RANDOM.random((12, 20)) > 0.5),
            "scalar": ((), 4.5),
            "since": (("lat",), np.arange(12).astype("m8[h]").astype("m8[ns]")),
        },
        coords={
            "time": time,
            "lat": np.linspace(-5, 6, 12),
            "lon": np.linspace(0, 19, 20, dtype="f4"),
            "area": (("lat", "lon"), RANDOM.random((12, 20))),
        },
        attrs={"title": "weather", "levels": np.array([1, 2, 3], "i4"), "one": np.float32(0.1)},
    )


PACKED = {
    "dtype": "i2",
    "scale_factor": np.float32(0.1),
    "add_offset": np.float32(-20),
    "_FillValue": np.int16(-999),
    "zlib": True,
    "shuffle": True,
    "chunksizes": (2, 5, 8),
}


def written(path, data, engine, **encoding):
    data.to_netcdf(path, engine=engine, encoding=encoding)
    return path.read_bytes()


@pytest.fixture(params=["netcdf4", "h5netcdf"])
def case(request, tmp_path):
    path = tmp_path / "a.nc"
    content = written(
        path,
        weather(),
        request.param,
        temperature=PACKED,
        pressure={"fletcher32": True, "chunksizes": (7, 12, 20)},
    )
    store = CountingStore()
    made = hdf5_references(kept(store, "files/a.nc", content))
    return path, ReferenceSet.from_json(made.to_json()), store


def test_the_dataset_is_identical_to_the_file_opened_by_h5netcdf(case):
    path, references, store = case
    ours = open_reference_set(references, store)
    with xarray.open_dataset(path, engine="h5netcdf") as theirs:
        xarray.testing.assert_identical(ours.load(), theirs.load())
        for name, variable in ours.variables.items():
            if variable.dtype.kind not in "OUT":  # strings: one of these
                assert variable.dtype == theirs.variables[name].dtype, name
        assert ours.attrs["one"].dtype == theirs.attrs["one"].dtype


def test_opening_reads_no_byte_of_the_file_and_a_point_only_its_chunk(case):
    _, references, store = case
    store.ranges.clear()
    data = open_reference_set(references, store)
    assert "temperature" in repr(data)
    assert data.sel(time="2024-02-27T12:00", lat=-3).sizes == {"lon": 20}
    assert store.ranges == []
    data["temperature"][0, 0, 0].load()
    assert len(store.ranges) == 1


def test_raw_values_are_those_of_the_file(case):
    path, references, store = case
    ours = open_reference_set(references, store, decode_times=False, mask_and_scale=False)
    options = {"decode_times": False, "mask_and_scale": False}
    with xarray.open_dataset(path, engine="h5netcdf", **options) as theirs:
        assert ours["temperature"].dtype == np.dtype("i2")
        xarray.testing.assert_equal(ours.load(), theirs.load())


def test_chunks_that_were_never_written_are_equal_to_those_of_the_file(tmp_path):
    import netCDF4

    path = tmp_path / "a.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("x", None)
        file.createDimension("y", 8)
        file.createVariable("v", "f4", ("x", "y"), chunksizes=(2, 4))[4:6] = 1
        file.createVariable("w", "i4", ("x", "y"), fill_value=-1, chunksizes=(2, 4))[0, 0] = 5
    store = CountingStore()
    references = hdf5_references(kept(store, "a.nc", path.read_bytes()))
    ours = open_reference_set(references, store)
    with xarray.open_dataset(path, engine="h5netcdf") as theirs:
        xarray.testing.assert_identical(ours.load(), theirs.load())


def test_groups_open_by_their_path(tmp_path):
    path = tmp_path / "a.nc"
    weather().to_netcdf(path, engine="h5netcdf")
    weather().isel(time=0, drop=True).to_netcdf(path, engine="h5netcdf", group="in/ner", mode="a")
    store = CountingStore()
    references = hdf5_references(kept(store, "a.nc", path.read_bytes()))
    ours = open_reference_set(references, store, group="in/ner")
    with xarray.open_dataset(path, engine="h5netcdf", group="in/ner") as theirs:
        xarray.testing.assert_identical(ours.load(), theirs.load())


def test_dimensions_without_values_and_names_that_clash_are_those_of_the_file(tmp_path):
    import netCDF4

    path = tmp_path / "a.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("x", 3), ("y", 4), ("chars", 5)):
            file.createDimension(name, size)
        file.createVariable("x", "f8", ("y", "x"))[:] = RANDOM.random((4, 3))
        file.createVariable("y", "f8", ("x",))[:] = RANDOM.random(3)
        file.createVariable("v", "u1", ("x", "y"))[:] = RANDOM.integers(0, 9, (3, 4))
        file.createVariable("name", "S1", ("x", "chars"))[:] = np.full((3, 5), b"a")
    store = CountingStore()
    references = hdf5_references(kept(store, "a.nc", path.read_bytes()))
    with xarray.open_dataset(path, engine="netcdf4", drop_variables=["x"]) as theirs:
        ours = open_reference_set(references, store, drop_variables=["x"])
        for name in ("v", "name"):
            xarray.testing.assert_equal(ours[name].load(), theirs[name].load())
    raw = open_reference_set(references, store, drop_variables=["x"])
    assert raw["y"].dims == ("x",)


def test_a_reader_of_kerchunk_references_gets_the_same_bytes(case, tmp_path):
    path, references, _ = case
    import json

    document = json.loads(references.to_json(root=f"{tmp_path}/"))
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.nc").write_bytes(path.read_bytes())
    assert document["version"] == 1
    for key, value in document["refs"].items():
        if isinstance(value, list):
            url, offset, length = value
            with open(url, "rb") as file:
                file.seek(offset)
                assert len(file.read(length)) == length, key
