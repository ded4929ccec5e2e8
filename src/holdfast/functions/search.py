"""Searching names, docstrings, comments and code in all languages (spec/functions.md §2).

The index is a SQLite file beside other caches, made anew whenever it is lost. In a repository the
ledger tells what came since; in a bare pool `changes` does, for what this program wrote.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files as resources
from typing import TYPE_CHECKING, Any

from holdfast.errors import HoldfastError, Invalid, StorageFailure
from holdfast.functions.changes import DATABASE
from holdfast.functions.imports import dependencies_of
from holdfast.functions.layout import parse_path
from holdfast.functions.object_json import is_hash

if TYPE_CHECKING:
    import apsw

    from holdfast.functions.anchor import Anchor
    from holdfast.functions.changes import Changes
    from holdfast.functions.mapping import Mapping
    from holdfast.functions.reading import PoolReader

VERSION = 1
MAX_QUERY = 1000
_WORD = re.compile(r"\w+")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_CAMEL = re.compile(r"(?<=[^\W\dA-Z_])(?=[A-Z])")
_ADD_ROW = "INSERT INTO rows (hash, language, mapping, name, summary, comment) VALUES (?,?,?,?,?,?)"
_ADD_TEXT = "INSERT INTO texts (rowid, name, names, docstring, comment, code) VALUES (?,?,?,?,?,?)"


@dataclass(frozen=True, slots=True)
class Hit:
    """A mapping that holds all words. `summary` is the docstring's first line."""

    hash: str
    language: str
    mapping_hash: str
    name: str
    summary: str
    comment: str


