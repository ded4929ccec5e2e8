"""Sharing bytes between two files of one file system: reflink, else a hard link (spec §3)."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.errors import HoldfastError
from holdfast.runs.journals import seam_of

if TYPE_CHECKING:
    from holdfast.store.calls import SystemCalls
    from holdfast.store.protocol import Store

READ_ONLY = 0o444


@runtime_checkable
class ClonesFiles(Protocol):
    """System calls that can share extents and change modes."""

    def clone(self, source: int, target: int) -> None:
        """FICLONE: `target` gets the bytes of `source`; OSError where it cannot."""

    def change_mode(self, path: str, mode: int) -> None: ...


class Sharer:
    """Makes files that share their bytes with a stored one; on other stores it never does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._calls, self._root = seam_of(store)
        self._clones = isinstance(self._calls, ClonesFiles)
        self._touched: dict[str, None] = {}
        self._made: list[str] = []

    def share(self, existing: str, new: str) -> bool:
        """Make the key `new` with the bytes of `existing`, durable after `sync`; False where the
        file system cannot (EMLINK, EXDEV, EPERM, …): the caller copies then, and likewise where
        `new` is taken."""
        from holdfast.store.filesystem import FileSystemStore

        calls = self._calls
        if calls is None or not isinstance(self._store, FileSystemStore):
            return False
        source, target = f"{self._root}/{existing}", f"{self._root}/{new}"
        folder = os.path.dirname(target)
        try:
            if not calls.stat(source).is_file:
                return False
            self._store.folders.ensure(folder)
            if not self._clone(calls, source, target):
                calls.link(source, target)
                if isinstance(calls, ClonesFiles):
                    calls.change_mode(target, READ_ONLY)
        except (OSError, HoldfastError):
            return False
        self._touched[folder] = None
        self._made.append(target)
        return True

    def _clone(self, calls: SystemCalls, source: str, target: str) -> bool:
        if not self._clones or not isinstance(calls, ClonesFiles):
            return False
        read = calls.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            write = calls.open(target, flags)
            try:
                calls.clone(read, write)
                calls.fsync(write)
            except OSError:
                # Not a file system that can; ask it no more.
                self._clones = False
                calls.unlink(target)
                return False
            finally:
                calls.close(write)
        finally:
            calls.close(read)
        return True

    def sync(self) -> None:
        """Make what was shared durable. StorageFailure: nothing of it may be acknowledged."""
        if self._calls is None or not self._touched:
            return
        from holdfast.store.durable import sync_folder

        folders, self._touched = list(self._touched), {}
        for folder in folders:
            sync_folder(self._calls, folder)
        self._made = []

    def abort(self) -> None:
        """Take away what was shared since the last `sync`."""
        made, self._made, self._touched = self._made, [], {}
        if self._calls is not None:
            for path in made:
                with contextlib.suppress(OSError):
                    self._calls.unlink(path)
