"""``ls`` and ``restore``: the files that are kept, and how they come back."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.describe import file_fields, modified, named_fields, project_fields
from holdfast.cli.history import short_time
from holdfast.cli.output import count, path_fields, path_text, size_text
from holdfast.cli.session import Session
from holdfast.errors import ExitCode, NotFound

if TYPE_CHECKING:
    from holdfast.repository import Repository
    from holdfast.runs.model import FileVersion


def ls(
    session: Session,
    where: Annotated[
        str | None,
        typer.Argument(metavar="PROJECT[/PATH]", help="A project, or a folder or file in it."),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="What this run saw, instead.")
    ] = None,
) -> None:
    """List the projects, or the current files of one."""
    with session.open(read_only=True) as repo:
        if where is None and run is None:
            _list_projects(session, repo)
            return
        versions = _versions(repo, where, run)
    if session.json:
        session.out.value({"files": [file_fields(v) for v in versions]})
        return
    session.out.table(
        [">size", "modified", *(["outcome"] if run else []), "path"],
        [
            (
                size_text(v.size) if v.kind == "file" else v.kind,
                short_time(modified(v)),
                *([v.outcome] if run else []),
                _name(v),
            )
            for v in versions
        ],
    )
    what = run or where or ""
    session.next(f"restore {shlex.quote(what)} -o NEWFOLDER")


def _list_projects(session: Session, repo: Repository) -> None:
    projects = repo.runs.projects()
    if session.json:
        session.out.value({"projects": [project_fields(p) for p in projects]})
        return
    if not projects:
        session.out.line("No projects yet")
        session.next("ingest FOLDER")
        return
    session.out.table(
        ["project", "folder", "since"],
        [(p.name, p.folder, short_time(p.created)) for p in projects],
    )
    session.next(f"ls {shlex.quote(projects[0].name)}")


def _versions(repo: Repository, where: str | None, run: str | None) -> list[FileVersion]:
    from holdfast.cli.target import find_project

    prefix = b""
    if where is not None:
        project, prefix = find_project(repo.runs, where)
    if run is None:
        versions = repo.runs.current_files(project.id, prefix)
    else:
        info = repo.runs.find_run(run)
        if where is not None and info.project.id != project.id:
            raise NotFound(
                f"looking for the run {run} in the project",
                project.name,
                found=f"it is a run of {info.project.name}",
            )
        versions = [
            v
            for v in repo.runs.files_of(info.run_id, removed=True)
            if not prefix or v.path == prefix or v.path.startswith(prefix + b"/")
        ]
    if prefix and not versions:
        raise NotFound("looking for files at", repr(where), found="there are none")
    return versions


def _name(version: FileVersion) -> str:
    name = path_text(version.path)
    if version.target is not None:
        name += f" -> {path_text(version.target)}"
    if version.error:
        name += f" ({version.error})"
    return name


def restore(
    session: Session,
    what: Annotated[
        str,
        typer.Argument(metavar="RUN|PROJECT[/PATH]", help="A run as it was, or current files."),
    ],
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="DIR", help="A new or empty folder (or new file)."),
    ],
) -> int:
    """Write files back, byte for byte, with modes and times.

    Nothing is ever overwritten, and nothing damaged is written: such files are named, and the exit
    code is 5.
    """
    from holdfast.cli.progress import meter
    from holdfast.restore import restore as restore_files

    with session.open(read_only=True) as repo, meter("restoring") as bar:
        report = restore_files(repo, what, output, progress=bar.progressed)
    out = session.out
    if session.json:
        lists = ("damaged", "errors", "unset", "missing")
        named = {name: [named_fields(n) for n in getattr(report, name)] for name in lists}
        out.value({**report.to_json(), **path_fields(report.target, "target"), **named})
    out.line(f"{count(report.files, 'file')}, {size_text(report.bytes)}, to {report.target}")
    for named_path in report.missing:
        out.line(f"  never taken in: {path_text(named_path.path)}: {named_path.reason}", "yellow")
    for named_path in report.unset:
        out.line(f"  without mode or time: {path_text(named_path.path)}: {named_path.reason}")
    for named_path in [*report.damaged, *report.errors]:
        out.line(f"  not restored: {path_text(named_path.path)}: {named_path.reason}", "red")
    if report.damaged:
        text = f"restoring: {count(len(report.damaged), 'file')} damaged; run `holdfast verify`"
        return session.failed(ExitCode.INTEGRITY, text)
    if report.errors:
        text = f"restoring: {count(len(report.errors), 'file')} could not be written, named above"
        return session.failed(ExitCode.NAMED_FAILURES, text)
    session.next("verify")
    return ExitCode.DONE


COMMANDS = {"ls": ls, "restore": restore}
