"""Every input of the original's fixtures, on this Python and on the others (spec §3)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from functions.fixtures import expected, input_cases, needs_ouverture, source_of
from functions.normal_form_1.child import SCRIPT
from functions.pythons import VERSIONS, run_on
from holdfast.errors import Invalid, Unsupported
from holdfast.functions.normal_form_1 import denormalize_1, hash_1, normalize_1

# The one input with later grammar that has the same tree as a source for 3.11, which is this.
_SPELLED_FOR_311 = {"py312_fstring": ("""f"{d["a"]}\"""", """f"{d['a']}\"""")}


def _want(case: dict[str, Any]) -> str | None:
    """The hash that the original gave on 3.11, None when it refused."""
    found: str = case["by_python"]["3.11.7"]
    return None if found.startswith("!") else found


@needs_ouverture
@pytest.mark.parametrize("case", input_cases())
def test_an_input_normalises_as_the_original_did(case: dict[str, Any]) -> None:
    if case["slug"] in _SPELLED_FOR_311:
        return  # below, on the Pythons that read it
    if _want(case) is None:
        with pytest.raises((Invalid, Unsupported)):
            normalize_1(source_of(case), case["input"])
        return
    got = normalize_1(source_of(case), case["input"])
    assert got.normalized_code == case["normalized_with_docstring"]
    assert got.hash == _want(case)
    assert list(got.name_mapping.items()) == list(case["name_mapping"].items())
    assert list(got.alias_mapping.items()) == list(case["alias_mapping"].items())
    assert got.docstring == case["docstring"]


@needs_ouverture
@pytest.mark.parametrize("case", [c for c in input_cases() if _want(c.values[0])])
def test_the_hash_of_a_stored_form_is_found_again(case: dict[str, Any]) -> None:
    assert hash_1(case["normalized_with_docstring"]) == _want(case)


@needs_ouverture
@pytest.mark.parametrize("case", [c for c in input_cases() if "get" in c.values[0]["v0"]])
def test_a_stored_form_is_shown_as_the_original_did(case: dict[str, Any]) -> None:
    shown = case["v0"]["get"]
    parts = [case[k] for k in ("name_mapping", "alias_mapping", "docstring")]
    if shown["exit"]:
        with pytest.raises(Invalid):
            denormalize_1(case["normalized_with_docstring"], *parts)
    else:
        code = denormalize_1(case["normalized_with_docstring"], *parts)
        assert code + "\n" == shown["stdout"]


@needs_ouverture
@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_gives_the_recorded_results(version: str) -> None:
    cases = expected()["inputs"]
    answers = run_on(version, SCRIPT, [base64.b64encode(source_of(c)).decode() for c in cases])
    for case, answer in zip(cases, answers, strict=True):
        if case["slug"] in _SPELLED_FOR_311:
            source = source_of(case).decode().replace(*_SPELLED_FOR_311[case["slug"]])
            refused = version == "3.11"
            assert answer.get("hash") == (None if refused else normalize_1(source).hash)
        elif (want := _want(case)) is None:
            assert "refused" in answer, case["input"]
        else:
            assert answer["hash"] == answer["stored_hash"] == want, case["input"]
            fields = ("name_mapping", "alias_mapping", "docstring")
            assert [answer[k] for k in fields] == [case[k] for k in fields]
            assert answer["normalized_code"] == case["normalized_with_docstring"]
            if (get := case["v0"].get("get")) and get["exit"] == 0:
                assert answer["shown"] + "\n" == get["stdout"]
