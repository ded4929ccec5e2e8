"""Which characters print as themselves: those of Unicode 14, which CPython 3.11 knows.

A later Python prints characters that came with a later Unicode as they are; 3.11 escapes them.
Python 3.12 knows Unicode 15.0, Python 3.13 knows 15.1; no character went the other way.
"""

from __future__ import annotations

import re
from typing import Final

# Printable since Unicode 15.0 or 15.1: first-last, hexadecimal.
_SINCE_14: Final = """
cf3-cf3 ece-ece 2ffc-2fff 31ef-31ef 10efd-10eff 1123f-11241 11b00-11b09 11f00-11f10 11f12-11f3a
11f3e-11f59 1342f-1342f 13440-13455 1b132-1b132 1b155-1b155 1d2c0-1d2d3 1df25-1df2a 1e030-1e06d
1e08f-1e08f 1e4d0-1e4f9 1f6dc-1f6dc 1f774-1f776 1f77b-1f77f 1f7d9-1f7d9 1fa75-1fa77 1fa87-1fa88
1faad-1faaf 1fabb-1fabd 1fabf-1fabf 1face-1facf 1fada-1fadb 1fae8-1fae8 1faf7-1faf8 2b739-2b739
2ebf0-2ee5d 31350-323af
"""


def _later() -> re.Pattern[str]:
    pairs = (pair.split("-") for pair in _SINCE_14.split())
    return re.compile(
        "[" + "".join(f"\\U{int(a, 16):08x}-\\U{int(b, 16):08x}" for a, b in pairs) + "]"
    )


LATER: Final = _later()


def _escaped(found: re.Match[str]) -> str:
    return escape(found.group())


def escape(character: str) -> str:
    """The escape sequence of one character: ``\\n``, ``\\x07``, ``\\u200b``, ``\\U0001fae8``."""
    return character.encode("unicode_escape").decode("ascii")


def is_printable(character: str) -> bool:
    """Whether CPython 3.11 prints the character as it is."""
    return character.isprintable() and (character.isascii() or LATER.match(character) is None)


def represent(text: str) -> str:
    """`text` as a literal in single quotes where that needs no more escapes, as 3.11 writes it."""
    literal = repr(text)
    return literal if literal.isascii() else LATER.sub(_escaped, literal)
