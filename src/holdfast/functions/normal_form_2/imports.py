"""Imports in canonical form: one name each, in one order; pool functions by their hash."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from holdfast.functions.normal_form_2.source import refuse

POOL_MODULE = "holdfast.pool"
_POOL_MODULES = frozenset({POOL_MODULE, "ouverture.pool"})
_POOL_NAME = re.compile(r"(?:object_)?([0-9a-f]{64})\Z")
OBJECT = "object_"
OBJECT_NAME = re.compile(r"object_[0-9a-f]{64}\Z")

# Modules whose import does nothing that a function could notice, on every Python we support. What
# another function of the file uses of them is left out of a function that does not.
_HARMLESS = frozenset(
    {
        *(
            "abc",
            "argparse",
            "array",
            "ast",
            "base64",
            "bisect",
            "calendar",
            "cmath",
            "collections",
        ),
        *("contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "enum"),
        *("fnmatch", "fractions", "functools", "glob", "hashlib", "heapq", "html", "inspect", "io"),
        *(
            "itertools",
            "json",
            "keyword",
            "logging",
            "math",
            "numbers",
            "operator",
            "os",
            "pathlib",
        ),
        *("pickle", "posixpath", "pprint", "random", "re", "secrets", "shutil", "statistics"),
        *("string", "struct", "subprocess", "sys", "tempfile", "textwrap", "time", "types"),
        *("typing", "unicodedata", "urllib", "uuid", "warnings", "weakref", "zlib"),
    }
)


@dataclass(slots=True)
class Import:
    """One imported name.

    Attributes:
        module: what stands after ``from``, dots of `level` not included; None for ``import name``.
        name: what is imported. `asname`: after ``as``, or None. `bound`: the name that it binds,
            "*" for all. `pool`: the hash of the pool function that it is, or "".
    """

    module: str | None
    level: int
    name: str
    asname: str | None
    line: int
    is_from: bool
    pool: str = ""

    @property
    def bound(self) -> str:
        return self.asname or (self.name if self.is_from else self.name.partition(".")[0])

    @property
    def is_future(self) -> bool:
        return self.is_from and self.module == "__future__" and self.level == 0

    @property
    def harmless(self) -> bool:
        """Whether leaving it out changes nothing (docs/decisions/0702)."""
        root = (self.module if self.is_from else self.name) or ""
        return self.level == 0 and self.name != "*" and root.partition(".")[0] in _HARMLESS

    def key(self) -> tuple[bool, bool, int, str, str, bool]:
        """The canonical order: ``__future__``, ``import``, ``from``; then by module and name."""
        return (
            not self.is_future,
            self.is_from,
            self.level,
            self.module or "",
            self.name,
            self.asname is not None,
        )

    def node(self, asname: str | None) -> ast.stmt:
        alias = ast.alias(name=self.name, asname=asname)
        if self.is_from:
            return ast.ImportFrom(module=self.module, names=[alias], level=self.level)
        return ast.Import(names=[alias])


def pool_import(digest: str, asname: str | None, line: int = 0) -> Import:
    """The canonical import of the pool function `digest`."""
    return Import(POOL_MODULE, 0, OBJECT + digest, asname, line, True, digest)


def read_imports(node: ast.Import | ast.ImportFrom) -> list[Import]:
    """The names of an import statement, each by itself; the pool's in the canonical form."""
    if isinstance(node, ast.Import):
        return [Import(None, 0, a.name, a.asname, node.lineno, False) for a in node.names]
    out = []
    for alias in node.names:
        digest = pool_hash(node, alias)
        if digest:
            asname = alias.asname or alias.name
            out.append(
                pool_import(digest, None if asname == OBJECT + digest else asname, node.lineno)
            )
        else:
            out.append(
                Import(node.module, node.level or 0, alias.name, alias.asname, node.lineno, True)
            )
    return out


def pool_hash(node: ast.ImportFrom, alias: ast.alias) -> str:
    """The hash of the pool function that `alias` names, "" when it is no pool import."""
    if node.level or node.module not in _POOL_MODULES:
        return ""
    match = _POOL_NAME.match(alias.name)
    return match.group(1) if match else ""


def canonical_inner(node: ast.ImportFrom) -> list[str]:
    """Bring an import inside a function to the pool's canonical form, in place.

    Returns:
        The hashes of the pool functions that it imports.
    """
    hashes = [pool_hash(node, alias) for alias in node.names]
    if not any(hashes) or not all(hashes):
        return []
    node.module = POOL_MODULE
    for alias, digest in zip(node.names, hashes, strict=True):
        name = OBJECT + digest
        if alias.name != name:
            alias.asname = alias.asname or alias.name
            alias.name = name
    return hashes


def effective(imports: list[Import], filename: str) -> list[Import]:
    """`imports` without those that a later one makes void.

    Raises:
        Invalid: two imports bind one name to different things, and leaving one out might matter.
    """
    out: list[Import] = []
    by_name: dict[str, int] = {}
    seen: set[tuple[object, ...]] = set()
    for item in imports:
        identity = (*item.key(), item.asname)
        if not item.pool and identity in seen:
            continue
        seen.add(identity)
        before = by_name.get(item.bound) if item.bound != "*" else None
        if before is not None:
            other = out[before]
            if other.pool:
                out[before] = item  # a pool import does nothing but bind
                continue
            if item.is_from or other.is_from or item.asname or other.asname:
                refuse(
                    filename,
                    f"{item.bound} is imported twice, as different things",
                    line=item.line,
                    hint=f"give one an alias (the other stands on line {other.line})",
                )
        by_name[item.bound] = len(out)
        out.append(item)
    return out
