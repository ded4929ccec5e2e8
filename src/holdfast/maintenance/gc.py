"""`gc`: remove what nothing needs: temporary files, cut tails, litter, expired snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.errors import Denied, HoldfastError
from holdfast.maintenance.folders import folders_of
from holdfast.maintenance.fsck import sweep_temps
from holdfast.records import GcReport

if TYPE_CHECKING:
    from holdfast.repository import Repository


def gc(repository: Repository, *, dry_run: bool = False) -> GcReport:
    """Remove what nothing needs; with `dry_run` only say what that would be.

    Nothing that a commit or a run in progress needs is touched, so it can run at any time.

    Raises:
        Denied: the repository is open for reading only; a dry run too takes leases, to tell what is
            litter from what somebody is writing.
    """
    if repository.read_only:
        raise Denied("collecting", repository.url, found="it is open for reading only")
    total = GcReport()
    for part in (
        repository.ledger.collect(dry_run=dry_run),
        repository.runs.collect(dry_run=dry_run),
        *_of_folders(repository, dry_run=dry_run),
        sweep_temps(repository, dry_run=dry_run),
    ):
        # A dry run leaves a model's temporary files for the sweep to find again.
        named = {path for path, _ in total.removed}
        part.removed = [item for item in part.removed if item[0] not in named]
        total.merge(part)
    return total


def _of_folders(repository: Repository, *, dry_run: bool) -> Iterator[GcReport]:
    for folder in folders_of(repository):
        try:
            yield folder.model.collect(dry_run=dry_run)
        except HoldfastError as error:
            # A damaged one keeps all that it has, and is in nobody's way.
            yield GcReport(failed=[(folder.path, str(error))])
