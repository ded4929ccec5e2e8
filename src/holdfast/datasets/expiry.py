"""Expired snapshots (spec/datasets.md §9.1, §9.7): a tombstone on the Reference of its COMMIT
expires a snapshot. It is not found any more; its bytes stay until they are collected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.clock import rfc3339
from holdfast.datasets.form import MODEL
from holdfast.datasets.retention import Item, RetentionReport, Rule, choose
from holdfast.errors import Denied, Erased, Invalid, NotFound, Unsupported
from holdfast.records import CommitRecord
from holdfast.snapshotting.form import REPLACEMENT

if TYPE_CHECKING:
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.erasures import Erasures
    from holdfast.datasets.manifest import DatasetManifest
    from holdfast.errors import HoldfastError
    from holdfast.snapshotting.chain import Chain

EXPIRED = 1
"""Reason code of the tombstones of expired snapshots."""
ERASED = 2
"""Reason code of the tombstones of snapshots that were erased."""
COLLECTED = 3
"""Reason code of the tombstones of marked snapshots that nothing needs."""
_TOGETHER = 500
_LATEST = "the latest one"


@runtime_checkable
class TombstoneSink(Protocol):
    """What a sink can do that knows tombstones: the ledger."""

    def tombstone_of(self, model: str, name: str, id: str) -> int | None:
        """The logseq of a tombstone in force on the COMMIT of (model, name, id), or None."""

    def tombstone_commits(
        self, model: str, name: str, ids: Sequence[str], *, reason: int = 0
    ) -> list[str]:
        """Tombstone these COMMITs durably; the ids that had no tombstone. Raises `NotFound`."""

    def find_commit(self, model: str, name: str, id: str) -> int | None:
        """As `CommitSink.find_commit`."""

    def commit_record(self, logseq: int) -> CommitRecord:
        """The record of the COMMIT at `logseq`. Raises `NotFound`."""

    def commits(
        self,
        *,
        model: str | None = None,
        name: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[int, CommitRecord]]:
        """The COMMITs with their logseqs, newest first."""


def tombstones_of(chain: Chain[DatasetManifest]) -> TombstoneSink | None:
    """The dataset's sink, if it knows tombstones."""
    sink = chain.sink
    return sink if isinstance(sink, TombstoneSink) else None


def is_expired(chain: Chain[DatasetManifest], id: str) -> bool:
    """Whether a tombstone lies on the COMMIT of snapshot `id` (of an erased one too)."""
    sink = tombstones_of(chain)
    return sink is not None and sink.tombstone_of(MODEL, chain.places.name, id) is not None


class Past:
    """COMMITs of a dataset, asked for from the newest down: the log is read once, backwards."""

    def __init__(self, chain: Chain[DatasetManifest]) -> None:
        self._name = chain.places.name
        self._sink = tombstones_of(chain)
        self._left: Iterator[tuple[int, CommitRecord]] | None = None

    def commit(self, id: str) -> CommitRecord | None:
        """The COMMIT of snapshot `id`; None: there is none that can be read."""
        sink = self._sink
        logseq = None if sink is None else sink.find_commit(MODEL, self._name, id)
        if sink is None or logseq is None:
            return None
        if self._left is None:
            self._left = sink.commits(model=MODEL, name=self._name, before=logseq + 1)
        for at, record in self._left:
            if record.id == id:
                return record
            if at < logseq:
                break
        # Out of order, or erased by law.
        self._left = None
        try:
            return sink.commit_record(logseq)
        except NotFound:
            return None


def gone(dataset: Dataset, id: str, erasures: Erasures | None = None) -> HoldfastError | None:
    """What reading snapshot `id` raises, though it was there once; None: nothing is known against
    it. Costs no call to the dataset's store unless there is a tombstone."""
    if not is_expired(dataset.chain, id):
        return None
    return erased(dataset, id, erasures) or NotFound(
        "reading the snapshot",
        id,
        found=f"it is expired in dataset {dataset.id!r}",
        hint="`snapshots()` lists those that are kept",
        expired=id,
    )


def erased(dataset: Dataset, id: str, erasures: Erasures | None = None) -> Erased | None:
    """What reading an erased snapshot raises; None: it was not erased."""
    from holdfast.datasets.erasures import read_erasures

    known = erasures or read_erasures(dataset.store, dataset.chain.places.folder)
    if id not in known.snapshots:
        return None
    replacement = known.replacement(id)
    return Erased(
        "reading the snapshot",
        id,
        found="rows of it were erased",
        hint=f"snapshot {replacement} has the others" if replacement else "",
        replacement=replacement or None,
        erasure=known.places[id],
    )


