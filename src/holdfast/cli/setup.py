"""``init`` and ``status``: a repository's beginning and its size."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from holdfast.cli.discovery import FOLDER
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
    from holdfast import repository

    if where is not None and session.repo_given:
        raise Invalid("making a repository", found="both a place and -R", hint="give one of them")
    place = where or session.repo or FOLDER
    with repository.init(place) as repo:
        if session.json:
            session.out.value({"url": repo.url, "id": repo.id, "domain": repo.domain})
        session.out.line(f"Made the repository {repo.url}")
        session.out.line(f"  id {repo.id}")
    option = "" if place == FOLDER else f"-R {shlex.quote(place)} "
    session.out.next(f"holdfast {option}ingest FOLDER")


COMMANDS = {"init": init}
