"""The vectors of docs/spec/functions.md are what normal form 2 computes; they never change.

``python tests/functions/normal_form_2/test_vectors.py`` prints them.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from holdfast.digests import sha256_hex
from holdfast.functions.normal_form_2 import encode_ast, normalize_2

_PAGE = Path(__file__).resolve().parents[3] / "docs" / "spec" / "functions.md"
_SOURCES = (
    "def double(x):\n    '''Twice x.'''\n    return 2 * x\n",
    "import math as m\n\ndef aire(rayon):\n    return m.pi * rayon ** 2\n",
    "def f(a, b=1, *c, d, **e):\n    return f(a=a, d=[a for a in c], **e)\n",
    "def f(s):\n"
    "    return f'{s!r:>{10}} {{}}' + \"\\ud800\", 1e400, -0.0, 2j, b'\\0', 1 << 70, ...\n",
    f"from ouverture.pool import {'ab' * 32} as g\n\nasync def f(x):\n    return await g(x)\n",
)


def _vector(source: str) -> dict[str, Any]:
    (found,) = normalize_2(source)
    tree = ast.parse(found.normalized_code)
    encoding = encode_ast(tree)
    assert sha256_hex(b"holdfast.function/2\n" + encoding) == found.hash
    return {
        "source": source,
        "hash": found.hash,
        "normalized_code": found.normalized_code,
        "name_mapping": found.name_mapping,
        "alias_mapping": found.alias_mapping,
        "docstring": found.docstring,
        "encoding": encoding.hex(),
    }


def test_the_vectors_are_what_is_computed() -> None:
    match = re.search(r"```json\n(.*?)\n```", _PAGE.read_text("utf-8"), re.DOTALL)
    assert match is not None
    assert json.loads(match.group(1)) == [_vector(s) for s in _SOURCES]


if __name__ == "__main__":
    print(json.dumps([_vector(s) for s in _SOURCES], indent=1))
