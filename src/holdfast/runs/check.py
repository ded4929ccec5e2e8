"""Checking, mending and sweeping the runs of a store (spec/runs.md §1, §3).

Every byte below the prefix is covered: the claim by the journal's begin line, the journal by its
own chain and by ``run.json``, ``run.json`` by the journal that it must be the seal of and by its
COMMIT, stored files and artifacts by their SHA-256, ``project.json`` by its own. The derived index
is covered by nothing: it can be built again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Integrity, NotFound
from holdfast.records import Checked, Finding, GcReport, NullSink, Severity
from holdfast.runs import projects
from holdfast.runs.check_run import RunCheck
from holdfast.runs.finish import RUN_JSON
from holdfast.runs.journal import begin_of
from holdfast.runs.naming import RESERVED_FOLDERS, parse_run_folder
from holdfast.runs.stage import RAW_SOURCE

if TYPE_CHECKING:
    from holdfast.runs.finish import Finisher
    from holdfast.runs.history import ProjectHistory
    from holdfast.runs.journals import Journals
    from holdfast.runs.model import Project, RunInfo
    from holdfast.store.protocol import Store

INDEX = "metadata.duckdb"
MODEL = "run"


class Check:
    """One pass over the runs of a store.

    Args:
        histories: gives each project with its history.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        journals: Journals,
        finisher: Finisher,
        histories: Callable[[], Iterator[tuple[Project, ProjectHistory]]],
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._journals = journals
        self._finisher = finisher
        self._histories = histories

    def verify(self, *, deep: bool) -> Iterator[Finding | Checked]:
        """Findings, and what was read between them."""
        folders, files = self._store.children(self._prefix)
        for entry in files:
            if not entry.path.rpartition("/")[2].startswith(INDEX):
                yield _unexpected(entry.path)
        for folder in folders:
            if folder not in RESERVED_FOLDERS:
                yield from self._project(folder, deep)

    def _project(self, folder: str, deep: bool) -> Iterator[Finding | Checked]:
        base = f"{self._prefix}/{folder}"
        names, files = self._store.children(base)
        key = f"{base}/{projects.FILE}"
        project: Project | None = None
        for entry in files:
            if entry.path != key:
                yield _unexpected(entry.path)
        try:
            data = projects.read(self._store, key)
            yield Checked(1, len(data))
            project = projects.decode(data, key)
            if project.folder != folder:
                raise Integrity("reading the project", key, found=f"folder {project.folder!r}")
        except NotFound:
            if any(self._has_run(f"{base}/{name}") for name in names):
                yield Finding(Severity.ERROR, "missing", key, "the project's file is gone", MODEL)
        except HoldfastError as error:
            yield Finding.of(error, key, MODEL)
        for name in names:
            if parse_run_folder(name) is None:
                for found in self._store.list(f"{base}/{name}"):
                    yield _unexpected(found.path)
                continue
            check = RunCheck(self._store, self._prefix, self._journals, self._finisher, project)
            try:
                yield from check.run(f"{base}/{name}", deep=deep)
            except HoldfastError as error:
                yield Finding.of(error, f"{base}/{name}", MODEL)

    def _has_run(self, run_dir: str) -> bool:
        return parse_run_folder(run_dir.rpartition("/")[2]) is not None and any(
            True for _ in self._store.list(run_dir)
        )

    def repair(self) -> Iterator[Finding]:
        """Mend what can be mended without loss; what was mended, as INFO findings."""
        for project, history in self._histories():
            base = f"{self._prefix}/{project.folder}"
            try:
                for info in self._finisher.dead_runs(history):
                    yield _ended(info)
                yield from self._anchor(history)
            except HoldfastError as error:
                yield Finding.of(error, error.target or base, MODEL)
        report = self.collect(dry_run=False)
        for path, size in report.removed:
            yield Finding(Severity.INFO, "litter", path, f"removed, {size} bytes", MODEL)
        for path, message in report.failed:
            yield Finding(Severity.WARNING, "litter", path, message, MODEL)

    def _anchor(self, history: ProjectHistory) -> Iterator[Finding]:
        sink = self._finisher.sink
        if isinstance(sink, NullSink):
            return
        history.refresh()
        for run in sorted(history.runs.values(), key=lambda r: r.last):
            if not run.ended or run.begin is None:
                continue
            if sink.find_commit(MODEL, history.name, run.begin.run_id) is not None:
                continue
            if self._finisher.liveness.alive(run.begin.run_id):
                continue
            self._finisher.anchor(history, run)
            yield Finding(
                Severity.INFO, "unanchored", f"{run.run_dir}/{RUN_JSON}", "anchored now", MODEL
            )

    def collect(self, *, dry_run: bool) -> GcReport:
        """Remove staged files of finished runs that their journals do not name."""
        report = GcReport()
        for project, _ in self._histories():
            base = f"{self._prefix}/{project.folder}"
            for name in self._store.children(base)[0]:
                run_dir = f"{base}/{name}"
                if parse_run_folder(name) is None or not self._store.exists(
                    f"{run_dir}/{RUN_JSON}"
                ):
                    continue
                try:
                    self._sweep(run_dir, report, dry_run)
                except HoldfastError as error:
                    report.failed.append((run_dir, str(error)))
        return report

    def _sweep(self, run_dir: str, report: GcReport, dry_run: bool) -> None:
        parsed = self._journals.read(run_dir)
        begin_of(parsed.batches)
        if parsed.torn or parsed.batches[-1].end is None:
            raise Integrity("reading the journal", run_dir, found="no end line")
        named = {
            f"{self._prefix}/{line.stored}"
            for batch in parsed.batches
            for line in batch.files
            if line.stored is not None
        }
        for entry in self._store.list(f"{run_dir}/{RAW_SOURCE}"):
            if entry.path in named:
                continue
            if not dry_run:
                try:
                    self._store.delete(entry.path)
                except HoldfastError as error:
                    report.failed.append((entry.path, str(error)))
                    continue
            report.removed.append((entry.path, entry.size))


def _ended(info: RunInfo) -> Finding:
    return Finding(
        Severity.INFO,
        "dead_run",
        info.run_dir,
        f"ended as {info.status}" + (f": {info.error}" if info.error else ""),
        MODEL,
    )


def _unexpected(path: str) -> Finding:
    """Of a file that nothing reads: nothing is wrong, and nothing is to be done."""
    return Finding(Severity.INFO, "unexpected_file", path, "no run of Holdfast put it there", MODEL)
