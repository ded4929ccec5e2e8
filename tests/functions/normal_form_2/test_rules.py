"""The rules of renaming (docs/spec/functions.md): what shares a hash, and what keeps its name."""

from __future__ import annotations

import pytest

from holdfast.functions.normal_form_2 import normalize_2


def _hash(source: str) -> str:
    return normalize_2(source)[-1].hash


_SAME = {
    "keyword in a call of itself": ("def f(n): f(n=n)", "def g(m): g(m=m)"),
    "keyword in a call of a nested function": (
        "def f():\n def g(k): pass\n g(k=1)",
        "def f():\n def h(j): pass\n h(j=1)",
    ),
    "shadowing in comprehensions": (
        "def f(a): return [x for x in a] + [x for x in a]",
        "def f(a): return [x for x in a] + [y for y in a]",
    ),
    "alias of a top-level import": ("import a as b\ndef f(): b", "import a as c\ndef f(): c"),
    "one name for one pool function": (
        f"from holdfast.pool import object_{'a' * 64} as b\ndef f(): b",
        f"from ouverture.pool import {'a' * 64} as c\ndef f(): c",
    ),
    "words of the docstring": (
        "def f(g, **o):\n 'key _holdfast_v_1'\n g(lambda key: key, **o)",
        "def f(g, **o):\n g(lambda k: k, **o)",
    ),
    "spelling of constants": (
        "def f(): return 'a' 'b', 0x10, u'c'",
        "def f(): return 'ab', 16, 'c'",
    ),
    "harmless imports of neighbours": ("import re\ndef g(): re\ndef f(): 1", "def f(): 1"),
}


@pytest.mark.parametrize("pair", _SAME.values(), ids=_SAME)
def test_same(pair: tuple[str, str]) -> None:
    assert _hash(pair[0]) == _hash(pair[1])


_DISTINCT = {
    "keyword that reaches a function in a table": (
        "def f():\n def g(k): pass\n t = [g]\n t[0](k=1)",
        "def f():\n def g(j): pass\n t = [g]\n t[0](k=1)",
    ),
    "keys that reach a function by **": (
        "def f():\n def g(k): pass\n g(**{'k': 1})",
        "def f():\n def g(j): pass\n g(**{'k': 1})",
    ),
    "locals": ("def f(a): return locals()", "def f(b): return locals()"),
    "eval": ("def f(a): return eval('a')", "def f(b): return eval('a')"),
    "own name by eval": ("def f(): return eval('f')", "def g(): return eval('f')"),
    "names in frames": ("def f(a, b): b.f_locals", "def f(b, a): a.f_locals"),
    "the name of a nested function": (
        "def f():\n def g(): pass\n return g.__name__",
        "def f():\n def h(): pass\n return h.__name__",
    ),
    "own docstring": ("def f():\n 'a'\n f.__doc__", "def f():\n 'b'\n f.__doc__"),
    "class attributes": ("def f():\n class A: x = 1", "def f():\n class A: y = 1"),
    "what a class looks up by name": (
        "def f():\n class A: f = f",
        "def g():\n class A: f = f",
    ),
    "mangled by the class": (
        "def f(o):\n class A:\n  def m(self): return self.__x",
        "def f(o):\n class B:\n  def m(self): return self.__x",
    ),
    "types of constants": ("def f(): return 1", "def f(): return True"),
    "zero and minus zero": ("def f(): return 0.0", "def f(): return -0.0"),
    "float and int": ("def f(): return 1.0", "def f(): return 1"),
    "text and f-string": ("def f(): return 'a'", "def f(): return f'a'"),
    "async": ("def f(): pass", "async def f(): pass"),
    "unused import": ("import a\ndef f(): pass", "def f(): pass"),
    "order of parameters": ("def f(a, b): a", "def f(a, b): b"),
}


@pytest.mark.parametrize("pair", _DISTINCT.values(), ids=_DISTINCT)
def test_distinct(pair: tuple[str, str]) -> None:
    assert _hash(pair[0]) != _hash(pair[1])


def test_functions_of_a_file_depend_on_each_other_by_hash() -> None:
    one, two = normalize_2("def g(x):\n    return f(x) + 1\n\ndef f(x):\n    return x\n")
    assert (one.name, two.name) == ("g", "f")
    assert one.dependencies == (two.hash,)
    assert one.alias_mapping == {two.hash: "f"}


def test_normal_names_that_the_source_spells_are_passed_over() -> None:
    (found,) = normalize_2("def f(x): return x + _holdfast_v_1")
    assert found.name_mapping == {"_holdfast_v_0": "f", "_holdfast_v_2": "x"}
