"""How a failure is told: one line on standard error, or one JSON object with ``--json``."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from holdfast.errors import one_line

BROKEN_PIPE = 141
"""What a shell reports for a program that SIGPIPE ended; there is nobody left to read a message."""


def report(error: dict[str, Any], code: int, as_json: bool) -> int:
    """Write `error` (fields of `HoldfastError.to_json`) to standard error; returns `code`."""
    if as_json:
        import json

        text = json.dumps({"error": {**error, "exit_code": int(code)}})
    else:
        text = one_line(f"holdfast: {error['message']}")
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        silence_stdout()
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        _silence(sys.stderr)  # nobody reads it; the exit code still says it
    return int(code)


def silence_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter's own flush stays quiet."""
    _silence(sys.stdout)


def _silence(stream: TextIO) -> None:
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass
