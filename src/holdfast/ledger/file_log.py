"""The log in files of a local file system (spec/ledger.md §2, "File system").

Readers stop at head and never cut. A process that opens the log after a power loss may find a head
that is behind, because head is not synced with each append: while nobody writes, the first look
takes in the whole batches above head, after making them durable.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from holdfast.clock import Clock, SystemClock
from holdfast.errors import Busy, Denied, Integrity, Invalid, NotFound, from_oserror
from holdfast.ledger.head import READ_SIZE, Slot, newest_slot
from holdfast.ledger.log import EMPTY, Entry, Head, Record
from holdfast.ledger.log_export import export_records
from holdfast.ledger.log_folder import LogFolder, Mark
from holdfast.ledger.log_recovery import Tail, acknowledged, floor_of, whole_batches
from holdfast.ledger.log_writer import FILE_SIZE, LogWriter
from holdfast.ledger.record import HEADER_SIZE, MAX_LOGSEQ
from holdfast.ledger.sidecar import FrameIndex, pick
from holdfast.records import Finding
from holdfast.store.durable import READ, close_quietly, read_all_at, sync_folder

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from holdfast.clock import Ids
    from holdfast.leases import Lease
    from holdfast.ledger.artifact import Reference
    from holdfast.records import Checked, GcReport
    from holdfast.store.filesystem import FileSystemStore

_MARKS = 8
_SIDECARS = 16


class FileLog:
    """The log below ``<store root>/<prefix>/log``; see `holdfast.ledger.log.Log` for the methods.

    Args:
        store: where it lies; its system calls and leases are used.
        prefix: its folder, and the name of the writer lease.
        ids: taken for the sake of one signature; the log needs none.
        clock: names cut tails.
        read_only: never write, cut or sync.
        file_size: bytes at which a new log file begins.
    """

    def __init__(
        self,
        store: FileSystemStore,
        prefix: str = "ledger",
        *,
        ids: Ids | None = None,
        clock: Clock | None = None,
        read_only: bool = False,
        file_size: int = FILE_SIZE,
    ) -> None:
        self._calls = store.calls
        self._leases = store.leases
        self._lease_name = prefix
        self._read_only = read_only
        self._now_ns = (clock or SystemClock()).now_ns
        self._folder = LogFolder(store.calls, store.root, prefix)
        # The log's files are opened by their paths: no symlink may lead those elsewhere.
        store.folders.check(self._folder.cut_path)
        self._writer = LogWriter(self._folder, now_ns=self._now_ns, file_size=file_size)
        self._lock = threading.RLock()
        self._head_fd = -1
        self._raw: bytes | None = None
        self._head = EMPTY
        self._end: int | None = None
        """Offset behind the head record in its file, where known."""
        self._caught_up = False
        self._logs: list[int] = []
        self._logs_at = 0
        self._marks: OrderedDict[int, Mark] = OrderedDict()
        self._sidecars: OrderedDict[int, tuple[tuple[int, int], FrameIndex]] = OrderedDict()

    @property
    def recovered(self) -> list[Finding]:
        """What this process cut when it opened the log for writing."""
        return self._writer.findings

    def head(self) -> Head:
        with self._lock:
            raw = self._read_head()
            if raw == self._raw and self._caught_up:
                return self._head
            self._raw = raw
            slot = newest_slot(raw)
            if slot is not None and slot.logseq >= self._head.logseq:
                self._advance(Head(slot.logseq, slot.record_hash), slot.offset)
            if not self._caught_up:
                self._catch_up(slot)
            return self._head

    def records(
        self, start: int = 1, *, previous: bytes | None = None, stop: int | None = None
    ) -> Iterator[Record]:
        if start < 1:
            raise Invalid("reading the log", found=f"logseq {start}", expected="at least 1")
        return self._records(start, previous, MAX_LOGSEQ if stop is None else stop)

    def records_backwards(self, before: int | None = None) -> Iterator[Record]:
        head = self.head()
        last = head.logseq if before is None else min(head.logseq, before - 1)
        if last < 1:
            return iter(())
        logs = self._listed(last)
        mark = self._marks.get(last)
        if last == head.logseq and self._end is not None:
            mark = Mark(last, logs[self._folder.find(logs, last)], self._end, head.record_hash)
        if mark is None:
            first = logs[self._folder.find(logs, last)]
            start = Mark(first - 1, first, HEADER_SIZE, b"")
            mark = self._folder.walk_to(start, last, chain=False)
        return self._folder.backwards(logs, mark)

    def frame(self, logseq: int, reference: Reference) -> bytes:
        if logseq > self._head.logseq and logseq > self.head().logseq:
            raise NotFound("reading the frame of record", logseq, found="no such record")
        logs = self._listed(logseq)
        first = logs[self._folder.find(logs, logseq)]
        path = self._folder.sidecar_path(first)
        with self._lock, self._folder.opened(path) as (fd, size):
            status = self._calls.stat_open(fd)
            identity = (status.device, status.inode)

            def read(count: int, offset: int) -> bytes:
                return read_all_at(self._calls, fd, count, offset)

            index = self._index(first, identity)
            fresh = not index.end
            for again in (False, True):
                if again:
                    # The index may hold frames above head of a writer that died: the next one cut
                    # them away and wrote others, at other offsets, in their place.
                    index = FrameIndex()
                    self._sidecars[first] = (identity, index)
                if again or not index.find(logseq):
                    index.extend(read, size)
                try:
                    return pick(index.find(logseq), logseq, reference, read, path)
                except (Integrity, NotFound):
                    if again or fresh:
                        raise
            raise AssertionError("unreachable")

    def append(self, build: Callable[[Head], Sequence[Entry]]) -> tuple[int, int]:
        with self._writing():
            tail = self._writer.begin()
            try:
                self._saw(tail)
                entries = list(build(tail.head))
                if not entries:
                    return tail.head.logseq + 1, tail.head.logseq
                after = self._writer.write(entries)
                self._saw(after)
                return tail.head.logseq + 1, after.head.logseq
            finally:
                self._writer.end()

    def rotate(self) -> None:
        self._writer.rotate()

    def export(self, out: BinaryIO) -> int:
        return export_records(self.records(), out)

    def verify(self, *, deep: bool = True) -> Iterator[Finding | Checked]:
        from holdfast.ledger.log_verify import FileLogCheck, tail_finding

        head = self.head()
        for found in FileLogCheck(self._folder, head, deep=deep).run():
            # What lies above head may be what a writer is just writing.
            above = isinstance(found, Finding) and found.code == "torn_tail" and found.repairable
            if not above or self._is_quiet():
                yield found
        slot = newest_slot(self._read_head())
        if not self._is_clean(slot, self._folder.listing().logs) and self._is_quiet():
            slot, logs = newest_slot(self._read_head()), self._folder.listing().logs
            if not self._is_clean(slot, logs):
                yield tail_finding(self._folder, logs[-1], slot)

    def repair(self) -> Iterator[Finding]:
        from holdfast.ledger.log_verify import mend_head

        with self._writing():
            before = len(self._writer.findings)
            tail = self._writer.recover()
            self._saw(tail)
            mended = mend_head(self._folder)
        yield from self._writer.findings[before:]
        yield from mended

    def collect(self, *, dry_run: bool) -> GcReport:
        from holdfast.ledger.log_verify import collect_cut

        if dry_run:
            return collect_cut(self._folder, dry_run=True)
        with self._writing():
            return collect_cut(self._folder, dry_run=False)

    def close(self) -> None:
        with self._lock:
            fd, self._head_fd = self._head_fd, -1
            if fd >= 0:
                close_quietly(self._calls, fd)
        self._writer.sync_head()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _writing(self) -> Lease:
        if self._read_only:
            raise Denied("writing the log", self._folder.path, found="it is open for reading only")
        return self._leases.acquire(self._lease_name)

    def _saw(self, tail: Tail) -> None:
        """What a writer knows about the end of the log, readers of this object know too."""
        with self._lock:
            self._caught_up = True
            if tail.head.logseq > self._head.logseq or self._end is None:
                self._advance(tail.head, tail.end)
            known = bool(self._logs) and self._logs[-1] == tail.first
            self._logs_at = tail.head.logseq if known else 0

    def _read_head(self) -> bytes:
        try:
            if self._head_fd < 0:
                try:
                    self._head_fd = self._calls.open(self._folder.head_path, READ)
                except (FileNotFoundError, NotADirectoryError):
                    return b""
            return self._calls.read_at(self._head_fd, READ_SIZE, 0)
        except OSError as error:
            raise from_oserror(error, "reading", self._folder.head_path) from error

    def _advance(self, head: Head, end: int) -> None:
        self._head, self._end = head, end

    def _catch_up(self, slot: Slot | None) -> None:
        """Find what lies above a head that is behind, unless a writer is at work right now."""
        logs = self._folder.listing().logs
        if self._is_clean(slot, logs):
            self._caught_up = True
            return
        try:
            lease: Lease | None = self._leases.acquire(self._lease_name, exclusive=False, timeout=0)
        except Busy:
            return
        except Denied:
            # No right to take leases: better a record that its writer has not yet acknowledged
            # than one that it has acknowledged and that is not shown.
            lease = None
        try:
            self._raw = self._read_head()
            slot = newest_slot(self._raw)
            logs = self._folder.listing().logs
            if slot is not None:
                self._advance(Head(slot.logseq, slot.record_hash), slot.offset)
            if not self._is_clean(slot, logs):
                self._take_in(slot, logs)
            self._caught_up = True
        finally:
            if lease is not None:
                lease.close()

    def _is_clean(self, slot: Slot | None, logs: list[int]) -> bool:
        if not logs:
            return True
        if slot is None or slot.logseq < logs[-1]:
            return False
        return self._folder.size(self._folder.log_path(logs[-1])) <= slot.offset

    def _take_in(self, slot: Slot | None, logs: list[int]) -> None:
        newest = logs[-1]
        try:
            if slot is not None and slot.logseq >= floor_of(slot, logs):
                first = logs[self._folder.find(logs, slot.logseq)] if slot.logseq else newest
                offset = slot.offset if slot.logseq else HEADER_SIZE
                base = Mark(slot.logseq, first, offset, slot.record_hash)
            else:
                base = acknowledged(self._folder, logs, slot, None)
                self._advance(Head(base.logseq, base.record_hash), base.offset)
            if base.first != newest:
                base = base._replace(first=newest, offset=HEADER_SIZE)
            kept = whole_batches(self._folder, base)
        except Integrity:
            # Damage at or below head: reading works up to it, and says so when it gets there.
            return
        if kept.logseq > base.logseq:
            if not self._read_only:
                self._sync(self._folder.log_path(newest))
            self._advance(Head(kept.logseq, kept.record_hash), kept.offset)

    def _sync(self, path: str) -> None:
        with self._folder.opened(path) as (fd, _):
            self._calls.fsync(fd)
        sync_folder(self._calls, self._folder.path)

    def _listed(self, last: int) -> list[int]:
        """First logseqs of the log files; right for every record up to `last`, which is at most
        head. A name at most head is final; one above may be a file that is removed again."""
        with self._lock:
            if last > self._logs_at or not self._logs:
                at = self._head.logseq
                self._logs = self._folder.listing().logs
                self._logs_at = at
            return self._logs

    def _remember(self, mark: Mark) -> None:
        with self._lock:
            self._marks[mark.logseq] = mark
            self._marks.move_to_end(mark.logseq)
            if len(self._marks) > _MARKS:
                self._marks.popitem(last=False)

    def _index(self, first: int, identity: tuple[int, int]) -> FrameIndex:
        kept = self._sidecars.get(first)
        if kept is None or kept[0] != identity:
            kept = (identity, FrameIndex())
            self._sidecars[first] = kept
        self._sidecars.move_to_end(first)
        if len(self._sidecars) > _SIDECARS:
            self._sidecars.popitem(last=False)
        return kept[1]

    def _records(self, start: int, previous: bytes | None, stop: int) -> Iterator[Record]:
        with self._lock:
            head, end_of_head = self.head(), self._end
        last = min(stop, head.logseq)
        if start == head.logseq + 1 and previous not in (None, head.record_hash):
            raise Integrity(
                "reading the log",
                self._folder.path,
                found=f"another record {head.logseq} than the one known",
                expected="the log to go on from there",
                logseq=head.logseq,
            )
        if last < start:
            return
        own = self._writer.just_written(start, previous, last)
        if own is not None:
            yield from own
            return
        logs = self._listed(last)
        i = self._folder.find(logs, start)
        mark = self._place(logs, i, start, previous)
        # From a file's beginning on, the writer need not verify that file again.
        whole = previous is None or logs[i] == start
        while True:
            is_newest = i + 1 == len(logs)
            until = last if is_newest else min(last, logs[i + 1] - 1)
            # Where head ends saves reading what lies behind it; the file says how far it goes.
            limits = (end_of_head, None) if until == head.logseq else (None,)
            for limit in limits:
                for records, end in self._folder.scan(mark, stop=until, limit=limit):
                    if records:
                        mark = Mark(end.logseq, logs[i], end.offset, end.record_hash)
                        self._remember(mark)
                    yield from records
                    if end.fault is not None and limit is None:
                        raise self._folder.broken(logs[i], end.fault)
                if mark.logseq == until:
                    break
            if mark.logseq < until:
                raise self._folder.ended(logs[i], mark.offset, mark.logseq + 1)
            if until == last:
                break
            i += 1
            mark = Mark(until, logs[i], HEADER_SIZE, mark.record_hash)
            whole = True
        if whole:
            self._writer.trust(mark)

    def _place(self, logs: list[int], i: int, start: int, previous: bytes | None) -> Mark:
        """The place before record `start`, which lies in the file ``logs[i]``."""
        first = logs[i]
        if first == start:
            if previous is None:
                return self._folder.first_mark(logs, i)
            return Mark(start - 1, first, HEADER_SIZE, previous)
        known = self._marks.get(start - 1)
        if known is not None and known.first == first:
            return known if previous is None else known._replace(record_hash=previous)
        if previous is None:
            return self._folder.walk_to(self._folder.first_mark(logs, i), start - 1)
        begin = Mark(first - 1, first, HEADER_SIZE, b"")
        place = self._folder.walk_to(begin, start - 1, chain=False)
        return place._replace(record_hash=previous)

    def _is_quiet(self) -> bool:
        """Whether no writer holds the lease at this moment."""
        try:
            self._leases.acquire(self._lease_name, exclusive=False, timeout=0).close()
        except Busy:
            return False
        except Denied:
            pass
        return True
