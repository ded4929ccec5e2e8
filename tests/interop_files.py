"""Files of arrays, and stores that count what is read of them, for the tests of interop."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import h5py

from holdfast import MemoryStore
from holdfast.digests import Digest
from holdfast.snapshotting.block_hashes import BlockHasher, sidecar_path
from holdfast.snapshotting.verified_file import VerifiedFile


class CountingStore(MemoryStore):
    """Remembers every range that was read."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges: list[tuple[str, int, int]] = []

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        self.ranges.append((path, offset, length))
        return super().read_range(path, offset, length)


def kept(store: MemoryStore, path: str, data: bytes) -> VerifiedFile:
    """`data` under `path` in `store`, with block hashes where it is large enough."""
    store.put(path, data)
    blocks = ""
    if len(data) >= 1 << 20:
        hasher = BlockHasher()
        hasher.update(data)
        store.put(sidecar_path(path), hasher.sidecar())
        blocks = hashlib.sha256(hasher.sidecar()).hexdigest()
    return VerifiedFile(
        store,
        path,
        size=len(data),
        checksum=Digest("sha256", hashlib.sha256(data).hexdigest()),
        blocks_sha256=blocks,
    )


def hdf5(fill: Any, **options: Any) -> bytes:
    """The bytes of an HDF5 file that `fill(file)` wrote."""
    out = io.BytesIO()
    with h5py.File(out, "w", **options) as file:
        fill(file)
    return out.getvalue()
