"""Printing expressions: parentheses only where the grammar needs them."""

from __future__ import annotations

import ast
from typing import Any

from holdfast.errors import Invalid
from holdfast.functions.normal_form_2 import literals
from holdfast.functions.normal_form_2.encode import joined_parts

# How tightly an expression binds; an operand that binds less than its place asks is parenthesised.
_LOWEST, TEST, OR, AND, NOT, COMPARE, BIT_OR, BIT_XOR, BIT_AND = range(9)
SHIFT, SUM, TERM, FACTOR, POWER, AWAIT, ATOM = range(9, 16)

_BINARY: dict[str, tuple[str, int]] = {
    "BitOr": ("|", BIT_OR),
    "BitXor": ("^", BIT_XOR),
    "BitAnd": ("&", BIT_AND),
    "LShift": ("<<", SHIFT),
    "RShift": (">>", SHIFT),
    "Add": ("+", SUM),
    "Sub": ("-", SUM),
    "Mult": ("*", TERM),
    "MatMult": ("@", TERM),
    "Div": ("/", TERM),
    "Mod": ("%", TERM),
    "FloorDiv": ("//", TERM),
    "Pow": ("**", POWER),
}
_UNARY = {"Invert": "~", "UAdd": "+", "USub": "-"}
_COMPARISONS = {
    "Eq": "==",
    "NotEq": "!=",
    "Lt": "<",
    "LtE": "<=",
    "Gt": ">",
    "GtE": ">=",
    "Is": "is",
    "IsNot": "is not",
    "In": "in",
    "NotIn": "not in",
}
_QUOTES = ("'", '"', "'''", '"""')


def binary_sign(op: ast.AST) -> str:
    """The sign of a binary operator."""
    return _BINARY[type(op).__name__][0]


class _NoSpellingError(Exception):
    """Before 3.12 this f-string could not be written with these quotes."""


