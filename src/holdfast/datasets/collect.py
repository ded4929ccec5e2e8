"""Collection: what nobody needs is deleted, and that is a commit (spec/datasets.md §9.1).

Candidates are listed → a marked snapshot is committed that changes nothing → the manifests are read
again → what they do not name is deleted: manifests before data, their copies first. Whoever
published files before the marked snapshot cannot commit them after it, so what is a candidate then
stays one. A crash anywhere leaves candidates for the next collection, and never a snapshot that is
visible without its data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.datasets.erasures import read_erasures
from holdfast.datasets.expiry import COLLECTED as COLLECTED_CODE
from holdfast.datasets.expiry import tombstone, tombstones_of
from holdfast.datasets.live import Litter, holdings, litter, take_new
from holdfast.errors import HoldfastError
from holdfast.records import GcReport
from holdfast.snapshotting.commit import Committer
from holdfast.snapshotting.form import COLLECTED
from holdfast.snapshotting.lineage import Lineage

if TYPE_CHECKING:
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.manifest import DatasetManifest
    from holdfast.snapshotting.form import Stored
    from holdfast.store.protocol import Staged

_ORDER = {"copy": 0, "manifest": 1, "data": 2}


class CopyDraft:
    """A marked snapshot that repeats the latest one."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def paths(self, id: str) -> Sequence[str]:
        return ()

    def publish(self, id: str, along: Sequence[Staged] = ()) -> None:
        self._dataset.store.publish_many((), along=along)

    def manifest(
        self, id: str, base: Stored[DatasetManifest] | None, created_at: str, lineage: Lineage
    ) -> DatasetManifest:
        chain = self._dataset.chain
        latest = chain.unmarked(base)
        return chain.form.repeat(
            None if latest is None else latest.manifest,
            id=id,
            parent="" if base is None else base.id,
            created_at=created_at,
            mark=COLLECTED,
            lineage=replace(lineage, real="" if latest is None else latest.id),
        )


def collect(dataset: Dataset, *, dry_run: bool) -> GcReport:
    """See `Dataset.collect`."""
    from holdfast.datasets.erase import finish_erasures

    chain = dataset.chain
    if not dry_run:
        chain.check_writable()
        for _ in finish_erasures(dataset):
            pass
    erasures = read_erasures(dataset.store, chain.places.folder)
    known = holdings(dataset, erasures)
    found = [item for item in litter(dataset, known, erasures) if isinstance(item, Litter)]
    if dry_run or not found:
        return GcReport([(item.entry.path, item.entry.size) for item in found])
    Committer(chain, CopyDraft(dataset), lineage=Lineage(message="collection")).run()
    sink = tombstones_of(chain)
    if known.superseded and sink is not None:
        tombstone(dataset, sink, known.superseded, "superseded", COLLECTED_CODE)
    take_new(dataset, known)
    return _delete(dataset, [item for item in found if item.entry.path not in known.needed])


def _delete(dataset: Dataset, found: list[Litter]) -> GcReport:
    report = GcReport()
    held: set[str] = set()
    for item in sorted(found, key=lambda i: _ORDER.get(i.place.kind, 2)):
        entry, id = item.entry, item.place.snapshot
        if id in held:
            continue  # as long as its manifest is there, so is its data
        try:
            dataset.store.delete(entry.path)
        except HoldfastError as error:
            report.failed.append((entry.path, str(error)))
            held.add(id)
        else:
            report.removed.append((entry.path, entry.size))
        if item.place.kind == "manifest":
            dataset.chain.forget(id)
    return report
