"""One top-level function: what its names mean and which imports and neighbours it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from holdfast.functions.normal_form_2 import docstring as docstrings
from holdfast.functions.normal_form_2.imports import OBJECT_NAME, Import, canonical_inner, pool_hash
from holdfast.functions.normal_form_2.observed import Names
from holdfast.functions.normal_form_2.scope import Variable
from holdfast.functions.normal_form_2.source import refuse
from holdfast.functions.normal_form_2.toplevel import TopLevel
from holdfast.functions.normal_form_2.walk import Walk


@dataclass(slots=True)
class Analysis:
    """A function with its names resolved.

    Attributes:
        docstring: taken out of `node`; "" for none, or where the function keeps it.
        neighbours: functions of the same file that it uses, in order of first use.
        imports: top-level imports that it keeps, in source order.
        inner_dependencies: hashes of pool functions that it imports inside.
        globals_bound: names that it binds by ``global``.
    """

    node: Any
    docstring: str
    names: Names
    neighbours: list[str]
    imports: list[Import]
    inner_dependencies: set[str]
    globals_bound: set[str]


def analyse(node: Any, top: TopLevel, imports: list[Import], filename: str) -> Analysis:
    """Resolve the names of the top-level function `node`.

    Raises:
        Invalid: it needs what cannot be kept: top-level state, or names bound in its decorators,
            defaults or annotations.
    """
    # Without its docstring: what that says is no part of the logic.
    body = node.body
    docstring = docstrings.split(node)
    walk = Walk(filename)
    walk.visit(node, walk.module, 1)
    inner: set[str] = set()
    for statement in walk.imports:
        found = canonical_inner(statement)
        inner.update(found)
        if not found and any(pool_hash(statement, a) for a in statement.names):
            refuse(filename, "a pool import mixed with others", line=statement.lineno)
    names = Names(walk, node.name)
    if names.pins_docstring:
        node.body, docstring = body, ""
    if names.assigned_outside:
        refuse(
            filename,
            f"{node.name} binds {names.assigned_outside[0]} at the top level, in its decorators, "
            "defaults or annotations",
            line=node.lineno,
            hint="assign inside the function",
        )
    _refuse_state(node, names, top, imports, filename)
    bound = {i.bound: i for i in imports}
    return Analysis(
        node=node,
        docstring=docstring,
        names=names,
        neighbours=[n for n in names.outside if n in top.functions],
        imports=_kept_imports(names, top, imports, set(bound)),
        inner_dependencies=inner,
        globals_bound={v.name for v in names.outside.values() if v.bindings},
    )


def _refuse_state(
    node: Any, names: Names, top: TopLevel, imports: list[Import], filename: str
) -> None:
    """Refuse a function that needs something of the file that is neither function nor import."""
    bound = {i.bound for i in imports}
    for name, variable in names.outside.items():
        if name in top.state:
            line, what = top.state[name]
            refuse(
                filename,
                f"{node.name} needs {name}, which {what} binds at the top level",
                line=line,
                hint="pass it as a parameter, or bind it inside the function",
            )
        if name == "__doc__" and top.docstring and not variable.bindings:
            refuse(filename, f"{node.name} reads the docstring of the module", line=node.lineno)
        if OBJECT_NAME.match(name) and name not in bound:
            refuse(
                filename,
                f"{node.name} uses {name} without importing it",
                line=node.lineno,
                hint=f"add `from holdfast.pool import {name}`",
            )
    if top.effects:
        line, what = top.effects[0]
        refuse(
            filename,
            f"{what} at the top level that acts on import: {node.name} may need it",
            line=line,
            hint="move it into the function, or below `if __name__ == '__main__':`",
        )
    if names.sees_globals and (top.state or len(top.functions) > 1):
        refuse(
            filename,
            f"{node.name} looks at its globals by name, so what it needs of this file is unknown",
            line=node.lineno,
            hint="put it into a file of its own",
        )


def _kept_imports(
    names: Names, top: TopLevel, imports: list[Import], bound: set[str]
) -> list[Import]:
    """The imports that this function keeps (docs/decisions/0702)."""
    if names.sees_globals or len(top.functions) == 1:
        return imports
    return [i for i in imports if i.bound in names.outside or not _may_go(i)]


def _may_go(item: Import) -> bool:
    return bool(item.pool) or (item.harmless and not item.is_future)


def alias_variables(names: Names, imports: list[Import]) -> list[tuple[Import, Variable | None]]:
    """Each import with the variable that the function uses it by, None when it does not."""
    return [(i, names.outside.get(i.bound)) for i in imports]
