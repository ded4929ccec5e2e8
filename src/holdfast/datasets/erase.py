"""Erasing rows by law (spec/datasets.md §9.7): files are rewritten without them, snapshots that
named the old ones are replaced, and the old bytes are destroyed, their statistics included.

The replacements are committed, the oldest first, each marked but for the last, which replaces (or
repeats) the latest snapshot. Then the record of the erasure is written, durable, and only then
anything is deleted; from the record whoever comes next finishes what a crash cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.datasets.collect import collect
from holdfast.datasets.erasures import (
    FOLDER,
    Erasure,
    erasure_path,
    read_erasures,
)
from holdfast.datasets.expiry import ERASED, tombstones_of
from holdfast.datasets.form import MODEL
from holdfast.datasets.replacing import Eraser, check_paths
from holdfast.datasets.tags import Tag, announce, read_tags, tag_path
from holdfast.digests import sha256_hex
from holdfast.errors import Conflict, Invalid, NotFound
from holdfast.records import CommitRecord, NullSink, ObjectRef

if TYPE_CHECKING:
    import pyarrow.compute as pc

    from holdfast.datasets.dataset import Dataset

_LEASE_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What `erase_rows` did. `rows` counts each file's rows once; `replacements` maps ids of
    snapshots that are gone to those that hold their other rows. `id` names the record; "" where no
    row matched and nothing was done."""

    id: str
    rows: int
    replacements: dict[str, str]
    files: int
    bytes: int


def erase_rows(
    dataset: Dataset, where: pc.Expression | Callable[[Any], bool], reason: str
) -> ErasureReport:
    """See `Dataset.erase_rows`."""
    chain = dataset.chain
    chain.check_writable()
    if not reason.strip():
        raise Invalid("erasing rows of", f"dataset {dataset.id}", found="no reason")
    with care(dataset):
        for _ in finish_erasures(dataset):
            pass
        eraser = Eraser(dataset, where, reason)
        try:
            record = eraser.run()
        finally:
            eraser.close()
        if record is not None:
            _announce(dataset, record)
            _finish(dataset, record)
        # What is expired, or was never committed, may hold such rows too.
        collect(dataset, dry_run=False)
        sweep = getattr(dataset.store, "remove_stale_temps", None)
        if sweep is not None:
            sweep(chain.places.folder)
    if record is None:
        return ErasureReport("", 0, {}, 0, 0)
    return ErasureReport(
        record.id,
        record.rows,
        {s.id: s.replacement for s in record.snapshots if s.replacement},
        len(record.files),
        sum(f.size for f in record.files),
    )


def finish_erasures(dataset: Dataset) -> Iterator[Erasure]:
    """Finish what a crash cut off; the erasures that were not finished."""
    for record in read_erasures(dataset.store, dataset.chain.places.folder).records:
        unfinished = is_unfinished(dataset, record)
        _announce(dataset, record)
        if unfinished:
            _finish(dataset, record)
            yield record


def is_unfinished(dataset: Dataset, record: Erasure) -> bool:
    """Whether some of what a record names is still there."""
    return any(dataset.store.exists(file.path) for file in record.files)


@contextmanager
def care(dataset: Dataset) -> Iterator[None]:
    """One erasure at a time, where there are leases."""
    leases = dataset.store.leases
    if leases is None:
        yield
        return
    name = f"{dataset.chain.places.lease}-care"
    with leases.acquire(name, timeout=_LEASE_TIMEOUT):
        yield


def _announce(dataset: Dataset, record: Erasure) -> None:
    chain = dataset.chain
    if isinstance(chain.sink, NullSink):
        return
    data = record.to_bytes()
    path = erasure_path(chain.places.folder, record.id)
    chain.sink.commit(
        CommitRecord(
            model=MODEL,
            name=f"{dataset.id}/{FOLDER}",
            id=record.id,
            objects=(ObjectRef(path, len(data), sha256_hex(data)),),
            time=record.time,
            nonce=record.id.partition("-")[2],
            author=record.author,
            message=record.reason,
        )
    )


def _finish(dataset: Dataset, record: Erasure) -> None:
    """Destroy what a record names: hide the snapshots, move their tags, delete manifests, then
    data. Can be done again from any point."""
    chain, store = dataset.chain, dataset.store
    check_paths(dataset, record.files)
    sink = tombstones_of(chain)
    if sink is not None:
        ids = [s.id for s in record.snapshots]
        anchored = [id for id in ids if sink.find_commit(MODEL, dataset.id, id) is not None]
        if anchored:
            sink.tombstone_commits(MODEL, dataset.id, anchored, reason=ERASED)
    _move_tags(dataset)
    for file in record.files:
        store.delete(file.path)
    for snapshot in record.snapshots:
        chain.forget(snapshot.id)


def _move_tags(dataset: Dataset) -> None:
    """Tags of erased snapshots go to what stands in for them."""
    erasures = read_erasures(dataset.store, dataset.chain.places.folder)
    for tag in read_tags(dataset):
        instead = erasures.replacement(tag.snapshot_id)
        if tag.snapshot_id not in erasures.snapshots or not instead:
            continue
        with suppress(Conflict, NotFound):  # somebody moves or removes it now
            moved = Tag(
                tag.name,
                instead,
                dataset.chain.load(instead).sha256,
                tag.author,
                tag.time,
                tag.message,
                dataset.chain.new_ids.token(16),
            )
            path = tag_path(dataset, tag.name)
            dataset.store.compare_and_swap(path, tag.to_bytes(), moved.to_bytes())
            announce(dataset, moved)
