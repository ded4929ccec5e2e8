"""`ingest`: sources in, one run each (spec/runs.md §3).

The calling thread walks and registers, so that registration follows the walk's order; worker
threads read, hash and stage. Files travel in units, because handing over one at a time would cost
more than reading it.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Invalid, from_oserror
from holdfast.ingest.read import Reader, Taken
from holdfast.ingest.report import IngestReport, Named, Progress, Progressed, SourceReport
from holdfast.ingest.walk import EmptyFolder, File, Folder, Found, Link, Skip, Walk, walk
from holdfast.runs.model import FileEntry, Kind, Source, WalkedRoots

if TYPE_CHECKING:
    from holdfast.repository import Repository
    from holdfast.runs.runs import Runs
    from holdfast.runs.writer import RunWriter

BATCH_FILES = 4096
BATCH_BYTES = 256 << 20
BATCH_SECONDS = 5.0
UNIT_FILES = 128
UNIT_FOLDERS = 8
PENDING_UNITS = 16
"""Units handed out and not yet registered: they bound memory and open folders, and give the workers
something to do while a batch is made durable."""
_TICK = 0.1


@dataclass(slots=True)
class _Unit:
    """Consecutive findings of the walk. `files` are read by a worker; `found` has all, in order."""

    found: list[Found] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)

    def release(self) -> None:
        for folder in self.folders:
            folder.release()
        self.folders = []


class _Meter:
    """Files and bytes that went by, counted from several threads."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._files = self._bytes = 0
        self._next = 0.0
        self.outcomes: dict[str, int] = {}

    def add(self, files: int, size: int) -> None:
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


def ingest(
    repository: Repository | Runs,
    sources: Iterable[str | os.PathLike[str]],
    *,
    project: str | None = None,
    action: str = "ingest",
    progress: Progress | None = None,
    jobs: int | None = None,
) -> IngestReport:
    """Take `sources`, folders or single files, in: one run per source.

    A file that cannot be read, or changes each of three times it is read, is named in the report
    and makes its run `completed_with_errors`; nothing else stops for it.

    Args:
        project: name or id; by default the name of each source's folder or file.
        progress: called about ten times a second, with totals over all sources.
        jobs: threads that read; by default `default_jobs()`.

    Raises:
        NotFound, Denied, Invalid: a source that cannot be opened, is a repository, or lies in this
            one; checked for all sources before the first run begins.
        KeyboardInterrupt: the run was ended as `failed`; files flushed before stay valid.
        HoldfastError: the repository failed; the run was ended as `failed`, if that was possible.
    """
    started = time.monotonic()
    runs: Runs = getattr(repository, "runs", repository)  # type: ignore[arg-type]
    roots = [os.path.abspath(os.fspath(source)) for source in sources]
    if not roots:
        raise Invalid("taking in", found="no source", hint="name a folder or a file")
    avoid = _own_folder(getattr(repository, "store", None))
    for root in roots:
        _check_source(root, avoid)
    report = IngestReport()
    meter = _Meter(progress)
    for root in roots:
        name = project if project is not None else default_project(root)
        identities = frozenset() if avoid is None else frozenset({avoid[1]})
        with walk(root, avoid=identities) as found:
            report.sources.append(_one_source(runs, found, name, action, meter, jobs))
    report.seconds = time.monotonic() - started
    meter.show(now=True)
    return report


def default_jobs() -> int:
    """Threads that read by default. Small files are bound by the interpreter's lock from two
    threads on; more only help where the source's latency dominates."""
    return min(4, max(2, os.cpu_count() or 1))


def default_project(root: str) -> str:
    """The last component of the absolute path `root`; that of what it stands for when it has none
    (``/``)."""
    name = os.path.basename(root) or os.path.basename(os.path.realpath(root)) or "root"
    return os.fsencode(name).decode("utf-8", "replace")


def _own_folder(store: object) -> tuple[str, tuple[int, int]] | None:
    """(real path, (device, inode)) of the repository's folder, where it has one."""
    root = getattr(store, "root", None)
    if not isinstance(root, str):
        return None
    found = os.stat(root)
    return os.path.realpath(root), (found.st_dev, found.st_ino)


