"""The words of the runs model as data (spec/runs.md §1, §3, §4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec


class Status(StrEnum):
    """Where a run stands."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"


class Outcome(StrEnum):
    """What became of one path in one run (§3)."""

    NEW_FILE = "new_file"
    NEW_VERSION = "new_version"
    DUPLICATE = "duplicate"
    PROCESSED_AGAIN = "processed_again"
    """The same bytes as the current version, which was never processed successfully."""
    REMOVED = "removed"
    FAILED = "failed"
    """The file could not be read; `error` says why. Nothing is concluded from it."""


class Kind(StrEnum):
    """What a path is."""

    FILE = "file"
    SYMLINK = "symlink"
    DIRECTORY = "directory"
    """An empty folder."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project: `id` is a UUID, `folder` the name of its folder below ``runs/``."""

    id: str
    name: str
    folder: str
    created: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where files came from: (project, kind, url) is its identity; `commit` is a revision."""

    kind: str
    url: str
    commit: str | None = None

    @property
    def key(self) -> str:
        """Identity within the project."""
        return f"{self.kind}\n{self.url}"


@dataclass(frozen=True, slots=True)
class WalkedRoots:
    """What a run saw of its source, for the rule that makes absent paths `removed`.

    Attributes:
        whole: the source was walked from its root, with nothing left out on purpose.
        unread: folders (or files) relative to the source, as bytes, that could not be read:
            nothing at or below them becomes removed. ``b""`` is the root.
    """

    whole: bool = True
    unread: tuple[bytes, ...] = ()


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One path that a run met, to be registered.

    Attributes:
        path: relative to the source, ``/``-separated, raw bytes.
        size: bytes of content (0 for symlinks and directories).
        sha256: lowercase hex of the content; None for symlinks, directories and failures.
        mode: permission bits.
        mtime_ns: modification time, nanoseconds since the epoch.
        target: of a symlink, raw bytes.
        stored: key that `RunWriter.stage` gave, or None where `RunWriter.predict` said that these
            bytes are stored already.
        error: why it could not be taken in; such an entry stores and supersedes nothing.
        processed: whether taking it in is all the processing there is. False: somebody calls
            `Runs.mark_file_processed` later, and until then the same bytes are processed again.
    """

    path: bytes
    kind: str = "file"
    size: int = 0
    sha256: str | None = None
    mode: int | None = None
    mtime_ns: int | None = None
    target: bytes | None = None
    stored: str | None = None
    error: str | None = None
    processed: bool = True


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one registered path; field names as the original's response (§4).

    `status` is an `Outcome`'s text. `existing_file_path` and `stored` are keys below ``runs/``.
    """

    path: bytes
    status: str
    message: str
    file_id: str | None
    file_hash: str | None
    file_size_bytes: int
    superseded_previous: bool
    skip_processing: bool
    existing_run_id: str | None = None
    existing_file_path: str | None = None
    stored: str | None = None
    error: str | None = None

    @property
    def outcome(self) -> str:
        """The same as `status`."""
        return self.status

    def to_json(self) -> dict[str, Any]:
        """As JSON fields; the path as text, with U+FFFD for bytes that are not UTF-8."""
        out = msgspec.structs.asdict(self)
        out["path"] = self.path.decode("utf-8", "replace")
        return out


class FileVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One content of one path in one project, or a run's sight of it.

    Attributes:
        run_id: the run that made this version (a duplicate in a later run keeps it).
        seen_by: the run of whose file list this row is, in answers of `files_of`; else ``run_id``.
        outcome: in that run.
        stored: key of the bytes below ``runs/``; None for symlinks, directories, removals.
        processed: RFC 3339 time, or None while never processed successfully.
        superseded_by: the run id that superseded this version, or None while it is current.
        created: RFC 3339 time of registration.
    """

    path: bytes
    kind: str
    size: int
    sha256: str | None
    mode: int | None
    mtime_ns: int | None
    target: bytes | None
    outcome: str
    file_id: str | None
    run_id: str
    project: str
    stored: str | None
    processed: str | None = None
    superseded_by: str | None = None
    created: str | None = None
    error: str | None = None
    seen_by: str | None = None

    @property
    def name(self) -> str:
        """The path as text, with U+FFFD for bytes that are not UTF-8."""
        return self.path.decode("utf-8", "replace")

    def to_json(self) -> dict[str, Any]:
        """As JSON fields, the original's names beside our own."""
        out = msgspec.structs.asdict(self)
        out["path"] = out["filename"] = self.name
        out["target"] = None if self.target is None else self.target.decode("utf-8", "replace")
        out["file_hash"] = self.sha256
        out["file_size_bytes"] = self.size
        out["file_path"] = self.stored
        out["is_superseded"] = self.superseded_by is not None
        out["created_at"] = self.created
        out["processed_at"] = self.processed
        return out


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a run put out: folder `type`, file `name` below it, size in bytes, SHA-256."""

    type: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is known of a path before it is read.

    `sha256` of the current version, or None when there is none; `size` of it in bytes; `processed`
    whether it was processed successfully.
    """

    sha256: str | None
    size: int | None = None
    processed: bool = False
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run without its files. Times are RFC 3339; `run_dir` is a key from the repository's root.

    `counts` maps outcomes to numbers of files; `bytes` is the size of what the run stored anew.
    Both are known when the run is finished.
    """

    run_id: str
    run_dir: str
    project: Project
    timestamp: str
    sequence: int
    action: str
    status: str
    created: str
    completed: str | None = None
    error: str | None = None
    source: Source | None = None
    instructions: str | None = None
    inputs: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    artifacts: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run folder's own name."""
        return self.run_dir.rpartition("/")[2]

    def to_json(self) -> dict[str, Any]:
        """As JSON fields, the original's names."""
        return {
            "run_id": self.run_id,
            "project_id": self.project.id,
            "project_name": self.project.name,
            "project_folder": self.project.folder,
            "timestamp": self.timestamp,
            "sequence": self.sequence,
            "action": self.action,
            "run_dir": self.run_dir,
            "status": self.status,
            "created_at": self.created,
            "completed_at": self.completed,
            "error_message": self.error,
            "source": None
            if self.source is None
            else {"kind": self.source.kind, "url": self.source.url, "commit": self.source.commit},
            "inputs": list(self.inputs),
            "counts": dict(self.counts),
            "bytes": self.bytes,
            "artifacts": dict(self.artifacts),
        }


@dataclass(frozen=True, slots=True)
class RunDiff:
    """What differs between two runs' files, by path: `added` and `removed` as seen from the first
    to the second, `changed` as (before, after)."""

    added: tuple[FileVersion, ...]
    removed: tuple[FileVersion, ...]
    changed: tuple[tuple[FileVersion, FileVersion], ...]
