"""RFC 8785 canonical JSON, strict in both directions.

Integers outside ±(2**53 - 1) are refused: RFC 8785 numbers are IEEE doubles. Such values are
written as decimal strings by the formats that need them.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from holdfast.errors import Invalid

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 64
_PLAIN_DEPTH = 16
"""Levels that the quick way looks into."""

_DOING = "writing canonical JSON"
_READING = "reading JSON"
_PLAIN = re.compile(r"[^\x00-\x1f\"\\\ud800-\udfff]*\Z")


def dumps(value: Any) -> bytes:
    """The canonical bytes of `value`: None, bool, int, float, str, list, tuple or dict.

    Raises:
        Invalid: NaN, infinity, a lone surrogate, an integer beyond 2**53 - 1, another type, or
            nesting deeper than 64.
    """
    out: list[str] = []
    if _is_plain(value):
        out.append(_encode_plain(value))
    else:
        _write(value, out, 0)
    try:
        return "".join(out).encode()
    except UnicodeEncodeError:
        raise Invalid(_DOING, found="a lone surrogate in a string") from None


# Of values as `_is_plain` wants them, the standard library's encoder writes the canonical text.
_encode_plain = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), sort_keys=True
).encode
_PLAIN_KINDS = frozenset({str, int, bool, type(None), dict, list})


def _is_plain(value: Any) -> bool:
    """Whether there is nothing in `value` that is refused, or spelled in a way of its own: no
    floats, no keys but in ASCII, and no other types than JSON's."""
    level = [value]
    for _ in range(_PLAIN_DEPTH):
        deeper: list[Any] = []
        for item in level:
            kind = type(item)
            if kind not in _PLAIN_KINDS:
                return False
            if kind is int:
                if not -MAX_INTEGER <= item <= MAX_INTEGER:
                    return False
            elif kind is list:
                deeper += item
            elif kind is dict:
                for key in item:
                    if type(key) is not str or not key.isascii():
                        return False
                deeper += item.values()
        if not deeper:
            return True
        level = deeper
    return False


def _write(value: Any, out: list[str], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Invalid(_DOING, found=f"nesting deeper than {MAX_DEPTH}")
    if value is None:
        out.append("null")
    elif value is True:
        out.append("true")
    elif value is False:
        out.append("false")
    elif isinstance(value, str):
        out.append(_string(value))
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise Invalid(_DOING, found=f"integer {value} beyond 2**53 - 1")
        out.append(str(int(value)))
    elif isinstance(value, float):
        out.append(number(value))
    elif isinstance(value, dict):
        _write_object(value, out, depth)
    elif isinstance(value, (list, tuple)):
        out.append("[")
        for i, item in enumerate(value):
            if i:
                out.append(",")
            _write(item, out, depth + 1)
        out.append("]")
    else:
        raise Invalid(_DOING, found=f"a value of type {type(value).__name__}")


def _write_object(value: dict[Any, Any], out: list[str], depth: int) -> None:
    for key in value:
        if not isinstance(key, str):
            raise Invalid(_DOING, found=f"a key of type {type(key).__name__}")
    out.append("{")
    for i, key in enumerate(sorted(value, key=_utf16_order)):
        if i:
            out.append(",")
        out.append(_string(key))
        out.append(":")
        _write(value[key], out, depth + 1)
    out.append("}")


def _utf16_order(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


_CONTROL_ESCAPES = {i: f"\\u{i:04x}" for i in range(0x20)} | {
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0C: "\\f",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
}


def _string(text: str) -> str:
    if _PLAIN.match(text):
        return f'"{text}"'
    return '"' + text.translate(_CONTROL_ESCAPES) + '"'


def number(value: float) -> str:
    """A double as ECMAScript's Number.prototype.toString writes it (RFC 8785 §3.2.2.3).

    Raises:
        Invalid: NaN or infinity.
    """
    if not math.isfinite(value):
        raise Invalid(_DOING, found=f"the number {value}")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + len(whole) - (len(whole + fraction) - len(digits))
    if whole == "0":
        point = int(exponent or 0) - (len(fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        text = digits + "0" * (point - count)
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        power = point - 1
        head = digits[0] + ("." + digits[1:] if count > 1 else "")
        text = f"{head}e{'+' if power >= 0 else '-'}{abs(power)}"
    return sign + text


def loads(data: bytes | bytearray | memoryview) -> Any:
    """The value that `data` holds.

    Raises:
        Invalid: not UTF-8, not JSON, a duplicate key, NaN or infinity, an integer of more than 40
            digits, or nesting too deep.
    """
    try:
        text = bytes(data).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(_READING, found="bytes that are not UTF-8", offset=error.start) from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_int_or_double,
        )
    except json.JSONDecodeError as error:
        raise Invalid(_READING, found=error.msg, offset=error.pos) from None
    except RecursionError:
        raise Invalid(_READING, found="nesting too deep") from None
    return value


def loads_canonical(data: bytes | bytearray | memoryview) -> Any:
    """As `loads`, and refuses any byte string that `dumps` would not have written."""
    value = loads(data)
    if dumps(value) != bytes(data):
        raise Invalid(_READING, found="bytes that are not in canonical form (RFC 8785)")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise Invalid(_READING, found="a key that stands twice in one object")
    return out


def _no_constant(text: str) -> Any:
    raise Invalid(_READING, found=text)


def _int_or_double(text: str) -> int | float:
    if len(text) > 40:
        raise Invalid(_READING, found=f"an integer of {len(text)} digits")
    value = int(text)
    # Beyond 2**53 - 1 only a double can be meant; `loads_canonical` refuses one that is not exact.
    return value if -MAX_INTEGER <= value <= MAX_INTEGER else float(value)
