"""``init`` and ``status``: a repository's beginning and its size."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from holdfast.cli.discovery import FOLDER
from holdfast.cli.history import short_time
from holdfast.cli.output import size_text
from holdfast.cli.session import Session
from holdfast.errors import Invalid


def init(
    session: Session,
    where: Annotated[
        str | None,
        typer.Argument(
            metavar="PATH|URL",
            help="An empty or new folder, or s3://bucket/prefix; by default ./.holdfast.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a repository in a new folder or on an object store."""
    from holdfast import opening

    if where is not None and session.repo_given:
        raise Invalid("making a repository", found="both a place and -R", hint="give one of them")
    place = where or session.repo or FOLDER
    with opening.init(place) as repo:
        if session.json:
            session.out.value({"url": repo.url, "id": repo.id, "domain": repo.domain})
        session.out.line(f"Made the repository {repo.url}")
        session.out.line(f"  id {repo.id}")
    option = "" if place == FOLDER else f"-R {shlex.quote(place)} "
    session.out.next(f"holdfast {option}ingest FOLDER")


def status(session: Session) -> None:
    """Show a repository at a glance, without reading contents."""
    with session.open(read_only=True) as repo:
        found = repo.status()
    if session.json:
        session.out.value(found.to_json())
        return
    last = found.last_run
    rows = [
        ("repository", found.url),
        ("id", found.id),
        ("created", short_time(found.created)),
        ("ledger", f"{found.head:,} records, {size_text(found.ledger_bytes)}"),
        ("projects", f"{found.projects:,}"),
        ("runs", _counts(found.runs) or "none"),
        ("files seen", _counts(found.run_files) or "none"),
        ("content", f"{size_text(found.run_bytes)} stored by runs"),
        ("datasets", f"{found.datasets:,}"),
        ("volumes", f"{found.volumes:,}"),
    ]
    if last is not None:
        what = f"{last['action']} of {last['project_name']}, {last['status']}"
        rows.append(("last run", f"{short_time(last['created_at'])} {what}"))
    for name, value in rows:
        session.out.line(f"{name:<10}  {value}")
    for folder in found.dead_runs:
        session.out.line(f"unfinished  {folder}: its process died", "yellow")
    if found.dead_runs:
        session.next("fsck --repair")
    else:
        session.next("ingest FOLDER" if last is None else "log")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))


COMMANDS = {"init": init, "status": status}
