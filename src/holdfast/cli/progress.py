"""A progress bar on standard error, when that is a terminal; rich is only loaded then."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.cli.output import count, is_terminal, size_text

if TYPE_CHECKING:
    from rich.progress import Progress

    from holdfast.ingest import Progressed


class Meter:
    """Shows how much is done and how fast, when there is a terminal to show it on."""

    def __init__(self, bar: Progress | None, what: str) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task(what, total=None, done="")
        self._began = time.monotonic()

    def progressed(self, so_far: Progressed) -> None:
        """Show the totals `so_far`."""
        if self._bar is None or self._task is None:
            return
        speed = so_far.bytes / max(time.monotonic() - self._began, 0.001)
        parts = [count(so_far.files, "file"), size_text(so_far.bytes), f"{size_text(int(speed))}/s"]
        parts += [f"{number:,} {name}" for name, number in so_far.outcomes.items() if number]
        self._bar.update(self._task, done=", ".join(parts).replace("_", " "))


@contextmanager
def meter(what: str) -> Iterator[Meter]:
    """A meter for the work in the `with` block; silent when standard error is no terminal."""
    if not is_terminal(sys.stderr) or os.environ.get("TERM", "") in ("", "dumb"):
        yield Meter(None, what)
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[done]}", markup=False),
        TimeElapsedColumn(),
    )
    # The bar goes away when the work is done: what it said stands in the answer.
    console = Console(stderr=True)
    with Progress(*columns, console=console, refresh_per_second=8, transient=True) as bar:
        yield Meter(bar, what)


@contextmanager
def byte_meter(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Gives what shall be told how many bytes are done so far, of `total` where that is known;
    silent when standard error is no terminal."""
    if not is_terminal(sys.stderr) or os.environ.get("TERM", "") in ("", "dumb"):
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, refresh_per_second=8, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
