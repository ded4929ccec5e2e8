"""Reference sets and Zarr stores as xarray datasets."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from holdfast.errors import HoldfastError, Invalid, Unsupported

if TYPE_CHECKING:
    import xarray

    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.interop.references import ReferenceSet
    from holdfast.interop.zarr_dataset import ZarrDataset
    from holdfast.interop.zarr_store import OpenFile
    from holdfast.snapshotting.verified_file import Verify, VerifyRanges
    from holdfast.store.protocol import Store

MOST_INDEXED = 1 << 26
"""Values of a coordinate, at most: all of them are read for an index as a set is opened."""

_NUMBERS = re.compile(r"[<>|][biuf][1248]\Z")
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
        Unsupported: xarray or zarr is not installed; a coordinate of too many values.
        Invalid: xarray cannot make a dataset of the set, or not with this `decoding`.
    """
    import_xarray()
    import xarray

    from holdfast.interop.grib_codec import register
    from holdfast.interop.zarr_store import ReferenceStore

    if _uses_grib(references):
        register()
    store = ReferenceStore(references, files, verify=verify, verify_ranges=verify_ranges)
    path = (group or "").strip("/")
    with _errors(store):
        raw = xarray.open_zarr(
            store,
            group=group,
            chunks=None,
            consolidated=False,
            zarr_format=2,
            decode_cf=False,
            create_default_indexes=False,
        )
        for name, variable in raw.variables.items():
            if variable.dims == (name,) and variable.size > MOST_INDEXED:
                raise Unsupported(
                    "opening", store, found=f"the coordinate {name} of {variable.size} values"
                )
            variable.attrs = _attributes(references, f"{path}/{name}" if path else str(name))
        raw.attrs = _attributes(references, path)
        decoded = xarray.decode_cf(raw, **decoding)
        # Indexes only now: those of what was stored are not those of times.
        decoded = _indexed(decoded)
    return decoded if chunks is None else decoded.chunk(chunks)


@contextmanager
def _errors(store: object) -> Iterator[None]:
    """Errors of xarray and of what is below it as ours: a set may say anything."""
    try:
        yield
    except (HoldfastError, FileNotFoundError):  # as xarray says that there is no such group
        raise
    except Exception as error:  # codecs raise whatever they like
        raise Invalid("opening", store, found=f"{type(error).__name__}: {error}"[:500]) from error


def open_references(
    references: DatasetSnapshot | ReferenceSet,
    files: Store | OpenFile | None = None,
    *,
    group: str | None = None,
    chunks: Any = None,
    verify: Verify = "on",
    verify_ranges: VerifyRanges = "whole",
    **decoding: Any,
) -> xarray.Dataset:
    """As `open_reference_set`; for a snapshot that `write_references` made, `files` is the store
    that holds it, unless another is given."""
    from holdfast.interop.reference_datasets import read_references
    from holdfast.interop.references import ReferenceSet

    if not isinstance(references, ReferenceSet):
        if files is None:
            files = references.open_object().store
        references = read_references(references)
    if files is None:
        raise Invalid("opening references", found="no store", hint="say where their files are")
    return open_reference_set(
        references,
        files,
        group=group,
        chunks=chunks,
        verify=verify,
        verify_ranges=verify_ranges,
        **decoding,
    )


def open_zarr(
    zarr: ZarrDataset | Dataset,
    *,
    snapshot: DatasetSnapshot | str | None = None,
    group: str | None = None,
    chunks: Any = None,
    **options: Any,
) -> xarray.Dataset:
    """One snapshot of Zarr in a dataset (None: the newest), lazily.

    Args:
        chunks: as for `xarray.open_zarr`, but None, NumPy arrays without dask, is the default.
        **options: further arguments of `xarray.open_zarr`.
    """
    import_xarray()
    import xarray

    from holdfast.interop.zarr_dataset import ZarrDataset

    kept = zarr if isinstance(zarr, ZarrDataset) else ZarrDataset(zarr)
    store = kept.store(snapshot)
    data: xarray.Dataset = xarray.open_zarr(
        store, group=group, chunks=chunks, zarr_format=3, **options
    )
    return data


def to_zarr(
    data: xarray.Dataset,
    zarr: ZarrDataset | Dataset,
    *,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    inputs: Sequence[str] = (),
    run: str | None = None,
    on_conflict: Literal["retry", "raise"] = "retry",
    **options: Any,
) -> DatasetSnapshot:
    """Write `data` in a transaction of its own; the snapshot, durable on return.

    Args:
        message, metadata, inputs, run, on_conflict: see `ZarrDataset.transaction`.
        **options: arguments of `xarray.Dataset.to_zarr` (``mode``, ``region``, ``append_dim``,
            ``group``, ``encoding``).

    Raises:
        SnapshotConflict: another transaction changed the same chunks meanwhile.
    """
    import_xarray()
    from holdfast.interop.zarr_dataset import ZarrDataset

    kept = zarr if isinstance(zarr, ZarrDataset) else ZarrDataset(zarr)
    with kept.transaction(
        metadata, message=message, inputs=inputs, run=run, on_conflict=on_conflict
    ) as transaction:
        data.to_zarr(transaction.store, **options)
    return transaction.snapshot


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


def _attributes(references: ReferenceSet, path: str) -> dict[Any, Any]:
    """The attributes of a variable or group, with the types that its file has.

    Not those that xarray shows: it takes a fill value of Zarr, which only stands for chunks that
    were never written, for one that marks missing values.
    """
    import numpy as np

    document = references.refs.get(f"{path}/.zattrs" if path else ".zattrs", b"{}")
    assert isinstance(document, bytes)  # xarray has read it
    out = {k: v for k, v in json.loads(document).items() if k != "_ARRAY_DIMENSIONS"}
    types = references.attribute_types.get(path, {})
    for name in types.keys() & out.keys():
        if not _NUMBERS.match(types[name]):
            continue  # a type of others may be as large as they like
        try:
            dtype = np.dtype(types[name])
            value = np.asarray(_number(out[name], name, dtype.kind), dtype)
        except (TypeError, ValueError, OverflowError, struct.error):
            continue  # what a hostile set says of a type changes nothing
        out[name] = value[()] if value.ndim == 0 else value
    return out


def _number(value: Any, name: str, kind: str) -> Any:
    """`value`; a ``_FillValue`` of floats is base64 of a double, as xarray writes it into Zarr."""
    if name == "_FillValue" and kind == "f" and isinstance(value, str):
        return struct.unpack("<d", base64.b64decode(value))[0]
    return value


def _indexed(data: xarray.Dataset) -> xarray.Dataset:
    for name, variable in data.coords.items():
        if variable.dims == (name,) and name not in data.xindexes:
            data = data.set_xindex(str(name))
    return data
