"""From normal form 1 back to a source in some language."""

from __future__ import annotations

import ast
import hashlib
import keyword
from collections.abc import Iterable, Mapping

from holdfast.errors import Invalid
from holdfast.functions.normal_form_1.naming import Naming
from holdfast.functions.normal_form_1.print_statement import (
    docstring_statement,
    function_texts,
    module_text,
)
from holdfast.functions.normal_form_1.source import parse
from holdfast.functions.normal_form_1.unwritable import writing

_STORED = "<normalized code>"


def denormalize_1(
    normalized_code: str,
    name_mapping: Mapping[str, str],
    alias_mapping: Mapping[str, str],
    docstring: str,
) -> str:
    """The function under the names of a mapping, as `show` prints it.

    Args:
        normalized_code: as stored; its own docstring is replaced.
        name_mapping: normal name → name; a normal name without one stays.
        alias_mapping: hash → alias.
        docstring: "" for none.

    Returns:
        Python source without a newline at the end.

    Raises:
        Invalid: the code does not parse, holds no function or, without its docstring, no body; or
            a mapping gives something that is no identifier.
    """
    _check_identifiers(name_mapping.values())
    _check_identifiers(alias_mapping.values())
    tree = parse(normalized_code, _STORED)
    function = _function(tree)
    if docstring_statement(function.body) is not None:
        del function.body[0]
    if docstring:
        function.body.insert(0, ast.Expr(ast.Constant(docstring)))
    if not function.body:
        raise Invalid(
            "showing a function",
            found="nothing but a docstring, and the mapping has none",
            hint="choose a mapping with a docstring",
        )
    naming = Naming(
        names=name_mapping,
        bound=name_mapping,
        attributes=alias_mapping,
        imported=alias_mapping,
    )
    with writing(_STORED):
        return module_text(tree.body, naming)


def hash_1(normalized_code: str) -> str:
    """The hash that belongs to a stored normal form: SHA-256 without the docstring.

    Raises:
        Invalid: the code does not parse or is not imports and one function.
    """
    tree = parse(normalized_code, _STORED)
    function = _function(tree)
    if tree.body[-1] is not function:
        raise Invalid(
            "checking a function", found="statements after it", expected="imports and one function"
        )
    with writing(_STORED):
        _, hashed = function_texts(tree.body[:-1], function, Naming())
    return hashlib.sha256(hashed.encode("utf-8")).hexdigest()


def _function(tree: ast.Module) -> ast.FunctionDef:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            return node
    raise Invalid(
        "reading a stored function", found="no function definition", expected="imports and one def"
    )


def _check_identifiers(names: Iterable[object]) -> None:
    # A name is printed as it is: anything else could put statements into the source.
    for name in names:
        if not (isinstance(name, str) and name.isidentifier()) or keyword.iskeyword(name):
            raise Invalid(
                "showing a function", found=f"the name {name!r}", expected="a Python identifier"
            )
