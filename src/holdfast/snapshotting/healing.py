"""What the next writer does about a pointer without manifest (spec/datasets.md §9.1).

A writer died between its two steps, or it is slow. At the id that the pointer names a marked
snapshot is created that repeats what lay below: create-only, so that a slow writer meets it and
begins again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.digests import sha256_hex
from holdfast.errors import Integrity, NotFound, PathExists, SnapshotConflict
from holdfast.snapshotting.form import HEALED, M, Stored
from holdfast.snapshotting.lineage import Lineage
from holdfast.snapshotting.pointer import Pointer
from holdfast.snapshotting.rfc3339 import rfc3339_go
from holdfast.snapshotting.snapshot_id import is_decimal, order

if TYPE_CHECKING:
    from holdfast.snapshotting.chain import Chain

_POLL = 0.05
MOST_CHANGES = 1000
"""So often may a pointer without manifest change while a writer waits: nobody commits like that."""


def base_of(chain: Chain[M], pointer: Pointer) -> Stored[M] | None:
    """The newest snapshot, for a writer that holds the lease: a pointer without manifest is of a
    dead writer, and is healed.

    Raises:
        Integrity: the manifest of the newest COMMIT is gone.
    """
    found = _present(chain, pointer)
    if found is not None:
        return found
    newest = _below_gap(chain, pointer)
    if not _is_dead(pointer, newest):
        return newest
    assert pointer.id is not None
    return heal(chain, pointer.id, newest)


def settled_base(chain: Chain[M]) -> tuple[Pointer, Stored[M] | None]:
    """The pointer and the newest snapshot, for a writer on a store without leases: a pointer
    without manifest is of a dead writer once it was seen unchanged for `dead_after` seconds."""
    pointer = chain.pointer()
    since = chain.clock.monotonic()
    changes = 0
    while True:
        found = _present(chain, pointer)
        if found is not None:
            return pointer, found
        newest = _below_gap(chain, pointer)
        if not _is_dead(pointer, newest):
            return pointer, newest
        assert pointer.id is not None
        if chain.clock.monotonic() - since >= chain.dead_after:
            return pointer, heal(chain, pointer.id, newest)
        chain.sleep(min(_POLL, chain.dead_after))
        again = chain.pointer()
        if again != pointer:
            pointer, since = again, chain.clock.monotonic()
            changes += 1
            if changes == MOST_CHANGES:
                raise SnapshotConflict(
                    "committing to",
                    f"{chain.places.model} {chain.places.name}",
                    found=f"a pointer that changed {changes} times and led nowhere each time",
                )


def heal(chain: Chain[M], id: str, below: Stored[M] | None) -> Stored[M]:
    """Create the marked snapshot `id` on top of `below`; what is there then."""
    if chain.sink.find_commit(chain.places.model, chain.places.name, id) is not None:
        raise Integrity(
            "healing",
            chain.places.manifest(id),
            found="no manifest",
            expected="the one that the ledger fixes",
        )
    real = chain.unmarked(below)
    content = below if real is None else real
    manifest = chain.form.repeat(
        None if content is None else content.manifest,
        id=id,
        parent="" if below is None else below.id,
        created_at=rfc3339_go(chain.clock.now_ns()),
        mark=HEALED,
        lineage=Lineage(
            author=chain.author,
            nonce=chain.new_ids.token(16),
            real="" if real is None else real.id,
        ),
    )
    data = chain.form.encode(manifest)
    path = chain.places.manifest(id)
    try:
        chain.store.put(path, data)
    except PathExists:
        return chain.load(id)  # the slow writer came, or another one healed it
    stored = Stored(id, manifest, path, len(data), sha256_hex(data))
    chain.keep(stored)
    return stored


def _present(chain: Chain[M], pointer: Pointer) -> Stored[M] | None:
    last = chain.sink.last_commit(chain.places.model, chain.places.name)
    if last is not None and (pointer.id is None or order(pointer.id) < order(last[1])):
        try:
            return chain.load(last[1])
        except NotFound:
            raise Integrity(
                "reading the newest snapshot",
                chain.places.manifest(last[1]),
                found="no manifest",
                expected="the one that the newest COMMIT of the ledger fixes",
            ) from None
    if pointer.id is None:
        return None
    try:
        return chain.load(pointer.id)
    except NotFound:
        return None


def _below_gap(chain: Chain[M], pointer: Pointer) -> Stored[M] | None:
    """The newest snapshot that is there, where the pointer leads to none."""
    if pointer.id is not None:
        chain.places.check_gap(chain.store, pointer.id)
    return chain.scan()


def _is_dead(pointer: Pointer, newest: Stored[M] | None) -> bool:
    """Whether the pointer is that of a writer which came between its two steps: it names an id
    above all that are there. Any other one is stale, of another program."""
    if pointer.id is None or not is_decimal(pointer.id):
        return False
    return newest is None or order(pointer.id) > order(newest.id)
