"""What a function can see of its own names while it runs; such names are kept, never renamed.

A name may be renamed only if no step of the function can tell. This module holds the rules that
say when one could (docs/decisions/0701); each errs on the side of keeping, which costs the shared
hash of two languages and never makes two behaviours share one.
"""

from __future__ import annotations

import ast

from holdfast.functions.normal_form_2.scope import (
    CALLED,
    CLASS,
    MODULE,
    USE,
    WORD,
    Function,
    Mention,
    Scope,
    Variable,
    resolve,
)
from holdfast.functions.normal_form_2.walk import Walk

# Free names and attributes that give access to local names, by text or by frame.
_SEES_LOCALS = frozenset(
    {
        *("locals", "eval", "exec", "f_locals", "_getframe", "currentframe"),
        *("__code__", "gi_code", "cr_code", "ag_code", "f_code", "co_varnames", "co_names"),
        *("co_freevars", "co_cellvars", "__closure__", "__annotations__", "get_annotations"),
        *("signature", "getfullargspec", "getargspec", "getcallargs", "get_type_hints"),
    }
)
# Methods that by custom evaluate a text over the caller's variables.
_SEES_LOCALS_AS_METHOD = frozenset({"evaluate", "query", "sql"})
_SEES_GLOBALS = frozenset(
    {"globals", "eval", "exec", "f_globals", "__globals__", "_getframe", "currentframe"}
)
_SEES_GLOBALS_AS_METHOD = frozenset({"modules"})
_SEES_NAMES = frozenset({"__name__", "__qualname__"})
_SEES_DOCSTRING = frozenset({"__doc__", "getdoc", "help"})


