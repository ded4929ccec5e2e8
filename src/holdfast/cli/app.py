"""All commands, put together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, cast

import typer

from holdfast.cli import artifacts, export, files, history, intake, setup, upkeep
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
_GROUPS = {
    "dataset": "Tables and blobs, as immutable snapshots.",
    "volume": "Sparse spaces of bytes, written once, range by range.",
}
_EPILOG = "Every command takes -R, --json and --debug; `holdfast COMMAND --help` tells the rest."


def build(words: Sequence[str] | None = None) -> Callable[..., Any]:
    """The command line as a callable of click's kind.

    Args:
        words: of the command line; a group that is not among them is made without its commands,
            which nobody will see. None: all are made.
    """
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
            commands = {} if words is not None and name not in words else _commands_of(name)
            app.add_typer(group(commands, _GROUPS[name]), name=name)
        else:
            app.command(name)(command(found[name]))
    made: Any = typer.main.get_command(app)
    # Groups come last in typer's own order.
    made.commands = {name: made.commands[name] for name in _ORDER}
    return cast(Callable[..., Any], made)


def _commands_of(name: str) -> dict[str, Callable[..., int | None]]:
    """The commands of a group, as its help lists them."""
    if name == "dataset":
        from holdfast.cli import dataset, dataset_read, dataset_upkeep

        return {
            "create": dataset.create,
            "write": dataset.write,
            "read": dataset_read.read,
            "log": dataset.log,
            "diff": dataset_upkeep.diff,
            "scan": dataset_read.scan,
            "export": dataset_read.export,
            "tag": dataset.tag,
            "list": dataset.list_,
            "expire": dataset_upkeep.expire,
            "retention": dataset_upkeep.retention,
            "erase-rows": dataset_upkeep.erase_rows,
        }
    from holdfast.cli import volume, volume_read

    return {
        "create": volume.create,
        "stage": volume.stage,
        "commit": volume.commit,
        "read": volume_read.read,
        "map": volume_read.map_,
        "resume": volume.resume,
        "log": volume.log,
        "list": volume.list_,
    }


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
