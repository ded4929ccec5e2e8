"""Reference sets and Zarr stores as xarray datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import Unsupported

if TYPE_CHECKING:
    import xarray

    from holdfast.interop.references import ReferenceSet
    from holdfast.interop.zarr_store import OpenFile
    from holdfast.snapshotting.verified_file import Verify, VerifyRanges
    from holdfast.store.protocol import Store

_EXTRA = 'install "holdfast[xarray]"'


def open_reference_set(
    references: ReferenceSet,
    files: Store | OpenFile,
    *,
    group: str | None = None,
    chunks: Any = None,
    verify: Verify = "on",
    verify_ranges: VerifyRanges = "whole",
    **decoding: Any,
) -> xarray.Dataset:
    """The arrays of `references` as a dataset; no byte of the files is read before its values are.

    Numbers in attributes get back the types that they had, so that values decode as from the file
    itself (a scale factor of 32 bits makes floats of 32 bits).

    Args:
        references: the set.
        files: the store that the set's paths are in; or a function that opens a source file.
        group: path of the group to open; None: the root.
        chunks: as for `xarray.Dataset.chunk`, which needs dask; None: NumPy arrays, still lazy.
        verify, verify_ranges: see `ReferenceStore`.
        **decoding: arguments of `xarray.decode_cf`.

    Raises:
        Unsupported: xarray or zarr is not installed.
    """
    import_xarray()
    import xarray

    from holdfast.interop.grib_codec import register
    from holdfast.interop.zarr_store import ReferenceStore

    if _uses_grib(references):
        register()
    store = ReferenceStore(references, files, verify=verify, verify_ranges=verify_ranges)
    raw = xarray.open_zarr(
        store,
        group=group,
        chunks=None,
        consolidated=False,
        zarr_format=2,
        decode_cf=False,
        use_zarr_fill_value_as_mask=False,
        create_default_indexes=False,
    )
    for name, variable in raw.variables.items():
        path = f"{group.strip('/')}/{name}" if group and group.strip("/") else str(name)
        variable.attrs = _typed(variable.attrs, references.attribute_types.get(path, {}))
    raw.attrs = _typed(raw.attrs, references.attribute_types.get((group or "").strip("/"), {}))
    decoded = xarray.decode_cf(raw, **decoding)
    # Indexes only now: those of what was stored are not those of times.
    decoded = _indexed(decoded)
    return decoded if chunks is None else decoded.chunk(chunks)


def import_xarray() -> None:
    """Raises `Unsupported` where xarray or zarr is not installed."""
    try:
        import xarray
        import zarr  # noqa: F401
    except ImportError as error:
        raise Unsupported("opening with", "xarray", found=str(error), hint=_EXTRA) from None
    del xarray


def _uses_grib(references: ReferenceSet) -> bool:
    return any(
        key.endswith(".zarray") and isinstance(value, bytes) and b'"grib"' in value
        for key, value in references.refs.items()
    )


def _typed(attributes: dict[Any, Any], types: Any) -> dict[Any, Any]:
    import numpy as np

    out = dict(attributes)
    for name, dtype in types.items():
        if name not in out:
            continue
        try:
            value = np.asarray(out[name], dtype=np.dtype(dtype))
        except (TypeError, ValueError, OverflowError):
            continue  # what a hostile set says of a type changes nothing
        out[name] = value[()] if value.ndim == 0 else value
    return out


def _indexed(data: xarray.Dataset) -> xarray.Dataset:
    for name, variable in data.coords.items():
        if variable.dims == (name,) and name not in data.xindexes:
            data = data.set_xindex(str(name))
    return data
