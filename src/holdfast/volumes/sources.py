"""Where an import reads from: anything that gives ranges of bytes that stay the same."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.errors import Conflict, Invalid, from_oserror

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Source(Protocol):
    """Bytes that can be read range by range. A context manager, as a file is."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def name(self) -> str:
        """What to call it in metadata and messages: without secrets."""

    @property
    def identity(self) -> dict[str, Any]:
        """JSON-like facts that change when its bytes do."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes. Raises `Conflict` when the source changed meanwhile."""

    def close(self) -> None:
        """Release it; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_source(where: str | os.PathLike[str], *, allow_private: bool = False) -> Source:
    """The file at a path, or what an HTTP or HTTPS URL names.

    Args:
        allow_private: let a URL lead to addresses that are not public.

    Raises:
        Invalid: a URL of another scheme.
        Unsupported: a server that gives no ranges.
        NotFound, Denied, StorageFailure: it cannot be opened.
    """
    text = os.fsdecode(where)
    if "://" in text:
        from holdfast.volumes.url_source import UrlSource

        return UrlSource(text, allow_private=allow_private)
    return FileSource(text)


class FileSource:
    """A regular file of the local file system. It must not change while it is imported: its size
    and time of change are looked at after each read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fsdecode(path)
        self._fd = -1
        try:
            # O_NONBLOCK: a pipe must not make us wait for its writer.
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            self._status = os.fstat(self._fd)
        except OSError as error:
            self.close()
            raise from_oserror(error, "opening the file", self._path) from error
        except ValueError as error:  # a byte of 0
            raise Invalid("opening the file", repr(self._path), found=str(error)) from None
        # What was opened: the path may lead elsewhere by now.
        if not stat.S_ISREG(self._status.st_mode):
            self.close()
            raise Invalid("importing", self._path, found="no regular file")

    @property
    def size(self) -> int:
        return self._status.st_size

    @property
    def name(self) -> str:
        return os.path.basename(self._path)

    @property
    def identity(self) -> dict[str, Any]:
        return {"size": self.size, "mtime_ns": self._status.st_mtime_ns}

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes.

        Raises:
            Conflict: the file changed since it was opened.
        """
        parts = []
        at, end = offset, offset + length
        try:
            while at < end and (part := os.pread(self._fd, end - at, at)):
                parts.append(part)
                at += len(part)
            status = os.fstat(self._fd)
        except OSError as error:
            raise from_oserror(error, "reading", self._path) from error
        if at < end or (status.st_size, status.st_mtime_ns) != (
            self._status.st_size,
            self._status.st_mtime_ns,
        ):
            raise Conflict("importing", self._path, found="a file that changes meanwhile")
        return b"".join(parts)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