class Expressions:
    """A printer of expressions."""

    def __init__(self) -> None:
        # Inside the expressions of an f-string: quotes that may not appear, and no backslash.
        self._banned: tuple[str, ...] = ()
        self._strict = False
        self._relaxed = False

    def expr(self, node: Any, level: int = TEST) -> str:
        """`node` as it stands where operands must bind at least as tightly as `level`."""
        kind = type(node)
        if kind is ast.Name:
            return str(node.id)
        if kind is ast.Constant:
            return self._constant(node.value)
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise Invalid("printing", "a syntax tree", found=f"unknown node {kind.__name__}")
        text, own = handler(self, node)
        return f"({text})" if own < level else text

    def free(self, node: Any) -> str:
        """`node` where a tuple needs no parentheses."""
        if type(node) is ast.Tuple and node.elts:
            return self._items(node.elts, ",")
        return self.expr(node)

    def value(self, node: Any) -> str:
        """`node` where neither a tuple nor a yield needs parentheses."""
        if type(node) in (ast.Yield, ast.YieldFrom):
            return str(_HANDLERS[type(node)](self, node)[0])
        return self.free(node)

    def _items(self, nodes: list[Any], single: str) -> str:
        text = ", ".join([self.expr(n) for n in nodes])
        return text + single if len(nodes) == 1 else text

    def _constant(self, value: Any) -> str:
        cls = value.__class__
        if cls is str or cls is bytes:
            return self._string(value)
        if value is None or value is True or value is False:
            return str(value)
        if value is ...:
            return "..."
        return literals.number(value)

    def _string(self, value: str | bytes) -> str:
        is_text = isinstance(value, str)
        plain = literals.string(value) if isinstance(value, str) else literals.byte_string(value)
        if not self._strict:
            return plain
        if "\\" not in plain and not any(b in plain for b in self._banned):
            return plain
        text = value if isinstance(value, str) else value.decode("latin-1")
        if not is_text and not text.isascii():
            raise _NoSpellingError
        out = literals.raw_string(text, self._banned, "" if is_text else "b")
        if out is None:
            raise _NoSpellingError
        return out

    def joined(self, node: ast.JoinedStr) -> str:
        """An f-string, as 3.11 reads it if any spelling of it is; else as 3.12 does."""
        parts = joined_parts(node)
        if self._relaxed:
            return self._joined(parts, "'")
        for quote in _QUOTES:
            if any(b in quote for b in self._banned):
                continue
            try:
                return self._joined(parts, quote)
            except _NoSpellingError:
                continue
        if self._strict:
            raise _NoSpellingError
        self._relaxed = True
        try:
            return self._joined(parts, "'")
        finally:
            self._relaxed = False

    def _joined(self, parts: list[Any], quote: str) -> str:
        out = []
        for part in parts:
            if isinstance(part, str):
                text = literals.escaped(part.replace("{", "{{").replace("}", "}}"), quote)
                out.append(self._allowed(text))
            else:
                out.append(self._formatted(part, quote))
        whole = f"f{quote}{''.join(out)}{quote}"
        if any(b in whole for b in self._banned):
            raise _NoSpellingError
        return whole

    def _allowed(self, text: str) -> str:
        if self._strict and "\\" in text:
            raise _NoSpellingError
        return text

    def _formatted(self, node: ast.FormattedValue, quote: str) -> str:
        saved = self._banned, self._strict
        if not self._relaxed:
            self._banned = (*self._banned, quote)
            self._strict = True
        try:
            text = self.expr(node.value)
        finally:
            self._banned, self._strict = saved
        if "\n" in text and len(quote) == 1 and not self._relaxed:
            raise _NoSpellingError
        if "lambda" in text or "!=" in text or ":=" in text:
            text = f"({text})"
        out = "{ " + text if text.startswith("{") else "{" + text
        if text.endswith("}"):
            out += " "
        if node.conversion >= 0:
            out += "!" + chr(node.conversion)
        if node.format_spec is not None:
            out += ":" + self._spec(node.format_spec, quote)
        return out + "}"

    def _spec(self, node: Any, quote: str) -> str:
        out = []
        for part in joined_parts(node):
            if isinstance(part, str):
                text = literals.escaped(part, quote).replace("{", "\\x7b").replace("}", "\\x7d")
                out.append(self._allowed(text))
            else:
                out.append(self._formatted(part, quote))
        return "".join(out)

    def arguments(self, node: ast.arguments) -> str:
        """The parameters of a function, as between its parentheses."""
        out: list[str] = []
        positional = [*node.posonlyargs, *node.args]
        first_default = len(positional) - len(node.defaults)
        for index, arg in enumerate(positional):
            default = node.defaults[index - first_default] if index >= first_default else None
            out.append(self._parameter(arg, default))
            if index + 1 == len(node.posonlyargs):
                out.append("/")
        if node.vararg is not None:
            out.append("*" + self._parameter(node.vararg, None, starred=True))
        elif node.kwonlyargs:
            out.append("*")
        for arg, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            out.append(self._parameter(arg, default))
        if node.kwarg is not None:
            out.append("**" + self._parameter(node.kwarg, None))
        return ", ".join(out)

    def _parameter(self, arg: ast.arg, default: Any, starred: bool = False) -> str:
        text = arg.arg
        if arg.annotation is not None:
            star = starred and type(arg.annotation) is ast.Starred
            text += ": " + self.expr(arg.annotation, _LOWEST if star else TEST)
        if default is not None:
            text += (" = " if arg.annotation is not None else "=") + self.expr(default)
        return text

    def call_arguments(self, args: list[Any], keywords: list[Any]) -> str:
        """Arguments as between the parentheses of a call or a class."""
        out = [self.expr(a) for a in args]
        for keyword in keywords:
            if keyword.arg is None:
                out.append("**" + self.expr(keyword.value))
            else:
                out.append(f"{keyword.arg}={self.expr(keyword.value)}")
        return ", ".join(out)

    def generators(self, nodes: list[Any]) -> str:
        out = ""
        for node in nodes:
            out += f" {'async ' if node.is_async else ''}for {self.free(node.target)}"
            out += f" in {self.expr(node.iter, OR)}"
            for condition in node.ifs:
                out += f" if {self.expr(condition, OR)}"
        return out


def _bool_op(p: Expressions, n: Any) -> tuple[str, int]:
    level = AND if type(n.op) is ast.And else OR
    word = " and " if level == AND else " or "
    return word.join([p.expr(v, level + 1) for v in n.values]), level


def _binary(p: Expressions, n: Any) -> tuple[str, int]:
    sign, level = _BINARY[type(n.op).__name__]
    if level == POWER:
        return f"{p.expr(n.left, AWAIT)} ** {p.expr(n.right, FACTOR)}", POWER
    return f"{p.expr(n.left, level)} {sign} {p.expr(n.right, level + 1)}", level


