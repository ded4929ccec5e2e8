"""Looking after a volume: verify, repair, collect (records.Maintainable)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from holdfast.digests import sha256_hex
from holdfast.errors import Busy, Denied, HoldfastError, Integrity, NotFound
from holdfast.records import Checked, Finding, GcReport, NullSink, Severity
from holdfast.snapshotting.anchor import anchor_missing
from holdfast.snapshotting.block_hashes import (
    HASH,
    BlockHasher,
    block_count,
    sidecar_path,
)
from holdfast.snapshotting.healing import base_of
from holdfast.volumes.checking import check_files
from holdfast.volumes.form import MODEL

if TYPE_CHECKING:
    from holdfast.leases import Lease
    from holdfast.store.protocol import Entry
    from holdfast.volumes.manifest import BlockRef
    from holdfast.volumes.volume import Volume

_PIECE = 8 << 20


def verify(volume: Volume, *, deep: bool) -> Iterator[Finding | Checked]:
    """Check every manifest and every block that one names; `deep` reads every byte, else sizes."""
    chain = volume.chain
    ids = chain.ids()
    seen: set[BlockRef] = set()
    readable = True
    anchored = not isinstance(chain.sink, NullSink)
    for id in ids:
        path = volume.places.manifest(id)
        try:
            chain.forget(id)  # what is stored counts
            snapshot = volume.snapshot(id)
            blocks = [b for b in snapshot.blocks if b not in seen]
            snapshot.index  # noqa: B018 - overlaps show when it is made
        except HoldfastError as error:
            readable = False
            yield Finding.of(error, path, MODEL)
            continue
        yield Checked(1, volume.store.size(path))
        for block in blocks:
            seen.add(block)
            algorithm = snapshot.manifest.checksum_algorithm
            yield from _verify_block(volume, block, algorithm, deep=deep)
        if anchored and chain.sink.find_commit(MODEL, volume.id, id) is None:
            message = "no COMMIT of the ledger fixes it"
            yield Finding(Severity.WARNING, "unanchored", path, message, MODEL, repairable=True)
    yield from _verify_line(volume, ids)
    if not readable:
        return  # what a manifest that cannot be read names, nobody can tell
    for entry in orphans(volume):
        message = "a block that was staged and not committed"
        yield Finding(Severity.INFO, "litter", entry.path, message, MODEL)


def repair(volume: Volume) -> Iterator[Finding]:
    """Stand in for a writer that died between pointer and manifest, announce snapshots whose
    COMMIT a crash kept back, and write block hashes anew that are lost."""
    chain = volume.chain
    if chain.store.leases is not None:
        with chain.lease():
            pointer = chain.pointer()
            dead = pointer.id if pointer.id not in (None, *chain.ids()) else None
            base = base_of(chain, pointer)
            anchored = anchor_missing(chain, base)
        if base is not None and base.id == dead:
            message = f"the writer of {dead} died; a snapshot that repeats the one below is there"
            yield Finding(Severity.INFO, "healed", base.path, message, MODEL)
    else:
        anchored = anchor_missing(chain, chain.newest())
    for path in anchored:
        message = "fixed by a COMMIT of the ledger now"
        yield Finding(Severity.INFO, "unanchored", path, message, MODEL)
    newest = chain.newest()
    if newest is None:
        return
    snapshot = volume.snapshot(newest.id)
    for block in snapshot.blocks:
        if block.blocks_sha256 and not volume.store.exists(sidecar_path(block.path)):
            yield from _rewrite_sidecar(volume, block)


def orphans(volume: Volume) -> Iterator[Entry]:
    """Files of blocks that no manifest names; those that somebody is staging too.

    Raises:
        HoldfastError: a manifest cannot be read: it may name any of them.
    """
    named: set[str] = set()
    for id in volume.chain.ids():
        for block in volume.snapshot(id).blocks:
            named.add(block.path)
            named.add(sidecar_path(block.path))
    for entry in volume.store.list(volume.places.data):
        if entry.path not in named:
            yield entry


def collect(volume: Volume, *, dry_run: bool) -> GcReport:
    """Remove blocks that were staged and never committed, while nobody stages.

    Does nothing while somebody does; nor on a store without leases: there only their age could
    tell, and a store tells none (`verify` names them).

    Raises:
        HoldfastError: a manifest cannot be read: nothing was removed.
    """
    report = GcReport()
    leases = volume.store.leases
    if leases is None:
        return report
    if not dry_run:
        volume.chain.check_writable()
    lease: Lease | nullcontext[None]
    try:
        lease = leases.acquire(volume.places.stagers, timeout=0)
    except Busy:
        return report
    except Denied:
        if not dry_run:
            raise
        lease = nullcontext()
    with lease:
        for entry in list(orphans(volume)):
            try:
                if not dry_run:
                    volume.store.delete(entry.path)
            except HoldfastError as error:
                report.failed.append((entry.path, str(error)))
            else:
                report.removed.append((entry.path, entry.size))
    return report


def _verify_block(
    volume: Volume, block: BlockRef, algorithm: str, *, deep: bool
) -> Iterator[Finding | Checked]:
    store = volume.store
    try:
        check_files([block], store, sidecars=False)
        hasher = BlockHasher((algorithm,) if block.checksum else ())
        if deep:
            while piece := store.read_range(block.path, hasher.size, _PIECE):
                hasher.update(piece)
            _compare(block, hasher, algorithm)
        yield Checked(1, hasher.size)
    except NotFound as error:
        yield Finding(Severity.ERROR, "missing", block.path, str(error), MODEL)
        return
    except HoldfastError as error:
        yield Finding.of(error, block.path, MODEL)
        return
    if block.blocks_sha256:
        yield from _verify_sidecar(volume, block)


def _compare(block: BlockRef, hasher: BlockHasher, algorithm: str) -> None:
    for name, found, expected in (
        (algorithm, hasher.checksum(algorithm).hex if block.checksum else "", block.checksum),
        ("blocks_sha256", hasher.blocks_sha256, block.blocks_sha256),
    ):
        if expected and found != expected:
            raise Integrity("reading", block.path, found=f"{name} {found}", expected=expected)


def _verify_sidecar(volume: Volume, block: BlockRef) -> Iterator[Finding | Checked]:
    path = sidecar_path(block.path)
    size = block_count(block.length) * HASH
    try:
        data = volume.store.read_range(path, 0, size + 1)
    except NotFound:
        message = "block hashes that are lost; the block's checksum stands in for them"
        yield Finding(Severity.WARNING, "missing", path, message, MODEL, repairable=True)
        return
    yield Checked(1, len(data))
    if sha256_hex(data) != block.blocks_sha256:
        error = Integrity("reading", path, found="other block hashes than the manifest fixes")
        yield Finding.of(error, path, MODEL)


def _verify_line(volume: Volume, ids: list[str]) -> Iterator[Finding]:
    """See that the history is one line and that the pointer leads to its end."""
    pointer = volume.chain.pointer()
    path = volume.places.pointer
    newest = ids[-1] if ids else None
    if pointer.id != newest:
        message = f"it names {pointer.id or 'nothing'}, the newest snapshot is {newest or 'none'}"
        dead = pointer.id is not None and pointer.id not in ids
        yield Finding(Severity.WARNING, "stale_pointer", path, message, MODEL, repairable=dead)
    try:
        for _ in volume.history():
            pass
    except HoldfastError as error:
        yield Finding.of(error, path, MODEL)


def _rewrite_sidecar(volume: Volume, block: BlockRef) -> Iterator[Finding]:
    hasher = BlockHasher(())
    try:
        while piece := volume.store.read_range(block.path, hasher.size, _PIECE):
            hasher.update(piece)
    except NotFound:
        return
    if hasher.size != block.length or hasher.blocks_sha256 != block.blocks_sha256:
        return  # `verify` says what is wrong with it
    volume.store.put(sidecar_path(block.path), hasher.sidecar())
    message = "block hashes that were lost, written anew"
    yield Finding(Severity.INFO, "missing", sidecar_path(block.path), message, MODEL)
