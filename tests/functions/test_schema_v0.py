import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.fixtures import OUVERTURE, needs_ouverture
from holdfast.errors import HoldfastError, ManifestInvalid, Unsupported
from holdfast.functions.schema_v0 import FunctionV0

HASH = "ab" * 32
VALUE = {
    "version": 0,
    "hash": HASH,
    "normalized_code": "def _ouverture_v_0():\n    pass",
    "docstrings": {"eng": "d"},
    "name_mappings": {"eng": {"_ouverture_v_0": "f"}},
    "alias_mappings": {"eng": {}},
}


def read(value):
    return FunctionV0.from_bytes(json.dumps(value).encode(), HASH, "p")


@needs_ouverture
def test_every_function_of_the_original_is_read():
    languages = set()
    for path in (OUVERTURE / "pool_v0").rglob("*.json"):
        found = FunctionV0.from_bytes(path.read_bytes(), path.parts[-2] + path.stem, str(path))
        value = json.loads(path.read_bytes())
        assert found.normalized_code == value["normalized_code"]
        for language, mapping in found.mappings.items():
            assert mapping.docstring == value["docstrings"][language]
            assert mapping.name_mapping == value["name_mappings"][language]
            assert mapping.alias_mapping == value["alias_mappings"][language]
        languages |= found.mappings.keys()
    assert languages == {"eng", "fra", "spa", "a/b", "é1x"}


def test_docstrings_and_aliases_may_be_missing_as_in_the_original():
    found = read({k: VALUE[k] for k in ("version", "hash", "normalized_code", "name_mappings")})
    assert found.mappings["eng"].docstring == ""
    assert found.mappings["eng"].alias_mapping == {}


def test_another_version_is_unsupported():
    with pytest.raises(Unsupported, match="version 7"):
        read({**VALUE, "version": 7})


@pytest.mark.parametrize(
    "change",
    [
        {"hash": "cd" * 32},
        {"normalized_code": None},
        {"name_mappings": []},
        {"name_mappings": {"eng": []}},
        {"name_mappings": {"eng": {"a": 1}}},
        {"name_mappings": {"": {}}, "docstrings": {}, "alias_mappings": {}},
        {"docstrings": {"eng": 1}},
        {"docstrings": {"fra": "lost if it were ignored"}},
        {"alias_mappings": {"fra": {}}},
        {"alias_mappings": {"eng": "x"}},
        {"extra": 1},
    ],
)
def test_a_wrong_field_is_refused(change):
    with pytest.raises(ManifestInvalid):
        read({**VALUE, **change})


@given(st.binary(max_size=300))
def test_any_bytes_give_a_typed_error(data):
    with pytest.raises(HoldfastError):
        FunctionV0.from_bytes(data, HASH, "p")
