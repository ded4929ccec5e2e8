"""How constants are spelled: by tables of our own, so that every Python prints the same bytes."""

from __future__ import annotations

import re
from typing import Any

# Control and layout characters, surrogates, and what turns the direction of text: escaped always,
# whatever the Unicode tables of the running Python say.
_SPECIAL = (
    "\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f"
    "\u3000\ud800-\udfff\ufeff\ufff9-\uffff\U000e0000-\U000e0fff"
)
_ESCAPED = re.compile(f"[\\\\{_SPECIAL}]")
_IN_DOCSTRING = re.compile(f"[\\\\\x00-\x08\x0b-\x1f{_SPECIAL[3:]}]")
_NAMED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Beyond this a decimal number takes quadratic time, and Python limits it.
_DECIMAL_BITS = 256


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    named = _NAMED.get(char)
    if named is not None:
        return named
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escaped(text: str, quote: str) -> str:
    """`text` with everything escaped that may not stand between quotes of the kind `quote`."""
    out = _ESCAPED.sub(_escape, text)
    return out.replace(quote[0], "\\" + quote[0])


def string(text: str) -> str:
    """A string literal: in single quotes, or double ones where that saves escapes."""
    return _quoted(text, _ESCAPED.sub(_escape, text))


def _quoted(text: str, out: str) -> str:
    if "'" not in text:
        return f"'{out}'"
    if '"' not in text:
        return f'"{out}"'
    return "'" + out.replace("'", "\\'") + "'"


def docstring(text: str) -> str:
    """A string literal between three double quotes; line ends and tabs stay as they are."""
    body = text.rstrip('"')
    out = _IN_DOCSTRING.sub(_escape, body).replace('"""', '\\"\\"\\"')
    out += '\\"' * (len(text) - len(body))
    return f'"""{out}"""'


def raw_string(text: str, banned: tuple[str, ...], prefix: str = "") -> str | None:
    """A string literal without a backslash and without `banned` quotes, None if there is none.

    Before 3.12 the expressions of an f-string take no other.
    """
    if "\\" in text or "\r" in text or "\0" in text:
        return None
    if any("\ud800" <= c <= "\udfff" for c in text):
        return None
    for quote in ("'", '"', "'''", '"""'):
        if quote in text or (len(quote) == 3 and text.endswith(quote[0])):
            continue
        if "\n" in text and len(quote) == 1:
            continue
        out = f"{prefix}{quote}{text}{quote}"
        if not any(b in out for b in banned):
            return out
    return None


def byte_string(data: bytes) -> str:
    """A bytes literal."""
    text = data.decode("latin-1")
    out = "".join(_NAMED.get(c) or (c if " " <= c <= "~" else f"\\x{ord(c):02x}") for c in text)
    return "b" + _quoted(text, out)


def number(value: Any) -> str:
    """An int, float or complex literal; infinity as a literal too large."""
    if isinstance(value, int):
        return str(value) if value.bit_length() <= _DECIMAL_BITS else hex(value)
    if isinstance(value, complex):
        return number(value.imag).removesuffix(".0") + "j"
    return "1e309" if value == float("inf") else repr(value)
