"""Zarr and references on an object store, which has no leases."""

from __future__ import annotations

import numpy as np
import pytest
import xarray

from holdfast import SnapshotConflict, interop
from holdfast.datasets.dataset import Dataset
from s3_servers import Server, moto  # noqa: F401


def test_regions_are_committed_and_a_shared_chunk_is_a_conflict(moto: Server):  # noqa: F811
    with moto.store() as store:
        cube = interop.ZarrDataset(Dataset("cube", store))
        data = xarray.Dataset({"t": (("x",), np.zeros(8))})
        interop.to_zarr(data, cube, encoding={"t": {"chunks": (2,)}})
        one, two, three = (cube.transaction() for _ in range(3))
        for number, tx in enumerate((one, two, three)):
            part = slice(2 * (number % 2), 2 * (number % 2) + 2)
            (data + 1).isel(x=part).to_zarr(tx.store, region={"x": part})
        one.commit()
        two.commit()
        with pytest.raises(SnapshotConflict):
            three.commit()
        assert interop.open_zarr(cube)["t"].values.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_references_open_a_file_there(moto: Server):  # noqa: F811
    with moto.store() as store:
        data = xarray.Dataset({"t": (("x",), np.arange(8.0))})
        kept = Dataset("file", store).write(bytes(data.to_netcdf(engine="h5netcdf")))
        made = interop.write_references(Dataset("refs", store), interop.make_references(kept))
        xarray.testing.assert_identical(interop.open_references(made).load(), data)
