"""The original's rules a second time, by changing the tree and asking `ast.unparse`.

Only for CPython 3.11, whose `ast.unparse` defines the text. It knows nothing of imports.
"""

from __future__ import annotations

import ast
import builtins
import copy


def normalized(source: str) -> str:
    """The normal form 1 of one function without top-level imports."""
    (function,) = copy.deepcopy(ast.parse(source)).body
    assert isinstance(function, ast.FunctionDef)
    used = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
    used |= {n.arg for n in ast.walk(function) if isinstance(n, ast.arg)}
    used -= {*dir(builtins), function.name}
    names = {function.name: "_ouverture_v_0"}
    names |= {name: f"_ouverture_v_{k}" for k, name in enumerate(sorted(used), 1)}
    return ast.unparse(_Renamed(names).visit(function))


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self.names.get(node.arg, node.arg)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.name = self.names.get(node.name, node.name)
        self.generic_visit(node)
        return node
