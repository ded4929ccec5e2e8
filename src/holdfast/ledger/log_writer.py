"""Appending to log files, under the writer lease (spec/ledger.md §2, "File system").

Order of one append: frames written and fsynced → records written and fsynced → head slot written →
acknowledged. Log and sidecar are opened by name each time the lease is taken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import Invalid, from_oserror
from holdfast.ledger.head import (
    READ_SIZE,
    Slot,
    encode_head,
    encode_slot,
    newest_slot,
    next_offset,
)
from holdfast.ledger.log import Entry, Head, Record
from holdfast.ledger.log_folder import LogFolder, Mark
from holdfast.ledger.log_recovery import NO_LOG, WRITE, Recovery, Tail, write_all_at
from holdfast.ledger.payload import Batch, RecordType, decode_payload
from holdfast.ledger.record import HEADER_SIZE, LOG_HEADER, chain_records, decode_chain
from holdfast.ledger.sidecar import FrameIndex, encode_frames
from holdfast.store.durable import close_quietly, create_file, make_folders, read_all_at

if TYPE_CHECKING:
    from holdfast.records import Finding
    from holdfast.store.calls import Status

FILE_SIZE = 64 * 2**20
"""Bytes at which a new log file begins; a sidecar of that size ends its log file too, so that the
tail of a sidecar is found in bounded time."""


_KEPT = 64 * 2**10


class _Written(NamedTuple):
    """The bytes of the records appended last, the hash before them, and where the log ends."""

    first: int
    previous: bytes
    data: bytes
    tail: Tail


def check_batches(entries: Sequence[Entry]) -> None:
    """Refuse a BATCH that claims more records than are appended with it.

    Raises:
        Invalid: such a BATCH; it would not hold if the append did not reach its end.
    """
    for i, entry in enumerate(entries):
        if entry.type == RecordType.BATCH:
            batch = decode_payload(entry.type, entry.payload)
            assert isinstance(batch, Batch)
            if batch.count > len(entries) - i - 1:
                raise Invalid(
                    "appending to the log",
                    found=f"a BATCH of {batch.count} records with {len(entries) - i - 1} behind it",
                )


class LogWriter:
    """The writing side of one log folder; `begin`, `write` and `end` only under the lease."""

    def __init__(
        self, folder: LogFolder, *, now_ns: Callable[[], int], file_size: int = FILE_SIZE
    ) -> None:
        self._folder = folder
        self._calls = folder.calls
        self._now_ns = now_ns
        self._file_size = file_size
        self._tail: Tail | None = None
        self._trusted: Mark | None = None
        self._opened_before = False
        self._abandoned: set[int] = set()
        self._frames: tuple[int, int, int, FrameIndex] | None = None
        self._head_raw: bytes | None = None
        self._head_fd = -1
        self._log_fd = -1
        self._rotate = False
        self._head_unsynced = False
        self._written: _Written | None = None
        self.findings: list[Finding] = []

    def trust(self, mark: Mark) -> None:
        """Tell of a place up to which the chain was verified by reading."""
        if self._trusted is None or mark.logseq > self._trusted.logseq:
            self._trusted = mark

    def rotate(self) -> None:
        """Let the next record begin a new file."""
        self._rotate = True

    def begin(self) -> Tail:
        """Open the newest files and find where the next record goes.

        Raises:
            Integrity: the log is damaged at or below head; nothing is written behind damage.
        """
        self._open_head()
        tail = self._tail
        if tail is None or not self._is_unchanged(tail):
            self._close_files()
            tail = self.recover()
            self._open_head()
        return tail

    def recover(self) -> Tail:
        """Bring the log into a state that can be appended to, whatever was left there."""
        recovery = Recovery(self._folder, self._now_ns, self._frame_index)
        self._tail = None
        try:
            tail, mark = recovery.run(
                abandoned=frozenset(self._abandoned),
                trusted=self._trusted,
                every_file=not self._opened_before,
            )
        finally:
            self.findings += recovery.findings
        self._opened_before = True
        if mark is not None:
            self._trusted = mark
        self._tail = tail
        return tail

    def write(self, entries: Sequence[Entry]) -> Tail:
        """Append `entries` (at least one) durably; where the log ends then."""
        tail = before = self._tail
        assert tail is not None
        assert before is not None
        check_batches(entries)
        first = tail.head.logseq + 1
        data = chain_records(tail.head.record_hash, first, entries)
        frames = encode_frames(first, entries)
        head = Head(first + len(entries) - 1, data[-32:])
        fresh = self._needs_file(tail, len(data), len(frames))
        name = first if fresh else tail.first
        # Until this is done, nobody knows what is in the file.
        self._tail = None
        try:
            if fresh:
                tail = self._write_file(first, data, frames, head)
            else:
                tail = self._write_behind(tail, data, frames, head)
            self._write_head(tail.slot, sync=self._rotate and fresh)
        except BaseException:
            self._abandoned.add(name)
            raise
        self._rotate = self._rotate and not fresh
        self._tail = tail
        self._trusted = Mark(head.logseq, tail.first, tail.end, head.record_hash)
        previous = before.head.record_hash
        self._written = _Written(first, previous, data, tail) if len(data) <= _KEPT else None
        return tail

    def just_written(self, start: int, previous: bytes | None, last: int) -> list[Record] | None:
        """Records `start` to `last`, where they are just what was appended last: no need to read
        them from the file."""
        written = self._written
        if written is None or (start, previous) != (written.first, written.previous):
            return None
        if last != written.tail.head.logseq:
            return None
        records: list[Record] = []
        decode_chain(written.data, written.previous, start, into=records)
        return records

    def end(self) -> None:
        """Close the files; before the lease is released."""
        self._close_files()

    def sync_head(self) -> None:
        """Make the head durable, if it was written since."""
        if self._head_unsynced:
            self._open_head()
            try:
                if self._head_fd >= 0:
                    self._calls.fsync(self._head_fd)
            except OSError as error:
                raise from_oserror(error, "syncing", self._folder.head_path) from error
            finally:
                self._close_files()
            self._head_unsynced = False

    def _needs_file(self, tail: Tail, records: int, frames: int) -> bool:
        if tail.sealed or self._rotate:
            return True
        too_long = tail.end > HEADER_SIZE and tail.end + records > self._file_size
        return too_long or (tail.frames_end > 0 and tail.frames_end + frames > self._file_size)

    def _write_file(self, first: int, data: bytes, frames: bytes, head: Head) -> Tail:
        if first == 1:
            make_folders(self._calls, self._folder.path)
        elif self._head_fd >= 0:
            self._sync_open_head()
        if frames:
            create_file(self._calls, self._folder.sidecar_path(first), frames)
        create_file(self._calls, self._folder.log_path(first), LOG_HEADER + data)
        frames_end = len(frames) if frames else -1
        return Tail(first, HEADER_SIZE + len(data), head, frames_end, sealed=False)

    def _write_behind(self, tail: Tail, data: bytes, frames: bytes, head: Head) -> Tail:
        frames_end = tail.frames_end
        if frames:
            path = self._folder.sidecar_path(tail.first)
            if frames_end < 0:
                create_file(self._calls, path, frames)
            else:
                self._put(path, frames, frames_end)
            frames_end = max(frames_end, 0) + len(frames)
        path = self._folder.log_path(tail.first)
        self._put(path, data, tail.end, self._log_fd)
        return Tail(tail.first, tail.end + len(data), head, frames_end, sealed=False)

    def _put(self, path: str, data: bytes, offset: int, fd: int = -1) -> None:
        """Write `data` at the end of a file and sync it."""
        opened = fd
        try:
            if opened < 0:
                opened = self._calls.open(path, WRITE)
            try:
                write_all_at(self._calls, opened, data, offset)
                self._calls.fsync(opened)
            except BaseException:
                # Not relied upon: what stays there is a cut tail.
                with contextlib.suppress(OSError):
                    self._calls.truncate(opened, offset)
                raise
        except OSError as error:
            raise from_oserror(error, "appending to", path) from error
        finally:
            if opened != fd:
                close_quietly(self._calls, opened)

    def _write_head(self, slot: Slot, *, sync: bool) -> None:
        path = self._folder.head_path
        if self._head_fd < 0 or self._head_raw is None:
            create_file(self._calls, path, encode_head(slot))
            return
        data, place = encode_slot(slot), next_offset(self._head_raw)
        self._head_unsynced = True
        try:
            write_all_at(self._calls, self._head_fd, data, place)
        except OSError as error:
            raise from_oserror(error, "writing", path) from error
        raw = self._head_raw
        self._head_raw = raw[:place] + data + raw[place + len(data) :]
        if sync:
            self._sync_open_head()

    def _sync_open_head(self) -> None:
        try:
            self._calls.fsync(self._head_fd)
        except OSError as error:
            raise from_oserror(error, "syncing", self._folder.head_path) from error
        self._head_unsynced = False

    def _open_head(self) -> None:
        if self._head_fd >= 0:
            return
        path = self._folder.head_path
        self._head_raw = None
        try:
            self._head_fd = self._calls.open(path, WRITE)
            self._head_raw = read_all_at(self._calls, self._head_fd, READ_SIZE, 0)
        except FileNotFoundError:
            return
        except OSError as error:
            raise from_oserror(error, "opening", path) from error

    def _is_unchanged(self, tail: Tail) -> bool:
        """Whether the log still ends as we left it; opens the newest file for `write`."""
        folder = self._folder
        if tail is NO_LOG or self._head_raw is None or newest_slot(self._head_raw) != tail.slot:
            return False
        try:
            self._log_fd = self._calls.open(folder.log_path(tail.first), WRITE)
            size = self._calls.stat_open(self._log_fd).size
        except FileNotFoundError:
            return False
        except OSError as error:
            raise from_oserror(error, "opening", folder.log_path(tail.first)) from error
        return (
            (size == tail.end or tail.sealed)
            and folder.size(folder.log_path(tail.head.logseq + 1)) < 0
            and (tail.sealed or folder.size(folder.sidecar_path(tail.first)) == tail.frames_end)
            and folder.size(folder.sidecar_path(tail.head.logseq + 1)) < 0
        )

    def _frame_index(self, first: int, status: Status) -> FrameIndex:
        """The index of a sidecar, kept as long as the file is the same one."""
        kept = self._frames
        if kept is not None and kept[:3] == (first, status.device, status.inode):
            return kept[3]
        index = FrameIndex()
        self._frames = (first, status.device, status.inode, index)
        return index

    def _close_files(self) -> None:
        for fd in (self._head_fd, self._log_fd):
            if fd >= 0:
                close_quietly(self._calls, fd)
        self._head_fd = self._log_fd = -1
