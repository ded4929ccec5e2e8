"""Opening the log for writing: what is kept, what is cut (spec/ledger.md §2, "File system").

Everything here runs under the writer lease. At or below head a bad record is corruption and ends
in `Integrity`. Above head, whole batches are kept and the rest is moved to ``log/cut``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import Integrity, from_oserror
from holdfast.ledger.head import (
    READ_SIZE,
    SLOT_OFFSETS,
    Slot,
    decode_slot,
    encode_head,
    encode_slot,
    newest_slot,
    next_offset,
)
from holdfast.ledger.log import EMPTY, Head
from holdfast.ledger.log_folder import CHUNK, LogFolder, Mark
from holdfast.ledger.payload import Batch, RecordType, payload_of
from holdfast.ledger.record import HEADER_SIZE, OVERHEAD
from holdfast.ledger.sidecar import FrameIndex
from holdfast.records import Finding, Severity
from holdfast.store.durable import (
    TempFile,
    close_quietly,
    create_file,
    make_folders,
    publish_durable,
    read_all_at,
    sync_folder,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.store.calls import Status, SystemCalls

# O_NONBLOCK: a pipe that somebody put there must not make us wait for its writer.
WRITE = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Tail(NamedTuple):
    """Where the next record goes: the newest log file (0: none) and where it ends, the head, and
    where its sidecar ends (-1: there is none). `sealed`: nobody appends to that file any more."""

    first: int
    end: int
    head: Head
    frames_end: int
    sealed: bool

    @property
    def slot(self) -> Slot:
        return Slot(self.head.logseq, self.end, self.head.record_hash)


NO_LOG = Tail(0, 0, EMPTY, -1, True)


def write_all_at(calls: SystemCalls, fd: int, data: Buffer, offset: int) -> None:
    """Write all of `data` at `offset`. Raises `OSError`."""
    view = memoryview(data)
    while view:
        written = calls.write_at(fd, view, offset)
        view, offset = view[written:], offset + written


def whole_batches(folder: LogFolder, base: Mark) -> Mark:
    """How far the records after `base` in its file are good, in whole BATCHes."""
    kept = base
    group_end = 0
    try:
        for records, end in folder.scan(base):
            position = end.offset - sum(OVERHEAD + len(record.payload) for record in records)
            for record in records:
                position += OVERHEAD + len(record.payload)
                if record.type == RecordType.BATCH:
                    batch = payload_of(record)
                    assert isinstance(batch, Batch)
                    group_end = max(group_end, record.logseq + batch.count)
                if record.logseq >= group_end:
                    kept = Mark(record.logseq, base.first, position, record.record_hash)
    except Integrity:
        # A file header or a BATCH that nobody acknowledged: the tail begins here.
        return kept
    return kept


def floor_of(slot: Slot | None, logs: list[int]) -> int:
    """The logseq up to which records are known to be acknowledged: by the head, and by the name of
    the newest file, which was head + 1 when it was made."""
    return max(slot.logseq if slot else 0, logs[-1] - 1)


def acknowledged(
    folder: LogFolder, logs: list[int], slot: Slot | None, trusted: Mark | None
) -> Mark:
    """The place behind the last record that is known to be acknowledged; its file is verified up
    to there, from `trusted` on where that lies in it.

    Raises:
        Integrity: a bad record at or below head.
    """
    floor = floor_of(slot, logs)
    if floor == 0:
        return folder.first_mark(logs, 0)
    i = folder.find(logs, floor)
    start = trusted
    if start is None or start.first != logs[i] or start.logseq > floor:
        start = folder.first_mark(logs, i)
    found = folder.walk_to(start, floor)
    if slot is None or slot.logseq != floor:
        return found
    if (slot.offset, slot.record_hash) != (found.offset, found.record_hash):
        raise Integrity(
            "opening the log",
            folder.head_path,
            found=f"a head of record {floor} at offset {slot.offset}",
            expected=f"the record in {folder.log_path(logs[i])}, which ends at {found.offset}",
            logseq=floor,
        )
    return found


class Recovery:
    """One opening for writing. `findings`: what was cut, as for `verify`.

    `frames` gives the index of a sidecar as far as it is acknowledged; it is brought up to date.
    """

    def __init__(
        self,
        folder: LogFolder,
        now_ns: Callable[[], int],
        frames: Callable[[int, Status], FrameIndex],
    ) -> None:
        self._folder = folder
        self._calls = folder.calls
        self._now_ns = now_ns
        self._frames = frames
        self.findings: list[Finding] = []

    def run(
        self, *, abandoned: frozenset[int], trusted: Mark | None, every_file: bool
    ) -> tuple[Tail, Mark | None]:
        """Bring the log into a state that can be appended to.

        Args:
            abandoned: files on which a write or fsync of ours failed: nothing of theirs above head
                is kept, and nothing is appended to them.
            trusted: a place up to which the chain is verified already.
            every_file: check that each file continues the one before it.

        Returns:
            Where to append, and a verified place for the next time.
        """
        folder = self._folder
        raw = folder.read_head()
        slot = newest_slot(raw) if raw else None
        logs, sidecars, _ = folder.listing()
        if not logs:
            if slot is not None and slot.logseq:
                raise folder.missing(1)
            self._drop_orphans(sidecars, logs, 0)
            return NO_LOG, None
        if logs[0] != 1:
            raise folder.missing(1)
        if every_file:
            self._check_links(logs, slot)
        base = acknowledged(folder, logs, slot, trusted)
        newest = logs[-1]
        sure = base
        if base.first != newest:
            base = base._replace(first=newest, offset=HEADER_SIZE)
        kept = base if newest in abandoned else whole_batches(folder, base)
        if kept.logseq > base.logseq:
            self._write_again(base, kept)
        self._drop_orphans(sidecars, logs, kept.logseq)
        if kept.logseq < newest:
            return self._without_newest(raw, newest, sure), None
        sealed = newest in abandoned
        frames_end = folder.size(folder.sidecar_path(newest))
        if not sealed:
            self._cut_log(kept)
            frames_end = self._cut_frames(kept)
        tail = Tail(newest, kept.offset, Head(kept.logseq, kept.record_hash), frames_end, sealed)
        self._write_head(raw, tail.slot)
        return tail, kept

    def _check_links(self, logs: list[int], slot: Slot | None) -> None:
        head = slot.logseq if slot else 0
        for i in range(1, len(logs)):
            if logs[i] <= head and not self._folder.is_linked(logs, i):
                self._folder.walk_to(self._folder.first_mark(logs, i), logs[i])

    def _write_again(self, base: Mark, kept: Mark) -> None:
        """Make kept records durable. They are written again first: after a failed fsync of the
        process that wrote them, the system may call their pages clean and sync nothing."""
        path = self._folder.log_path(base.first)
        start = 0 if base.offset == HEADER_SIZE else base.offset
        fd = self._open(path)
        try:
            while start < kept.offset:
                data = read_all_at(self._calls, fd, min(CHUNK, kept.offset - start), start)
                write_all_at(self._calls, fd, data, start)
                start += max(1, len(data))
            self._calls.fsync(fd)
        except OSError as error:
            raise from_oserror(error, "writing again", path) from error
        finally:
            close_quietly(self._calls, fd)
        sync_folder(self._calls, self._folder.path)

    def _without_newest(self, raw: bytes | None, newest: int, sure: Mark) -> Tail:
        """Remove the newest file, which has no whole record, with its frames. The file before it
        ends at its last acknowledged record, whatever lies behind that."""
        head = Head(sure.logseq, sure.record_hash)
        tail = Tail(sure.first, sure.offset, head, -1, sealed=True) if sure.logseq else NO_LOG
        # The name that is about to go proves how far the log is acknowledged.
        self._write_head(raw, tail.slot)
        self._move_away(self._folder.log_path(newest), newest, "", HEADER_SIZE)
        self._move_away(self._folder.sidecar_path(newest), newest, ".commits", 0)
        return tail

    def _drop_orphans(self, sidecars: list[int], logs: list[int], head: int) -> None:
        """Frames above head whose log file was never made."""
        for first in sidecars:
            if first > head and first not in logs:
                self._move_away(self._folder.sidecar_path(first), first, ".commits", 0)

    def _move_away(self, path: str, logseq: int, suffix: str, empty: int) -> None:
        """Move a whole file to ``log/cut``, or unlink it when it has at most `empty` bytes."""
        size = self._folder.size(path)
        if size < 0:
            return
        try:
            if size > empty:
                target = self._cut_name(logseq, suffix)
                self._calls.rename(path, target)
                sync_folder(self._calls, self._folder.cut_path)
                self._report(target, size)
            else:
                self._calls.unlink(path)
            sync_folder(self._calls, self._folder.path)
        except OSError as error:
            raise from_oserror(error, "removing", path) from error

    def _cut_log(self, kept: Mark) -> None:
        self._cut(self._folder.log_path(kept.first), kept.offset, kept.logseq + 1, "")

    def _cut_frames(self, kept: Mark) -> int:
        """Cut frames above head and torn ones; where the sidecar ends then, or -1."""
        path = self._folder.sidecar_path(kept.first)
        if self._folder.size(path) < 0:
            return -1
        with self._folder.opened(path) as (fd, size):
            index = self._frames(kept.first, self._calls.stat_open(fd))
            index.extend(lambda n, at: read_all_at(self._calls, fd, n, at), size)
        end = index.tail_after(kept.logseq)
        index.cut(end)
        self._cut(path, end, kept.logseq + 1, ".commits")
        return end

    def _cut(self, path: str, end: int, logseq: int, suffix: str) -> None:
        """Move what lies behind `end` to ``log/cut``: copied durably first, then cut off."""
        with self._folder.opened(path) as (fd, size):
            if size <= end:
                return
            target = self._cut_name(logseq, suffix)
            self._copy(fd, end, size, target)
        fd = self._open(path)
        try:
            self._calls.truncate(fd, end)
            self._calls.fsync(fd)
        except OSError as error:
            raise from_oserror(error, "cutting", path) from error
        finally:
            close_quietly(self._calls, fd)
        self._report(target, size - end)

    def _copy(self, fd: int, start: int, end: int, target: str) -> None:
        """Copy bytes of the open file to the new file `target`, durable on return.

        Zeros become a hole: a file that was only made longer takes no room.
        """
        calls = self._calls
        temp = TempFile(calls, os.path.dirname(target))
        try:
            at = start
            while at < end:
                data = read_all_at(calls, fd, min(CHUNK, end - at), at)
                if not data:
                    break
                if data.count(0) < len(data):
                    write_all_at(calls, temp.fd, data, at - start)
                at += len(data)
            calls.truncate(temp.fd, at - start)
            temp.sync()
        except BaseException:
            temp.discard()
            raise
        publish_durable(calls, temp, target)

    def _cut_name(self, logseq: int, suffix: str) -> str:
        make_folders(self._calls, self._folder.cut_path)
        while True:
            name = f"{self._folder.cut_path}/{logseq:020d}-{self._now_ns()}{suffix}"
            if self._folder.size(name) < 0:
                return name

    def _report(self, target: str, size: int) -> None:
        self.findings.append(
            Finding(
                Severity.INFO,
                "torn_tail",
                self._folder.shown(target),
                f"{size} bytes that were never acknowledged were moved here",
                "ledger",
            )
        )

    def _write_head(self, raw: bytes | None, slot: Slot) -> None:
        """Bring the head up to date, if it is behind, torn or not there."""
        if raw is None:
            create_file(self._calls, self._folder.head_path, encode_head(slot))
            return
        torn = any(decode_slot(raw, at) is None and any(raw[at : at + 52]) for at in SLOT_OFFSETS)
        if newest_slot(raw) == slot and not torn:
            return
        place, data = next_offset(raw), encode_slot(slot)
        if len(raw) < READ_SIZE:
            place, data = 0, encode_head(slot)
        fd = self._open(self._folder.head_path)
        try:
            write_all_at(self._calls, fd, data, place)
            self._calls.fsync(fd)
        except OSError as error:
            raise from_oserror(error, "writing", self._folder.head_path) from error
        finally:
            close_quietly(self._calls, fd)

    def _open(self, path: str) -> int:
        try:
            return self._calls.open(path, WRITE)
        except OSError as error:
            raise from_oserror(error, "opening", path) from error
