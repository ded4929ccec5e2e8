"""The walk over a function in reading order: its scopes, and every mention of a name."""

from __future__ import annotations

import ast
from typing import Any

from holdfast.functions.normal_form_2.grammar import children_by_type, node_type
from holdfast.functions.normal_form_2.scope import (
    ANNOTATION,
    BINDING,
    CALLED,
    CLASS,
    COMPREHENSION,
    FUNCTION,
    MODULE,
    USE,
    WORD,
    Function,
    Mention,
    Scope,
    Variable,
    mangled,
)
from holdfast.functions.normal_form_2.source import MAX_DEPTH, refuse

_CHILDREN = children_by_type()
_TYPE_ALIAS = node_type("TypeAlias")


class Walk:
    """What one walk over a top-level function finds, in reading order."""

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.module = Scope(MODULE, None, None)
        self.mentions: list[Mention] = []
        self.functions: list[Function] = []
        self.calls: list[tuple[Scope, ast.Call]] = []
        self.class_keywords: set[str] = set()
        self.classes: list[tuple[Mention, Scope]] = []
        self.class_scopes: list[Scope] = []
        self.definitions: list[Mention] = []
        self.attributes: set[str] = set()
        self.strings: list[str] = []
        self.hint_words: set[str] = set()
        self.private_classes: set[Scope] = set()
        self.imports: list[ast.ImportFrom] = []

    def bind(self, scope: Scope, name: str, node: Any, field: str, index: int = -1) -> Mention:
        """A mention that binds."""
        key = self._mangle(scope, name)
        if key not in scope.declared_global and key not in scope.nonlocals:
            scope.bound.setdefault(key, Variable(name, scope))
        mention = Mention(scope, key, node, field, BINDING, index)
        self.mentions.append(mention)
        return mention

    def _mangle(self, scope: Scope, name: str) -> str:
        if scope.private is None or not name.startswith("__"):
            return name
        key = mangled(scope.private, name)
        if key != name:
            self._mark_private(scope)
        return key

    def _mark_private(self, scope: Scope) -> None:
        at: Scope | None = scope
        while at is not None:
            if at.kind == CLASS:
                self.private_classes.add(at)
            at = at.parent

    def visit(self, node: Any, scope: Scope, depth: int) -> None:
        """Walk `node` and what is below it.

        Raises:
            Invalid: nesting deeper than 200, or syntax that normal form 2 does not know.
        """
        kind = type(node)
        if kind is ast.Name:
            if type(node.ctx) is ast.Load:
                key = self._mangle(scope, node.id)
                self.mentions.append(Mention(scope, key, node, "id", USE))
            else:
                self.bind(scope, node.id, node, "id")
            return
        if kind is ast.Constant:
            if type(node.value) is str:
                self.strings.append(node.value)
            return
        if depth > MAX_DEPTH:
            refuse(
                self.filename,
                f"nesting deeper than {MAX_DEPTH} levels",
                line=getattr(node, "lineno", None),
                hint="name parts of it",
            )
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, node, scope, depth + 1)
            return
        fields = _CHILDREN.get(kind)
        if fields is None:
            refuse(
                self.filename,
                f"syntax that normal form 2 does not know, {kind.__name__}",
                line=getattr(node, "lineno", None),
            )
        for field in fields:
            value = getattr(node, field)
            if value.__class__ is list:
                for item in value:
                    if item is not None:
                        self.visit(item, scope, depth + 1)
            elif value is not None:
                self.visit(value, scope, depth + 1)

    def each(self, nodes: Any, scope: Scope, depth: int) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node, scope, depth)

    def hint(self, node: Any, scope: Scope, depth: int) -> None:
        """Walk an annotation; what its strings name must keep its name."""
        if node is None:
            return
        before = len(self.strings)
        self.visit(node, scope, depth)
        for text in self.strings[before:]:
            self.hint_words.update(WORD.findall(text))


