"""``verify``, ``fsck``, ``gc``: is everything as it was, and what can be put in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.output import count, size_text
from holdfast.cli.session import Session
from holdfast.errors import ExitCode, Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.records import Finding

_STYLES = {"error": "red", "warning": "yellow"}
MAX_LISTED = 100
"""Files that `gc` lists to people; ``--json`` has all."""


def verify(
    session: Session,
    quick: Annotated[
        bool, typer.Option("--quick", help="Structure and sizes only; contents are not read.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every byte; the default, by its name.")
    ] = False,
) -> int:
    """Check every byte against its digest.

    Exit code 5 when bytes are lost, wrong or missing; each such file is named.
    """
    from holdfast.cli.progress import meter

    if quick and deep:
        raise Invalid("verifying", found="both --quick and --deep", hint="give one of them")
    with session.open(read_only=True) as repo, meter("verifying") as bar:
        report = repo.verify(deep=not quick, progress=bar.progressed)
    if session.json:
        session.out.value(report.to_json())
    _print_findings(session, report.findings)
    session.out.line(
        f"{count(report.files, 'file')}, {size_text(report.bytes)} read:"
        f" {count(len(report.errors), 'error')}, {count(len(report.warnings), 'warning')}",
        "green" if report.ok else "red",
    )
    if not report.deep:
        session.out.line("The contents were not read; `holdfast verify` reads them.")
    if not report.ok:
        paths = sorted({finding.path for finding in report.errors})
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        return session.failed(
            ExitCode.INTEGRITY,
            f"verifying: bytes are lost, wrong or missing: {paths[0]}{more};"
            " bring the file back from a copy of the repository",
        )
    session.next("fsck --repair" if report.warnings else "log")
    return ExitCode.DONE


def fsck(
    session: Session,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended without loss.")
    ] = False,
) -> int:
    """Find what a crash left unfinished, and finish it with --repair.

    Exit code 0 when nothing is wrong (any more), 10 when something is left to mend, 5 when bytes
    are lost, which no repair brings back.
    """
    with session.open(read_only=not repair) as repo:
        report = repo.fsck(repair=repair)
    if session.json:
        session.out.value(report.to_json())
    if repair:
        for finding in report.mended:
            session.out.line(f"mended: {finding.code}: {finding.path}: {finding.message}", "green")
    _print_findings(session, report.left)
    session.out.line(
        f"{len(report.found):,} found, {len(report.mended):,} mended, {len(report.left):,} left"
    )
    if report.damaged:
        text = "checking: bytes are lost, wrong or missing, named above; no repair brings them back"
        return session.failed(ExitCode.INTEGRITY, text)
    if report.left:
        what = "could not be mended" if repair else "to mend; run `holdfast fsck --repair`"
        text = f"checking: {count(len(report.left), 'finding')} {what}"
        return session.failed(ExitCode.NAMED_FAILURES, text)
    session.next("verify")
    return ExitCode.DONE


def gc(
    session: Session,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
) -> int:
    """Remove what nothing needs: temporary files, cut tails, litter."""
    # A dry run needs the leases too: what a living writer needs cannot be told without them.
    with session.open() as repo:
        report = repo.gc(dry_run=dry_run)
    out = session.out
    if session.json:
        out.value(
            {
                "dry_run": dry_run,
                "bytes": report.bytes,
                "removed": [{"path": path, "size": size} for path, size in report.removed],
                "failed": [{"path": path, "reason": reason} for path, reason in report.failed],
            }
        )
    for path, size in report.removed[:MAX_LISTED]:
        out.line(f"{'would remove' if dry_run else 'removed'}: {path} ({size_text(size)})")
    if len(report.removed) > MAX_LISTED:
        out.line(f"and {len(report.removed) - MAX_LISTED:,} more (--json names them)")
    for path, reason in report.failed:
        out.line(f"not removed: {path}: {reason}", "red")
    total = f"{count(len(report.removed), 'file')}, {size_text(report.bytes)}"
    out.line(f"{total} {'would be removed' if dry_run else 'removed'}")
    if report.failed:
        text = f"collecting: {count(len(report.failed), 'file')} could not be removed, named above"
        return session.failed(ExitCode.NAMED_FAILURES, text)
    session.next("gc" if dry_run and report.removed else "status")
    return ExitCode.DONE


def _print_findings(session: Session, findings: Iterable[Finding]) -> None:
    for found in findings:
        at = "" if found.offset is None else f" at offset {found.offset}"
        text = f"{found.severity}: {found.code}: {found.path}{at}: {found.message}"
        session.out.line(text, _STYLES.get(str(found.severity)))


COMMANDS = {"verify": verify, "fsck": fsck, "gc": gc}
