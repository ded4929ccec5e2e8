"""The printer against `ast.unparse` of CPython 3.11, and against itself on other Pythons."""

from __future__ import annotations

import ast
import base64
import sys
import warnings

import pytest

from functions import standard_library
from functions.normal_form_1.child import SCRIPT
from functions.normal_form_1.random_strings import RandomStrings
from functions.normal_form_1.reference import normalized
from functions.pythons import VERSIONS, run_on
from holdfast.errors import Invalid
from holdfast.functions.normal_form_1 import normalize_1
from holdfast.functions.normal_form_1.naming import Naming
from holdfast.functions.normal_form_1.print_statement import module_text
from holdfast.functions.normal_form_1.unwritable import Unwritable

only_on_311 = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="ast.unparse defines the text on CPython 3.11 only"
)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _printed(node: ast.stmt) -> str:
    try:
        return module_text([node], Naming())
    except Unwritable:
        return "unwritable"


def _unparsed(node: ast.stmt) -> str:
    try:
        return ast.unparse(node)
    except ValueError:
        return "unwritable"


@only_on_311
def test_definitions_of_the_standard_library_print_as_unparse_does() -> None:
    compared = 0
    for _, tree in standard_library.trees(every=40):
        for node in tree.body:
            if isinstance(node, _DEFINITIONS):
                assert _printed(node) == _unparsed(node)
                compared += 1
    assert compared > 100


@only_on_311
def test_random_strings_print_as_unparse_does() -> None:
    for source in RandomStrings(5).sources(50_000 if standard_library.SOAK else 3000):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (node,) = ast.parse(source).body
        assert _printed(node) == _unparsed(node), source


@only_on_311
def test_functions_of_the_standard_library_normalise_as_the_rules_say() -> None:
    sources = standard_library.sources(every=60)
    assert len(sources) > 100
    for source in sources:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert normalize_1(source).normalized_code == normalized(source)


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != "3.11"])
def test_other_pythons_normalise_the_standard_library_alike(version: str) -> None:
    sources = standard_library.sources(every=60)
    _assert_alike(version, sources)


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != "3.11"])
def test_other_pythons_normalise_random_strings_alike_or_refuse(version: str) -> None:
    sources = RandomStrings(6).sources(50_000 if standard_library.SOAK else 3000)
    _assert_alike(version, [s.encode("utf-8", "surrogatepass").decode() for s in sources])


def _assert_alike(version: str, sources: list[str]) -> None:
    asked = [base64.b64encode(s.encode()).decode() for s in sources]
    here, there = run_on("3.11", SCRIPT, asked), run_on(version, SCRIPT, asked)
    refused = 0
    for source, one, other in zip(sources, here, there, strict=True):
        if other.get("refused") == "Unsupported":
            refused += 1  # a parser defect of that Python, see misread.py
        elif "refused" in one:
            assert "refused" in other or "{" in source, source  # later f-string grammar
        else:
            assert one == other, source
    assert refused < len(sources) / 20


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("(x := a + b)", "(x := (a + b))"),
        ("a and b and c == d", "a and b and (c == d)"),
        ("x[*a]", "x[*a,]"),
        ("x[(1, 2)]", "x[1, 2]"),
        ("2 ** -1", "2 ** (-1)"),
        ("yield a + b", "yield (a + b)"),
        ("f(*(a or b), **(c if d else e))", "f(*(a or b), **c if d else e)"),
        ("a - b - c", "a - b - c"),
        ("a - (b - c)", "a - (b - c)"),
        ("(a ** b) ** c ** d", "(a ** b) ** c ** d"),
        ("True .real", "True .real"),
        ("1e400j", "1e309j"),
        ("del (x,)", "del (x,)"),
        ("(x): int = 3", "(x): int = 3"),
        ("u'c'; u'd'", 'u"""c"""\n    u\'d\''),
        ("f'''{x:\n}'''", 'f"""{x:\n}"""'),
    ],
)
def test_a_construct_is_written_as_311_writes_it(source: str, text: str) -> None:
    (node,) = ast.parse(f"def f():\n    {source}").body
    assert _printed(node) == f"def f():\n    {text}"


def test_characters_later_than_unicode_14_are_escaped() -> None:
    got = normalize_1("def f(x):\n    '\U0001fae8'\n    return '\U0001fae8', f'{x}\U0001fae8'")
    assert got.normalized_code == (
        'def _ouverture_v_0(_ouverture_v_1):\n    """\\U0001fae8"""\n'
        "    return ('\\U0001fae8', f'{_ouverture_v_1}\\U0001fae8')"
    )


def test_an_fstring_that_311_cannot_write_is_refused() -> None:
    with pytest.raises(Invalid):
        normalize_1("def f(x):\n    return f'''{x[\"\"\"\x7f\"\"\"]}'''")
