"""The docstring stands outside the normal form; a slot keeps its place where that matters.

Taking a docstring away must not make the next string the docstring, nor leave a body empty, nor
make ``""`` and no docstring the same. There an empty string stays as the slot. `join` undoes
`split`, and any language's docstring leads back to the same hash; only a function whose docstring
was ``""`` with code behind it has no other docstring.
"""

from __future__ import annotations

import ast
from typing import Any

from holdfast.errors import Invalid


def _text(body: list[ast.stmt], index: int) -> str | None:
    if index < len(body):
        node = body[index]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            value = node.value.value
            return value if isinstance(value, str) else None
    return None


def _string(text: str) -> ast.stmt:
    statement = ast.Expr(value=ast.Constant(value=text))
    # The compiler asks for positions.
    for node in (statement, statement.value):
        node.lineno = node.end_lineno = 1
        node.col_offset = node.end_col_offset = 0
    return statement


def split(function: Any) -> str:
    """Take the docstring out of `function`, in place, and return it ("" for none)."""
    body = function.body
    docstring = _text(body, 0)
    if docstring is None:
        return ""
    rest = body[1:]
    if not docstring or not rest or _text(rest, 0) is not None:
        rest = [_string(""), *rest]
    function.body = rest
    return docstring


def join(function: Any, docstring: str) -> None:
    """Put `docstring` into `function`, in place: what `split` had taken out.

    Raises:
        Invalid: a docstring for a function that has an empty one as a part of it.
    """
    body = function.body
    if _text(body, 0) == "":
        if docstring and len(body) > 1 and _text(body, 1) is None:
            raise Invalid(
                "restoring the docstring of",
                "a function",
                found="an empty docstring, which is part of its identity",
                hint="add the function anew with the docstring",
            )
        function.body = [_string(docstring), *body[1:]]
    elif docstring:
        function.body = [_string(docstring), *body]
