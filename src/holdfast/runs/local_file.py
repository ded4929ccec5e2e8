"""Taking one local file, bytes or stream into an open run: hash and copy in one pass."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from holdfast.errors import Invalid, from_oserror

if TYPE_CHECKING:
    from holdfast.runs.writer import RunWriter

CHUNK = 1024 * 1024


@contextlib.contextmanager
def stream_of(source: str | bytes | BinaryIO) -> Iterator[tuple[BinaryIO, int | None, int | None]]:
    """(stream, permission bits, mtime in ns) of a local path, bytes, or a binary stream.

    Raises:
        NotFound, Denied, StorageFailure: the local file cannot be read.
        Invalid: it is no regular file.
    """
    if isinstance(source, bytes):
        yield io.BytesIO(source), None, None
        return
    if not isinstance(source, str):
        yield source, None, None
        return
    try:
        # O_NONBLOCK: opening a pipe must not wait for a writer.
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise from_oserror(error, "reading", source) from error
    with os.fdopen(fd, "rb", buffering=0) as stream:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Invalid("reading", source, found="not a regular file")
        yield cast("BinaryIO", stream), stat.S_IMODE(status.st_mode), status.st_mtime_ns


def take_stream(writer: RunWriter, path: bytes, stream: BinaryIO) -> tuple[int, str, str]:
    """(size, SHA-256 hex, stored key) of the stream's bytes, staged in `writer`."""
    first = stream.read(CHUNK) or b""
    second = stream.read(CHUNK) if first else b""
    if not second:
        digest = hashlib.sha256(first).hexdigest()
        return len(first), digest, writer.stage(path, first, digest)
    with writer.open_stage(path) as out:
        out.write(first)
        while second:
            out.write(second)
            second = stream.read(CHUNK)
        return out.finish()
