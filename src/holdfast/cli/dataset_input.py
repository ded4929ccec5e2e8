"""Files of the usual formats as data for a dataset, in constant memory."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from holdfast.errors import Invalid, InvalidFormat, from_oserror

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.datasets.codecs.parquet import Field

FORMATS = ("csv", "jsonl", "parquet", "arrow", "raw")
EXTENSIONS = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
_MAGIC = ((b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"\xff\xff\xff\xff", "arrow"))
_HEAD = 8
_PIECE = 1 << 20
_BLOCK = 4 << 20
"""Bytes of CSV from whose beginning the types of columns are found out."""
_ROWS = 65_536
CODECS = {
    "csv": "parquet",
    "parquet": "parquet",
    "arrow": "parquet",
    "jsonl": "jsonl",
    "raw": "raw",
}
"""The codec of a new dataset, by the format of what is written first."""


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How to read CSV: the sign between values, whether every column is text, and the columns
    whose types are known."""

    delimiter: str = ","
    text: bool = False
    fields: Sequence[Field] = ()


def format_of(name: str, text: str | None) -> str | None:
    """The format that `--format` says, else that of the name's extension; None: nobody says.

    Raises:
        Invalid: an unknown `--format`.
    """
    if text is not None:
        if text not in FORMATS:
            raise Invalid("reading --format", repr(text), expected=", ".join(FORMATS))
        return text
    base, extension = os.path.splitext(name.lower())
    if extension in _COMPRESSED:
        extension = os.path.splitext(base)[1]
    return EXTENSIONS.get(extension)


@contextmanager
def opened_input(file: str, told: Callable[[int], None]) -> Iterator[Incoming]:
    """The file `file`, or standard input for ``-``. `told` hears of the bytes that were read."""
    try:
        raw = cast("IO[bytes]", sys.stdin.buffer) if file == "-" else open(file, "rb")  # noqa: SIM115
    except OSError as error:
        raise from_oserror(error, "reading", file) from None
    try:
        yield Incoming(file, raw, told)
    finally:
        if file != "-":
            raw.close()


class Incoming(io.RawIOBase):
    """Bytes on their way in, read once from the beginning to the end."""

    def __init__(self, name: str, file: IO[bytes], told: Callable[[int], None]) -> None:
        self.name = "standard input" if name == "-" else name
        self._named = name
        self._file = file
        self._told = told
        self._done = 0
        self._head = b""

    def head(self) -> bytes:
        """The first few bytes, which are read again later."""
        while len(self._head) < _HEAD and (more := self._take(_HEAD - len(self._head))):
            self._head += more
        return self._head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if self._head:
            data, self._head = self._head[: len(view)], self._head[len(view) :]
        else:
            data = self._take(len(view))
        view[: len(data)] = data
        self._done += len(data)
        self._told(self._done)
        return len(data)

    def pieces(self) -> Iterator[bytes]:
        """All bytes."""
        while piece := self.read(_PIECE):
            yield piece

    def decompressed(self) -> IO[bytes]:
        """The bytes, decompressed where the name says that they are compressed."""
        kind = _COMPRESSED.get(os.path.splitext(self._named.lower())[1])
        if kind is None:
            return cast("IO[bytes]", io.BufferedReader(self, _PIECE))
        from holdfast.datasets.compressors import compressor_of

        pieces = compressor_of(kind).reader(self.pieces(), self.name)
        return cast("IO[bytes]", io.BufferedReader(_Pieces(pieces), _PIECE))

    @contextmanager
    def seekable_file(self) -> Iterator[IO[bytes]]:
        """The bytes as a seekable file: what comes through a pipe goes to a temporary one."""
        if self._named != "-" and self._file.seekable():
            self._file.seek(0)
            yield self._file
            return
        with tempfile.TemporaryFile() as spool:
            for piece in self.pieces():
                spool.write(piece)
            spool.seek(0)
            yield cast("IO[bytes]", spool)

    def _take(self, size: int) -> bytes:
        try:
            return self._file.read(size) or b""
        except OSError as error:
            raise from_oserror(error, "reading", self.name) from None


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        view = memoryview(buffer).cast("B")
        data, self._left = self._left[: len(view)], self._left[len(view) :]
        view[: len(data)] = data
        return len(data)


