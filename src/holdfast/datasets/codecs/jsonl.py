"""The codec ``jsonl``: one JSON value per line (§5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.datasets.codecs import jsonl_batches, jsonl_reader
from holdfast.datasets.codecs.canonical_line import LONE, canonical_line
from holdfast.datasets.codecs.json_values import (
    MAX_DEPTH,
    REPLACEMENT,
    Refused,
    json_value,
    native,
    written_as_they_are,
)
from holdfast.datasets.manifest import FileStats
from holdfast.datasets.row_statistics import RowStats
from holdfast.errors import Invalid, SchemaViolation

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.compute

    from holdfast.datasets.codecs.protocol import Chunk, Sink, Source

GO_LONGEST_LINE = 10 * 2**20 - 1
"""Bytes of the longest line, its line break not counted, that the Go implementation reads."""

_ROWS = 4096
"""Rows that are encoded at once: what they refer to is still in the caches when their statistics
are made."""
_LONG = 16_384
"""Bytes from which numpy's way of looking at them is the quicker one."""


class Jsonl:
    """Records as JSON lines.

    Args:
        canonical: write byte for byte what the Go implementation writes; slower. In this form a
            float without a fraction looks like an integer and is read as one: the integer of its
            shortest digits, which is the same number as a float, but beyond 2**53 not exactly.
        statistics: collect bounds and null counts of columns, not only the number of records.
    """

    name = "jsonl"

    def __init__(self, canonical: bool = False, *, statistics: bool = True) -> None:
        self.canonical = canonical
        self.statistics = statistics

    def encoder(self, sink: Sink) -> JsonlEncoder:
        """Writes one file into `sink`."""
        return JsonlEncoder(sink, canonical=self.canonical, statistics=self.statistics)

    def read_rows(self, source: Source) -> Iterator[list[Any]]:
        """The values of the lines, integers as integers. Raises `InvalidFormat`."""
        return jsonl_reader.read_rows(source)

    def read_batches(
        self,
        source: Source,
        *,
        columns: Sequence[str] | None = None,
        where: pyarrow.compute.Expression | None = None,
    ) -> Iterator[pyarrow.RecordBatch]:
        """The records as batches of one schema, which is inferred from all of them; a key that a
        record does not have is null there, and so is a column that no record has.

        Raises:
            InvalidFormat: see `read_rows`.
            SchemaViolation: records that are no objects, or a key whose values have no common type.
        """
        return jsonl_batches.read_batches(source, columns, where)


class JsonlEncoder:
    """Writes one file.

    Attributes:
        longest_line: bytes of the longest line, if it is too long for the Go implementation (see
            `GO_LONGEST_LINE`); else 0.
    """

    def __init__(self, sink: Sink, *, canonical: bool, statistics: bool) -> None:
        self._sink = sink
        self._canonical = canonical
        self._stats = RowStats() if statistics else None
        self._count = 0
        self._converted = False
        self._usable = True
        self._library = msgspec.json.Encoder(order="sorted", enc_hook=self._native)
        self.longest_line = 0

    def write(self, chunk: Chunk) -> None:
        """Append records.

        Raises:
            SchemaViolation: a value that no line can hold, NaN and infinities among them; nothing
                of its chunk's part was written.
        """
        self._check_usable()
        self._usable = False
        if isinstance(chunk, Sequence):
            for at in range(0, len(chunk), _ROWS):
                self._write_rows(chunk if len(chunk) <= _ROWS else chunk[at : at + _ROWS])
        else:
            self._write_table(chunk)
        self._usable = True

    def finish(self) -> FileStats:
        """The file's statistics."""
        self._check_usable()
        self._usable = False
        return FileStats(self._count) if self._stats is None else self._stats.result()

    def _check_usable(self) -> None:
        if not self._usable:
            raise Invalid("writing JSON lines", found="an encoder that has failed or is finished")

    def _write_table(self, table: pyarrow.Table) -> None:
        from holdfast.datasets.tables import rows_of

        names = table.schema.names
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise SchemaViolation("writing JSON lines", found=f"two columns named {twice!r:.80}")
        # Arrow's own way is twice as fast, but has no exact form for nanoseconds.
        exact = any("[ns" in str(kind) for kind in table.schema.types)
        for batch in table.to_batches(max_chunksize=_ROWS):
            try:
                rows = rows_of(batch) if exact else batch.to_pylist()
            except (ValueError, OverflowError) as error:
                raise SchemaViolation("writing JSON lines", found=str(error)) from None
            self._write_rows(rows)

    def _write_rows(self, rows: Sequence[Any]) -> None:
        if not rows:
            return
        dicts: bool | None = set(map(type, rows)) == {dict}
        data = None if self._canonical else self._quickly(rows, dicts=bool(dicts))
        if data is None or self._converted:
            # Statistics are of what a reader will find.
            rows, dicts = self._json_values(rows), None
        if data is None:
            if self._canonical:
                data = "".join(map(canonical_line, rows)).encode()
            else:
                data = self._library.encode_lines(rows)
        if len(data) > GO_LONGEST_LINE:
            longest = max(map(len, data.split(b"\n")))
            if longest > max(GO_LONGEST_LINE, self.longest_line):
                self.longest_line = longest
        if self._stats is not None:
            self._stats.update(rows, dicts=dicts)
        self._count += len(rows)
        self._sink.write(data)

    def _quickly(self, rows: Sequence[Any], *, dicts: bool) -> bytes | None:
        """The lines as the library writes them; None where that would not be right.

        The library writes NaN as null, times in a form of its own, and nests deeper than a reader
        can. Each leaves a trace in the text: only where there is one are the values looked at.
        """
        self._converted = False
        try:
            data = self._library.encode_lines(rows)
        except (Refused, TypeError, ValueError, OverflowError, RecursionError):
            return None
        suspect = (
            _has_null(data)
            or (b"T" in data and jsonl_reader.LIKE_A_TIME.search(data) is not None)
            or _inner_brackets(data, len(rows) if dicts else None) >= MAX_DEPTH
        )
        return None if suspect and not written_as_they_are(rows) else data

    def _native(self, value: Any) -> Any:
        self._converted = True
        return native(value)

    def _json_values(self, rows: Sequence[Any]) -> list[Any]:
        out = []
        lone = LONE if self._canonical else REPLACEMENT
        for i, row in enumerate(rows):
            try:
                out.append(json_value(row, lone=lone))
            except Refused as refused:
                raise refused.violation(self._count + i) from None
        return out


def _has_null(data: bytes) -> bool:
    if len(data) < _LONG:
        return b"null" in data
    import numpy as np

    # Searching for text whose letters are everywhere takes longer than comparing all bytes.
    octets = np.frombuffer(data, np.uint8)
    pairs = (octets[:-1] == ord("n")) & (octets[1:] == ord("u"))
    return bool(pairs.any()) and b"null" in data


def _inner_brackets(data: bytes, dicts: int | None) -> int:
    """Lists and objects, and brackets in text, that do not begin a line. `dicts`: that each line
    is an object, and how many there are."""
    found = _count(data, b"{") + (_count(data, b"[") if b"[" in data else 0)
    if dicts is not None:
        return found - dicts
    return found - data.count(b"\n{") - data.count(b"\n[") - data.startswith((b"{", b"["))


def _count(data: bytes, octet: bytes) -> int:
    if len(data) < _LONG:
        return data.count(octet)
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord(octet)))
