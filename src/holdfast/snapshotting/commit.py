"""Committing a snapshot, linear under any number of writers (spec/datasets.md §9.1).

Files are staged and durable under the new id → the pointer is swapped to it → the manifest
appears → the ledger is told. Only then the commit is acknowledged. A writer that dies on the way
leaves a pointer without manifest, which the next writer heals.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Generic

from holdfast.digests import sha256_hex
from holdfast.errors import Conflict, HoldfastError, NotFound, PathExists, SnapshotConflict
from holdfast.snapshotting.anchor import anchor, anchor_missing
from holdfast.snapshotting.form import Draft, M, Stored
from holdfast.snapshotting.healing import base_of, settled_base
from holdfast.snapshotting.lineage import Lineage
from holdfast.snapshotting.pointer import Pointer
from holdfast.snapshotting.rfc3339 import rfc3339_go
from holdfast.snapshotting.snapshot_id import next_id

if TYPE_CHECKING:
    from holdfast.snapshotting.chain import Chain

MOST_TRIES = 1000
"""Overtaken so often, a writer gives up."""

_LONGEST_PAUSE = 0.25
_AT_ONCE = 128
"""Copies of a manifest that are staged, and so held open, at once."""


class Expected:
    """What the newest snapshot has to be: the one with `id` (None: there is none yet)."""

    __slots__ = ("id",)

    def __init__(self, id: str | None) -> None:
        self.id = id


class _Overtaken(Exception):
    """Another writer was faster: begin again on the new state."""


class Committer(Generic[M]):
    """One commit to a chain.

    Args:
        expected: raise `SnapshotConflict` when the newest snapshot is another; None: commit on
            whatever is the newest.
        lineage: author, message, run and inputs; the nonce is added here.
    """

    def __init__(
        self,
        chain: Chain[M],
        draft: Draft[M],
        *,
        lineage: Lineage,
        expected: Expected | None = None,
    ) -> None:
        self._chain = chain
        self._draft = draft
        self._expected = expected
        self._lineage = lineage

    def run(self) -> Stored[M]:
        """Commit; the snapshot that is there then, durable.

        Raises:
            SnapshotConflict: the newest snapshot is not the expected one; nothing is visible.
            StorageFailure, NoSpace, Denied: nothing was acknowledged.
        """
        self._chain.check_writable()
        if self._chain.store.leases is not None:
            with self._chain.lease():
                return self._under_lease()
        return self._without_lease()

    def _under_lease(self) -> Stored[M]:
        chain = self._chain
        pointer = chain.pointer()
        base = base_of(chain, pointer)
        self._check(base)
        position = chain.sink.position()
        anchor_missing(chain, base)
        self._finish_copies(base)
        id = next_id(chain.clock.now_ns(), None if base is None else base.id, chain.new_ids)
        stored, data = self._manifest(id, base)
        # The manifest is durable before the pointer moves: a full disk must not leave the next
        # writer something to heal. Both wait for the syncs that the files need.
        with (
            chain.store.stage(chain.places.folder) as staged,
            chain.store.stage(chain.places.folder) as moved,
        ):
            staged.write(data)
            moved.write(id.encode())
            try:
                self._draft.publish(id, along=(staged, moved))
                # Where there was nothing to publish:
                chain.store.publish_many((), along=(staged, moved))
                chain.store.swap_staged(chain.places.pointer, pointer.data, moved)
            except PathExists:
                raise  # what is there may be another's
            except BaseException:
                self._drop(self._draft.paths(id))
                raise
            staged.publish(stored.path)
        self._put_copies(stored, data)
        anchor(chain, stored, since=position)
        chain.keep(stored)
        return stored

    def _without_lease(self) -> Stored[M]:
        chain = self._chain
        for attempt in range(MOST_TRIES):
            pointer, base = settled_base(chain)
            self._check(base)
            position = chain.sink.position()
            anchor_missing(chain, base)
            self._finish_copies(base)
            try:
                stored, data = self._attempt(pointer, base)
            except _Overtaken:
                pause = min(_LONGEST_PAUSE, 0.002 * 2 ** min(attempt, 7))
                chain.sleep(pause * (chain.new_ids.u64() % 1000) / 1000)
                continue
            self._put_copies(stored, data)
            anchor(chain, stored, since=position)
            chain.keep(stored)
            return stored
        raise SnapshotConflict(
            "committing to",
            f"{chain.places.model} {chain.places.name}",
            found=f"another writer was faster {MOST_TRIES} times",
        )

    def _attempt(self, pointer: Pointer, base: Stored[M] | None) -> tuple[Stored[M], bytes]:
        """One try where there are no leases. Each try has an id of its own: what an earlier one
        published may be judged as litter by a collection."""
        chain = self._chain
        id = next_id(chain.clock.now_ns(), None if base is None else base.id, chain.new_ids)
        stored, data = self._manifest(id, base)
        try:
            self._draft.publish(id)
        except PathExists:
            raise _Overtaken from None  # two writers took the same id
        try:
            chain.store.compare_and_swap(chain.places.pointer, pointer.data, id.encode())
        except HoldfastError as error:
            # The reply may be lost: a pointer that reads our id settles it.
            if chain.pointer().id != id:
                self._drop(self._draft.paths(id))
                if isinstance(error, Conflict):
                    raise _Overtaken from None
                raise
        try:
            chain.store.put(stored.path, data)
        except PathExists:
            if chain.store.get(stored.path) != data:
                # We were slow: somebody took us for dead and healed the gap.
                self._drop(self._draft.paths(id))
                raise _Overtaken from None
        return stored, data

    def _check(self, base: Stored[M] | None) -> None:
        if self._expected is None:
            return
        real = self._chain.unmarked(base)
        found = None if real is None else real.id
        if found != self._expected.id:
            raise SnapshotConflict(
                "committing to",
                f"{self._chain.places.model} {self._chain.places.name}",
                found=f"the newest snapshot is {found or 'not there'}",
                expected=self._expected.id or "none",
            )

    def _manifest(self, id: str, base: Stored[M] | None) -> tuple[Stored[M], bytes]:
        chain = self._chain
        created_at = rfc3339_go(chain.clock.now_ns())
        lineage = Lineage(
            author=self._lineage.author or chain.author,
            message=self._lineage.message,
            run=self._lineage.run,
            inputs=self._lineage.inputs,
            nonce=chain.new_ids.token(16),
            real=self._lineage.real,
        )
        manifest = self._draft.manifest(id, base, created_at, lineage)
        data = chain.form.encode(manifest)
        path = chain.places.manifest(id)
        return Stored(id, manifest, path, len(data), sha256_hex(data)), data

    def _put_copies(self, stored: Stored[M], data: bytes) -> None:
        paths = self._chain.form.copies(stored.manifest)
        if paths:
            put_copies(self._chain, paths, data)
        self._chain.complete = stored.id

    def _finish_copies(self, base: Stored[M] | None) -> None:
        """Add the copies of the newest manifest that a dead writer did not come to."""
        if base is None or base.id == self._chain.complete:
            return
        paths = self._chain.form.copies(base.manifest)
        missing = [path for path in paths if not self._chain.store.exists(path)]
        if missing:
            put_copies(self._chain, missing, self._chain.store.get(base.path))

    def _drop(self, paths: Sequence[str]) -> None:
        """Remove files that no manifest can name any more."""
        for path in paths:
            with suppress(HoldfastError):
                self._chain.store.delete(path)


def put_copies(chain: Chain[M], paths: Sequence[str], data: bytes) -> None:
    """Put identical copies of a manifest, each whole or absent, durable on return."""
    missing = list(paths)
    while missing:
        together, missing = missing[:_AT_ONCE], missing[_AT_ONCE:]
        try:
            _put_together(chain, together, data)
        except PathExists:
            left = [path for path in together if not _same(chain, path, data)]
            if len(left) == len(together):
                raise
            missing[:0] = left


def _put_together(chain: Chain[M], paths: Sequence[str], data: bytes) -> None:
    with ExitStack() as stack:
        items = []
        for path in paths:
            staged = stack.enter_context(chain.store.stage(chain.places.folder))
            staged.write(data)
            items.append((staged, path))
        chain.store.publish_many(items, whole=True)


def _same(chain: Chain[M], path: str, data: bytes) -> bool:
    try:
        return chain.store.get(path) == data
    except NotFound:
        return False
