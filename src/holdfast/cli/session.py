"""What every command shares: the repository that it means, and how to answer."""

from __future__ import annotations

import functools
import inspect
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from holdfast.cli.discovery import find_repository
from holdfast.cli.failure import BROKEN_PIPE, report, silence_stdout
from holdfast.cli.output import Output
from holdfast.errors import ExitCode

if TYPE_CHECKING:
    from holdfast.repository import Repository

RepoOption = Annotated[
    str | None,
    typer.Option(
        "-R",
        "--repo",
        metavar="PATH|URL",
        envvar="HOLDFAST_REPO",
        show_default=False,
        help="The repository; by default the nearest one above the working folder.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")]


@dataclass(slots=True)
class Session:
    """One run of one command."""

    repo: str | None = None
    json: bool = False
    repo_given: bool = False
    """Whether `repo` stands on the command line, not in the environment."""
    out: Output = field(default_factory=Output)

    def open(self, *, read_only: bool = False) -> Repository:
        """The repository that the command means; close it, or use it in a `with`.

        Raises:
            NotFound: there is none.
        """
        from holdfast import opening

        if not read_only:
            from holdfast.cli.notes import take_notes

            take_notes()
        return opening.open(find_repository(self.repo), read_only=read_only)

    def next(self, words: str) -> None:
        """Show the next useful command, ``holdfast words``, as it has to be typed here."""
        option = f"-R {shlex.quote(self.repo)} " if self.repo_given and self.repo else ""
        self.out.next(f"holdfast {option}{words}")

    def failed(self, code: ExitCode, message: str) -> int:
        """Say on standard error that the work is done and not all is well; returns `code`."""
        name = "named_failures" if code == ExitCode.NAMED_FAILURES else "integrity"
        return report({"code": name, "message": message}, code, self.json)


def on_command_line(ctx: typer.Context, name: str) -> bool:
    """Whether the option `name` was given as such, not by the environment or a default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def command(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """`function(session, …)` as a typer command with ``--repo``, ``--json`` and ``--debug``.

    The three may stand before the command's name too; those after it win.
    """
    hints = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        *(p.replace(kind=keyword, annotation=hints[p.name]) for p in own),
        inspect.Parameter("repo", keyword, default=None, annotation=RepoOption),
        inspect.Parameter("as_json", keyword, default=False, annotation=JsonOption),
        inspect.Parameter("debug", keyword, default=False, annotation=DebugOption),
    ]

    @functools.wraps(function)
    def run(
        *, ctx: typer.Context, repo: str | None, as_json: bool, debug: bool, **values: Any
    ) -> int | None:
        before: Session = ctx.obj
        as_json = as_json or before.json
        # An option before the command's name beats the environment, which fills `repo` here.
        given = on_command_line(ctx, "repo")
        named = repo if given or not before.repo_given else before.repo
        session = Session(named, as_json, given or before.repo_given, Output(json=as_json))
        try:
            return function(session, **values)
        except BrokenPipeError:
            # Caught before typer sees it: typer would end the process itself.
            silence_stdout()
            return BROKEN_PIPE

    del run.__dict__["__wrapped__"]  # typer reads the signature below, not the function's own
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run
