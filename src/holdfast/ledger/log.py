"""The log as everybody above it sees it: one chained sequence of records (spec/ledger.md §2).

`open_log` picks the log of files for a store of files and the log of objects for any other store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from holdfast.clock import Ids
    from holdfast.ledger.artifact import Reference
    from holdfast.records import Checked, Finding, GcReport
    from holdfast.store.protocol import Store

GENESIS = bytes(32)
"""The record hash before the first record."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record of the log: logseq from 1, type (u32, unknown ones too), payload, 32-byte hash."""

    logseq: int
    type: int
    payload: bytes
    record_hash: bytes


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A record to append. `frame`: the sidecar bytes that belong to it (``ArtifactBytes`` of an
    inline put; the ``bytes`` of a commit record)."""

    type: int
    payload: bytes
    frame: bytes | None = None


class Head(msgspec.Struct, frozen=True, gc=False):
    """The newest acknowledged record: logseq and hash; (0, 32 zero bytes) when there is none."""

    logseq: int
    record_hash: bytes


EMPTY = Head(0, GENESIS)


class Log(Protocol):
    """An append-only log of chained records with sidecar frames.

    Every method raises `Integrity` naming file, offset and logseq when bytes are not what was
    written, and `StorageFailure` when the store fails. Safe to use from several threads.
    """

    def head(self) -> Head:
        """The newest acknowledged record, refreshed from the store."""

    def records(
        self, start: int = 1, *, previous: bytes | None = None, stop: int | None = None
    ) -> Iterator[Record]:
        """The records from logseq `start` up to `stop` inclusive (default: head), chain-checked.

        `previous` is the record hash of ``start - 1`` where the caller knows it, from a snapshot
        for instance; without it, it is found by reading. `previous` that the record at `start`
        does not continue is `Integrity`.
        """

    def records_backwards(self, before: int | None = None) -> Iterator[Record]:
        """The records below logseq `before` (default: all), newest first; cheap for a few."""

    def frame(self, logseq: int, reference: Reference) -> bytes:
        """The sidecar frame of record `logseq` whose bytes `reference` names: of an inline put
        the ``ArtifactBytes``, of a COMMIT the commit record's bytes.

        Raises:
            NotFound: no such frame (an erased one says so in ``details["erased"]``).
            Integrity: frames of that logseq are there and none fits the digest.
            Unsupported: a hash id that is not known here.
        """

    def append(self, build: Callable[[Head], Sequence[Entry]]) -> tuple[int, int]:
        """Append what `build` makes of the true head; the one way to write.

        `build` is called under the writer lease (files) or with the newest head found (objects),
        where a lost race calls it again with the new head. It may raise to abort; an empty
        sequence appends nothing and returns (head + 1, head). All entries are durable on return
        and become visible together when they are one record or begin with a BATCH record.

        Returns:
            The first and the last logseq.

        Raises:
            Conflict: races lost again and again.
            Integrity: the log below head is damaged: nothing is ever written behind damage.
            Invalid: a payload beyond 1 MiB, a frame of 4 GiB.
        """

    def rotate(self) -> None:
        """Let the next record begin a new file, so that it is found in O(1) (files only)."""

    def export(self, out: BinaryIO) -> int:
        """Write the canonical single-file log: one header and every record. Returns the bytes."""

    def verify(self, *, deep: bool = True) -> Iterator[Finding | Checked]:
        """Check every byte that the log owns: chain, headers, head, frames, cut tails, litter."""

    def repair(self) -> Iterator[Finding]:
        """Mend what can be mended without loss; what was mended, as INFO findings."""

    def collect(self, *, dry_run: bool) -> GcReport:
        """Remove cut tails and litter."""

    def close(self) -> None:
        """Release what is held; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_log(
    store: Store, prefix: str = "ledger", *, ids: Ids | None = None, read_only: bool = False
) -> Log:
    """The log under ``<prefix>/log/`` of `store`; made by its first append."""
    from holdfast.store.filesystem import FileSystemStore

    if isinstance(store, FileSystemStore):
        from holdfast.ledger.file_log import FileLog

        return FileLog(store, prefix, ids=ids, read_only=read_only)
    from holdfast.ledger.object_log import ObjectLog

    return ObjectLog(store, prefix, ids=ids, read_only=read_only)
