"""The present state of a project, folded from its journals in `order` (spec/runs.md §2, §3).

A plain value in memory; `journals` feeds it. Whoever decides holds the project's lease and has
taken in every journal before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from holdfast.runs.decide import Content, Known
from holdfast.runs.journal import Batch
from holdfast.runs.lines import FileLine

SHARE_FROM = 64 * 1024
"""Bytes from which on the same content under another path is shared by a hard link."""

_SIGHTED = frozenset({"duplicate", "processed_again"})
_MADE = frozenset({"new_file", "new_version"})


class Sight(NamedTuple):
    """The current version of a path, as the newest run saw it: mode and mtime are that run's, the
    outcome is that of the run that made the version."""

    line: FileLine
    source: str | None
    order: int


class Superseded(NamedTuple):
    """A version that is current no more, and the run that ended it."""

    line: FileLine
    by: str


class ProjectState:
    """What every journal taken in says together.

    Attributes:
        current: path → newest sight of its current version.
        older: path → versions that are current no more, oldest first.
        processed: file id → RFC 3339 time of the first successful processing.
        shared: SHA-256 → stored key, of contents of at least `SHARE_FROM` bytes.
        order: the highest order taken in.
        last_finished: run id of the run that was finished last, or None.
    """

    def __init__(self) -> None:
        self.current: dict[bytes, Sight] = {}
        self.older: dict[bytes, list[Superseded]] = {}
        self.processed: dict[str, str] = {}
        self.shared: dict[str, str] = {}
        self.order = 0
        self.last_finished: str | None = None

    def apply(self, batch: Batch, run_id: str, source: str | None) -> None:
        """Take in one batch of `run_id`; batches come in ascending `order`."""
        order = batch.order
        self.order = max(self.order, order)
        current, processed, shared = self.current, self.processed, self.shared
        for line in batch.files:
            outcome = line.outcome
            if outcome == "failed":
                continue
            path = line.path.encode() if line.path_b64 is None else line.raw_path
            before = current.get(path)
            if outcome in _SIGHTED:
                if before is not None and before.line.file_id != line.file_id:
                    # Runs that raced (object stores): the later in order decides.
                    self._withdraw(path, line.file_id)
                    self.older.setdefault(path, []).append(Superseded(before.line, run_id))
                elif before is not None:
                    # The version is still what the run that made it called it.
                    line = msgspec.structs.replace(line, outcome=before.line.outcome)
                current[path] = Sight(line, source, order)
            else:
                if before is not None:
                    self.older.setdefault(path, []).append(Superseded(before.line, run_id))
                if outcome in _MADE:
                    current[path] = Sight(line, source, order)
                    if line.size >= SHARE_FROM and line.sha256 and line.stored:
                        shared.setdefault(line.sha256, line.stored)
                elif before is not None:
                    del current[path]
            if line.processed is not None and line.file_id is not None:
                processed.setdefault(line.file_id, line.processed)
        for mark in batch.marks:
            processed.setdefault(mark.file_id, mark.processed)
        if batch.end is not None:
            self.last_finished = run_id

    def _withdraw(self, path: bytes, file_id: str | None) -> None:
        kept = [v for v in self.older.get(path, ()) if v.line.file_id != file_id]
        if kept:
            self.older[path] = kept
        else:
            self.older.pop(path, None)

    def known(self, line: FileLine) -> Known:
        """`line` as the decision table sees it."""
        assert line.file_id is not None
        return Known(line.file_id, content_of(line), line.file_id in self.processed)

    def older_with(self, path: bytes, content: Content) -> FileLine | None:
        """The newest superseded version of `path` that has this content."""
        for version in reversed(self.older.get(path, ())):
            if content_of(version.line) == content:
                return version.line
        return None

    def seen(self, path: bytes) -> bool:
        """Whether the project ever had a version of `path`."""
        return path in self.current or path in self.older

    def versions(self, path: bytes) -> Iterator[tuple[FileLine, str | None]]:
        """(version, superseding run or None) of `path`, newest first."""
        sight = self.current.get(path)
        if sight is not None:
            yield sight.line, None
        for version in reversed(self.older.get(path, ())):
            yield version.line, version.by


def content_of(line: FileLine) -> Content:
    """The content that `line` names."""
    return Content(line.kind, line.sha256, line.raw_target)
