"""Codecs by the names that manifests have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import Invalid, Unsupported

if TYPE_CHECKING:
    from holdfast.datasets.codecs.protocol import Codec

RAW = "raw"
"""What stands for bytes without a codec; manifests leave the name out."""


def codec_of(codec: Codec | str, schema: Any = None) -> Codec | None:
    """The codec of that name, None for raw bytes; a codec of one's own as it is.

    Raises:
        Unsupported: a name that is not known here.
        Invalid: a schema for a codec that takes none.
    """
    if not isinstance(codec, str):
        return codec
    if codec == "parquet":
        from holdfast.datasets.codecs.parquet import Parquet

        return Parquet(schema=schema)
    if schema is not None:
        raise Invalid("choosing the codec", codec, found="a schema", expected="it with parquet")
    if codec == "jsonl":
        from holdfast.datasets.codecs.jsonl import Jsonl

        return Jsonl()
    if codec == RAW:
        return None
    raise Unsupported(
        "choosing the codec",
        repr(codec),
        found="an unknown name",
        expected="jsonl, parquet or raw",
        hint="a codec of your own is given as an object",
    )
