"""Pool imports in stored or shown code: ours and the original's (spec/functions.md §3)."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping

from holdfast.errors import Invalid

MODULES = ("holdfast.pool", "ouverture.pool")
_NAME = re.compile(r"(?:object_)?([0-9a-f]{64})\Z")


def parse(code: str, target: str = "<code>") -> ast.Module:
    """The syntax tree of `code`. Nothing is executed.

    Raises:
        Invalid: not Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except SyntaxError as error:
        found = f"{error.msg}, line {error.lineno}"
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        found = f"{type(error).__name__}: {error}"
    raise Invalid("reading the code", target, found=found)


def pool_imports(tree: ast.Module) -> list[tuple[ast.ImportFrom, ast.alias, str]]:
    """(statement, name, hash) of every pool import, at any depth, in reading order."""
    out = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES and not node.level:
            for alias in node.names:
                match = _NAME.match(alias.name)
                if match:
                    out.append((node, alias, match[1]))
    return out


def dependencies_of(code: str) -> list[str]:
    """The hashes that stored code imports from a pool, ascending.

    Raises:
        Invalid: not Python.
    """
    if not any(module in code for module in MODULES):
        return []
    return sorted({hash for _, _, hash in pool_imports(parse(code))})


def replace_dependencies(source: str, changes: Mapping[str, str]) -> str:
    """`source` with its pool imports of the keys of `changes` made imports of the values, all at
    once; nothing else is changed.

    Raises:
        Invalid: not Python, or no import of one of them.
    """
    lines = source.split("\n")
    places = []
    for _, alias, hash in pool_imports(parse(source)):
        if hash in changes:
            places.append((alias.lineno - 1, alias.col_offset, hash))
    missing = set(changes) - {hash for _, _, hash in places}
    if missing:
        raise Invalid("replacing a dependency", min(missing), found="no import of it in the code")
    # From the end: a change does not move what stands before it. Columns count bytes of UTF-8.
    for row, column, hash in sorted(places, reverse=True):
        data = lines[row].encode()
        tail = data[column:].replace(hash.encode(), changes[hash].encode(), 1)
        lines[row] = (data[:column] + tail).decode()
    return "\n".join(lines)
