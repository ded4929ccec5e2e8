"""Names of the objects of a log, and its hint (spec/ledger.md §2, "Object store").

::

    log/<first>.asl                      one batch: a log header, then its records
    log/<first>-<last>.asl               several batches merged into one
    log/<first>-<16 hex>.commits         the frames of a batch; hex of its last record's hash
    log/head                             a hint: "<first> <last> <record hash of last, hex>\\n"

Logseqs in names and in the hint have 20 decimal digits.
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Iterable
from typing import NamedTuple

_NAME = re.compile(
    r"(?P<single>\d{20})\.asl\Z"
    r"|(?P<first>\d{20})-(?P<last>\d{20})\.asl\Z"
    r"|(?P<batch>\d{20})-(?P<hash>[0-9a-f]{16})\.commits\Z",
    re.ASCII,
)
_HINT = re.compile(rb"(\d{20}) (\d{20}) ([0-9a-f]{64})\n\Z")


class Hint(NamedTuple):
    """The newest batch that a writer told of: its first and last logseq, its last hash."""

    first: int
    last: int
    record_hash: bytes

    def encode(self) -> bytes:
        return f"{self.first:020d} {self.last:020d} {self.record_hash.hex()}\n".encode()


def decode_hint(data: bytes) -> Hint | None:
    """The hint that `data` holds, or None: a hint that cannot be read is no hint."""
    match = _HINT.match(data)
    if match is None or not 0 < int(match[1]) <= int(match[2]):
        return None
    return Hint(int(match[1]), int(match[2]), bytes.fromhex(match[3].decode()))


def single_name(first: int) -> str:
    """The name of the batch whose first record is `first`."""
    return f"{first:020d}.asl"


def merged_name(first: int, last: int) -> str:
    """The name of what merges the batches from record `first` to record `last`."""
    return f"{first:020d}-{last:020d}.asl"


def sidecar_name(first: int, last_hash: bytes) -> str:
    """The name of the frames of the batch whose first record is `first`."""
    return f"{first:020d}-{last_hash[:8].hex()}.commits"


class Catalogue:
    """The names known so far: `singles` (first logseqs, ascending), `merged` (first, last),
    `sidecars` (first logseq, 16 hex), and the `others` that belong to no log."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.singles: list[int] = []
        self.merged: list[tuple[int, int]] = []
        self.sidecars: list[tuple[int, str]] = []
        self.others: list[str] = []
        for name in names:
            match = _NAME.match(name)
            if match is None:
                if name != "head":
                    self.others.append(name)
            elif match["single"]:
                self.singles.append(int(match["single"]))
            elif match["first"]:
                self.merged.append((int(match["first"]), int(match["last"])))
            else:
                self.sidecars.append((int(match["batch"]), match["hash"]))
        self.singles.sort()
        self.merged.sort()
        self.sidecars.sort()

    def add(self, first: int) -> None:
        """Take in a batch that was met."""
        i = bisect_right(self.singles, first)
        if i == 0 or self.singles[i - 1] != first:
            insort(self.singles, first)

    def covering(self, logseq: int) -> tuple[str, int] | None:
        """(name, first logseq) of the object to read record `logseq` from: the merged one that
        reaches farthest, else the batch that begins at or before it."""
        best: tuple[int, int] | None = None
        for first, last in self.merged:
            if first <= logseq <= last and (best is None or last > best[1]):
                best = (first, last)
        if best is not None:
            return merged_name(*best), best[0]
        i = bisect_right(self.singles, logseq)
        if i == 0:
            return None
        return single_name(self.singles[i - 1]), self.singles[i - 1]

    def newest(self) -> tuple[str, int] | None:
        """(name, first logseq) of the object with the greatest logseq."""
        end = max((last for _, last in self.merged), default=0)
        if self.singles and self.singles[-1] > end:
            return single_name(self.singles[-1]), self.singles[-1]
        return self.covering(end) if end else None

    def frames_for(self, logseq: int) -> list[str]:
        """Names of the sidecars in which the frame of `logseq` may lie: those of the nearest first
        logseq that has any, at or before it."""
        at = bisect_right(self.sidecars, (logseq, "~"))
        if at == 0:
            return []
        first = self.sidecars[at - 1][0]
        return [f"{f:020d}-{h}.commits" for f, h in self.sidecars[:at] if f == first]
