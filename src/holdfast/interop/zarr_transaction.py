"""Changes to a Zarr dataset that become one snapshot at once, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from holdfast.digests import sha256_hex
from holdfast.errors import HoldfastError, Invalid, SnapshotConflict
from holdfast.interop.zarr_conflicts import Clash, clash, is_metadata
from holdfast.interop.zarr_pack import Keys, Placed
from holdfast.interop.zarr_staging import Staging

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.interop.zarr_dataset import State, ZarrDataset
    from holdfast.interop.zarr_snapshots import TransactionStore
    from holdfast.snapshotting.lineage import Lineage

MOST_TRIES = 1000
_LONGEST_PAUSE = 0.25


class ZarrTransaction:
    """Changes that become one snapshot at once, or nothing. Made by `ZarrDataset.transaction`.

    As a context manager it commits, and after an exception aborts. `store` may be used from
    several threads that write to different chunks; for two writers of the same chunks each
    needs a transaction of its own, so that the conflict is seen.
    """

    def __init__(
        self,
        zarr: ZarrDataset,
        base: State,
        metadata: Mapping[str, Any] | None,
        lineage: Lineage,
        rebases: bool,
    ) -> None:
        from holdfast.interop.zarr_snapshots import TransactionStore

        self._zarr = zarr
        self._base = base
        self._metadata = metadata
        self._lineage = lineage
        self._rebases = rebases
        self._ended = False
        self._snapshot: DatasetSnapshot | None = None
        self.changes = Staging()
        self.removed: set[str] = set()
        self.cleared: set[str] = set()
        self.store: TransactionStore = TransactionStore(zarr, base, self)

    @property
    def snapshot(self) -> DatasetSnapshot:
        """The snapshot, once it is committed. Raises `Invalid` before."""
        if self._snapshot is None:
            raise Invalid("asking for the snapshot of a transaction", found="it is not committed")
        return self._snapshot

    def commit(self) -> DatasetSnapshot:
        """Commit the changes, durable on return. A transaction without changes commits nothing
        and returns the snapshot that it began on.

        Raises:
            SnapshotConflict: another transaction was committed since that changed the same
                chunks, or what they depend on; nothing is visible. Details: ``key``.
            StorageFailure, NoSpace, Denied: nothing was acknowledged.
        """
        self.check_open()
        self._ended = True
        try:
            self._snapshot = self._commit()
        finally:
            self.changes.close()
        return self._snapshot

    def abort(self) -> None:
        """Drop the changes; idempotent, and nothing happens after `commit`."""
        self._ended = True
        self.changes.close()

    def check_open(self) -> None:
        """Raises `Invalid` after `commit` or `abort`."""
        if self._ended:
            raise Invalid("using a Zarr transaction", self._zarr.dataset, found="it has ended")

    def _commit(self) -> DatasetSnapshot:
        removed = sorted(self.removed)
        chain = self._zarr.dataset.chain
        planned: Keys = dict.fromkeys(removed)
        arrays: set[str] = set()
        for key, value in self.changes.items():
            planned[key] = Placed("", 0, len(value), sha256_hex(value))
            if is_metadata(key) and _is_array(value):
                arrays.add(planned[key].sha256)  # type: ignore[union-attr] # put two lines above
        if not planned:
            if self._base.snapshot is None:
                raise Invalid("committing to", self._zarr.dataset, found="no changes, no snapshot")
            return self._base.snapshot
        state = self._base
        for attempt in range(MOST_TRIES):
            try:
                return self._zarr.commit(
                    state, self.changes.items(), removed, self._metadata, self._lineage
                )
            except SnapshotConflict:
                if not self._rebases:
                    raise
            if attempt:
                pause = min(_LONGEST_PAUSE, 0.002 * 2 ** min(attempt, 7))
                chain.sleep(pause * (chain.new_ids.u64() % 1000) / 1000)
            state = self._zarr.latest()
            found = clash(
                self._base.keys, state.keys, planned, self.cleared, self._array_test(state, arrays)
            )
            if found is not None:
                raise self._conflict(found, state)
        raise SnapshotConflict(
            "committing to", self._zarr.dataset, found=f"overtaken {MOST_TRIES} times"
        )

    def _array_test(self, state: State, arrays: set[str]) -> Callable[[Placed], bool]:
        def is_array(placed: Placed) -> bool:
            if not placed.pack:
                return placed.sha256 in arrays
            at = state if state.keys and state.snapshot is not None else self._base
            for known in (at, self._base):
                if known.snapshot is None:
                    continue
                try:
                    return _is_array(self._zarr.range(known, placed, 0, placed.length))
                except HoldfastError:
                    continue  # gone from one of the two: repacked since
            return True

        return is_array

    def _conflict(self, found: Clash, state: State) -> SnapshotConflict:
        newest = "none" if state.snapshot is None else state.snapshot.id
        return SnapshotConflict(
            "committing to",
            self._zarr.dataset,
            found=f"{found.key}: {found.why}; the newest snapshot is {newest}",
            hint="begin a transaction on the present state and write again",
            key=found.key,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.abort()
        elif not self._ended:
            self.commit()


def _is_array(document: bytes) -> bool:
    """Whether Zarr metadata is that of an array; what cannot be read counts as one."""
    try:
        return bool(json.loads(document)["node_type"] != "group")
    except (ValueError, TypeError, KeyError, RecursionError):
        return True