def _function(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    walk.each(node.decorator_list, scope, depth)
    own = walk.bind(scope, node.name, node, "name")
    walk.definitions.append(own)
    outer = _type_parameters(walk, node, scope, depth)
    _signature_and_body(walk, node, outer, depth, own if not node.decorator_list else None)


def _lambda(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    _signature_and_body(walk, node, scope, depth, None)


def _signature_and_body(
    walk: Walk, node: Any, scope: Scope, depth: int, own: Mention | None
) -> None:
    inner = Scope(FUNCTION, scope, scope.private)
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args]
    if arguments.vararg is not None:
        parameters.append(arguments.vararg)
    parameters += arguments.kwonlyargs
    if arguments.kwarg is not None:
        parameters.append(arguments.kwarg)
    for parameter in parameters:
        walk.bind(inner, parameter.arg, parameter, "arg")
        walk.hint(parameter.annotation, scope, depth)
    walk.each(arguments.defaults, scope, depth)
    walk.each(arguments.kw_defaults, scope, depth)
    walk.functions.append(Function(node, inner, own))
    if type(node) is ast.Lambda:
        walk.visit(node.body, inner, depth)
        return
    walk.hint(node.returns, scope, depth)
    walk.each(node.body, inner, depth)


def _type_parameters(
    walk: Walk, node: Any, scope: Scope, depth: int, private: str | None = None
) -> Scope:
    parameters = getattr(node, "type_params", None)
    if not parameters:
        return scope
    inner = Scope(ANNOTATION, scope, private or scope.private)
    for parameter in parameters:
        walk.bind(inner, parameter.name, parameter, "name")
        # Bounds and defaults have a scope of their own, whose outer scope is this one.
        walk.hint(getattr(parameter, "bound", None), Scope(ANNOTATION, inner, inner.private), depth)
        default = getattr(parameter, "default_value", None)
        if default is not None:
            walk.visit(default, Scope(ANNOTATION, inner, inner.private), depth)
    return inner


def _class(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    walk.each(node.decorator_list, scope, depth)
    own = walk.bind(scope, node.name, node, "name")
    walk.definitions.append(own)
    outer = _type_parameters(walk, node, scope, depth, node.name)
    walk.each(node.bases, outer, depth)
    for keyword in node.keywords:
        if keyword.arg is not None:
            walk.class_keywords.add(keyword.arg)
        walk.visit(keyword.value, outer, depth)
    inner = Scope(CLASS, outer, node.name)
    walk.class_scopes.append(inner)
    walk.classes.append((own, inner))
    walk.each(node.body, inner, depth)


def _type_alias(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    walk.visit(node.name, scope, depth)
    outer = _type_parameters(walk, node, scope, depth)
    walk.visit(node.value, Scope(ANNOTATION, outer, scope.private), depth)


def _comprehension(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    inner = Scope(COMPREHENSION, scope, scope.private)
    if type(node) is ast.DictComp:
        walk.visit(node.key, inner, depth)
        walk.visit(node.value, inner, depth)
    else:
        walk.visit(node.elt, inner, depth)
    at = scope  # the first iterable is evaluated outside
    for generator in node.generators:
        walk.visit(generator.target, inner, depth)
        walk.visit(generator.iter, at, depth)
        at = inner
        walk.each(generator.ifs, inner, depth)


def _named(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    owner = scope
    while owner.kind == COMPREHENSION and owner.parent is not None:
        owner = owner.parent
    walk.bind(owner, node.target.id, node.target, "id")
    walk.visit(node.value, scope, depth)


def _call(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    walk.calls.append((scope, node))
    if type(node.func) is ast.Name:
        key = walk._mangle(scope, node.func.id)
        walk.mentions.append(Mention(scope, key, node.func, "id", CALLED))
    else:
        walk.visit(node.func, scope, depth)
    walk.each(node.args, scope, depth)
    for keyword in node.keywords:
        walk.visit(keyword.value, scope, depth)


def _annotated(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    target = node.target
    if type(target) is ast.Name and not node.simple and node.value is None:
        # `(x): int` binds nothing.
        walk.mentions.append(Mention(scope, walk._mangle(scope, target.id), target, "id", USE))
    else:
        walk.visit(target, scope, depth)
    walk.hint(node.annotation, scope, depth)
    if node.value is not None:
        walk.visit(node.value, scope, depth)


def _attribute(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    walk.visit(node.value, scope, depth)
    walk.attributes.add(node.attr)
    if scope.private is not None and mangled(scope.private, node.attr) != node.attr:
        walk._mark_private(scope)


def _handler(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    if node.type is not None:
        walk.visit(node.type, scope, depth)
    if node.name is not None:
        walk.bind(scope, node.name, node, "name")
    walk.each(node.body, scope, depth)


def _capture(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    if getattr(node, "pattern", None) is not None:
        walk.visit(node.pattern, scope, depth)
    if node.name is not None:
        walk.bind(scope, node.name, node, "name")


def _mapping(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    walk.each(node.keys, scope, depth)
    walk.each(node.patterns, scope, depth)
    if node.rest is not None:
        walk.bind(scope, node.rest, node, "rest")


def _match_class(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    walk.visit(node.cls, scope, depth)
    walk.each(node.patterns, scope, depth)
    walk.attributes.update(node.kwd_attrs)
    walk.each(node.kwd_patterns, scope, depth)


def _declared(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    where = scope.declared_global if type(node) is ast.Global else scope.nonlocals
    for index, name in enumerate(node.names):
        key = walk._mangle(scope, name)
        where.add(key)
        # A declaration neither binds nor lets anything out; as CALLED it counts as harmless.
        walk.mentions.append(Mention(scope, key, node, "names", CALLED, index))


def _import(walk: Walk, node: Any, scope: Scope, depth: int) -> None:
    if type(node) is ast.ImportFrom:
        walk.imports.append(node)
    for alias in node.names:
        if alias.asname is not None:
            walk.bind(scope, alias.asname, alias, "asname")
        else:
            # Without `as` the name is the module's choice, nobody's language: it stays.
            mention = walk.bind(scope, alias.name.partition(".")[0], alias, "")
            variable = scope.bound.get(mention.name)
            if variable is not None:
                variable.kept = True


_HANDLERS: dict[type[ast.AST], Any] = {
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.Lambda: _lambda,
    ast.ClassDef: _class,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.DictComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.NamedExpr: _named,
    ast.Call: _call,
    ast.AnnAssign: _annotated,
    ast.Attribute: _attribute,
    ast.ExceptHandler: _handler,
    ast.MatchAs: _capture,
    ast.MatchStar: _capture,
    ast.MatchMapping: _mapping,
    ast.MatchClass: _match_class,
    ast.Global: _declared,
    ast.Nonlocal: _declared,
    ast.Import: _import,
    ast.ImportFrom: _import,
}
if _TYPE_ALIAS is not None:
    _HANDLERS[_TYPE_ALIAS] = _type_alias
