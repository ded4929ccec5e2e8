"""The rules of normal form 1, one at a time, where the fixtures do not show them alone."""

from __future__ import annotations

import builtins
import inspect
import sys

import pytest

from holdfast.errors import Invalid
from holdfast.functions.normal_form_1 import denormalize_1, hash_1, normalize_1
from holdfast.functions.normal_form_1.builtin_names import BUILTIN_NAMES
from holdfast.functions.normal_form_1.docstring import without_indentation

A, B = "a" * 64, "b" * 64


def test_dependencies_are_the_pool_imports_in_both_forms_sorted() -> None:
    got = normalize_1(
        f"from holdfast.pool import object_{B} as b\nfrom ouverture.pool import x, {A}\n"
        f"def f():\n    from ouverture.pool import {'c' * 64}\n"
    )
    assert got.dependencies == (A, B, "c" * 64)


def test_imports_are_ordered_by_module_and_names_without_dots_and_aliases() -> None:
    got = normalize_1("import b\nfrom .z import y\nimport a as c\nfrom ..b import x\ndef f(): 0")
    assert got.normalized_code.split("\n")[:4] == [
        "from ..b import x",
        "from .z import y",
        "import a as c",
        "import b",
    ]


def test_a_function_named_like_an_alias_calls_the_dependency() -> None:
    got = normalize_1(f"from ouverture.pool import {A} as f\ndef f(x):\n    return f(x)")
    assert got.normalized_code.endswith(f"    return {A}._ouverture_v_0(_ouverture_v_1)")
    assert got.name_mapping == {"_ouverture_v_0": "f", "_ouverture_v_1": "x"}


def test_an_annotated_alias_that_was_assigned_in_parentheses_loses_them() -> None:
    source = f"from ouverture.pool import {A} as h\ndef f():\n    (h): int = 3"
    assert normalize_1(source).normalized_code.endswith(f"    {A}._ouverture_v_0: int = 3")


def test_the_hash_does_not_depend_on_the_docstring() -> None:
    one, other = normalize_1("def f(x):\n '''a'''\n x"), normalize_1("def f(x):\n '''b'''\n x")
    assert one.hash == other.hash == hash_1(one.normalized_code)
    assert one.normalized_code != other.normalized_code


def test_a_stored_form_with_something_behind_the_function_has_no_hash() -> None:
    with pytest.raises(Invalid):
        hash_1("def _ouverture_v_0():\n    pass\nevil()")


def test_showing_replaces_the_stored_docstring() -> None:
    code = 'def _ouverture_v_0():\n    """uno"""\n    return 1'
    shown = denormalize_1(code, {"_ouverture_v_0": "one"}, {}, "one")
    assert shown == 'def one():\n    """one"""\n    return 1'


def test_showing_keeps_normal_names_that_the_mapping_lacks() -> None:
    assert denormalize_1("def _ouverture_v_0(): 0", {}, {}, "") == "def _ouverture_v_0():\n    0"


@pytest.mark.parametrize("name", ["x(): 0\nimport os", "", "a.b", "class", "1", 7, None])
def test_showing_refuses_names_that_are_no_identifiers(name: str) -> None:
    with pytest.raises(Invalid):
        denormalize_1("def _ouverture_v_0(): 0", {"_ouverture_v_0": name}, {}, "")
    with pytest.raises(Invalid):
        denormalize_1("def _ouverture_v_0(): 0", {}, {A: name}, "")


@pytest.mark.parametrize("code", ["", "x = 1", "def f(", "class A: pass", "async def f(): pass"])
def test_showing_refuses_a_stored_form_without_a_function(code: str) -> None:
    with pytest.raises(Invalid):
        denormalize_1(code, {}, {}, "")


_DOCUMENTATION = [
    *("", " ", "\n", "a", "  a", "a\n  b\n    c", "\n  a\n\tb\n", "a\n\n\n", "\n\n a\n b"),
    *("a\n\x0c b\n\x0c c", "\x0ca\n b", "a\n\u3000b\n\u3000 c", "\ta\tb", "a\n \n   b", "a\r\n b"),
]


@pytest.mark.parametrize("text", _DOCUMENTATION)
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="3.13 counts only spaces as blanks")
def test_documentation_loses_its_indentation_as_inspect_says(text: str) -> None:
    assert without_indentation(text) == inspect.cleandoc(text)


def test_documentation_loses_every_kind_of_white_space() -> None:
    assert without_indentation("\x0ca\n\u3000b\n\u3000 c") == "a\nb\n c"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the names of CPython 3.11")
def test_the_builtin_names_are_those_of_311() -> None:
    assert set(dir(builtins)) == BUILTIN_NAMES
