"""Compression of data files: none, gzip, zstd (§6).

A reader never holds more than a piece of what it decompresses, whatever the input claims, and takes
what other programs write: several gzip members, several zstd frames, frames without a size.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from holdfast.errors import InvalidFormat, Unsupported

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.datasets.codecs.protocol import Sink

PIECE = 1 << 20
"""Most bytes of one piece, decompressed."""
_STEP = 1 << 14
# Decompressors copy what they leave over: with small steps many tiny members cost little.

_DOING = "decompressing"


class CompressWriter(Protocol):
    """Compresses one file into a sink."""

    def write(self, data: Buffer, /) -> object:
        """Take all of `data`."""

    def finish(self) -> None:
        """Write what is left; the sink stays open."""


class Compressor(Protocol):
    """A way to compress data files. Has no state: one serves many files and threads."""

    @property
    def name(self) -> str:
        """Its name in manifests."""

    @property
    def extension(self) -> str:
        """What it adds to a file's name, with the dot."""

    def writer(self, sink: Sink) -> CompressWriter:
        """A writer for one file."""

    def reader(self, pieces: Iterable[bytes], name: str = "") -> Iterator[bytes]:
        """The decompressed content of `pieces`, in pieces of bounded size, none of them empty.

        Args:
            name: the file's, for errors.

        Raises:
            InvalidFormat: truncated, damaged, or followed by something else.
        """


class Noop:
    """No compression."""

    name = "noop"
    extension = ""

    def writer(self, sink: Sink) -> CompressWriter:
        """Hands everything on."""
        return _Through(sink)

    def reader(self, pieces: Iterable[bytes], name: str = "") -> Iterator[bytes]:
        """The pieces."""
        return (piece for piece in pieces if piece)


class _Through:
    def __init__(self, sink: Sink) -> None:
        self.write = sink.write

    def finish(self) -> None:
        """Nothing is left."""


class Gzip:
    """gzip at level 6, without a time in its header."""

    name = "gzip"
    extension = ".gz"

    def writer(self, sink: Sink) -> CompressWriter:
        """Writes one member."""
        return _GzipWriter(sink)

    def reader(self, pieces: Iterable[bytes], name: str = "") -> Iterator[bytes]:
        """Reads one member or more; nothing else may follow, zeros neither."""
        member = zlib.decompressobj(31)
        offset = 0
        for piece in pieces:
            for start in range(0, len(piece), _STEP):
                waiting = piece[start : start + _STEP]
                while waiting:
                    if member.eof:
                        member = zlib.decompressobj(31)
                    try:
                        out = member.decompress(waiting, PIECE)
                        # A full piece may have more behind it, though all input is taken.
                        while len(out) == PIECE and not member.unconsumed_tail and not member.eof:
                            yield out
                            out = member.decompress(b"", PIECE)
                    except zlib.error as error:
                        raise _bad(name, str(error), offset + start) from None
                    if out:
                        yield out
                    waiting = member.unused_data if member.eof else member.unconsumed_tail
            offset += len(piece)
        if not member.eof:
            raise _bad(name, "it ends too early" if offset else "no bytes", offset)


class _GzipWriter:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._member = zlib.compressobj(6, zlib.DEFLATED, 31)

    def write(self, data: Buffer) -> None:
        for piece in _pieces(data):
            if out := self._member.compress(piece):
                self._sink.write(out)

    def finish(self) -> None:
        self._sink.write(self._member.flush())


class Zstd:
    """zstd at level 3 with a checksum of the content; no content is no bytes."""

    name = "zstd"
    extension = ".zst"

    def writer(self, sink: Sink) -> CompressWriter:
        """Writes one frame, or nothing."""
        return _ZstdWriter(sink)

    def reader(self, pieces: Iterable[bytes], name: str = "") -> Iterator[bytes]:
        """Reads any number of frames; skippable ones are passed over."""
        import zstandard

        decompressor = zstandard.ZstdDecompressor()
        frame = None
        parts = _ZstdParts(pieces, name)
        for part, is_first in parts:
            if is_first:
                if frame is not None and not frame.eof:
                    raise _bad(name, "a frame that does not end", parts.offset)
                frame = decompressor.decompressobj()
            assert frame is not None
            try:
                out = frame.decompress(part)
            except zstandard.ZstdError as error:
                found = str(error).removeprefix("zstd decompressor error: ")
                raise _bad(name, found, parts.offset) from None
            if out:
                yield out
        if frame is not None and not frame.eof:
            raise _bad(name, "a frame that does not end", parts.offset)


