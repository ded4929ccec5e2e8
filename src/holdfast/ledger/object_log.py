"""The log on an object store (spec/ledger.md §2, "Object store").

One create-only put per batch; its name, the first logseq, is the compare-and-swap: two writers
cannot both take a logseq.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from holdfast.errors import (
    Conflict,
    Denied,
    HoldfastError,
    Integrity,
    Invalid,
    PathExists,
    StorageFailure,
)
from holdfast.ledger.log import Entry, Head, Record
from holdfast.ledger.log_export import export_records
from holdfast.ledger.log_writer import check_batches
from holdfast.ledger.object_names import Hint, sidecar_name, single_name
from holdfast.ledger.object_reader import ObjectReader
from holdfast.ledger.record import LOG_HEADER, chain_records
from holdfast.ledger.sidecar import encode_frames

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from holdfast.clock import Ids
    from holdfast.ledger.artifact import Reference
    from holdfast.records import Checked, Finding, GcReport
    from holdfast.store.protocol import Store

BATCH_SIZE = 64 * 2**20
"""Most bytes of one batch's object."""

_TRIES = 64
_HINT_EVERY = 16


class ObjectLog:
    """The log below ``<prefix>/log`` of any store; see `holdfast.ledger.log.Log`.

    Args:
        store: where it lies.
        prefix: its folder.
        ids: taken for the sake of one signature; the log needs none.
        read_only: never write.
        hint_every: batches after which the hint is written anew; `close` writes it too.
    """

    def __init__(
        self,
        store: Store,
        prefix: str = "ledger",
        *,
        ids: Ids | None = None,
        read_only: bool = False,
        hint_every: int = _HINT_EVERY,
    ) -> None:
        self._store = store
        self._folder = f"{prefix}/log"
        self._read_only = read_only
        self._hint_every = hint_every
        self._reader = ObjectReader(store, self._folder)
        self._unhinted = 0

    def head(self) -> Head:
        return self._reader.head()

    def records(
        self, start: int = 1, *, previous: bytes | None = None, stop: int | None = None
    ) -> Iterator[Record]:
        return self._reader.records(start, previous=previous, stop=stop)

    def records_backwards(self, before: int | None = None) -> Iterator[Record]:
        return self._reader.records_backwards(before)

    def frame(self, logseq: int, reference: Reference) -> bytes:
        return self._reader.frame(logseq, reference)

    def append(self, build: Callable[[Head], Sequence[Entry]]) -> tuple[int, int]:
        if self._read_only:
            raise Denied("writing the log", self._folder, found="it is open for reading only")
        for _ in range(_TRIES):
            head = self._reader.newest_for_writing()
            entries = list(build(head))
            if not entries:
                return head.logseq + 1, head.logseq
            check_batches(entries)
            first = head.logseq + 1
            data = LOG_HEADER + chain_records(head.record_hash, first, entries)
            if len(data) > BATCH_SIZE:
                raise Invalid(
                    "appending to the log",
                    found=f"a batch of {len(data)} bytes",
                    expected=f"at most {BATCH_SIZE}",
                )
            frames = encode_frames(first, entries)
            if self._put(first, data, frames):
                with self._reader.lock:
                    if self._reader.newest == head:
                        self._reader.took(first, data, Head(first + len(entries) - 1, data[-32:]))
                self._write_hint()
                return first, first + len(entries) - 1
        raise Conflict("appending to the log", self._folder, found=f"{_TRIES} races lost")

    def rotate(self) -> None:
        """Every batch is an object of its own already."""

    def export(self, out: BinaryIO) -> int:
        return export_records(self.records(), out)

    def verify(self, *, deep: bool = True) -> Iterator[Finding | Checked]:
        from holdfast.ledger.object_verify import ObjectLogCheck

        return ObjectLogCheck(self._store, self._folder, deep=deep).run()

    def repair(self) -> Iterator[Finding]:
        from holdfast.ledger.object_verify import mend_hint

        if self._read_only:
            raise Denied("mending the log", self._folder, found="it is open for reading only")
        head = self.head()
        newest = Hint(self._reader.first_of_head, head.logseq, head.record_hash)
        return mend_hint(self._store, self._folder, newest)

    def collect(self, *, dry_run: bool) -> GcReport:
        from holdfast.ledger.object_verify import collect_litter

        if self._read_only and not dry_run:
            raise Denied("clearing the log", self._folder, found="it is open for reading only")
        return collect_litter(self._store, self._folder, self.head().logseq, dry_run=dry_run)

    def close(self) -> None:
        if self._unhinted and not self._read_only:
            self._unhinted = self._hint_every
            self._write_hint()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write_hint(self) -> None:
        """Tell of the newest batch, now and then. Only a hint: that it fails does not matter."""
        self._unhinted += 1
        if self._unhinted < self._hint_every and self._reader.hint is not None:
            return
        self._unhinted = 0
        head = self._reader.newest
        new = Hint(self._reader.first_of_head, head.logseq, head.record_hash).encode()
        try:
            self._store.compare_and_swap(self._reader.path("head"), self._reader.hint, new)
            self._reader.hint = new
        except HoldfastError:
            with contextlib.suppress(HoldfastError):
                self._reader.read_hint()

    def _put(self, first: int, data: bytes, frames: bytes) -> bool:
        """Put the frames, then the batch; false when another writer took the name."""
        sidecar = self._reader.path(sidecar_name(first, data[-32:]))
        if frames:
            try:
                self._store.put(sidecar, frames)
            except PathExists:
                if self._store.get(sidecar) != frames:
                    raise Integrity(
                        "appending to the log", sidecar, found="other frames of the same name"
                    ) from None
        name = single_name(first)
        try:
            self._store.put(self._reader.path(name), data)
        except (PathExists, StorageFailure) as error:
            # Whose bytes lie there tells who won; a reply may have been lost on the way.
            found = self._reader.get(name)
            if found == data:
                return True
            if found is None:
                raise
            if frames and isinstance(error, PathExists):
                with contextlib.suppress(HoldfastError):
                    self._store.delete(sidecar)
            return False
        return True
