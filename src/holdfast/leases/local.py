"""Leases inside one process: for stores in memory, and where no other process can come."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from holdfast.clock import Clock, SystemClock
from holdfast.leases.holder import busy, check_name, holder_facts, holder_text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class LocalLease:
    """A lease of `LocalLeases`."""

    def __init__(self, leases: LocalLeases, name: str, exclusive: bool) -> None:
        self.name = name
        self.exclusive = exclusive
        self._leases: LocalLeases | None = leases
        self._pid = os.getpid()

    @property
    def held(self) -> bool:
        return self._leases is not None and self._pid == os.getpid()

    def close(self) -> None:
        """Release; idempotent."""
        leases, self._leases = self._leases, None
        if leases is not None and self._pid == os.getpid():
            leases._release(self.name, self.exclusive)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class LocalLeases:
    """Leases inside one process: for stores in memory, and where no other process can come."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._exclusive: dict[str, dict[str, Any]] = {}
        self._shared: dict[str, int] = {}

    def acquire(
        self, name: str, *, exclusive: bool = True, timeout: float | None = 30.0
    ) -> LocalLease:
        """Take the lease `name`; see `Leases.acquire`."""
        check_name(name)
        if self._pid != os.getpid():
            self._reset()
        with self._changed:
            if not self._changed.wait_for(lambda: self._free(name, exclusive), timeout):
                facts = self._exclusive.get(name)
                raise busy(name, holder_text(facts) if facts else None, timeout)
            if exclusive:
                facts = holder_facts(self._clock, threading.current_thread().name)
                self._exclusive[name] = facts
            else:
                self._shared[name] = self._shared.get(name, 0) + 1
        return LocalLease(self, name, exclusive)

    def holder(self, name: str) -> str | None:
        """A text that names who holds the lease exclusively now, or None when nobody does."""
        facts = self._exclusive.get(check_name(name))
        return None if facts is None else holder_text(facts)

    def _free(self, name: str, exclusive: bool) -> bool:
        return name not in self._exclusive and not (exclusive and self._shared.get(name))

    def _release(self, name: str, exclusive: bool) -> None:
        with self._changed:
            if exclusive:
                self._exclusive.pop(name, None)
            elif self._shared[name] > 1:
                self._shared[name] -= 1
            else:
                del self._shared[name]
            self._changed.notify_all()
