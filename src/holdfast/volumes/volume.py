"""A volume: a sparse byte space, written once, range by range (spec/datasets.md §8).

Blocks are staged, durable and invisible, and committed together; a snapshot holds all blocks that
were committed up to it. Nothing is ever filled with zeros.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from holdfast.clock import Clock, Ids
from holdfast.errors import NoSnapshots, NotFound, RangeMissing
from holdfast.snapshotting.block_hashes import sidecar_path
from holdfast.snapshotting.chain import DEAD_AFTER, Chain
from holdfast.snapshotting.commit import Committer
from holdfast.snapshotting.iteration import Iteration
from holdfast.snapshotting.lineage import Lineage, lineage_of
from holdfast.snapshotting.manifest_json import encode
from holdfast.volumes.blocks import Range, missing_ranges
from holdfast.volumes.checking import check_files, check_references
from holdfast.volumes.form import VolumeDraft, VolumeForm, VolumePlaces, check_volume_id
from holdfast.volumes.options import OnConflict, VolumeOptions, expected
from holdfast.volumes.reading import BlockReader
from holdfast.volumes.snapshot import VolumeMap, VolumeSnapshot, newest_at
from holdfast.volumes.staging import Stager

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.records import Checked, CommitSink, Finding, GcReport
    from holdfast.snapshotting.commit import Expected
    from holdfast.snapshotting.form import Stored
    from holdfast.snapshotting.verified_file import Verify, VerifyRanges
    from holdfast.store.protocol import Entry, Store
    from holdfast.volumes.manifest import BlockRef, VolumeManifest
    from holdfast.volumes.reading import VolumeFile
    from holdfast.volumes.transaction import VolumeTransaction

_KEPT_SNAPSHOTS = 4


class Volume:
    """The volume `id` in `store`. Safe to use from several threads and, on every store, from
    several processes at once; what was acknowledged is durable.

    Args:
        id: any name that can be a path component; in a repository 1 to 128 of ``[A-Za-z0-9._-]``.
        total_length: bytes of its address space; None: that of what is stored.
        checksum: digest of each block: ``"sha256"``, ``"md5"``, ``"blake2b-16"``, ``"none"``;
            None: that of what is stored, SHA-256 for a new volume.
        verify: ``"off"`` reads without checking digests; sizes are always checked.
        verify_ranges: see `holdfast.snapshotting.verified_file.VerifiedFile`.
        sink: who is told of commits; in a repository the ledger.
        dead_after: on stores without leases, the seconds after which a writer that stands between
            its two steps counts as dead.

    `close` it when something was staged and not committed.

    Raises:
        Invalid: a name that is none, or a length below 1.
        Unsupported: an unknown checksum.
    """

    def __init__(
        self,
        id: str,
        store: Store,
        total_length: int | None = None,
        checksum: str | None = None,
        *,
        verify: Verify = "on",
        verify_ranges: VerifyRanges = "whole",
        sink: CommitSink | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        author: str = "",
        read_only: bool = False,
        dead_after: float = DEAD_AFTER,
    ) -> None:
        self.id = check_volume_id(id)
        self.store = store
        self._options = VolumeOptions(id, total_length, checksum)
        self.places = VolumePlaces(id)
        self.chain: Chain[VolumeManifest] = Chain(
            store,
            self.places,
            VolumeForm(id, total_length or 0, self._options.checksum or ""),
            sink=sink,
            clock=clock,
            ids=ids,
            author=author,
            read_only=read_only,
            dead_after=dead_after,
        )
        self._reader = BlockReader(store, verify, verify_ranges)
        self._lock = threading.Lock()
        self._bound: OrderedDict[str, VolumeSnapshot] = OrderedDict()
        self._made: Stager | None = None
        self._newest: VolumeSnapshot | None = None  # of those that were seen

    # Writing

    def stage_write_at(self, offset: int, data: Buffer | Iterable[Buffer]) -> BlockRef:
        """Write a block at `offset`; durable on return, invisible until it is committed.

        Args:
            data: bytes, or an iterable of them for a block that memory should not hold.

        Raises:
            Invalid: no bytes, or bytes outside of the volume.
            OverlappingBlocks: this very block is committed already.
            Conflict: other bytes lie there, uncommitted, and somebody may still commit them.
            StorageFailure, NoSpace, Denied: nothing was acknowledged.
        """
        self.chain.check_writable()
        return self._stager().stage(offset, data)

    def commit(
        self,
        blocks: Iterable[BlockRef],
        metadata: Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
        inputs: Sequence[str] = (),
        run: str | None = None,
        parent: str | None = None,
        on_conflict: OnConflict = "retry",
    ) -> VolumeSnapshot:
        """Commit staged blocks on top of all that is committed. Durable on return.

        Args:
            blocks: what `stage_write_at` returned, here or in another process.
            metadata: JSON-like values, kept in the manifest of this snapshot.
            message: a line for people.
            inputs: what it was made from: ``commit:<logseq>``, ``asl1:…``, ``sha256:…``.
            run: the run that made it.
            parent: commit only on top of this snapshot.
            on_conflict: ``"raise"`` when somebody commits while this call runs; ``"retry"`` then
                commits on top of that.

        Raises:
            OverlappingBlocks: bytes that are committed already, or twice among `blocks`.
            Invalid: no blocks, or one that is not of this volume.
            NotFound, Integrity: a block's file is gone, or has another size.
            Conflict: it has other bytes: somebody staged them after this one was given up.
            SnapshotConflict: as `parent` and `on_conflict` say. Nothing is visible.
            StorageFailure, NoSpace, Denied: nothing was acknowledged.
        """
        lineage = lineage_of(message, inputs, run)
        return self.commit_blocks(
            blocks, metadata, lineage, expected(self.chain, parent, on_conflict)
        )

    def transaction(
        self,
        metadata: Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
        inputs: Sequence[str] = (),
        run: str | None = None,
        parent: str | None = None,
        on_conflict: OnConflict = "retry",
    ) -> VolumeTransaction:
        """Several blocks in one snapshot, staged from any number of threads::

            with volume.transaction() as tx:
                tx.stage_write_at(0, head)
                tx.stage_write_at(1 << 30, tail)
            print(tx.snapshot.id)

        An exception in the block leaves nothing visible. Arguments as `commit`.
        """
        from holdfast.volumes.transaction import VolumeTransaction

        self.chain.check_writable()
        encode(dict(metadata or {}), depth=1)
        lineage = lineage_of(message, inputs, run)
        return VolumeTransaction(self, metadata, lineage, expected(self.chain, parent, on_conflict))

    def commit_blocks(
        self,
        blocks: Iterable[BlockRef],
        metadata: Mapping[str, Any] | None,
        lineage: Lineage,
        parent: Expected | None,
    ) -> VolumeSnapshot:
        """As `commit`, which it is for; with the lineage and the expected parent made already."""
        self.chain.check_writable()
        encode(dict(metadata or {}), depth=1)
        stager = self._stager()
        new = check_references(blocks, self.places, stager.total_length, stager.checksum)
        draft = VolumeDraft(
            self.id, new, metadata or {}, total_length=stager.total_length,
            checksum=stager.checksum,
        )  # fmt: skip
        # Held to the end: a collection must not come between the look and the commit.
        with stager.using():
            for block in new:
                stager.check_age(block)
            check_files(new, self.store)
            for block in new:
                stager.check_bytes(block)
            stored = Committer(self.chain, draft, lineage=lineage, expected=parent).run()
            stager.forget(new)
        return self._snapshot_of(stored)

    def give_up(self, blocks: Iterable[BlockRef]) -> None:
        """These staged blocks will not be committed here: they may be collected."""
        if self._made is not None:
            self._made.forget(blocks)

    def close(self) -> None:
        """Give up what is staged and not committed; idempotent. The volume stays usable."""
        if self._made is not None:
            self._made.close()

    # Snapshots

    def latest(self) -> VolumeSnapshot:
        """The newest snapshot.

        Raises:
            NoSnapshots: nothing was committed yet.
            Invalid: the volume has another total length or checksum than it was opened with.
        """
        stored = self.chain.latest()
        if stored is None:
            raise NoSnapshots(
                "reading the latest snapshot of",
                f"volume {self.id}",
                found="it has none",
                hint="stage blocks and commit them",
            )
        self._newest = self._snapshot_of(stored)
        return self._newest

    def snapshot(self, id: str) -> VolumeSnapshot:
        """The snapshot with this id, marked ones too. Raises `NotFound`."""
        return self._snapshot_of(self.chain.load(id))

    def snapshots(self) -> Iteration[VolumeSnapshot]:
        """All snapshots, oldest first; those that healing marked are left out. Lists the store."""
        return Iteration(self._snapshots())

    def _snapshots(self) -> Iterator[VolumeSnapshot]:
        for id in self.chain.ids():
            stored = self.chain.load(id)
            if not stored.manifest.mark:
                yield self._snapshot_of(stored)

    def history(self) -> Iteration[VolumeSnapshot]:
        """The line of parents from the newest snapshot on, marked snapshots too."""
        return Iteration(self._snapshot_of(stored) for stored in self.chain.history())

    def at(self, what: VolumeSnapshot | str | datetime) -> VolumeSnapshot:
        """A snapshot; by id, or the newest one at a time (RFC 3339, or with a time zone).

        Raises:
            NotFound: no such snapshot, or none that early.
            Invalid: a time without a zone, or a text that is neither.
        """
        if isinstance(what, VolumeSnapshot):
            return what
        if isinstance(what, str):
            try:
                return self.snapshot(what)
            except NotFound:
                if "T" not in what:
                    raise
        return newest_at(self.history(), what)

    # Reading

    def read_at(
        self, offset: int, length: int, *, snapshot: VolumeSnapshot | str | None = None
    ) -> bytes:
        """`length` bytes from `offset` on, verified, of the latest snapshot or another one.

        Raises:
            RangeMissing: not all of them are committed; nothing is ever filled with zeros.
            Invalid: no bytes, or outside of the volume.
            Integrity: damaged.
        """
        known = self._newest
        if snapshot is None and known is not None:
            # Bytes are written once: where an older snapshot has them, the latest has the same.
            try:
                return known.read_at(offset, length)
            except RangeMissing:
                pass
        return self._chosen(snapshot).read_at(offset, length)

    def missing_ranges(
        self,
        offset: int = 0,
        length: int | None = None,
        *,
        snapshot: VolumeSnapshot | str | None = None,
    ) -> list[Range]:
        """What of a range (default: to the end) is not committed, as (offset, length). To resume:
        stage these, and commit."""
        try:
            return self._chosen(snapshot).missing_ranges(offset, length)
        except NoSnapshots:
            return missing_ranges((), self.total_length, offset, length)

    def open(self, *, snapshot: VolumeSnapshot | str | None = None) -> VolumeFile:
        """The volume as a seekable file for reading; it stays with one snapshot."""
        return self._chosen(snapshot).open()

    def map(self, *, snapshot: VolumeSnapshot | str | None = None) -> VolumeMap:
        """What is committed."""
        try:
            return self._chosen(snapshot).map()
        except NoSnapshots:
            return VolumeMap(self.total_length, ())

    @property
    def total_length(self) -> int:
        """Bytes of the address space. Raises `Invalid` where neither caller nor store says."""
        return self._options.resolve(self.chain)[0]

    @property
    def checksum(self) -> str:
        """Algorithm of the blocks' checksums, "" for none."""
        return self._options.resolve(self.chain)[1]

    # Looking after it (records.Maintainable)

    def verify(self, *, deep: bool = True) -> Iterator[Finding | Checked]:
        """Check everything; `deep` reads every byte, else structure and sizes."""
        from holdfast.volumes import maintenance

        return maintenance.verify(self, deep=deep)

    def repair(self) -> Iterator[Finding]:
        """Mend what can be mended without loss."""
        from holdfast.volumes import maintenance

        return maintenance.repair(self)

    def orphans(self) -> Iterator[Entry]:
        """Files of blocks that no snapshot names, staged ones too."""
        from holdfast.volumes import maintenance

        return maintenance.orphans(self)

    def collect(self, *, dry_run: bool = False) -> GcReport:
        """Remove blocks that were staged and never committed, unless somebody is staging."""
        from holdfast.volumes import maintenance

        return maintenance.collect(self, dry_run=dry_run)

    # Within

    def _chosen(self, snapshot: VolumeSnapshot | str | None) -> VolumeSnapshot:
        if snapshot is None:
            return self.latest()
        return snapshot if isinstance(snapshot, VolumeSnapshot) else self.snapshot(snapshot)

    def _snapshot_of(self, stored: Stored[VolumeManifest]) -> VolumeSnapshot:
        """The snapshot, with its index where it was made before."""
        with self._lock:
            bound = self._bound.get(stored.id)
            if bound is None or bound.manifest is not stored.manifest:
                self._options.check_like(stored.manifest)
                bound = self._bound[stored.id] = VolumeSnapshot(self.id, stored, self._reader)
                while len(self._bound) > _KEPT_SNAPSHOTS:
                    self._bound.popitem(last=False)
            self._bound.move_to_end(stored.id)
            return bound

    def _stager(self) -> Stager:
        with self._lock:
            if self._made is None:
                total_length, checksum = self._options.resolve(self.chain)
                self._made = Stager(
                    self.store,
                    self.places,
                    self.chain.clock,
                    total_length=total_length,
                    checksum=checksum,
                    is_committed=self._is_committed,
                )
            return self._made

    def _is_committed(self, offset: int, path: str) -> bool:
        """Whether the newest manifest has the file at `path` for its block at `offset`, or that
        block's sidecar."""
        stored = self.chain.newest()
        if stored is None:
            return False
        block = self._snapshot_of(stored).index.at(offset)
        return block is not None and path in (block.path, sidecar_path(block.path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return f"volume {self.id}"

    def __repr__(self) -> str:
        return f"Volume({self.id!r}, {self.store.url!r})"
