"""Where an artifact is, across segments and inline puts (spec/ledger.md §5.5).

Large segments are searched in their own bytes. Many small ones would cost a probe each, so after
some lookups their digest prefixes are merged into sorted arrays of geometrically growing size,
which a lookup bisects.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from math import isqrt
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import Integrity
from holdfast.ledger.segment import Extent, SegmentRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.ledger.admission import Segments
    from holdfast.ledger.artifact import Reference
    from holdfast.ledger.places import Places
    from holdfast.ledger.replay import IndexState, SealedSegment
    from holdfast.ledger.segment_reader import SegmentReader

MERGED_RECORDS = 131_072
"""Segments with more records are searched in their own bytes."""

MERGE_SEGMENTS = 4
MERGE_LOOKUPS = 64
"""Merge once so many small segments were asked so many times: a single `get` never pays for it."""

MANY = 64
"""So many references are looked up at once, fewer one by one."""


class Location(NamedTuple):
    """One place where an artifact's bytes lie.

    A segment location has `extents`; an inline one has none, its bytes are in the frame of record
    `logseq`. `logseq` is that of the seal or the inline put, 0 where a snapshot hides it.
    """

    reference: Reference
    logseq: int
    size: int = 0
    type_tag: int | None = None
    extents: tuple[Extent, ...] | None = None
    segment_id: int = 0
    domain_id: int = 0


class Standing(NamedTuple):
    """Where an artifact can be read, best first, and where tombstones hide it."""

    visible: Sequence[Location]
    hidden: Sequence[Location]


_NOWHERE = Standing((), ())


class Tier(NamedTuple):
    """Merged small segments: digest prefixes (u64) ascending, and order << 32 | record number."""

    prefixes: memoryview
    slots: memoryview


class Lookup:
    """Lookups in one index state. Not safe from several threads at once."""

    def __init__(self, state: IndexState, segments: Segments) -> None:
        self._state = state
        self._segments = segments
        self._order: list[SealedSegment | None] = []
        self._places: dict[int, int] = {}
        self._tiers: list[Tier] = []
        self._direct: list[int] = []
        self._fresh: list[int] = []
        self._asked = 0
        self.sync()

    def sync(self) -> None:
        """Take in what changed in the state's segments."""
        live, places = self._state.segments, self._places
        if len(places) > len(live) or places.keys() - live.keys():
            for segment_id in places.keys() - live.keys():
                place = places.pop(segment_id)
                self._order[place] = None
                for group in (self._direct, self._fresh):
                    if place in group:
                        group.remove(place)
        if len(places) == len(live):
            return
        for segment_id, segment in live.items():
            if segment_id not in places:
                places[segment_id] = len(self._order)
                self._fresh.append(len(self._order))
                self._order.append(segment)

    def verify(self, segment_id: int | None = None) -> None:
        """Hash every live segment, or that one, that this process has not hashed yet.

        Raises:
            Integrity: one is missing or damaged.
        """
        live = self._state.segments
        if segment_id is None:
            self._segments.verify(live.values())
        elif segment_id in live:
            self._segments.verify((live[segment_id],))

    def standing(self, reference: Reference) -> Standing:
        """Where `reference` is visible and where it is hidden.

        Raises:
            Integrity: a segment is missing or damaged.
        """
        state = self._state
        hits = self._find(reference)
        logseq = state.inline.get(reference)
        tombstoned = bool(state.tombstones) and reference in state.tombstones
        if logseq is None:
            if not hits:
                return _NOWHERE
            if len(hits) == 1 and not tombstoned:
                _, segment, record = hits[0]
                return _NOWHERE if record.tombstone else Standing((_at(segment, record),), ())
        local: list[Location] = []
        foreign: list[Location] = []
        ended: set[int] = set()
        for _, segment, record in hits:
            if record.tombstone:
                ended.add(record.domain_id)
            elif record.domain_id not in ended:
                (foreign if record.domain_id else local).append(_at(segment, record))
        if logseq is not None:
            local.append(Location(reference, logseq))
        foreign.sort(key=lambda location: location.domain_id)
        if tombstoned:
            return Standing(foreign, local)
        return Standing(local + foreign, ())

    def places(self, references: Sequence[Reference]) -> Places | None:
        """The places of `references` that are plain to see, found together; None where asking one
        by one costs less.

        Raises:
            Integrity: a segment is missing or damaged.
        """
        if len(references) < MANY:
            return None
        from holdfast.ledger.places import Search

        state = self._state
        special = [
            i
            for group in (state.inline, state.tombstones, state.erased)
            if group
            for i, reference in enumerate(references)
            if reference in group
        ]
        if self._fresh:
            self._merge_fresh()
        order, reader = self._order, self._segments.reader
        search = Search(references, [segment is not None for segment in order], special)
        for tier in self._tiers:
            search.in_tier(tier.prefixes, tier.slots)
        for place in self._direct:
            if (segment := order[place]) is not None:
                search.in_segment(place, reader(segment))
        readers = {}
        for place in search.wanted():
            if (segment := order[place]) is not None:
                # One that has become unreadable is the concern of those that lie in it.
                with suppress(Integrity):
                    readers[place] = reader(segment)
        return search.places(readers)

    def find_prefix(self, prefix: str) -> Iterator[Reference]:
        """The references in segments and inline puts whose digest begins with `prefix` (hex);
        some may come twice."""
        for reference in self._state.inline:
            if reference.digest.hex().startswith(prefix):
                yield reference
        for segment in list(self._state.segments.values()):
            for record in self._segments.reader(segment).find_prefix(prefix):
                yield record.reference

    def _find(self, reference: Reference) -> list[tuple[int, SealedSegment, SegmentRecord]]:
        """The records of `reference` with the order of their segments, latest sealed first."""
        if self._fresh:
            self._settle()
        found: list[tuple[int, SealedSegment, SegmentRecord]] = []
        if self._tiers:
            prefix = int.from_bytes(reference.digest[:8].ljust(8, b"\0"), "big")
            for prefixes, slots in self._tiers:
                at, end = _bisect(prefixes, prefix), len(prefixes)
                while at < end and prefixes[at] == prefix:
                    place, number = slots[at] >> 32, slots[at] & 0xFFFFFFFF
                    segment = self._order[place]
                    if segment is not None:
                        record = self._segments.reader(segment).record_if(number, reference)
                        if record is not None:
                            found.append((place, segment, record))
                    at += 1
        for group in (self._direct, self._fresh):
            for place in group:
                segment = self._order[place]
                if segment is not None:
                    records = self._segments.reader(segment).find(reference)
                    found += [(place, segment, record) for record in records]
        if len(found) > 1:
            found.sort(key=lambda hit: hit[0], reverse=True)
        return found

    def _settle(self) -> None:
        """Merge the small segments that came since, if lookups are frequent enough."""
        self._asked += 1
        if len(self._fresh) >= MERGE_SEGMENTS and self._asked >= MERGE_LOOKUPS:
            self._merge_fresh()

    def _merge_fresh(self) -> None:
        large, tiers = [], []
        for place in self._fresh:
            segment = self._order[place]
            if segment is None:
                continue
            reader = self._segments.reader(segment)
            tier = None if len(reader) > MERGED_RECORDS else _tier(place, reader)
            if tier is None:
                large.append(place)
            else:
                tiers.append(tier)
        self._fresh = []
        self._asked = 0
        self._direct += large
        if tiers:
            self._tiers.append(_merge(tiers))
        while len(self._tiers) > 1 and len(self._tiers[-2].slots) < 2 * len(self._tiers[-1].slots):
            last, before = self._tiers.pop(), self._tiers.pop()
            self._tiers.append(_merge([before, last]))


