"""Files of a `FileSystemStore` whose names are decided last (see `holdfast.store.Staged`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.errors import Invalid, NotFound, PathExists, StorageFailure, from_oserror
from holdfast.store.durable import (
    TempFile,
    close_quietly,
    publish_many,
    sync_folder,
    typed,
    unlink_quietly,
)
from holdfast.store.paths import check_path

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.store.calls import SystemCalls
    from holdfast.store.folders import Folders
    from holdfast.store.shared_sync import SharedSync


class FileStaged:
    """A temporary file below `root` that waits for its name."""

    def __init__(
        self, calls: SystemCalls, root: str, folders: Folders, syncs: SharedSync, temp: TempFile
    ) -> None:
        self._calls = calls
        self._root = root
        self._folders = folders
        self._syncs = syncs
        self._temp: TempFile | None = temp
        self._prepared = False
        self.synced = False
        """Whether its bytes are durable."""

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
        """Nothing is written after this. Its bytes are durable then, but where a sync of the whole
        file system is to make them so, together with the names."""
        self.open_temp("preparing")
        self._prepared = True
        if not self._syncs.is_worth(1):
            self.sync()

    def sync(self) -> None:
        """Make the bytes durable. After an error the file is dropped: a second sync could succeed
        falsely."""
        temp = self.open_temp("syncing")
        self._prepared = True
        if self.synced:
            return
        try:
            with typed("syncing", temp.path or self._root):
                temp.sync()
        except BaseException:
            self.close()
            raise
        self.synced = True

    def publish(self, path: str) -> None:
        """Give the file its name, durable on return. Raises `PathExists`; the file is dropped."""
        publish_staged(self._calls, self._root, self._folders, self._syncs, [(self, path)])

    def replace(self, full: str) -> None:
        """Put the file in the place of the one at the absolute path, durable on return."""
        self.sync()
        temp = self.open_temp("replacing")
        try:
            with typed("replacing", full):
                temp.replace(full)
            sync_folder(self._calls, os.path.dirname(full))
        finally:
            self.close()

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
    syncs: SharedSync,
    items: Sequence[tuple[FileStaged, str]],
    along: Sequence[FileStaged] = (),
    *,
    whole: bool = False,
) -> None:
    """Publish staged files, durable on return; their syncs are shared. `along` are synced too.

    Args:
        whole: after a crash each file is whole or absent; otherwise a torn one may be there.

    Raises:
        PathExists: a name is taken.
        StorageFailure, NoSpace, Denied: the system refused; what had been published is taken away.
    """
    prefix = root.rstrip("/") + "/"
    named = [(item, prefix + check_path(path)) for item, path in items]
    for item, _ in named:
        item.open_temp("publishing")
    waiting = [item for item in (*(item for item, _ in named), *along) if not item.synced]
    try:
        if waiting and items and syncs.is_worth(len(waiting)):
            # Opened before the names are made: `syncfs` reports what failed since then.
            with typed("opening the folder", root):
                fd = calls.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with typed("writing", named[0][1]):
                    shared = calls.can_sync_file_system(fd)
                if shared:
                    _publish_shared(calls, folders, syncs, named, waiting, fd, whole=whole)
                    return
            finally:
                close_quietly(calls, fd)
        _publish_each(calls, folders, named, along)
    except NotFound:
        for _, name in named:
            folders.forget(os.path.dirname(name))
        raise
    finally:
        for item, _ in named:
            item.close()


def _publish_shared(
    calls: SystemCalls,
    folders: Folders,
    syncs: SharedSync,
    named: Sequence[tuple[FileStaged, str]],
    waiting: Sequence[FileStaged],
    fd: int,
    *,
    whole: bool,
) -> None:
    """Names first, then one sync of the file system for bytes, names and folders."""
    parents = list(dict.fromkeys(os.path.dirname(name) for _, name in named))
    published: list[str] = []
    name = named[0][1]
    try:
        if whole:
            _sync_all(syncs, waiting, fd)
        for folder in parents:
            folders.create(folder)
        for item, name in named:
            item.open_temp("publishing").link(name)
            published.append(name)
        _sync_all(syncs, waiting, fd)
    except BaseException as error:
        for done in published:
            unlink_quietly(calls, done)
        if isinstance(error, FileExistsError):
            raise PathExists("writing", name, found="a file that is there already") from None
        if isinstance(error, OSError):
            raise from_oserror(error, "writing", name) from error
        raise
    folders.mark_durable(parents)


def _sync_all(syncs: SharedSync, waiting: Sequence[FileStaged], fd: int) -> None:
    if not syncs.run(fd):
        raise StorageFailure("syncing a file system", found="no longer supported")
    for item in waiting:
        item.sync()  # cheap after the sync of all; reports what failed before it


def _publish_each(
    calls: SystemCalls,
    folders: Folders,
    named: Sequence[tuple[FileStaged, str]],
    along: Sequence[FileStaged],
) -> None:
    """Bytes first, then the names, then `along` and the folders: where a file system has a journal
    the first sync behind the names writes it all, and the others find nothing to do."""

    def sync_bytes() -> None:
        for item, _ in named:
            item.sync()

    def sync_names(published: Sequence[str]) -> None:
        for item in along:
            item.sync()
        for folder in dict.fromkeys(os.path.dirname(name) for name in published):
            sync_folder(calls, folder)
            folders.ensure(folder)

    if not named:
        for item in along:
            item.sync()
        return
    for folder in dict.fromkeys(os.path.dirname(name) for _, name in named):
        folders.create(folder)
    temps = [(item.open_temp("publishing"), name) for item, name in named]
    publish_many(calls, temps, sync_bytes, sync_names)
