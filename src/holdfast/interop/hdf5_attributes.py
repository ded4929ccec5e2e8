"""Attributes and dimensions of HDF5 datasets, as NetCDF means them, in JSON."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py
    import numpy as np

    from holdfast.interop.references import ReferenceBuilder

# What HDF5 and NetCDF keep for themselves; no reader shows them.
_HIDDEN = frozenset(
    {
        "CLASS",
        "DIMENSION_LIST",
        "NAME",
        "REFERENCE_LIST",
        "_NCProperties",
        "_Netcdf4Coordinates",
        "_Netcdf4Dimid",
        "_nc3_strict",
    }
)
_BARE = b"This is a netCDF dimension but not a netCDF variable"


MOST_ITEMS = 1 << 22
"""Numbers or strings of an attribute that is read. Only its header says how many it has, and HDF5
believes even one that is damaged."""


def read_attribute(item: h5py.Group | h5py.Dataset, name: str, default: Any = None) -> Any:
    """The value of an attribute, `default` where there is none. Raises `ValueError` where it has
    more than `MOST_ITEMS`."""
    if name not in item.attrs:
        return default
    shape = item.attrs.get_id(name).shape
    if shape is not None and math.prod(shape) > MOST_ITEMS:
        raise ValueError(f"an attribute {name} of shape {shape}")
    return item.attrs[name]


def is_bare_dimension(data: h5py.Dataset) -> bool:
    """Whether `data` stands for the length of a dimension only."""
    if read_attribute(data, "CLASS") != b"DIMENSION_SCALE":
        return False
    name = read_attribute(data, "NAME", b"")
    return isinstance(name, bytes) and name.startswith(_BARE)


def dimension_names(data: h5py.Dataset, path: str, phony: list[int]) -> list[str]:
    """The names of the dimensions of `data`: of its scales, its own where it is one, or made up.

    `phony` holds the lengths of the dimensions that were made up in this group, and grows.
    """
    name = path.rpartition("/")[2]
    if read_attribute(data, "CLASS") == b"DIMENSION_SCALE":
        if data.ndim == 1:
            return [name]
        by_id = _by_id(data)
        if by_id is not None:
            return by_id
    names: list[str] = []
    taken: set[int] = set()
    for axis, length in enumerate(data.shape):
        scales = data.dims[axis]
        if len(scales):
            names.append(str(scales[0].name).rpartition("/")[2])
            continue
        free = (i for i, n in enumerate(phony) if n == length and i not in taken)
        number = next(free, len(phony))
        if number == len(phony):
            phony.append(length)
        taken.add(number)
        names.append(f"phony_dim_{number}")
    return names


def dimension_lengths(file: h5py.File) -> dict[int, int]:
    """The length of each dimension that can grow, by the address of its scale: that of its longest
    variable. HDF5 lets each variable grow by itself, NetCDF all of them together."""
    import h5py

    lengths: dict[int, int] = {}

    def visit(_: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or not item.shape or None not in item.maxshape:
            return
        for scale, length in zip(_scales(item), item.shape, strict=True):
            if scale is not None:
                lengths[scale] = max(lengths.get(scale, 0), length)

    file.visititems(visit)
    return lengths


def grown_shape(data: h5py.Dataset, lengths: Mapping[int, int]) -> tuple[int, ...]:
    """The shape of `data` once its dimensions are as long as those of the longest variable."""
    if not data.shape or None not in data.maxshape:
        return tuple(data.shape)
    return tuple(
        max(length, lengths.get(scale, 0)) if scale is not None and most is None else length
        for scale, length, most in zip(_scales(data), data.shape, data.maxshape, strict=True)
    )


def _scales(data: h5py.Dataset) -> list[int | None]:
    """Addresses of the first scale of each dimension, its own where it is one."""
    import h5py

    if data.ndim == 1 and read_attribute(data, "CLASS") == b"DIMENSION_SCALE":
        return [h5py.h5o.get_info(data.id).addr]
    return [
        h5py.h5o.get_info(dimension[0].id).addr if len(dimension) else None
        for dimension in data.dims
    ]


def _by_id(data: h5py.Dataset) -> list[str] | None:
    """The dimensions of a coordinate of several dimensions, which NetCDF names by number."""
    import h5py

    ids = read_attribute(data, "_Netcdf4Coordinates")
    if ids is None or len(ids) != data.ndim:
        return None
    names: dict[int, str] = {}
    group: h5py.Group = data.parent
    while True:
        for name in group:
            item = group.get(name)
            if isinstance(item, h5py.Dataset) and "_Netcdf4Dimid" in item.attrs:
                names.setdefault(int(read_attribute(item, "_Netcdf4Dimid")), name)
        if group.name == "/":
            break
        group = group.parent
    found = [names.get(int(i)) for i in ids]
    return [n for n in found if n is not None] if None not in found else None


def attributes(
    item: h5py.Group | h5py.Dataset, path: str, builder: ReferenceBuilder
) -> dict[str, Any]:
    """The attributes of `item` as JSON values; the types of numbers and what has no form in JSON
    go into `builder`."""
    out: dict[str, Any] = {}
    types: dict[str, str] = {}
    for name in item.attrs:
        if name in _HIDDEN:
            continue
        try:
            value, dtype = _attribute(item, name)
        except (TypeError, ValueError, OSError):
            builder.left_out.append(f"{path}@{name}")
            continue
        if name == "_FillValue":
            value = _fill_value(item, value)
        out[name] = value
        if dtype:
            types[name] = dtype
    if types:
        builder.attribute_types[path] = types
    return out


def _attribute(item: Any, name: str) -> tuple[Any, str]:
    """The value in JSON, and its NumPy type where it is of numbers. Raises `TypeError` where JSON
    has no form for it."""
    import h5py
    import numpy as np

    value = read_attribute(item, name)
    strings = h5py.check_string_dtype(item.attrs.get_id(name).dtype)
    if isinstance(value, h5py.Empty):
        return ("", "") if strings else ([], value.dtype.str)
    if strings is not None:
        items = [_text(v) for v in np.asarray(value, dtype=object).ravel().tolist()]
        return (items[0] if len(items) == 1 else items), ""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(array.dtype)
    flat = array.ravel()
    return (flat[0].item() if flat.size == 1 else flat.tolist()), array.dtype.str


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _fill_value(item: Any, value: Any) -> Any:
    """``_FillValue`` as xarray writes it into Zarr: floats as base64 of a little-endian double."""
    dtype: np.dtype[Any] | None = getattr(item, "dtype", None)
    kind = "" if dtype is None else dtype.kind
    if kind == "f" and isinstance(value, (int, float)):
        return base64.b64encode(struct.pack("<d", value)).decode()
    if kind == "S" and isinstance(value, str):
        return base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()
    return value