class Names:
    """The variables of a walked function, and what may be renamed.

    Attributes:
        own: the function's own variable.
        outside: names that are not bound inside, by name: imports, neighbours, builtins, free.
        sees_globals: top-level names are visible to the running function.
        pins_docstring: the function can read its own docstring, which then is part of its logic.
        taken: identifiers that no normal name may equal.
    """

    def __init__(self, walk: Walk, own_name: str) -> None:
        self.walk = walk
        module = walk.module
        self.assigned_outside = [n for n in module.bound if n != own_name]
        self.own = module.bound[own_name]
        for mention in walk.mentions:
            variable = resolve(mention.scope, mention.name, module)
            variable.mentions.append(mention)
            if mention.role == CALLED:
                variable.called += 1
            elif mention.role != USE:
                variable.bindings += 1
        self.outside = {n: v for n, v in module.bound.items() if v is not self.own}
        self.variables = list(
            dict.fromkeys(resolve(m.scope, m.name, module) for m in walk.mentions)
        )
        self.taken: set[str] = set()
        self._mark_functions()
        sees_locals = self._sees(_SEES_LOCALS, _SEES_LOCALS_AS_METHOD) or self._bare("vars", "dir")
        self.sees_globals = self._sees(_SEES_GLOBALS, _SEES_GLOBALS_AS_METHOD)
        self._keep_interfaces(self._follow_keywords())
        self._keep_spelled(sees_locals)
        self.pins_docstring = self._own_is_passed() and self._sees(_SEES_DOCSTRING)

    def _sees(self, names: frozenset[str], methods: frozenset[str] = frozenset()) -> bool:
        attributes = self.walk.attributes
        return (
            not names.isdisjoint(attributes)
            or not methods.isdisjoint(attributes)
            or not names.isdisjoint(self.outside)
        )

    def _bare(self, *names: str) -> bool:
        """Whether a builtin of these is called without arguments, or is let out."""
        for name in names:
            variable = self.outside.get(name)
            if variable is None:
                continue
            if variable.escapes or variable.bindings:
                return True
            for _, call in self.walk.calls:
                if isinstance(call.func, ast.Name) and call.func.id == name and not call.args:
                    return True
        return False

    def _own_is_passed(self) -> bool:
        """Whether the body may hand the function itself to somebody."""
        own = self.own
        return own.escapes or (own.function is None and len(own.mentions) > 1)

    def _mark_functions(self) -> None:
        for function in self.walk.functions:
            if function.own is not None:
                variable = resolve(function.own.scope, function.own.name, self.walk.module)
                if variable.bindings == 1 and variable.scope.kind != CLASS:
                    variable.function = function

    def _follow_keywords(self) -> tuple[set[str], bool]:
        """Let keywords in calls of functions known here follow their parameters.

        Returns:
            The keywords of all other calls, and whether one of those unpacks a mapping.
        """
        free_keywords = set(self.walk.class_keywords)
        unpacks = False
        for scope, call in self.walk.calls:
            if not call.keywords:
                continue
            known = self._callee(scope, call)
            for keyword in call.keywords:
                if known is None:
                    if keyword.arg is None:
                        unpacks = True
                    else:
                        free_keywords.add(keyword.arg)
                elif keyword.arg is None:
                    for key in known.by_keyword:
                        known.scope.bound[key].kept = True
                elif keyword.arg in known.by_keyword:
                    variable = known.scope.bound[keyword.arg]
                    variable.mentions.append(Mention(scope, keyword.arg, keyword, "arg", CALLED))
                    variable.called += 1
                else:
                    # It lands in **kwargs, by its spelling, or nowhere.
                    self.taken.add(keyword.arg)
        self.taken |= free_keywords
        return free_keywords, unpacks

    def _callee(self, scope: Scope, call: ast.Call) -> Function | None:
        if not isinstance(call.func, ast.Name):
            return None
        return resolve(scope, scope.mangle(call.func.id), self.walk.module).function

    def _keep_interfaces(self, found: tuple[set[str], bool]) -> None:
        """Keep parameters that a call inside may reach by keyword without our knowing."""
        spelled, unpacks = found
        if unpacks:
            spelled = spelled.union(*(WORD.findall(text) for text in self.walk.strings))
        if not spelled:
            return
        for function in self.walk.functions:
            if self._may_be_called_unknown(function):
                for key, name in function.by_keyword.items():
                    if name in spelled:
                        function.scope.bound[key].kept = True

    def _may_be_called_unknown(self, function: Function) -> bool:
        if function.scope.parent is self.walk.module and not isinstance(function.node, ast.Lambda):
            return self._own_is_passed()
        if function.own is None:
            return True
        variable = resolve(function.own.scope, function.own.name, self.walk.module)
        return variable.function is not function or variable.escapes

    def _keep_spelled(self, sees_locals: bool) -> None:
        walk = self.walk
        for variable in self.variables:
            scope = variable.scope
            if scope.kind == MODULE:
                continue
            name = variable.name
            if (
                sees_locals
                or scope.kind == CLASS
                or name in walk.hint_words
                or (name[:2] == "__" and (name[-2:] == "__" or scope.mangle(name) != name))
            ):
                variable.kept = True
        for mention, scope in walk.classes:
            if scope in walk.private_classes:  # its name is part of the names in it
                resolve(mention.scope, mention.name, walk.module).kept = True
        names_seen = self._sees(_SEES_NAMES)
        if names_seen:
            for mention in walk.definitions:
                variable = resolve(mention.scope, mention.name, walk.module)
                variable.kept = variable.kept or variable is not self.own
        for variable in (self.own, *self.outside.values()):
            variable.kept = self.keeps_outside(variable) or variable.kept
        own = self.own
        own.kept = own.kept or (names_seen and self._own_is_passed())

    def keeps_outside(self, variable: Variable) -> bool:
        """Whether a top-level name must stay as it is spelled."""
        name = variable.name
        if self.sees_globals or name in self.walk.hint_words:
            return True
        if variable is not self.own and variable.bindings:
            return True  # rebound with `global`
        # What a class binds and reads is looked up by its spelling: in the class, then outside.
        return any(name in scope.bound for scope in self.walk.class_scopes)
