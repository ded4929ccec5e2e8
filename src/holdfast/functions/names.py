"""Names that a mapping gives: whether they can be given."""

from __future__ import annotations

import ast
import keyword
import unicodedata
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Invalid
from holdfast.functions.normal_forms import denormalize, normalize
from holdfast.functions.object_json import is_hash

if TYPE_CHECKING:
    from holdfast.functions.mapping import Mapping
    from holdfast.functions.object_json import FunctionObject


def is_name(text: str) -> bool:
    """Whether `text` can be a name in a source: an identifier as Python itself writes it (NFKC),
    and no keyword."""
    return (
        text.isidentifier()
        and not keyword.iskeyword(text)
        and (text.isascii() or unicodedata.normalize("NFKC", text) == text)
    )


def name_problems(mapping: Mapping) -> list[str]:
    """What is wrong with the names of `mapping`; empty when nothing is."""
    out = []
    seen: dict[str, str] = {}
    for normal, name in mapping.name_mapping.items():
        if not is_name(name):
            out.append(f"{name!r:.60} is not a name")
        elif name in seen:
            out.append(f"{name!r:.60} stands for {seen[name]} and for {normal}")
        seen.setdefault(name, normal)
    for hash, name in mapping.alias_mapping.items():
        if not is_hash(hash):
            out.append(f"the alias {name!r:.60} is of {hash!r:.70}, not of a hash")
        if not is_name(name):
            out.append(f"the alias {name!r:.60} is not a name")
    return out


def check_names(mapping: Mapping, target: str) -> None:
    """Raises `Invalid` unless all names are valid and distinct."""
    problems = name_problems(mapping)
    if problems:
        found = "; ".join(problems[:8])
        raise Invalid("checking the names", target, found=found, expected="distinct identifiers")


def check_round_trip(function: FunctionObject, mapping: Mapping, target: str) -> None:
    """Raises `Invalid` unless the function under these names normalises to itself: a name that
    stands for something else in the code too (a builtin, an attribute's module) changes it."""
    text = denormalize(function.normalized_code, function.normal_form, mapping)
    try:
        found = [f.hash for f in normalize(text, function.normal_form)]
    except HoldfastError as error:
        raise Invalid("checking the names", target, found=str(error)) from None
    if function.hash not in found:
        raise Invalid(
            "checking the names",
            target,
            found="under these names it is another function",
            hint="choose names that mean nothing else in its code",
        )


def own_name(function: FunctionObject, mapping: Mapping) -> str:
    """The function's name in `mapping`; "" when the mapping does not tell."""
    try:
        body = ast.parse(function.normalized_code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return mapping.name_mapping.get(node.name, node.name)
    return ""
