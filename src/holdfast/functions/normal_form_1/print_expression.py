"""Expressions as CPython 3.11 writes them, with names taken from a `Naming`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any, Final

from holdfast.functions.normal_form_1 import precedence as level
from holdfast.functions.normal_form_1.naming import FUNCTION_NAME, Naming
from holdfast.functions.normal_form_1.print_fstring import fstring
from holdfast.functions.normal_form_1.quoting import quoted
from holdfast.functions.normal_form_1.unicode_14 import represent

# A float that is too large for a double is infinite; this literal reads back as infinite.
_INFINITY: Final = "1e309"


class ExpressionPrinter:
    """Prints expressions.

    Args:
        naming: names to print instead of those in the tree.
        in_fstring: inside the braces of an f-string, where 3.11 allows no backslash.
    """

    __slots__ = ("_annotations", "_braces", "attributes", "bound", "in_fstring", "names", "naming")

    def __init__(self, naming: Naming, *, in_fstring: bool = False) -> None:
        self.naming = naming
        self.in_fstring = in_fstring
        self.names = naming.names
        self.bound = naming.bound
        self.attributes = naming.attributes
        self._annotations: ExpressionPrinter | None = None
        self._braces: ExpressionPrinter | None = None

    def text(self, node: ast.AST, at: int = level.TEST) -> str:
        """The expression's text at a place of that precedence."""
        return _PRINTERS[node.__class__](self, node, at)

    def listed(self, nodes: Iterable[ast.AST]) -> str:
        """The expressions, separated by commas."""
        return ", ".join([_PRINTERS[n.__class__](self, n, level.TEST) for n in nodes])

    @property
    def annotations(self) -> ExpressionPrinter:
        """The printer for the annotations of parameters."""
        if self._annotations is None:
            self._annotations = ExpressionPrinter(
                self.naming.of_annotations(), in_fstring=self.in_fstring
            )
        return self._annotations

    @property
    def braces(self) -> ExpressionPrinter:
        """The printer for what stands in the braces of an f-string."""
        if self._braces is None:
            self._braces = ExpressionPrinter(self.naming, in_fstring=True)
        return self._braces

    def prints_a_name(self, node: ast.AST) -> bool:
        """Whether the node is a plain name after renaming."""
        if isinstance(node, ast.Name):
            return "." not in self.names.get(node.id, "")
        return isinstance(node, ast.Attribute) and self._whole(node) is not None

    def _whole(self, node: ast.Attribute) -> str | None:
        if self.attributes and node.attr == FUNCTION_NAME and isinstance(node.value, ast.Name):
            return self.attributes.get(node.value.id)
        return None

    # -- names and literals

    def _name(self, node: ast.Name, _at: int) -> str:
        return self.names.get(node.id, node.id)

    def _attribute(self, node: ast.Attribute, _at: int) -> str:
        whole = self._whole(node)
        if whole is not None:
            return whole
        value = self.text(node.value, level.ATOM)
        # "1.real" would be a number with a dot.
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, int):
            value += " "
        return f"{value}.{node.attr}"

    def _constant(self, node: ast.Constant, _at: int) -> str:
        value = node.value
        if isinstance(value, str):
            text = quoted(value) if self.in_fstring else represent(value)
            return f"u{text}" if node.kind == "u" else text
        if value is ...:
            return "..."
        if isinstance(value, (float, complex)):
            return repr(value).replace("inf", _INFINITY)
        return repr(value)

    def _fstring(self, node: ast.JoinedStr, _at: int) -> str:
        return fstring(node, self)

    # -- operators

    def _named(self, node: ast.NamedExpr, _at: int) -> str:
        target = self.text(node.target, level.ATOM)
        return f"({target} := {self.text(node.value, level.ATOM)})"

    def _boolean(self, node: ast.BoolOp, at: int) -> str:
        operator, own = level.BOOLEAN[node.op.__class__]
        # Each further operand is printed at a tighter place than the one before.
        text = operator.join(
            [
                self.text(value, min(own + place, level.ATOM))
                for place, value in enumerate(node.values, 1)
            ]
        )
        return f"({text})" if at > own else text

    def _binary(self, node: ast.BinOp, at: int) -> str:
        # A chain to the left is a loop from its end, so that a long sum needs no deep stack.
        parts: list[str] = []
        opened = 0
        while True:
            operator, own = level.BINARY[node.op.__class__]
            power = own == level.POWER
            if at > own:
                opened += 1
                parts.append(")")
            parts.append(self.text(node.right, own if power else own + 1))
            parts.append(f" {operator} ")
            at = own + 1 if power else own
            if not isinstance(node.left, ast.BinOp):
                parts.append(self.text(node.left, at))
                break
            node = node.left
        # All the parentheses open before the leftmost operand.
        return "(" * opened + "".join(reversed(parts))

    def _unary(self, node: ast.UnaryOp, at: int) -> str:
        operator, own = level.UNARY[node.op.__class__]
        text = operator + self.text(node.operand, own)
        return f"({text})" if at > own else text

    def _compare(self, node: ast.Compare, at: int) -> str:
        inner = level.COMPARE + 1
        parts = [self.text(node.left, inner)]
        for operator, right in zip(node.ops, node.comparators, strict=True):
            parts.append(level.COMPARISON[operator.__class__])
            parts.append(self.text(right, inner))
        text = " ".join(parts)
        return f"({text})" if at > level.COMPARE else text

    def _choice(self, node: ast.IfExp, at: int) -> str:
        inner = level.TEST + 1
        text = (
            f"{self.text(node.body, inner)} if {self.text(node.test, inner)}"
            f" else {self.text(node.orelse)}"
        )
        return f"({text})" if at > level.TEST else text

    def _lambda(self, node: ast.Lambda, at: int) -> str:
        parameters = self.parameters(node.args)
        text = f"lambda {parameters}: " if parameters else "lambda: "
        text += self.text(node.body)
        return f"({text})" if at > level.TEST else text

    def _await(self, node: ast.Await, at: int) -> str:
        text = f"await {self.text(node.value, level.ATOM)}"
        return f"({text})" if at > level.AWAIT else text

    def _yield(self, node: ast.Yield, at: int) -> str:
        text = f"yield {self.text(node.value, level.ATOM)}" if node.value else "yield"
        return f"({text})" if at > level.YIELD else text

    def _yield_from(self, node: ast.YieldFrom, at: int) -> str:
        text = f"yield from {self.text(node.value, level.ATOM)}"
        return f"({text})" if at > level.YIELD else text

    # -- calls and subscripts

    def _call(self, node: ast.Call, _at: int) -> str:
        return f"{self.text(node.func, level.ATOM)}({self.arguments(node.args, node.keywords)})"

    def arguments(self, positional: list[ast.expr], keywords: list[ast.keyword]) -> str:
        """What stands between the parentheses of a call or a class."""
        parts = [self.text(value) for value in positional]
        for keyword in keywords:
            begin = "**" if keyword.arg is None else f"{keyword.arg}="
            parts.append(begin + self.text(keyword.value))
        return ", ".join(parts)

    def _subscript(self, node: ast.Subscript, _at: int) -> str:
        index = node.slice
        if isinstance(index, ast.Tuple) and index.elts:
            inside = self._items(index.elts)
        else:
            inside = self.text(index)
        return f"{self.text(node.value, level.ATOM)}[{inside}]"

    def _slice(self, node: ast.Slice, _at: int) -> str:
        text = f"{self.text(node.lower)}:" if node.lower else ":"
        if node.upper:
            text += self.text(node.upper)
        if node.step:
            text += f":{self.text(node.step)}"
        return text

    def _starred(self, node: ast.Starred, _at: int) -> str:
        return f"*{self.text(node.value, level.BIT_OR)}"

    # -- displays and comprehensions

    def _items(self, elements: list[ast.expr]) -> str:
        text = self.listed(elements)
        return f"{text}," if len(elements) == 1 else text

    def _tuple(self, node: ast.Tuple, at: int) -> str:
        text = self._items(node.elts)
        return f"({text})" if at > level.TUPLE or not node.elts else text

    def _list(self, node: ast.List, _at: int) -> str:
        return f"[{self.listed(node.elts)}]"

    def _set(self, node: ast.Set, _at: int) -> str:
        return f"{{{self.listed(node.elts)}}}"

    def _dict(self, node: ast.Dict, _at: int) -> str:
        pairs = [
            f"**{self.text(value, level.BIT_OR)}"
            if key is None
            else f"{self.text(key)}: {self.text(value)}"
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        return f"{{{', '.join(pairs)}}}"

    def _list_comprehension(self, node: ast.ListComp, _at: int) -> str:
        return f"[{self.text(node.elt)}{self._loops(node.generators)}]"

    def _set_comprehension(self, node: ast.SetComp, _at: int) -> str:
        return f"{{{self.text(node.elt)}{self._loops(node.generators)}}}"

    def _dict_comprehension(self, node: ast.DictComp, _at: int) -> str:
        pair = f"{self.text(node.key)}: {self.text(node.value)}"
        return f"{{{pair}{self._loops(node.generators)}}}"

    def _generator(self, node: ast.GeneratorExp, _at: int) -> str:
        return f"({self.text(node.elt)}{self._loops(node.generators)})"

    def _loops(self, generators: list[ast.comprehension]) -> str:
        inner = level.TEST + 1
        text = ""
        for loop in generators:
            begin = " async for" if loop.is_async else " for"
            target = self.text(loop.target, level.TUPLE)
            text += f"{begin} {target} in {self.text(loop.iter, inner)}"
            for condition in loop.ifs:
                text += f" if {self.text(condition, inner)}"
        return text

    # -- parameters

    def parameters(self, node: ast.arguments) -> str:
        """The parameters of a function or lambda, without parentheses."""
        parts = []
        positional = node.posonlyargs + node.args
        without_default = len(positional) - len(node.defaults)
        for place, parameter in enumerate(positional):
            text = self._parameter(parameter)
            if place >= without_default:
                text += f"={self.text(node.defaults[place - without_default])}"
            parts.append(text)
            if place + 1 == len(node.posonlyargs):
                parts.append("/")
        if node.vararg:
            parts.append(f"*{self._parameter(node.vararg)}")
        elif node.kwonlyargs:
            parts.append("*")
        for parameter, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            text = self._parameter(parameter)
            parts.append(text if default is None else f"{text}={self.text(default)}")
        if node.kwarg:
            parts.append(f"**{self._parameter(node.kwarg)}")
        return ", ".join(parts)

    def _parameter(self, node: ast.arg) -> str:
        name = self.bound.get(node.arg, node.arg)
        if node.annotation is None:
            return name
        return f"{name}: {self.annotations.text(node.annotation)}"


_Print = Callable[[ExpressionPrinter, Any, int], str]

_PRINTERS: Final[dict[type[ast.AST], _Print]] = {
    ast.Name: ExpressionPrinter._name,
    ast.Attribute: ExpressionPrinter._attribute,
    ast.Constant: ExpressionPrinter._constant,
    ast.JoinedStr: ExpressionPrinter._fstring,
    ast.NamedExpr: ExpressionPrinter._named,
    ast.BoolOp: ExpressionPrinter._boolean,
    ast.BinOp: ExpressionPrinter._binary,
    ast.UnaryOp: ExpressionPrinter._unary,
    ast.Compare: ExpressionPrinter._compare,
    ast.IfExp: ExpressionPrinter._choice,
    ast.Lambda: ExpressionPrinter._lambda,
    ast.Await: ExpressionPrinter._await,
    ast.Yield: ExpressionPrinter._yield,
    ast.YieldFrom: ExpressionPrinter._yield_from,
    ast.Call: ExpressionPrinter._call,
    ast.Subscript: ExpressionPrinter._subscript,
    ast.Slice: ExpressionPrinter._slice,
    ast.Starred: ExpressionPrinter._starred,
    ast.Tuple: ExpressionPrinter._tuple,
    ast.List: ExpressionPrinter._list,
    ast.Set: ExpressionPrinter._set,
    ast.Dict: ExpressionPrinter._dict,
    ast.ListComp: ExpressionPrinter._list_comprehension,
    ast.SetComp: ExpressionPrinter._set_comprehension,
    ast.DictComp: ExpressionPrinter._dict_comprehension,
    ast.GeneratorExp: ExpressionPrinter._generator,
}
