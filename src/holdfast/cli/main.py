"""The entry point: run one command, turn every failure into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from holdfast.cli.failure import BROKEN_PIPE, report, silence_stdout
from holdfast.cli.output import writing
from holdfast.errors import (
    ExitCode,
    HoldfastError,
    Invalid,
    NotFound,
    StorageFailure,
    from_oserror,
)


def main(argv: Sequence[str]) -> int:
    """Run ``holdfast *argv`` and return the exit code; never raises.

    Streams: results on standard output; errors, progress and hints on standard error.
    """
    flags = list(argv[: argv.index("--")] if "--" in argv else argv)
    as_json, debug = "--json" in flags, "--debug" in flags
    try:
        code = _run_command(argv)
        with writing():
            sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return report(
            {"code": "interrupted", "message": "interrupted; nothing acknowledged is lost"},
            ExitCode.INTERRUPTED,
            as_json,
        )
    except HoldfastError as error:
        if debug:
            _show_traceback()
        return report(error.to_json(), error.exit_code, as_json)
    except OSError as error:
        if debug:
            _show_traceback()
        typed = _typed(error)
        return report(typed.to_json(), typed.exit_code, as_json)
    except MemoryError:
        if debug:
            _show_traceback()
        out_of_memory = StorageFailure("running the command", found="there is not enough memory")
        return report(out_of_memory.to_json(), out_of_memory.exit_code, as_json)
    except Exception as error:
        if debug:
            _show_traceback()
        message = (
            f"internal error: {type(error).__name__}: {error}; "
            "please report it with the output of the same command with --debug"
        )
        return report({"code": "internal", "message": message}, ExitCode.INTERNAL, as_json)
    return code


def _run_command(argv: Sequence[str]) -> int:
    import typer

    from holdfast.cli.app import build

    # click's own classes: newer typers carry click inside, so the way to them is through typer.
    click_error: Any = typer.BadParameter.__mro__[2]
    try:
        # Completion does not have its words here.
        words = None if "_HOLDFAST_COMPLETE" in os.environ else argv
        result = build(words)(args=list(argv), prog_name="holdfast", standalone_mode=False)
    except click_error as error:
        raise _usage_error(error) from None
    except typer.Exit as error:
        return int(error.exit_code)
    except SystemExit as error:  # how completion ends
        return error.code if isinstance(error.code, int) else 0
    except typer.Abort:
        raise KeyboardInterrupt from None
    if result == ExitCode.INTERRUPTED and not isinstance(result, ExitCode):
        raise KeyboardInterrupt  # typer's translation of a Ctrl-C outside a command
    return int(result or 0)


def _usage_error(error: Any) -> Invalid:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "holdfast"
    message = " ".join(error.format_message().split()).rstrip(".")
    return Invalid(f"reading the command line: {message}", hint=f"see `{command} --help`")


def _typed(error: OSError) -> HoldfastError:
    """An `OSError` that nobody below knew anything about."""
    if error.filename is not None:
        return from_oserror(error, "using", os.fsdecode(error.filename))
    try:
        os.getcwd()
    except OSError:
        return NotFound(
            "using the working folder",
            found="it is not there any more",
            hint="change to another folder",
        )
    return from_oserror(error, "using", "a file or standard output")


def _show_traceback() -> None:
    import traceback

    traceback.print_exc()
