"""JSON lines as Python values (§5): strict, and in bounded memory but for the line at hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from holdfast.errors import InvalidFormat

if TYPE_CHECKING:
    from holdfast.datasets.codecs.protocol import Source

BLOCK = 1 << 18
"""Bytes of lines that are decoded at once. Larger ones make the collector of cycles work more."""

LIKE_A_TIME = re.compile(rb"T\d\d:\d\d:\d\d")
# Where a value can begin; in text too, but "user-0" is no reason to read lines one by one.
_NEGATIVE_ZERO = re.compile(rb"-0(?<![^:,\[\s]-0)(?![0-9.eE])")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(rb"\\(?:(u[dD][89abAB]..\\u[dD][c-fC-F]..)|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
_AT_BYTE = re.compile(r"\(byte (\d+)\)\Z")

_decode = msgspec.json.Decoder().decode
_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)


def read_rows(source: Source) -> Iterator[list[Any]]:
    """The values of all lines, in lists of bounded size. Raises `InvalidFormat`."""
    for data, offset in blocks(source.stream()):
        if rows := _rows(data, offset, source.name):
            yield rows


def blocks(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
    """The content cut after line breaks into about `BLOCK` bytes or one line, with offsets."""
    held: list[bytes] = []
    size = offset = 0
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if not end or size + end < BLOCK:
            held.append(piece)
            size += len(piece)
            continue
        held.append(piece[:end])
        data = b"".join(held)
        yield from _cut(data, offset)
        offset += len(data)
        held = [piece[end:]]
        size = len(held[0])
    if data := b"".join(held):
        yield from _cut(data, offset)


def _cut(data: bytes, offset: int) -> Iterator[tuple[bytes, int]]:
    at = 0
    while len(data) - at > BLOCK:
        end = data.rfind(b"\n", at, at + BLOCK) + 1 or data.find(b"\n", at + BLOCK) + 1
        if not end:
            break
        yield data[at:end], offset + at
        at = end
    if at < len(data):
        yield data[at:] if at else data, offset + at


def _rows(data: bytes, offset: int, name: str) -> list[Any]:
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if b"-0" not in data or _NEGATIVE_ZERO.search(data) is None:
        # A call for each line, because the library's own splitting takes two values on a line,
        # and one value on two.
        try:
            return list(map(_decode, lines))
        except _ERRORS:
            pass
    rows = []
    for line in lines:
        body = line[:-1] if line.endswith(b"\r") else line
        if body:
            rows.append(_value(body, offset, name))
        offset += len(line) + 1
    return rows


def _value(line: bytes, offset: int, name: str) -> Any:
    """The value of a line, slower but with everything looked at."""
    try:
        value = _decode(line)
    except _ERRORS as error:
        mended = _ESCAPE.sub(_paired, line) if _SURROGATE.search(line) else line
        if mended is line:
            _refuse(error, offset, name)
        try:
            value = _decode(mended)
        except _ERRORS as second:
            _refuse(second, offset, name)
        line = mended
    if b"-0" in line and _NEGATIVE_ZERO.search(line):
        # To the library an integer, but -0.0 is written so.
        try:
            return json.loads(line, parse_int=_integer)
        except (ValueError, RecursionError) as error:
            _refuse(error, offset, name)
    return value


def _integer(text: str) -> int | float:
    return -0.0 if text == "-0" else int(text)


def _paired(escape: re.Match[bytes]) -> bytes:
    # A half of a surrogate pair without the other means U+FFFD, as to the Go implementation.
    return rb"\ufffd" if escape[2] else escape[0]


def _refuse(error: Exception, offset: int, name: str) -> NoReturn:
    if isinstance(error, RecursionError):
        found = "nesting too deep"
    elif isinstance(error, UnicodeDecodeError):
        found = "text that is not UTF-8"
    else:
        found = str(error).partition(" - at `")[0]
        at = _AT_BYTE.search(found)
        if at is not None:
            # Of what follows a value, the library names the byte after the first.
            offset += int(at[1]) - ("trailing" in found)
            found = found[: at.start()].rstrip()
    raise InvalidFormat(
        "decoding", name, found=found, expected="one JSON value on a line", offset=offset
    ) from None
