"""The journal's format: batches of lines, each closed by a line that chains them (spec/runs.md §1).

Pure: bytes in, batches out. The hash of batch n is SHA-256 of the hash of batch n-1 (32 zero bytes
before the first), the bytes of the batch's lines, and the closing line without its ``sha256``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from holdfast.errors import HoldfastError, Integrity, ManifestInvalid, Unsupported
from holdfast.runs.lines import (
    ArtifactLine,
    BeginLine,
    EndLine,
    FileLine,
    MarkLine,
    check_usable,
)

JOURNAL_SCHEMA = "holdfast.journal/1"
NO_HASH = bytes(32)

_CLOSING = b'{"batch":'
_BEGIN, _FILE, _MARK, _ARTIFACT, _END = (
    b'{"action":',
    b'{"created":',
    b'{"file_id":',
    b'{"artifact":',
    b'{"bytes":',
)


class ClosingLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closes a batch. `order` rises within a project, as a decimal string (nanoseconds)."""

    batch: int
    count: int
    order: str
    sha256: str


T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_closing_decoder = msgspec.json.Decoder(ClosingLine)
_begin_decoder = msgspec.json.Decoder(BeginLine)
_file_decoder = msgspec.json.Decoder(FileLine)
_mark_decoder = msgspec.json.Decoder(MarkLine)
_artifact_decoder = msgspec.json.Decoder(ArtifactLine)
_end_decoder = msgspec.json.Decoder(EndLine)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a journal was taken in: bytes, batches, the hash of the last batch."""

    size: int = 0
    batches: int = 0
    hash: bytes = NO_HASH


@dataclass(slots=True)
class Batch:
    """One acknowledged step of a run."""

    number: int
    order: int
    begin: BeginLine | None = None
    files: list[FileLine] = field(default_factory=list)
    marks: list[MarkLine] = field(default_factory=list)
    artifacts: list[ArtifactLine] = field(default_factory=list)
    end: EndLine | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What `parse` found: whole batches, where they end, and the size of a torn tail in bytes."""

    batches: list[Batch]
    position: Position
    torn: int


def encode_batch(
    position: Position,
    order: int,
    *,
    begin: BeginLine | None = None,
    files: Sequence[FileLine] = (),
    marks: Sequence[MarkLine] = (),
    artifacts: Sequence[ArtifactLine] = (),
    end: EndLine | None = None,
) -> tuple[bytes, Position]:
    """The bytes of the batch that follows `position`, and the position after it."""
    lines: list[msgspec.Struct] = []
    if begin is not None:
        lines.append(begin)
    lines += files
    lines += marks
    lines += artifacts
    if end is not None:
        lines.append(end)
    body = _encoder.encode_lines(lines) if lines else b""
    number = position.batches + 1
    digest = _digest(position.hash, body, number, len(lines), order)
    closing = _encoder.encode(
        ClosingLine(batch=number, count=len(lines), order=str(order), sha256=digest.hex())
    )
    data = body + closing + b"\n"
    return data, Position(position.size + len(data), number, digest)


def _digest(
    previous: bytes, body: bytes | memoryview, number: int, count: int, order: int
) -> bytes:
    state = hashlib.sha256(previous)
    state.update(body)
    state.update(b'{"batch":%d,"count":%d,"order":"%d"}' % (number, count, order))
    return state.digest()


def parse(data: bytes, start: Position | None = None, *, name: str = "") -> Parsed:
    """The batches in `data`, which begins at `start` of the journal `name`.

    A torn tail is what a single interrupted append can leave after the last whole batch: no
    closing line, or one at the very end of lines that have another hash (a power loss may keep the
    end of a write and lose its middle). It was never acknowledged, unless the run is finished:
    then ``run.json`` knows better, and it is damage.

    Raises:
        Integrity: anything else that is not a whole batch; the message names the offset.
        Unsupported: a journal of a later version.
    """
    position = start or Position()
    base = position.size
    batches: list[Batch] = []
    offset = 0
    while offset < len(data):
        begins = offset
        if not data.startswith(_CLOSING, offset):
            found = data.find(b"\n" + _CLOSING, offset)
            begins = found + 1 if found >= 0 else len(data)
        ends = data.find(b"\n", begins)
        if ends < 0:
            return Parsed(batches, position, len(data) - offset)
        try:
            closing, digest = _closing(data, offset, begins, ends, position)
        except Integrity as error:
            if ends + 1 == len(data) and not _skips(data[begins:ends], position):
                return Parsed(batches, position, len(data) - offset)
            raise _damaged(name, error, base + offset, position) from None
        try:
            batch = _batch(data[offset:begins], closing)
        except (Integrity, ManifestInvalid) as error:
            # Its hash is right: it was written whole, and is nothing that may be cut.
            raise _damaged(name, error, base + offset, position) from None
        batches.append(batch)
        offset = ends + 1
        position = Position(base + offset, batch.number, digest)
    return Parsed(batches, position, 0)


