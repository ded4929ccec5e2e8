"""A batch of a run that is being made durable, while the next is staged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.runs.model import FileEntry


class Syncing:
    """Entries and marks whose bytes `commit` makes durable, in a thread that starts at once.

    What is staged after the start may or may not be covered: only these entries may be journalled.
    """

    def __init__(
        self, commit: Callable[[], None], entries: list[FileEntry], marks: list[str]
    ) -> None:
        self.entries = entries
        self.marks = marks
        self._commit = commit
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="holdfast-sync")
        self._thread.start()

    def _work(self) -> None:
        try:
            self._commit()
        except BaseException as error:
            # Raised again by `wait`.
            self._error = error

    @property
    def going_on(self) -> bool:
        """Whether `wait` would have to wait."""
        return self._thread.is_alive()

    def wait(self) -> None:
        """Until all is durable; raises what `commit` raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
