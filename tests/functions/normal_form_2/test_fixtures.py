"""The inputs of the original program: what shares a hash, what must not, and what is refused."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import pytest

from functions.normal_form_2_stdlib import dump
from holdfast.errors import Invalid
from holdfast.functions.normal_form_2 import denormalize_2, normalize_2
from holdfast.functions.normalized import NormalizedFunction

# Same logic in several languages, aliases, orders of imports, layouts: one hash.
_SAME = [
    ["003", "004", "005"],
    ["006", "007", "008"],
    ["009", "010", "011"],
    ["012", "013", "014"],
    ["015", "016"],
    ["017", "018"],
    ["019", "020"],
    ["021", "022", "023"],
    ["031", "032"],
    ["074", "075"],
    ["084", "085"],
    ["093", "094"],
    ["096", "097", "098"],
    ["101", "102"],
    ["115", "116", "117", "118", "119"],
]
# What the original gave one hash, nearly so, or showed wrongly.
_DISTINCT = [
    ["025", "026"],
    ["027", "028"],
    ["051", "052"],
    ["060", "061"],
    ["063", "064"],
    ["069", "070"],
    ["074", "076"],
    ["079", "080"],
    ["035", "040"],
    ["017", "019"],
    ["104", "096", "105", "106", "107", "108", "109", "110", "112"],
]
# number → what the reason names.
_REFUSED = {
    "034": "json, which a try statement binds",
    "045": "a lone surrogate in the docstring",
    "049": "LIMIT, which an assignment binds",
    "050": "LIMIT, which an assignment binds",
    "077": "does not compile",
    "099": "object_<hash>",
    "113": "Box, which a class binds",
    "121": "no function",
    "122": "no function",
    "123": "line 1: a syntax error",
    "124": "line 2: a syntax error",
    "125": "line 3: a syntax error",
    "127": "no function",
    "128": "line 2: a syntax error",
    "129": "line 2: a NUL character",
    "133": "nesting",
    "134": "too many nested parentheses",
    "135": "does not compile",
    "136": "does not compile",
}
_LATER_SYNTAX = ("137", "138")


def _read(inputs: Path, number: str) -> bytes:
    (path,) = inputs.glob(f"{number}_*")
    return path.read_bytes()


def _one(inputs: Path, number: str) -> NormalizedFunction:
    (found,) = normalize_2(_read(inputs, number))
    return found


@pytest.mark.parametrize("numbers", _SAME, ids="-".join)
def test_same_logic_has_one_hash(inputs: Path, numbers: list[str]) -> None:
    assert len({_one(inputs, n).hash for n in numbers}) == 1


@pytest.mark.parametrize("numbers", _DISTINCT, ids="-".join)
def test_what_the_original_confused_is_distinct(inputs: Path, numbers: list[str]) -> None:
    for one, other in itertools.combinations(numbers, 2):
        assert _one(inputs, one).hash != _one(inputs, other).hash


@pytest.mark.parametrize("number", _REFUSED)
def test_what_cannot_be_kept_is_refused_with_the_reason(inputs: Path, number: str) -> None:
    with pytest.raises(Invalid) as caught:
        normalize_2(_read(inputs, number))
    assert _REFUSED[number] in str(caught.value)


def test_every_other_input_is_shown_as_it_was_added(inputs: Path) -> None:
    count = 0
    for path in sorted(inputs.iterdir()):
        number = path.name[:3]
        # 112 imports from `ouverture.pool` inside the body: shown in our form.
        if number in _REFUSED or number in _LATER_SYNTAX or number == "112":
            continue
        for found in normalize_2(path.read_bytes()):
            shown = denormalize_2(
                found.normalized_code, found.name_mapping, found.alias_mapping, found.docstring
            )
            compile(shown, "<shown>", "exec")
            assert _function(shown, found.name) == _function(path.read_bytes(), found.name)
            again = next(f for f in normalize_2(shown) if f.name == found.name)
            assert (again.hash, again.docstring) == (found.hash, found.docstring)
            count += 1
    assert count >= 118


def _function(source: str | bytes, name: str) -> str:
    body = ast.parse(source).body
    return next(dump(n) for n in body if getattr(n, "name", None) == name)


def test_a_pool_import_inside_is_a_dependency(inputs: Path) -> None:
    found = _one(inputs, "112")
    assert [d[:6] for d in found.dependencies] == ["abc001"]
    shown = denormalize_2(found.normalized_code, found.name_mapping, {}, found.docstring)
    assert f"from holdfast.pool import object_{found.dependencies[0]} as helper" in shown


def test_the_last_of_two_pool_imports_of_one_name_is_called(inputs: Path) -> None:
    assert [d[:4] for d in _one(inputs, "105").dependencies] == ["beef"]
