"""A function side by side in several languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from holdfast.errors import NotFound
from holdfast.functions.show import resolve

if TYPE_CHECKING:
    from holdfast.functions.model import Loaded
    from holdfast.functions.pool import FunctionPool

_GAP = "  │  "


@dataclass(frozen=True, slots=True)
class Review:
    """One function under several mappings, in the order asked for."""

    hash: str
    columns: list[Loaded]

    def text(self) -> str:
        """The sources side by side: the same line of the code stands on the same line where the
        docstrings have as many lines."""
        blocks = []
        for loaded in self.columns:
            title = f"{loaded.language}@{loaded.mapping_hash[:12]}"
            blocks.append([title, "─" * len(title), *loaded.source.rstrip("\n").split("\n")])
        widths = [max(map(len, block)) for block in blocks]
        lines = []
        for row in zip_longest(*blocks, fillvalue=""):
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append(_GAP.join(cells).rstrip())
        return "\n".join(lines) + "\n"


def review(pool: FunctionPool, hash: str, languages: Sequence[str] = ()) -> Review:
    """The function `hash` (a prefix is accepted) under every mapping of `languages`, or of all.

    Raises:
        NotFound: no such function, or none of its mappings is in one of `languages`.
    """
    hash, _, places = resolve(pool.reader, hash)
    for language in languages:
        if not any(p.language == language for p in places):
            raise NotFound("looking for a mapping of", hash, found=f"none in {language!r}")
    wanted = [p for name in languages for p in places if p.language == name] or places
    return Review(hash, [pool.load_place(hash, place) for place in wanted])
