"""A ledger's index once it is loaded, with what reads through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.ledger.admission import Segments
from holdfast.ledger.commit_index import CommitIndex
from holdfast.ledger.index import Index, load_state
from holdfast.ledger.log import Log
from holdfast.ledger.read import ArtifactReader
from holdfast.ledger.sealed import Files
from holdfast.store.protocol import Store

if TYPE_CHECKING:
    from holdfast.store.calls import SystemCalls


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ledger lies: all that checking needs, even of one whose log is damaged."""

    store: Store
    prefix: str
    log: Log
    files: Files


@dataclass(frozen=True, slots=True)
class Opened(Place):
    """A place with its index: the parts that reading and writing artifacts share."""

    commits: CommitIndex
    segments: Segments
    index: Index
    reader: ArtifactReader


def open_index(place: Place, commits: CommitIndex, cache: str | None) -> Opened:
    """Load the index state from the newest snapshot and the log.

    Reads no segment: they are admitted when a lookup first needs them.
    """
    from holdfast.store.filesystem import FileSystemStore

    store, prefix, log, files = place.store, place.prefix, place.log, place.files
    calls: SystemCalls | None = store.calls if isinstance(store, FileSystemStore) else None
    segments = Segments(files, prefix=prefix, cache=cache, calls=calls)
    state, fault = load_state(store, prefix, log)
    index = Index(state, log, segments, fault=fault)
    reader = ArtifactReader(index, files, log, commits, prefix=prefix)
    return Opened(store, prefix, log, files, commits, segments, index, reader)
