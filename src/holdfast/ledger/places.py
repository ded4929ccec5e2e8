"""Where many artifacts lie, found at once with numpy (spec/ledger.md §5.5).

Only the plain case is answered here: one record of one live segment, one extent, sound in every
field. Whatever is not plain is left to `Lookup.standing`, which decides and names what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import Integrity
from holdfast.ledger.artifact import SHA256
from holdfast.ledger.segment import RECORD
from holdfast.ledger.segment_columns import extent_table, record_table
from holdfast.ledger.segment_reader import MAX_END

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from holdfast.ledger.artifact import Reference
    from holdfast.ledger.segment_reader import SegmentReader

    Words = npt.NDArray[np.uint64]
    Numbers = npt.NDArray[np.int64]

NO_TAG = -1


class Places(NamedTuple):
    """The one extent of each artifact asked for, in that order; length 0: not a plain case.

    A type tag of -1 is none.
    """

    blocks: list[int]
    offsets: list[int]
    lengths: list[int]
    type_tags: list[int]


class Search:
    """One search for many references in the segments of one state.

    Args:
        references: what to look for.
        live: for each order number, whether its segment is still live.
        skip: indices of references to leave out.
    """

    def __init__(
        self, references: Sequence[Reference], live: Sequence[bool], skip: Iterable[int] = ()
    ) -> None:
        import numpy as np

        self._count = len(references)
        left_out = set(skip)
        usable = [
            i
            for i, reference in enumerate(references)
            if reference.hash_id == SHA256 and len(reference.digest) == 32 and i not in left_out
        ]
        joined = b"".join([references[i].digest for i in usable])
        words = np.frombuffer(joined, ">u8").astype(np.uint64).reshape(-1, 4)
        # Ascending, so that neighbouring searches touch neighbouring bytes.
        order = np.argsort(words[:, 0])
        self._references = references
        self._who = np.array(usable, np.int64)[order]
        self._words = words[order]
        self._prefixes = self._words[:, 0].copy()
        self._live = np.array(live, np.bool_)
        self._hits = np.zeros(len(usable), np.int64)
        self._slots = np.zeros(len(usable), np.uint64)

    def in_tier(self, prefixes: memoryview, slots: memoryview) -> None:
        """Look in merged segments; see `Tier`."""
        import numpy as np

        if not len(prefixes):
            return
        tier, numbers = np.asarray(prefixes), np.asarray(slots)
        at = np.searchsorted(tier, self._prefixes)
        left = np.arange(len(at))
        while True:
            left = left[at[left] < len(tier)]
            left = left[tier[at[left]] == self._prefixes[left]]
            if not len(left):
                return
            found = numbers[at[left]]
            alive = self._live[(found >> np.uint64(32)).astype(np.int64)]
            self._hits[left[alive]] += 1
            self._slots[left[alive]] = found[alive]
            at[left] += 1

    def in_segment(self, place: int, reader: SegmentReader) -> None:
        """Look in one segment's own bytes; `place` is its order number."""
        import numpy as np

        left = np.flatnonzero(reader.bloom.may_hold_many(self._words))
        if _is_own(reader):
            table = record_table(reader)
            assert table is not None
            words = _digest_words(reader)[:, 0]
            at = _lower_bound(words, self._prefixes[left])
            last = len(words) - 1
            found = at <= last
            found &= words[np.minimum(at, last)].astype(np.uint64) == self._prefixes[left]
            for beside in (-1, 1):
                next_to = np.clip(at + beside, 0, last)
                rows = table[next_to]
                # A record beside it that has its own digest in its own place is another one's.
                own = (rows["hash_id"] == SHA256) & (rows["digest_len"] == 32)
                own &= rows["digest_offset"] == next_to.astype(np.uint64) * np.uint64(32)
                other = words[next_to].astype(np.uint64) != self._prefixes[left]
                found &= (own & other) | (next_to == at) | (next_to != at + beside)
            self._hits[left[found]] += 1
            self._slots[left[found]] = (at[found] | place << 32).astype(np.uint64)
            left = left[~found]
        for i in left.tolist():
            try:
                hit = bool(reader.find(self._references[int(self._who[i])]))
            except Integrity:
                hit = True
            if hit:
                self._hits[i] += 2

    def wanted(self) -> list[int]:
        """The order numbers of the segments in which something was found once."""
        import numpy as np

        return [int(n) for n in np.unique(self._slots[self._hits == 1] >> np.uint64(32))]

    def places(self, readers: dict[int, SegmentReader]) -> Places:
        """What was found plainly. `readers`: those of `wanted`, by order number."""
        import numpy as np

        single = np.flatnonzero(self._hits == 1)
        single = single[np.argsort(self._slots[single] >> np.uint64(32), kind="stable")]
        slots = self._slots[single]
        order, places = slots >> np.uint64(32), np.array(sorted(readers), np.uint64)
        starts = np.searchsorted(order, places).tolist()
        ends = np.searchsorted(order, places, "right").tolist()
        numbers = (slots & np.uint64(0xFFFFFFFF)).astype(np.int64)
        mine, rows, extents, digests = [], [], [], []
        for place, start, end in zip(sorted(readers), starts, ends, strict=True):
            reader = readers[place]
            table, pieces = record_table(reader), extent_table(reader)
            if table is None or not _is_own(reader) or not len(pieces):
                continue
            found = table[numbers[start:end]]
            firsts = found["first_extent"]
            # One beyond the extents gets an extent count that is not plain.
            beyond = firsts >= len(pieces)
            if beyond.any():
                found["extent_count"][beyond] = 0
                firsts[beyond] = 0
            mine.append(np.arange(start, end))
            rows.append(found)
            extents.append(pieces[firsts.astype(np.int64)])
            digests.append(_digest_words(reader)[numbers[start:end]])
        blocks = np.zeros(self._count, np.uint64)
        offsets, lengths, tags = (np.zeros(self._count, np.int64) for _ in range(3))
        if mine:
            at = np.concatenate(mine)
            row, extent = np.concatenate(rows), np.concatenate(extents)
            sound = (np.concatenate(digests) == self._words[single[at]]).all(axis=1)
            sound &= _sound(row, extent, numbers[at])
            who, row, extent = self._who[single[at[sound]]], row[sound], extent[sound]
            blocks[who] = extent["block_id"]
            offsets[who] = extent["offset"]
            lengths[who] = extent["length"]
            tags[who] = np.where(row["has_type_tag"], row["type_tag"].astype(np.int64), NO_TAG)
        return Places(blocks.tolist(), offsets.tolist(), lengths.tolist(), tags.tolist())


