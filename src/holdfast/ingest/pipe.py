"""Two threads for one large file: while one piece is hashed and written, the next is read."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PIECES = 4
"""Pieces that wait to be written at most: the memory of one large file."""


class _Sink(Protocol):
    def write(self, data: bytes) -> None: ...


class WriteBehind:
    """Hands pieces to a thread that writes them. As a context manager it waits for the last.

    A failure of the sink is raised by the next `write`, or at the end of the block.
    """

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        self._free = threading.Semaphore(PIECES)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="holdfast-write", daemon=True)

    def write(self, data: bytes) -> None:
        """Queue `data`; waits while too many pieces are queued."""
        self._free.acquire()
        if self._error is not None:
            raise self._error
        self._pieces.put(data)

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            if self._error is None:
                try:
                    self._sink.write(piece)
                except BaseException as error:
                    # Raised again in the caller's thread.
                    self._error = error
            self._free.release()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pieces.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error
