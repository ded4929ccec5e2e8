"""Checking, mending and clearing the files of a log.

Every byte below ``log/`` is covered: headers and records by the chain, frames by the digests that
the log names, head by its CRCs and its zeros; any other file is named as one.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Integrity, NotFound, Unsupported, from_oserror
from holdfast.ledger.artifact import Reference
from holdfast.ledger.head import (
    HEAD_SIZE,
    SLOT_OFFSETS,
    SLOT_SIZE,
    Slot,
    head_faults,
    newest_slot,
)
from holdfast.ledger.log import GENESIS, Head, Record
from holdfast.ledger.log_folder import LogFolder, Mark
from holdfast.ledger.log_recovery import WRITE, write_all_at
from holdfast.ledger.payload import PLAIN, Commit, InlinePut, RecordType, payload_of
from holdfast.ledger.record import HEADER_SIZE
from holdfast.ledger.sidecar import FrameIndex, pick
from holdfast.records import Checked, Finding, GcReport, Severity
from holdfast.store.durable import close_quietly, read_all_at, read_file, sync_folder
from holdfast.store.paths import is_temp_name

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "ledger"
_WITH_FRAME = frozenset({RecordType.COMMIT, RecordType.INLINE_PUT})
_MOST_FINDINGS = 100
"""Findings per file; what is beyond is counted."""


def reference_in(record: Record) -> Reference | None:
    """The reference whose bytes lie in the record's frame, or None when it has none.

    Raises:
        Integrity: the payload is malformed.
    """
    if record.type not in _WITH_FRAME:
        return None
    payload = payload_of(record)
    assert isinstance(payload, (Commit, InlinePut))
    return payload.reference


class FrameCheck:
    """Checks the frames of one sidecar against the records that name them.

    Args:
        read: reads (size, offset) of the sidecar.
        index: its frames, already complete.
        path: what to call it in findings.
        deep: compare digests; else only whether a frame is there.
    """

    def __init__(
        self, read: Callable[[int, int], bytes], index: FrameIndex, path: str, *, deep: bool
    ) -> None:
        self._read = read
        self._index = index
        self._path = path
        self._deep = deep
        self._used: set[int] = set()
        self._bad = 0

    def check(self, record: Record) -> Iterator[Finding]:
        """What is wrong with the frame of `record`."""
        try:
            reference = reference_in(record)
            if reference is None:
                return
            frames = self._index.find(record.logseq)
            if self._deep:
                erased = all(frame.length < 0 for frame in frames)
                for frame in frames:
                    if erased:
                        self._used.add(frame.start)
                    elif frame.length >= 0:
                        try:
                            pick((frame,), record.logseq, reference, self._read, self._path)
                        except Integrity:
                            continue
                        self._used.add(frame.start)
                        return
                if frames and erased:
                    return
                pick(frames, record.logseq, reference, self._read, self._path)
            elif not frames:
                pick((), record.logseq, reference, self._read, self._path)
        except Unsupported:
            self._used |= {frame.start for frame in self._index.find(record.logseq)}
        except HoldfastError as error:
            self._bad += 1
            if self._bad <= _MOST_FINDINGS:
                found = Finding.of(error, self._path, MODEL)
                code = "missing" if isinstance(error, NotFound) else "digest_mismatch"
                yield Finding(Severity.ERROR, code, found.path, found.message, MODEL, found.offset)

    def finish(self, size: int, last: int, *, is_newest: bool) -> Iterator[Finding]:
        """What no record names: `size` is the sidecar's, `last` its file's newest logseq."""
        if self._bad > _MOST_FINDINGS:
            more = f"{self._bad - _MOST_FINDINGS} more records without their frames"
            yield Finding(Severity.ERROR, "digest_mismatch", self._path, more, MODEL)
        extra = [frame for frame in self._index if frame.start not in self._used]
        above = [frame for frame in extra if frame.logseq > last]
        below = len(extra) - len(above)
        if below or (above and not is_newest):
            text = f"{len(extra)} frames that no record names"
            yield Finding(Severity.INFO, "litter", self._path, text, MODEL, extra[0].start)
        torn = size - self._index.end
        if torn or (above and is_newest):
            text = f"{len(above)} frames above head and {torn} bytes that are no whole frame"
            offset = above[0].start if above else self._index.end
            severity = Severity.WARNING if is_newest or self._bad else Severity.INFO
            yield Finding(
                severity, "torn_tail", self._path, text, MODEL, offset, repairable=is_newest
            )


class FileLogCheck:
    """One check of the files of a log, up to `head`."""

    def __init__(self, folder: LogFolder, head: Head, *, deep: bool) -> None:
        self._folder = folder
        self._head = head
        self._deep = deep

    def run(self) -> Iterator[Finding | Checked]:
        """The findings, and what was read."""
        logs, sidecars, others = self._folder.listing()
        yield from self._check_head(logs)
        yield from self._check_others(others)
        for first in sidecars:
            if first not in logs:
                path = self._folder.shown(self._folder.sidecar_path(first))
                text = "frames without their log file"
                yield Finding(Severity.WARNING, "litter", path, text, MODEL, None, True)
        logs = [first for first in logs if first <= self._head.logseq]
        if (logs or self._head.logseq) and (not logs or logs[0] != 1):
            error = self._folder.missing(1)
            path = self._folder.shown(self._folder.log_path(1))
            yield Finding(Severity.ERROR, "missing", path, str(error), MODEL)
        previous: bytes | None = GENESIS
        for i, first in enumerate(logs):
            before = previous if previous is not None else self._hash_before(logs, i)
            last = logs[i + 1] - 1 if i + 1 < len(logs) else self._head.logseq
            previous = yield from self._check_file(first, before, last)

    def _hash_before(self, logs: list[int], i: int) -> bytes | None:
        """The hash before a file that follows a damaged one, where it can still be found."""
        try:
            return self._folder.first_mark(logs, i).record_hash
        except HoldfastError:
            return None

    def _check_head(self, logs: list[int]) -> Iterator[Finding | Checked]:
        path = self._folder.shown(self._folder.head_path)
        try:
            data = read_file(self._folder.calls, self._folder.head_path)
        except NotFound:
            if logs:
                text = "the head of the log is not there"
                yield Finding(Severity.ERROR, "missing", path, text, MODEL, None, True)
            return
        except HoldfastError as error:
            yield Finding.of(error, path, MODEL)
            return
        for offset, text in head_faults(data):
            yield Finding(Severity.ERROR, "malformed", path, text, MODEL, offset, True)
        slot = newest_slot(data)
        if slot is None and logs:
            text = "no slot is valid"
            yield Finding(Severity.ERROR, "malformed", path, text, MODEL, 0, True)
        yield Checked(1, len(data))

    def _check_others(self, others: list[str]) -> Iterator[Finding]:
        for name in others:
            if name == "head" or is_temp_name(name):
                continue
            if name == "cut":
                for path, size in cut_files(self._folder):
                    text = f"{size} bytes that were never acknowledged; `holdfast gc` removes them"
                    yield Finding(Severity.INFO, "torn_tail", self._folder.shown(path), text, MODEL)
            else:
                path = self._folder.shown(f"{self._folder.path}/{name}")
                text = "not a file of the log"
                yield Finding(Severity.INFO, "unexpected_file", path, text, MODEL)

    def _check_file(
        self, first: int, before: bytes | None, last: int
    ) -> Generator[Finding | Checked, None, bytes | None]:
        """Check one log file with its sidecar; returns the hash of its last record, or None."""
        try:
            return (yield from self._check_records(first, before, last))
        except HoldfastError as error:
            path = self._folder.log_path(first)
            if error.target == self._folder.sidecar_path(first):
                path = self._folder.sidecar_path(first)
            code = "missing" if isinstance(error, NotFound) else error.code
            message, offset = str(error), error.offset
            shown = self._folder.shown(path)
            yield Finding(Severity.ERROR, code, shown, message, MODEL, offset)
            return None

    def _check_records(
        self, first: int, before: bytes | None, last: int
    ) -> Generator[Finding | Checked, None, bytes | None]:
        folder = self._folder
        path, side = folder.log_path(first), folder.sidecar_path(first)
        index = FrameIndex()
        side_size = folder.size(side)
        side_fd = -1
        try:
            if side_size >= 0:
                side_fd = folder.calls.open(side, WRITE & ~3)
                index.extend(lambda n, at: read_all_at(folder.calls, side_fd, n, at), side_size)
            frames = FrameCheck(
                lambda n, at: read_all_at(folder.calls, side_fd, n, at),
                index,
                folder.shown(side),
                deep=self._deep,
            )
            mark = Mark(first - 1, first, HEADER_SIZE, before or b"")
            chain = self._deep and before is not None
            end = mark
            size = 0
            steps = folder.scan(mark, stop=last, records=chain, chain=chain, plain=PLAIN)
            for records, step in steps:
                for record in records:
                    if record.type in _WITH_FRAME:
                        yield from frames.check(record)
                    else:
                        payload_of(record, path)
                if step.fault is not None:
                    raise folder.broken(first, step.fault)
                if step.logseq > end.logseq:
                    yield Checked(0, step.offset - size)
                    end, size = Mark(step.logseq, first, step.offset, step.record_hash), step.offset
            if end.logseq < last:
                raise folder.ended(first, end.offset, end.logseq + 1)
            if side_size >= 0 and chain:
                is_newest = last == self._head.logseq
                yield from frames.finish(side_size, last, is_newest=is_newest)
            yield Checked(1 if side_size < 0 else 2, max(0, side_size))
        except OSError as error:
            raise from_oserror(error, "reading", side) from error
        finally:
            if side_fd >= 0:
                close_quietly(folder.calls, side_fd)
        yield from self._behind(first, end.offset, last)
        return end.record_hash if chain else None

    def _behind(self, first: int, end: int, last: int) -> Iterator[Finding]:
        """Bytes behind the end of a file that another one follows."""
        path = self._folder.log_path(first)
        size = self._folder.size(path)
        if last < self._head.logseq and size > end:
            text = f"{size - end} bytes behind record {last}, where the file ends: a cut tail"
            yield Finding(Severity.INFO, "torn_tail", self._folder.shown(path), text, MODEL, end)


def tail_finding(folder: LogFolder, newest: int, slot: Slot | None) -> Finding:
    """The finding for bytes above head that no writer is at work on."""
    path = folder.shown(folder.log_path(newest))
    text = "bytes above head: the next writer, or `holdfast fsck --repair`, keeps or cuts them"
    offset = slot.offset if slot is not None and slot.logseq >= newest else None
    return Finding(Severity.WARNING, "torn_tail", path, text, MODEL, offset, True)


def mend_head(folder: LogFolder) -> list[Finding]:
    """Put zeros where the head file must have them, after recovery has written its slots.

    In place: readers keep the file open.
    """
    path = folder.head_path
    calls = folder.calls
    try:
        data = read_file(calls, path)
    except NotFound:
        return []
    faults = head_faults(data)
    if not faults:
        return []
    right = bytearray(HEAD_SIZE)
    for offset in SLOT_OFFSETS:
        slot = data[offset : offset + SLOT_SIZE]
        if not any(at == offset for at, _ in faults):
            right[offset : offset + len(slot)] = slot
    try:
        fd = calls.open(path, WRITE)
        try:
            write_all_at(calls, fd, right, 0)
            calls.truncate(fd, HEAD_SIZE)
            calls.fsync(fd)
        finally:
            close_quietly(calls, fd)
    except OSError as error:
        raise from_oserror(error, "mending", path) from error
    text = "mended: " + "; ".join(text for _, text in faults)
    return [Finding(Severity.INFO, "malformed", folder.shown(path), text, MODEL)]


def cut_files(folder: LogFolder) -> list[tuple[str, int]]:
    """(absolute path, size) of what lies in ``log/cut``."""
    try:
        names = folder.calls.list_folder(folder.cut_path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise from_oserror(error, "listing", folder.cut_path) from error
    paths = sorted(f"{folder.cut_path}/{name}" for name, is_folder in names if not is_folder)
    return [(path, max(0, folder.size(path))) for path in paths if not is_temp_name(path[-20:])]


def collect_cut(folder: LogFolder, *, dry_run: bool) -> GcReport:
    """Remove cut tails: those in ``log/cut``, and those behind the end of older log files."""
    report = GcReport()
    removed = False
    for path, size in cut_files(folder):
        if not dry_run:
            try:
                folder.calls.unlink(path)
            except OSError as error:
                report.failed.append((folder.shown(path), str(from_oserror(error, "removing"))))
                continue
            removed = True
        report.removed.append((folder.shown(path), size))
    if removed:
        sync_folder(folder.calls, folder.cut_path)
    logs = folder.listing().logs
    for first, following in itertools.pairwise(logs):
        path = folder.log_path(first)
        try:
            start = Mark(first - 1, first, HEADER_SIZE, b"")
            end = folder.walk_to(start, following - 1, chain=False).offset
            size = folder.size(path)
            if size > end:
                if not dry_run:
                    _truncate(folder, path, end)
                report.removed.append((folder.shown(path), size - end))
        except HoldfastError as error:
            report.failed.append((folder.shown(path), str(error)))
    return report


def _truncate(folder: LogFolder, path: str, end: int) -> None:
    calls = folder.calls
    try:
        fd = calls.open(path, WRITE)
        try:
            calls.truncate(fd, end)
            calls.fsync(fd)
        finally:
            close_quietly(calls, fd)
    except OSError as error:
        raise from_oserror(error, "cutting", path) from error
