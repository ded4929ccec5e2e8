"""Removing what writers that died have left: files that no record of the log names.

A living writer between its files and its record holds a share of the lease ``ledger-writers``;
only who has the whole lease may judge (docs/decisions/0352). Stores without leases: nothing is
removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.errors import Busy, HoldfastError
from holdfast.ledger.inventory import litter, take_inventory
from holdfast.ledger.write import writers_lease
from holdfast.records import Finding, GcReport, Severity

if TYPE_CHECKING:
    from holdfast.ledger.opened import Place


def repair(place: Place) -> Iterator[Finding]:
    """Mend the log, remove litter; what was done, as INFO findings, and what could not be."""
    yield from place.log.repair()
    report = _remove_litter(place, dry_run=False)
    for path, size in report.removed:
        message = f"removed {path} ({size} bytes), which no record names"
        yield Finding(Severity.INFO, "litter", path, message, "ledger")
    for path, fault in report.failed:
        yield Finding(Severity.WARNING, "litter", path, fault, "ledger", repairable=True)


def collect(place: Place, *, dry_run: bool) -> GcReport:
    """Remove litter and what the log no longer needs; with `dry_run` only list it."""
    report = place.log.collect(dry_run=dry_run)
    report.merge(_remove_litter(place, dry_run=dry_run))
    return report


def _remove_litter(place: Place, *, dry_run: bool) -> GcReport:
    report = GcReport()
    if place.store.leases is None:
        return report
    try:
        with writers_lease(place, exclusive=True, timeout=0):
            if not dry_run:
                # An append of nothing settles what a crash left above head: a seal there may be
                # kept, and then its files are no litter.
                place.log.append(lambda head: ())
            for path, size in litter(place, take_inventory(place, leased=True)):
                if not dry_run:
                    try:
                        place.store.delete(path)
                    except HoldfastError as error:
                        report.failed.append((path, str(error)))
                        continue
                report.removed.append((path, size))
    except Busy:
        # Writers are at work: nothing can be judged now.
        return report
    return report
