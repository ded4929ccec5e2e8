"""All commands, put together."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from holdfast.cli import artifacts, export, files, history, intake, setup, upkeep
from holdfast.cli.session import (
    DebugOption,
    JsonOption,
    RepoOption,
    Session,
    command,
    on_command_line,
)

_HELP = """Keep project folders immutable, deduplicated and provable.

A repository takes every file in once, records which run brought it, gives it back byte for byte,
and proves with `verify` that nothing changed since.
"""
_ORDER = [
    "init",
    "ingest",
    "status",
    "log",
    "show",
    "ls",
    "restore",
    "put",
    "get",
    "tombstone",
    "lift",
    "snapshot",
    "verify",
    "fsck",
    "gc",
    "export-log",
]
"""As the help lists them: the way of a newcomer, then the rest."""
_EPILOG = "Every command takes -R, --json and --debug; `holdfast COMMAND --help` tells the rest."


def build() -> Callable[..., Any]:
    """The command line as a callable of click's kind."""
    app = typer.Typer(
        name="holdfast",
        help=_HELP,
        epilog=_EPILOG,
        rich_markup_mode=None,  # rich would triple the time of --help
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_options)
    found: dict[str, Callable[..., int | None]] = {}
    for group in (setup, intake, history, files, artifacts, upkeep, export):
        found |= group.COMMANDS
    for name in _ORDER:
        app.command(name)(command(found[name]))
    return typer.main.get_command(app)


def _version(asked: bool) -> None:
    if asked:
        from holdfast._version import __version__

        sys.stdout.write(f"holdfast {__version__}\n")
        raise typer.Exit


def _options(
    ctx: typer.Context,
    repo: RepoOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    ctx.obj = Session(repo, as_json, on_command_line(ctx, "repo"))
    if ctx.invoked_subcommand is None:
        sys.stdout.write(ctx.get_help() + "\n")
