"""Which folders below a store's root are real folders, and which are durable.

A folder made a moment ago by another process may not be synced yet, so the first time that this
process writes into a folder, the entry of every folder on the way is synced; after that it is
known. Symlinks below the root are refused when a folder is first used.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from holdfast.errors import Denied, PathExists
from holdfast.store.durable import make_folders, stands_as_folder, sync_folder, typed

if TYPE_CHECKING:
    from holdfast.store.calls import SystemCalls


class Folders:
    """The folders below `root` (an absolute path) that were used so far; thread-safe."""

    def __init__(self, calls: SystemCalls, root: str) -> None:
        self._calls = calls
        self._root = root
        self._real: set[str] = set()
        self._durable: set[str] = set()
        self._lock = threading.Lock()

    def check(self, folder: str) -> bool:
        """Whether the folder is there, for reading.

        Raises:
            Denied: a symlink on the way.
        """
        for part in self._way(folder, self._real):
            with typed("opening the folder", part):
                if len(part) <= len(self._root):
                    if not stands_as_folder(self._calls, part):
                        return False
                elif not self._is_real(part):
                    return False
            self._real.add(part)
        return True

    def create(self, folder: str) -> None:
        """Make the folder and those above it, not durable yet.

        Raises:
            Denied: a symlink on the way.
            PathExists: a file stands where a folder must be.
        """
        doing = "making the folder"
        for part in self._way(folder, self._real):
            if len(part) <= len(self._root):
                make_folders(self._calls, part)
                self._durable.add(part)
            else:
                with typed(doing, part):
                    try:
                        self._calls.make_folder(part)
                    except FileExistsError:
                        if not self._is_real(part):
                            raise PathExists(doing, part, found="a file of that name") from None
            self._real.add(part)

    def ensure(self, folder: str) -> None:
        """Make the folder and those above it where they are missing, all durable on return.

        Raises:
            Denied, PathExists: as `create`.
            StorageFailure: a sync failed.
        """
        if folder in self._durable and folder in self._real:
            return
        with self._lock:
            self.create(folder)
            for part in self._way(folder, self._durable):
                if len(part) <= len(self._root):
                    make_folders(self._calls, part)
                else:
                    sync_folder(self._calls, os.path.dirname(part))
                self._durable.add(part)

    def mark_durable(self, folders: Iterable[str]) -> None:
        """Note that a sync of the whole file system made these durable, and all above them."""
        for folder in folders:
            while folder not in self._durable and len(folder) >= len(self._root):
                self._durable.add(folder)
                folder = os.path.dirname(folder)

    def forget(self, folder: str) -> None:
        """Look again at a folder that was found to be gone, and at all below and above it."""
        with self._lock:
            below = folder + "/"
            for known in (self._real, self._durable):
                for name in [n for n in tuple(known) if n == folder or n.startswith(below)]:
                    known.discard(name)
                above = os.path.dirname(folder)
                while len(above) >= len(self._root):
                    known.discard(above)
                    above = os.path.dirname(above)

    def _way(self, folder: str, known: set[str]) -> list[str]:
        """The folders from the root down to `folder` that are not known, the upper ones first."""
        way = []
        while folder not in known:
            way.append(folder)
            if len(folder) <= len(self._root):
                break
            folder = os.path.dirname(folder)
        way.reverse()
        return way

    def _is_real(self, folder: str) -> bool:
        """Raises `OSError`."""
        try:
            status = self._calls.stat(folder)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not status.is_folder and not status.is_file:
            raise Denied("opening the folder", folder, found="a symlink or a special file")
        return status.is_folder
