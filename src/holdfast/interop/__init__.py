"""Doors to the tools of others: Zarr and Xarray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.interop.grib_references import grib_references
    from holdfast.interop.hdf5_references import hdf5_references
    from holdfast.interop.reference_datasets import (
        make_references,
        read_references,
        write_references,
    )
    from holdfast.interop.references import ReferenceSet
    from holdfast.interop.xarray import open_references, open_zarr, to_zarr
    from holdfast.interop.zarr_dataset import ZarrDataset
    from holdfast.interop.zarr_store import ReferenceStore
    from holdfast.interop.zarr_transaction import ZarrTransaction

# Loaded at first use: zarr and xarray take a second.
_HOMES = {
    "ReferenceSet": "references",
    "ReferenceStore": "zarr_store",
    "ZarrDataset": "zarr_dataset",
    "ZarrTransaction": "zarr_transaction",
    "grib_references": "grib_references",
    "hdf5_references": "hdf5_references",
    "make_references": "reference_datasets",
    "open_references": "xarray",
    "open_zarr": "xarray",
    "read_references": "reference_datasets",
    "to_zarr": "xarray",
    "write_references": "reference_datasets",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'holdfast.interop' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"holdfast.interop.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "ReferenceSet",
    "ReferenceStore",
    "ZarrDataset",
    "ZarrTransaction",
    "grib_references",
    "hdf5_references",
    "make_references",
    "open_references",
    "open_zarr",
    "read_references",
    "to_zarr",
    "write_references",
]
