"""Normal form 2 over the functions of the standard library; all of them under HOLDFAST_SOAK=1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from functions.normal_form_2_hashes import hashes, stdlib_sources
from functions.normal_form_2_stdlib import code_of, differences, dump, function_of
from holdfast.errors import Invalid
from holdfast.functions.normal_form_2 import denormalize_2, normalize_2
from holdfast.functions.normalized import NormalizedFunction

_ALL = os.environ.get("HOLDFAST_SOAK") == "1"
_STEP = 1 if _ALL else 30
_ROOT = Path(__file__).resolve().parents[3]
_Functions = list[tuple[str, NormalizedFunction]]


@pytest.fixture(scope="module")
def functions() -> _Functions:
    out = []
    refused = []
    for source in stdlib_sources(None, _STEP):
        try:
            out.append((source, normalize_2(source)[0]))
        except Invalid as error:
            refused.append(str(error))
    assert len(out) > (15_000 if _ALL else 300)
    # Cut out of its class or function, a `nonlocal` has lost what it means.
    assert [r for r in refused if "no binding for nonlocal" not in r] == []
    return out


def test_what_is_shown_parses_to_the_tree_that_was_added(functions: _Functions) -> None:
    for source, found in functions:
        shown = denormalize_2(
            found.normalized_code, found.name_mapping, found.alias_mapping, found.docstring
        )
        assert dump(function_of(shown)) == dump(function_of(source)), source


def test_a_normal_form_is_its_own_normal_form(functions: _Functions) -> None:
    for _, found in functions:
        (again,) = normalize_2(found.normalized_code)
        assert (again.hash, again.normalized_code) == (found.hash, found.normalized_code)


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11),
    reason="from 3.12 on comprehensions share their function's code object",
)
def test_functions_that_share_a_hash_compile_to_the_same_code_up_to_names(
    functions: _Functions,
) -> None:
    texts: dict[str, str] = {}
    for source, found in functions:
        # One text for a hash, and each source equal to that text's code: so are any two.
        assert texts.setdefault(found.hash, found.normalized_code) == found.normalized_code
        normal = denormalize_2(found.normalized_code, {}, {}, found.docstring)
        assert differences(code_of(source), code_of(normal)) == "", source


def test_the_comparison_of_code_can_fail() -> None:
    (one,) = normalize_2("def f(a, b):\n    return [a for a in b] + a.x + g(k=1)")
    for other in (
        "def f(a, b):\n    return [a for a in b] + b.x + g(k=1)",
        "def f(a, b):\n    return [a for a in b] + a.y + g(k=1)",
        "def f(a, b):\n    return [a for a in b] + a.x + h(k=1)",
        "def f(a, b):\n    return [a for a in b] + a.x + g(j=1)",
        "def f(a, b):\n    return [a for a in b] + a.x + g(k=True)",
        "def f(a, b):\n    return [a for a in b] - a.x + g(k=1)",
    ):
        assert differences(code_of(other), code_of(one.normalized_code)) != ""


def test_hashes_and_texts_are_the_same_on_every_python(other_python: str) -> None:
    sources = stdlib_sources(None, _STEP)
    done = subprocess.run(
        [other_python, str(_ROOT / "tests/functions/normal_form_2_hashes.py"), "-"],
        input=json.dumps(sources),
        env={**os.environ, "PYTHONPATH": str(_ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs, ours = json.loads(done.stdout), hashes(sources)
    assert {k: theirs[k] for k in ours if k in theirs} == {k: ours[k] for k in ours if k in theirs}
    assert len(set(ours) & set(theirs)) > 0.99 * len(ours)
