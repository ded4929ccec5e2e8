"""Back from normal form 2 to the names, aliases and docstring of one language."""

from __future__ import annotations

import ast
import keyword
from typing import Any

from holdfast.errors import Invalid
from holdfast.functions.normal_form_2 import docstring as docstrings
from holdfast.functions.normal_form_2.imports import OBJECT
from holdfast.functions.normal_form_2.normalize import normalize_2, parse_normalized
from holdfast.functions.normal_form_2.observed import Names
from holdfast.functions.normal_form_2.printer import print_ast
from holdfast.functions.normal_form_2.rename import NORMAL_NAME
from holdfast.functions.normal_form_2.scope import Variable
from holdfast.functions.normal_form_2.source import refuse
from holdfast.functions.normal_form_2.walk import Walk

_DOING = "restoring the names of"
_TARGET = "a function"


def denormalize_2(
    normalized_code: str,
    name_mapping: dict[str, str],
    alias_mapping: dict[str, str],
    docstring: str,
) -> str:
    """The function of `normalized_code` under the names of a mapping, without a last line end.

    What comes back normalises to `normalized_code` again: this is checked, so that no mapping can
    change what a function does.

    Raises:
        Invalid: code that is not in normal form 2, names that are no identifiers, that the code
            does not have, or that capture another name.
    """
    try:
        text = _restore(normalized_code, name_mapping, alias_mapping, docstring)
        again = normalize_2(text, "<restored>")
    except RecursionError:
        raise Invalid(_DOING, _TARGET, found="nesting too deep for the stack left") from None
    if [f.normalized_code for f in again] != [normalized_code.rstrip("\n")]:
        raise Invalid(
            _DOING,
            _TARGET,
            found="code that is not in normal form 2, or names of which one captures another",
            hint="choose names that nothing else in the function has",
        )
    return text


def _restore(
    code: str, name_mapping: dict[str, str], alias_mapping: dict[str, str], docstring: str
) -> str:
    for name in (*name_mapping.values(), *alias_mapping.values()):
        if not name.isidentifier() or keyword.iskeyword(name):
            raise Invalid(_DOING, _TARGET, found=f"the name {name!r}", expected="an identifier")
    imports, function = parse_normalized(code, "<normalized code>")
    walk = Walk("<normalized code>")
    walk.visit(function, walk.module, 1)
    names = Names(walk, function.name)
    by_name: dict[str, Variable] = {
        v.name: v for v in (names.own, *names.variables) if NORMAL_NAME.match(v.name)
    }
    missing = set(name_mapping) - set(by_name)
    for statement in imports:
        missing -= _restore_import(statement, name_mapping, alias_mapping, names)
    if missing:
        refuse("<normalized code>", f"no variable {min(missing)}, which the mapping names")
    for normal, name in name_mapping.items():
        if normal in by_name:
            for mention in by_name[normal].mentions:
                mention.write(name)
    if names.pins_docstring and docstring:
        raise Invalid(
            _DOING, _TARGET, found="a docstring for a function whose own is part of its logic"
        )
    if not names.pins_docstring:
        docstrings.join(function, docstring)
    return print_ast(ast.Module(body=[*imports, function], type_ignores=[]))


def _restore_import(
    statement: Any, name_mapping: dict[str, str], alias_mapping: dict[str, str], names: Names
) -> set[str]:
    """Give an import its aliases back; returns the normal names that it has."""
    found = set()
    for alias in statement.names:
        if alias.asname in name_mapping:
            found.add(alias.asname)
            alias.asname = name_mapping[alias.asname]
        elif alias.asname is None and alias.name.startswith(OBJECT):
            name = alias_mapping.get(alias.name.removeprefix(OBJECT))
            if name is not None:
                alias.asname = name
                variable = names.outside.get(alias.name)
                for mention in variable.mentions if variable else ():
                    mention.write(name)
    return found
