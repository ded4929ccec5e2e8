"""The facade of the runs model (spec/runs.md §4)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from holdfast.errors import Busy, Conflict, Denied, HoldfastError, NotFound
from holdfast.runs.finish import objects_of
from holdfast.runs.history import ProjectHistory
from holdfast.runs.local_file import stream_of, take_stream
from holdfast.runs.model import FileEntry
from holdfast.runs.opening import open_run
from holdfast.runs.reader import RunReader
from holdfast.runs.writer import Desk, RunWriter

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.clock import Clock, Ids
    from holdfast.records import Checked, CommitSink, Finding, GcReport, ObjectRef
    from holdfast.restore import RestoreReport
    from holdfast.runs.check import Check
    from holdfast.runs.index import RunIndex
    from holdfast.runs.model import Project, Registered, RunInfo, Source
    from holdfast.store.protocol import Store

_log = logging.getLogger(__name__)


class Runs(RunReader):
    """Runs and file versions of one store.

    Args:
        store: where they lie.
        sink: to whom finished runs are announced (in a repository: the ledger).
        prefix: folder of the store.
        clock, ids: time and identity.
        cache: absolute local folder for the index, on stores that are not a file system; None
            keeps it in memory.
        author: named in the COMMITs.
        read_only: refuse to write.
    """

    def __init__(
        self,
        store: Store,
        *,
        sink: CommitSink | None = None,
        prefix: str = "runs",
        clock: Clock | None = None,
        ids: Ids | None = None,
        cache: str | None = None,
        author: str = "",
        read_only: bool = False,
    ) -> None:
        super().__init__(store, sink, prefix, clock, ids)
        self.read_only = read_only
        self._author = author
        self._cache = cache
        self._desk = Desk(store, prefix, self._clock, self._ids, self._finisher)
        self._open: dict[str, RunWriter] = {}
        self._index: RunIndex | None = None
        self._recovered = False

    # writing

    def begin(
        self,
        project: str,
        action: str,
        *,
        source: Source | None = None,
        inputs: Iterable[str] = (),
        instructions: str | None = None,
    ) -> RunWriter:
        """Begin a run. Dead runs are ended first: those of the project, and once those of all.

        Args:
            project: id or name; an unknown name is created.
            action: what is done; its letters, digits and ``._-`` name the folder.
            source: where files come from; paths are relative to it.
            inputs: ``commit:<logseq>``, ``asl1:…`` or ``sha256:…``, for the lineage.
            instructions: text that is kept with the run.

        Raises:
            NotFound: an unknown id.
            Invalid: a project or action that cannot be one.
            Denied: open for reading only.
        """
        self._check_writable()
        since = self.sink.position()
        found = self._projects.resolve(project)
        history = self._history(found, fresh=self.store.leases is None)
        for dead in self._finisher.dead_runs(history):
            _note_dead(dead)
        self._recover_others(found)
        writer = open_run(
            self._desk,
            found,
            history,
            action,
            author=self._author,
            since=since,
            source=source,
            inputs=inputs,
            instructions=instructions,
        )
        with self._lock:
            self._open = {k: w for k, w in self._open.items() if w.open}
            self._open[writer.run_id] = writer
        return writer

    @contextmanager
    def run(
        self,
        action: str,
        *,
        project: str,
        inputs: Iterable[str] = (),
        source: Source | None = None,
        instructions: str | None = None,
    ) -> Iterator[RunWriter]:
        """`begin`, then `complete`; an exception ends the run as `failed` with its message."""
        with self.begin(
            project, action, source=source, inputs=inputs, instructions=instructions
        ) as writer:
            yield writer

    def create_run(self, project: str, action: str, instructions: str | None = None) -> RunInfo:
        """Begin a run that `complete_run` ends; this process holds it meanwhile. As `begin`."""
        return self.begin(project, action, instructions=instructions).info

    def complete_run(
        self, run_id: str, status: str = "completed", error: str | None = None
    ) -> RunInfo:
        """End a run that `create_run` began here.

        Raises:
            NotFound: no such run.
            Conflict: it has ended already.
            Busy: another process holds it.
            Invalid: another status than completed, completed_with_errors, failed.
        """
        return self.writer(run_id).complete(status, error)

    def writer(self, run_id: str) -> RunWriter:
        """The open run `run_id` of this process. NotFound, Conflict, Busy as `complete_run`."""
        writer = self._open.get(run_id)
        if writer is not None and writer.open:
            return writer
        info = self._catalog.by_id(run_id)
        if info.status != "in_progress":
            raise Conflict(
                "writing the run",
                run_id,
                found=f"a run that has ended as {info.status}",
                hint="begin a new run",
            )
        raise Busy(
            "writing the run",
            run_id,
            found="a run that this process did not begin",
            hint="the process that began it ends it; if that died, the next run of the project "
            "marks it failed",
        )

    def register_file(
        self,
        run_id: str,
        filename: str | bytes,
        source: str | bytes | BinaryIO,
        *,
        processed: bool = False,
    ) -> Registered:
        """Take one file into an open run; streamed, durable on return.

        Args:
            run_id: of a run that this process began.
            filename: the relative path that it gets.
            source: a local path (str), the bytes, or a binary stream.
            processed: whether taking it in is all the processing there is; else
                `mark_file_processed` tells when it was.

        Raises:
            NotFound: no such run or local file.
            InvalidPath: a filename that would leave the run's folder.
        """
        writer = self.writer(run_id)
        path = filename.encode() if isinstance(filename, str) else filename
        with stream_of(source) as (stream, mode, mtime_ns):
            size, sha256, stored = take_stream(writer, path, stream)
        writer.register(
            FileEntry(
                path=path,
                size=size,
                sha256=sha256,
                mode=mode,
                mtime_ns=mtime_ns,
                stored=stored,
                processed=processed,
            )
        )
        return writer.flush()[-1]

    def mark_file_processed(self, file_id: str, *, project: str | None = None) -> None:
        """Note, durably, that this version was processed successfully.

        The note stands in the journal of an open run of this process, or in a small run of its
        own: what is sealed is not edited.

        Raises:
            NotFound: no version of that id (in `project`, where that is given).
        """
        self._check_writable()
        found = [self.project(project)] if project is not None else self._projects.list()
        for candidate in found:
            history = self._fresh(candidate)
            line = history.version(file_id)
            if line is None:
                continue
            if file_id in history.state.processed:
                return
            for writer in list(self._open.values()):
                if writer.open and writer.project.id == candidate.id:
                    writer.mark_processed(file_id)
                    writer.flush()
                    return
            with self.begin(candidate.id, "mark_processed") as writer:
                writer.mark_processed(file_id)
            return
        raise NotFound("marking as processed", file_id, found="no file version of that id")

    def get_artifact_path(self, run_id: str, artifact_type: str) -> str:
        """The folder for artifacts of `artifact_type` in an open run of this process; of a
        finished run, where they lie. Absolute on a file system, else a key."""
        writer = self._open.get(run_id)
        if writer is not None and writer.open:
            return writer.artifact_path(artifact_type)
        return self._catalog.artifact_folder(self._catalog.by_id(run_id), artifact_type)

    def put_artifact(self, run_id: str, artifact_type: str, name: str, data: Buffer) -> str:
        """Write one artifact file into an open run; returns its key from the root."""
        return self.writer(run_id).put_artifact(artifact_type, name, data)

    def restore(self, run: str, target: str | os.PathLike[str]) -> RestoreReport:
        """Write a run's files as they were to `target`, a new or empty folder.

        Args:
            run: its id, the first digits of it, or its folder.

        Raises as `holdfast.restore.restore`.
        """
        from holdfast.restore import restore

        return restore(self, self.find_run(run).run_id, target)

    # upkeep

    def recover(self) -> list[RunInfo]:
        """End every dead run of every project; returns them."""
        self._check_writable()
        return [
            info
            for project in self._projects.list()
            for info in self._finisher.dead_runs(self._history(project))
        ]

    def _recover_others(self, present: Project) -> None:
        """Once, and where a lease tells who is dead at once: as `recover`, for other projects.

        What is damaged there does not keep anybody from working here; `verify` names it.
        """
        if self._recovered or self.store.leases is None:
            return
        self._recovered = True
        for project in self._projects.list():
            if project.id == present.id:
                continue
            try:
                for dead in self._finisher.dead_runs(self._history(project)):
                    _note_dead(dead)
            except HoldfastError as error:
                _log.warning("dead runs of %s are not ended: %s", project.name, error)

    @property
    def index(self) -> RunIndex:
        """The derived index (DuckDB), made when first asked for."""
        with self._lock:
            if self._index is None:
                from holdfast.runs.index import RunIndex

                self._index = RunIndex(
                    self.store,
                    self._journals,
                    self._projects,
                    self._catalog,
                    self._clock,
                    self.sink,
                    self.prefix,
                    self._cache,
                    self.read_only,
                )
            return self._index

    def rebuild_index(self) -> None:
        """Build the derived index again from what is true."""
        self.index.rebuild()

    def verify(self, *, deep: bool = True) -> Iterator[Finding | Checked]:
        """Check everything below the prefix except the derived index; see `holdfast.runs.check`."""
        return self._check().verify(deep=deep)

    def repair(self) -> Iterator[Finding]:
        """End dead runs, announce what has no COMMIT, remove litter."""
        self._check_writable()
        return self._check().repair()

    def collect(self, *, dry_run: bool) -> GcReport:
        """Remove staged files that no journal names, of runs that nobody writes."""
        if not dry_run:
            self._check_writable()
        return self._check().collect(dry_run=dry_run)

    def anchored(self, run_id: str) -> tuple[ObjectRef, ...]:
        """The objects that the run's COMMIT fixes, as its journal stands for them."""
        run_dir = self._catalog.by_id(run_id).run_dir
        return objects_of(run_dir, self._finisher.sealed(run_dir))

    def close(self) -> None:
        """End runs that are still open as `failed` and release what is held; idempotent."""
        for writer in list(self._open.values()):
            if writer.open:
                writer.fail("closed before the run was completed")
        self._open = {}
        self._index = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check(self) -> Check:
        from holdfast.runs.check import Check

        def histories() -> Iterator[tuple[Project, ProjectHistory]]:
            for project in self._projects.list():
                yield project, self._history(project)

        return Check(self.store, self.prefix, self._journals, self._finisher, histories)

    def _check_writable(self) -> None:
        if self.read_only:
            raise Denied("writing runs of", self.store.url, found="it is open for reading only")


def _note_dead(dead: RunInfo) -> None:
    reason = dead.error or f"it had ended as {dead.status} and was not sealed; it is now"
    _log.warning("run %s of %s had died: %s", dead.run_id, dead.project.name, reason)


ArtifactManager = Runs
