"""Volume manifests as the commit protocol sees them (see `holdfast.snapshotting.form`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from holdfast.digests import sha256_hex
from holdfast.errors import Conflict, Invalid, InvalidPath
from holdfast.records import ObjectRef
from holdfast.snapshotting.schema import check_place
from holdfast.snapshotting.snapshot_id import is_readable, order
from holdfast.store.paths import check_path
from holdfast.volumes.blocks import BlockIndex
from holdfast.volumes.manifest import (
    BlockRef,
    VolumeManifest,
    block_path,
    decode_volume_manifest,
    encode_volume_manifest,
    volume_manifest_path,
    volume_pointer,
)

if TYPE_CHECKING:
    from holdfast.snapshotting.form import Stored
    from holdfast.snapshotting.lineage import Lineage
    from holdfast.store.protocol import Staged, Store

MODEL = "volume"
_MANIFEST = "/manifest.json"
_PIECE = 1 << 20


def check_volume_id(id: object) -> str:
    """`id`, if it can be a volume's: one component of a path. Raises `Invalid`."""
    try:
        if isinstance(id, str) and "/" not in id:
            check_path(volume_pointer(id))
            return id
    except InvalidPath:
        pass
    raise Invalid("opening the volume", repr(id), expected="a name without slashes")


class VolumePlaces:
    """Where the files of one volume lie."""

    model = MODEL

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = f"volumes/{name}/snapshots"
        self.data = f"volumes/{name}/data"
        self.pointer = volume_pointer(name)
        # An id of any shape is readable, a lease's name is a path.
        key = name if name.isascii() and len(name) <= 128 else sha256_hex(name.encode())[:16]
        self.lease = f"volumes/{key}/commit"
        self.stagers = f"volumes/{key}/stagers"
        """Lease that whoever has uncommitted blocks holds shared."""

    def manifest(self, id: str) -> str:
        return volume_manifest_path(self.name, id)

    def block(self, offset: int, length: int) -> str:
        """Path of a block's file."""
        return block_path(self.name, offset, length)

    def check_gap(self, store: Store, id: str) -> None:
        """There is one layout."""

    def ids(self, store: Store) -> Sequence[str]:
        start = len(self.folder) + 1
        ids = [
            entry.path[start : -len(_MANIFEST)]
            for entry in store.list(self.folder)
            if entry.path.endswith(_MANIFEST)
        ]
        return sorted((id for id in ids if is_readable(id)), key=order)


class VolumeForm:
    """How the manifests of a volume are written, read and repeated.

    Args:
        total_length, checksum: of the volume, for the marked snapshot of one that was never
            written; 0 and "" where nobody knows them.
    """

    def __init__(self, name: str, total_length: int = 0, checksum: str = "") -> None:
        self._name = name
        self.total_length = total_length
        self.checksum = checksum

    def encode(self, manifest: VolumeManifest) -> bytes:
        return encode_volume_manifest(manifest)

    def decode(self, data: bytes, path: str) -> VolumeManifest:
        manifest = decode_volume_manifest(data, path)
        check_place(path, "volume_id", manifest.volume_id, self._name)
        check_place(path, "snapshot_id", manifest.snapshot_id, path.split("/")[-2])
        return manifest

    def repeat(
        self,
        base: VolumeManifest | None,
        *,
        id: str,
        parent: str,
        created_at: str,
        mark: str,
        lineage: Lineage,
    ) -> VolumeManifest:
        if base is None:
            base = VolumeManifest(
                volume_id=self._name,
                snapshot_id=id,
                created_at=created_at,
                metadata={},
                total_length=self.total_length,
                blocks=(),
                checksum_algorithm=self.checksum,
            )
        return replace(
            base,
            snapshot_id=id,
            created_at=created_at,
            parent_snapshot_id=parent,
            mark=mark,
            lineage=lineage,
        )

    def copies(self, manifest: VolumeManifest) -> Sequence[str]:
        return ()

    def unfixed(self, store: Store, manifest: VolumeManifest) -> Sequence[ObjectRef]:
        """Only the blocks that its parent has not: the parent's COMMIT fixes those."""
        if manifest.checksum_algorithm == "sha256" and all(b.checksum for b in manifest.blocks):
            return ()
        below: frozenset[str] = frozenset()
        if manifest.parent_snapshot_id:
            path = volume_manifest_path(self._name, manifest.parent_snapshot_id)
            if store.exists(path):
                parent = self.decode(store.get(path), path)
                below = frozenset(b.path for b in parent.blocks)
        return [_digested(store, b.path) for b in manifest.blocks if b.path not in below]


class VolumeDraft:
    """New blocks on their way to a snapshot. Their files lie under their final names already."""

    def __init__(
        self,
        volume: str,
        blocks: Sequence[BlockRef],
        metadata: Mapping[str, Any],
        *,
        total_length: int,
        checksum: str,
    ) -> None:
        self._volume = volume
        self._blocks = blocks
        self._metadata = dict(metadata)
        self._total_length = total_length
        self._checksum = checksum

    def paths(self, id: str) -> Sequence[str]:
        """Files that are given up with the snapshot `id`: none, the blocks outlive it."""
        return ()

    def publish(self, id: str, along: Sequence[Staged] = ()) -> None:
        """Nothing waits for its name."""

    def manifest(
        self, id: str, base: Stored[VolumeManifest] | None, created_at: str, lineage: Lineage
    ) -> VolumeManifest:
        """The cumulative manifest.

        Raises:
            OverlappingBlocks: a block of ours and one that is committed by now overlap.
            Conflict: the volume was made meanwhile, with another length or checksum.
        """
        committed: tuple[BlockRef, ...] = ()
        if base is not None:
            committed = base.manifest.blocks
            self._check_like(base.manifest)
        return VolumeManifest(
            volume_id=self._volume,
            snapshot_id=id,
            created_at=created_at,
            metadata=self._metadata,
            total_length=self._total_length,
            blocks=BlockIndex(committed, self._total_length).merged(self._blocks),
            parent_snapshot_id="" if base is None else base.id,
            checksum_algorithm=self._checksum,
            lineage=lineage,
        )

    def _check_like(self, base: VolumeManifest) -> None:
        if not base.blocks and base.mark:
            return  # nobody wrote it: it stands in for the first one, whose writer died
        for name, ours, theirs in (
            ("total length", self._total_length, base.total_length),
            ("checksum", self._checksum or "none", base.checksum_algorithm or "none"),
        ):
            if ours != theirs:
                raise Conflict(
                    "committing to",
                    f"volume {self._volume}",
                    found=f"{name} {theirs}, by another writer",
                    expected=f"{ours}",
                    hint="open the volume again",
                )


def _digested(store: Store, path: str) -> ObjectRef:
    state = hashlib.sha256()
    size = 0
    while piece := store.read_range(path, size, _PIECE):
        state.update(piece)
        size += len(piece)
    return ObjectRef(path, size, state.hexdigest())