def _check_source(root: str, avoid: tuple[str, tuple[int, int]] | None) -> None:
    try:
        found = os.stat(root)
        if stat.S_ISDIR(found.st_mode):
            os.close(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        raise from_oserror(error, "reading the source", root) from None
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        raise Invalid("taking in", root, found="neither a folder nor a file")
    if avoid is not None:
        true = os.path.realpath(root)
        if true == avoid[0] or true.startswith(avoid[0] + os.sep):
            raise Invalid(
                "taking in",
                root,
                found="it lies in the repository itself",
                hint="name a folder outside of the repository",
            )


def _one_source(
    runs: Runs, found: Walk, project: str, action: str, meter: _Meter, jobs: int | None
) -> SourceReport:
    whole = os.path.isdir(found.root)
    url = os.fsencode(found.root).decode("utf-8", "backslashreplace")
    run = runs.begin(project, action, source=Source("folder" if whole else "file", url))
    report = SourceReport(found.root, run.project.name, run.run_id, run.run_dir)
    intake = _Intake(run, report, meter, jobs or default_jobs())
    try:
        intake.take(found)
        walked = WalkedRoots(whole=True, unread=tuple(intake.unread)) if whole else None
        status = "completed_with_errors" if report.errors else None
        info = run.complete(status, walked=walked)
    except BaseException as error:
        # Whatever happened, what was flushed stays valid and the run says why it ended.
        _fail(run, "interrupted" if isinstance(error, KeyboardInterrupt) else str(error))
        raise
    report.status = info.status
    report.counts = dict(info.counts)
    report.bytes_stored = info.bytes
    report.ignored = found.ignored
    return report


def _fail(run: RunWriter, message: str) -> None:
    try:
        run.fail(message)
    except HoldfastError:
        # The store is broken or full: the next open finds the run dead and ends it.
        return


class _Intake:
    """The pipeline of one run."""

    def __init__(self, run: RunWriter, report: SourceReport, meter: _Meter, jobs: int) -> None:
        self._run = run
        self._report = report
        self._meter = meter
        self._jobs = jobs
        self._stop = threading.Event()
        self._reader = Reader(run, moved=self._moved)
        self._queued = self._queued_bytes = 0
        self._flushed = time.monotonic()
        self.unread: list[bytes] = []

    def take(self, found: Walk) -> None:
        """Read and register all of `found`; the last batch is left to `RunWriter.complete`."""
        pending: deque[tuple[_Unit, Future[list[Taken | Skip]]]] = deque()
        pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="holdfast-read")
        try:
            for unit in _units(found):
                pending.append((unit, pool.submit(self._read, unit)))
                while pending and (len(pending) >= PENDING_UNITS or pending[0][1].done()):
                    self._settle(*pending.popleft())
            while pending:
                self._settle(*pending.popleft())
        finally:
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            for unit, _ in pending:
                unit.release()

    def _moved(self, size: int) -> None:
        """In a worker: a piece of a large file went by. Ends that file when all is being ended."""
        if self._stop.is_set():
            raise InterruptedError("the ingest is being ended")
        self._meter.add(0, size)

    def _read(self, unit: _Unit) -> list[Taken | Skip]:
        """In a worker: read the unit's files."""
        take, stopped = self._reader.take, self._stop.is_set
        taken: list[Taken | Skip] = []
        for found in unit.found:
            if type(found) is File:
                if stopped():
                    break
                taken.append(take(found))
        small = sum(t.bytes_read for t in taken if type(t) is Taken and t.entry.size <= 1 << 20)
        self._meter.add(len(unit.found), small)
        return taken

    def _settle(self, unit: _Unit, future: Future[list[Taken | Skip]]) -> None:
        """Register what a worker read, in the walk's order; flush when a batch is full."""
        try:
            taken = iter(self._result(future))
        finally:
            unit.release()
        for found in unit.found:
            self._register(next(taken) if type(found) is File else found)
        self._meter.show()
        if (
            self._queued >= BATCH_FILES
            or self._queued_bytes >= BATCH_BYTES
            or time.monotonic() - self._flushed >= BATCH_SECONDS
        ):
            for answer in self._run.flush():
                outcomes = self._meter.outcomes
                outcomes[answer.status] = outcomes.get(answer.status, 0) + 1
            self._queued = self._queued_bytes = 0
            self._flushed = time.monotonic()
            self._meter.show()

    def _result(self, future: Future[list[Taken | Skip]]) -> list[Taken | Skip]:
        while not future.done():
            wait((future,), timeout=_TICK)
            self._meter.show()
        return future.result()

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


def _units(found: Walk) -> Iterator[_Unit]:
    """The walk's findings in order, as units of bounded numbers of files and open folders."""
    unit = _Unit()
    last: Folder | None = None
    try:
        for entry in found:
            if type(entry) is File and entry.folder is not last:
                last = entry.folder.retain()
                unit.folders.append(last)
            unit.found.append(entry)
            if len(unit.found) >= UNIT_FILES or len(unit.folders) >= UNIT_FOLDERS:
                full, unit, last = unit, _Unit(), None
                yield full
        if unit.found:
            full, unit = unit, _Unit()
            yield full
    finally:
        unit.release()
