"""What the Zarr metadata of a reference set may say.

They are bytes of others, and zarr, numcodecs and xarray trust them: whatever is wrong is refused
before these see it.
"""

from __future__ import annotations

import json
from typing import Any

from holdfast.errors import ManifestInvalid, Unsupported

CODECS = frozenset({"blosc", "bz2", "fletcher32", "grib", "shuffle", "vlen-utf8", "zlib", "zstd"})
"""Codecs that metadata may name. ``pickle`` runs what it reads: bytes of others never choose."""

MOST_DIMENSIONS = 32

_READING = "reading the reference set"
_DOCUMENTS = (".zarray", ".zattrs", ".zgroup")
_LARGEST = (1 << 63) - 1


def check_metadata(key: str, value: bytes | None, path: str) -> None:
    """Refuse metadata that break a rule of Zarr 2, or would let bytes of others choose what runs.

    Args:
        value: what is inline at `key`; None: a range.
        path: of the set, for errors.

    Raises:
        ManifestInvalid: metadata that are wrong, or not inline.
        Unsupported: a codec that is not in `CODECS`; metadata of Zarr 3; consolidated metadata.
    """
    name = key.rpartition("/")[2]
    if name in ("zarr.json", ".zmetadata"):
        raise Unsupported(_READING, path, found=f"refs[{key}]", expected="Zarr 2 metadata")
    if name not in _DOCUMENTS:
        return
    if value is None:
        raise _wrong(key, path, "metadata in a range")
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _wrong(key, path, "not Zarr metadata")
    if name != ".zattrs" and document.get("zarr_format") != 2:
        raise _wrong(key, path, "a zarr_format that is not 2")
    if name == ".zarray":
        _check_array(key, document, path)


def _check_array(key: str, document: dict[str, Any], path: str) -> None:
    shape, chunks = document.get("shape"), document.get("chunks")
    if not isinstance(shape, list) or not all(_is_count(n, 0) for n in shape):
        raise _wrong(key, path, f"the shape {shape!r:.80}")
    if not isinstance(chunks, list) or not all(_is_count(n, 1) for n in chunks):
        raise _wrong(key, path, f"the chunks {chunks!r:.80}")
    if len(shape) != len(chunks) or len(shape) > MOST_DIMENSIONS:
        raise _wrong(key, path, f"{len(shape)} dimensions, and chunks of {len(chunks)}")
    if not _is_type(document.get("dtype")):
        raise _wrong(key, path, f"the dtype {document.get('dtype')!r:.80}")
    if document.get("order") not in ("C", "F"):
        raise _wrong(key, path, f"the order {document.get('order')!r:.80}")
    if document.get("dimension_separator", ".") not in (".", "/"):
        raise _wrong(key, path, "a dimension_separator that is neither . nor /")
    filters, compressor = document.get("filters"), document.get("compressor")
    if filters is not None and not isinstance(filters, list):
        raise _wrong(key, path, "filters that are no list")
    for codec in [*(filters or ()), *(() if compressor is None else (compressor,))]:
        name = codec.get("id") if isinstance(codec, dict) else None
        if not isinstance(name, str):
            raise _wrong(key, path, f"not Zarr metadata: the codec {codec!r:.80}")
        if name not in CODECS:
            raise Unsupported(_READING, path, found=f"refs[{key}]: the codec {name!r:.80}")


def _is_count(value: Any, least: int) -> bool:
    return type(value) is int and least <= value <= _LARGEST


def _is_type(value: Any) -> bool:
    """Whether it has the form of a type: a text, or names and texts of fields."""
    if isinstance(value, list) and value:
        return all(
            isinstance(f, list) and len(f) == 2 and all(isinstance(part, str) for part in f)
            for f in value
        )
    return isinstance(value, str)


def _wrong(key: str, path: str, found: str) -> ManifestInvalid:
    return ManifestInvalid(_READING, path, found=f"refs[{key}]: {found}")
