"""What an ingest says while it runs and when it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a task is, as totals since its start.

    `outcomes` counts what was decided: for an ingest, files by outcome (those not yet flushed are
    in `files` only); for a check, ``{"findings": n}``.
    """

    files: int
    bytes: int
    outcomes: Mapping[str, int]


Progress = Callable[[Progressed], None]
"""Called about ten times a second, from the thread that runs the task."""


@dataclass(frozen=True, slots=True)
class Named:
    """A path (raw bytes, relative to its source) and what there is to say of it."""

    path: bytes
    reason: str

    @property
    def name(self) -> str:
        """The path as text, with U+FFFD for bytes that are not UTF-8."""
        return self.path.decode("utf-8", "replace")

    def to_json(self) -> dict[str, str]:
        """Fields ``path`` and ``reason``."""
        return {"path": self.name, "reason": self.reason}


@dataclass(slots=True)
class SourceReport:
    """One source, taken in by one run.

    Attributes:
        source: the absolute path that was walked.
        run_dir: the run's folder, a key from the repository's root.
        status: ``completed``, ``completed_with_errors`` or ``failed``.
        counts: outcome → number of paths, `removed` included.
        bytes_read: of the source's files; bytes_stored: of new content.
        errors: what should have been taken in and could not be.
        skipped: what never is: special files, repositories below.
        ignored: entries that an ignore file left out (a folder counts once).
    """

    source: str
    project: str
    run_id: str
    run_dir: str
    status: str = "in_progress"
    counts: dict[str, int] = field(default_factory=dict)
    bytes_read: int = 0
    bytes_stored: int = 0
    errors: list[Named] = field(default_factory=list)
    skipped: list[Named] = field(default_factory=list)
    ignored: int = 0

    @property
    def files(self) -> int:
        """Paths that the run saw, failed ones included, removed ones not."""
        return sum(n for outcome, n in self.counts.items() if outcome != "removed")

    def to_json(self) -> dict[str, Any]:
        """As JSON; the fields are stable."""
        return {
            "source": self.source,
            "project": self.project,
            "run_id": self.run_id,
            "run_dir": self.run_dir,
            "status": self.status,
            "files": self.files,
            "counts": dict(sorted(self.counts.items())),
            "bytes_read": self.bytes_read,
            "bytes_stored": self.bytes_stored,
            "errors": [e.to_json() for e in self.errors],
            "skipped": [s.to_json() for s in self.skipped],
            "ignored": self.ignored,
        }


@dataclass(slots=True)
class IngestReport:
    """All sources of one ingest, in the order given, and its duration in seconds."""

    sources: list[SourceReport] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def counts(self) -> dict[str, int]:
        """Outcome → number of paths, over all sources."""
        total: dict[str, int] = {}
        for source in self.sources:
            for outcome, number in source.counts.items():
                total[outcome] = total.get(outcome, 0) + number
        return total

    @property
    def files(self) -> int:
        """Paths seen, over all sources."""
        return sum(source.files for source in self.sources)

    @property
    def bytes_read(self) -> int:
        """Bytes read from the sources' files."""
        return sum(source.bytes_read for source in self.sources)

    @property
    def bytes_stored(self) -> int:
        """Bytes of new content."""
        return sum(source.bytes_stored for source in self.sources)

    @property
    def ok(self) -> bool:
        """Whether every run is `completed`."""
        return all(source.status == "completed" for source in self.sources)

    def to_json(self) -> dict[str, Any]:
        """As JSON; the fields are stable."""
        return {
            "ok": self.ok,
            "files": self.files,
            "counts": dict(sorted(self.counts.items())),
            "bytes_read": self.bytes_read,
            "bytes_stored": self.bytes_stored,
            "seconds": round(self.seconds, 3),
            "sources": [source.to_json() for source in self.sources],
        }
