"""What the library logs while a command runs: shown to a person as notes, else dropped."""

from __future__ import annotations

import logging
import sys

from holdfast.cli.output import is_terminal, styled
from holdfast.errors import one_line


class Notes(logging.Handler):
    """Writes ``holdfast: note: …`` to standard error when that is a terminal.

    Elsewhere standard error holds nothing but the one line of an error, so that scripts can rely on
    it; what a note says can be had from `status` and `show` too.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if is_terminal(sys.stderr):
            text = one_line(f"holdfast: note: {record.getMessage()}")
            sys.stderr.write(styled(text, "yellow", sys.stderr) + "\n")


def take_notes() -> None:
    """Send the log records of the library to `Notes`; once per process."""
    logger = logging.getLogger("holdfast")
    if not any(isinstance(handler, Notes) for handler in logger.handlers):
        logger.addHandler(Notes(logging.WARNING))
        logger.propagate = False
