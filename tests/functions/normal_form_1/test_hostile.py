"""Sources that try to break the parser, the printer or the interpreter."""

from __future__ import annotations

import base64
import sys

import pytest

from functions.normal_form_1.child import SCRIPT
from functions.pythons import VERSIONS, run_on
from holdfast.errors import HoldfastError, Invalid, Unsupported
from holdfast.functions.normal_form_1 import denormalize_1, hash_1, normalize_1

_DEEP = 10_000


def _returning(expression: str) -> bytes:
    return f"def f(a):\n    return {expression}\n".encode("utf-8", "surrogatepass")


_REFUSED = {
    "parentheses": _returning("(" * _DEEP + "1" + ")" * _DEEP),
    "lists": _returning("[" * _DEEP + "]" * _DEEP),
    "minus": _returning("-" * _DEEP + "1"),
    "a million minus": _returning("-" * 1_000_000 + "1"),
    "not": _returning("not " * _DEEP + "1"),
    "sum": _returning("1 + " * _DEEP + "1"),
    "power": _returning("1 ** " * _DEEP + "1"),
    "attributes": _returning("a" + ".b" * _DEEP),
    "calls": _returning("a" + "()" * _DEEP),
    "lambdas": _returning("lambda: " * _DEEP + "1"),
    "choices": _returning("1 if a else " * _DEEP + "1"),
    "elif": b"def f(a):\n    if a: 0\n" + b"    elif a: 0\n" * _DEEP,
    "blocks": b"def f(a):\n" + b"".join(b" " * k + b"if a:\n" for k in range(1, 200)),
    "10 MB of statements": b"def f(a):\n" + b" a\n" * 3_500_000,
    "10 MB of string": _returning("'" + "a" * 10_000_000 + "'"),
    "NUL": _returning("'\0'"),
    "byte order mark": b"\xef\xbb\xbfdef f(): 0",
    "UTF-16": "def f(): 0".encode("utf-16"),
    "Latin-1": "# coding: latin-1\ndef f(): 'é'".encode("latin-1"),
    "surrogate": _returning("'\ud800'"),
    "too many digits": _returning("9" * 10_000),
    "too many digits to write": _returning("0x" + "f" * 10_000),
    "unknown character": _returning("'\\N{nope}'"),
    "tabs": b"def f():\n\tif a:\n        b",
    "nothing": b"",
    "blank": b"\n\x0c\n",
    "two": b"def f(): 0\ndef g(): 0",
    "async": b"async def f(): 0",
    "type parameters": b"def f[T](a: T): 0",
    "type parameters inside": b"def f():\n    class A[T]: 0",
    "type parameters beside": b"class A[T]: 0\ndef f(): 0",
    "type alias inside": b"def f():\n    type A = int",
    "type alias beside": b"type A = int\ndef f(): 0",
    "identifier of a later Unicode": "def f(\U00031350): 0".encode(),
    "attribute of a later Unicode": _returning("a.\U00031350"),
    "backslash in braces": _returning("f\"{a['\\x07']}\""),
    "format in format in format": _returning("f'{a:{a:{a}}}'"),
}
_ACCEPTED = {
    "90 brackets": _returning("[" * 90 + "]" * 90),
    "long disjunction": _returning("a and " * _DEEP + "1"),
    "long comparison": _returning("a < " * _DEEP + "1"),
    "long string": _returning("'a' " * _DEEP),
    "many targets": b"def f(a):\n    " + b"b = " * _DEEP + b"a",
    "90 blocks": b"def f(a):\n"
    + b"".join(b" " * k + b"if a:\n" for k in range(1, 91))
    + b" " * 91
    + b"0",
    "long alternatives": b"def f(a):\n    match a:\n        case " + b"1 | " * _DEEP + b"2: 0",
    "carriage returns": b"def f(a):\r    return 1\r",
    "infinite": _returning("1e999999999"),
    "sum of 300": _returning("1 + " * 300 + "1"),
}


@pytest.mark.parametrize("source", _REFUSED.values(), ids=_REFUSED)
def test_a_hostile_source_is_refused_by_a_typed_error(source: bytes) -> None:
    with pytest.raises((Invalid, Unsupported)) as caught:
        normalize_1(source, "hostile.py")
    assert "hostile.py" in str(caught.value)


@pytest.mark.parametrize("source", _ACCEPTED.values(), ids=_ACCEPTED)
def test_a_large_source_is_normalised_and_its_hash_found_again(source: bytes) -> None:
    got = normalize_1(source)
    assert hash_1(got.normalized_code) == got.hash


@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_survives_all_of_them_alike(version: str) -> None:
    everything = [*_REFUSED.values(), *_ACCEPTED.values()]
    answers = run_on(version, SCRIPT, [base64.b64encode(s).decode() for s in everything])
    refused = len(_REFUSED)
    assert ["refused" in answer for answer in answers[:refused]] == [True] * refused
    hashes = [normalize_1(source).hash for source in _ACCEPTED.values()]
    assert [answer.get("hash") for answer in answers[refused:]] == hashes


@pytest.mark.parametrize("text", ["\ud800", "def f(\ud800): 0", "\0"])
def test_a_text_that_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        normalize_1(text)


def test_an_escaped_surrogate_is_kept_as_the_original_kept_it() -> None:
    got = normalize_1('def f():\n    """\\ud800"""\n    return "\\ud800"')
    assert got.docstring == "\ud800"
    assert "\\ud800" in got.normalized_code


@pytest.mark.parametrize(
    "code", ["def f():\n    " + "-" * 20_000 + "1", "def f(): 0x" + "f" * 10_000, "(" * 300]
)
def test_a_hostile_stored_form_is_refused_by_a_typed_error(code: str) -> None:
    with pytest.raises(HoldfastError):
        denormalize_1(code, {}, {}, "")
    with pytest.raises(HoldfastError):
        hash_1(code)


@pytest.mark.parametrize("version", ["3.12", "3.13"])
@pytest.mark.parametrize(
    ("source", "alike"),
    [
        ("f'{a != b=}'", "refused"),
        ("f'{(a != b)= !r}'", "refused"),
        (r"rf'{a:\d}'", "refused"),
        (r"rf'\d{a}'", r"f'\\d{_ouverture_v_1}'"),
        ("f'{a != b}', dict(c='=}')", "(f'{_ouverture_v_1 != _ouverture_v_2}', dict(c='=}'))"),
        (r"rf'\d{a:>3}', {1: r'\d'}", r"(f'\\d{_ouverture_v_1:>3}', {1: '\\d'})"),
    ],
)
def test_fstrings_that_a_later_python_misreads_are_refused_there_and_no_others(
    version: str, source: str, alike: str
) -> None:
    asked = base64.b64encode(_returning(source)).decode()
    (answer,) = run_on(version, SCRIPT, [asked])
    if alike == "refused":
        want = (
            normalize_1(_returning(source)).normalized_code
            if sys.version_info[:2] == (3, 11)
            else None
        )
        # A release without the defect reads it as 3.11 does.
        assert answer.get("refused") == "Unsupported" or answer["normalized_code"] == want
    else:
        assert answer["normalized_code"].endswith(f"return {alike}")
