"""`status`: a repository at a glance, without reading contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.maintenance.report import Status

if TYPE_CHECKING:
    from holdfast.repository import Repository


def status(repository: Repository) -> Status:
    """Counts, sizes, the ledger's head, the last run and the dead ones."""
    runs = repository.runs.list_runs()
    by_status: dict[str, int] = {}
    files: dict[str, int] = {}
    stored = 0
    for run in runs:
        by_status[run.status] = by_status.get(run.status, 0) + 1
        stored += run.bytes
        for outcome, number in run.counts.items():
            files[outcome] = files.get(outcome, 0) + number
    entries = size = 0
    for entry in repository.store.list("ledger"):
        entries += 1
        size += entry.size
    return Status(
        url=repository.url,
        id=repository.id,
        domain=repository.domain,
        created=repository.config.created,
        head=repository.ledger.position(),
        projects=len(repository.runs.projects()),
        runs=by_status,
        dead_runs=_dead(repository, [(r.run_id, r.run_dir) for r in runs if _open(r.status)]),
        last_run=runs[0].to_json() if runs else None,
        run_files=files,
        run_bytes=stored,
        ledger_files=entries,
        ledger_bytes=size,
        datasets=len(repository.datasets()),
        volumes=len(repository.volumes()),
    )


def _open(run_status: str) -> bool:
    return run_status == "in_progress"


def _dead(repository: Repository, open_runs: list[tuple[str, str]]) -> list[str]:
    """Folders of the runs in progress whose lease nobody holds."""
    leases = repository.store.leases
    if leases is None:
        return []
    return [folder for run_id, folder in open_runs if leases.holder(f"runs/{run_id}") is None]
