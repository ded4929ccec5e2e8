"""f-strings that Python 3.12 and 3.13 read otherwise than 3.11, by a defect of their parsers.

Releases of 3.12 and 3.13 cut the text of a self-documenting field at ``!=`` (``f"{a != b=}"``),
and interpret backslashes in the format of a raw f-string (``rf"{a:\\d}"``). The tree no longer
tells, so such sources are found by their tokens and refused: another hash would be worse.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from functools import cache
from typing import Final

from holdfast.errors import Unsupported

_SELF_DOCUMENTING: Final = re.compile(r"=\s*[}!:]")
_RAW: Final = re.compile(r"""(?:[fF][rR]|[rR][fF])["']""")
_OPENING: Final = "([{"
_CLOSING: Final = ")]}"


def refuse_misread(source: str, filename: str) -> None:
    """Refuses what this Python reads otherwise than 3.11.

    Args:
        source: text that this Python parses.
        filename: for messages.

    Raises:
        Unsupported: such an f-string is in the source.
    """
    if not hasattr(tokenize, "FSTRING_START"):
        return  # 3.11 itself
    cut = "!=" in source and _cuts_text() and _SELF_DOCUMENTING.search(source) is not None
    raw = "\\" in source and _interprets_raw() and _RAW.search(source) is not None
    if not (cut or raw):
        return
    try:
        found = _misread(source)
    except (tokenize.TokenError, SyntaxError, SystemError, IndexError):
        # The tokenizers of these Pythons fail on some sources that their parsers take.
        found = "an f-string that cannot be checked"
    if found:
        raise Unsupported(
            "parsing",
            filename,
            found=f"{found}, which this Python reads otherwise than Python 3.11",
            hint="write it without, or normalise with Python 3.11",
        )


@cache
def _cuts_text() -> bool:
    return _first_constant('f"{a!=b=}"') != "a!=b="


@cache
def _interprets_raw() -> bool:
    return _first_constant('rf"{a:\\x41}"') == "A"


def _first_constant(source: str) -> object:
    tree = ast.parse(source, mode="eval")
    return next(node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))


@dataclass(slots=True)
class _Open:
    """An f-string or a bracket that is open."""

    bracket: str = ""  # "" for an f-string
    raw: bool = False
    compares: bool = False  # a != b stands in it


def _misread(source: str) -> str:
    """What is misread, "" for nothing."""
    starts, middles, ends = (
        getattr(tokenize, name, -1) for name in ("FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END")
    )
    opened: list[_Open] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        text = token.string
        if token.type == starts:
            opened.append(_Open(raw="r" in text.lower()))
        elif token.type == ends or (token.type == tokenize.OP and text in _CLOSING):
            opened.pop()
        elif token.type == middles:
            # A middle inside braces is the format of a field.
            if "\\" in text and opened[-1].bracket and opened[-2].raw:
                return "a backslash in the format of a raw f-string"
        elif token.type != tokenize.OP:
            continue
        elif text in _OPENING:
            opened.append(_Open(bracket=text))
        elif text == "!=":
            for one in opened:
                one.compares = True
        elif text == "=" and _in_field(opened) and opened[-1].compares:
            return "a self-documenting field with !="
    return ""


def _in_field(opened: list[_Open]) -> bool:
    return len(opened) > 1 and opened[-1].bracket == "{" and not opened[-2].bracket
