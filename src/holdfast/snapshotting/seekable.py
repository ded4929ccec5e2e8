"""Bytes that can be read at any place, as a seekable file."""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import TYPE_CHECKING

from holdfast.errors import Invalid

if TYPE_CHECKING:
    from typing_extensions import Buffer


class SeekableReader(io.RawIOBase):
    """A read-only file over ranges; what it reads from says `size` and `read_some`."""

    def __init__(self, what: object) -> None:
        self._what = what
        self._at = 0

    @abstractmethod
    def size(self) -> int:
        """Size in bytes."""

    @abstractmethod
    def read_some(self, offset: int, length: int) -> bytes:
        """At most `length` (> 0) bytes from `offset` on, of which some are within the size; none
        only at the end."""

    def read_rest(self, offset: int) -> bytes:
        """All bytes from `offset` on, which is within the size."""
        return self.read_some(offset, self.size() - offset)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._check_open()
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size()}
        if whence not in start or start[whence] + offset < 0:
            raise Invalid("seeking in", self._what, found=f"{offset} from {whence}")
        self._at = start[whence] + offset
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        self._check_open()
        if size is None or size < 0:
            return self.readall()
        length = min(size, self.size() - self._at)
        data = self.read_some(self._at, length) if length > 0 else b""
        self._at += len(data)
        return data

    def readall(self) -> bytes:
        self._check_open()
        data = self.read_rest(self._at) if self._at <= self.size() else b""
        self._at += len(data)
        return data

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _check_open(self) -> None:
        if self.closed:
            raise Invalid("reading", self._what, found="a file that is closed")
