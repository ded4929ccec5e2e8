"""Patterns of `case` as CPython 3.11 writes them; captures are never renamed."""

from __future__ import annotations

import ast

from holdfast.functions.normal_form_1 import precedence as level
from holdfast.functions.normal_form_1.print_expression import ExpressionPrinter
from holdfast.functions.normal_form_1.unwritable import Unwritable


def pattern(node: ast.pattern, printer: ExpressionPrinter, at: int = level.TEST) -> str:
    """The pattern's text at a place of that precedence.

    Raises:
        Unwritable: a pattern that 3.11 does not know.
    """
    match node:
        case ast.MatchValue():
            return printer.text(node.value)
        case ast.MatchSingleton():
            return repr(node.value)
        case ast.MatchSequence():
            return f"[{_listed(node.patterns, printer)}]"
        case ast.MatchStar():
            return f"*{node.name or '_'}"
        case ast.MatchMapping():
            return _mapping(node, printer)
        case ast.MatchClass():
            return _class(node, printer)
        case ast.MatchAs():
            return _capture(node, printer, at)
        case ast.MatchOr():
            text = " | ".join(pattern(p, printer, level.BIT_OR + 1) for p in node.patterns)
            return f"({text})" if at > level.BIT_OR else text
        case _:
            raise Unwritable(f"a pattern {type(node).__name__}")


def _listed(patterns: list[ast.pattern], printer: ExpressionPrinter) -> str:
    return ", ".join([pattern(p, printer) for p in patterns])


def _mapping(node: ast.MatchMapping, printer: ExpressionPrinter) -> str:
    parts = [
        f"{printer.text(key)}: {pattern(value, printer)}"
        for key, value in zip(node.keys, node.patterns, strict=True)
    ]
    if node.rest is not None:
        parts.append(f"**{node.rest}")
    return f"{{{', '.join(parts)}}}"


def _class(node: ast.MatchClass, printer: ExpressionPrinter) -> str:
    parts = [pattern(p, printer) for p in node.patterns]
    parts += [
        f"{name}={pattern(p, printer)}"
        for name, p in zip(node.kwd_attrs, node.kwd_patterns, strict=True)
    ]
    return f"{printer.text(node.cls, level.ATOM)}({', '.join(parts)})"


def _capture(node: ast.MatchAs, printer: ExpressionPrinter, at: int) -> str:
    if node.pattern is None:
        return node.name or "_"
    text = f"{pattern(node.pattern, printer, level.BIT_OR)} as {node.name}"
    return f"({text})" if at > level.TEST else text
