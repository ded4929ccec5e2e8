"""The pipeline of one run: units of the walk are read by worker processes or threads, registered in
the walk's order, and flushed in batches."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from holdfast.ingest.read import Reader, Taken
from holdfast.ingest.report import Named, Progressed
from holdfast.ingest.units import Unit, units
from holdfast.ingest.walk import EmptyFolder, Found, Link, Skip
from holdfast.ingest.workers import Workers
from holdfast.runs.model import FileEntry, Kind

if TYPE_CHECKING:
    from holdfast.ingest.report import Progress, SourceReport
    from holdfast.ingest.small import Answer, Asked
    from holdfast.ingest.walk import File, Walk
    from holdfast.runs.direct import Direct
    from holdfast.runs.writer import RunWriter

BATCH_FILES = 4096
BATCH_BYTES = 256 << 20
BATCH_SECONDS = 5.0
PENDING_UNITS = 48
PENDING_FOLDERS = 128
"""Units not yet registered, and open folders of theirs: they bound memory and descriptors, and give
the workers something to do while a batch is made durable."""
WORKERS_FROM = 3
"""The unit with which worker processes are started: fewer files are read before they would be."""
MOST_WORKERS = 2
"""More worker processes than this one process can feed have nothing to do."""
_TICK = 0.1
_SOON = 0.002


class Meter:
    """Files and bytes that went by, counted from several threads."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._files = self._bytes = 0
        self._next = 0.0
        self.outcomes: dict[str, int] = {}

    def add(self, files: int, size: int) -> None:
        """Count `files` and `size` bytes more."""
        with self._lock:
            self._files += files
            self._bytes += size

    def show(self, *, now: bool = False) -> None:
        """Call the progress function, if the last time was a while ago. Calling thread only."""
        if self._progress is None:
            return
        moment = time.monotonic()
        if now or moment >= self._next:
            self._next = moment + _TICK
            self._progress(Progressed(self._files, self._bytes, dict(self.outcomes)))


