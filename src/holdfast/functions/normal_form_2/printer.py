"""The one printer of normal form 2: a syntax tree as text, the same bytes on every Python."""

from __future__ import annotations

import ast
from typing import Any

from holdfast.errors import Invalid
from holdfast.functions.normal_form_2 import literals
from holdfast.functions.normal_form_2.expressions import (
    BIT_OR,
    OR,
    TEST,
    Expressions,
    binary_sign,
)
from holdfast.functions.normal_form_2.grammar import node_type

_IMPORTS = (ast.Import, ast.ImportFrom)


def print_ast(tree: ast.Module) -> str:
    """The text of a module, without a last line end: parsing it gives `tree` again.

    Four spaces a level; one empty line after imports and before what follows them.

    Raises:
        Invalid: syntax that normal form 2 does not know.
    """
    printer = _Printer()
    previous: Any = None
    for node in tree.body:
        if previous is not None and not (
            isinstance(previous, _IMPORTS) and isinstance(node, _IMPORTS)
        ):
            printer.lines.append("")
        printer.statement(node, "")
        previous = node
    return "\n".join(printer.lines)


class _Printer(Expressions):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def statement(self, node: Any, indent: str) -> None:
        handler = _STATEMENTS.get(type(node))
        if handler is None:
            raise Invalid("printing", "a syntax tree", found=f"unknown node {type(node).__name__}")
        text = handler(self, node, indent)
        if text is not None:
            self.lines.append(indent + text)

    def block(self, head: str, body: list[Any], indent: str) -> None:
        self.lines.append(f"{indent}{head}:")
        inner = indent + "    "
        for node in body:
            self.statement(node, inner)

    def documented(self, head: str, body: list[Any], indent: str) -> None:
        """A block whose first statement may be a docstring."""
        self.lines.append(f"{indent}{head}:")
        inner = indent + "    "
        for index, node in enumerate(body):
            if (
                index == 0
                and type(node) is ast.Expr
                and type(node.value) is ast.Constant
                and type(node.value.value) is str
            ):
                self.lines.append(inner + literals.docstring(node.value.value))
            else:
                self.statement(node, inner)

    def decorators(self, node: Any, indent: str) -> None:
        for decorator in node.decorator_list:
            self.lines.append(f"{indent}@{self.expr(decorator)}")

    def type_parameters(self, node: Any) -> str:
        parameters = getattr(node, "type_params", None)
        if not parameters:
            return ""
        return "[" + ", ".join([self._type_parameter(p) for p in parameters]) + "]"

    def _type_parameter(self, node: Any) -> str:
        kind = type(node).__name__
        text = {"ParamSpec": "**", "TypeVarTuple": "*"}.get(kind, "") + str(node.name)
        if getattr(node, "bound", None) is not None:
            text += ": " + self.expr(node.bound)
        default = getattr(node, "default_value", None)
        return text if default is None else f"{text} = {self.expr(default)}"

    def with_items(self, items: list[Any]) -> str:
        out = []
        for item in items:
            text = self.expr(item.context_expr)
            if item.optional_vars is not None:
                text += " as " + self.expr(item.optional_vars)
            elif len(items) == 1 and type(item.context_expr) is ast.Tuple:
                text = f"({text})"  # else the tuple would read as several items
            out.append(text)
        return ", ".join(out)

    def pattern(self, node: Any, closed: bool = False) -> str:
        """A pattern of a match statement; `closed`: where ``|`` and ``as`` need parentheses."""
        handler = _PATTERNS.get(type(node))
        if handler is None:
            raise Invalid("printing", "a syntax tree", found=f"unknown node {type(node).__name__}")
        text, is_open = handler(self, node)
        return f"({text})" if is_open and closed else text


def _function(p: _Printer, n: Any, indent: str) -> None:
    p.decorators(n, indent)
    word = "async def" if type(n) is ast.AsyncFunctionDef else "def"
    head = f"{word} {n.name}{p.type_parameters(n)}({p.arguments(n.args)})"
    if n.returns is not None:
        head += " -> " + p.expr(n.returns)
    p.documented(head, n.body, indent)


def _class(p: _Printer, n: Any, indent: str) -> None:
    p.decorators(n, indent)
    arguments = p.call_arguments(n.bases, n.keywords)
    head = f"class {n.name}{p.type_parameters(n)}"
    p.documented(head + (f"({arguments})" if arguments else ""), n.body, indent)


def _annotated(p: _Printer, n: Any, indent: str) -> str:
    target = p.expr(n.target)
    if type(n.target) is ast.Name and not n.simple:
        target = f"({target})"
    text = f"{target}: {p.expr(n.annotation)}"
    return text if n.value is None else f"{text} = {p.value(n.value)}"


def _for(p: _Printer, n: Any, indent: str) -> None:
    word = "async for" if type(n) is ast.AsyncFor else "for"
    p.block(f"{word} {p.free(n.target)} in {p.free(n.iter)}", n.body, indent)
    if n.orelse:
        p.block("else", n.orelse, indent)


def _while(p: _Printer, n: Any, indent: str) -> None:
    p.block("while " + p.expr(n.test), n.body, indent)
    if n.orelse:
        p.block("else", n.orelse, indent)


def _if(p: _Printer, n: Any, indent: str) -> None:
    p.block("if " + p.expr(n.test), n.body, indent)
    while len(n.orelse) == 1 and type(n.orelse[0]) is ast.If:
        n = n.orelse[0]
        p.block("elif " + p.expr(n.test), n.body, indent)
    if n.orelse:
        p.block("else", n.orelse, indent)


