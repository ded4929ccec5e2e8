"""Streams into new files of a `FileSystemStore`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.errors import Invalid, from_oserror
from holdfast.store.durable import TempFile

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer


class FileWriter:
    """A stream into one new file: a temporary file until `close` (see `holdfast.store.Writer`).

    Args:
        temp: the open temporary file.
        path: absolute path of the file to be.
        publish: gives the written file its name; raises `PathExists` or another typed error.
    """

    def __init__(self, temp: TempFile, path: str, publish: Callable[[TempFile, str], None]) -> None:
        self._temp: TempFile | None = temp
        self._path = path
        self._publish = publish
        self._closed = False

    def write(self, data: Buffer) -> None:
        """Append `data`. After an error the writer is aborted.

        Raises:
            StorageFailure, NoSpace: the system refused.
            Invalid: the writer is closed or aborted.
        """
        temp = self._open_temp("writing")
        try:
            temp.write(data)
        except BaseException as error:
            self.abort()
            if isinstance(error, OSError):
                raise from_oserror(error, "writing", self._path) from error
            raise

    def close(self) -> None:
        """Publish the file, create-only; idempotent after success.

        Raises:
            PathExists: something is there already.
            StorageFailure, NoSpace: the system refused; nothing is visible.
            Invalid: the writer was aborted, or a write failed.
        """
        if self._closed:
            return
        temp = self._open_temp("closing")
        self._temp = None
        try:
            self._publish(temp, self._path)
        except BaseException as error:
            temp.discard()
            if isinstance(error, OSError):
                raise from_oserror(error, "writing", self._path) from error
            raise
        self._closed = True

    def abort(self) -> None:
        """Drop what was written; nothing happens after `close`."""
        temp, self._temp = self._temp, None
        if temp is not None:
            temp.discard()

    def _open_temp(self, doing: str) -> TempFile:
        if self._temp is None:
            found = "a closed writer" if self._closed else "a writer that was aborted"
            raise Invalid(doing, self._path, found=found)
        return self._temp

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()
