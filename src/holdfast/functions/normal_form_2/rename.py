"""Numbers for the names that may be renamed, and their writing into the tree."""

from __future__ import annotations

import re

from holdfast.functions.normal_form_2.observed import Names
from holdfast.functions.normal_form_2.scope import BINDING, MODULE, Variable

PREFIX = "_holdfast_v_"
NORMAL_NAME = re.compile(rf"{PREFIX}(0|[1-9][0-9]{{0,8}})\Z")
_ANYWHERE = re.compile(rf"{PREFIX}[0-9]+")


def number_names(names: Names, aliases: list[Variable]) -> dict[str, str]:
    """Number the variables that are not kept: the function 0, then those bound inside by their
    first binding in reading order, then `aliases` in their order.

    Numbers whose name the function spells in a place that is never renamed are passed over.

    Returns:
        The name mapping: normal name → name in the source, in order of the numbers.
    """
    taken = _taken(names, aliases)
    mapping: dict[str, str] = {}
    if not names.own.kept:
        names.own.number = 0
        mapping[PREFIX + "0"] = names.own.name
    number = 1
    inside = [
        v
        for m in names.walk.mentions
        if m.role == BINDING
        and (v := m.scope.resolved[m.name]).number is None
        and not v.kept
        and v.scope.kind != MODULE
    ]
    for variable in (*inside, *aliases):
        if variable.number is not None or variable.kept:
            continue
        while PREFIX + str(number) in taken:
            number += 1
        variable.number = number
        mapping[PREFIX + str(number)] = variable.name
        number += 1
    return mapping


def _taken(names: Names, aliases: list[Variable]) -> set[str]:
    walk = names.walk
    taken = {n for n in names.taken | walk.attributes if n.startswith(PREFIX)}
    for text in walk.strings:
        if PREFIX in text:
            taken.update(_ANYWHERE.findall(text))
    for variable in names.variables:
        if variable.name.startswith(PREFIX):
            outside = variable.scope.kind == MODULE and variable not in aliases
            if variable.kept or (outside and variable is not names.own):
                taken.add(variable.name)
    return taken


def write_names(names: Names) -> None:
    """Write the normal names into the tree, wherever the variables are mentioned."""
    for variable in (*names.variables, names.own):
        if variable.number is not None:
            normal = PREFIX + str(variable.number)
            for mention in variable.mentions:
                mention.write(normal)
