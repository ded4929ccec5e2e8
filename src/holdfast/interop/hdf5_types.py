"""HDF5 types, filters and fill values in the words of Zarr 2."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.errors import Unsupported

if TYPE_CHECKING:
    import h5py

Refuse = Callable[[str], Unsupported]

_NAMES = {4: "szip", 5: "n-bit", 6: "scale-offset", 32000: "lzf", 32004: "lz4", 32013: "zfp"}
_BLOSC = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")


def zarr_type(data: h5py.Dataset, refuse: Refuse) -> Any:
    """The Zarr 2 type of `data`: a NumPy type string, or the fields of a compound.

    Raises what `refuse` makes, for types whose stored bytes are not those of a NumPy type.
    """
    import h5py

    dtype = data.dtype
    stored = data.id.get_type()
    if dtype.kind == "S":
        return dtype.str
    if dtype.kind not in "biufcV" or dtype.hasobject or dtype.subdtype is not None:
        raise refuse(f"the type {dtype}")
    # h5py converts what NumPy does not have; equal types are stored as they are read.
    if dtype.itemsize != stored.get_size() or h5py.h5t.py_create(dtype) != stored:
        raise refuse(f"the stored type of {dtype}")
    if dtype.kind != "V":
        if dtype.char in "gG":
            raise refuse(f"the type {dtype}")
        return dtype.str
    fields = []
    end = 0
    for name, (kind, offset, *_) in (dtype.fields or {}).items():
        if kind.kind not in "biufcS" or offset != end:
            raise refuse(f"the compound type {dtype}")
        fields.append([name, kind.str])
        end += kind.itemsize
    if not fields or end != dtype.itemsize:
        raise refuse(f"the compound type {dtype}")
    return fields


def decode_filters(plist: Any, refuse: Refuse) -> list[dict[str, Any]]:
    """The filters of HDF5 as numcodecs filters, in the order in which they encode."""
    out: list[dict[str, Any]] = []
    for number in range(plist.get_nfilters()):
        code, _, values, name = plist.get_filter(number)
        level = values[0] if values else None
        if code == 1:
            out.append({"id": "zlib", "level": 4 if level is None else level})
        elif code == 2:
            out.append({"id": "shuffle", "elementsize": values[0]})
        elif code == 3:
            out.append({"id": "fletcher32"})
        elif code == 307:
            out.append({"id": "bz2", "level": 9 if level is None else level})
        elif code == 32015:
            out.append({"id": "zstd", "level": 3 if level is None else level})
        elif code == 32001 and len(values) >= 7 and values[6] < len(_BLOSC):
            blosc = {"id": "blosc", "cname": _BLOSC[values[6]], "clevel": values[4]}
            out.append(blosc | {"shuffle": values[5], "blocksize": 0})
        else:
            text = _NAMES.get(code) or name.decode("utf-8", "replace")
            raise refuse(f"the filter {code} ({text})")
    return out


def fill_json(data: h5py.Dataset, plist: Any) -> Any:
    """The fill value of `data` as Zarr 2 metadata has it; None where none is defined."""
    import h5py

    if plist.fill_value_defined() == h5py.h5d.FILL_VALUE_UNDEFINED:
        return None
    value = data.fillvalue
    kind = data.dtype.kind
    if kind == "b":
        return bool(value)
    if kind in "iu":
        return int(value)
    if kind == "f":
        return _float(float(value))
    if kind == "c":
        return [_float(float(value.real)), _float(float(value.imag))]
    raw = value if isinstance(value, bytes) else value.tobytes()
    return base64.b64encode(raw.ljust(data.dtype.itemsize, b"\0")).decode()


def _float(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
