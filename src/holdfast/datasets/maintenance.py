"""Looking after a dataset: verify and repair (records.Maintainable)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.datasets.checking import FileCheck
from holdfast.datasets.erase import care, finish_erasures, is_unfinished
from holdfast.datasets.erasures import Erasures, erasure_path, read_erasures
from holdfast.datasets.expiry import is_expired
from holdfast.datasets.form import MODEL
from holdfast.datasets.live import Litter, holdings, litter
from holdfast.datasets.tags import announce, is_announced, read_tags, tag_path
from holdfast.digests import sha256_hex
from holdfast.errors import Conflict, HoldfastError, NotFound
from holdfast.records import Checked, Finding, NullSink, Severity
from holdfast.snapshotting.anchor import anchor_missing
from holdfast.snapshotting.block_hashes import HASH, BlockHasher, block_count, sidecar_path
from holdfast.snapshotting.commit import put_copies
from holdfast.snapshotting.healing import base_of, settled_base
from holdfast.snapshotting.schema import read_manifest
from holdfast.snapshotting.snapshot_id import is_decimal, order

if TYPE_CHECKING:
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.manifest import DatasetManifest
    from holdfast.snapshotting.form import Stored

Step = Finding | Checked


def verify(dataset: Dataset, *, deep: bool) -> Iterator[Step]:
    """Check everything; `deep` reads every byte, else structure and sizes.

    A file that several snapshots name is read once. Memory holds the ids, and a number for each
    file.
    """
    try:
        erasures = read_erasures(dataset.store, dataset.chain.places.folder)
        tags = {tag.snapshot_id for tag in read_tags(dataset)}
    except HoldfastError as error:
        yield Finding.of(error, error.target or dataset.chain.places.folder, MODEL)
        erasures, tags = Erasures([]), set()
    ids = dataset.chain.ids()
    readable = True
    check = FileCheck(dataset.store, deep=deep)
    previous = ""
    present = set(ids)
    newest = ids[-1] if ids else ""
    for id in ids:
        erased = id in erasures.snapshots
        if erased or (id not in tags and id != newest and is_expired(dataset.chain, id)):
            previous = id
            continue  # on its way out
        for step in _snapshot(dataset, id, previous, present, erasures, check):
            if isinstance(step, Finding) and step.severity is Severity.ERROR:
                readable = readable and step.path != dataset.chain.places.manifest(id)
            yield step
        previous = id
    yield from _pointer(dataset, ids)
    yield from _tags(dataset, present)
    yield from _erasures(dataset, erasures)
    if readable:
        yield from _litter(dataset, erasures)


def repair(dataset: Dataset) -> Iterator[Finding]:
    """Mend what can be mended without loss; see `Dataset.repair`."""
    chain = dataset.chain
    with care(dataset):
        for record in finish_erasures(dataset):
            path = erasure_path(chain.places.folder, record.id)
            yield _info("unfinished_erasure", path, "finished now")
    pointer = chain.pointer()
    if chain.store.leases is None:
        _, base = settled_base(chain)
        anchored = anchor_missing(chain, base)
    else:
        with chain.lease():
            base = base_of(chain, chain.pointer())
            anchored = anchor_missing(chain, base)
            dead = list(_of_dead_writers(dataset))
        yield from dead
    if base is not None and base.manifest.mark == "healed" and base.id == pointer.id:
        yield from _healed(dataset, base, anchored)
    for path in anchored:
        yield _info("unanchored", path, "fixed by a COMMIT of the ledger now")
    if base is not None and pointer.id != base.id and _points_below(pointer.id, base.id):
        try:
            chain.store.compare_and_swap(chain.places.pointer, pointer.data, base.id.encode())
        except Conflict:
            pass  # somebody writes: the pointer is theirs
        else:
            yield _info("stale_pointer", chain.places.pointer, f"it names {base.id} now")
    for tag in read_tags(dataset):
        if not is_announced(dataset, tag):
            announce(dataset, tag)
            path = tag_path(dataset, tag.name)
            yield _info("unanchored", path, "fixed by a COMMIT of the ledger now")
    yield from _complete(dataset)


def _snapshot(
    dataset: Dataset,
    id: str,
    previous: str,
    present: set[str],
    erasures: Erasures,
    check: FileCheck,
) -> Iterator[Step]:
    """One manifest, its copies, its place in the line, its COMMIT, and its files."""
    chain = dataset.chain
    path = chain.places.manifest(id)
    try:
        data = read_manifest(chain.store, path)
        manifest = chain.form.decode(data, path)
    except NotFound:
        return  # collected meanwhile
    except HoldfastError as error:
        yield Finding.of(error, path, MODEL)
        return
    yield Checked(1, len(data))
    yield from _anchor(dataset, id, path, sha256_hex(data))
    yield from _parent(dataset, manifest, path, previous, present, erasures)
    for copy in chain.form.copies(manifest):
        try:
            same = chain.store.get(copy) == data
        except NotFound:
            message = "the copy of a manifest that is not there yet"
            yield Finding(Severity.WARNING, "missing_copy", copy, message, MODEL, repairable=True)
            continue
        yield Checked(1, len(data))
        if not same:
            message = f"not the same as {path}"
            yield Finding(Severity.ERROR, "digest_mismatch", copy, message, MODEL)
    yield from check.files(manifest)


def _anchor(dataset: Dataset, id: str, path: str, sha256: str) -> Iterator[Step]:
    sink = dataset.chain.sink
    if isinstance(sink, NullSink):
        return
    fixed = sink.find_object(MODEL, dataset.id, id)
    if fixed is None:
        message = "no COMMIT of the ledger fixes it"
        yield Finding(Severity.WARNING, "unanchored", path, message, MODEL, repairable=True)
    elif fixed.sha256 != sha256:
        message = f"sha256 is {sha256}, the ledger fixes {fixed.sha256}"
        yield Finding(Severity.ERROR, "digest_mismatch", path, message, MODEL)


def _parent(
    dataset: Dataset,
    manifest: DatasetManifest,
    path: str,
    previous: str,
    present: set[str],
    erasures: Erasures,
) -> Iterator[Step]:
    """The history is one line: each snapshot stands on the one before it."""
    parent = manifest.parent_snapshot_id
    if parent == previous or not (is_decimal(manifest.snapshot_id) or parent):
        return
    if parent and order(parent) >= order(manifest.snapshot_id):
        message = f"its parent {parent} is not older than it"
        yield Finding(Severity.ERROR, "malformed", path, message, MODEL)
    elif parent and parent not in present:
        if parent in erasures.snapshots or is_expired(dataset.chain, parent):
            return
        gone = dataset.chain.places.manifest(parent)
        message = f"the manifest of the parent of {manifest.snapshot_id} is gone"
        yield Finding(Severity.ERROR, "missing", gone, message, MODEL)
    else:
        message = f"it stands on {parent or 'nothing'}, the snapshot before it is {previous}"
        yield Finding(Severity.WARNING, "forked_history", path, message, MODEL)


def _pointer(dataset: Dataset, ids: list[str]) -> Iterator[Step]:
    chain = dataset.chain
    pointer = chain.pointer()
    path = chain.places.pointer
    newest = ids[-1] if ids else None
    last = chain.sink.last_commit(MODEL, dataset.id)
    if last is not None and last[1] not in ids and not is_expired(chain, last[1]):
        message = f"the newest COMMIT of the ledger, {last[0]}, fixes it, and it is gone"
        yield Finding(Severity.ERROR, "missing", chain.places.manifest(last[1]), message, MODEL)
    if pointer.id == newest:
        return
    named = pointer.id or "nothing"
    ahead = pointer.id is not None and (newest is None or order(pointer.id) > order(newest))
    if pointer.id is not None and ahead and is_decimal(pointer.id):
        message = f"it names {pointer.id}, whose writer died, or is at work"
        yield Finding(Severity.WARNING, "dead_pointer", path, message, MODEL, repairable=True)
        return
    message = f"it names {named}, the newest snapshot is {newest or 'none'}"
    mends = newest is not None
    yield Finding(Severity.WARNING, "stale_pointer", path, message, MODEL, repairable=mends)


def _tags(dataset: Dataset, present: set[str]) -> Iterator[Step]:
    try:
        tags = list(read_tags(dataset))
    except HoldfastError:
        return  # named already
    for tag in tags:
        path = tag_path(dataset, tag.name)
        yield Checked(1, 0)
        if tag.snapshot_id not in present:
            message = f"it names {tag.snapshot_id}, which is not there"
            yield Finding(Severity.ERROR, "missing", path, message, MODEL)
            continue
        try:
            found = sha256_hex(dataset.store.get(dataset.chain.places.manifest(tag.snapshot_id)))
        except HoldfastError:
            continue  # named already
        if found != tag.manifest_sha256:
            message = f"its manifest has sha256 {found}, the tag fixes {tag.manifest_sha256}"
            yield Finding(Severity.ERROR, "digest_mismatch", path, message, MODEL)
        if not is_announced(dataset, tag):
            message = "no COMMIT of the ledger announces it"
            yield Finding(Severity.WARNING, "unanchored", path, message, MODEL, repairable=True)


def _erasures(dataset: Dataset, erasures: Erasures) -> Iterator[Step]:
    for record in erasures.records:
        path = erasure_path(dataset.chain.places.folder, record.id)
        yield Checked(1, 0)
        if is_unfinished(dataset, record):
            message = "an erasure that a crash cut off: what it names is still there"
            yield Finding(
                Severity.WARNING, "unfinished_erasure", path, message, MODEL, repairable=True
            )
        else:
            gone = f"{record.rows} rows of {len(record.snapshots)} snapshots: {record.reason}"
            yield Finding(Severity.INFO, "erased", path, gone, MODEL)


def _litter(dataset: Dataset, erasures: Erasures) -> Iterator[Step]:
    try:
        known = holdings(dataset, erasures)
        for item in litter(dataset, known, erasures):
            if isinstance(item, Litter):
                what = "of a writer that died, or of one at work" if item.dead else "not needed"
                path = item.entry.path
                yield Finding(Severity.INFO, "litter", path, f"{what}; `gc` removes it", MODEL)
            else:
                message = "no snapshot names this file"
                yield Finding(Severity.INFO, "unexpected_file", item.path, message, MODEL)
    except HoldfastError:
        return  # a manifest that cannot be read is named already


def _of_dead_writers(dataset: Dataset) -> Iterator[Finding]:
    """Remove files of writers that died: under the lease nobody else can have published them."""
    erasures = read_erasures(dataset.store, dataset.chain.places.folder)
    try:
        known = holdings(dataset, erasures)
    except HoldfastError:
        return  # it may name any of them
    for item in list(litter(dataset, known, erasures)):
        if isinstance(item, Litter) and item.dead and item.place.kind == "data":
            dataset.store.delete(item.entry.path)
            message = f"removed, {item.entry.size} bytes of a writer that died"
            yield _info("litter", item.entry.path, message)


def _healed(
    dataset: Dataset, base: Stored[DatasetManifest], anchored: list[str]
) -> Iterator[Finding]:
    known = isinstance(dataset.chain.sink, NullSink)
    if known or base.path in anchored:
        message = "its writer died; it repeats the snapshot below"
        yield _info("healed", base.path, message)


def _complete(dataset: Dataset) -> Iterator[Finding]:
    """Copies of manifests, and block hashes, that are missing."""
    chain = dataset.chain
    seen: set[str] = set()
    for id in chain.ids():
        if is_expired(chain, id):
            continue
        try:
            stored = chain.load(id)
        except HoldfastError:
            continue  # `verify` names it
        for path in chain.form.copies(stored.manifest):
            if not chain.store.exists(path):
                put_copies(chain, [path], chain.store.get(stored.path))
                yield _info("missing_copy", path, "written now")
        for file in stored.manifest.files:
            if file.blocks_sha256 and file.path not in seen:
                seen.add(file.path)
                yield from _block_hashes(dataset, file.path, file.size_bytes, file.blocks_sha256)


def _block_hashes(dataset: Dataset, path: str, size: int, expected: str) -> Iterator[Finding]:
    store, side = dataset.store, sidecar_path(path)
    if store.exists(side):
        return
    with BlockHasher(()) as hasher:
        try:
            while piece := store.read_range(path, hasher.size, 8 << 20):
                hasher.update(piece)
        except NotFound:
            return
        if hasher.size != size or hasher.blocks_sha256 != expected:
            return  # `verify` says what is wrong with it
        data = hasher.sidecar()
    assert len(data) == block_count(size) * HASH
    store.put(side, data)
    yield _info("missing", side, "block hashes that were lost, written anew")


def _points_below(pointer: str | None, newest: str) -> bool:
    return pointer is None or not is_decimal(pointer) or order(pointer) < order(newest)


def _info(code: str, path: str, message: str) -> Finding:
    return Finding(Severity.INFO, code, path, message, MODEL)
