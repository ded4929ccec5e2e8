"""``log`` and ``show``: what happened, and what one thing is."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.describe import (
    artifact_fields,
    commit_fields,
    file_fields,
    project_fields,
    run_fields,
)
from holdfast.cli.output import path_text, size_text
from holdfast.cli.session import Session
from holdfast.errors import Invalid
from holdfast.records import MODEL_NUMBERS

if TYPE_CHECKING:
    from holdfast.records import CommitRecord
    from holdfast.repository import Repository


def log(
    session: Session,
    path: Annotated[
        str | None,
        typer.Argument(metavar="PATH", help="Only this file's versions: PROJECT/PATH."),
    ] = None,
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, max=2**63 - 1, help="How many, newest first.")
    ] = 20,
    project: Annotated[
        str | None, typer.Option("--project", help="Only runs of this project.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help=f"Only commits of: {', '.join(MODEL_NUMBERS)}."),
    ] = None,
) -> None:
    """Show the commits, newest first, or the versions of one file."""
    if model is not None and model not in MODEL_NUMBERS:
        raise Invalid("reading --model", repr(model), expected=", ".join(MODEL_NUMBERS))
    with session.open(read_only=True) as repo:
        if path is not None:
            _log_of_file(session, repo, path if project is None else f"{project}/{path}", limit)
            return
        commits = _commits(repo, limit, project, model)
    if session.json:
        session.out.value({"commits": [commit_fields(*commit) for commit in commits]})
        return
    if not commits:
        session.out.line("No commits" + (" that fit" if project or model else " yet"))
        return
    session.out.table(
        [">logseq", "time", "model", "name", "id", "author"],
        [
            (logseq, short_time(c.time), c.model, c.name, _short_id(c.id), c.author)
            for logseq, c in commits
        ],
    )
    session.next(f"show {commits[0][0]}")


def _commits(
    repo: Repository, limit: int, project: str | None, model: str | None
) -> list[tuple[int, CommitRecord]]:
    if project is None:
        return list(repo.ledger.commits(model=model, limit=limit))
    if model not in (None, "run"):
        raise Invalid("reading --model", repr(model), found="only runs have projects")
    from holdfast.cli.target import find_project

    found, path = find_project(repo.runs, project)
    if path:
        raise Invalid("reading --project", repr(project), found="a path in a project")
    return list(repo.ledger.commits(model="run", name=found.folder, limit=limit))


def _log_of_file(session: Session, repo: Repository, text: str, limit: int) -> None:
    from holdfast.cli.target import find_project
    from holdfast.errors import NotFound

    project, path = find_project(repo.runs, text)
    if not path:
        raise Invalid("reading PATH", repr(text), found="a project", hint="use --project for that")
    versions = repo.runs.get_file_history(project.id, path)[:limit]
    if not versions:
        raise NotFound(
            "looking for the file", repr(text), found="no version of it",
            hint=f"see `holdfast ls {project.name}`",
        )  # fmt: skip
    if session.json:
        session.out.value({"versions": [file_fields(v) for v in versions]})
        return
    session.out.table(
        ["time", "outcome", ">size", "sha256", "run"],
        [
            (
                short_time(v.created),
                v.outcome,
                size_text(v.size),
                (v.sha256 or v.kind)[:16],
                v.run_id,
            )
            for v in versions
        ],
    )
    session.next(f"show {versions[0].run_id}")


def show(
    session: Session,
    what: Annotated[
        str,
        typer.Argument(
            metavar="REF|RUN|COMMIT|PROJECT/PATH",
            help="A reference, a run's id or folder, a logseq, or a project's file.",
        ),
    ],
) -> None:
    """Show what one thing is."""
    with session.open(read_only=True) as repo:
        kind, fields = _describe(repo, what)
    if session.json:
        session.out.value({"kind": kind, kind: fields})
        return
    _print_fields(session, {"": kind, **fields})
    if kind == "run":
        session.next(f"ls --run {fields['run_id']}")
    elif kind == "project":
        session.next(f"ls {shlex.quote(fields['name'])}")
    elif kind == "file" and fields["kind"] == "file":
        session.next(f"get sha256:{fields['sha256']} -o FILE")
    elif kind == "commit" and fields["model"] == "run":
        session.next(f"ls --run {fields['id']}")
    elif kind == "commit" and fields["model"] in ("dataset", "volume"):
        # Tags and the making of volumes are kept as NAME/what.
        name = shlex.quote(fields["name"].partition("/")[0])
        session.next(f"{fields['model']} log {name}")
    elif kind == "artifact":
        session.next(f"get {fields['reference']} -o FILE")


def _describe(repo: Repository, what: str) -> tuple[str, dict[str, Any]]:
    from holdfast.cli.target import Commit, find_target
    from holdfast.ledger.artifact import Reference
    from holdfast.runs.model import FileVersion, Project

    found = find_target(repo, what)
    if isinstance(found, Reference):
        return "artifact", artifact_fields(repo.ledger.stat(found))
    if isinstance(found, Commit):
        return "commit", commit_fields(found.logseq, repo.ledger.commit_record(found.logseq))
    if isinstance(found, FileVersion):
        return "file", file_fields(found)
    if isinstance(found, Project):
        return "project", project_fields(found)
    return "run", run_fields(repo.runs.get_run_metadata(found.run_id))


def _print_fields(session: Session, fields: dict[str, Any]) -> None:
    width = max(map(len, fields))
    for name, value in fields.items():
        if value is None or value in ({}, []) or name.endswith("_b64"):
            continue
        if name == "objects":
            value = ", ".join(f"{o['path']} ({size_text(o['size'])})" for o in value)
        elif name in ("size", "stored_bytes"):
            value = f"{value:,} ({size_text(value)})" if value >= 1024 else value
        elif name == "type_tag":
            value = f"{value} (0x{value:08x})"
        elif isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items() if v is not None)
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        session.out.line(f"{name:{width}}  {path_text(str(value))}" if name else str(value))


def _short_id(name: str) -> str:
    """A model's id, where it is longer than a UUID only its beginning."""
    return name if len(name) <= 36 else f"{name[:33]}..."


def short_time(time: str | None) -> str:
    """An RFC 3339 time to the second."""
    return "" if time is None else f"{time[:10]} {time[11:19]}Z"


COMMANDS = {"log": log, "show": show}
