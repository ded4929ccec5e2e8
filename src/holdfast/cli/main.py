"""The entry point: run one command, turn every failure into one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from holdfast.cli.failure import BROKEN_PIPE, report, silence_stdout
from holdfast.errors import ExitCode, HoldfastError, Invalid, from_oserror


def run() -> int:
    """Run the process's command line and return its exit code (console script)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A name that the terminal's encoding cannot show must not end the command.
            stream.reconfigure(errors="backslashreplace")
    return main(sys.argv[1:])


def main(argv: Sequence[str]) -> int:
    """Run ``holdfast *argv`` and return the exit code; never raises.

    Streams: results on standard output; errors, progress and hints on standard error.
    """
    flags = list(argv[: argv.index("--")] if "--" in argv else argv)
    as_json, debug = "--json" in flags, "--debug" in flags
    try:
        code = _run_command(argv)
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
        typed = from_oserror(error, "using", error.filename)
        return report(typed.to_json(), typed.exit_code, as_json)
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
        result = build()(args=list(argv), prog_name="holdfast", standalone_mode=False)
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


def _show_traceback() -> None:
    import traceback

    traceback.print_exc()
