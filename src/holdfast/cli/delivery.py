"""Bytes out of the repository: to standard output, or into a new file, whole or not at all."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from holdfast.cli.output import writing
from holdfast.errors import Invalid, PathExists, from_oserror

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.cli.target import Readable

_TEXT_CONTROLS = frozenset("\n\t\r\f")


def to_stdout(chunks: Iterable[bytes]) -> int:
    """Write `chunks` to standard output; returns the number of bytes.

    Raises:
        Invalid: standard output is a terminal and the bytes are not plain text.
    """
    with writing():
        sys.stdout.flush()
    out = sys.stdout.buffer
    if sys.stdout.isatty():
        chunks = _only_text(chunks)
    total = 0
    for chunk in chunks:
        with writing():
            out.write(chunk)
        total += len(chunk)
    with writing():
        out.flush()
    return total


def _only_text(chunks: Iterable[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for chunk in chunks:
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError:
            raise _binary() from None
        if not all(c.isprintable() or c in _TEXT_CONTROLS for c in text):
            raise _binary()
        yield chunk


def _binary() -> Invalid:
    return Invalid(
        "writing to the terminal",
        found="bytes that are not plain text",
        hint="name a file with -o, or send it through a pipe",
    )


class NewFile:
    """A stream into a file that does not exist yet; visible only when `publish` returns.

    The bytes go to a temporary file beside it, which is synced, then linked to the name, then the
    folder is synced: a reader finds the whole file or none, also after a power loss.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        folder, name = os.path.split(os.path.abspath(path))
        if os.path.lexists(path) or not name:
            raise self._exists()
        self._folder = folder
        self._temp = os.path.join(folder, f".hf-{os.urandom(8).hex()}")
        try:
            fd = os.open(self._temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise from_oserror(error, "writing", path) from None
        self._file: BinaryIO = os.fdopen(fd, "wb", buffering=0)
        self.size = 0

    def _exists(self) -> PathExists:
        return PathExists(
            "writing", self.path, found="it exists already", hint="choose another name"
        )

    def write(self, data: Buffer) -> int:
        """Append all of `data`."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view):
                done += self._file.write(view[done:]) or 0
        except OSError as error:
            raise from_oserror(error, "writing", self.path) from None
        self.size += done
        return done

    def publish(self) -> None:
        """Make the file durable and give it its name. Raises `PathExists` when it lost a race."""
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            self._give_name()
            sync_folder(self._folder)
        except FileExistsError:
            raise self._exists() from None
        except OSError as error:
            raise from_oserror(error, "writing", self.path) from None

    def _give_name(self) -> None:
        try:
            os.link(self._temp, self.path)
        except FileExistsError:
            raise
        except OSError:
            # No hard links here (FAT, some network file systems): take the name, then replace
            # the empty file that is ours.
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            try:
                os.rename(self._temp, self.path)
            except OSError:
                os.unlink(self.path)
                raise
        else:
            os.unlink(self._temp)

    def discard(self) -> None:
        """Remove what was written and not published."""
        self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._temp)

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def to_file(chunks: Iterable[bytes], path: str) -> int:
    """Write `chunks` to the new file `path`; returns the number of bytes.

    Raises:
        PathExists: something is there already.
        StorageFailure, NoSpace, Denied, NotFound: the system refused.
    """
    with NewFile(path) as file:
        for chunk in chunks:
            file.write(chunk)
        file.publish()
        return file.size


def chunks_of(readable: Readable, size: int = 1 << 20) -> Iterator[bytes]:
    """The bytes of `readable`, at most `size` at a time."""
    while chunk := readable.read(size):
        yield chunk


class NewFolder:
    """A folder that does not exist yet, or is empty; visible only when `publish` returns.

    The files go into a temporary folder beside it, are synced, and take its place together.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._target = os.path.abspath(path)
        try:
            if os.path.lexists(self._target) and os.listdir(self._target):
                raise PathExists(
                    "writing to", path, found="it is not empty", hint="choose another folder"
                )
            parent = os.path.dirname(self._target)
            self._temp = os.path.join(parent, f".hf-{os.urandom(8).hex()}")
            os.mkdir(self._temp)
        except OSError as error:
            raise from_oserror(error, "writing to", path) from None
        self._folders = {self._temp}

    def write(self, name: str, chunks: Iterable[bytes]) -> int:
        """Write a file at the relative path `name`; returns the number of bytes."""
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise Invalid("writing to", self.path, found=f"the name {name!r}")
        folder = self._temp
        try:
            for part in parts[:-1]:
                folder = os.path.join(folder, part)
                os.makedirs(folder, exist_ok=True)
                self._folders.add(folder)
        except OSError as error:
            raise from_oserror(error, "writing to", self.path) from None
        return to_file(chunks, os.path.join(folder, parts[-1]))

    def publish(self) -> None:
        """Make the folder durable and give it its name. Raises `PathExists`."""
        try:
            for folder in sorted(self._folders, reverse=True):
                sync_folder(folder)
            os.rename(self._temp, self._target)
            sync_folder(os.path.dirname(self._target))
        except OSError as error:
            raise from_oserror(error, "writing to", self.path) from None

    def __enter__(self) -> NewFolder:
        return self

    def __exit__(self, *_: object) -> None:
        import shutil

        shutil.rmtree(self._temp, ignore_errors=True)


def sync_folder(path: str) -> None:
    """Make a folder's entries durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
