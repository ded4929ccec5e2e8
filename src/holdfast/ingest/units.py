"""Units of work: consecutive findings of a walk. Handing over one file at a time would cost more
than reading it (docs/decisions/0505)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.ingest.walk import File, Folder, Found, Skip, Walk

if TYPE_CHECKING:
    from holdfast.ingest.read import Taken
    from holdfast.runs.direct import Place

UNIT_FILES = 128
UNIT_FOLDERS = 8


@dataclass(slots=True)
class Unit:
    """Findings in the walk's order, and what became of those that are files.

    Attributes:
        folders: that `found` files lie in, in their order; held open until `release`.
        places: of the files that a worker process was given, in the order given.
        taken: by a worker process: one for each file, None for those that it left to us.
        reading: of the files to be read in this process.
    """

    found: list[Found] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    taken: list[Taken | None] | None = None
    reading: Future[list[Taken | Skip]] | None = None

    def files(self) -> list[File]:
        """The files among the findings."""
        return [found for found in self.found if type(found) is File]

    def release(self) -> None:
        """Let go of the folders; idempotent."""
        for folder in self.folders:
            folder.release()
        self.folders = []

    def results(self) -> Iterator[Taken | Found]:
        """Every finding, files as what became of them. Only when all of them are read."""
        reading = iter(()) if self.reading is None else iter(self.reading.result())
        taken = None if self.taken is None else iter(self.taken)
        for found in self.found:
            if type(found) is not File:
                yield found
            else:
                yield (None if taken is None else next(taken)) or next(reading)


def units(found: Walk) -> Iterator[Unit]:
    """The walk's findings in order, as units of bounded numbers of files and open folders."""
    unit = Unit()
    last: Folder | None = None
    try:
        for entry in found:
            if type(entry) is File and entry.folder is not last:
                last = entry.folder.retain()
                unit.folders.append(last)
            unit.found.append(entry)
            if len(unit.found) >= UNIT_FILES or len(unit.folders) >= UNIT_FOLDERS:
                full, unit, last = unit, Unit(), None
                yield full
        if unit.found:
            full, unit = unit, Unit()
            yield full
    finally:
        unit.release()
