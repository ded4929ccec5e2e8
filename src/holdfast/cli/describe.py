"""The JSON fields of what commands show (docs/guide/cli.md has them in tables)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.cli.output import path_fields
from holdfast.clock import rfc3339

if TYPE_CHECKING:
    from holdfast.ingest.report import Named
    from holdfast.ledger.read import ArtifactInfo
    from holdfast.records import CommitRecord, Finding
    from holdfast.runs.model import FileVersion, Project, RunInfo


def commit_fields(logseq: int, record: CommitRecord) -> dict[str, Any]:
    """A commit."""
    return {
        "logseq": logseq,
        "time": record.time,
        "model": record.model,
        "name": record.name,
        "id": record.id,
        "parent": record.parent,
        "author": record.author,
        "message": record.message,
        "run": record.run,
        "inputs": list(record.inputs),
        "objects": [{"path": o.path, "size": o.size, "sha256": o.sha256} for o in record.objects],
    }


def run_fields(run: RunInfo) -> dict[str, Any]:
    """A run without its files."""
    source = run.source
    return {
        "run_id": run.run_id,
        "run_dir": run.run_dir,
        "project": run.project.name,
        "action": run.action,
        "status": run.status,
        "created": run.created,
        "completed": run.completed,
        "error": run.error,
        "source": None
        if source is None
        else {"kind": source.kind, "url": source.url, "commit": source.commit},
        "counts": dict(run.counts),
        "stored_bytes": run.bytes,
        "artifacts": dict(run.artifacts),
    }


def project_fields(project: Project) -> dict[str, Any]:
    """A project."""
    return {
        "id": project.id,
        "name": project.name,
        "folder": project.folder,
        "created": project.created,
    }


def modified(version: FileVersion) -> str | None:
    """When the file was modified, RFC 3339; None where that has no year of four digits."""
    try:
        return None if version.mtime_ns is None else rfc3339(version.mtime_ns)
    except (ValueError, OverflowError, OSError):
        return None


def file_fields(version: FileVersion) -> dict[str, Any]:
    """A file version, or a run's sight of one."""
    out: dict[str, Any] = {
        "project": version.project,
        **path_fields(version.path),
        "kind": version.kind,
        "size": version.size,
        "sha256": version.sha256,
        "mode": None if version.mode is None else f"{version.mode:04o}",
        "mtime": modified(version),
        "outcome": version.outcome,
        "run_id": version.run_id,
        "created": version.created,
        "superseded_by": version.superseded_by,
        "stored": None if version.stored is None else f"runs/{version.stored}",
        "error": version.error,
    }
    if version.target is not None:
        out |= path_fields(version.target, "target")
    return out


def artifact_fields(info: ArtifactInfo) -> dict[str, Any]:
    """An artifact of the ledger."""
    return {
        "reference": info.reference.text,
        "size": info.size,
        "type_tag": info.type_tag,
        "tombstoned": info.tombstoned,
        "logseq": info.logseq,
    }


def finding_fields(finding: Finding) -> dict[str, Any]:
    """One thing that `verify` or `fsck` found."""
    return {
        "severity": str(finding.severity),
        "code": finding.code,
        "path": finding.path,
        "message": finding.message,
        "model": finding.model,
        "offset": finding.offset,
        "repairable": finding.repairable,
    }


def named_fields(named: Named) -> dict[str, str]:
    """A path and what there is to say of it."""
    return {**path_fields(named.path), "reason": named.reason}
