"""JSON lines byte for byte as the Go implementation writes them (§5)."""

from __future__ import annotations

import re
from typing import Any

from holdfast.snapshotting.go_numbers import go_float

LONE = "\ud800"
"""Stands for a lone surrogate: unlike U+FFFD itself, it is written as an escape."""

_PLAIN = re.compile(r"[^\x00-\x1f\"\\<>&\u2028\u2029\ud800]*\Z")
_ESCAPES = {i: f"\\u{i:04x}" for i in (*range(0x20), *map(ord, "<>&\u2028\u2029"))} | {
    0x09: "\\t",
    0x0A: "\\n",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
    ord(LONE): "\\ufffd",
}
_SMALL = re.compile(r"e-(\d)\Z")


def canonical_line(value: Any) -> str:
    """The line of a record, with its line break. `value` is what `json_values.json_value` gives
    with `LONE` for lone surrogates."""
    out: list[str] = []
    _write(value, out)
    out.append("\n")
    return "".join(out)


def _write(value: Any, out: list[str]) -> None:
    if value is None:
        out.append("null")
    elif value is True:
        out.append("true")
    elif value is False:
        out.append("false")
    elif isinstance(value, str):
        out.append(_string(value))
    elif isinstance(value, int):
        out.append(str(value))
    elif isinstance(value, float):
        # Unlike in manifests the exponent keeps two digits.
        out.append(_SMALL.sub(r"e-0\1", go_float(value)))
    elif isinstance(value, dict):
        before = "{"
        # Code points sort as their UTF-8 bytes do.
        for key in sorted(value):
            out.append(f"{before}{_string(key)}:")
            _write(value[key], out)
            before = ","
        out.append("}" if value else "{}")
    else:
        before = "["
        for item in value:
            out.append(before)
            _write(item, out)
            before = ","
        out.append("]" if value else "[]")


def _string(text: str) -> str:
    if _PLAIN.match(text):
        return f'"{text}"'
    return f'"{text.translate(_ESCAPES)}"'
