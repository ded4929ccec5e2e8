"""The console script: what must be right before anything else is imported.

Ctrl-C ends the process with one line and exit code 130 from here on: during the imports, while the
command runs (`main` sees it as `KeyboardInterrupt`), and while the interpreter ends.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, TextIO, cast

_INTERRUPTED = 130
_MESSAGE = "interrupted; nothing acknowledged is lost"


def run() -> int:
    """Run the process's command line and return its exit code."""
    signal.signal(signal.SIGINT, _end)
    _open_standard_streams()
    if sys.getfilesystemencoding().lower() not in ("utf-8", "utf8"):
        _start_again_in_utf8()
    from holdfast.cli.main import main

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        _end()
    signal.signal(signal.SIGINT, _end)
    return code


def _end(*_: object) -> Any:
    text = f"holdfast: {_MESSAGE}"
    if "--json" in sys.argv:
        error = f'"code": "interrupted", "message": "{_MESSAGE}", "exit_code": {_INTERRUPTED}'
        text = f'{{"error": {{{error}}}}}'
    try:
        os.write(2, text.encode() + b"\n")
    finally:
        os._exit(_INTERRUPTED)


def _open_standard_streams() -> None:
    """Open what was closed before we came: else the first file of the repository would get the
    number of standard output or error, and take in what is written there."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or _stream(0, "r")
    sys.stdout = sys.stdout or _stream(1, "w")
    sys.stderr = sys.stderr or _stream(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A name that the terminal's encoding cannot show must not end the command.
            stream.reconfigure(errors="backslashreplace")


def _stream(number: int, mode: str) -> TextIO:
    return cast("TextIO", open(number, mode, encoding="utf-8", closefd=False))


def _start_again_in_utf8() -> None:
    """Names of a repository are UTF-8 whatever the locale is, and so are those of sources."""
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
