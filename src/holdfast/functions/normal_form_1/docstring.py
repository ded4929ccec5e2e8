"""The docstring as it is kept: without quotes and without the indentation of the source."""

from __future__ import annotations

import ast

from holdfast.functions.normal_form_1.print_statement import docstring_statement


def docstring_of(function: ast.FunctionDef) -> str:
    """The function's docstring, "" when there is none or it is blank."""
    found = docstring_statement(function.body)
    return "" if found is None else without_indentation(found[0])


def without_indentation(text: str) -> str:
    """`text` as Python 3.11 shows documentation.

    Tabs become spaces; the first line loses its leading blanks, the others as many as all of them
    have; empty lines at both ends go. Later Pythons count only spaces as blanks; here every white
    space counts.
    """
    first, *others = text.expandtabs().split("\n")
    margins = [len(line) - len(rest) for line in others if (rest := line.lstrip())]
    margin = min(margins, default=0)
    lines = [first.lstrip(), *(line[margin:] for line in others)]
    begin, end = 0, len(lines)
    while end and not lines[end - 1]:
        end -= 1
    while begin < end and not lines[begin]:
        begin += 1
    return "\n".join(lines[begin:end])
