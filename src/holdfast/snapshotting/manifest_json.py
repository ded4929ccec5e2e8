"""Manifest JSON, byte for byte as the original writes it (spec/datasets.md §3), and read strictly.

Two-space indent, no final newline, ``<``, ``>`` and ``&`` escaped, keys of maps sorted by their
UTF-8 bytes, integers exact, floats in Go's spelling.
"""

from __future__ import annotations

import base64
import json
import math
import re
import sys
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from typing import Any

from holdfast.errors import Invalid, ManifestInvalid
from holdfast.snapshotting.go_numbers import go_float, is_numpy_float
from holdfast.snapshotting.rfc3339 import is_time, rfc3339_go, time_text

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Ordered", "Rendered", "decode", "encode", "go_float",
           "rfc3339_go", "string", "time_text"]  # fmt: skip

MAX_DEPTH = 64
"""Deepest nesting of objects and arrays, the manifest itself counted."""
MAX_BYTES = 256 * 1024 * 1024
"""Larger manifests are neither written nor read."""

_DOING = "writing the manifest"
_READING = "reading the manifest"
# The original's reader makes numbers doubles: an integer that is none would make it refuse all.
_MAX_INTEGER = int(sys.float_info.max)
_SMALL = 2**63
_NEGATIVE_ZERO = re.compile(rb"-0\s*[,\]}]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class Ordered(dict[str, Any]):
    """An object whose keys stay in their order: a struct of the format, where a plain dict is a
    map."""


class Rendered(str):
    """JSON text that is laid out already, for the place where it stands."""

    __slots__ = ()


def encode(fields: Sequence[tuple[str, Any]] | dict[str, Any], *, depth: int = 0) -> bytes:
    """The bytes of an object. Pairs keep their order, as do those of `Ordered`; the keys of a
    dict are sorted.

    Values: None, bool, int, float, str, bytes (as base64), times (`rfc3339.time_text`), numpy's
    scalars, lists, tuples and dicts with text keys. Lone surrogates become ``\\ufffd``.

    Args:
        depth: how deep in a manifest the object will stand, for the limit on nesting.

    Raises:
        Invalid: another type, NaN, infinity, an integer beyond a double's range, keys that are the
            same once written, nesting deeper than 64, or more than 256 MiB; names the place.
    """
    value = fields if isinstance(fields, dict) else Ordered(fields)
    out: list[str] = []
    _write(value, out, "\n", depth + 1, None)
    data = "".join(out).encode()
    if len(data) > MAX_BYTES:
        raise Invalid(_DOING, found=f"{len(data)} bytes of JSON", expected=f"at most {MAX_BYTES}")
    return data


# Where a value stands: the place of what holds it, and its key or index there.
_Place = tuple[Any, "str | int"]


def _write(value: Any, out: list[str], newline: str, depth: int, place: _Place | None) -> None:
    """`newline` is the line break and the indent of the line where the value stands."""
    if isinstance(value, str):
        out.append(value if isinstance(value, Rendered) else string(value))
    elif value is None:
        out.append("null")
    elif isinstance(value, dict):
        _write_object(value, out, newline, depth, place)
    elif isinstance(value, (list, tuple)):
        _check_depth(depth, place)
        inner = newline + "  "
        before = "["
        for i, item in enumerate(value):
            out.append(before + inner)
            _write(item, out, inner, depth + 1, (place, i))
            before = ","
        out.append(newline + "]" if value else "[]")
    else:
        out.append(_scalar(value, place))


def _write_object(
    value: dict[Any, Any], out: list[str], newline: str, depth: int, place: _Place | None
) -> None:
    _check_depth(depth, place)
    for key in value:
        if not isinstance(key, str):
            raise Invalid(_DOING, found=f"a key of type {type(key).__name__} in {_name(place)}")
    if not value:
        out.append("{}")
        return
    inner = newline + "  "
    before = "{" + inner
    if isinstance(value, Ordered):
        for key, item in value.items():
            out.append(before)
            out.append(_field(key))
            # Most fields are text; a call less for each.
            if type(item) is str:
                out.append(string(item))
            else:
                _write(item, out, inner, depth + 1, (place, key))
            before = "," + inner
    else:
        for key, item in _sorted(value, place):
            out.append(f"{before}{string(key)}: ")
            _write(item, out, inner, depth + 1, (place, key))
            before = "," + inner
    out.append(newline + "}")


def _sorted(value: dict[str, Any], place: _Place | None) -> list[tuple[str, Any]]:
    # Code points sort as their UTF-8 bytes do.
    items = sorted(((_clean(key), item) for key, item in value.items()), key=itemgetter(0))
    for (one, _), (other, _) in pairwise(items):
        if one == other:
            found = f"keys in {_name(place)} that are the same once written"
            raise Invalid(_DOING, found=found)
    return items


@lru_cache(maxsize=256)  # the names of the format's fields are few
def _field(name: str) -> str:
    return f"{string(_clean(name))}: "


def _scalar(value: Any, place: _Place | None) -> str:
    kind = type(value)
    if kind is int and -_SMALL <= value <= _SMALL:
        return int.__repr__(value)
    if kind is bool:
        return "true" if value else "false"
    try:
        if isinstance(value, int):
            return _integer(value)
        if isinstance(value, float) or is_numpy_float(value):
            return go_float(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return f'"{base64.b64encode(value).decode("ascii")}"'
        if is_time(value):
            return f'"{time_text(value)}"'
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            if isinstance(value, numpy.bool_):
                return "true" if value else "false"
            if isinstance(value, numpy.integer) and not isinstance(value, numpy.timedelta64):
                return str(int(value))
    except Invalid as error:
        raise Invalid(_DOING, found=f"{error.found} in {_name(place)}") from None
    raise Invalid(_DOING, found=f"a value of type {type(value).__name__} in {_name(place)}")


def _integer(value: int) -> str:
    if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
        raise Invalid(_DOING, found="an integer beyond the range of a double")
    return int.__repr__(value)


def _check_depth(depth: int, place: _Place | None) -> None:
    if depth > MAX_DEPTH:
        raise Invalid(_DOING, found=f"nesting deeper than {MAX_DEPTH} in {_name(place)}")


def _name(place: _Place | None) -> str:
    """``metadata.a[3].b`` of a place; the middle of a deep one is left out."""
    parts: list[str] = []
    while place is not None:
        place, key = place
        parts.append(f"[{key}]" if isinstance(key, int) else f".{key:.60}")
    if len(parts) > 8:
        parts[4:-4] = [".…"]
    return "".join(reversed(parts)).lstrip(".") or "the object"


_PLAIN = re.compile(r"[^\x00-\x1f\"\\<>&\u2028\u2029\ud800-\udfff]*\Z")
_ESCAPES = {i: f"\\u{i:04x}" for i in (*range(0x20), *map(ord, "<>&\u2028\u2029"))} | {
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0C: "\\f",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
}
_LONE = re.compile("[\ud800-\udfff]")


def string(text: str) -> str:
    """`text` as a JSON string."""
    # Digests, ids and names, the most of a large manifest, need no closer look.
    if (text.isascii() and text.isalnum()) or _PLAIN.match(text):
        return f'"{text}"'
    return f'"{_LONE.sub(lambda _: chr(92) + "ufffd", text.translate(_ESCAPES))}"'


def _clean(text: str) -> str:
    """`text` as it reads back."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)


def decode(data: bytes, path: str) -> dict[str, Any]:
    """The object that `data` holds; `path` is the manifest's, for messages. Integers are int, of
    any size that a double reaches, ``-0`` is the float; lone surrogates become U+FFFD.

    Raises:
        ManifestInvalid: more than 256 MiB, not UTF-8, not JSON, anything after the object, a key
            that stands twice, a number beyond a double's range, nesting deeper than 64, or not an
            object.
    """
    if len(data) > MAX_BYTES:
        found = f"{len(data)} bytes"
        raise ManifestInvalid(_READING, path, found=found, expected=f"at most {MAX_BYTES}")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_constant=_no_constant,
            # A call for each integer is dear where there are 100,000 blocks.
            parse_int=_integer_or_zero if _NEGATIVE_ZERO.search(data) else None,
        )
        _check_values(value)
        if _SURROGATE_ESCAPE.search(data):
            value = _without_surrogates(value)
    except UnicodeDecodeError as error:
        found = "bytes that are not UTF-8"
        raise ManifestInvalid(_READING, path, found=found, offset=error.start) from None
    except json.JSONDecodeError as error:
        found = f"no JSON: {error.msg}"
        raise ManifestInvalid(_READING, path, found=found, offset=error.pos) from None
    except Invalid as error:
        raise ManifestInvalid(_READING, path, found=error.found) from None
    except RecursionError:
        raise ManifestInvalid(_READING, path, found=f"nesting deeper than {MAX_DEPTH}") from None
    except ValueError:
        # Python refuses to convert integers of thousands of digits.
        found = "a number beyond the range of a double"
        raise ManifestInvalid(_READING, path, found=found) from None
    if not isinstance(value, dict):
        found = f"a JSON {type(value).__name__}"
        raise ManifestInvalid(_READING, path, found=found, expected="an object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        key = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise Invalid(_READING, found=f"the key {key[:60]!r} twice in one object")
    return out


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Invalid(_READING, found="a number beyond the range of a double")
    return value


def _no_constant(text: str) -> Any:
    raise Invalid(_READING, found=f"the number {text}")


def _integer_or_zero(text: str) -> int | float:
    return -0.0 if text == "-0" else int(text)


def _check_values(value: Any) -> None:
    """Depth and the size of integers, level by level, without recursion."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for holder in level:
            for item in holder.values() if type(holder) is dict else holder:
                kind = type(item)
                if kind is dict or kind is list:
                    deeper.append(item)
                elif kind is int and not -_MAX_INTEGER <= item <= _MAX_INTEGER:
                    raise Invalid(_READING, found="a number beyond the range of a double")
        if not deeper:
            return
        level = deeper
    raise Invalid(_READING, found=f"nesting deeper than {MAX_DEPTH}")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return _unique([(_clean(k), _without_surrogates(v)) for k, v in value.items()])
    return value
