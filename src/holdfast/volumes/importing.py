"""Taking a file or a URL into a volume, range by range (spec/datasets.md §8).

What is committed is kept when the import dies; the next one goes on with what is missing. The
metadata of each snapshot tell what was imported, so that a source that changed meanwhile is not
mixed with what it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.errors import Conflict, Invalid, NoSnapshots
from holdfast.volumes.blocks import Range, check_range, whole
from holdfast.volumes.sources import Source, open_source

if TYPE_CHECKING:
    from holdfast.volumes.manifest import BlockRef
    from holdfast.volumes.snapshot import VolumeSnapshot
    from holdfast.volumes.volume import Volume

PIECE = 8 << 20
"""Bytes of a block."""

COMMIT_PIECES = 64
"""A snapshot after so many blocks."""

COMMIT_SECONDS = 30.0
"""A snapshot after so many seconds."""

KEY = "holdfast_import"
"""Key of the metadata that tell what was imported: ``source``, ``at``, and what it was then."""


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """Bytes of the source that are in the volume, committed or staged, of all that it has."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: bytes read, bytes that were there before, snapshots made."""

    bytes_read: int
    bytes_kept: int
    snapshots: tuple[str, ...]


def import_into(
    volume: Volume,
    source: Source | str | os.PathLike[str],
    *,
    at: int = 0,
    piece: int = PIECE,
    commit_pieces: int = COMMIT_PIECES,
    commit_seconds: float = COMMIT_SECONDS,
    max_size: int | None = None,
    allow_private: bool = False,
    metadata: Mapping[str, Any] | None = None,
    message: str | None = None,
    inputs: Sequence[str] = (),
    run: str | None = None,
    progress: Callable[[ImportProgress], None] | None = None,
) -> ImportReport:
    """Bring a source's bytes into the volume from `at` on; only what is missing is read. Where
    other bytes are there than an import of this place brought, those are compared.

    Args:
        source: a path, an HTTP or HTTPS URL, or what `open_source` gave.
        piece: bytes of a block; blocks begin at multiples of it, counted from `at`.
        commit_pieces, commit_seconds: a snapshot after so much, and at the end.
        max_size: refuse a larger source.
        allow_private: let a URL lead to addresses that are not public.
        metadata, message, inputs, run: for each snapshot, as for `Volume.commit`.
        progress: called after each block.

    Raises:
        Conflict: the source is not what an earlier import of it saw, or other bytes are there.
        Invalid: it does not fit into the volume, or is empty.
        OverlappingBlocks: another writer brought these bytes meanwhile.
        Unsupported: a server without ranges.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _Import(volume, source, at, piece, max_size, metadata).run(
            commit_pieces, commit_seconds, message, inputs, run, progress
        )
    with open_source(source, allow_private=allow_private) as opened:
        return _Import(volume, opened, at, piece, max_size, metadata).run(
            commit_pieces, commit_seconds, message, inputs, run, progress
        )


class _Import:
    def __init__(
        self,
        volume: Volume,
        source: Source,
        at: int,
        piece: int,
        max_size: int | None,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        if whole(piece, "importing") < 1:
            raise Invalid("importing", source.name, found=f"pieces of {piece} bytes")
        if max_size is not None and source.size > max_size:
            raise Invalid(
                "importing",
                source.name,
                found=f"{source.size} bytes",
                expected=f"at most {max_size}",
            )
        check_range(at, source.size, volume.total_length, "importing")
        self._volume = volume
        self._source = source
        self._at = at
        self._piece = piece
        self._facts = {"source": source.name, "at": at, **source.identity}
        self._metadata = {**(metadata or {}), KEY: self._facts}

    def run(
        self,
        commit_pieces: int,
        commit_seconds: float,
        message: str | None,
        inputs: Sequence[str],
        run: str | None,
        progress: Callable[[ImportProgress], None] | None,
    ) -> ImportReport:
        volume, size = self._volume, self._source.size
        missing = volume.missing_ranges(self._at, size)
        left = sum(gap.length for gap in missing)
        kept = size - left
        if kept and not self._is_known():
            self._check_kept(missing)
        clock = volume.chain.clock
        made: list[VolumeSnapshot] = []
        waiting: list[BlockRef] = []

        def commit() -> None:
            if waiting:
                made.append(
                    volume.commit(waiting, self._metadata, message=message, inputs=inputs, run=run)
                )
                waiting.clear()

        since = clock.monotonic()
        done = kept
        for part in pieces(missing, self._at, self._piece):
            data = self._source.read(part.offset - self._at, part.length)
            waiting.append(volume.stage_write_at(part.offset, data))
            done += part.length
            if progress is not None:
                progress(ImportProgress(done, size))
            now = clock.monotonic()
            if len(waiting) >= commit_pieces or now - since >= commit_seconds:
                commit()
                since = now
        commit()
        return ImportReport(size - kept, kept, tuple(snapshot.id for snapshot in made))

    def _is_known(self) -> bool:
        """Whether an earlier import into the same place saw this source. Raises `Conflict` where
        it saw another."""
        try:
            history = self._volume.history()
            for snapshot in history:
                facts = snapshot.metadata.get(KEY)
                if not isinstance(facts, dict) or facts.get("at") != self._at:
                    continue
                now = {k: v for k, v in self._facts.items() if k != "source"}
                before = {k: v for k, v in facts.items() if k != "source"}
                if now != before:
                    raise Conflict(
                        "importing",
                        self._source.name,
                        found=f"{now}",
                        expected=f"{before}, of which a part is in the volume",
                        hint="the source changed: import what it is now into a new volume",
                    )
                return True
        except NoSnapshots:
            pass
        return False

    def _check_kept(self, missing: Sequence[Range]) -> None:
        """Compare the source with what is there already, which no import of this place brought."""
        kept = _between(missing, self._at, self._at + self._source.size)
        for part in pieces(kept, self._at, self._piece):
            data = self._source.read(part.offset - self._at, part.length)
            if self._volume.read_at(part.offset, part.length) != data:
                raise Conflict(
                    "importing",
                    self._source.name,
                    found=f"other bytes in the volume, within {part.length} from {part.offset} on",
                    expected="those of the source, or none",
                    hint="bytes of a volume are written once: import into a new volume",
                )


def _between(gaps: Sequence[Range], start: int, end: int) -> list[Range]:
    """What is left of a range without its gaps."""
    out = []
    for gap in (*gaps, Range(end, 0)):
        if gap.offset > start:
            out.append(Range(start, gap.offset - start))
        start = gap.offset + gap.length
    return out


def pieces(missing: Sequence[Range], at: int, piece: int) -> Iterator[Range]:
    """The gaps, cut at multiples of `piece` counted from `at`: an import that goes on makes the
    same blocks as the one that died, and adopts what that one staged."""
    for gap in missing:
        position, end = gap.offset, gap.offset + gap.length
        while position < end:
            stop = min(end, at + ((position - at) // piece + 1) * piece)
            yield Range(position, stop - position)
            position = stop
