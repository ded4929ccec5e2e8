"""The line of snapshots of one dataset or volume: reading it, and committing to it.

A snapshot is there when its manifest is; the pointer only says which one is the newest
(spec/datasets.md §2, §9.1). Everything here costs a fixed number of calls, but for the listing
where a pointer leads nowhere.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic

from holdfast.clock import Clock, Ids, SystemClock, SystemIds
from holdfast.digests import sha256_hex
from holdfast.errors import Denied, HoldfastError, Integrity, NotFound
from holdfast.records import CommitSink, NullSink
from holdfast.snapshotting.form import Form, M, Places, Stored
from holdfast.snapshotting.pointer import Pointer, read_pointer
from holdfast.snapshotting.schema import read_manifest
from holdfast.snapshotting.snapshot_id import is_readable, order

if TYPE_CHECKING:
    from holdfast.leases import Lease
    from holdfast.store.protocol import Store

DEAD_AFTER = 30.0
"""Seconds for which a pointer without manifest is left alone where there are no leases."""

KEPT = 16
"""Manifests that a chain keeps: they never change."""

LEASE_TIMEOUT = 120.0
"""Seconds to wait for the lease: whoever holds it that long hangs."""

_TRIES = 5


class Chain(Generic[M]):
    """The snapshots of one dataset or volume. Safe to use from several threads.

    Args:
        places, form: where its files lie and how its manifests are written.
        sink: who is told of commits.
        author: who commits.
        dead_after: seconds; see `DEAD_AFTER`.
        sleep: how to wait between two tries.
    """

    def __init__(
        self,
        store: Store,
        places: Places,
        form: Form[M],
        *,
        sink: CommitSink | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        author: str = "",
        read_only: bool = False,
        dead_after: float = DEAD_AFTER,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.store = store
        self.places = places
        self.form = form
        self.sink: CommitSink = sink or NullSink()
        self.clock: Clock = clock or SystemClock()
        self.new_ids: Ids = ids or SystemIds()
        self.author = author
        self.read_only = read_only
        self.dead_after = dead_after
        self.sleep = sleep
        self.complete: str | None = None
        """Id of a snapshot of which all copies of the manifest are known to be there."""
        self._kept: OrderedDict[str, Stored[M]] = OrderedDict()
        self._lock = threading.Lock()

    # Reading

    def load(self, id: str) -> Stored[M]:
        """The snapshot `id`.

        Raises:
            NotFound: no such snapshot.
            Integrity: the manifest is not the one that its COMMIT fixes.
            ManifestInvalid, Unsupported: it cannot be read.
        """
        with self._lock:
            kept = self._kept.get(id)
            if kept is not None:
                self._kept.move_to_end(id)
                return kept
        if not is_readable(id):
            raise NotFound("reading the snapshot", repr(id), found="not an id of a snapshot")
        path = self.places.manifest(id)
        try:
            data = read_manifest(self.store, path)
        except NotFound as error:
            raise NotFound(
                "reading the snapshot",
                id,
                found=f"{self.places.model} {self.places.name!r} has no such snapshot",
                hint=error.hint,
            ) from None
        stored = self._decoded(id, path, data)
        fixed = self.sink.find_object(self.places.model, self.places.name, id)
        if fixed is not None and fixed.sha256 != stored.sha256:
            raise Integrity(
                "reading the manifest",
                path,
                found=f"sha256 {stored.sha256}",
                expected=f"{fixed.sha256}, which the ledger fixes",
            )
        self.keep(stored)
        return stored

    def newest(self) -> Stored[M] | None:
        """The newest snapshot, a marked one too; None: there is none."""
        pointer = self.pointer()
        last = self._last_commit()
        if last is not None and (pointer.id is None or order(pointer.id) < order(last)):
            return self._anchored(last)
        for attempt in range(_TRIES):
            if pointer.id is None:
                break
            try:
                return self.load(pointer.id)
            except NotFound:
                self.sleep(0.001 * 2**attempt)
            pointer = self.pointer()
        if pointer.id is not None:
            settled = self._after_writers()
            if settled is not None:
                return settled
            self.places.check_gap(self.store, pointer.id)
        return self.scan() if last is None else self._anchored(last)

    def latest(self) -> Stored[M] | None:
        """The newest snapshot that somebody wrote; None: there is none."""
        return self.unmarked(self.newest())

    def unmarked(self, stored: Stored[M] | None) -> Stored[M] | None:
        """`stored`, or where it is marked the newest unmarked one below it."""
        while stored is not None and stored.manifest.mark:
            lineage = stored.manifest.lineage
            below = lineage.real if lineage is not None else stored.manifest.parent_snapshot_id
            if not below or order(below) >= order(stored.id):
                return None
            stored = self.load(below)
        return stored

    def history(self, start: Stored[M] | None = None) -> Iterator[Stored[M]]:
        """The line of parents, newest first, marked snapshots too; it ends where a parent is gone.

        Raises:
            Integrity: a parent that is not older than its child.
        """
        stored = start if start is not None else self.newest()
        while stored is not None:
            yield stored
            parent = stored.manifest.parent_snapshot_id
            if not parent:
                return
            if order(parent) >= order(stored.id):
                raise Integrity(
                    "following the history", stored.path, found=f"the parent {parent}",
                    expected="an older one",
                )  # fmt: skip
            try:
                stored = self.load(parent)
            except NotFound:
                return

    def ids(self) -> list[str]:
        """The ids that have a manifest, ascending, by listing."""
        return list(self.places.ids(self.store))

    def scan(self) -> Stored[M] | None:
        """The snapshot with the largest id, by listing."""
        ids = self.ids()
        return self.load(ids[-1]) if ids else None

    def pointer(self) -> Pointer:
        """What the pointer file says now."""
        return read_pointer(self.store, self.places.pointer)

    def keep(self, stored: Stored[M]) -> None:
        """Remember a snapshot: manifests never change."""
        with self._lock:
            self._kept[stored.id] = stored
            self._kept.move_to_end(stored.id)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def forget(self, id: str) -> None:
        """Read a snapshot from the store again: it may be collected."""
        with self._lock:
            self._kept.pop(id, None)

    @contextmanager
    def lease(self, *, exclusive: bool = True) -> Iterator[Lease | None]:
        """Hold the lease under which is committed; nothing where the store has none."""
        leases = self.store.leases
        if leases is None:
            yield None
            return
        with leases.acquire(self.places.lease, exclusive=exclusive, timeout=LEASE_TIMEOUT) as lease:
            yield lease

    def check_writable(self) -> None:
        """Raises `Denied` where this is opened for reading."""
        if self.read_only:
            raise Denied(
                "writing to", f"{self.places.model} {self.places.name}", found="opened for reading"
            )

    def _decoded(self, id: str, path: str, data: bytes) -> Stored[M]:
        manifest = self.form.decode(data, path)
        return Stored(id, manifest, path, len(data), sha256_hex(data))

    def _last_commit(self) -> str | None:
        last = self.sink.last_commit(self.places.model, self.places.name)
        return None if last is None else last[1]

    def _anchored(self, id: str) -> Stored[M]:
        """The snapshot that the newest COMMIT fixes."""
        try:
            return self.load(id)
        except NotFound:
            raise Integrity(
                "reading the newest snapshot",
                self.places.manifest(id),
                found="no manifest",
                expected="the one that the newest COMMIT of the ledger fixes",
            ) from None

    def _after_writers(self) -> Stored[M] | None:
        """The snapshot that the pointer names, once no writer is between its two steps."""
        if self.store.leases is None:
            return None
        try:
            with self.lease(exclusive=False):
                pointer = self.pointer()
                return None if pointer.id is None else self.load(pointer.id)
        except NotFound:
            return None
        except HoldfastError as error:
            if isinstance(error, Denied):  # a medium where not even a shared lease can be had
                return None
            raise
