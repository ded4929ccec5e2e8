"""Staging blocks: durable files that no manifest names yet (spec/datasets.md §8).

A block's file has its final name at once, so that a later process finds what an earlier one left.
Whoever has uncommitted blocks holds the lease of the stagers shared; under the exclusive one
nobody has, and what is left over may be removed.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.digests import sha256_hex
from holdfast.errors import Busy, Conflict, Invalid, NotFound, OverlappingBlocks, PathExists
from holdfast.snapshotting.block_hashes import BlockHasher, has_sidecar, sidecar_path
from holdfast.store.durable import close_quietly, open_file, sync_folder, typed
from holdfast.store.filesystem import FileSystemStore
from holdfast.volumes.blocks import Range, check_range, outside, whole
from holdfast.volumes.manifest import BlockRef

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.clock import Clock
    from holdfast.leases import Lease
    from holdfast.store.protocol import Staged, Store
    from holdfast.volumes.form import VolumePlaces

COMMIT_WITHIN = 86_400.0
"""Seconds after which a block may be collected where there are no leases: no writer commits it."""

_PIECE = 8 << 20


class Stager:
    """Stages the blocks of one volume; used from several threads.

    Args:
        total_length: of the volume, bytes.
        checksum: digest that block references bear, "" for none.
        is_committed: whether the newest manifest has a block at an offset with the file at a
            path, or with its sidecar there.
    """

    def __init__(
        self,
        store: Store,
        places: VolumePlaces,
        clock: Clock,
        *,
        total_length: int,
        checksum: str,
        is_committed: Callable[[int, str], bool],
    ) -> None:
        self._store = store
        self._places = places
        self._clock = clock
        self.total_length = total_length
        self.checksum = checksum
        self._is_committed = is_committed
        self._changed = threading.Condition()
        self._active = 0
        self._is_alone = False
        self._release: weakref.finalize[[], Stager] | None = None
        self._lease: Lease | None = None
        self._waiting: dict[str, float] = {}
        self._unsure: set[str] = set()  # of those, what waited without the lease for a moment

    def stage(self, offset: int, data: Buffer | Iterable[Buffer]) -> BlockRef:
        """Write a block, durable on return.

        Raises:
            Invalid: no bytes, or outside of the volume.
            OverlappingBlocks: the block is committed already.
            Conflict: other bytes lie there, uncommitted, and somebody may still commit them.
        """
        with self.using():
            ref = self._staged(offset, data)
            with self._changed:
                self._waiting[ref.path] = self._clock.monotonic()
                self._unsure.discard(ref.path)
            return ref

    def check_age(self, block: BlockRef) -> None:
        """Raises `Conflict` for a block that was staged too long ago to be committed."""
        since = self._waiting.get(block.path)
        if self._store.leases is not None or since is None:
            return
        age = self._clock.monotonic() - since
        if age > COMMIT_WITHIN:
            raise Conflict(
                "committing the block",
                block.path,
                found=f"staged {age:.0f} s ago; it may be collected",
                expected=f"within {COMMIT_WITHIN:.0f} s",
                hint="stage it again",
            )

    def check_bytes(self, block: BlockRef) -> None:
        """Read a block again that the lease did not guard all the time, because it was staged
        elsewhere or given up: another stager may have put other bytes of this length there.

        Raises:
            Conflict: somebody did.
            NotFound: it is gone.
        """
        path = block.path
        guarded = path in self._waiting and path not in self._unsure
        if guarded or self._store.leases is None or not block.checksum:
            return  # without leases nobody replaces a file
        hasher = self._hashed(path, self._extra())
        if (hasher.size, hasher.checksum(self.checksum).hex) != (block.length, block.checksum):
            raise self._conflict(path, "committing the block")

    def forget(self, blocks: Iterable[BlockRef]) -> None:
        """These blocks need the lease no more: they are committed, or given up."""
        with self._changed:
            for block in blocks:
                self._waiting.pop(block.path, None)
                self._unsure.discard(block.path)
            self._let_go()

    @contextmanager
    def using(self) -> Iterator[None]:
        """Hold the lease of the stagers, shared."""
        with self._changed:
            # A thread may hold it exclusively for a moment.
            self._changed.wait_for(lambda: not self._is_alone)
            self._take()
            self._active += 1
        try:
            yield
        finally:
            with self._changed:
                self._active -= 1
                self._let_go()
                self._changed.notify_all()

    def close(self) -> None:
        """Give up what is staged and not committed: it stays, until somebody collects it."""
        with self._changed:
            self._waiting.clear()
            self._unsure.clear()
            self._let_go()

    # Writing

    def _staged(self, offset: int, data: Buffer | Iterable[Buffer]) -> BlockRef:
        offset = whole(offset, "staging")
        check_range(offset, 1, self.total_length, "staging")
        with (
            self._store.stage(self._places.data) as staged,
            BlockHasher(("sha256", *self._extra())) as hasher,
        ):
            for piece in _pieces(data):
                length = hasher.size + _bytes_of(piece)
                if offset + length > self.total_length:
                    raise outside(Range(offset, length), self.total_length)
                staged.write(piece)
                hasher.update(piece)
            check_range(offset, hasher.size, self.total_length, "staging")
            staged.prepare()
            ref = self._reference(offset, hasher)
            self._publish(staged, ref, hasher)
            return ref

    def _extra(self) -> tuple[str, ...]:
        return (self.checksum,) if self.checksum not in ("", "sha256") else ()

    def _reference(self, offset: int, hasher: BlockHasher) -> BlockRef:
        return BlockRef(
            offset=offset,
            length=hasher.size,
            path=self._places.block(offset, hasher.size),
            checksum=hasher.checksum(self.checksum).hex if self.checksum else "",
            blocks_sha256=hasher.blocks_sha256,
        )

    def _publish(self, staged: Staged, ref: BlockRef, hasher: BlockHasher) -> None:
        sidecar = hasher.sidecar() if has_sidecar(ref.length) else None
        if self._store.leases is None:
            self._settle_and(lambda: staged.publish(ref.path), ref, hasher.sha256_hex)
        elif not self._store.exists(ref.path) or not self._adopt(ref, ref.path, hasher.sha256_hex):
            # What is published is gone with the error: look first.
            self._clear(ref, ref.path)
            self._settle_and(lambda: staged.publish(ref.path), ref, hasher.sha256_hex)
        if sidecar is not None:
            path = sidecar_path(ref.path)
            try:
                self._store.put(path, sidecar)
            except PathExists:
                if not self._adopt(ref, path, sha256_hex(sidecar)):
                    self._clear(ref, path)
                    self._store.put(path, sidecar)

    def _settle_and(self, publish: Callable[[], None], ref: BlockRef, sha256: str) -> None:
        try:
            publish()
        except PathExists:
            if not self._adopt(ref, ref.path, sha256):
                raise self._conflict(ref.path) from None

    def _adopt(self, ref: BlockRef, path: str, sha256: str) -> bool:
        """Whether these bytes lie at `path` already; they are durable then."""
        if self._is_committed(ref.offset, path):
            raise OverlappingBlocks(
                "staging the block",
                path,
                found="a block that is committed already",
                hint="bytes of a volume are written once; `missing_ranges` names what is free",
            )
        try:
            if self._hashed(path).sha256_hex != sha256:
                return False
            self._make_durable(path)
        except NotFound:
            return False
        return True

    def _hashed(self, path: str, more: tuple[str, ...] = ()) -> BlockHasher:
        """What lies at `path`, with the digests of `more` algorithms beside SHA-256."""
        hasher = BlockHasher(("sha256", *more))
        while piece := self._store.read_range(path, hasher.size, _PIECE):
            hasher.update(piece)
        return hasher

    def _make_durable(self, path: str) -> None:
        """Sync a file that somebody else wrote: it may have died before its own sync."""
        store = self._store
        if not isinstance(store, FileSystemStore):
            return
        full = f"{store.root.rstrip('/')}/{path}"
        fd, _ = open_file(store.calls, full)
        try:
            with typed("syncing", full):
                store.calls.fsync(fd)
        finally:
            close_quietly(store.calls, fd)
        folder = os.path.dirname(full)
        store.folders.ensure(folder)
        sync_folder(store.calls, folder)

    def _clear(self, ref: BlockRef, path: str) -> None:
        """Remove what lies at `path`, which nobody can commit any more. Raises `Conflict`."""
        if not self._store.exists(path):
            return
        leases = self._store.leases
        if leases is None:
            raise self._conflict(path)
        try:
            with self._alone(), leases.acquire(self._places.stagers, timeout=0):
                self._see_waiting()
                if path in self._waiting:  # whoever staged it here may commit it still
                    raise self._conflict(path)
                if self._is_committed(ref.offset, path):
                    raise self._conflict(path)
                self._store.delete(path)
                if path == ref.path:
                    self._store.delete(sidecar_path(path))
        except Busy:
            raise self._conflict(path) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let the lease go, with no other thread at work here; then take it again."""
        with self._changed:
            # Not counted while it waits: two threads that want this must not wait for each other.
            self._active -= 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: self._active == 0 and not self._is_alone)
            except BaseException:  # Ctrl-C: whoever counted it counts it out again
                self._active += 1
                raise
            self._is_alone = True
            self._unsure.update(self._waiting)
            self._drop()
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._active += 1
                self._changed.notify_all()
                self._take()

    def _see_waiting(self) -> None:
        """What was staged here was without its lease for a moment: see that it is there still."""
        gone = [path for path in self._waiting if not self._store.exists(path)]
        for path in gone:
            self._waiting.pop(path)
        if gone:
            raise Conflict(
                "staging into",
                f"volume {self._places.name}",
                found=f"a collection removed {gone[0]}",
                hint="stage it again",
            )

    def _conflict(self, path: str, doing: str = "staging the block") -> Conflict:
        return Conflict(
            doing,
            path,
            found="other bytes, which somebody staged and did not commit",
            hint="commit those, or let `gc` remove them once nobody stages into this volume",
        )

    # The lease; all under the lock

    def _take(self) -> None:
        lease = self._lease
        if self._store.leases is None or (lease is not None and lease.held):
            return
        lease = self._store.leases.acquire(self._places.stagers, exclusive=False)
        self._lease = lease
        # A volume that is dropped without `close` must not hold up collections for ever.
        self._release = weakref.finalize(self, lease.close)

    def _let_go(self) -> None:
        if self._active == 0 and not self._waiting:
            self._drop()

    def _drop(self) -> None:
        release, self._release, self._lease = self._release, None, None
        if release is not None:
            release()


def _pieces(data: Buffer | Iterable[Buffer]) -> Iterable[Buffer]:
    try:
        memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        if isinstance(data, str) or not isinstance(data, Iterable):
            raise Invalid(
                "staging", type(data).__name__, expected="bytes, or an iterable of bytes"
            ) from None
        return data
    return (data,)  # type: ignore[return-value]


def _bytes_of(piece: Buffer) -> int:
    try:
        return memoryview(piece).nbytes
    except TypeError:
        raise Invalid(
            "staging", type(piece).__name__, expected="bytes, or an iterable of bytes"
        ) from None
