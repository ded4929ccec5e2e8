"""An end for replies that never end: a server may send a byte now and then, and for ever."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Deadline:
    """Cuts the connections that are added to it when its time is up: reading from them ends then
    as if the server had gone. A context manager for one request.

    Args:
        seconds: from the beginning of the ``with`` block.
    """

    def __init__(self, seconds: float) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self.is_over = False

    def add(self, connection: socket.socket) -> None:
        """Watch a connection. Raises `TimeoutError` where the time is up."""
        with self._lock:
            if self.is_over:
                raise TimeoutError("the time for the request is up")
            # Of its own: TLS takes the caller's apart.
            self._sockets.append(connection.dup())

    def _cut(self) -> None:
        with self._lock:
            self.is_over = True
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for connection in self._sockets:
                connection.close()
            self._sockets.clear()