def _with(p: _Printer, n: Any, indent: str) -> None:
    word = "async with" if type(n) is ast.AsyncWith else "with"
    p.block(f"{word} {p.with_items(n.items)}", n.body, indent)


def _try(p: _Printer, n: Any, indent: str) -> None:
    p.block("try", n.body, indent)
    word = "except*" if type(n) is ast.TryStar else "except"
    for handler in n.handlers:
        head = word if handler.type is None else f"{word} {p.expr(handler.type)}"
        p.block(head + (f" as {handler.name}" if handler.name else ""), handler.body, indent)
    if n.orelse:
        p.block("else", n.orelse, indent)
    if n.finalbody:
        p.block("finally", n.finalbody, indent)


def _match(p: _Printer, n: Any, indent: str) -> None:
    p.lines.append(f"{indent}match {p.expr(n.subject)}:")
    inner = indent + "    "
    for case in n.cases:
        head = "case " + p.pattern(case.pattern)
        p.block(head + (f" if {p.expr(case.guard)}" if case.guard else ""), case.body, inner)


def _raise(p: _Printer, n: Any, indent: str) -> str:
    text = "raise" if n.exc is None else "raise " + p.expr(n.exc)
    return text if n.cause is None else f"{text} from {p.expr(n.cause)}"


def _assert(p: _Printer, n: Any, indent: str) -> str:
    text = "assert " + p.expr(n.test)
    return text if n.msg is None else f"{text}, {p.expr(n.msg)}"


def _aliases(n: Any) -> str:
    return ", ".join([f"{a.name} as {a.asname}" if a.asname else a.name for a in n.names])


def _import_from(p: _Printer, n: Any, indent: str) -> str:
    return f"from {'.' * (n.level or 0)}{n.module or ''} import {_aliases(n)}"


def _assign(p: _Printer, n: Any, indent: str) -> str:
    return "".join([p.free(t) + " = " for t in n.targets]) + p.value(n.value)


def _augmented(p: _Printer, n: Any, indent: str) -> str:
    return f"{p.expr(n.target)} {binary_sign(n.op)}= {p.value(n.value)}"


def _expression(p: _Printer, n: Any, indent: str) -> str:
    return p.value(n.value)


def _return(p: _Printer, n: Any, indent: str) -> str:
    return "return" if n.value is None else "return " + p.free(n.value)


def _type_alias(p: _Printer, n: Any, indent: str) -> str:
    return f"type {n.name.id}{p.type_parameters(n)} = {p.expr(n.value)}"


_STATEMENTS: dict[type[ast.AST], Any] = {
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _class,
    ast.AnnAssign: _annotated,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.While: _while,
    ast.If: _if,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Try: _try,
    ast.TryStar: _try,
    ast.Match: _match,
    ast.Raise: _raise,
    ast.Assert: _assert,
    ast.Import: lambda p, n, i: "import " + _aliases(n),
    ast.ImportFrom: _import_from,
    ast.Assign: _assign,
    ast.AugAssign: _augmented,
    ast.Expr: _expression,
    ast.Return: _return,
    ast.Delete: lambda p, n, i: "del " + ", ".join([p.expr(t) for t in n.targets]),
    ast.Global: lambda p, n, i: "global " + ", ".join(n.names),
    ast.Nonlocal: lambda p, n, i: "nonlocal " + ", ".join(n.names),
    ast.Pass: lambda p, n, i: "pass",
    ast.Break: lambda p, n, i: "break",
    ast.Continue: lambda p, n, i: "continue",
}
_TYPE_ALIAS = node_type("TypeAlias")
if _TYPE_ALIAS is not None:
    _STATEMENTS[_TYPE_ALIAS] = _type_alias


def _match_mapping(p: _Printer, n: Any) -> tuple[str, bool]:
    items = [
        f"{p.expr(k, BIT_OR)}: {p.pattern(v)}" for k, v in zip(n.keys, n.patterns, strict=True)
    ]
    if n.rest is not None:
        items.append("**" + n.rest)
    return "{" + ", ".join(items) + "}", False


def _match_class(p: _Printer, n: Any) -> tuple[str, bool]:
    items = [p.pattern(v) for v in n.patterns]
    items += [f"{k}={p.pattern(v)}" for k, v in zip(n.kwd_attrs, n.kwd_patterns, strict=True)]
    return f"{p.expr(n.cls, OR)}({', '.join(items)})", False


def _match_as(p: _Printer, n: Any) -> tuple[str, bool]:
    if n.pattern is None:
        return n.name or "_", False
    inner = p.pattern(n.pattern, closed=type(n.pattern) is ast.MatchAs)
    return f"{inner} as {n.name}", True


_PATTERNS: dict[type[ast.AST], Any] = {
    ast.MatchValue: lambda p, n: (p.expr(n.value, TEST), False),
    ast.MatchSingleton: lambda p, n: (str(n.value), False),
    ast.MatchSequence: lambda p, n: ("[" + ", ".join(map(p.pattern, n.patterns)) + "]", False),
    ast.MatchMapping: _match_mapping,
    ast.MatchClass: _match_class,
    ast.MatchStar: lambda p, n: ("*" + (n.name or "_"), False),
    ast.MatchAs: _match_as,
    ast.MatchOr: lambda p, n: (" | ".join([p.pattern(v, closed=True) for v in n.patterns]), True),
}
