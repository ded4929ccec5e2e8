"""All commands, put together."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any, cast

import typer

from holdfast.cli import (
    artifacts,
    dataset,
    dataset_read,
    dataset_upkeep,
    export,
    files,
    history,
    intake,
    setup,
    upkeep,
    volume,
    volume_read,
)
from holdfast.cli.groups import group
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
    "dataset",
    "volume",
    "verify",
    "fsck",
    "gc",
    "export-log",
]
"""As the help lists them: the way of a newcomer, then the rest."""
_DATASET = [
    "create",
    "write",
    "read",
    "log",
    "diff",
    "scan",
    "export",
    "tag",
    "list",
    "expire",
    "retention",
    "erase-rows",
]
_VOLUME = ["create", "stage", "commit", "read", "map", "resume", "log", "list"]
_GROUPS: dict[str, tuple[str, list[str], tuple[dict[str, Any], ...]]] = {
    "dataset": (
        "Tables and blobs, as immutable snapshots.",
        _DATASET,
        (dataset.COMMANDS, dataset_read.COMMANDS, dataset_upkeep.COMMANDS),
    ),
    "volume": (
        "Sparse spaces of bytes, written once, range by range.",
        _VOLUME,
        (volume.COMMANDS, volume_read.COMMANDS),
    ),
}
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
    for module in (setup, intake, history, files, artifacts, upkeep, export):
        found |= module.COMMANDS
    for name in _ORDER:
        if name in _GROUPS:
            text, order, parts = _GROUPS[name]
            known = {k: v for part in parts for k, v in part.items()}
            app.add_typer(group({k: known[k] for k in order}, text), name=name)
        else:
            app.command(name)(command(found[name]))
    made: Any = typer.main.get_command(app)
    # Groups come last in typer's own order.
    made.commands = {name: made.commands[name] for name in _ORDER}
    return cast(Callable[..., Any], made)


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
