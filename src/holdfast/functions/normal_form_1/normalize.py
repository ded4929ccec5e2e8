"""A source to its normal form 1."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from typing import Final

from holdfast.errors import Invalid
from holdfast.functions.normal_form_1.builtin_names import BUILTIN_NAMES
from holdfast.functions.normal_form_1.docstring import docstring_of
from holdfast.functions.normal_form_1.imports import (
    Import,
    bound_names,
    in_order,
    pool_hashes,
    without_pool_aliases,
)
from holdfast.functions.normal_form_1.naming import FUNCTION_NAME, Naming, normal_name
from holdfast.functions.normal_form_1.print_statement import function_texts
from holdfast.functions.normal_form_1.source import parse
from holdfast.functions.normal_form_1.unicode_14 import LATER
from holdfast.functions.normal_form_1.unwritable import Unwritable, too_deep, writing
from holdfast.functions.normalized import NormalizedFunction

# Levels of the syntax tree. The original runs out of stack at less; Pythons differ in where, so
# the limit is drawn where all of them still parse and print.
MAX_DEPTH: Final = 400


def normalize_1(source: str | bytes, filename: str = "<source>") -> NormalizedFunction:
    """The one function of a source in normal form 1.

    Args:
        source: text, or bytes in UTF-8; exactly one `def` at the top level. What else is there
            besides imports is left out, as the original does.
        filename: for messages.

    Raises:
        Invalid: what the original refuses, or what Python 3.11 cannot read.
    """
    tree = parse(source, filename)
    function, imports = _parts(tree, filename)
    plain, aliases = without_pool_aliases(in_order(imports))
    names, pool = _names(function, filename)
    names -= BUILTIN_NAMES | bound_names(plain) | set(aliases.values()) | {function.name}
    numbers = {function.name: FUNCTION_NAME}
    numbers |= {name: normal_name(k) for k, name in enumerate(sorted(names), 1)}
    with writing(filename):
        code, hashed = function_texts(plain, function, _naming(numbers, aliases))
        _refuse_later_names(numbers)
        # Strings escape such characters, so one that is left is part of an identifier.
        _refuse_later_names([code])
    return NormalizedFunction(
        hash=hashlib.sha256(hashed.encode("utf-8")).hexdigest(),
        normalized_code=code,
        name_mapping={normal: name for name, normal in numbers.items()},
        alias_mapping=aliases,
        docstring=docstring_of(function),
        normal_form=1,
        name=function.name,
        dependencies=tuple(sorted(pool | pool_hashes(imports))),
    )


def _parts(tree: ast.Module, filename: str) -> tuple[ast.FunctionDef, list[Import]]:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    if len(functions) > 1:
        raise Invalid(
            "normalising",
            filename,
            found="more than one function",
            expected="one function in a file",
            hint="put each in a file of its own, or use normal form 2",
        )
    if not functions:
        raise Invalid(
            "normalising",
            filename,
            found="no function definition",
            expected="one `def` at the top level",
            hint="normal form 1 knows no `async def` at the top level; normal form 2 does",
        )
    if len(functions) + len(imports) < len(tree.body):
        with writing(filename):
            _refuse_later_syntax(tree)
    return functions[0], imports


def _refuse_later_syntax(tree: ast.Module) -> None:
    """Refuses what is left out of the normal form, if 3.11 could not have read it."""
    for node in ast.walk(tree):
        if getattr(node, "type_params", None) or type(node).__name__ == "TypeAlias":
            raise Unwritable("type parameters or aliases, which Python 3.11 does not know")


def _refuse_later_names(texts: Iterable[str]) -> None:
    for text in texts:
        if not text.isascii() and (found := LATER.search(text)):
            raise Unwritable(
                f"an identifier with U+{ord(found.group()):04X}, unknown to Python 3.11"
            )


def _names(function: ast.FunctionDef, filename: str) -> tuple[set[str], set[str]]:
    """Names used in expressions or as parameters, and the hashes of inner pool imports."""
    names: set[str] = set()
    inner: list[Import] = []
    level: list[ast.AST] = [function]
    for _ in range(MAX_DEPTH):
        below: list[ast.AST] = []
        for node in level:
            if isinstance(node, ast.Name):
                names.add(node.id)
                continue
            if isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                inner.append(node)
                continue
            for value in node.__dict__.values():
                if isinstance(value, list):
                    below += [child for child in value if isinstance(child, ast.AST)]
                elif isinstance(value, ast.AST):
                    below.append(value)
        if not below:
            return names, pool_hashes(inner)
        level = below
    raise too_deep(filename)


def _naming(numbers: dict[str, str], aliases: dict[str, str]) -> Naming:
    calls: dict[str, str] = {}
    for hash_, alias in aliases.items():
        # Of two hashes under one alias the original calls the first.
        calls.setdefault(alias, f"{hash_}.{FUNCTION_NAME}")
    return Naming(names=numbers | calls, bound=numbers, in_annotations=calls)
