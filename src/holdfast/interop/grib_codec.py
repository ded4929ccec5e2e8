"""The codec ``grib``: a chunk is one GRIB message, decoded by eccodes.

Name and settings are those of kerchunk, so that its readers open our references and we open its.
Missing points become NaN.
"""

from __future__ import annotations

from typing import Any

from holdfast.errors import Invalid, Unsupported

CODEC = "grib"
# Larger than any value that is stored; eccodes puts it where the bitmap has no point.
_MISSING = 3.4028234663852886e38


def register() -> None:
    """Make the codec known to numcodecs; does nothing where it is known.

    Raises:
        Unsupported: numcodecs is not installed.
    """
    try:
        import numcodecs
        from numcodecs.abc import Codec
    except ImportError as error:
        raise Unsupported(
            "decoding with", CODEC, found=str(error), hint='install "holdfast[xarray,grib]"'
        ) from None
    if getattr(numcodecs.registry.codec_registry.get(CODEC), "of_holdfast", False):
        return

    class GribCodec(Codec):  # type: ignore[misc] # numcodecs has no types
        codec_id = CODEC
        of_holdfast = True

        def __init__(self, var: str, dtype: str | None = None) -> None:
            self.var = var
            self.dtype = dtype

        def encode(self, buf: Any) -> Any:
            raise Unsupported("encoding with", CODEC)

        def decode(self, buf: Any, out: Any = None) -> Any:
            data = decode_message(bytes(buf), self.var, self.dtype)
            return data if out is None else numcodecs.compat.ndarray_copy(data, out)

    numcodecs.register_codec(GribCodec)


def decode_message(message: bytes, var: str, dtype: str | None) -> Any:
    """The values of a GRIB message in the order of its grid, or its latitudes or longitudes."""
    import numpy as np

    try:
        import eccodes
    except ImportError as error:
        raise Unsupported(
            "decoding", "a GRIB message", found=str(error), hint='install "holdfast[grib]"'
        ) from None
    try:
        handle = eccodes.codes_new_from_message(message)
        try:
            if var in ("latitude", "longitude"):
                return eccodes.codes_get_array(handle, f"{var}s").astype(dtype or "float64")
            eccodes.codes_set(handle, "missingValue", _MISSING)
            values = eccodes.codes_get_array(handle, "values")
        finally:
            eccodes.codes_release(handle)
    except eccodes.CodesInternalError as error:
        raise Invalid("decoding", "a GRIB message", found=str(error)) from None
    values = np.where(values == _MISSING, np.nan, values)
    return values.astype(dtype or "float32")
