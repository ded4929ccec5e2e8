"""`fsck`: find what a crash left unfinished, and with `repair` finish it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from holdfast.errors import Denied, HoldfastError
from holdfast.maintenance.folders import folders_of
from holdfast.maintenance.report import FsckReport
from holdfast.maintenance.verify import check
from holdfast.records import Finding, GcReport, Severity

if TYPE_CHECKING:
    from holdfast.repository import Repository


def fsck(repository: Repository, *, repair: bool = False) -> FsckReport:
    """Check structure and sizes; with `repair` anchor commits, end dead runs, remove litter.

    Nothing that was acknowledged is touched. What is mended without loss ends up in `mended`;
    `left` is what a second check still finds.

    Raises:
        Denied: `repair` of a repository that is open for reading only.
    """
    started = time.monotonic()
    if repair and repository.read_only:
        raise Denied("repairing", repository.url, found="it is open for reading only")
    report = FsckReport(repository.url, repair)
    report.found = _findings(repository)
    if repair:
        report.mended = list(_mend(repository))
        report.left = [f for f in _findings(repository) if f.severity is not Severity.INFO]
    else:
        report.left = [f for f in report.found if f.severity is not Severity.INFO]
    report.seconds = time.monotonic() - started
    return report


def _findings(repository: Repository) -> list[Finding]:
    return [step for step in check(repository, deep=False) if isinstance(step, Finding)]


def _mend(repository: Repository) -> Iterator[Finding]:
    # The ledger first: the runs announce to it what they finish.
    yield from _tried("ledger", "ledger", repository.ledger.repair)
    yield from _tried("holdfast.json", "repository", lambda: _anchor(repository))
    yield from _tried("runs", "run", lambda: _end_runs(repository))
    for folder in folders_of(repository):
        yield from _tried(folder.path, folder.kind, folder.model.repair)
    yield from _tried("", "repository", lambda: _sweep(repository))


def _tried(path: str, model: str, steps: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The steps; an error ends them and is named, so that the other models are still mended."""
    try:
        yield from steps()
    except HoldfastError as error:
        yield Finding.of(error, path if error.target is None else error.target, model)


def _end_runs(repository: Repository) -> Iterator[Finding]:
    yield from repository.runs.repair()


def _anchor(repository: Repository) -> Iterator[Finding]:
    from holdfast.opening import anchor_config
    from holdfast.repository_config import CONFIG

    for _ in repository.ledger.commits(model="repository", name=CONFIG, limit=1):
        return
    logseq = anchor_config(repository)
    yield Finding(
        Severity.INFO, "unanchored", CONFIG, f"fixed by COMMIT {logseq} now", "repository"
    )


def _sweep(repository: Repository) -> Iterator[Finding]:
    for path, size in sweep_temps(repository, dry_run=False).removed:
        yield Finding(
            Severity.INFO, "litter", path, f"removed, {size} bytes of a dead process", "repository"
        )


def sweep_temps(repository: Repository, *, dry_run: bool) -> GcReport:
    """Remove temporary files that nobody writes any more; stores without visible ones have none."""
    sweep = getattr(repository.store, "remove_stale_temps", None)
    if sweep is None:
        return GcReport()
    report: GcReport = sweep("", dry_run=dry_run)
    return report
