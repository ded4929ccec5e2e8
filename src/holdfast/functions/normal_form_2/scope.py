"""Scopes by the language's rules: which variable each name of a function means.

`walk` finds the scopes and every mention of a name in reading order; afterwards `resolve` says
which variable a mention means. Names are compared as the compiler does, private names (``__x`` in
a class) mangled. The result is checked in the tests against the compiler itself.
"""

from __future__ import annotations

import re
from typing import Any

MODULE, FUNCTION, CLASS, COMPREHENSION, ANNOTATION = range(5)
USE, BINDING, CALLED = range(3)

WORD = re.compile(r"\w+")


class Variable:
    """One variable of one scope.

    Attributes:
        name: as the source spells it; `scope`: where it is bound.
        mentions: every mention, in reading order.
        bindings: how many of them bind it; `called`: how many only call it.
        kept: it keeps its name in the normal form.
        function: the nested function that is its only binding, if it is undecorated.
        number: its number in the normal form, None when it is kept.
    """

    __slots__ = ("bindings", "called", "function", "kept", "mentions", "name", "number", "scope")

    def __init__(self, name: str, scope: Scope) -> None:
        self.name = name
        self.scope = scope
        self.mentions: list[Mention] = []
        self.bindings = 0
        self.called = 0
        self.kept = False
        self.function: Function | None = None
        self.number: int | None = None

    @property
    def escapes(self) -> bool:
        """Somebody else may get hold of its value: a mention that neither binds nor calls it."""
        return self.bindings + self.called < len(self.mentions)


class Scope:
    """One scope: what is bound in it, and what ``global`` and ``nonlocal`` say."""

    __slots__ = ("bound", "declared_global", "kind", "nonlocals", "parent", "private", "resolved")

    def __init__(self, kind: int, parent: Scope | None, private: str | None) -> None:
        self.kind = kind
        self.parent = parent
        self.private = private
        self.bound: dict[str, Variable] = {}
        self.declared_global: set[str] = set()
        self.nonlocals: set[str] = set()
        self.resolved: dict[str, Variable] = {}

    def mangle(self, name: str) -> str:
        """`name` as the compiler sees it here."""
        if self.private is None or not name.startswith("__"):
            return name
        return mangled(self.private, name)


class Mention:
    """A place in the tree that names a variable: ``node.field``, or one of its list."""

    __slots__ = ("field", "index", "node", "role", "scope", "name")  # noqa: RUF023

    def __init__(self, scope: Scope, name: str, node: Any, field: str, role: int, index: int = -1):
        self.scope = scope
        self.name = name
        self.node = node
        self.field = field
        self.role = role
        self.index = index

    def write(self, name: str) -> None:
        """Put `name` in this place."""
        if self.index < 0:
            setattr(self.node, self.field, name)
        else:
            getattr(self.node, self.field)[self.index] = name


class Function:
    """A function inside: its parameters that can be given by keyword, and its own name's mention
    (None: a lambda, which has none)."""

    __slots__ = ("by_keyword", "node", "own", "scope")

    def __init__(self, node: Any, scope: Scope, own: Mention | None) -> None:
        self.node = node
        self.scope = scope
        self.own = own
        arguments = node.args
        self.by_keyword = {
            scope.mangle(a.arg): a.arg for a in (*arguments.args, *arguments.kwonlyargs)
        }


def mangled(private: str, name: str) -> str:
    """`name` inside the class `private` (language reference, "Private name mangling")."""
    if not name.startswith("__") or name.endswith("__") or "." in name:
        return name
    owner = private.lstrip("_")
    return f"_{owner}{name}" if owner else name


def resolve(scope: Scope, name: str, module: Scope) -> Variable:
    """The variable that `name`, already mangled, means in `scope`.

    A name that nothing binds becomes a variable of `module`: it is global, or free.
    """
    known = scope.resolved.get(name)
    if known is None:
        known = scope.resolved[name] = _resolve(scope, name, module)
    return known


def _resolve(scope: Scope, name: str, module: Scope) -> Variable:
    at: Scope | None = scope
    # An annotation scope directly in a class sees the names of the class (PEP 695).
    sees_class = True
    while at is not None and at.kind != MODULE:
        if at.kind != CLASS or sees_class:
            if name in at.declared_global:
                break
            if name in at.bound and name not in at.nonlocals:
                return at.bound[name]
        sees_class = at is scope and at.kind == ANNOTATION
        at = at.parent
    return module.bound.get(name) or module.bound.setdefault(name, Variable(name, module))