class SearchIndex:
    """The index of one pool. Safe to use from threads.

    Args:
        cache: absolute local folder; None keeps the index in memory.
    """

    def __init__(
        self, reader: PoolReader, anchor: Anchor, changes: Changes, cache: str | None
    ) -> None:
        self._reader = reader
        self._anchor = anchor
        self._changes = changes
        self._cache = cache
        self._lock = threading.Lock()
        self._found: apsw.Connection | None = None

    def search(self, query: str, *, language: str | None = None, limit: int = 20) -> list[Hit]:
        """The mappings that hold every word of `query`, the best first; the last word may be the
        beginning of one. Nothing in `query` is an operator.

        Raises:
            Invalid: a query without a word, or one over 1,000 characters.
        """
        words = _WORD.findall(query.replace("_", " "))
        if not words or len(query) > MAX_QUERY:
            found = f"{len(query)} characters" if words else "no word"
            raise Invalid("searching for", repr(query[:60]), found=found, expected="some words")
        match = " ".join([f'"{word}"' for word in words]) + "*"
        with self._lock:
            try:
                rows = self._select(match, language, limit)
            except _sqlite_error() as error:
                # The index is damaged, or of another program: it is only a cache.
                self._drop()
                try:
                    rows = self._select(match, language, limit)
                except _sqlite_error():
                    raise StorageFailure(
                        "searching in", self._cache or "memory", found=str(error)
                    ) from error
        return [Hit(*row) for row in rows]

    def refresh(self) -> None:
        """Take in what was added since the last search."""
        with self._lock:
            self._fresh()

    def rebuild(self) -> None:
        """Make the index anew from the pool."""
        with self._lock:
            self._drop()
            self._fresh()

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._lock:
            if self._found is not None:
                self._found.close()
                self._found = None

    def _select(self, match: str, language: str | None, limit: int) -> list[Any]:
        base = self._fresh()
        return list(base.execute(_sql("search"), (match, language, limit)))

    def _fresh(self) -> apsw.Connection:
        base = self._found or self._open()
        state = dict(base.execute("SELECT key, value FROM state"))
        position = self._anchor.sink.position() if self._anchor.shows else 0
        identity = f"{VERSION} {self._reader.layout.prefix}"
        # Before anything is read: what comes meanwhile is taken in again next time.
        notes, hashes = self._changes.take()
        known = state.get("position")
        if state.get("identity") != identity or known is None or known > position:
            with base:
                for table in ("rows", "texts", "dependencies", "state"):
                    base.execute(f"DELETE FROM {table}")  # noqa: S608 - our own four names
                self._take_in(base, self._reader.hashes(), new=True)
                self._note(base, identity, position)
        elif position > known or hashes:
            changed = [*self._since(known), *hashes]
            with base:
                self._take_in(base, sorted(set(filter(is_hash, changed))), new=False)
                self._note(base, identity, position)
        self._changes.drop(notes)
        return base

    def _note(self, base: apsw.Connection, identity: str, position: int) -> None:
        values = (("identity", identity), ("position", position))
        base.executemany("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", values)

    def _since(self, position: int) -> Iterator[str]:
        """The functions that were announced after `position`."""
        for logseq, record in self._anchor.commits() or ():
            if logseq <= position:
                return
            for fixed in record.objects:
                place = parse_path(self._reader.layout.relative(fixed.path))
                if place is not None:
                    yield place.hash

    def _take_in(self, base: apsw.Connection, hashes: Iterable[str], *, new: bool) -> None:
        for hash in hashes:
            if not new:
                base.execute(
                    "DELETE FROM texts WHERE rowid IN (SELECT id FROM rows WHERE hash = ?)", (hash,)
                )
                base.execute("DELETE FROM rows WHERE hash = ?", (hash,))
                base.execute("DELETE FROM dependencies WHERE hash = ?", (hash,))
            try:
                self._take_one(base, hash)
            except HoldfastError:
                continue  # damaged: `validate` names it

    def _take_one(self, base: apsw.Connection, hash: str) -> None:
        found, _ = self._reader.object(hash, verify=False)
        code = found.normalized_code
        for place in self._reader.mapping_places(hash):
            mapping = self._reader.mapping(hash, place)
            name, text = _named(code, mapping)
            summary = mapping.docstring.strip().partition("\n")[0][:200]
            row = (hash, place.language, place.hash, name, summary, mapping.comment)
            base.execute(_ADD_ROW, row)
            texts = (
                base.last_insert_rowid(),
                _split(name),
                _split(" ".join(mapping.name_mapping.values())),
                mapping.docstring,
                mapping.comment,
                _split(text),
            )
            base.execute(_ADD_TEXT, texts)
        base.executemany(
            "INSERT OR IGNORE INTO dependencies (dependency, hash) VALUES (?, ?)",
            [(dependency, hash) for dependency in dependencies_of(code)],
        )

    def _open(self) -> apsw.Connection:
        import apsw

        path = ":memory:"
        if self._cache is not None:
            with suppress(OSError):
                os.makedirs(self._cache, exist_ok=True)
            path = f"{self._cache}/{DATABASE}"
        try:
            base = self._connect(path)
        except apsw.Error:
            if self._cache is None:
                raise
            self._drop()
            try:
                base = self._connect(path)
            except apsw.Error:
                # No place for a cache: read-only, full, or taken by something else.
                base = self._connect(":memory:")
                self._changes.keep_in_memory()
        self._found = base
        return base

    def _connect(self, path: str) -> apsw.Connection:
        import apsw

        base = apsw.Connection(path)
        try:
            base.set_busy_timeout(10_000)
            # A cache: a torn file is found by SQLite, and made anew.
            base.execute("PRAGMA synchronous = OFF")
            base.execute(_sql("index"))
        except BaseException:
            base.close()
            raise
        return base

    def _drop(self) -> None:
        if self._found is not None:
            self._found.close()
            self._found = None
        if self._cache is not None:
            for suffix in ("", "-journal", "-wal", "-shm"):
                with suppress(OSError):
                    os.unlink(f"{self._cache}/{DATABASE}{suffix}")


def _named(code: str, mapping: Mapping) -> tuple[str, str]:
    """(the function's name, the code with the names of `mapping` in it). Only for searching."""
    names = mapping.name_mapping

    def name(match: re.Match[str]) -> str:
        return names.get(match[0], match[0])

    at = code.rfind("\ndef ") + 1 or code.rfind("\nasync def ") + 1
    own = re.compile(r"(?:async )?def (\w+)").search(code, at if at else 0)
    return (names.get(own[1], own[1]) if own else ""), _IDENTIFIER.sub(name, code)


def _split(text: str) -> str:
    """`text` with the parts of its camelCase words added: an underscore parts words by itself."""
    parts = [p for word in _IDENTIFIER.findall(text) if len(p := _CAMEL.sub(" ", word)) > len(word)]
    return " ".join((text, *parts)) if parts else text


def _sql(name: str) -> str:
    return resources("holdfast.functions").joinpath("sql", f"{name}.sql").read_text("utf-8")


def _sqlite_error() -> type[Exception]:
    import apsw

    return apsw.Error


__all__: Sequence[str] = ["Hit", "SearchIndex"]
