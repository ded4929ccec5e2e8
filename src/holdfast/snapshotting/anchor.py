"""COMMITs of snapshots: the ledger is told of each, a parent before its child (ledger spec §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.clock import parse_rfc3339, rfc3339
from holdfast.digests import sha256_hex
from holdfast.errors import Invalid
from holdfast.records import CommitRecord, NullSink, ObjectRef, is_input
from holdfast.snapshotting.form import M, Stored

if TYPE_CHECKING:
    from holdfast.snapshotting.chain import Chain

UNKNOWN = "unknown"
"""Author of a snapshot that bears none: one of another program."""


def anchor(chain: Chain[M], stored: Stored[M], *, since: int = 0) -> int:
    """Append the COMMIT of a snapshot, unless there is one; its logseq (0 without a ledger)."""
    if isinstance(chain.sink, NullSink):
        return 0
    return chain.sink.commit(record_of(chain, stored), since=since)


def anchor_missing(chain: Chain[M], base: Stored[M] | None) -> list[str]:
    """Anchor `base` and what lies below it, as far as the ledger does not know it; the manifests
    of what was anchored, the oldest first. A crash between manifest and COMMIT ends here."""
    if base is None or isinstance(chain.sink, NullSink):
        return []
    places = chain.places
    last = chain.sink.last_commit(places.model, places.name)
    if last is not None and last[1] == base.id:
        return []
    missing: list[str] = []
    for stored in chain.history(base):
        if chain.sink.find_commit(places.model, places.name, stored.id) is not None:
            break
        missing.append(stored.id)
    missing.reverse()
    # Read a second time: thousands of manifests with the same files are too much to hold.
    for id in missing:
        anchor(chain, chain.load(id))
    return [places.manifest(id) for id in missing]


def record_of(chain: Chain[M], stored: Stored[M]) -> CommitRecord:
    """The COMMIT record of a snapshot, made from its manifest alone: whoever anchors it later
    writes the same lineage."""
    manifest = stored.manifest
    lineage = manifest.lineage
    root = ObjectRef(stored.path, stored.size, stored.sha256)
    nonce = lineage.nonce if lineage is not None else ""
    return CommitRecord(
        model=chain.places.model,
        name=chain.places.name,
        id=stored.id,
        objects=(root, *chain.form.unfixed(chain.store, manifest)),
        time=_time(chain, manifest.created_at),
        nonce=nonce if len(nonce) == 32 else sha256_hex(stored.sha256.encode())[:32],
        author=(lineage.author if lineage is not None else "") or UNKNOWN,
        parent=manifest.parent_snapshot_id or None,
        inputs=tuple(i for i in lineage.inputs if is_input(i)) if lineage is not None else (),
        run=lineage.run if lineage is not None else None,
        message=lineage.message if lineage is not None else None,
    )


def _time(chain: Chain[M], created_at: str) -> str:
    try:
        return rfc3339(parse_rfc3339(created_at))
    except Invalid:
        return rfc3339(chain.clock.now_ns())
