"""What verify, fsck and status say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.records import Finding, Severity


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """A finding's stable fields."""
    return {
        "severity": str(finding.severity),
        "code": finding.code,
        "path": finding.path,
        "message": finding.message,
        "model": finding.model,
        "offset": finding.offset,
        "repairable": finding.repairable,
    }


def _order(finding: Finding) -> tuple[str, int, str, str]:
    return finding.path, finding.offset or 0, finding.code, finding.message


@dataclass(slots=True)
class VerifyReport:
    """What a check found. `deep`: every byte was read; otherwise structure and sizes only."""

    url: str
    deep: bool
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def errors(self) -> list[Finding]:
        """Findings of lost, wrong or missing bytes."""
        return [f for f in self.findings if f.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Finding]:
        """Findings that `fsck --repair` mends."""
        return [f for f in self.findings if f.severity is Severity.WARNING]

    @property
    def ok(self) -> bool:
        """Whether no bytes are lost, wrong or missing."""
        return not self.errors

    def sort(self) -> None:
        """Put the findings in an order that does not depend on threads."""
        self.findings.sort(key=_order)

    def to_json(self) -> dict[str, Any]:
        """As JSON; the fields are stable."""
        return {
            "ok": self.ok,
            "url": self.url,
            "deep": self.deep,
            "contents_read": self.deep,
            "files": self.files,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "findings": [finding_to_json(f) for f in self.findings],
        }


@dataclass(slots=True)
class FsckReport:
    """What fsck found, what it mended, and what is still wrong after that.

    Without `repair` nothing is mended and `left` is what was found.
    """

    url: str
    repair: bool
    found: list[Finding] = field(default_factory=list)
    mended: list[Finding] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong any more."""
        return not self.left

    @property
    def damaged(self) -> bool:
        """Whether bytes are lost, wrong or missing, which no repair brings back."""
        return any(f.severity is Severity.ERROR for f in self.left)

    def to_json(self) -> dict[str, Any]:
        """As JSON; the fields are stable."""
        return {
            "ok": self.ok,
            "url": self.url,
            "repair": self.repair,
            "seconds": round(self.seconds, 3),
            "found": [finding_to_json(f) for f in self.found],
            "mended": [finding_to_json(f) for f in self.mended],
            "left": [finding_to_json(f) for f in self.left],
        }


@dataclass(frozen=True, slots=True)
class Status:
    """A repository at a glance.

    Attributes:
        head: logseq of the ledger's newest record (0: none).
        runs: run status → number; dead runs count as ``in_progress``.
        dead_runs: folders of runs whose process died.
        last_run: of all projects, as `RunInfo.to_json`, or None.
        run_files: outcome → number of files, over all finished runs.
        run_bytes: bytes of content that the finished runs stored.
        ledger_files, ledger_bytes: what lies under ``ledger/``.
        datasets, volumes: how many have a snapshot.
    """

    url: str
    id: str
    domain: int
    created: str
    head: int
    projects: int
    runs: dict[str, int]
    dead_runs: list[str]
    last_run: dict[str, Any] | None
    run_files: dict[str, int]
    run_bytes: int
    ledger_files: int
    ledger_bytes: int
    datasets: int = 0
    volumes: int = 0

    def to_json(self) -> dict[str, Any]:
        """As JSON; the fields are stable."""
        return {
            "url": self.url,
            "id": self.id,
            "domain": self.domain,
            "created": self.created,
            "head": self.head,
            "projects": self.projects,
            "runs": dict(sorted(self.runs.items())),
            "dead_runs": self.dead_runs,
            "last_run": self.last_run,
            "run_files": dict(sorted(self.run_files.items())),
            "run_bytes": self.run_bytes,
            "ledger_files": self.ledger_files,
            "ledger_bytes": self.ledger_bytes,
            "datasets": self.datasets,
            "volumes": self.volumes,
        }
