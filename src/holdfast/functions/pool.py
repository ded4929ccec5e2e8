"""A pool of functions: the facade (spec/functions.md §1, 2, 5)."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING

from holdfast.clock import SystemClock, SystemIds, rfc3339
from holdfast.errors import Denied, Invalid, NotFound
from holdfast.functions.anchor import Anchor
from holdfast.functions.changes import Changes
from holdfast.functions.language import check_language
from holdfast.functions.layout import Schema
from holdfast.functions.mapping import Mapping
from holdfast.functions.model import Added, Loaded, MappingInfo
from holdfast.functions.names import own_name
from holdfast.functions.normal_forms import denormalize
from holdfast.functions.object_json import FunctionObject
from holdfast.functions.planning import Planned, Planner, Source, pool_has_form_1
from holdfast.functions.reading import MappingPlace, PoolReader
from holdfast.functions.writing import Addition, Writer, Written
from holdfast.records import NullSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from holdfast.clock import Clock, Ids
    from holdfast.functions.history import Event
    from holdfast.functions.migrate import MigrationReport
    from holdfast.functions.refactor import Refactored
    from holdfast.functions.review import Review
    from holdfast.functions.search import Hit, SearchIndex
    from holdfast.functions.show import Shown
    from holdfast.functions.validate import Validation
    from holdfast.records import Checked, CommitSink, Finding, GcReport
    from holdfast.store.protocol import Store


class FunctionPool:
    """Functions below `prefix` of a store; "" makes a bare pool. Safe to use from threads.

    Args:
        store: where they lie.
        prefix: folder of the store.
        sink: to whom additions are announced (in a repository: the ledger).
        clock, ids: time and identity.
        author: of new objects and COMMITs.
        cache: absolute local folder for the search index; None keeps it in memory.
        read_only: refuse to write.
    """

    def __init__(
        self,
        store: Store,
        prefix: str = "functions",
        *,
        sink: CommitSink | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        author: str = "",
        cache: str | None = None,
        read_only: bool = False,
    ) -> None:
        self.store = store
        self.reader = PoolReader(store, prefix)
        self.layout = self.reader.layout
        self.author = author
        self.cache = cache
        self.read_only = read_only
        self.clock: Clock = clock or SystemClock()
        self.writer = Writer(store, self.layout)
        self.anchor = Anchor(sink or NullSink(), self.clock, ids or SystemIds(), author)
        self.changes = Changes(cache, remembers=not self.anchor.shows)
        self._index: SearchIndex | None = None
        self._lock = threading.Lock()

    # writing

    def add(
        self,
        source: str | bytes,
        language: str,
        comment: str = "",
        tags: Sequence[str] = (),
        *,
        author: str | None = None,
        normal_form: int | None = None,
        filename: str = "<source>",
    ) -> builtins.list[Added]:
        """Add every function of `source`, durable on return; one answer each, callees first.
        Nothing is executed.

        Args:
            normal_form: None for 2, joining the same function where it is there in form 1.

        Raises:
            Invalid: a source or language that cannot be kept; nothing was written.
            Busy: other writers do not come to an end.
        """
        item = Source(source, language, comment, tuple(tags), filename)
        return self.add_many([item], author=author, normal_form=normal_form)

    def add_many(
        self,
        sources: Iterable[Source],
        *,
        author: str | None = None,
        normal_form: int | None = None,
        message: str = "add",
    ) -> builtins.list[Added]:
        """Add the functions of many sources, sharing syncs; the answers in the order of `sources`.
        While one part is written, the next is normalised.

        Raises:
            Invalid: a source or language that cannot be kept; what came before it may be added.
        """
        from holdfast.functions.adding import add_parts, write_part

        self.check_writable()
        who = self.author if author is None else author
        planner = Planner(self.reader, rfc3339(self.clock.now_ns()), who)

        def plan(item: Source, look: bool) -> builtins.list[tuple[Source, Planned]]:
            return [(item, p) for p in planner.plan(item, normal_form, look_for_form_1=look)]

        def write(part: builtins.list[tuple[Source, Planned]]) -> builtins.list[Added]:
            return write_part(self, part, who, message)

        return add_parts(sources, plan, write, lambda: pool_has_form_1(self.reader))

    def translate(
        self,
        what: str,
        language: str,
        names: MappingOf[str, str],
        *,
        docstring: str = "",
        aliases: MappingOf[str, str] | None = None,
        comment: str = "",
        author: str | None = None,
    ) -> Added:
        """Add a mapping to a function: ``HASH@SOURCE-LANGUAGE[@MAPPING]`` in `language`.

        Args:
            names: name in the source language → name in `language`; a name that is missing stays.
            docstring: in `language`.
            aliases: hash of a dependency → what it is called; default as in the source language.

        Raises:
            Invalid: a name that is no identifier, stands for two things, or is unknown.
            NotFound: no such function, language or mapping.
        """
        from holdfast.functions.translating import translated

        self.check_writable()
        function, mapping = translated(
            self, what, language, names, docstring=docstring, aliases=aliases, comment=comment
        )
        return self.add_mapping(function, language, mapping, author=author)

    def add_mapping(
        self,
        function: FunctionObject,
        language: str,
        mapping: Mapping,
        *,
        author: str | None = None,
        message: str = "translate",
    ) -> Added:
        """Add `mapping` to a function of the pool, durable on return. One that lies in an older
        layout is migrated first."""
        self.check_writable()
        if self.reader.schemas(function.hash)[:1] != [Schema.V1]:
            from holdfast.functions.migrate import migrate

            migrate(self, function.hash).raise_failed()
            function, _ = self.reader.object(function.hash)
        addition = Addition(function)
        hash = addition.add(language, mapping)
        (written,), logseq = self.write([addition], message, author=author)
        return Added(
            function.hash,
            hash,
            language,
            own_name(function, mapping),
            function.normal_form,
            self.layout.object(function.hash) in written.new,
            self.layout.mapping(function.hash, language, hash) in written.new,
            logseq,
        )

    def write(
        self, additions: Sequence[Addition], message: str, *, author: str | None = None
    ) -> tuple[builtins.list[Written], int | None]:
        """Write and announce `additions`, one for each hash; the logseq of the COMMIT."""
        self.check_writable()
        self.changes.note([a.object.hash for a in additions])
        with self.writer.lease():
            written = self.writer.write(additions)
        return written, self.anchor.commit(written, message, author=author)

    # reading

    def find(self, prefix: str) -> str:
        """The hash that begins with `prefix`. Raises `NotFound`, `Invalid` when it is ambiguous."""
        return self.reader.find(prefix)

    def list(self) -> Iterator[str]:
        """The hashes of all functions, ascending."""
        return self.reader.hashes()

    def object(self, hash: str) -> FunctionObject:
        """The function without names, its code held against its hash."""
        return self.reader.object(hash)[0]

    def languages(self, hash: str) -> builtins.list[str]:
        """The languages of the function, ascending."""
        self._check_there(hash)
        return sorted({place.language for place in self.reader.mapping_places(hash)})

    def mappings(self, hash: str, language: str) -> builtins.list[MappingInfo]:
        """The mappings of the function in `language`, by hash."""
        check_language(language)
        self._check_there(hash)
        return [
            MappingInfo(place.hash, self.reader.mapping(hash, place), place.schema)
            for place in self.reader.mapping_places(hash)
            if place.language == language
        ]

    def load(self, what: str) -> Loaded:
        """The function that ``HASH@LANGUAGE[@MAPPING]`` names; prefixes of hashes are accepted.

        Raises:
            NotFound: no such function, language or mapping.
            Invalid: several mappings, and none is named; no language.
            Integrity, ManifestInvalid, Unsupported: damaged.
        """
        from holdfast.functions.show import resolve

        hash, language, places = resolve(self.reader, what)
        if language is None:
            raise Invalid(
                "loading the function",
                what,
                found="no language",
                expected="HASH@LANGUAGE",
                hint="its languages: " + ", ".join(self.languages(hash)),
            )
        if len(places) > 1:
            raise Invalid(
                "loading the function",
                what,
                found=f"{len(places)} mappings",
                expected="HASH@LANGUAGE@MAPPING",
                hint="`show` lists them",
            )
        return self.load_place(hash, places[0])

    def load_place(self, hash: str, place: MappingPlace) -> Loaded:
        """The function under the mapping at `place`."""
        found, schema = self.reader.object(hash)
        mapping = self.reader.mapping(hash, place)
        source = denormalize(found.normalized_code, found.normal_form, mapping)
        return Loaded(hash, place.language, place.hash, source, found, mapping, schema)

    def show(self, what: str, command: str = "holdfast fn show") -> Shown:
        """What ``HASH[@LANGUAGE[@MAPPING]]`` shows: code, or a menu of commands that begin with
        `command`. See `holdfast.functions.show`."""
        from holdfast.functions.show import show

        return show(self, what, command)

    def dependencies(self, hash: str) -> builtins.list[str]:
        """The hashes of the functions that it imports, ascending."""
        from holdfast.functions.imports import dependencies_of

        return dependencies_of(self.object(hash).normalized_code)

    def callers(self, hash: str) -> builtins.list[str]:
        """The hashes of the functions that import it, ascending; of functions that are there or
        not."""
        from holdfast.functions.refactor import callers

        return callers(self, hash)

    # services

    def validate(self, hash: str | None = None, *, jobs: int | None = None) -> Validation:
        """Recompute and check one function or all; see `holdfast.functions.validate`."""
        from holdfast.functions.validate import validate

        return validate(self, hash, jobs=jobs)

    def migrate(
        self,
        hash: str | None = None,
        *,
        keep_v0: bool = False,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> MigrationReport:
        """Move older layouts to v1; see `holdfast.functions.migrate`."""
        from holdfast.functions.migrate import migrate

        return migrate(self, hash, keep_v0=keep_v0, dry_run=dry_run, progress=progress)

    def refactor(self, what: str, old: str, new: str, *, dry_run: bool = False) -> Refactored:
        """Replace the dependency `old` of `what` by `new`, and `what` in all its callers; see
        `holdfast.functions.refactor`."""
        from holdfast.functions.refactor import refactor

        return refactor(self, what, old, new, dry_run=dry_run)

    def search(
        self, query: str, *, language: str | None = None, limit: int = 20
    ) -> builtins.list[Hit]:
        """The functions whose names, docstring, comment or code hold all words of `query`; see
        `holdfast.functions.search`."""
        from holdfast.functions.search import SearchIndex

        with self._lock:
            if self._index is None:
                self._index = SearchIndex(self.reader, self.anchor, self.changes, self.cache)
            return self._index.search(query, language=language, limit=limit)

    def review(self, hash: str, languages: Sequence[str] = ()) -> Review:
        """The function side by side in several languages; see `holdfast.functions.review`."""
        from holdfast.functions.review import review

        return review(self, hash, languages)

    def log(self, hash: str | None = None, *, limit: int | None = None) -> Iterator[Event]:
        """What was added, newest first; see `holdfast.functions.history`."""
        from holdfast.functions.history import log

        return log(self, hash, limit=limit)

    # maintenance (records.Maintainable)

    def verify(self, *, deep: bool = True) -> Iterator[Finding | Checked]:
        """Check every file; `deep` recomputes every hash."""
        from holdfast.functions.maintenance import verify

        return verify(self, deep=deep)

    def repair(self) -> Iterator[Finding]:
        """Announce to the ledger what a crash kept from it; yields what was mended."""
        from holdfast.functions.maintenance import repair

        self.check_writable()
        return repair(self)

    def collect(self, *, dry_run: bool) -> GcReport:
        """Remove what a crash left below functions that never came to be."""
        from holdfast.functions.maintenance import collect

        if not dry_run:
            self.check_writable()
        return collect(self, dry_run=dry_run)

    def close(self) -> None:
        """Close the search index; idempotent. The store stays open."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def check_writable(self) -> None:
        """Raises `Denied` when the pool is open for reading only."""
        if self.read_only:
            raise Denied("writing to the pool", self.store.url, found="it is open for reading only")

    def _check_there(self, hash: str) -> None:
        if not self.reader.schemas(hash):
            raise NotFound("looking for the function", hash)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