def _damaged(name: str, error: HoldfastError, offset: int, position: Position) -> Integrity:
    return Integrity(
        "reading the journal",
        name or None,
        found=error.found,
        offset=offset,
        expected=f"batch {position.batches + 1} as it was written",
    )


def _closing(
    data: bytes, offset: int, begins: int, ends: int, position: Position
) -> tuple[ClosingLine, bytes]:
    """The closing line at ``data[begins:ends]`` of the lines from `offset` on, and the hash."""
    closing = _decode(_closing_decoder, data[begins:ends])
    if _encoder.encode(closing) != data[begins:ends] or not _is_order(closing.order):
        raise Integrity("reading", found="a closing line that is not canonical")
    if closing.batch != position.batches + 1:
        raise Integrity("reading", found=f"batch {closing.batch}")
    order = int(closing.order)
    body = memoryview(data)[offset:begins]
    digest = _digest(position.hash, body, closing.batch, closing.count, order)
    if digest.hex() != closing.sha256:
        raise Integrity("reading", found="lines that do not have the batch's SHA-256")
    return closing, digest


def _batch(body: bytes, closing: ClosingLine) -> Batch:
    lines = body.split(b"\n")
    lines.pop()
    if len(lines) != closing.count:
        raise Integrity("reading", found=f"{len(lines)} lines where {closing.count} are named")
    batch = Batch(closing.batch, int(closing.order))
    first, last = 0, len(lines)
    if last and lines[0].startswith(_BEGIN):
        batch.begin = _decode(_begin_decoder, lines[0])
        if batch.begin.schema != JOURNAL_SCHEMA:
            raise Unsupported(
                "reading the journal", found=batch.begin.schema, expected=JOURNAL_SCHEMA
            )
        first = 1
    if (batch.begin is None) != (closing.batch != 1):
        raise Integrity("reading", found="a begin line out of place, or none")
    if last > first and lines[last - 1].startswith(_END):
        last -= 1
        batch.end = _decode(_end_decoder, lines[last])
    while last > first and lines[last - 1].startswith(_ARTIFACT):
        last -= 1
        batch.artifacts.append(_decode(_artifact_decoder, lines[last]))
    batch.artifacts.reverse()
    while last > first and lines[last - 1].startswith(_MARK):
        last -= 1
        batch.marks.append(_decode(_mark_decoder, lines[last]))
    batch.marks.reverse()
    if last > first:
        try:
            batch.files = _file_decoder.decode_lines(b"\n".join(lines[first:last]))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Integrity("reading", found=str(error)) from None
        if len(batch.files) != last - first:
            raise Integrity("reading", found="an empty line")
        for line in batch.files:
            check_usable(line)
    return batch


def _skips(line: bytes, position: Position) -> bool:
    """Whether a closing line names a later batch than the next: then one before it is damaged."""
    try:
        return _decode(_closing_decoder, line).batch > position.batches + 1
    except Integrity:
        return False


def _is_order(text: str) -> bool:
    return 0 < len(text) <= 25 and text.isascii() and text.isdigit() and text[0] != "0"


def _decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Integrity("reading", found=str(error)) from None


def begin_of(batches: list[Batch]) -> BeginLine:
    """The journal's first line. Raises `Integrity` when there is none."""
    if not batches or batches[0].begin is None:
        raise Integrity("reading the journal", found="no begin line")
    return batches[0].begin


def begin_line(head: bytes, name: str) -> BeginLine:
    """The begin line at the start of `head`, unchecked by any hash.

    Raises:
        Integrity: there is none.
    """
    line, newline, _ = head.partition(b"\n")
    if not newline or not line.startswith(_BEGIN):
        raise Integrity("reading the journal", name, found="no begin line", offset=0)
    try:
        return _decode(_begin_decoder, line)
    except Integrity as error:
        raise Integrity("reading the journal", name, found=error.found, offset=0) from None


def end_line(tail: bytes) -> EndLine | None:
    """The end line before the closing line at the end of `tail`, or None."""
    lines = tail.rsplit(b"\n", 3)
    if len(lines) < 3 or lines[-1] or not lines[-2].startswith(_CLOSING):
        return None
    try:
        return _decode(_end_decoder, lines[-3]) if lines[-3].startswith(_END) else None
    except Integrity:
        return None


def closing_hash(tail: bytes) -> str | None:
    """The SHA-256 that the closing line at the end of `tail` names, or None."""
    line = tail[tail.rfind(b"\n", 0, -1) + 1 : -1]
    if not tail.endswith(b"\n") or not line.startswith(_CLOSING):
        return None
    try:
        return _decode(_closing_decoder, line).sha256
    except Integrity:
        return None
