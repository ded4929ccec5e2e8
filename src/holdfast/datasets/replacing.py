"""The snapshots that stand in for those of which rows are erased; see `erase`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from holdfast.clock import rfc3339
from holdfast.datasets.collect import CopyDraft
from holdfast.datasets.draft import Components, DatasetDraft
from holdfast.datasets.erasures import (
    ErasedFile,
    ErasedSnapshot,
    Erasure,
    Erasures,
    erasure_path,
    read_erasures,
)
from holdfast.datasets.live import holdings, place_of
from holdfast.datasets.matching import Matcher, Rewritten
from holdfast.datasets.snapshot import DatasetSnapshot
from holdfast.datasets.timestamps import TimeRange
from holdfast.errors import Conflict, Integrity, Invalid
from holdfast.snapshotting.block_hashes import HASH, block_count, sidecar_path
from holdfast.snapshotting.commit import Committer
from holdfast.snapshotting.form import REPLACEMENT
from holdfast.snapshotting.lineage import Lineage

if TYPE_CHECKING:
    import pyarrow.compute as pc

    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.manifest import DatasetManifest, FileRef
    from holdfast.datasets.output import Part
    from holdfast.snapshotting.form import Stored
    from holdfast.store.protocol import Staged

_ROUNDS = 100


class Eraser:
    """Commits the replacements of all snapshots that name files with rows which match.

    Once the latest snapshot is replaced, whatever is committed on top of it names none of these
    files; what was committed before that is looked at until nothing is left.
    """

    def __init__(
        self, dataset: Dataset, where: pc.Expression | Callable[[Any], bool], reason: str
    ) -> None:
        self._dataset = dataset
        self._chain = dataset.chain
        self._reason = reason
        self._matcher = Matcher(dataset, where)
        self._files: dict[str, Rewritten | None] = {}
        self._placed: dict[str, FileRef] = {}
        self._gone: dict[str, ErasedFile] = {}
        self._replaced: dict[str, str] = {}
        self._hit: dict[str, Stored[DatasetManifest]] = {}

    def run(self) -> Erasure | None:
        """Commit the replacements and write the record; None: no row matches.

        Raises:
            Conflict: other writers were faster again and again. What was committed of the
                replacements stays, and is used when it is tried again.
        """
        for number in range(_ROUNDS):
            if not self._round(grow=number == 0):
                break
        else:
            raise Conflict("erasing rows of", f"dataset {self._dataset.id}")
        if not self._hit and self._matcher.missing:
            raise Invalid(
                "erasing rows of",
                f"dataset {self._dataset.id}",
                found=f"no file has the column {', '.join(sorted(self._matcher.missing))}",
            )
        return self._record() if self._hit else None

    def close(self) -> None:
        """Drop what was not published."""
        for file in self._files.values():
            if file is not None and file.part is not None:
                file.part.close()

    def _round(self, *, grow: bool) -> bool:
        """Look at every kept snapshot, and replace those that name such files, the latest one last;
        whether something was committed, so that it has to be looked again.

        `grow`: files that were not looked at yet are; later on, what others write while this runs
        is newer than the erasure.
        """
        dataset, chain = self._dataset, self._chain
        newest = chain.newest()
        erasures = read_erasures(dataset.store, chain.places.folder)
        known = holdings(dataset, erasures)
        latest = chain.unmarked(newest)
        if newest is None or latest is None:
            return False
        self._adopt(known.kept, erasures)
        found = [chain.load(id) for id in sorted(known.kept, key=erasures.position)]
        hit = [stored for stored in found if self._touches(stored, grow=grow)]
        fresh = False
        for stored in hit:
            if stored.manifest.mark not in ("", REPLACEMENT):
                self._hit[stored.id] = stored  # it repeats one that is replaced
            elif stored.id in self._replaced:
                self._hit[stored.id] = stored
            elif stored.id != latest.id:
                self._commit(ReplacementDraft(self, stored))
                fresh = True
        newest = chain.newest()
        touched = self._touches(latest, grow=grow) and latest.id not in self._replaced
        if touched or (newest is not None and newest.manifest.mark == REPLACEMENT):
            # Whoever takes the newest manifest for the latest content finds it there.
            self._commit(ReplacementDraft(self, None))
            fresh = True
        return fresh

    def _adopt(self, kept: set[str], erasures: Erasures) -> None:
        """Take over replacements that an erasure committed which was cut off before its record."""
        for id in kept:
            lineage = self._chain.load(id).manifest.lineage
            if lineage is not None and lineage.replaces and id not in erasures.originals:
                self._replaced.setdefault(lineage.replaces, id)

    def _touches(self, stored: Stored[DatasetManifest], *, grow: bool = True) -> bool:
        """Whether a snapshot names a file with rows that match; all its files are looked at."""
        snapshot = DatasetSnapshot(self._dataset, stored)
        found = False
        for file in stored.manifest.files:
            if file.path not in self._files and grow:
                self._files[file.path] = self._matcher.rewrite(snapshot, file)
                if self._files[file.path] is not None:
                    self._goes(file, stored.manifest.checksum_algorithm)
            found = found or self._files.get(file.path) is not None
        return found

    def _goes(self, file: FileRef, algorithm: str) -> None:
        checksum = f"{algorithm}:{file.checksum}" if file.checksum else ""
        self._gone[file.path] = ErasedFile(file.path, file.size_bytes, checksum)
        if file.blocks_sha256:
            side = sidecar_path(file.path)
            size = block_count(file.size_bytes) * HASH
            self._gone[side] = ErasedFile(side, size, f"sha256:{file.blocks_sha256}")

    def _commit(self, draft: ReplacementDraft) -> None:
        stored = Committer(self._chain, draft, lineage=Lineage(message=self._reason)).run()
        if draft.original is not None:
            self._placed.update(draft.placed(stored.id))
            self._replaced[draft.original.id] = stored.id

    # What the drafts ask

    @property
    def dataset(self) -> Dataset:
        return self._dataset

    def content(self, base: Stored[DatasetManifest] | None) -> Stored[DatasetManifest] | None:
        """The latest snapshot, where `base` is the newest."""
        return self._chain.unmarked(base)

    def needs_replacing(self, latest: Stored[DatasetManifest]) -> bool:
        """Whether the latest snapshot names a file with rows that match."""
        return self._touches(latest)

    def left(self, original: DatasetManifest) -> tuple[list[FileRef], list[tuple[str, Part]], int]:
        """What is left of a snapshot: files that are there, those to be published (with the paths
        of what they stand for), and the number of its rows."""
        there: list[FileRef] = []
        fresh: list[tuple[str, Part]] = []
        rows = original.row_count
        for file in original.files:
            rewritten = self._files.get(file.path)
            if rewritten is None:
                there.append(file)
                continue
            rows -= rewritten.erased
            if file.path in self._placed:
                there.append(self._placed[file.path])
            elif rewritten.part is not None:
                fresh.append((file.path, rewritten.part))
        return there, fresh, rows

    def _record(self) -> Erasure:
        """Write the record, durable, before anything is deleted."""
        dataset, chain = self._dataset, self._chain
        manifests: list[ErasedFile] = []
        for stored in self._hit.values():
            checksum = f"sha256:{stored.sha256}"
            for path in (*chain.form.copies(stored.manifest), stored.path):
                manifests.append(ErasedFile(path, stored.size, checksum))
        files = (*manifests, *self._gone.values())
        check_paths(dataset, files)
        now = chain.clock.now_ns()
        record = Erasure(
            id=f"{now}-{chain.new_ids.token(16)}",
            dataset=dataset.id,
            reason=self._reason,
            author=chain.author or "unknown",
            time=rfc3339(now),
            rows=sum(f.erased for f in self._files.values() if f is not None),
            snapshots=tuple(
                ErasedSnapshot(
                    id,
                    self._created_at(stored),
                    stored.manifest.parent_snapshot_id,
                    stored.sha256,
                    self._instead(stored),
                )
                for id, stored in self._hit.items()
            ),
            files=files,
        )
        dataset.store.put(erasure_path(chain.places.folder, record.id), record.to_bytes())
        return record

    def _instead(self, stored: Stored[DatasetManifest]) -> str:
        """Id of what stands in for a snapshot; for a marked one that of what it repeated."""
        lineage = stored.manifest.lineage
        if stored.manifest.mark in ("", REPLACEMENT):
            return self._replaced[stored.id]
        return self._replaced.get("" if lineage is None else lineage.real, "")

    def _created_at(self, stored: Stored[DatasetManifest]) -> str:
        """When the content was committed: of a replacement, when its original was."""
        erasures = read_erasures(self._dataset.store, self._chain.places.folder)
        original = erasures.original(stored.id)
        known = erasures.snapshots.get(original)
        return stored.manifest.created_at if known is None else known.created_at


class ReplacementDraft:
    """A snapshot that holds what is left of another one.

    Args:
        original: that one, marked then; None: whichever is the latest when it is committed (one
            that names no such file is repeated).
    """

    def __init__(self, eraser: Eraser, original: Stored[DatasetManifest] | None) -> None:
        self._eraser = eraser
        self._chosen = original
        self.original = original
        self._draft: DatasetDraft | None = None
        self._fresh: list[str] = []

    def paths(self, id: str) -> Sequence[str]:
        return () if self._draft is None else self._draft.paths(id)

    def publish(self, id: str, along: Sequence[Staged] = ()) -> None:
        if self._draft is None:
            self._eraser.dataset.store.publish_many((), along=along)
        else:
            self._draft.publish(id, along)

    def placed(self, id: str) -> Iterator[tuple[str, FileRef]]:
        """For each file that was published: the path of what it stands for, and its entry."""
        if self._draft is not None:
            yield from zip(self._fresh, self._draft.references(id), strict=True)

    def manifest(
        self, id: str, base: Stored[DatasetManifest] | None, created_at: str, lineage: Lineage
    ) -> DatasetManifest:
        eraser = self._eraser
        latest = eraser.content(base)
        self.original = self._chosen
        if self._chosen is None and latest is not None and eraser.needs_replacing(latest):
            self.original = latest
        if self.original is None:
            self._draft = None
            copy = CopyDraft(eraser.dataset)
            return copy.manifest(id, base, created_at, lineage)
        original = self.original.manifest
        files, fresh, rows = eraser.left(original)
        self._fresh = [path for path, _ in fresh]
        self._draft = _draft_of(eraser.dataset, original, [part for _, part in fresh])
        made = self._draft.manifest(id, base, created_at, lineage)
        was = original.lineage or Lineage()
        marked = self._chosen is not None
        return replace(
            made,
            files=tuple(sorted((*made.files, *files), key=lambda f: f.path.encode())),
            row_count=rows,
            # The times of rows that are erased must not stay, and those of the others are not
            # stored: there are none.
            min_timestamp="",
            max_timestamp="",
            mark=REPLACEMENT if marked else "",
            lineage=replace(
                lineage,
                run=was.run,
                inputs=was.inputs,
                real=latest.id if marked and latest is not None else "",
                replaces=self.original.id,
            ),
        )


def _draft_of(dataset: Dataset, like: DatasetManifest, parts: list[Part]) -> DatasetDraft:
    components = Components(
        codec=like.codec,
        compressor=like.compressor,
        partitioner=like.partitioner,
        checksum=like.checksum_algorithm,
    )
    return DatasetDraft(
        dataset.store, dataset.layout, dataset.id, components, like.metadata, parts, TimeRange()
    )


def check_paths(dataset: Dataset, files: Sequence[ErasedFile]) -> None:
    """See that nothing but files of snapshots is named: a record is obeyed, whoever wrote it."""
    for file in files:
        if place_of(dataset, file.path).kind not in ("manifest", "copy", "data"):
            raise Integrity(
                "erasing",
                file.path,
                found=f"a path that is of no snapshot of dataset {dataset.id}",
            )
