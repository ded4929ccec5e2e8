"""Values of a transaction that wait for their commit: in memory, and in a temporary file beyond."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from typing import IO

IN_MEMORY = 64 << 20
"""Bytes of values that wait in memory; further ones go into a temporary file."""


class Staging:
    """Values by key. Safe to use from several threads."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._limit = in_memory
        self._lock = threading.Lock()
        self._held = 0
        self._values: dict[str, bytes | tuple[int, int]] = {}
        self._file: IO[bytes] | None = None
        self._end = 0

    def put(self, key: str, value: bytes) -> None:
        """Keep `value`, in the place of an earlier one."""
        with self._lock:
            self._drop(key)
            if self._held + len(value) <= self._limit:
                self._values[key] = value
                self._held += len(value)
                return
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="holdfast-zarr-")  # noqa: SIM115
            self._file.seek(self._end)
            self._file.write(value)
            self._values[key] = (self._end, len(value))
            self._end += len(value)

    def remove(self, key: str) -> None:
        """Forget the value of `key`, if there is one."""
        with self._lock:
            self._drop(key)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def size(self, key: str) -> int:
        """Bytes of the value of `key`."""
        value = self._values[key]
        return len(value) if isinstance(value, bytes) else value[1]

    def get(self, key: str) -> bytes:
        """The value of `key`."""
        with self._lock:
            value = self._values[key]
            if isinstance(value, bytes):
                return value
            assert self._file is not None
            self._file.seek(value[0])
            return self._file.read(value[1])

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Keys and values, by key."""
        for key in sorted(self._values):
            yield key, self.get(key)

    def close(self) -> None:
        """Forget everything; idempotent."""
        with self._lock:
            self._values.clear()
            self._held = 0
            if self._file is not None:
                self._file.close()
                self._file = None

    def _drop(self, key: str) -> None:
        value = self._values.pop(key, None)
        if isinstance(value, bytes):
            self._held -= len(value)