class _ZstdWriter:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._frame: object = None

    def write(self, data: Buffer) -> None:
        for piece in _pieces(data):
            if self._frame is None:
                import zstandard

                self._compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
                self._frame = self._compressor.compressobj()
                self._compress = self._frame.compress
                self._flush = self._frame.flush
            if out := self._compress(piece):
                self._sink.write(out)

    def finish(self) -> None:
        if self._frame is not None:
            self._sink.write(self._flush())


class _ZstdParts:
    """Cuts frames into their parts (RFC 8878 §3.1.1), as (bytes, whether a frame begins here).

    The library bounds neither what a piece of input may grow to nor notices a missing end. A block
    grows to 128 KiB at most; so it gets one block at a time.
    """

    def __init__(self, pieces: Iterable[bytes], name: str) -> None:
        self._pieces = iter(pieces)
        self._name = name
        self._waiting = bytearray()
        self._at = 0  # of what waits, this much is taken
        self.offset = 0

    def __iter__(self) -> Iterator[tuple[bytes, bool]]:
        while self._fill(1):
            magic = int.from_bytes(self._take(4), "little")
            if magic & 0xFFFFFFF0 == 0x184D2A50:
                self._skip(int.from_bytes(self._take(4), "little"))
                continue
            if magic != 0xFD2FB528:
                raise _bad(self._name, "no zstd frame", self.offset - 4)
            flags = self._take(1)[0]
            single = flags >> 5 & 1
            size = (single, 2, 4, 8)[flags >> 6] + (0, 1, 2, 4)[flags & 3] + (1 - single)
            yield magic.to_bytes(4, "little") + bytes([flags]) + self._take(size), True
            last = False
            while not last:
                head = self._take(3)
                word = int.from_bytes(head, "little")
                last = bool(word & 1)
                kind, length = word >> 1 & 3, word >> 3
                if kind == 3 or length > 1 << 17:
                    raise _bad(self._name, "a block that cannot be", self.offset - 3)
                yield head + self._take(1 if kind == 1 else length), False
            if flags & 4:
                yield self._take(4), False

    def _fill(self, count: int) -> bool:
        while len(self._waiting) - self._at < count:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            del self._waiting[: self._at]
            self._at = 0
            self._waiting += piece
        return True

    def _take(self, count: int) -> bytes:
        if not self._fill(count):
            end = self.offset + len(self._waiting) - self._at
            raise _bad(self._name, "it ends too early", end)
        out = bytes(self._waiting[self._at : self._at + count])
        self._at += count
        self.offset += count
        return out

    def _skip(self, count: int) -> None:
        while count:
            count -= len(self._take(min(count, _STEP)))


def _pieces(data: Buffer) -> Iterator[memoryview]:
    view = memoryview(data).cast("B")
    return (view[at : at + PIECE] for at in range(0, len(view), PIECE))


def _bad(name: str, found: str, offset: int) -> InvalidFormat:
    return InvalidFormat(_DOING, name or None, found=found, offset=offset)


NOOP = Noop()
GZIP = Gzip()
ZSTD = Zstd()
_KNOWN: dict[str, Compressor] = {"none": NOOP, "noop": NOOP, "gzip": GZIP, "zstd": ZSTD}


def compressor_of(compressor: Compressor | str | None) -> Compressor:
    """The compressor of a name; None is no compression, an object stands for itself.

    Raises:
        Unsupported: a name that is not known here.
    """
    if compressor is None:
        return NOOP
    if not isinstance(compressor, str):
        return compressor
    known = _KNOWN.get(compressor)
    if known is None:
        raise Unsupported(
            "choosing a compressor", found=f"{compressor!r}", expected=", ".join(_KNOWN)
        )
    return known