def found_format(incoming: Incoming, named: str | None) -> str:
    """The format: as named, else as the first bytes tell.

    Raises:
        Invalid: neither does; nothing is guessed.
    """
    if named is not None:
        return named
    head = incoming.head()
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.lstrip()[:1] == b"{":
        return "jsonl"
    raise Invalid(
        "reading", incoming.name,
        found="neither its name nor its first bytes tell the format",
        hint=f"name it with --format: {', '.join(FORMATS)}",
    )  # fmt: skip


@contextmanager
def data_of(incoming: Incoming, kind: str, csv: CsvOptions) -> Iterator[Any]:
    """What `Dataset.write` takes: an iterable of record batches or of records, or a binary file.

    Raises:
        Invalid: while it is read: not of this format.
    """
    if kind == "raw":
        yield incoming
    elif kind == "csv":
        with _readable(incoming, "CSV"):
            yield _csv(incoming, csv)
    elif kind == "jsonl":
        with _readable(incoming, "JSON Lines"):
            yield _jsonl(incoming)
    elif kind == "parquet":
        with _readable(incoming, "Parquet"), incoming.seekable_file() as file:
            yield _parquet(incoming, file)
    else:
        with _readable(incoming, "Arrow"):
            if incoming.head().startswith(b"ARROW1"):
                with incoming.seekable_file() as file:
                    yield _arrow_file(incoming, file)
            else:
                yield _arrow_stream(incoming)


@contextmanager
def _readable(incoming: Incoming, what: str) -> Iterator[None]:
    """Say of input that is not what it is taken for that it is bad input."""
    try:
        yield
    except InvalidFormat as error:
        raise Invalid(
            f"reading {what} from", incoming.name, found=error.found, offset=error.offset
        ) from None


@contextmanager
def _arrow_errors(incoming: Incoming, what: str, hint: str = "") -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError, OSError) as error:
        text = str(error).split("\n", maxsplit=1)[0]
        raise Invalid(f"reading {what} from", incoming.name, found=text, hint=hint) from None


def _csv(incoming: Incoming, options: CsvOptions) -> Iterator[Any]:
    from pyarrow import csv

    if len(options.delimiter) != 1 or not options.delimiter.isascii():
        raise Invalid("reading --delimiter", repr(options.delimiter), expected="one ASCII sign")
    file = incoming.decompressed()
    types = {field.name: _arrow_type(field.type) for field in options.fields}
    if options.text:
        types |= dict.fromkeys(_names(file, options.delimiter), _arrow_type("string"))
    hint = "give the types with --schema, or take every column as text with --text"
    with _arrow_errors(incoming, "CSV", hint):
        yield from csv.open_csv(
            file,
            read_options=csv.ReadOptions(block_size=_BLOCK),
            parse_options=csv.ParseOptions(delimiter=options.delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types),
        )


def _names(file: IO[bytes], delimiter: str) -> list[str]:
    """The names in the first row, which is read again later."""
    import csv

    head = cast("io.BufferedReader", file).peek(_PIECE).decode("utf-8-sig", "replace")
    return next(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), [])


def _arrow_type(name: str) -> Any:
    import pyarrow as pa

    known = {
        "float32": pa.float32(),
        "float64": pa.float64(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "string": pa.string(),
        "bytes": pa.binary(),
        "bool": pa.bool_(),
        "timestamp": pa.timestamp("ns", "UTC"),
    }
    return known[name]


def _jsonl(incoming: Incoming) -> Iterator[Any]:
    from holdfast.datasets.codecs.jsonl_reader import read_rows

    for rows in read_rows(_Lines(incoming)):
        yield from rows


class _Lines:
    """Incoming bytes as what a codec reads."""

    def __init__(self, incoming: Incoming) -> None:
        self.name = incoming.name
        self._file = incoming.decompressed()

    def read_all(self) -> bytes:
        return self._file.read()

    def stream(self) -> Iterator[bytes]:
        while piece := self._file.read(_PIECE):
            yield piece

    def open(self) -> IO[bytes]:
        return self._file


def _parquet(incoming: Incoming, file: IO[bytes]) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with _arrow_errors(incoming, "Parquet"):
        yield from pq.ParquetFile(file).iter_batches(batch_size=_ROWS)


def _arrow_file(incoming: Incoming, file: IO[bytes]) -> Iterator[Any]:
    import pyarrow as pa

    with _arrow_errors(incoming, "Arrow"):
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _arrow_stream(incoming: Incoming) -> Iterator[Any]:
    import pyarrow as pa

    with _arrow_errors(incoming, "Arrow"):
        yield from pa.ipc.open_stream(io.BufferedReader(incoming, _PIECE))
