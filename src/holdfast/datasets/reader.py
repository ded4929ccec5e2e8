"""Discovery by manifests: what datasets, partitions and snapshots a store holds, and their files,
without opening a dataset (spec/datasets.md §1–3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.datasets.form import decode_in_place
from holdfast.datasets.layout import HIVE, Layout, layout_of
from holdfast.datasets.manifest import DatasetManifest, FileRef
from holdfast.digests import Digest
from holdfast.errors import Invalid, NotFound, Unsupported
from holdfast.snapshotting.form import COLLECTED, HEALED
from holdfast.snapshotting.iteration import Iteration
from holdfast.snapshotting.schema import read_manifest
from holdfast.snapshotting.snapshot_id import is_readable, order
from holdfast.snapshotting.verified_file import VerifiedFile

if TYPE_CHECKING:
    from holdfast.snapshotting.verified_file import VerifiedReader, Verify, VerifyRanges
    from holdfast.store.protocol import Store


@dataclass(frozen=True, slots=True)
class ManifestRef:
    """A manifest in a store. `partition` is the one that was asked for, "" for none; `path` is
    that of the canonical manifest."""

    dataset: str
    id: str
    partition: str
    path: str


class DatasetReader:
    """Reads what any writer left in `store`, in one layout. It writes nothing, knows of no ledger,
    and takes codec and compressor from each manifest.

    Args:
        layout: ``"default"``, ``"hive"``, ``"flat"`` or a `Layout`.
        verify: ``"off"`` reads files without checking digests; sizes are always checked.
        verify_ranges: how ranges of large files without block hashes are checked; see
            `VerifiedFile`.

    Raises:
        Invalid: a layout that is none.
    """

    def __init__(
        self,
        store: Store,
        layout: Layout | str = "default",
        *,
        verify: Verify = "on",
        verify_ranges: VerifyRanges = "whole",
    ) -> None:
        self.store = store
        self.layout = layout_of(layout) if isinstance(layout, str) else layout
        self._verify: Verify = verify
        self._verify_ranges: VerifyRanges = verify_ranges

    # Listing

    def list_datasets(self) -> Iteration[str]:
        """The datasets with at least one snapshot, sorted.

        Raises:
            Unsupported: the flat layout, which does not tell datasets from other folders.
        """
        return Iteration(iter(self.layout.datasets(self.store)))

    def list_partitions(self, dataset: str) -> Iteration[str]:
        """The partitions with files of a snapshot, ``k1=v1/k2=v2``, sorted; none where the layout
        has none."""
        return Iteration(iter(self.layout.partitions(self.store, dataset)))

    def list_manifests(self, dataset: str, partition: str | None = None) -> Iteration[ManifestRef]:
        """The manifests of a dataset, oldest first, or of the snapshots that wrote into a
        partition. Each is read and checked before it is handed out. Those by which healing and
        collection repeat a snapshot are left out.

        Raises:
            Unsupported: a partition where the layout has none.
            ManifestInvalid, Unsupported: while iterating, at a manifest that cannot be read.
        """
        if partition is None:
            ids = self.layout.ids(self.store, dataset)
        else:
            ids = self._ids_of(dataset, partition)
        return Iteration(self._checked(dataset, ids, partition or ""))

    def _ids_of(self, dataset: str, partition: str) -> list[str]:
        if self.layout.name != HIVE.name:
            raise Unsupported(
                "listing the manifests of",
                f"dataset {dataset}",
                found=f"partition {partition!r:.200} in the {self.layout.name} layout",
                hint="only the hive layout has partitions",
            )
        if not partition:
            raise Invalid("listing the manifests of", f"dataset {dataset}", found="no partition")
        # The files say it, not the copies of manifests: a writer may have died before those.
        marker = self.layout.data_file(dataset, "0", partition, "x")
        folder = marker.removesuffix("/0/data/x")
        shape = re.compile(rf"{re.escape(folder)}/([^/]+)/data/[^/]+\Z")
        found = {match[1] for e in self.store.list(folder) if (match := shape.match(e.path))}
        return sorted(
            (id for id in found if self.store.exists(self.layout.manifest(dataset, id))), key=order
        )

    def _checked(self, dataset: str, ids: list[str], partition: str) -> Iterator[ManifestRef]:
        for id in ids:
            ref = ManifestRef(dataset, id, partition, self.layout.manifest(dataset, id))
            try:
                manifest = self._load(ref.path)
            except NotFound:
                continue  # collected since it was listed
            if manifest.mark not in (HEALED, COLLECTED):
                yield ref

    # Manifests

    def get_manifest(self, dataset: str, ref: ManifestRef | str) -> DatasetManifest:
        """The manifest that `ref` names, or that of the snapshot with this id.

        Raises:
            NotFound: it is not there.
            ManifestInvalid, Unsupported: it cannot be read; the message names manifest and field.
            Invalid: a reference to another dataset.
        """
        if isinstance(ref, ManifestRef):
            if ref.dataset != dataset:
                raise Invalid(
                    "reading a manifest of",
                    f"dataset {dataset}",
                    found=f"a reference into dataset {ref.dataset}",
                )
            ref = ref.id
        if not is_readable(ref):
            raise NotFound("reading the manifest", repr(ref), found="not an id of a snapshot")
        return self._load(self.layout.manifest(dataset, ref))

    def _load(self, path: str) -> DatasetManifest:
        return decode_in_place(self.layout, read_manifest(self.store, path), path)

    # Files

    def open_object(
        self, file: FileRef | str, manifest: DatasetManifest | None = None
    ) -> VerifiedReader:
        """A data file as it is stored, compressed where it is, as a seekable file that checks what
        it reads.

        Args:
            file: an entry of a manifest, or its path.
            manifest: one that names it. Without it the one of the snapshot that wrote the file is
                looked up, which is gone where that snapshot was collected.

        Raises:
            NotFound: no manifest is found that names it, or the file is gone.
            Integrity: when it is read: the bytes are not those that the manifest fixes.
        """
        return self._verified(file, manifest).open()

    def read_range(
        self,
        file: FileRef | str,
        offset: int,
        length: int,
        manifest: DatasetManifest | None = None,
    ) -> bytes:
        """The stored bytes of a data file from `offset` on, at most `length`: short at its end,
        empty beyond. For many ranges of one file open it. Arguments and errors as `open_object`;
        `Invalid` on a negative number."""
        return self._verified(file, manifest).read_at(offset, length)

    def _verified(self, file: FileRef | str, manifest: DatasetManifest | None) -> VerifiedFile:
        path = file if isinstance(file, str) else file.path
        named = self._writer_of(path) if manifest is None else manifest
        entry = next((known for known in named.files if known.path == path), None)
        if entry is None:
            snapshot = f"snapshot {named.snapshot_id} of dataset {named.dataset_id}"
            raise NotFound("opening", path, found=f"{snapshot} has no such file")
        checksum = Digest(named.checksum_algorithm, entry.checksum) if entry.checksum else None
        return VerifiedFile(
            self.store,
            path,
            size=entry.size_bytes,
            checksum=checksum,
            blocks_sha256=entry.blocks_sha256,
            verify=self._verify,
            verify_ranges=self._verify_ranges,
        )

    def _writer_of(self, path: str) -> DatasetManifest:
        """The manifest of the snapshot in whose folder a data file lies."""
        parts = path.split("/")
        for dataset in parts[:-3]:
            if path.startswith(f"{self.layout.dataset_folder(dataset)}/") and parts[-2] == "data":
                try:
                    return self._load(self.layout.manifest(dataset, parts[-3]))
                except NotFound:
                    break
        raise NotFound(
            "opening",
            path,
            found="no snapshot that wrote it",
            hint="give the manifest that names it",
        )
