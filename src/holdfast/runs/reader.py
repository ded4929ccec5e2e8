"""Reading runs, files and versions (spec/runs.md §4): the half of the facade without writes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from holdfast.clock import SystemClock, SystemIds
from holdfast.errors import NotFound
from holdfast.records import NullSink
from holdfast.runs import reading
from holdfast.runs.catalog import RunCatalog
from holdfast.runs.finish import Finisher
from holdfast.runs.history import ProjectHistory
from holdfast.runs.journals import Journals
from holdfast.runs.liveness import Liveness
from holdfast.runs.model import RunDiff
from holdfast.runs.projects import Projects

if TYPE_CHECKING:
    from holdfast.clock import Clock, Ids
    from holdfast.records import CommitSink
    from holdfast.runs.model import FileVersion, Project, RunInfo
    from holdfast.store.protocol import Store

_log = logging.getLogger(__name__)


class RunReader:
    """What can be asked of the runs of one store; see `Runs`."""

    def __init__(
        self,
        store: Store,
        sink: CommitSink | None,
        prefix: str,
        clock: Clock | None,
        ids: Ids | None,
    ) -> None:
        self.store = store
        self.prefix = prefix
        self.sink: CommitSink = NullSink() if sink is None else sink
        self._clock: Clock = SystemClock() if clock is None else clock
        self._ids: Ids = SystemIds() if ids is None else ids
        self._journals = Journals(store)
        self._projects = Projects(store, prefix, self._clock, self._ids)
        self._liveness = Liveness(store, self._clock, self._ids)
        self._finisher = Finisher(store, self._journals, self.sink, self._clock, self._liveness)
        self._catalog = RunCatalog(store, self._journals, self._projects, prefix)
        self._histories: dict[str, ProjectHistory] = {}
        self._lock = threading.RLock()

    def projects(self) -> list[Project]:
        """All projects, by folder."""
        return self._projects.list()

    def project(self, name_or_id: str) -> Project:
        """The project of that id or name. Raises `NotFound`."""
        return self._projects.get(name_or_id)

    def list_runs(
        self,
        project: str | None = None,
        *,
        status: str | None = None,
        action: str | None = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> list[RunInfo]:
        """Runs, newest first; of all projects when `project` is None. `before` is a run id: only
        runs older than that one."""
        found = None if project is None else self.project(project)
        return self._catalog.list(found, status=status, action=action, limit=limit, before=before)

    def find_run(self, text: str) -> RunInfo:
        """The run whose id begins with `text` (at least 4 characters) or whose folder is `text`
        (``<run>`` or ``<Project>/<run>``).

        Raises:
            NotFound: none.
            Invalid: several.
        """
        return self._catalog.find(text)

    def get_run_metadata(self, run_id: str) -> RunInfo:
        """As `find_run`, with artifact types, counts and bytes, of a run in progress too."""
        return self._catalog.metadata(self._catalog.by_id(run_id))

    def files_of(self, run_id: str, *, removed: bool = False) -> Iterator[FileVersion]:
        """What the run saw, by path bytes: every file, duplicates too, entries with an error too.
        `removed` adds the paths that it marked removed. A path met twice is given as seen last.

        Raises:
            NotFound: no such run.
            Integrity, ManifestInvalid: its record is damaged.
        """
        info = self._catalog.by_id(run_id)
        lines = reading.entries_of(self.store, self._journals, self.sink, info.run_dir)
        for line in reading.last_of_each(lines):
            if removed or line.outcome != "removed":
                yield line.version(info.project.name, info.run_id)

    def current_files(self, project: str, prefix: bytes | str = b"") -> list[FileVersion]:
        """The project's current versions at or below the path `prefix`, by path bytes."""
        found = self.project(project)
        state = self._fresh(found).state
        at = (prefix.encode() if isinstance(prefix, str) else prefix).rstrip(b"/")
        below = at + b"/"
        return [
            reading.version_of(sight.line, state, found.name)
            for path, sight in sorted(state.current.items())
            if not at or path == at or path.startswith(below)
        ]

    def get_latest_file(self, project: str, filename: str | bytes) -> FileVersion | None:
        """The current version of a path, or None."""
        found = self.project(project)
        state = self._fresh(found).state
        path = filename.encode() if isinstance(filename, str) else filename
        sight = state.current.get(path)
        return None if sight is None else reading.version_of(sight.line, state, found.name)

    def get_file_history(self, project: str, filename: str | bytes) -> list[FileVersion]:
        """All versions of a path, newest first."""
        found = self.project(project)
        state = self._fresh(found).state
        path = filename.encode() if isinstance(filename, str) else filename
        return [
            reading.version_of(line, state, found.name, by) for line, by in state.versions(path)
        ]

    def find_sha256(self, sha256: str) -> FileVersion | None:
        """A stored version with these bytes in any project, or None."""
        return next(self._with_prefix(sha256), None)

    def find_sha256_prefix(self, prefix: str) -> list[FileVersion]:
        """For each SHA-256 (lowercase hex) that begins so, one stored version; by digest."""
        found: dict[str, FileVersion] = {}
        for version in self._with_prefix(prefix):
            found.setdefault(version.sha256 or "", version)
        return [found[sha256] for sha256 in sorted(found)]

    def _with_prefix(self, prefix: str) -> Iterator[FileVersion]:
        for project in self._projects.list():
            for run_dir in self._catalog.run_dirs(project):
                try:
                    if not reading.find_in_journal(self._journals.whole(run_dir), prefix):
                        continue
                except NotFound:
                    continue
                for batch in self._journals.read(run_dir).batches:
                    for line in batch.files:
                        if (line.sha256 or "").startswith(prefix) and line.stored is not None:
                            yield line.version(project.name)

    def diff(self, run_a: str, run_b: str) -> RunDiff:
        """What differs between the files of two runs: kind, bytes, or target."""

        def files(run_id: str) -> dict[bytes, FileVersion]:
            return {v.path: v for v in self.files_of(run_id) if v.outcome != "failed"}

        before, after = files(run_a), files(run_b)
        return RunDiff(
            added=tuple(after[p] for p in sorted(after.keys() - before.keys())),
            removed=tuple(before[p] for p in sorted(before.keys() - after.keys())),
            changed=tuple(
                (before[p], after[p])
                for p in sorted(before.keys() & after.keys())
                if (before[p].kind, before[p].sha256, before[p].target)
                != (after[p].kind, after[p].sha256, after[p].target)
            ),
        )

    def open_file(self, version: FileVersion) -> BinaryIO:
        """The version's bytes as a stream that checks size and SHA-256 before it gives out the
        last of them.

        Raises:
            Integrity: at once or while reading: the file is missing, or its bytes are others.
            Invalid: a version without bytes (symlink, folder, removal).
        """
        return cast("BinaryIO", reading.open_verified(self.store, self.prefix, version))

    def resolve_artifact_path(self, reference: str) -> str | None:
        """The key from the store's root of an artifact: ``[<Project>/]<run>/<type>/<name>`` in the
        present structure, else the migrated legacy path (with a warning), else None."""
        key, legacy = self._catalog.resolve(reference)
        if legacy:
            _log.warning("%s lies at a legacy path: %s", reference, key)
        return key

    def _history(self, project: Project, *, fresh: bool = False) -> ProjectHistory:
        with self._lock:
            history = self._histories.get(project.folder)
            if history is None or not history.usable or fresh:
                folder = project.folder

                def committed(run_id: str) -> int | None:
                    return self.sink.find_commit("run", folder, run_id)

                history = ProjectHistory(
                    self.store, self._journals, f"{self.prefix}/{folder}", self._clock, committed
                )
                self._histories[folder] = history
            return history

    def _fresh(self, project: Project) -> ProjectHistory:
        history = self._history(project)
        history.refresh()
        return history
