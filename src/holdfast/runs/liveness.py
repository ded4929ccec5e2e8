"""Who writes a run: a lease where the store has leases, else a heartbeat (spec/runs.md §1)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from holdfast.errors import Busy
from holdfast.store.heartbeat import Heartbeat, Observer

if TYPE_CHECKING:
    from holdfast.clock import Clock, Ids
    from holdfast.leases import Lease
    from holdfast.store.protocol import Store

HEARTBEATS = "cache/heartbeats"
"""Folder of heartbeat objects, from the store's root. Nothing in it is anybody's truth."""


class Held(Protocol):
    """A run that is held for writing."""

    def check(self) -> None:
        """Raises `Conflict` when others may count its writer as dead."""

    def close(self) -> None:
        """Let go; idempotent."""


@dataclass(frozen=True, slots=True)
class HeldByLease:
    """A lease is never lost while its process lives."""

    lease: Lease

    def check(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Release the lease."""
        self.lease.close()


class Liveness:
    """Holds runs, and tells which are held."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._observer = Observer(store, clock)

    def hold(self, run_id: str) -> Held:
        """Hold a new run, before anything of it is written."""
        leases = self._store.leases
        if leases is not None:
            return HeldByLease(leases.acquire(f"runs/{run_id}", timeout=0))
        return Heartbeat(self._store, f"{HEARTBEATS}/{run_id}", self._clock, self._ids).start()

    def take_over(self, run_id: str) -> AbstractContextManager[object] | None:
        """Hold a run whose writer is dead, to end it; None while the writer counts as alive.

        Without leases nobody is kept out: whoever ends a run does it by create-only writes."""
        leases = self._store.leases
        if leases is None:
            return nullcontext() if self._observer.is_dead(f"{HEARTBEATS}/{run_id}") else None
        try:
            return leases.acquire(f"runs/{run_id}", timeout=0)
        except Busy:
            return None

    def alive(self, run_id: str) -> bool:
        """Whether somebody writes the run, as far as can be told without taking it over."""
        leases = self._store.leases
        if leases is None:
            return not self._observer.is_dead(f"{HEARTBEATS}/{run_id}")
        return leases.holder(f"runs/{run_id}") is not None
