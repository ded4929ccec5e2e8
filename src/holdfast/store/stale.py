"""Temporary files that dead processes left (spec/ledger.md §11).

A temporary file is locked while it is written; it is stale only if its lock can be taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, from_oserror
from holdfast.records import GcReport
from holdfast.store.durable import READ, close_quietly, sync_folder, typed
from holdfast.store.paths import LOCKS, is_temp_name
from holdfast.store.protocol import Entry

if TYPE_CHECKING:
    from holdfast.store.calls import SystemCalls


def stale_temps(calls: SystemCalls, full: str, folder: str = "") -> Iterator[Entry]:
    """The stale temporary files below the absolute path `full`; entry paths begin with `folder`."""
    for path, below in _temps(calls, full, folder):
        fd = _locked(calls, below)
        if fd is not None:
            try:
                with typed("looking at", below):
                    size = calls.stat_open(fd).size
            finally:
                close_quietly(calls, fd)
            yield Entry(path, size)


def remove_stale_temps(
    calls: SystemCalls, full: str, folder: str = "", *, dry_run: bool = False
) -> GcReport:
    """Remove the stale temporary files below `full`; a file that cannot be removed is reported."""
    report = GcReport()
    for path, below in _temps(calls, full, folder):
        try:
            fd = _locked(calls, below)
            if fd is None:
                continue
            try:
                with typed("removing", below):
                    size = calls.stat_open(fd).size
                    if not dry_run:
                        # With the lock held: a writer that opened it just now sees that it is gone.
                        calls.unlink(below)
            finally:
                close_quietly(calls, fd)
            if not dry_run:
                sync_folder(calls, below.rpartition("/")[0])
        except HoldfastError as error:
            report.failed.append((path, str(error)))
        else:
            report.removed.append((path, size))
    return report


def _locked(calls: SystemCalls, full: str) -> int | None:
    """A descriptor that holds the lock of a stale file, or None: in use, or gone."""
    try:
        fd = calls.open(full, READ)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise from_oserror(error, "opening", full) from error
    try:
        with typed("locking", full):
            if calls.stat_open(fd).is_file and calls.lock(fd, True):
                kept, fd = fd, -1
                return kept
    finally:
        if fd >= 0:
            close_quietly(calls, fd)
    return None


def _temps(calls: SystemCalls, full: str, folder: str) -> Iterator[tuple[str, str]]:
    """(path, absolute path) of every temporary file below `full`."""
    waiting = [(full, folder)]
    while waiting:
        full, folder = waiting.pop()
        with typed("listing the folder", full):
            try:
                found = calls.list_folder(full)
            except (FileNotFoundError, NotADirectoryError):
                continue
        for name, is_folder in sorted(found):
            path = f"{folder}/{name}" if folder else name
            if is_folder:
                if path != LOCKS:
                    waiting.append((f"{full}/{name}", path))
            elif is_temp_name(name):
                yield path, f"{full}/{name}"
