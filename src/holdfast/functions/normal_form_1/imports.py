"""Top-level imports: their order, and those that come from the pool.

Only ``from ouverture.pool import <hash> as <alias>`` at the top level is a pool import to normal
form 1; anything else is an ordinary import.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from holdfast.functions.normal_form_1.naming import POOL_MODULE

Import: TypeAlias = ast.Import | ast.ImportFrom

# The pool's modules under the original's name and ours, with the names that each gives a hash.
_POOL_NAME: Final = {
    POOL_MODULE: re.compile(r"([0-9a-f]{64})\Z"),
    "holdfast.pool": re.compile(r"object_([0-9a-f]{64})\Z"),
}


def in_order(imports: Iterable[Import]) -> list[Import]:
    """The imports as they are stored.

    ``from`` before ``import``, then by module and names. Neither aliases nor the dots of relative
    imports count; what is equal then keeps its order, as do the names in one statement.
    """
    return sorted(imports, key=_order)


def _order(node: Import) -> tuple[str, str, tuple[str, ...]]:
    names = tuple(alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return "from", node.module or "", names
    return "import", "", names


def without_pool_aliases(imports: Iterable[Import]) -> tuple[list[Import], dict[str, str]]:
    """Pool imports under the bare hash, with the aliases apart.

    Returns:
        The imports, pool imports without aliases and without dots; and hash → alias, where of
        several aliases of one hash the last stays.
    """
    plain: list[Import] = []
    aliases: dict[str, str] = {}
    for node in imports:
        if not isinstance(node, ast.ImportFrom) or node.module != POOL_MODULE:
            plain.append(node)
            continue
        aliases.update({n.name: n.asname for n in node.names if n.asname is not None})
        names = [ast.alias(name=n.name, asname=None) for n in node.names]
        plain.append(ast.ImportFrom(module=POOL_MODULE, names=names, level=0))
    return plain, aliases


def bound_names(imports: Iterable[Import]) -> set[str]:
    """The names that the imports are recorded under; for ``import a.b`` that is ``a.b``."""
    return {alias.asname or alias.name for node in imports for alias in node.names}


def pool_hashes(imports: Iterable[Import]) -> set[str]:
    """Hashes of the pool functions that the imports name, in the original's form or ours."""
    found: set[str] = set()
    for node in imports:
        if isinstance(node, ast.ImportFrom) and node.module in _POOL_NAME:
            pattern = _POOL_NAME[node.module]
            found.update(m[1] for alias in node.names if (m := pattern.match(alias.name)))
    return found
