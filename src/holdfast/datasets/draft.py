"""A dataset snapshot on its way to its commit (see `holdfast.snapshotting.form.Draft`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from holdfast.datasets.layout import file_name
from holdfast.datasets.manifest import DatasetManifest, FileRef
from holdfast.datasets.partition import parse_partition, partition_keys
from holdfast.datasets.timestamps import TimeRange
from holdfast.errors import Invalid
from holdfast.snapshotting.form import REPLACEMENT

if TYPE_CHECKING:
    from holdfast.datasets.layout import Layout
    from holdfast.datasets.output import Part
    from holdfast.snapshotting.form import Stored
    from holdfast.snapshotting.lineage import Lineage
    from holdfast.store.protocol import Staged, Store

FEW = 8
"""Up to so many small files are staged one by one, durable before the lease is taken."""


@dataclass(frozen=True, slots=True)
class Components:
    """What a manifest says of how its files were written; names as in spec/datasets.md §3."""

    codec: str
    compressor: str
    partitioner: str
    checksum: str


class DatasetDraft:
    """The parts of one snapshot.

    Args:
        appends: the new snapshot has its parent's files too.
        content: finds the snapshot whose content the newest one stands for.
    """

    def __init__(
        self,
        store: Store,
        layout: Layout,
        dataset: str,
        components: Components,
        metadata: Mapping[str, Any],
        parts: Sequence[Part],
        times: TimeRange,
        *,
        appends: bool = False,
        content: Callable[[Stored[DatasetManifest]], Stored[DatasetManifest] | None] | None = None,
    ) -> None:
        self._content = content
        self._store = store
        self._layout = layout
        self._dataset = dataset
        self._components = components
        self._metadata = dict(metadata)
        self._parts = list(parts)
        self._times = times
        self._appends = appends

    def paths(self, id: str) -> list[str]:
        return [path for part, at in self._placed(id) for path, _ in part.files(at)]

    def publish(self, id: str, along: Sequence[Staged] = ()) -> None:
        staged: list[tuple[Staged, str]] = []
        small: list[tuple[str, bytes]] = []
        for part, at in self._placed(id):
            for path, data in part.files(at):
                if data is not None:
                    small.append((path, data))
                elif part.staged is not None:
                    staged.append((part.staged, path))
        if small:
            # Under their final names: nobody reads them before the manifest names them.
            with self._store.batch() as batch:
                for path, data in small:
                    batch.put(path, data)
                batch.commit()
        self._store.publish_many(staged, along=along)

    def manifest(
        self,
        id: str,
        base: Stored[DatasetManifest] | None,
        created_at: str,
        lineage: Lineage,
    ) -> DatasetManifest:
        files = self.references(id)
        rows = sum(part.rows for part in self._parts)
        times = (self._times.min_timestamp, self._times.max_timestamp)
        below = self._below(base) if self._appends else None
        if below is not None:
            self._check_like(below)
            files += below.files
            rows += below.row_count
            times = _joined(*times, below.min_timestamp, below.max_timestamp)
        files.sort(key=attrgetter("path"))
        return DatasetManifest(
            dataset_id=self._dataset,
            snapshot_id=id,
            created_at=created_at,
            metadata=self._metadata,
            files=tuple(files),
            parent_snapshot_id="" if base is None else base.id,
            row_count=rows,
            min_timestamp=times[0],
            max_timestamp=times[1],
            codec=self._components.codec,
            compressor=self._components.compressor,
            partitioner=self._components.partitioner,
            checksum_algorithm=self._components.checksum,
            lineage=lineage,
        )

    def _below(self, base: Stored[DatasetManifest] | None) -> DatasetManifest | None:
        """The manifest whose files an append repeats."""
        if base is not None and base.manifest.mark == REPLACEMENT and self._content is not None:
            base = self._content(base)
        return None if base is None else base.manifest

    def references(self, id: str) -> list[FileRef]:
        """The manifest's entries of the parts in snapshot `id`, in their order."""
        return [part.reference(at) for part, at in self._placed(id)]

    def close(self) -> None:
        """Drop what was not published; idempotent."""
        for part in self._parts:
            part.close()

    def _placed(self, id: str) -> list[tuple[Part, str]]:
        """Each part with its path in snapshot `id`."""
        several = Counter(part.partition for part in self._parts)
        numbers: Counter[str] = Counter()
        out = []
        for part in self._parts:
            index = None
            if several[part.partition] > 1:
                index = numbers[part.partition]
                numbers[part.partition] += 1
            name = file_name(self._components.codec, self._components.compressor, index)
            out.append((part, self._layout.data_file(self._dataset, id, part.partition, name)))
        return out

    def stage_few(self) -> None:
        """Make a few small parts durable now, before the lease is taken."""
        small = [part for part in self._parts if part.data is not None]
        if self._store.leases is None or len(small) > FEW:
            return
        for part in small:
            staged = self._store.stage(self._layout.dataset_folder(self._dataset))
            part.staged = staged
            assert part.data is not None
            staged.write(part.data)
            staged.prepare()
            part.data = None

    def _check_like(self, base: DatasetManifest) -> None:
        ours = self._components
        for name, found, expected in (
            ("codec", ours.codec, base.codec),
            ("compressor", ours.compressor, base.compressor),
            ("partitioner", ours.partitioner, base.partitioner),
            ("checksum", ours.checksum, base.checksum_algorithm),
        ):
            if found != expected and base.files:
                raise Invalid(
                    "appending to",
                    f"dataset {self._dataset}",
                    found=f"{name} {found or 'none'}",
                    expected=f"{expected or 'none'}, which the latest snapshot has",
                    hint="append in the same form, or write a new snapshot",
                )
        if self._parts and self._parts[0].partition and base.files:
            keys = [key for key, _ in parse_partition(self._parts[0].partition)]
            stored = list(partition_keys(base.files[0].path))
            if keys != stored:
                raise Invalid(
                    "appending to",
                    f"dataset {self._dataset}",
                    found=f"the partition keys {', '.join(keys)}",
                    expected=f"{', '.join(stored)}, which the latest snapshot has",
                )


def _joined(*texts: str) -> tuple[str, str]:
    """The earliest and the latest of times, "" where there is none."""
    times = TimeRange()
    for text in filter(None, texts):
        times.add(text)
    return times.min_timestamp, times.max_timestamp
