"""A data file for its codec: verified, decompressed (see `codecs.Source`)."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, cast

from holdfast.datasets.compressors import NOOP, Compressor

if TYPE_CHECKING:
    from holdfast.snapshotting.verified_file import VerifiedFile

IN_MEMORY = 64 * 2**20
"""Decompressed bytes that are kept in memory for a seekable file; more go to a temporary one."""


class FileSource:
    """The decoded bytes of one stored file.

    Raises, when read:
        Integrity: the stored bytes are not those that the manifest fixes.
        InvalidFormat: they are, but cannot be decompressed.
    """

    def __init__(self, file: VerifiedFile, compressor: Compressor) -> None:
        self._file = file
        self._compressor = compressor

    @property
    def name(self) -> str:
        """The file's path."""
        return self._file.path

    def read_all(self) -> bytes:
        """All bytes."""
        if self._compressor.name == NOOP.name:
            return self._file.read_all()
        return b"".join(self.stream())

    def stream(self) -> Iterator[bytes]:
        """All bytes in order, in constant memory."""
        pieces = self._file.stream()
        if self._compressor.name == NOOP.name:
            return pieces
        return self._compressor.reader(pieces, self.name)

    def open(self) -> IO[bytes]:
        """A seekable file. A compressed one is decompressed first."""
        if self._compressor.name == NOOP.name:
            return cast(IO[bytes], io.BufferedReader(self._file.open(), 1 << 16))
        spool = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        try:
            for piece in self.stream():
                spool.write(piece)
        except BaseException:
            spool.close()
            raise
        spool.seek(0)
        return cast(IO[bytes], spool)