def _sound(
    rows: npt.NDArray[np.void], extents: npt.NDArray[np.void], numbers: Numbers
) -> npt.NDArray[np.bool_]:
    """Which records, with these numbers and each with this extent, have nothing wrong or unusual:
    all that `SegmentReader.record` checks."""
    import numpy as np

    lengths = extents["length"].astype(np.uint64)
    sound: npt.NDArray[np.bool_] = (
        (rows["hash_id"] == SHA256)
        & (rows["digest_len"] == 32)
        & (rows["digest_offset"] == numbers.astype(np.uint64) * np.uint64(32))
        & (rows["extent_count"] == 1)
        & (rows["total_length"] == lengths)
        & (rows["flags"] == 0)
        & (rows["has_type_tag"] <= 1)
        & (rows["has_cross_domain_source"] <= 1)
        & (rows["visibility"] <= 1)
        & (rows["reserved"] == 0)
        & (rows["reserved_too"] == 0)
        & (extents["block_id"] > 0)
        & (lengths > 0)
        & (extents["offset"] + lengths <= MAX_END)
    )
    return sound


def _is_own(reader: SegmentReader) -> bool:
    """Whether the segment has a 32-byte digest for each record, as own segments do."""
    header = reader.header
    count = header.record_count
    return 0 < count < 1 << 32 and (header.record_size, header.digests_size) == (
        RECORD.size,
        32 * count,
    )


def _digest_words(reader: SegmentReader) -> npt.NDArray[np.uint64]:
    """The digests as big-endian words, shape (records, 4), over the mapped bytes."""
    import numpy as np

    header = reader.header
    flat = np.frombuffer(reader.data, ">u8", 4 * header.record_count, header.digests_offset)
    return flat.reshape(-1, 4)


def _lower_bound(words: npt.NDArray[np.uint64], wanted: Words) -> Numbers:
    """For each of `wanted` the first index of `words`, ascending, that is not below it. Reads only
    the words that a bisection meets: `words` may be far more than memory."""
    import numpy as np

    low = np.zeros(len(wanted), np.int64)
    high = np.full(len(wanted), len(words), np.int64)
    for _ in range(len(words).bit_length()):
        middle = (low + high) >> 1
        inside = low < high
        below = inside & (words[np.minimum(middle, len(words) - 1)].astype(np.uint64) < wanted)
        low = np.where(below, middle + 1, low)
        high = np.where(inside & ~below, middle, high)
    return low
