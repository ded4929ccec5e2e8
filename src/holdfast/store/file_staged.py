"""Files of a `FileSystemStore` whose names are decided last (see `holdfast.store.Staged`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.errors import Invalid, NotFound, from_oserror
from holdfast.store.durable import (
    TempFile,
    close_quietly,
    publish_many,
    sync_folder,
    typed,
)
from holdfast.store.paths import check_path

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.store.calls import SystemCalls
    from holdfast.store.folders import Folders

FEW = 8
"""Below this many files each is synced, rather than the whole file system."""


class FileStaged:
    """A temporary file below `root` that waits for its name."""

    def __init__(self, calls: SystemCalls, root: str, folders: Folders, temp: TempFile) -> None:
        self._calls = calls
        self._root = root
        self._folders = folders
        self._temp: TempFile | None = temp
        self._prepared = False

    def write(self, data: Buffer) -> None:
        """Append `data`. After an error the file is dropped."""
        temp = self.open_temp("writing")
        if self._prepared:
            raise Invalid("writing", temp.path, found="a file that was prepared already")
        try:
            temp.write(data)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise from_oserror(error, "writing", temp.path) from error
            raise

    def prepare(self) -> None:
        """Make the bytes durable. After an error the file is dropped: a second sync could succeed
        falsely."""
        temp = self.open_temp("syncing")
        if self._prepared:
            return
        try:
            with typed("syncing", temp.path):
                temp.sync()
        except BaseException:
            self.close()
            raise
        self._prepared = True

    def publish(self, path: str) -> None:
        """Give the file its name, durable on return. Raises `PathExists`; the file is dropped."""
        publish_staged(self._calls, self._root, self._folders, [(self, path)])

    def close(self) -> None:
        """Drop what is not published; idempotent."""
        temp, self._temp = self._temp, None
        if temp is not None:
            temp.discard()

    def open_temp(self, doing: str) -> TempFile:
        """The temporary file. Raises `Invalid` when it was published or dropped."""
        if self._temp is None:
            raise Invalid(doing, self._root, found="a staged file that has ended")
        return self._temp

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def publish_staged(
    calls: SystemCalls,
    root: str,
    folders: Folders,
    items: Sequence[tuple[FileStaged, str]],
    along: Sequence[FileStaged] = (),
) -> None:
    """Publish staged files, durable on return; their syncs are shared. `along` are prepared.

    Names are made before the first sync, in folders that are not synced yet either: where a file
    system has a journal, the first sync then writes it all, and the others find nothing to do.

    Raises:
        PathExists: a name is taken.
        StorageFailure, NoSpace, Denied: the system refused; what had been published is taken away.
    """
    if not items:
        for item in along:
            item.prepare()
        return
    prefix = root.rstrip("/") + "/"
    names = [prefix + check_path(path) for _, path in items]
    temps = [
        (item.open_temp("publishing"), name) for (item, _), name in zip(items, names, strict=True)
    ]
    parents = list(dict.fromkeys(os.path.dirname(name) for name in names))
    fd, shared = -1, False
    if len(items) >= FEW:
        # Opened before the names are made: `syncfs` reports what failed since then.
        with typed("opening the folder", root):
            fd = calls.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if fd >= 0:
            with typed("writing", names[0]):
                shared = calls.can_sync_file_system(fd)

        def sync_file_system() -> bool:
            with typed("syncing the file system of", root):
                return shared and calls.sync_file_system(fd)

        def sync_bytes() -> None:
            sync_file_system()
            for item, _ in items:
                item.prepare()  # cheap after the sync of all; reports what failed before it

        def sync_names(published: Sequence[str]) -> None:
            for item in along:
                item.prepare()
            if sync_file_system():
                folders.mark_durable(parents)
                return
            for folder in dict.fromkeys(os.path.dirname(name) for name in published):
                sync_folder(calls, folder)
                folders.ensure(folder)

        for folder in parents:
            folders.create(folder)
        try:
            publish_many(calls, temps, sync_bytes, sync_names)
        except NotFound:
            for folder in parents:
                folders.forget(folder)
            raise
    finally:
        for item, _ in items:
            item.close()
        if fd >= 0:
            close_quietly(calls, fd)
