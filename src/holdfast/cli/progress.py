"""A progress bar on standard error, when that is a terminal; rich is only loaded then."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.cli.output import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress

    from holdfast.ingest import Progressed


class Meter:
    """Shows how many files and bytes are done, when there is a terminal to show it on."""

    def __init__(self, bar: Progress | None, what: str) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task(what, total=None, files=0)

    def progressed(self, so_far: Progressed) -> None:
        """Show the totals `so_far`."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=so_far.bytes, files=so_far.files)


@contextmanager
def meter(what: str) -> Iterator[Meter]:
    """A meter for the work in the `with` block; silent when standard error is no terminal."""
    if not is_terminal(sys.stderr) or os.environ.get("TERM", "") in ("", "dumb"):
        yield Meter(None, what)
        return
    from rich.console import Console
    from rich.progress import (
        DownloadColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TransferSpeedColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[files]:,} files"),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=8) as bar:
        yield Meter(bar, what)
