"""Many new files of a `FileSystemStore` that share their syncs.

The files are made under their final names: only a caller whose manifest names the files it trusts
may use a batch. Where `syncfs` writes everything and reports what failed, `commit` is one call of
it; elsewhere each file is fsynced before it is closed, and `commit` syncs the folders.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from holdfast.errors import Invalid, PathExists, StorageFailure, from_oserror
from holdfast.store.durable import (
    CREATE,
    TempFile,
    Token,
    close_quietly,
    sync_folder,
    typed,
    unlink_quietly,
    write_all,
)
from holdfast.store.file_writer import FileWriter
from holdfast.store.folders import Folders
from holdfast.store.paths import check_path

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.store.calls import SystemCalls


class FileBatch:
    """A batch of one store; see `holdfast.store.protocol.Batch`. Safe to use from threads."""

    def __init__(self, calls: SystemCalls, root: str, folders: Folders, token: Token) -> None:
        self._calls = calls
        self._root = root
        self._prefix = root.rstrip("/") + "/"
        self._folders = folders
        self._token = token
        self._files: list[str] = []
        self._touched: dict[str, None] = {}
        self._failed = False
        self._pid = os.getpid()
        folders.create(root)
        with typed("opening the folder", root):
            # Opened before anything is written: `syncfs` reports what failed since then. One for
            # each batch, because an error is reported once for each open file.
            self._fd = calls.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._shared = calls.can_sync_file_system(self._fd)
            except BaseException:
                close_quietly(calls, self._fd)
                raise

    def put(self, path: str, data: Buffer) -> None:
        """Create `path` with `data`, durable after `commit`.

        Raises:
            PathExists: something is there already.
            StorageFailure, NoSpace, Denied: the system refused; the file is not there.
        """
        full = self._prefix + check_path(path)
        folder = full[: full.rindex("/")]
        if folder not in self._touched:
            self._touch(folder)
        calls = self._calls
        try:
            try:
                fd = calls.open(full, CREATE)
            except FileNotFoundError:
                self._folders.forget(folder)
                self._touch(folder)
                fd = calls.open(full, CREATE)
        except FileExistsError:
            raise PathExists("writing", full, found="a file that is there already") from None
        except OSError as error:
            raise from_oserror(error, "writing", full) from error
        try:
            try:
                write_all(calls, fd, data)
                if not self._shared:
                    calls.fsync(fd)
            except BaseException:
                close_quietly(calls, fd)
                raise
            calls.close(fd)
        except BaseException as error:
            unlink_quietly(calls, full)
            if isinstance(error, OSError):
                raise from_oserror(error, "writing", full) from error
            raise
        self._touched[folder] = None  # again: a commit may have taken the set away meanwhile
        self._files.append(full)

    def open_writer(self, path: str, *, staging: str | None = None) -> FileWriter:
        """A stream into a new file, invisible until closed, durable after `commit`."""
        full = self._prefix + check_path(path)
        folder = os.path.dirname(full)
        self._touch(folder)
        if staging:
            folder = self._prefix + check_path(staging)
            self._folders.create(folder)
        with typed("writing", full):
            temp = TempFile(self._calls, folder, self._token)
        return FileWriter(temp, full, self._publish)

    @property
    def syncs_others(self) -> bool:
        """Whether `commit` makes durable what other processes wrote, too."""
        return self._shared

    def prepare(self, folder: str) -> None:
        """Make the folder (an absolute path) for files that another process is to create.

        Raises:
            Denied, PathExists, StorageFailure, NoSpace: as `put`.
        """
        if folder not in self._touched:
            self._touch(folder)

    def adopt(self, folder: str, path: str) -> None:
        """Take in the file `path` of a prepared `folder` that another process has created and
        closed; both absolute. Only where `syncs_others`."""
        self._touched[folder] = None
        self._files.append(path)

    def commit(self) -> None:
        """Make every file put since the last `commit` durable. The batch can be used on.

        Raises:
            StorageFailure: a sync failed. Nothing of the batch is to be trusted: it can only be
                aborted.
        """
        self._check_usable()
        folders, self._touched = self._touched, {}
        files, self._files = self._files, []
        try:
            if self._shared:
                with typed("syncing the file system of", self._root):
                    if not self._calls.sync_file_system(self._fd):
                        raise StorageFailure(
                            "syncing the file system of", self._root, found="no longer supported"
                        )
                self._folders.mark_durable(folders)
            else:
                for folder in folders:
                    sync_folder(self._calls, folder)
                    self._folders.ensure(folder)
        except BaseException:
            self._failed = True
            self._touched = {}
            self._files[:0] = files  # others may be adding
            raise

    def abort(self) -> None:
        """Remove the files put since the last `commit`, as far as the system lets us, and end the
        batch; idempotent. A forked child only drops its copy: the files are its parent's."""
        files, self._files = self._files, []
        if self._pid == os.getpid():
            for path in files:
                unlink_quietly(self._calls, path)
        self._touched = {}
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close_quietly(self._calls, fd)

    def _publish(self, temp: TempFile, path: str) -> None:
        try:
            if not self._shared:
                temp.sync()
            temp.publish(path)
        except FileExistsError:
            raise PathExists("writing", path, found="a file that is there already") from None
        self._touched[os.path.dirname(path)] = None
        self._files.append(path)

    def _touch(self, folder: str) -> None:
        self._check_usable()
        self._folders.create(folder)
        self._touched[folder] = None

    def _check_usable(self) -> None:
        if self._fd < 0:
            raise Invalid("using a batch", self._root, found="a batch that has ended")
        if self._failed:
            raise StorageFailure(
                "using a batch", self._root, found="a batch whose sync failed before"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()
