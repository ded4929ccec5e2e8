"""When one sync of the whole file system stands for those of a few files and folders.

`syncfs` writes what everybody wrote. Usually that is little, and one call then costs less than the
syncs of three files and their folders. While somebody else writes gigabytes it does not: after a
slow one, small groups sync file by file for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.store.durable import typed

if TYPE_CHECKING:
    from holdfast.store.calls import SystemCalls

FEW = 8
"""From this many files on, the whole file system is synced however long it takes."""

SLOW = 0.05
"""Seconds after which a sync of the file system was a slow one."""

AVOIDED = 30.0
"""Seconds for which small groups do without it then."""


class SharedSync:
    """The syncs of one store's file system."""

    def __init__(
        self, calls: SystemCalls, root: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._calls = calls
        self._root = root
        self._clock = clock
        self._avoid_until = -1.0

    def is_worth(self, files: int) -> bool:
        """Whether to sync the file system for a group of so many files."""
        return files >= FEW or self._clock() >= self._avoid_until

    def run(self, fd: int) -> bool:
        """Sync the file system of an open folder; false where the system cannot.

        Raises:
            StorageFailure: the sync failed.
        """
        began = self._clock()
        with typed("syncing the file system of", self._root):
            done = self._calls.sync_file_system(fd)
        ended = self._clock()
        if ended - began > SLOW:
            self._avoid_until = ended + AVOIDED
        return done