def need_tombstones(dataset: Dataset, doing: str) -> TombstoneSink:
    """The sink that keeps tombstones. Raises `Unsupported` for a dataset without a ledger."""
    sink = tombstones_of(dataset.chain)
    if sink is None:
        raise Unsupported(
            doing,
            f"dataset {dataset.id}",
            found="no ledger, where tombstones are kept",
            hint="open the dataset through a repository",
        )
    return sink


def expire(dataset: Dataset, ids: Iterable[str], reason: str = "") -> list[str]:
    """Expire snapshots; those that were not expired before, in the order given.

    Raises:
        NotFound: there is no such snapshot; `Erased`. Nothing was expired.
        Denied: the latest snapshot, or a tagged one. Nothing was expired.
        Unsupported: the dataset has no ledger.
    """
    from holdfast.datasets.tags import read_tags

    chain = dataset.chain
    chain.check_writable()
    sink = need_tombstones(dataset, "expiring snapshots of")
    wanted = list(dict.fromkeys(ids))
    with chain.lease():
        pinned = {tag.snapshot_id: f"the tag {tag.name!r}" for tag in read_tags(dataset)}
        newest = chain.newest()
        for stored in (newest, chain.unmarked(newest)):
            if stored is not None:
                pinned[stored.id] = _LATEST
        fresh = [id for id in wanted if not _checked(dataset, id, pinned)]
        done = tombstone(dataset, sink, fresh, reason or "expired")
    # Where there are no leases a tag may have come meanwhile: it wins, for a collection keeps
    # what is tagged, and so the tombstone does no harm.
    for id in done:
        chain.forget(id)
    return done


def _checked(dataset: Dataset, id: str, pinned: dict[str, str]) -> bool:
    """Whether `id` is expired already. Raises where it must not be."""
    error = gone(dataset, id)
    if isinstance(error, Erased):
        raise error
    if error is not None:
        return True
    stored = dataset.chain.load(id)
    if id in pinned:
        hint = "" if pinned[id] is _LATEST else "untag it first"
        raise Denied("expiring", f"snapshot {id}", found=pinned[id], hint=hint)
    if stored.manifest.mark not in ("", REPLACEMENT):
        raise Invalid(
            "expiring", f"snapshot {id}", found="one that nobody wrote; it goes by itself"
        )
    return False


def tombstone(
    dataset: Dataset, sink: TombstoneSink, ids: Sequence[str], message: str, code: int = EXPIRED
) -> list[str]:
    """Say in a COMMIT who expires what and why, then set the tombstones; what had none before."""
    chain = dataset.chain
    done: list[str] = []
    for at in range(0, len(ids), _TOGETHER):
        some = ids[at : at + _TOGETHER]
        logseqs = [sink.find_commit(MODEL, dataset.id, id) for id in some]
        nonce = chain.new_ids.token(16)
        chain.sink.commit(
            CommitRecord(
                model=MODEL,
                name=f"{dataset.id}/expired",
                id=f"{some[0]}+{len(some) - 1}#{nonce}",
                objects=(),
                time=rfc3339(chain.clock.now_ns()),
                nonce=nonce,
                author=chain.author or "unknown",
                inputs=tuple(f"commit:{n}" for n in logseqs if n is not None),
                message=message,
            )
        )
        done += sink.tombstone_commits(MODEL, dataset.id, some, reason=code)
    return done


def apply_retention(
    dataset: Dataset, rule: Rule, *, tags: bool, dry_run: bool, reason: str
) -> RetentionReport:
    """See `Dataset.apply_retention`."""
    from holdfast.clock import parse_rfc3339
    from holdfast.datasets.moments import line
    from holdfast.datasets.tags import read_tags, remove_tag

    rule.check()
    if not dry_run:
        dataset.chain.check_writable()
        need_tombstones(dataset, "applying retention to")
    by_snapshot: dict[str, list[str]] = {}
    for tag in read_tags(dataset):
        by_snapshot.setdefault(tag.snapshot_id, []).append(tag.name)
    items = [
        Item(m.id, parse_rfc3339(m.created_at), tuple(by_snapshot.get(m.id, ())) if tags else ())
        for m in line(dataset)
        if m.stored is not None
    ]
    reasons = choose(items, rule)
    kept = tuple(item.id for item in items if item.id in reasons)
    dropped = [item.id for item in items if item.id not in reasons]
    if not dry_run and dropped:
        if not tags:
            for id in dropped:
                for name in by_snapshot.get(id, ()):
                    remove_tag(dataset, name)
        expire(dataset, dropped, reason or "retention")
    return RetentionReport(kept, tuple(dropped), reasons, dry_run)
