"""What stands at the top of a file: functions, imports, and state that cannot be kept."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from holdfast.functions.normal_form_2.imports import Import, read_imports
from holdfast.functions.normal_form_2.source import refuse


@dataclass(slots=True)
class TopLevel:
    """The statements of a module, sorted by what they are.

    Attributes:
        functions: by name, in source order. `imports`: every alias by itself, in source order.
        state: name → (line, what binds it) for all other top-level bindings.
        effects: (line, what) of statements that act when the module is imported.
        docstring: whether the module has one.
    """

    functions: dict[str, Any] = field(default_factory=dict)
    imports: list[Import] = field(default_factory=list)
    state: dict[str, tuple[int, str]] = field(default_factory=dict)
    effects: list[tuple[int, str]] = field(default_factory=list)
    docstring: bool = False


def read_top_level(tree: ast.Module, filename: str) -> TopLevel:
    """Sort the statements of a module.

    Raises:
        Invalid: a function that is defined twice or whose name is bound by something else too.
    """
    top = TopLevel()
    for index, node in enumerate(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if node.name in top.functions:
                refuse(filename, f"the function {node.name} is defined twice", line=node.lineno)
            top.functions[node.name] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            top.imports.extend(read_imports(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            top.docstring = top.docstring or (index == 0 and isinstance(node.value.value, str))
        else:
            _read_state(node, top)
    for name, node in top.functions.items():
        other = next((i for i in top.imports if i.bound == name), None)
        line = other.line if other else top.state.get(name, (0, ""))[0]
        if line:
            refuse(
                filename,
                f"the name of the function {name} (line {node.lineno}) is bound again",
                line=line,
                hint="give one of them another name",
            )
    return top


def _read_state(node: ast.stmt, top: TopLevel) -> None:
    if _is_main_guard(node):
        return  # never runs on import
    what = _WHAT.get(type(node), "a statement")
    names = _bound_names(node)
    for name in names:
        top.state.setdefault(name, (node.lineno, what))
    if not _is_inert(node):
        top.effects.append((node.lineno, what))


_WHAT: dict[type[ast.AST], str] = {
    ast.Assign: "an assignment",
    ast.AnnAssign: "an assignment",
    ast.AugAssign: "an assignment",
    ast.ClassDef: "a class",
    ast.Try: "a try statement",
    ast.If: "an if statement",
    ast.With: "a with statement",
    ast.For: "a loop",
    ast.While: "a loop",
    ast.Expr: "an expression",
    ast.Delete: "a del statement",
}


def _is_main_guard(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and not node.orelse
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
        and len(node.test.ops) == 1
        and isinstance(node.test.ops[0], ast.Eq)
        and isinstance(node.test.comparators[0], ast.Constant)
        and node.test.comparators[0].value == "__main__"
    )


def _is_inert(node: ast.stmt) -> bool:
    """Whether the statement only binds names: to constants, or to a plain class."""
    if isinstance(node, ast.Pass):
        return True
    if isinstance(node, ast.ClassDef):
        return (
            not (node.decorator_list or node.keywords or getattr(node, "type_params", []))
            and all(isinstance(b, ast.Name) and b.id in _PLAIN_BASES for b in node.bases)
            and all(_is_inert_in_class(inner) for inner in node.body)
        )
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if not all(isinstance(t, ast.Name) for t in targets):
            return False
        return node.value is None or all(isinstance(n, _INERT) for n in ast.walk(node.value))
    return False


def _is_inert_in_class(node: ast.stmt) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        arguments = node.args
        defaults = [*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]
        return not node.decorator_list and all(isinstance(d, ast.Constant) for d in defaults)
    return _is_inert(node) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


_PLAIN_BASES = frozenset(
    {
        *("object", "BaseException", "Exception", "LookupError", "KeyError", "IndexError"),
        *("ValueError", "TypeError", "RuntimeError", "OSError", "ArithmeticError"),
        *("dict", "list", "tuple", "set", "frozenset", "str", "bytes", "int", "float"),
    }
)

_INERT = (
    *(ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.Load, ast.UnaryOp, ast.BinOp),
    *(ast.operator, ast.unaryop),
)


def _bound_names(node: ast.stmt) -> set[str]:
    names: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
            names.add(inner.id)
        elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(inner.name)
        elif isinstance(inner, ast.alias):
            names.add(inner.asname or inner.name.partition(".")[0])
        elif isinstance(inner, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            names.add(inner.name or "")
        elif isinstance(inner, ast.MatchMapping):
            names.add(inner.rest or "")
    return names - {""}
