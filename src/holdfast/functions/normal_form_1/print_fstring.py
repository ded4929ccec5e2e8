"""f-strings as CPython 3.11 writes them.

3.11 cannot read a backslash, or the f-string's own quote, inside the braces. So the quote is
chosen piece by piece: each piece leaves only those quotes that fit it. The tree of an f-string is
the same on every Python, but 3.12 and later accept some that have no spelling for 3.11; those are
refused, as the original refuses them.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from holdfast.functions.normal_form_1.precedence import TEST
from holdfast.functions.normal_form_1.quoting import ANY_QUOTE, inner_text, quoted
from holdfast.functions.normal_form_1.unicode_14 import represent
from holdfast.functions.normal_form_1.unwritable import Unwritable

if TYPE_CHECKING:
    from holdfast.functions.normal_form_1.print_expression import ExpressionPrinter

_NO_CONVERSION: Final = -1


def fstring(node: ast.JoinedStr, printer: ExpressionPrinter) -> str:
    """The f-string with its prefix and quotes.

    Raises:
        Unwritable: it has no spelling for 3.11.
    """
    pieces = _pieces(node, printer)
    if printer.in_fstring:
        return "f" + quoted("".join([text for text, _ in pieces]))
    quotes = ANY_QUOTE
    written = []
    for text, is_constant in pieces:
        body, fitting = inner_text(text, quotes, escape_blanks=is_constant)
        if not set(fitting) & set(quotes):
            return f"f'''{''.join([_escaped(text) for text, _ in pieces])}'''"
        quotes = fitting
        written.append(body)
    return f"f{quotes[0]}{''.join(written)}{quotes[0]}"


def _escaped(text: str) -> str:
    """The text as it stands in an ordinary literal with single quotes."""
    # A double quote in front makes the literal take single quotes.
    return represent(f'"{text}')[2:-1]


def _pieces(
    node: ast.JoinedStr, printer: ExpressionPrinter, depth: int = 0
) -> list[tuple[str, bool]]:
    """The pieces' texts, and whether each is constant; neighbouring constants are one."""
    pieces: list[tuple[str, bool]] = []
    for value in node.values:
        if isinstance(value, ast.FormattedValue):
            pieces.append((_replacement(value, printer, depth), False))
        elif isinstance(value, ast.Constant) and isinstance(value.value, str):
            text = value.value.replace("{", "{{").replace("}", "}}")
            if pieces and pieces[-1][1]:
                text = pieces.pop()[0] + text
            if text:
                pieces.append((text, True))
        else:
            raise Unwritable(f"a {type(value).__name__} as a part of an f-string")
    return pieces


def _replacement(node: ast.FormattedValue, printer: ExpressionPrinter, depth: int) -> str:
    """A replacement field: braces, expression, conversion, format."""
    if depth > 1:
        raise Unwritable("a format in a format in a format of an f-string")
    expression = printer.braces.text(node.value, TEST + 1)
    if "\\" in expression:
        raise Unwritable("an f-string whose expression needs a backslash")
    text = "{ " if expression.startswith("{") else "{"
    text += expression
    if node.conversion != _NO_CONVERSION:
        text += f"!{chr(node.conversion)}"
    if isinstance(node.format_spec, ast.JoinedStr):
        text += f":{''.join([part for part, _ in _pieces(node.format_spec, printer, depth + 1)])}"
    return text + "}"
