"""Dataset manifests as the commit protocol sees them (see `holdfast.snapshotting.form`)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.datasets.layout import DEFAULT, FLAT, HIVE
from holdfast.datasets.manifest import DatasetManifest, decode_manifest, encode_manifest
from holdfast.datasets.partition import partition_of
from holdfast.digests import sha256_hex
from holdfast.errors import Invalid, NotFound
from holdfast.records import ObjectRef
from holdfast.snapshotting.form import COLLECTED, HEALED
from holdfast.snapshotting.schema import check_place

if TYPE_CHECKING:
    from holdfast.datasets.layout import Layout
    from holdfast.snapshotting.lineage import Lineage
    from holdfast.store.protocol import Store

MODEL = "dataset"
_PIECE = 1 << 20


class DatasetPlaces:
    """Where the files of one dataset lie, in one layout."""

    model = MODEL

    def __init__(self, layout: Layout, name: str) -> None:
        self.layout = layout
        self.name = name
        self.folder = layout.dataset_folder(name)
        self.pointer = layout.pointer(name)
        # A name of any shape is readable, a lease's name is a path.
        self.lease = f"datasets/{sha256_hex(self.pointer.encode())[:16]}"

    def manifest(self, id: str) -> str:
        return self.layout.manifest(self.name, id)

    def check_gap(self, store: Store, id: str) -> None:
        for other in (DEFAULT, HIVE, FLAT):
            if other.name == self.layout.name or other.pointer(self.name) != self.pointer:
                continue
            if store.exists(other.manifest(self.name, id)):
                raise Invalid(
                    "opening",
                    f"dataset {self.name}",
                    found=f"the {self.layout.name} layout",
                    expected=f"the {other.name} layout, in which it is stored",
                    hint="open it without naming a layout, and the stored one is taken",
                )

    def ids(self, store: Store) -> Sequence[str]:
        return self.layout.ids(store, self.name)


def decode_in_place(layout: Layout, data: bytes, path: str) -> DatasetManifest:
    """The manifest in `data`, which lies at `path`.

    Raises:
        ManifestInvalid: also where it is that of another dataset or snapshot.
        Unsupported: as `decode_manifest`.
    """
    manifest = decode_manifest(data, path)
    place = layout.parse_manifest(path)
    if place is not None:
        check_place(path, "dataset_id", manifest.dataset_id, place.dataset)
        check_place(path, "snapshot_id", manifest.snapshot_id, place.snapshot)
    return manifest


class DatasetForm:
    """How the manifests of a dataset are written, read and repeated."""

    def __init__(self, layout: Layout, name: str) -> None:
        self._layout = layout
        self._name = name

    def encode(self, manifest: DatasetManifest) -> bytes:
        return encode_manifest(manifest)

    def decode(self, data: bytes, path: str) -> DatasetManifest:
        return decode_in_place(self._layout, data, path)

    def repeat(
        self,
        base: DatasetManifest | None,
        *,
        id: str,
        parent: str,
        created_at: str,
        mark: str,
        lineage: Lineage,
    ) -> DatasetManifest:
        empty = DatasetManifest(
            dataset_id=self._name, snapshot_id=id, created_at=created_at, metadata={}, files=()
        )
        return replace(
            base or empty,
            snapshot_id=id,
            created_at=created_at,
            parent_snapshot_id=parent,
            mark=mark,
            lineage=lineage,
        )

    def copies(self, manifest: DatasetManifest) -> Sequence[str]:
        """Copies lie in the partitions that this snapshot wrote into: those of its parent's files
        that an append or a mark repeats have theirs already."""
        if manifest.mark in (HEALED, COLLECTED):
            return ()
        segment = f"/segments/{manifest.snapshot_id}/"
        own = [f.path for f in manifest.files if segment in f.path]
        partitions = sorted({partition_of(path) for path in own})
        return self._layout.copies(manifest.dataset_id, manifest.snapshot_id, partitions)

    def unfixed(self, store: Store, manifest: DatasetManifest) -> Sequence[ObjectRef]:
        if manifest.checksum_algorithm == "sha256" and all(f.checksum for f in manifest.files):
            return ()
        # A file that is lost must not keep the dataset from being written to: `verify` tells of it.
        found = (_digested(store, f.path) for f in manifest.files)
        return [ref for ref in found if ref is not None]


def _digested(store: Store, path: str) -> ObjectRef | None:
    """The reference to a file; None where it is not there."""
    state = hashlib.sha256()
    size = 0
    try:
        while piece := store.read_range(path, size, _PIECE):
            state.update(piece)
            size += len(piece)
    except NotFound:
        return None
    return ObjectRef(path, size, state.hexdigest())
