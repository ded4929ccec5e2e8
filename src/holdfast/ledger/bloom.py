"""The bloom filter of an index segment: a blocked filter of 64-bit words.

Layout (docs/spec/ledger.md §4), little-endian: ``magic "HFBLOOM1" · u64 words · u64 word[words]``.
A reference sets five bits of one word, so that a lookup reads eight bytes. Both come from the
digest itself, which is uniform already: word = (digest bytes 8–15 as u64) mod words, bit i = six
bits of digest bytes 16–23 from bit 6·i on. Digests that are not SHA-256 go through SHA-256 of
their ``ReferenceBytes`` first.

The filter is advisory: no bytes, or bytes of another layout, mean "maybe" for every reference. It
never says "absent" falsely.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from holdfast.ledger.artifact import SHA256

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

    from holdfast.ledger.artifact import Reference

MAGIC = b"HFBLOOM1"
BITS_PER_RECORD = 12
"""With five bits in one word: about 1.5 of 100 absent references answer "maybe"."""
PROBES = 5

_HEADER = struct.Struct("<8sQ")
_PAIR = struct.Struct("<QQ")
_WORD = struct.Struct("<Q")
_SHORT = 24


def word_count(records: int) -> int:
    """The words of a filter for `records` references; 0 makes no filter."""
    return (records * BITS_PER_RECORD + 63) // 64


def probe_source(reference: Reference) -> bytes:
    """The uniform bytes (at least 24) that a reference's word and bits come from."""
    if reference.hash_id == SHA256 and len(reference.digest) >= _SHORT:
        return reference.digest
    return hashlib.sha256(reference.hash_id.to_bytes(2, "big") + reference.digest).digest()


def _mask(bits: int) -> int:
    return (
        1 << (bits & 63)
        | 1 << (bits >> 6 & 63)
        | 1 << (bits >> 12 & 63)
        | 1 << (bits >> 18 & 63)
        | 1 << (bits >> 24 & 63)
    )


def build(references: Iterable[Reference], count: int) -> bytes:
    """The filter's bytes for `count` references; none for none."""
    words = word_count(count)
    if not words:
        return b""
    table = [0] * words
    for reference in references:
        place, bits = _PAIR.unpack_from(probe_source(reference), 8)
        table[place % words] |= _mask(bits)
    return _HEADER.pack(MAGIC, words) + struct.pack(f"<{words}Q", *table)


def build_from_digests(digests: npt.NDArray[np.uint8]) -> bytes:
    """As `build` for SHA-256 digests, an array of shape (records, 32), vectorised."""
    import numpy as np

    words = word_count(len(digests))
    if not words:
        return b""
    table = np.zeros(words, "<u8")
    probes = np.ascontiguousarray(digests[:, 8:24]).view("<u8")
    places = probes[:, 0] % np.uint64(words)
    masks = np.zeros(len(digests), "<u8")
    for i in range(PROBES):
        masks |= np.uint64(1) << (probes[:, 1] >> np.uint64(6 * i) & np.uint64(63))
    # Group the masks by word first: reduceat is far faster than bitwise_or.at.
    order = np.argsort(places, kind="stable")
    places = places[order]
    starts = np.flatnonzero(np.r_[True, places[1:] != places[:-1]])
    table[places[starts]] = np.bitwise_or.reduceat(masks[order], starts)
    return _HEADER.pack(MAGIC, words) + table.tobytes()


class Bloom:
    """A filter over mapped bytes; `offset` and `size` name its section of `data`."""

    __slots__ = ("_data", "_first", "_words")

    def __init__(self, data: memoryview, offset: int, size: int) -> None:
        self._data = data
        self._first = offset + _HEADER.size
        self._words = 0
        if size >= _HEADER.size:
            magic, words = _HEADER.unpack_from(data, offset)
            if magic == MAGIC and words == (size - _HEADER.size) // 8 and size % 8 == 0:
                self._words = words

    @property
    def words(self) -> int:
        """Words of the filter; 0 when every answer is "maybe"."""
        return self._words

    def may_hold(self, source: bytes) -> bool:
        """False only when no record has the reference of this `probe_source`."""
        words = self._words
        if not words:
            return True
        place, bits = _PAIR.unpack_from(source, 8)
        mask = _mask(bits)
        found: int = _WORD.unpack_from(self._data, self._first + place % words * 8)[0]
        return found & mask == mask

    def may_hold_many(self, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """As `may_hold` for SHA-256 digests as big-endian words, shape (n, 4)."""
        import numpy as np

        if not self._words:
            return np.ones(len(words), np.bool_)
        table = np.frombuffer(self._data, "<u8", self._words, self._first)
        places = words[:, 1].byteswap() % np.uint64(self._words)
        bits = words[:, 2].byteswap()
        masks = np.zeros(len(words), np.uint64)
        for i in range(PROBES):
            masks |= np.uint64(1) << (bits >> np.uint64(6 * i) & np.uint64(63))
        held: npt.NDArray[np.bool_] = table[places.astype(np.int64)] & masks == masks
        return held
