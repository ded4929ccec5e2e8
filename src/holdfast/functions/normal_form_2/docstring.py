"""The docstring stands outside the normal form; a slot keeps its place where that matters.

Taking a docstring away must not make the next string the docstring, nor leave a body empty, nor
make ``""`` and no docstring the same. There an empty string stays as the slot. `split` and `join`
are inverse for every docstring, so that any language's docstring leads back to the same hash.
"""

from __future__ import annotations

import ast
from typing import Any


def _text(body: list[ast.stmt], index: int) -> str | None:
    if index < len(body):
        node = body[index]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            value = node.value.value
            return value if isinstance(value, str) else None
    return None


def _string(text: str) -> ast.stmt:
    return ast.Expr(value=ast.Constant(value=text))


def split(function: Any) -> str:
    """Take the docstring out of `function`, in place, and return it ("" for none)."""
    body = function.body
    docstring = _text(body, 0)
    if docstring is None:
        return ""
    rest = body[1:]
    follows = _text(rest, 0)
    alone = follows == "" and len(rest) > 1 and _text(rest, 1) is None
    if not docstring or not rest or (follows is not None and not alone):
        rest = [_string(""), *rest]
    function.body = rest
    return docstring


def join(function: Any, docstring: str) -> None:
    """Put `docstring` into `function`, in place: what `split` had taken out."""
    body = function.body
    if _text(body, 0) == "" and (len(body) == 1 or _text(body, 1) is not None):
        function.body = [_string(docstring), *body[1:]]
    elif docstring:
        function.body = [_string(docstring), *body]
