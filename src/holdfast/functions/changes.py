"""What was written since the search index was made, where no ledger tells (a bare pool).

Before functions are written, their hashes are put into a file of their own beside the index; the
next search takes such files in and removes them. Nothing here is true: without it, or when another
program wrote, `search` with `rebuild` makes the index anew.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Sequence

DATABASE = "functions.sqlite"
_FOLDER = "functions-changes"


class Changes:
    """Notes beside the index in the local folder `cache`; in memory when that is None.

    Args:
        remembers: False where a ledger tells what was added.
    """

    def __init__(self, cache: str | None, *, remembers: bool) -> None:
        self._cache = cache
        self._remembers = remembers
        self._in_memory = cache is None
        self._noted: list[str] = []
        self._lock = threading.Lock()

    def note(self, hashes: Sequence[str]) -> None:
        """Remember that these functions are about to be written."""
        if not self._remembers:
            return
        if self._in_memory:
            with self._lock:
                self._noted += hashes
        if self._cache is None:
            return
        database = f"{self._cache}/{DATABASE}"
        if not os.path.exists(database):
            return  # it will be made from the pool as it is then
        folder = f"{self._cache}/{_FOLDER}"
        try:
            os.makedirs(folder, exist_ok=True)
            with open(f"{folder}/{secrets.token_hex(8)}", "w", encoding="ascii") as file:
                file.write("\n".join(hashes))
        except OSError:
            # An index that misses something is worse than none.
            with contextlib.suppress(OSError):
                os.unlink(database)

    def keep_in_memory(self) -> None:
        """The index is in memory, for want of a place: so are the notes of this process."""
        self._in_memory = True

    def take(self) -> tuple[list[str], list[str]]:
        """(what `drop` takes, hashes) of all notes, oldest or not."""
        with self._lock:
            hashes, self._noted = self._noted, []
        notes: list[str] = []
        if self._cache is None:
            return notes, hashes
        folder = f"{self._cache}/{_FOLDER}"
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                path = f"{folder}/{name}"
                with open(path, encoding="ascii", errors="replace") as file:
                    hashes += file.read().split("\n")
                notes.append(path)
        return notes, hashes

    def drop(self, notes: Sequence[str]) -> None:
        """Forget notes that were taken in."""
        for path in notes:
            with contextlib.suppress(OSError):
                os.unlink(path)
