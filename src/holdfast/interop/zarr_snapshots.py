"""Stores of zarr-python over the snapshots of a `ZarrDataset`. Imports zarr."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.errors import Denied, Unsupported
from holdfast.interop.zarr_store import KeyStore, to_bytes

if TYPE_CHECKING:
    from typing import Self

    from zarr.core.buffer import Buffer

    from holdfast.interop.zarr_dataset import State, ZarrDataset
    from holdfast.interop.zarr_transaction import ZarrTransaction

ZARR_2 = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata"})


class SnapshotStore(KeyStore):
    """One snapshot. Read-only; what it shows never changes."""

    def __init__(self, zarr: ZarrDataset, state: State) -> None:
        super().__init__(read_only=True)
        self._zarr = zarr
        self._state = state
        self._keys = sorted(state.keys)

    def __str__(self) -> str:
        return f"Zarr in {self._state.snapshot}"

    def _sorted_keys(self) -> Sequence[str]:
        return self._keys

    def _has(self, key: str) -> bool:
        # Metadata of Zarr 2 may name codecs that run what they read: there is none here.
        return key in self._state.keys and key.rpartition("/")[2] not in ZARR_2

    def _size(self, key: str) -> int:
        return self._state.keys[key].length

    def _read(self, key: str, start: int, length: int) -> bytes:
        placed = self._state.keys[key]
        if length == placed.length:
            return self._zarr.value(self._state, key)
        return self._zarr.range(self._state, placed, start, length)


class TransactionStore(SnapshotStore):
    """A snapshot and the changes of a transaction, which sees its own writes."""

    supports_writes = True
    supports_deletes = True

    def __init__(self, zarr: ZarrDataset, state: State, transaction: ZarrTransaction) -> None:
        super().__init__(zarr, state)
        self._read_only = False
        self._transaction = transaction
        self._guard = threading.Lock()
        self._present: dict[str, None] = dict.fromkeys(self._keys)
        self._listing: list[Sequence[str]] = [self._keys]

    def __str__(self) -> str:
        return f"a Zarr transaction of {self._zarr.dataset}"

    def with_read_only(self, read_only: bool = False) -> Self:
        if not read_only and self._read_only:
            raise Denied("writing to", self, found="a store that is read-only")
        other = copy.copy(self)
        other._read_only = read_only
        return other

    def _sorted_keys(self) -> Sequence[str]:
        with self._guard:
            # Shared with read-only copies, as are the keys.
            if not self._listing:
                self._listing.append(sorted(self._present))
            return self._listing[0]

    def _has(self, key: str) -> bool:
        self._transaction.check_open()
        return key in self._present

    def _size(self, key: str) -> int:
        changes = self._transaction.changes
        return changes.size(key) if key in changes else super()._size(key)

    def _read(self, key: str, start: int, length: int) -> bytes:
        if key in self._transaction.changes:
            return self._transaction.changes.get(key)[start : start + length]
        return super()._read(key, start, length)

    async def set(self, key: str, value: Buffer) -> None:
        self._check(key)
        await asyncio.to_thread(self._put, key, to_bytes(value), True)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        self._check(key)
        await asyncio.to_thread(self._put, key, to_bytes(value), False)

    async def delete(self, key: str) -> None:
        self._check(key)
        with self._guard:
            self._remove(key)

    async def delete_dir(self, prefix: str) -> None:
        self._check(prefix)
        folder = f"{prefix.rstrip('/')}/" if prefix else ""
        with self._guard:
            for key in [k for k in self._present if k.startswith(folder)]:
                self._remove(key)
            self._transaction.cleared.add(folder)

    def _put(self, key: str, value: bytes, replace: bool) -> None:
        with self._guard:
            if not replace and key in self._present:
                return
            self._transaction.changes.put(key, value)
            self._transaction.removed.discard(key)
            if key not in self._present:
                self._present[key] = None
                self._listing.clear()

    def _remove(self, key: str) -> None:
        # A chunk that was not there is removed too: who left it empty meant its fill value.
        self._transaction.changes.remove(key)
        self._transaction.removed.add(key)
        if key in self._present:
            del self._present[key]
            self._listing.clear()

    def _check(self, key: str) -> None:
        self._check_writable()
        self._transaction.check_open()
        if key.rpartition("/")[2] in ZARR_2:
            raise Unsupported("writing", key, found="metadata of Zarr 2", expected="zarr_format=3")
