"""Statements as CPython 3.11 writes them.

Every statement begins with a newline and its indentation; a function or class has an empty line
before it, wherever it stands. `module_text` takes the newlines off the beginning.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any, Final

from holdfast.functions.normal_form_1 import precedence as level
from holdfast.functions.normal_form_1.naming import POOL_MODULE, Naming
from holdfast.functions.normal_form_1.print_expression import ExpressionPrinter
from holdfast.functions.normal_form_1.print_pattern import pattern
from holdfast.functions.normal_form_1.quoting import TRIPLE_QUOTE, quoted
from holdfast.functions.normal_form_1.unwritable import Unwritable

_INDENT: Final = "    "


def module_text(statements: Sequence[ast.stmt], naming: Naming) -> str:
    """The statements as a whole module, without a newline at the end.

    Raises:
        Unwritable: something that 3.11 does not know.
    """
    printer = StatementPrinter(naming)
    printer.block(statements, "\n")
    return printer.text()


def function_texts(
    imports: Sequence[ast.stmt], function: ast.FunctionDef, naming: Naming
) -> tuple[str, str]:
    """Imports and function as they are, and without the function's docstring.

    A second string becomes the docstring of the second text, and a function that is nothing but a
    docstring has no body there; so it is in the original.

    Raises:
        Unwritable: something that 3.11 does not know.
    """
    printer = StatementPrinter(naming)
    printer.block(imports, "\n")
    return printer.function_texts(function)


def docstring_statement(body: Sequence[ast.stmt]) -> tuple[str, str] | None:
    """The string that is the first statement, as it is, and its prefix: "" or "u"."""
    if body and isinstance(first := body[0], ast.Expr):
        constant = first.value
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
            return constant.value, constant.kind or ""
    return None


class StatementPrinter:
    """Collects the text of statements.

    Args:
        naming: names to print instead of those in the tree.
    """

    __slots__ = ("_expression", "_naming", "_parts", "_printer")

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._printer = ExpressionPrinter(naming)
        self._expression = self._printer.text
        self._parts: list[str] = []

    def text(self) -> str:
        """All that was printed."""
        return "".join(self._parts).lstrip("\n")

    def function_texts(self, node: ast.FunctionDef) -> tuple[str, str]:
        """Prints a function at the top level; the text with and without its docstring."""
        begin = "\n"
        self._head(node, self._def(node), begin)
        head_ends = len(self._parts)
        self._documented_body(node.body, begin)
        documented = self.text()
        if docstring_statement(node.body) is None:
            return documented, documented
        rest = node.body[1:]
        if docstring_statement(rest) is None:
            del self._parts[head_ends]
        else:
            del self._parts[head_ends:]
            self._documented_body(rest, begin)
        return documented, self.text()

    def block(self, statements: Sequence[ast.stmt], begin: str) -> None:
        """Prints statements whose lines begin with `begin`: a newline and the indentation."""
        for statement in statements:
            try:
                method = _PRINTERS[statement.__class__]
            except KeyError:
                raise _later_syntax(f"a statement {type(statement).__name__}") from None
            method(self, statement, begin)

    def _body(self, statements: Sequence[ast.stmt], begin: str) -> None:
        self.block(statements, begin + _INDENT)

    def _documented_body(self, statements: Sequence[ast.stmt], begin: str) -> None:
        inner = begin + _INDENT
        docstring = docstring_statement(statements)
        if docstring is not None:
            text, prefix = docstring
            self._parts.append(f"{inner}{prefix}{quoted(text, TRIPLE_QUOTE)}")
            statements = statements[1:]
        self.block(statements, inner)

    # -- definitions

    def _function(self, node: ast.FunctionDef, begin: str) -> None:
        self._head(node, self._def(node), begin)
        self._documented_body(node.body, begin)

    def _def(self, node: ast.FunctionDef) -> str:
        return f"def {self._printer.bound.get(node.name, node.name)}"

    def _async_function(self, node: ast.AsyncFunctionDef, begin: str) -> None:
        # The original renames references to it, but not the function.
        self._head(node, f"async def {node.name}", begin)
        self._documented_body(node.body, begin)

    def _head(self, node: ast.FunctionDef | ast.AsyncFunctionDef, named: str, begin: str) -> None:
        _refuse_type_parameters(node)
        self._decorators(node.decorator_list, begin)
        text = f"{begin}{named}({self._printer.parameters(node.args)})"
        if node.returns:
            text += f" -> {self._expression(node.returns)}"
        self._parts.append(f"{text}:")

    def _class(self, node: ast.ClassDef, begin: str) -> None:
        _refuse_type_parameters(node)
        self._decorators(node.decorator_list, begin)
        arguments = self._printer.arguments(node.bases, node.keywords)
        self._parts.append(
            f"{begin}class {node.name}({arguments}):" if arguments else f"{begin}class {node.name}:"
        )
        self._documented_body(node.body, begin)

    def _decorators(self, decorators: list[ast.expr], begin: str) -> None:
        self._parts.append("\n")
        for decorator in decorators:
            self._parts.append(f"{begin}@{self._expression(decorator)}")

    # -- simple statements

    def _value(self, node: ast.Expr, begin: str) -> None:
        self._parts.append(begin + self._expression(node.value, level.YIELD))

    def _return(self, node: ast.Return, begin: str) -> None:
        self._parts.append(
            f"{begin}return {self._expression(node.value)}" if node.value else f"{begin}return"
        )

    def _delete(self, node: ast.Delete, begin: str) -> None:
        self._parts.append(f"{begin}del {self._printer.listed(node.targets)}")

    def _assign(self, node: ast.Assign, begin: str) -> None:
        targets = "".join([f"{self._expression(t, level.TUPLE)} = " for t in node.targets])
        self._parts.append(f"{begin}{targets}{self._expression(node.value)}")

    def _augmented(self, node: ast.AugAssign, begin: str) -> None:
        operator = level.BINARY[node.op.__class__][0]
        target = self._expression(node.target)
        self._parts.append(f"{begin}{target} {operator}= {self._expression(node.value)}")

    def _annotated(self, node: ast.AnnAssign, begin: str) -> None:
        target = self._expression(node.target)
        if not node.simple and self._printer.prints_a_name(node.target):
            target = f"({target})"
        text = f"{begin}{target}: {self._expression(node.annotation)}"
        if node.value:
            text += f" = {self._expression(node.value)}"
        self._parts.append(text)

    def _raise(self, node: ast.Raise, begin: str) -> None:
        text = f"{begin}raise"
        if node.exc:
            text += f" {self._expression(node.exc)}"
        if node.cause:
            text += f" from {self._expression(node.cause)}"
        self._parts.append(text)

    def _assert(self, node: ast.Assert, begin: str) -> None:
        text = f"{begin}assert {self._expression(node.test)}"
        if node.msg:
            text += f", {self._expression(node.msg)}"
        self._parts.append(text)

    def _import(self, node: ast.Import, begin: str) -> None:
        self._parts.append(f"{begin}import {_aliases(node.names)}")

    def _import_from(self, node: ast.ImportFrom, begin: str) -> None:
        names = node.names
        if self._naming.imported and node.module == POOL_MODULE:
            names = [self._with_alias(alias) for alias in names]
        origin = "." * node.level + (node.module or "")
        self._parts.append(f"{begin}from {origin} import {_aliases(names)}")

    def _with_alias(self, alias: ast.alias) -> ast.alias:
        if alias.asname is not None or alias.name not in self._naming.imported:
            return alias
        return ast.alias(name=alias.name, asname=self._naming.imported[alias.name])

    def _global(self, node: ast.Global, begin: str) -> None:
        self._parts.append(f"{begin}global {', '.join(node.names)}")

    def _nonlocal(self, node: ast.Nonlocal, begin: str) -> None:
        self._parts.append(f"{begin}nonlocal {', '.join(node.names)}")

    def _pass(self, _node: ast.Pass, begin: str) -> None:
        self._parts.append(f"{begin}pass")

    def _break(self, _node: ast.Break, begin: str) -> None:
        self._parts.append(f"{begin}break")

    def _continue(self, _node: ast.Continue, begin: str) -> None:
        self._parts.append(f"{begin}continue")

    # -- compound statements

    def _if(self, node: ast.If, begin: str) -> None:
        word = "if"
        while True:
            self._parts.append(f"{begin}{word} {self._expression(node.test)}:")
            self._body(node.body, begin)
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                break
            node = node.orelse[0]
            word = "elif"
        self._otherwise(node.orelse, begin)

    def _otherwise(self, statements: list[ast.stmt], begin: str, word: str = "else") -> None:
        if statements:
            self._parts.append(f"{begin}{word}:")
            self._body(statements, begin)

    def _while(self, node: ast.While, begin: str) -> None:
        self._parts.append(f"{begin}while {self._expression(node.test)}:")
        self._body(node.body, begin)
        self._otherwise(node.orelse, begin)

    def _for(self, node: ast.For | ast.AsyncFor, begin: str) -> None:
        word = "async for" if isinstance(node, ast.AsyncFor) else "for"
        target = self._expression(node.target, level.TUPLE)
        self._parts.append(f"{begin}{word} {target} in {self._expression(node.iter)}:")
        self._body(node.body, begin)
        self._otherwise(node.orelse, begin)

    def _with(self, node: ast.With | ast.AsyncWith, begin: str) -> None:
        word = "async with" if isinstance(node, ast.AsyncWith) else "with"
        items = []
        for item in node.items:
            text = self._expression(item.context_expr)
            if item.optional_vars:
                text += f" as {self._expression(item.optional_vars)}"
            items.append(text)
        self._parts.append(f"{begin}{word} {', '.join(items)}:")
        self._body(node.body, begin)

    def _try(self, node: ast.Try | ast.TryStar, begin: str) -> None:
        word = "except*" if isinstance(node, ast.TryStar) else "except"
        self._parts.append(f"{begin}try:")
        self._body(node.body, begin)
        for handler in node.handlers:
            text = f"{begin}{word}"
            if handler.type:
                text += f" {self._expression(handler.type)}"
            if handler.name:
                text += f" as {handler.name}"
            self._parts.append(f"{text}:")
            self._body(handler.body, begin)
        self._otherwise(node.orelse, begin)
        self._otherwise(node.finalbody, begin, "finally")

    def _match(self, node: ast.Match, begin: str) -> None:
        self._parts.append(f"{begin}match {self._expression(node.subject)}:")
        inner = begin + _INDENT
        for case in node.cases:
            text = f"{inner}case {pattern(case.pattern, self._printer)}"
            if case.guard:
                text += f" if {self._expression(case.guard)}"
            self._parts.append(f"{text}:")
            self._body(case.body, inner)


def _aliases(names: list[ast.alias]) -> str:
    return ", ".join([f"{n.name} as {n.asname}" if n.asname else n.name for n in names])


def _refuse_type_parameters(node: ast.stmt) -> None:
    if getattr(node, "type_params", None):
        raise _later_syntax("type parameters")


def _later_syntax(what: str) -> Unwritable:
    return Unwritable(f"{what}, which Python 3.11 does not know")


_Print = Callable[[StatementPrinter, Any, str], None]

_PRINTERS: Final[dict[type[ast.AST], _Print]] = {
    ast.FunctionDef: StatementPrinter._function,
    ast.AsyncFunctionDef: StatementPrinter._async_function,
    ast.ClassDef: StatementPrinter._class,
    ast.Expr: StatementPrinter._value,
    ast.Return: StatementPrinter._return,
    ast.Delete: StatementPrinter._delete,
    ast.Assign: StatementPrinter._assign,
    ast.AugAssign: StatementPrinter._augmented,
    ast.AnnAssign: StatementPrinter._annotated,
    ast.Raise: StatementPrinter._raise,
    ast.Assert: StatementPrinter._assert,
    ast.Import: StatementPrinter._import,
    ast.ImportFrom: StatementPrinter._import_from,
    ast.Global: StatementPrinter._global,
    ast.Nonlocal: StatementPrinter._nonlocal,
    ast.Pass: StatementPrinter._pass,
    ast.Break: StatementPrinter._break,
    ast.Continue: StatementPrinter._continue,
    ast.If: StatementPrinter._if,
    ast.While: StatementPrinter._while,
    ast.For: StatementPrinter._for,
    ast.AsyncFor: StatementPrinter._for,
    ast.With: StatementPrinter._with,
    ast.AsyncWith: StatementPrinter._with,
    ast.Try: StatementPrinter._try,
    ast.TryStar: StatementPrinter._try,
    ast.Match: StatementPrinter._match,
}
