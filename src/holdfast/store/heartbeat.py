"""Liveness where there are no leases (spec/ledger.md §11, object stores).

A living writer rewrites a small object every 30 s. An observer counts it as dead when it has seen
the object unchanged for 5 minutes of its own monotonic clock: clocks of different machines are
never compared. A writer that could not rewrite its object for so long that an observer may count
it as dead finds out by itself, and has to stop (`Heartbeat.check`).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from holdfast.clock import Clock, Ids, rfc3339
from holdfast.errors import Conflict, HoldfastError, NotFound, StorageFailure

if TYPE_CHECKING:
    from types import TracebackType

    from holdfast.store.protocol import Store

EVERY = 30.0
"""Seconds between two beats."""

DEAD_AFTER = 300.0
"""Seconds without a change after which an observer counts the writer as dead."""

GIVE_UP_AFTER = 240.0
"""Seconds without a successful beat after which the writer counts itself as dead: a beat earlier
than any observer, and some."""


class Heartbeat:
    """The heartbeat of one writer at `path`, which has to be its own: created by `start`, removed
    by `close`. Start it before the first write that it protects. Safe from threads."""

    def __init__(
        self, store: Store, path: str, clock: Clock, ids: Ids, *, every: float = EVERY
    ) -> None:
        self._store = store
        self._path = path
        self._clock = clock
        self._every = every
        self._name = ids.token(8)
        self._count = 0
        self._content: bytes | None = None
        self._unsure: set[bytes | None] = set()
        self._last = 0.0
        self._lost = ""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Create the object and beat in the background from now on.

        Raises:
            Conflict: another heartbeat is at the path.
        """
        self.beat()
        self._thread = threading.Thread(
            target=self._run, name=f"holdfast-heartbeat {self._path}", daemon=True
        )
        self._thread.start()
        return self

    def beat(self) -> None:
        """Rewrite the object now.

        Raises:
            Conflict: the object is not the one of the last beat: somebody counted this writer as
                dead and took over. It must not go on.
            StorageFailure: it could not be rewritten this time.
        """
        with self._lock:
            begun = self._clock.monotonic()
            self._count += 1
            now = rfc3339(self._clock.now_ns())
            content = f"{self._name} {self._count} {now}\n".encode()
            try:
                self._swap(content)
            except Conflict as error:
                self._lost = str(error)
                raise
            self._last = begun

    def _swap(self, content: bytes) -> None:
        if self._unsure:
            # a beat that was told as failed may have taken place all the same: go on from it
            found = self._found()
            if found in self._unsure:
                self._content = found
        try:
            self._store.compare_and_swap(self._path, self._content, content)
        except StorageFailure:
            self._unsure.add(content)
            raise
        self._content = content
        self._unsure.clear()

    def _found(self) -> bytes | None:
        try:
            return self._store.get(self._path)
        except NotFound:
            return None

    def check(self) -> None:
        """Nothing while the writer counts as alive.

        Raises:
            Conflict: it lost its object, or could not rewrite it for `GIVE_UP_AFTER` seconds:
                others may already count it as dead.
        """
        silent = self._clock.monotonic() - self._last
        if not self._lost and self._content is not None and silent < GIVE_UP_AFTER:
            return
        raise Conflict(
            "keeping the heartbeat",
            self._path,
            found=self._lost or f"no successful beat for {silent:.0f} s",
            hint="others may have taken over: begin again",
        )

    def close(self) -> None:
        """Stop beating and remove the object if it is still ours; idempotent."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        with self._lock:
            content, self._content = self._content, None
            if content is None or self._lost:
                return
            if self._found() in {content, *self._unsure}:
                self._store.delete(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self.beat()
            except Conflict:
                return  # told by `check`
            except HoldfastError:
                continue  # the next beat may succeed; `check` knows how long that may take


class Observer:
    """Watches heartbeats. Deaths take `DEAD_AFTER` seconds of watching by the same observer."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[str, tuple[bytes, float]] = {}

    def is_dead(self, path: str) -> bool:
        """Whether the writer with the heartbeat at `path` counts as dead: its object is gone
        (ended, or never begun: a heartbeat is older than what it protects), or this observer has
        seen it unchanged for `DEAD_AFTER` seconds."""
        try:
            content = self._store.get(path)
        except NotFound:
            self._seen.pop(path, None)
            return True
        now = self._clock.monotonic()
        seen = self._seen.get(path)
        if seen is None or seen[0] != content:
            self._seen[path] = (content, now)
            return False
        return now - seen[1] >= DEAD_AFTER
