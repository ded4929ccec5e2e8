"""`ingest`: sources in, one run each (spec/runs.md §3).

The calling thread walks and registers, so that registration follows the walk's order; worker
processes and threads read, hash and stage (`holdfast.ingest.intake`).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Invalid, from_oserror
from holdfast.ingest.intake import Intake, Meter
from holdfast.ingest.report import IngestReport, Progress, SourceReport
from holdfast.ingest.walk import Walk, walk
from holdfast.runs.model import Source, WalkedRoots

if TYPE_CHECKING:
    from holdfast.repository import Repository
    from holdfast.runs.runs import Runs
    from holdfast.runs.writer import RunWriter


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
        jobs: threads that read, and at most that many worker processes; by default
            `default_jobs()`.

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
    meter = Meter(progress)
    for root in roots:
        name = project if project is not None else default_project(root)
        identities = frozenset() if avoid is None else frozenset({avoid[1]})
        with walk(root, avoid=identities) as found:
            report.sources.append(_one_source(runs, found, name, action, meter, jobs))
    report.seconds = time.monotonic() - started
    meter.show(now=True)
    return report


def default_jobs() -> int:
    """Threads that read by default. Small files are left to worker processes, because threads are
    bound by the interpreter's lock; more only help where the source's latency dominates."""
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
    runs: Runs, found: Walk, project: str, action: str, meter: Meter, jobs: int | None
) -> SourceReport:
    whole = os.path.isdir(found.root)
    url = os.fsencode(found.root).decode("utf-8", "backslashreplace")
    run = runs.begin(project, action, source=Source("folder" if whole else "file", url))
    report = SourceReport(found.root, run.project.name, run.run_id, run.run_dir)
    intake = Intake(run, report, meter, jobs or default_jobs())
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