def _unary(p: Expressions, n: Any) -> tuple[str, int]:
    if type(n.op) is ast.Not:
        return "not " + p.expr(n.operand, NOT), NOT
    return _UNARY[type(n.op).__name__] + p.expr(n.operand, FACTOR), FACTOR


def _compare(p: Expressions, n: Any) -> tuple[str, int]:
    out = p.expr(n.left, BIT_OR)
    for op, right in zip(n.ops, n.comparators, strict=True):
        out += f" {_COMPARISONS[type(op).__name__]} {p.expr(right, BIT_OR)}"
    return out, COMPARE


def _lambda(p: Expressions, n: Any) -> tuple[str, int]:
    arguments = p.arguments(n.args)
    return (
        f"lambda {arguments}: {p.expr(n.body)}" if arguments else f"lambda: {p.expr(n.body)}",
        TEST,
    )


def _if_exp(p: Expressions, n: Any) -> tuple[str, int]:
    return f"{p.expr(n.body, OR)} if {p.expr(n.test, OR)} else {p.expr(n.orelse)}", TEST


def _dict(p: Expressions, n: Any) -> tuple[str, int]:
    out = [
        "**" + p.expr(v, BIT_OR) if k is None else f"{p.expr(k)}: {p.expr(v)}"
        for k, v in zip(n.keys, n.values, strict=True)
    ]
    return "{" + ", ".join(out) + "}", ATOM


def _call(p: Expressions, n: Any) -> tuple[str, int]:
    function = p.expr(n.func, ATOM)
    if len(n.args) == 1 and not n.keywords and type(n.args[0]) is ast.GeneratorExp:
        return function + p.expr(n.args[0]), ATOM
    return f"{function}({p.call_arguments(n.args, n.keywords)})", ATOM


def _attribute(p: Expressions, n: Any) -> tuple[str, int]:
    value = p.expr(n.value, ATOM)
    if type(n.value) is ast.Constant and isinstance(n.value.value, (int, float, complex)):
        value = f"({value})"
    return f"{value}.{n.attr}", ATOM


def _subscript(p: Expressions, n: Any) -> tuple[str, int]:
    return f"{p.expr(n.value, ATOM)}[{p.free(n.slice)}]", ATOM


def _slice(p: Expressions, n: Any) -> tuple[str, int]:
    out = (p.expr(n.lower) if n.lower else "") + ":" + (p.expr(n.upper) if n.upper else "")
    return out + (":" + p.expr(n.step) if n.step else ""), ATOM


def _tuple(p: Expressions, n: Any) -> tuple[str, int]:
    return f"({p._items(n.elts, ',')})", ATOM


def _yield(p: Expressions, n: Any) -> tuple[str, int]:
    return ("yield " + p.free(n.value) if n.value is not None else "yield"), _LOWEST


_HANDLERS: dict[type[ast.AST], Any] = {
    ast.BoolOp: _bool_op,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.Compare: _compare,
    ast.Lambda: _lambda,
    ast.IfExp: _if_exp,
    ast.Dict: _dict,
    ast.Call: _call,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.Tuple: _tuple,
    ast.Yield: _yield,
    ast.YieldFrom: lambda p, n: ("yield from " + p.expr(n.value), _LOWEST),
    ast.NamedExpr: lambda p, n: (f"{p.expr(n.target)} := {p.expr(n.value)}", _LOWEST),
    ast.Await: lambda p, n: ("await " + p.expr(n.value, ATOM), AWAIT),
    ast.List: lambda p, n: (f"[{p._items(n.elts, '')}]", ATOM),
    ast.Set: lambda p, n: ("{" + p._items(n.elts, "") + "}", ATOM),
    ast.ListComp: lambda p, n: (f"[{p.expr(n.elt)}{p.generators(n.generators)}]", ATOM),
    ast.SetComp: lambda p, n: ("{" + p.expr(n.elt) + p.generators(n.generators) + "}", ATOM),
    ast.DictComp: lambda p, n: (
        "{" + f"{p.expr(n.key)}: {p.expr(n.value)}{p.generators(n.generators)}" + "}",
        ATOM,
    ),
    ast.GeneratorExp: lambda p, n: (f"({p.expr(n.elt)}{p.generators(n.generators)})", ATOM),
    ast.JoinedStr: lambda p, n: (p.joined(n), ATOM),
    ast.Starred: lambda p, n: ("*" + p.expr(n.value, BIT_OR), ATOM),
}
