"""The line of a dataset's snapshots over time: what is there, and what was there at a moment
(spec/datasets.md §9.7).

The line stays readable where snapshots are expired, collected or erased: their parents are known
from their COMMITs or from the records of erasures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from holdfast.clock import parse_rfc3339
from holdfast.datasets.erasures import read_erasures
from holdfast.datasets.expiry import Past, erased, gone, is_expired
from holdfast.datasets.snapshot import DatasetSnapshot
from holdfast.datasets.tags import is_tag_name, read_tag
from holdfast.errors import Integrity, Invalid, NotFound
from holdfast.snapshotting.form import REPLACEMENT
from holdfast.snapshotting.iteration import Iteration
from holdfast.snapshotting.snapshot_id import is_readable, order

if TYPE_CHECKING:
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.erasures import Erasures
    from holdfast.datasets.manifest import DatasetManifest
    from holdfast.snapshotting.form import Stored

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """A snapshot in its place in time. `created_at` is when its content was committed: of a
    replacement, when its original was. `stored` is None where it is not found any more."""

    id: str
    created_at: str
    stored: Stored[DatasetManifest] | None


def load(dataset: Dataset, id: str) -> DatasetSnapshot:
    """The snapshot `id`.

    Raises:
        NotFound: there is none, or it is expired; `Erased`.
    """
    error = gone(dataset, id)
    if error is not None:
        raise error
    try:
        return DatasetSnapshot(dataset, dataset.chain.load(id))
    except NotFound:
        error = erased(dataset, id)
        if error is None:
            raise
        raise error from None


def listed(dataset: Dataset) -> Iteration[DatasetSnapshot]:
    """See `Dataset.snapshots`."""
    return Iteration(_listed(dataset))


def _listed(dataset: Dataset) -> Iterator[DatasetSnapshot]:
    chain = dataset.chain
    erasures = read_erasures(chain.store, chain.places.folder)
    ids = chain.ids()
    if erasures:
        ids.sort(key=erasures.position)
    for id in ids:
        if id in erasures.snapshots or is_expired(chain, id):
            continue
        stored = chain.load(id)
        mark = stored.manifest.mark
        if not mark or (mark == REPLACEMENT and id in erasures.originals):
            yield DatasetSnapshot(dataset, stored)


def history(dataset: Dataset) -> Iteration[DatasetSnapshot]:
    """See `Dataset.history`."""
    return Iteration(_history(dataset))


def _history(dataset: Dataset) -> Iterator[DatasetSnapshot]:
    erasures = read_erasures(dataset.store, dataset.chain.places.folder)
    for _, stored, _ in _walk(dataset, erasures):
        if stored is not None:
            yield DatasetSnapshot(dataset, stored)


def line(dataset: Dataset) -> Iterator[Moment]:
    """What somebody wrote, newest first; what stands in for an erased snapshot in its place."""
    erasures = read_erasures(dataset.store, dataset.chain.places.folder)
    for id, stored, created_at in _walk(dataset, erasures):
        if id in erasures.originals and erasures.original(id) != id:
            continue  # it comes where its original was
        if id in erasures.snapshots:
            instead = erasures.replacement(id)
            if instead and erasures.original(instead) == id:
                yield Moment(instead, created_at, _present(dataset, instead))
        elif stored is None or not stored.manifest.mark:
            yield Moment(id, created_at, stored)


def at(dataset: Dataset, when: DatasetSnapshot | datetime | str) -> DatasetSnapshot:
    """See `Dataset.at`."""
    if isinstance(when, DatasetSnapshot):
        return load(dataset, when.id)
    if isinstance(when, datetime):
        return _at_time(dataset, _nanoseconds(when), when.isoformat())
    if not isinstance(when, str):
        raise Invalid(
            "looking for a snapshot of",
            f"dataset {dataset.id}",
            found=f"a {type(when).__name__}",
            expected="an id, a tag, or a time",
        )
    if is_readable(when):
        error = gone(dataset, when)
        if error is not None:
            raise error
        try:
            return DatasetSnapshot(dataset, dataset.chain.load(when))
        except NotFound:
            error = erased(dataset, when)
            if error is not None:
                raise error from None
    if is_tag_name(when):
        try:
            tag = read_tag(dataset, when)
        except NotFound:
            pass
        else:
            return load(dataset, tag.snapshot_id)
    try:
        ns = parse_rfc3339(when)
    except Invalid:
        raise NotFound(
            "looking for a snapshot of",
            f"dataset {dataset.id}",
            found=f"{when!r:.100} is no id of a snapshot, no tag and no time",
            hint="times are RFC 3339 with a zone, as 2026-01-02T03:04:05Z",
        ) from None
    return _at_time(dataset, ns, when)


def time_ns(created_at: str) -> int:
    """Nanoseconds since the epoch of a manifest's time."""
    return parse_rfc3339(created_at)


def _at_time(dataset: Dataset, ns: int, text: str) -> DatasetSnapshot:
    some = False
    for moment in line(dataset):
        some = True
        if time_ns(moment.created_at) > ns:
            continue
        if moment.stored is None:
            error = gone(dataset, moment.id) or NotFound(
                "reading the snapshot", moment.id, found="its manifest is gone"
            )
            raise error
        return DatasetSnapshot(dataset, moment.stored)
    raise NotFound(
        "looking for a snapshot of",
        f"dataset {dataset.id}",
        found=f"none was there yet at {text}" if some else "it has no snapshots",
    )


def _walk(
    dataset: Dataset, erasures: Erasures
) -> Iterator[tuple[str, Stored[DatasetManifest] | None, str]]:
    """(id, snapshot, created_at) along the parents; no snapshot where it is expired or erased.

    Raises:
        Integrity: a parent that is not older than its child.
    """
    chain = dataset.chain
    past = Past(chain)
    stored = chain.newest()
    id = "" if stored is None else stored.id
    while id:
        hidden = id in erasures.snapshots or is_expired(chain, id)
        if stored is None:
            # Its manifest is gone: what was known of it is written elsewhere.
            known = erasures.snapshots.get(id)
            if known is not None:
                parent, created_at = known.parent, known.created_at
            elif hidden:
                commit = past.commit(id)
                parent = "" if commit is None else commit.parent or ""
                created_at = "" if commit is None else commit.time
            else:
                return
        else:
            parent, created_at = stored.manifest.parent_snapshot_id, stored.manifest.created_at
        if created_at:
            yield id, None if hidden else stored, created_at
        if parent and order(parent) >= order(id):
            raise Integrity(
                "following the history of",
                f"dataset {dataset.id}",
                found=f"{parent} below {id}",
                expected="an older one",
            )
        stored = _loaded(dataset, parent) if parent else None
        id = parent


def _loaded(dataset: Dataset, id: str) -> Stored[DatasetManifest] | None:
    try:
        return dataset.chain.load(id)
    except NotFound:
        return None


def _present(dataset: Dataset, id: str) -> Stored[DatasetManifest] | None:
    return None if is_expired(dataset.chain, id) else _loaded(dataset, id)


def _nanoseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise Invalid(
            "looking for a snapshot at",
            moment.isoformat(),
            found="a time without a zone",
            hint="give it one, as datetime(..., tzinfo=UTC)",
        )
    whole = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    return whole + int(getattr(moment, "nanosecond", 0))
