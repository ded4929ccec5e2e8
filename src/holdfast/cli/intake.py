"""``ingest``: take folders and files in."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.describe import named_fields
from holdfast.cli.output import count, path_text, size_text
from holdfast.cli.session import Session
from holdfast.errors import ExitCode

if TYPE_CHECKING:
    from holdfast.ingest import IngestReport, SourceReport

MAX_SKIPPED = 20
"""Skipped names shown to people; ``--json`` has all. Failures are always shown all."""

_WORDS = {
    "new_file": ("new", "new"),
    "new_version": ("new version", "new versions"),
    "duplicate": ("duplicate", "duplicates"),
    "processed_again": ("processed again", "processed again"),
    "removed": ("removed", "removed"),
    "failed": ("failed", "failed"),
}


def ingest(
    session: Session,
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE", help="Folders or files to take in.")
    ],
    project: Annotated[
        str | None, typer.Option("--project", help="By default the folder's name.")
    ] = None,
    action: Annotated[str, typer.Option("--action", help="What the run is called.")] = "ingest",
) -> int:
    """Take folders and files in, one run for each.

    Content that is kept already is not stored again; paths that are gone from the source are
    recorded as removed. What `.holdfastignore` files name (gitignore rules) is left out.
    """
    from holdfast.cli.progress import meter

    with session.open() as repo, meter("taking in") as bar:
        report = repo.ingest(*sources, project=project, action=action, progress=bar.progressed)
    if session.json:
        session.out.value(_fields(report))
    for source in report.sources:
        _print_source(session, source)
    if not report.ok:
        failed = sum(max(len(s.errors), s.status == "failed") for s in report.sources)
        text = f"taking in: {count(failed, 'failure')} named above; all else is kept"
        return session.failed(ExitCode.NAMED_FAILURES, text)
    if report.sources:
        session.next(f"log --project {shlex.quote(report.sources[-1].project)}")
    return ExitCode.DONE


def _print_source(session: Session, source: SourceReport) -> None:
    out = session.out
    out.line(f"{source.source} -> project {source.project}, run {source.run_id}", "bold")
    parts = [count(source.counts[k], *w) for k, w in _WORDS.items() if source.counts.get(k)]
    out.line(f"  {count(source.files, 'file')}: {', '.join(parts) or 'nothing'}")
    out.line(f"  {size_text(source.bytes_read)} read, {size_text(source.bytes_stored)} stored")
    if source.ignored:
        out.line(f"  {source.ignored:,} left out by ignore files")
    for named in source.skipped[:MAX_SKIPPED]:
        out.line(f"  skipped: {path_text(named.path)}: {named.reason}", "yellow")
    if len(source.skipped) > MAX_SKIPPED:
        out.line(f"  skipped: {len(source.skipped) - MAX_SKIPPED:,} more (--json names them)")
    for named in source.errors:
        out.line(f"  failed: {path_text(named.path)}: {named.reason}", "red")


def _fields(report: IngestReport) -> dict[str, object]:
    fields = report.to_json()
    for source, fact in zip(fields["sources"], report.sources, strict=True):
        source["errors"] = [named_fields(n) for n in fact.errors]
        source["skipped"] = [named_fields(n) for n in fact.skipped]
    return fields


COMMANDS = {"ingest": ingest}
