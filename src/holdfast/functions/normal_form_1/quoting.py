"""String literals that avoid backslashes: docstrings, f-strings, strings inside f-strings.

CPython 3.11 prefers a quote that needs no escape over escaping, and keeps newlines and tabs as
they are where a backslash is not allowed. Which quote wins is part of normal form 1.
"""

from __future__ import annotations

from typing import Final

from holdfast.functions.normal_form_1.unicode_14 import escape, is_printable, represent

ANY_QUOTE: Final[tuple[str, ...]] = ("'", '"', '"""', "'''")
TRIPLE_QUOTE: Final[tuple[str, ...]] = ('"""', "'''")


def inner_text(
    text: str, quotes: tuple[str, ...], *, escape_blanks: bool = False
) -> tuple[str, tuple[str, ...]]:
    """What stands between the quotes, and the quotes that fit, best first.

    Args:
        text: the string's value.
        quotes: the quotes to choose from, best first.
        escape_blanks: write newline and tab as ``\\n`` and ``\\t`` instead of raw.

    Returns:
        The text, and a part of `quotes`. When none fits, the text is escaped as an ordinary
        literal would be, and there is one quote, which may be a new one.
    """
    raw = "" if escape_blanks else "\n\t"
    plain = text.isascii() and text.isprintable() and "\\" not in text
    body = text if plain else "".join(_character(c, raw) for c in text)
    across_lines = "\n" in body
    fitting = tuple(
        quote
        for quote in quotes
        if quote not in body and (quote in TRIPLE_QUOTE or not across_lines)
    )
    if not fitting:
        literal = represent(text)
        first = literal[0]
        return literal[1:-1], (next((quote for quote in quotes if first in quote), first),)
    if body:
        last = body[-1]
        # A quote that begins with the last character would close too early.
        fitting = tuple(sorted(fitting, key=lambda quote: quote[0] == last))
        if fitting[0][0] == last:
            body = f"{body[:-1]}\\{last}"
    return body, fitting


def _character(character: str, raw: str) -> str:
    if character in raw:
        return character
    if character == "\\" or not is_printable(character):
        return escape(character)
    return character


def quoted(text: str, quotes: tuple[str, ...] = ANY_QUOTE) -> str:
    """`text` as a literal with the best of `quotes`, with as few backslashes as can be."""
    body, fitting = inner_text(text, quotes)
    return f"{fitting[0]}{body}{fitting[0]}"
