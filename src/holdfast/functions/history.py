"""What was added to a pool, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError
from holdfast.functions.layout import Schema, parse_path

if TYPE_CHECKING:
    from holdfast.functions.pool import FunctionPool
    from holdfast.records import CommitRecord


@dataclass(frozen=True, slots=True)
class Event:
    """One addition to one function.

    Attributes:
        time: RFC 3339; "" where nobody noted it.
        message: what was done: add, translate, migrate, refactor …; "created" where there is no
            ledger and the object alone tells.
        languages: of the mappings that the addition is made of.
        logseq: of the COMMIT; None without a ledger.
    """

    hash: str
    time: str
    author: str
    message: str
    languages: tuple[str, ...] = ()
    logseq: int | None = None


def log(
    pool: FunctionPool, hash: str | None = None, *, limit: int | None = None
) -> Iterator[Event]:
    """Additions, newest first: from the ledger, or without one from the objects alone.

    Args:
        hash: of this function only; a prefix is accepted.
        limit: at most this many.
    """
    if hash is not None:
        hash = pool.find(hash)
    commits = pool.anchor.commits()
    events = _from_objects(pool, hash) if commits is None else _from_commits(pool, commits, hash)
    return islice(events, limit)


def _from_commits(
    pool: FunctionPool, commits: Iterator[tuple[int, CommitRecord]], hash: str | None
) -> Iterator[Event]:
    for logseq, record in commits:
        languages: dict[str, set[str]] = {}
        for fixed in record.objects:
            place = parse_path(pool.layout.relative(fixed.path))
            if place is None or hash not in (None, place.hash):
                continue
            of_function = languages.setdefault(place.hash, set())
            if place.language is not None and place.schema is Schema.V1:
                try:
                    of_function.add(pool.reader.language_of(place.hash, place.language))
                except HoldfastError:
                    of_function.add(place.language)
        for function, names in sorted(languages.items()):
            message = record.message or ""
            yield Event(function, record.time, record.author, message, tuple(sorted(names)), logseq)


def _from_objects(pool: FunctionPool, hash: str | None) -> Iterator[Event]:
    events = []
    for each in pool.list() if hash is None else [hash]:
        try:
            found, _ = pool.reader.object(each, verify=False)
        except HoldfastError:
            continue
        events.append(Event(each, found.created, found.author, "created"))
    events.sort(key=lambda e: (e.time, e.hash), reverse=True)
    yield from events
