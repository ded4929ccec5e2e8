"""Sources that mean harm: refused with a typed error, or normalised, and never anything else."""

from __future__ import annotations

import pytest

from holdfast.errors import Invalid
from holdfast.functions.normal_form_2 import denormalize_2, normalize_2

_REFUSED = {
    "a long sum": "def f():\n return " + "+".join(["1"] * 100_000),
    "a long chain": "def f():\n return a" + ".b" * 10_000,
    "calls of calls": "def f():\n return a" + "()" * 5000,
    "signs": "def f():\n return " + "-" * 10_000 + "1",
    "parentheses": "def f():\n return " + "(" * 10_000 + ")" * 10_000,
    "lambdas": "def f():\n return " + "lambda x:" * 3000 + "x",
    "elif": "def f(a):\n if a: pass\n" + " elif a: pass\n" * 3000,
    "10 MB": "#" * 10_000_000,
    "NUL": "def f(): \0",
    "a lone surrogate": "def f(): return '\ud800'",
    "many imports": "".join(f"import a{i}\n" for i in range(3000))
    + "".join(f"def f{i}(): pass\n" for i in range(100)),
    "bytes of no encoding": b"\xff\xfe",
    "an encoding of bytes": b"# coding: zlib\nx",
    "an encoding that is none": b"# coding: nowhere\nx",
    "the encoding undefined": b"# coding: undefined\nx",
    "no text": b"# coding: rot13\nx",
    "a wrong byte": b"def f():\n    return '\xe9'",
    "two functions of one name": "def f(): pass\ndef f(): pass",
    "functions that use each other": "def f(): g()\ndef g(): h()\ndef h(): f()",
    "a name bound again": "def f(): pass\nf = 1",
    "an import of its name": "def f(): pass\nimport f",
    "two imports of one name": "from a import x\nfrom b import x\ndef f(): x",
    "a shared global": "def f():\n global s\n s = 1\ndef g(): return s",
    "an effect": "import sys\nsys.path.append('')\ndef f(): pass",
    "a binding in a default": "def f(a=(b := 1)): pass",
    "eval beside others": "def f(): return eval('g()')\ndef g(): pass",
    "a pool name not imported": "def f(): return object_" + "a" * 64,
    "the module's docstring": "'text'\ndef f(): return __doc__",
}


@pytest.mark.parametrize("source", _REFUSED.values(), ids=_REFUSED)
def test_hostile_sources_are_refused(source: str | bytes) -> None:
    with pytest.raises(Invalid) as caught:
        normalize_2(source, "file.py")
    assert "file.py" in str(caught.value)


_TAKEN = {
    "deep signs": "def f():\n return " + "-" * 190 + "1",
    "a deep sum": "def f():\n return " + "+".join(["1"] * 190),
    "deep blocks": "def f(a):\n"
    + "".join(" " * (i + 1) + "if a:\n" for i in range(90))
    + " " * 92
    + "pass",
    "elif": "def f(a):\n if a: pass\n" + " elif a: pass\n" * 150,
    "a huge number": "def f(): return 0x" + "f" * 50_000,
    "latin-1": b"# coding: latin-1\ndef f():\n    return '\xe9'",
    "a byte order mark": "\ufeffdef f(): pass",
    "carriage returns": "def f():\r    return 1\r\n",
}


@pytest.mark.parametrize("source", _TAKEN.values(), ids=_TAKEN)
def test_odd_sources_are_taken_and_come_back(source: str | bytes) -> None:
    (found,) = normalize_2(source)
    shown = denormalize_2(found.normalized_code, found.name_mapping, {}, found.docstring)
    assert normalize_2(shown)[0].hash == found.hash


def test_the_reason_names_the_line() -> None:
    with pytest.raises(Invalid) as caught:
        normalize_2("LIMIT = 3\n\ndef f(x=LIMIT):\n    return x")
    assert caught.value.details["line"] == 1


@pytest.mark.parametrize(
    ("mapping", "why"),
    [
        ({"_holdfast_v_1": "y"}, "captures"),  # y is free in the code
        ({"_holdfast_v_1": "class"}, "identifier"),
        ({"_holdfast_v_1": "a b"}, "identifier"),
        ({"_holdfast_v_9": "a"}, "no variable"),
    ],
)
def test_a_mapping_that_would_change_the_function_is_refused(
    mapping: dict[str, str], why: str
) -> None:
    (found,) = normalize_2("def f(x):\n    return x + y")
    with pytest.raises(Invalid, match=why):
        denormalize_2(found.normalized_code, mapping, {}, "")


def test_code_that_is_not_normal_is_refused() -> None:
    for code in ("def f(x): return x", "x = 1", "", "def ("):
        with pytest.raises(Invalid):
            denormalize_2(code, {}, {}, "")
