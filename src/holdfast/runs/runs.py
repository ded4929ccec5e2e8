"""The facade of the runs model (spec/runs.md §4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.clock import Clock, Ids
    from holdfast.records import Checked, CommitSink, Finding, GcReport, ObjectRef
    from holdfast.runs.model import (
        FileVersion,
        Project,
        Registered,
        RunDiff,
        RunInfo,
        Source,
    )
    from holdfast.runs.writer import RunWriter
    from holdfast.store.protocol import Store


class Runs:
    """Runs and file versions of one store.

    ``Runs(store, *, sink=NullSink(), prefix="runs", clock, ids, cache=None, author="",
    read_only=False)``; `cache` is an absolute local folder for the index on stores that are not a
    file system. A context manager; `close` ends runs that are still open as `failed`.
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
        raise NotImplementedError

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
        """Begin a run. `project` is an id or a name: an unknown name is created, an unknown id is
        `NotFound`. Dead runs of the project are ended first."""
        raise NotImplementedError

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
        raise NotImplementedError

    def create_run(self, project: str, action: str, instructions: str | None = None) -> RunInfo:
        """Begin a run that `complete_run` ends; this process holds it meanwhile."""
        raise NotImplementedError

    def complete_run(
        self, run_id: str, status: str = "completed", error: str | None = None
    ) -> RunInfo:
        """End a run that `create_run` began here. NotFound; Conflict when it has ended already;
        Busy when another process holds it."""
        raise NotImplementedError

    def register_file(
        self,
        run_id: str,
        filename: str | bytes,
        source: str | bytes | BinaryIO,
        *,
        processed: bool = False,
    ) -> Registered:
        """Take one file into an open run: `source` is a local path (str), the bytes, or a binary
        stream; `filename` the relative path that it gets. Streamed, durable on return."""
        raise NotImplementedError

    def mark_file_processed(self, file_id: str, *, project: str | None = None) -> None:
        """Note that this version was processed successfully. NotFound for an unknown id."""
        raise NotImplementedError

    def get_artifact_path(self, run_id: str, artifact_type: str) -> str:
        """The folder for artifacts of `artifact_type` in that run (`RunWriter.artifact_path`)."""
        raise NotImplementedError

    def put_artifact(self, run_id: str, artifact_type: str, name: str, data: Buffer) -> str:
        """Write one artifact file into an open run; returns its key below ``runs/``."""
        raise NotImplementedError

    # reading

    def projects(self) -> list[Project]:
        """All projects, by folder."""
        raise NotImplementedError

    def project(self, name_or_id: str) -> Project:
        """The project. NotFound."""
        raise NotImplementedError

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
        older ones."""
        raise NotImplementedError

    def find_run(self, text: str) -> RunInfo:
        """The run whose id begins with `text` (at least 4 characters) or whose folder is `text`
        (``<run>`` or ``<Project>/<run>``). NotFound; Invalid when several match."""
        raise NotImplementedError

    def get_run_metadata(self, run_id: str) -> RunInfo:
        """As `find_run`, with artifact types, counts and bytes of a run in progress too."""
        raise NotImplementedError

    def files_of(self, run_id: str, *, removed: bool = False) -> Iterator[FileVersion]:
        """What the run saw, by path bytes: every file, duplicates too. `removed` adds the paths
        that it marked removed; entries with an error come always."""
        raise NotImplementedError

    def current_files(self, project: str, prefix: bytes | str = b"") -> list[FileVersion]:
        """The project's current versions at or below `prefix` (a path), by path bytes."""
        raise NotImplementedError

    def get_latest_file(self, project: str, filename: str | bytes) -> FileVersion | None:
        """The current version of a path, or None."""
        raise NotImplementedError

    def get_file_history(self, project: str, filename: str | bytes) -> list[FileVersion]:
        """All versions of a path, newest first."""
        raise NotImplementedError

    def find_sha256(self, sha256: str) -> FileVersion | None:
        """A stored version with these bytes in any project, or None."""
        raise NotImplementedError

    def diff(self, run_a: str, run_b: str) -> RunDiff:
        """What differs between the files of two runs."""
        raise NotImplementedError

    def open_file(self, version: FileVersion) -> BinaryIO:
        """The version's bytes as a stream that checks size and SHA-256 while it is read: the last
        `read` raises `Integrity`, naming the file, when they are not what was registered."""
        raise NotImplementedError

    def resolve_artifact_path(self, reference: str) -> str | None:
        """The key below the repository's root of an artifact: ``<run>/<type>/<name>`` in the new
        structure, else the migrated legacy path (with a warning), else None."""
        raise NotImplementedError

    # upkeep

    def recover(self) -> list[RunInfo]:
        """End every dead run of every project; returns them."""
        raise NotImplementedError

    def rebuild_index(self) -> None:
        """Build the derived index again from what is true."""
        raise NotImplementedError

    def verify(self, *, deep: bool = True) -> Iterator[Finding | Checked]:
        """Check everything below the prefix except the derived index."""
        raise NotImplementedError

    def repair(self) -> Iterator[Finding]:
        """End dead runs, anchor what has no COMMIT, remove litter."""
        raise NotImplementedError

    def collect(self, *, dry_run: bool) -> GcReport:
        """Remove staged files that no journal names, of runs that nobody writes."""
        raise NotImplementedError

    def anchored(self, run_id: str) -> tuple[ObjectRef, ...]:
        """The objects that the run's COMMIT fixes, from its ``run.json`` on disk."""
        raise NotImplementedError

    def close(self) -> None:
        """End open runs as `failed` and release what is held; idempotent."""
        raise NotImplementedError


ArtifactManager = Runs