class Intake:
    """Takes one walk into one run. For one thread.

    Attributes:
        unread: paths of which nothing was seen that could be believed.
    """

    def __init__(self, run: RunWriter, report: SourceReport, meter: Meter, jobs: int) -> None:
        self._run = run
        self._report = report
        self._meter = meter
        self._jobs = jobs
        self._stop = threading.Event()
        self._reader = Reader(run, moved=self._moved)
        self._pending: deque[Unit] = deque()
        self._waiting: deque[Unit] = deque()
        self._direct: Direct | None = None
        self._workers: Workers[Unit] | None = None
        self._queued = self._queued_bytes = 0
        self._flushed = time.monotonic()
        self.unread: list[bytes] = []

    def take(self, found: Walk) -> None:
        """Read and register all of `found`; the last batch is left to `RunWriter.complete`."""
        pending = self._pending
        folders = 0
        self._pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="holdfast-read")
        try:
            for number, unit in enumerate(units(found), 1):
                pending.append(unit)
                self._waiting.append(unit)
                folders += len(unit.folders)
                if number == WORKERS_FROM:
                    self._start()
                self._hand_out()
                while pending and (
                    len(pending) >= PENDING_UNITS
                    or folders >= PENDING_FOLDERS
                    or self._is_read(pending[0])
                ):
                    folders -= len(pending[0].folders)
                    self._settle()
            while pending:
                self._settle()
            if self._workers is not None:
                self._workers.close()
        finally:
            self._stop.set()
            self._abandon()
            self._pool.shutdown(wait=True, cancel_futures=True)
            for unit in pending:
                unit.release()

    def _start(self) -> None:
        """Start worker processes, where there can be any; else threads do everything."""
        if not Workers.possible():
            return
        self._direct = self._run.direct()
        if self._direct is None:
            return
        try:
            self._workers = Workers(min(self._jobs, MOST_WORKERS), self._direct.lease)
        except OSError:
            self._workers = None

    def _abandon(self) -> None:
        """End the workers, whatever they do, and remove what they made of units not answered."""
        if self._workers is None or self._direct is None:
            return
        given = self._workers.jobs()
        self._workers.kill()
        for unit in given:
            self._direct.lost(unit.places, ())

    def _hand_out(self) -> None:
        """Hand waiting units to workers; to threads while those are still starting, as many as
        there are threads, and all when there are none."""
        workers = self._workers
        if workers is not None and workers.alive:
            self._collect(0)
        while self._waiting:
            if workers is not None and workers.ready:
                self._give(workers, self._waiting.popleft())
                continue
            if workers is not None and workers.alive:
                reading = sum(1 for u in self._pending if u.reading and not u.reading.done())
                if reading >= self._jobs:
                    return
            unit = self._waiting.popleft()
            unit.reading = self._pool.submit(self._read, unit.files())

    def _give(self, workers: Workers[Unit], unit: Unit) -> None:
        """Give the unit's files to a worker, but those that have no place."""
        assert self._direct is not None
        place = self._direct.place
        asked: list[Asked] = []
        taken: list[Taken | None] = []
        last, number = None, -1
        for file in unit.files():
            if file.folder is not last:
                last = file.folder
                number += 1
            to = place(file.path)
            taken.append(None)
            unit.places.append(to)
            asked.append((number, file.name, os.fsencode(to.file), to.known))
        workers.give(unit, asked, [folder.fd for folder in unit.folders])

    def _collect(self, timeout: float) -> None:
        """Take in what workers answered."""
        workers, direct = self._workers, self._direct
        assert workers is not None
        assert direct is not None
        for unit, answers in workers.answers(timeout):
            if answers is None:
                direct.lost(unit.places, [p for other in workers.jobs() for p in other.places])
                answers = [None] * len(unit.places)
            self._answered(direct, unit, answers)

    def _answered(self, direct: Direct, unit: Unit, answers: list[Answer | None]) -> None:
        taken: list[Taken | None] = []
        total = 0
        for place, answer in zip(unit.places, answers, strict=True):
            if answer is None:
                taken.append(None)
                continue
            digest, size, mode, mtime_ns, new = answer
            sha256 = digest.hex()
            stored = direct.created(place, sha256, size) if new else direct.stored(place, sha256)
            total += size
            entry = FileEntry(
                path=place.path,
                size=size,
                sha256=sha256,
                mode=mode,
                mtime_ns=mtime_ns,
                stored=stored,
            )
            taken.append(Taken(entry, size))
        unit.taken = taken
        left = [file for file, t in zip(unit.files(), taken, strict=True) if t is None]
        self._meter.add(len(unit.found) - len(left), total)
        if left:
            unit.reading = self._pool.submit(self._read, left)

    def _moved(self, size: int) -> None:
        """In a thread: a piece of a large file went by. Ends that file when all is being ended."""
        if self._stop.is_set():
            raise InterruptedError("the ingest is being ended")
        self._meter.add(0, size)

    def _read(self, files: list[File]) -> list[Taken | Skip]:
        """In a thread: read files."""
        take, stopped = self._reader.take, self._stop.is_set
        taken: list[Taken | Skip] = []
        for file in files:
            if stopped():
                break
            taken.append(take(file))
        small = sum(t.bytes_read for t in taken if type(t) is Taken and t.entry.size <= 1 << 20)
        self._meter.add(len(files), small)
        return taken

    def _is_read(self, unit: Unit) -> bool:
        if unit.reading is not None:
            return unit.reading.done()
        return unit.taken is not None

    def _settle(self) -> None:
        """Register the first pending unit, in the walk's order; flush when a batch is full."""
        unit = self._pending[0]
        while not self._is_read(unit):
            self._hand_out()
            self._meter.show()
            if unit.reading is not None:
                starting = self._workers is not None and bool(self._waiting)
                wait((unit.reading,), timeout=_SOON if starting else _TICK)
            elif unit.taken is None and self._workers is not None and self._workers.alive:
                self._collect(_TICK)
        self._pending.popleft()
        try:
            for found in unit.results():
                self._register(found)
        finally:
            unit.release()
        self._meter.show()
        self._flush()

    def _flush(self) -> None:
        """Flush when a batch is full. Where other processes write, go on while it is synced."""
        run = self._run
        if (
            self._queued >= BATCH_FILES
            or self._queued_bytes >= BATCH_BYTES
            or time.monotonic() - self._flushed >= BATCH_SECONDS
        ):
            if self._direct is not None:
                self._count(run.end_flush())
                run.begin_flush()
            else:
                self._count(run.acknowledge())
            self._queued = self._queued_bytes = 0
            self._flushed = time.monotonic()
            self._meter.show()
        elif self._direct is not None and not run.flushing:
            self._count(run.end_flush())

    def _count(self, counts: dict[str, int]) -> None:
        outcomes = self._meter.outcomes
        for outcome, number in counts.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + number

    def _register(self, found: Taken | Found) -> None:
        report = self._report
        if type(found) is Taken:
            entry = found.entry
            report.bytes_read += found.bytes_read
            self._queued_bytes += entry.size if entry.stored is not None else 0
            if entry.error is not None:
                report.errors.append(Named(entry.path, entry.error))
                self.unread.append(entry.path)
        elif isinstance(found, Skip):
            (report.errors if found.failed else report.skipped).append(
                Named(found.path, found.reason)
            )
            if found.unseen:
                self.unread.append(found.path)
            return
        elif isinstance(found, Link):
            entry = FileEntry(
                path=found.path,
                kind=Kind.SYMLINK,
                mode=stat.S_IMODE(found.mode),
                mtime_ns=found.mtime_ns,
                target=found.target,
            )
        elif isinstance(found, EmptyFolder):
            entry = FileEntry(
                path=found.path,
                kind=Kind.DIRECTORY,
                mode=stat.S_IMODE(found.mode),
                mtime_ns=found.mtime_ns,
            )
        else:
            raise TypeError(type(found).__name__)
        self._run.register(entry)
        self._queued += 1
