"""JSON objects with fixed keys, read as hostile bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast import canonical_json
from holdfast.errors import Invalid, ManifestInvalid

MAX_BYTES = 64 * 1024 * 1024
"""Larger files are refused before they are parsed."""


def load_json(data: bytes, path: str) -> Any:
    """The JSON value in `data`.

    Raises:
        ManifestInvalid: not UTF-8, not JSON, a key that stands twice, too large or too deep; the
            message names `path` and the offset.
    """
    doing = "reading the function file"
    if len(data) > MAX_BYTES:
        raise ManifestInvalid(doing, path, found=f"{len(data)} bytes", expected="at most 64 MiB")
    try:
        return canonical_json.loads(data)
    except Invalid as error:
        raise ManifestInvalid(doing, path, found=error.found, offset=error.offset) from None


def check_object(
    value: Any,
    path: str,
    fields: Mapping[str, type],
    optional: Mapping[str, type] | None = None,
    where: str = "",
) -> dict[str, Any]:
    """`value` itself, an object with these keys; `where` is the field that holds it."""
    doing = "reading the function file"
    inside = f" in {where}" if where else ""
    if not isinstance(value, dict):
        found = f"a JSON {type(value).__name__}{inside}"
        raise ManifestInvalid(doing, path, found=found, expected="an object")
    may = optional or {}
    for name, kind in fields.items():
        if name not in value:
            raise ManifestInvalid(doing, path, found=f"no field {name!r}{inside}")
        _check_type(doing, path, name, value[name], kind)
    for name in value:
        if name not in fields:
            if name not in may:
                raise ManifestInvalid(doing, path, found=f"an unknown field {name!r:.60}{inside}")
            _check_type(doing, path, name, value[name], may[name])
    return value


def _check_type(doing: str, path: str, name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = f"field {name!r} of type {type(value).__name__}"
        raise ManifestInvalid(doing, path, found=found, expected=kind.__name__)
    if kind is str:
        check_text(value, path, name)


def check_text(text: Any, path: str, name: str) -> str:
    """`text` itself, a string that UTF-8 can hold."""
    doing = "reading the function file"
    if not isinstance(text, str):
        raise ManifestInvalid(doing, path, found=f"a {type(text).__name__} in {name}")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise ManifestInvalid(doing, path, found=f"a lone surrogate in {name}")
    return text


def check_texts(value: Any, path: str, name: str) -> dict[str, str]:
    """`value` itself, an object of strings."""
    if not isinstance(value, dict):
        found = f"a {type(value).__name__} in {name}"
        raise ManifestInvalid("reading the function file", path, found=found, expected="an object")
    for key, text in value.items():
        check_text(key, path, name)
        check_text(text, path, name)
    return value
