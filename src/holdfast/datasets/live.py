"""Which files of a dataset are needed, and what the others are (spec/datasets.md §9.1).

Needed is what the snapshots name that are kept: those that are not expired, the newest, the latest
and tagged ones. A file that nobody needs is told by its path; one whose path says nothing is
somebody else's, and never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from holdfast.datasets import erasures as erasure_files
from holdfast.datasets import tags as tag_files
from holdfast.datasets.expiry import is_expired, tombstones_of
from holdfast.datasets.form import MODEL
from holdfast.datasets.tags import read_tags
from holdfast.snapshotting.block_hashes import sidecar_path
from holdfast.snapshotting.form import COLLECTED, HEALED
from holdfast.snapshotting.snapshot_id import is_decimal

if TYPE_CHECKING:
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.erasures import Erasures
    from holdfast.datasets.manifest import DatasetManifest
    from holdfast.store.protocol import Entry

Kind = Literal["pointer", "manifest", "copy", "data", "tag", "erasure", "other"]


class Place(NamedTuple):
    """What a path under a dataset's folder says: what lies there, and of which snapshot."""

    kind: Kind
    snapshot: str = ""


@dataclass(slots=True)
class Holdings:
    """What a dataset holds.

    Attributes:
        ids: all that have a manifest, ascending.
        kept: those whose files stay.
        expired: those that are expired and not kept.
        superseded: marked ones that nothing needs, and that no tombstone lies on yet.
        needed: paths of the files that the kept ones name, of their manifests, copies and block
            hashes.
        parents: ids that a manifest names as its parent.
    """

    ids: list[str]
    kept: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)
    superseded: list[str] = field(default_factory=list)
    needed: set[str] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)


def place_of(dataset: Dataset, path: str) -> Place:
    """What lies at a path under the dataset's folder."""
    chain = dataset.chain
    folder = f"{chain.places.folder}/"
    if path == chain.places.pointer:
        return Place("pointer")
    manifest = dataset.layout.parse_manifest(path)
    if manifest is not None:
        return Place("copy" if manifest.partition else "manifest", manifest.snapshot)
    rest = path.removeprefix(folder).split("/")
    if len(rest) == 2 and rest[0] == tag_files.FOLDER and path.endswith(tag_files.EXTENSION):
        return Place("tag")
    if len(rest) == 2 and rest[0] == erasure_files.FOLDER and path.endswith(".json"):
        return Place("erasure")
    if len(rest) >= 3 and rest[-2] == "data" and _is_data(dataset, rest):
        return Place("data", rest[-3])
    return Place("other")


def _is_data(dataset: Dataset, rest: list[str]) -> bool:
    """Whether the parts below the dataset's folder are those of a data file."""
    name = dataset.layout.name
    if name == "flat":
        return len(rest) == 3
    if name == "default":
        return len(rest) == 4 and rest[0] == "snapshots"
    return len(rest) >= 6 and rest[0] == "partitions" and rest[-4] == "segments"


def holdings(dataset: Dataset, erasures: Erasures) -> Holdings:
    """Read every manifest and decide what is kept.

    Raises:
        HoldfastError: a manifest that is not expired cannot be read: it may name any file.
    """
    chain = dataset.chain
    newest = chain.newest()
    latest = chain.unmarked(newest)
    pinned = {tag.snapshot_id for tag in read_tags(dataset)}
    pinned |= {stored.id for stored in (newest, latest) if stored is not None}
    out = Holdings(chain.ids())
    can_expire = tombstones_of(chain) is not None
    marked: list[tuple[str, DatasetManifest]] = []
    for id in out.ids:
        if id in erasures.snapshots and id not in pinned:
            continue
        if id not in pinned and is_expired(chain, id):
            out.expired.add(id)
            continue
        manifest = chain.load(id).manifest
        out.parents.add(manifest.parent_snapshot_id)
        if manifest.mark in (HEALED, COLLECTED) and id not in pinned:
            marked.append((id, manifest))
            continue
        _keep(dataset, out, id, manifest)
    for id, manifest in marked:
        real = manifest.lineage.real if manifest.lineage is not None else ""
        if can_expire and real and real not in out.kept:
            out.superseded.append(id)
        else:
            _keep(dataset, out, id, manifest)
    return out


def take_new(dataset: Dataset, known: Holdings) -> None:
    """Keep what was committed since `known` was found out."""
    before = set(known.ids)
    for id in dataset.chain.ids():
        if id not in before:
            known.ids.append(id)
            _keep(dataset, known, id, dataset.chain.load(id).manifest)


def _keep(dataset: Dataset, out: Holdings, id: str, manifest: DatasetManifest) -> None:
    out.kept.add(id)
    out.parents.add(manifest.parent_snapshot_id)
    out.needed.add(dataset.chain.places.manifest(id))
    out.needed.update(dataset.chain.form.copies(manifest))
    out.needed.update(files_of(manifest))


def files_of(manifest: DatasetManifest) -> Iterator[str]:
    """Paths of a snapshot's data files and of their block hashes."""
    for file in manifest.files:
        yield file.path
        if file.blocks_sha256:
            yield sidecar_path(file.path)


class Litter(NamedTuple):
    """A file that nobody needs. `dead`: of a writer that died, not of a snapshot that was there."""

    entry: Entry
    place: Place
    dead: bool


def litter(
    dataset: Dataset, known: Holdings, erasures: Erasures, entries: Iterable[Entry] | None = None
) -> Iterator[Litter | Entry]:
    """The files under the dataset's folder that nobody needs; as an `Entry` those of which nobody
    knows what they are.

    What is left of a snapshot whose manifest is lost, though it was there, is not litter.
    """
    present = set(known.ids)
    lost: dict[str, bool] = {}
    listed = dataset.store.list(dataset.chain.places.folder) if entries is None else entries
    for entry in listed:
        if entry.path in known.needed:
            continue
        place = place_of(dataset, entry.path)
        if place.kind in ("pointer", "tag", "erasure"):
            continue
        if place.kind == "other":
            yield entry
            continue
        id = place.snapshot
        if id in known.kept:
            # It was made under this id, and its manifest does not name it: a dead writer's, whose
            # place was healed. Copies beside the partitions that it names are not ours.
            if place.kind == "data" and is_decimal(id):
                yield Litter(entry, place, dead=True)
            else:
                yield entry
            continue
        gone = id in known.expired or id in known.superseded or id in erasures.snapshots
        if gone or id in present:
            if gone:
                yield Litter(entry, place, dead=False)
            continue
        if id not in lost:
            lost[id] = _was_there(dataset, id, known)
        if lost[id]:
            continue
        if is_decimal(id):
            yield Litter(entry, place, dead=not is_expired(dataset.chain, id))
        else:
            yield entry


def _was_there(dataset: Dataset, id: str, known: Holdings) -> bool:
    """Whether a snapshot that has no manifest should have one."""
    chain = dataset.chain
    if is_expired(chain, id):
        return False
    return id in known.parents or chain.sink.find_commit(MODEL, dataset.id, id) is not None
