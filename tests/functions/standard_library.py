"""Functions of the standard library, as sources of their own."""

from __future__ import annotations

import ast
import os
import sysconfig
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

SOAK = os.environ.get("HOLDFAST_SOAK") == "1"


def trees(every: int) -> Iterator[tuple[str, ast.Module]]:
    """Text and tree of every so many-th module; of all modules under HOLDFAST_SOAK=1."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [f for f in sorted(root.rglob("*.py")) if "site-packages" not in f.parts]
    for file in files if SOAK else files[::every]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                text = file.read_text("utf-8")
                yield text, ast.parse(text)
            except (SyntaxError, ValueError):
                continue  # the test suite's broken sources


def sources(every: int) -> list[str]:
    """The `def` statements of those modules, each taken out and dedented."""
    found = []
    for text, tree in trees(every):
        lines = text.split("\n")
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef):
                continue
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            source = textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno])) + "\n"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    ast.parse(source)
                except SyntaxError:
                    continue  # dedenting broke a string
            found.append(source)
    return found