def _bisect(prefixes: memoryview, prefix: int) -> int:
    """`bisect_left`, tried first where uniform prefixes make it likely."""
    size = len(prefixes)
    likely, reach = prefix * size >> 64, 4 * isqrt(size)
    low, high = likely - reach, likely + reach
    if low <= 0 or prefixes[low - 1] >= prefix:
        low = 0
    if high >= size or prefixes[high] < prefix:
        high = size
    return bisect_left(prefixes, prefix, low, high)


def _tier(place: int, reader: SegmentReader) -> Tier | None:
    """The records of one segment; None when one of them is malformed: its own bytes are searched
    then, so that only who meets that record hears of it."""
    import numpy as np

    from holdfast.ledger.segment_columns import prefixes

    try:
        words = prefixes(reader)
    except Integrity:
        return None
    slots = np.arange(len(words), dtype=np.uint64) | np.uint64(place << 32)
    return Tier(words.data, slots.data)


def _merge(tiers: list[Tier]) -> Tier:
    import numpy as np

    words = np.concatenate([np.asarray(tier.prefixes) for tier in tiers])
    slots = np.concatenate([np.asarray(tier.slots) for tier in tiers])
    order = np.argsort(words, kind="stable")
    return Tier(words[order].data, slots[order].data)


def _at(segment: SealedSegment, record: SegmentRecord) -> Location:
    return Location(
        record.reference,
        segment.logseq,
        record.total_length,
        record.type_tag,
        record.extents,
        segment.segment_id,
        record.domain_id,
    )
