"""Every function of the standard library, alone in a source, and code compared up to names.

Needs no third-party package, so that other Pythons can run it.
"""

from __future__ import annotations

import ast
import dis
import re
import sysconfig
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SKIPPED = ("site-packages", "lib2to3/tests", "test/")


def stdlib_files(folder: str | None = None) -> list[Path]:
    """The modules of the standard library, its tests not among them."""
    root = Path(folder or sysconfig.get_paths()["stdlib"])
    out = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not any(s in name for s in _SKIPPED):
            out.append(path)
    return out


def function_sources(text: str) -> Iterator[str]:
    """The source of every function, method and nested function of a module, dedented."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    lines = text.split("\n")
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
        if lines[node.lineno - 1][: node.col_offset].strip():
            continue  # not the first thing on its line
        if node.col_offset == 0:
            yield "\n".join(lines[first : node.end_lineno])
        else:
            # Inside `if True:` strings over several lines need not be dedented.
            tree_text = "if True:\n" + "\n".join(lines[first : node.end_lineno])
            yield tree_text


def lone_function(source: str) -> str | None:
    """`source` without its `if True:`, None where that changes a string or gives no function."""
    if not source.startswith("if True:\n"):
        return source
    body = source.split("\n")[1:]
    indent = len(body[0]) - len(body[0].lstrip())
    prefix = body[0][:indent]
    dedented = [line[indent:] if line.startswith(prefix) else line for line in body]
    text = "\n".join(dedented)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    return text


def function_of(text: str) -> Any:
    """The last statement of a module, its function, as a tree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text).body[-1]


def dump(node: Any) -> str:
    """A tree as text, the prefix ``u`` of strings left out."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant):
            inner.kind = None
    return ast.dump(node)


def code_of(text: str) -> types.CodeType:
    """The compiled module, as if it stood on one line: the layout puts NOPs into the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if hasattr(node, "lineno"):
                node.lineno = node.end_lineno = 1
                node.col_offset = node.end_col_offset = 0
        return compile(tree, "<code>", "exec", dont_inherit=True, optimize=0)


def differences(source: types.CodeType, normal: types.CodeType) -> str:
    """What tells a module from the module of its normal form, once names are paired; "" nothing.

    An independent check: it knows only code objects. Every instruction and constant must be the
    same but for names that the normal form numbers; each number stands for one name, in a scope
    each name for one number, and every other name, keyword and constant must be equal.
    """
    walk = _Walk()
    return walk.compare(source, normal, "module") or walk.free_variables()


_CELLS = ("MAKE_CELL", "LOAD_CLOSURE", "COPY_FREE_VARS", "EXTENDED_ARG")
_NORMAL = re.compile(r"_holdfast_v_[0-9]+\Z")


class _Walk:
    def __init__(self) -> None:
        self.back: dict[str, str] = {}
        self.closures: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def compare(self, a: types.CodeType, b: types.CodeType, where: str) -> str:
        for field in ("co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags"):
            if getattr(a, field) != getattr(b, field):
                return f"{where}: {field}"
        for field in ("co_varnames", "co_cellvars", "co_freevars"):
            if len(getattr(a, field)) != len(getattr(b, field)):
                return f"{where}: {field}"
        pairs: dict[str, str] = {}
        found = self.names(a.co_varnames, b.co_varnames, pairs, where)
        self.closures.append((a.co_freevars, b.co_freevars))
        # Cells stand in the order of their names; what is put into which the rest shows.
        ia = [i for i in dis.get_instructions(a) if i.opname not in _CELLS]
        ib = [i for i in dis.get_instructions(b) if i.opname not in _CELLS]
        if len(ia) != len(ib):
            return f"{where}: {len(ia)} and {len(ib)} instructions"
        at = {i.offset: n for n, i in enumerate(ia)}, {i.offset: n for n, i in enumerate(ib)}
        for x, y in zip(ia, ib, strict=True):
            if found:
                return found
            if x.opname != y.opname:
                return f"{where}: {x.opname} and {y.opname}"
            if "JUMP" in x.opname or x.opname in ("SEND", "FOR_ITER"):
                if at[0].get(x.argval) != at[1].get(y.argval):
                    return f"{where}: {x.opname} elsewhere"
                continue
            if x.opname == "KW_NAMES":  # dis gives its index only
                found = self.operand(a.co_consts[x.arg], b.co_consts[y.arg], pairs, where)
            else:
                found = self.operand(x.argval, y.argval, pairs, where)
        return found

    def operand(self, x: Any, y: Any, pairs: dict[str, str], where: str) -> str:
        if isinstance(x, types.CodeType) and isinstance(y, types.CodeType):
            return self.compare(x, y, f"{where}.{x.co_name}")
        if type(x) is not type(y):
            return f"{where}: {x!r} and {y!r}"
        if isinstance(x, tuple):
            if len(x) != len(y):
                return f"{where}: {x!r} and {y!r}"
            return next(
                (f for m, n in zip(x, y, strict=True) if (f := self.operand(m, n, pairs, where))),
                "",
            )
        if isinstance(x, str):
            return self.names(x.split("."), y.split("."), pairs, where)
        return "" if repr(x) == repr(y) else f"{where}: {x!r} and {y!r}"

    def names(self, mine: Any, yours: Any, pairs: dict[str, str], where: str) -> str:
        if len(mine) != len(yours):
            return f"{where}: {mine!r} and {yours!r}"
        for m, n in zip(mine, yours, strict=True):
            if m == n:
                continue
            if not _NORMAL.match(n) or self.back.setdefault(n, m) != m:
                return f"{where}: {m!r} and {n!r}"
        return ""

    def free_variables(self) -> str:
        for mine, yours in self.closures:
            if sorted(mine) != sorted(self.back.get(n, n) for n in yours):
                return f"closure of {mine} and {yours}"
        return ""
