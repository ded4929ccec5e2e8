"""Commands below a command: ``holdfast dataset …``, ``holdfast volume …``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import typer

from holdfast.cli.session import (
    DebugOption,
    JsonOption,
    RepoOption,
    Session,
    command,
    on_command_line,
)


def group(commands: Mapping[str, Callable[..., int | None]], text: str) -> typer.Typer:
    """A group of commands, which the three shared options may stand before too."""
    made = typer.Typer(
        help=text,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback(invoke_without_command=True)(_options)
    for name, function in commands.items():
        made.command(name)(command(function))
    return made


def _options(
    ctx: typer.Context,
    repo: RepoOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    before: Session = ctx.obj
    given = on_command_line(ctx, "repo")
    named = repo if given or not before.repo_given else before.repo
    ctx.obj = Session(named, as_json or before.json, given or before.repo_given)
    if ctx.invoked_subcommand is None:
        sys.stdout.write(ctx.get_help() + "\n")
