import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.fixtures import OUVERTURE, needs_ouverture
from holdfast.errors import HoldfastError, Invalid, ManifestInvalid, Unsupported
from holdfast.functions.object_json import FunctionObject

HASH = "ab" * 32
OBJECT = FunctionObject(
    HASH, "def f():\n    'é'", 2, "2026-01-02T03:04:05Z", "ada", ("t",), ("cd" * 32,)
)


def value(**change):
    return {**json.loads(OBJECT.to_bytes()), **change}


def read(value):
    return FunctionObject.from_bytes(json.dumps(value).encode(), HASH, "p")


def test_an_object_comes_back():
    data = OBJECT.to_bytes()
    assert FunctionObject.from_bytes(data, HASH, "p") == OBJECT
    assert "é".encode() in data


def test_it_has_the_fields_that_the_original_reads_and_the_normal_form():
    found = json.loads(OBJECT.to_bytes())
    assert {k: v for k, v in found.items() if k != "normal_form"} == {
        "schema_version": 1,
        "hash": HASH,
        "hash_algorithm": "sha256",
        "normalized_code": OBJECT.normalized_code,
        "encoding": "none",
        "metadata": {
            "created": "2026-01-02T03:04:05Z",
            "author": "ada",
            "tags": ["t"],
            "dependencies": ["cd" * 32],
        },
    }
    assert found["normal_form"] == 2


@needs_ouverture
def test_every_object_of_the_original_is_read_as_normal_form_1():
    count = 0
    for path in (OUVERTURE / "pool_v1").rglob("object.json"):
        hash = path.parts[-3] + path.parts[-2]
        found = FunctionObject.from_bytes(path.read_bytes(), hash, str(path))
        assert (found.normal_form, found.author, found.dependencies) == (1, "fixture", ())
        # What is written back is what was read, with our field added.
        again = json.loads(found.to_bytes())
        assert again.pop("normal_form") == 1
        assert again == json.loads(path.read_bytes())
        count += 1
    assert count == 90


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"schema_version": "1"},
        {"schema_version": True},
        {"hash_algorithm": "md5"},
        {"encoding": "gzip"},
        {"normal_form": 3},
        {"normal_form": True},
    ],
)
def test_what_a_later_version_may_write_is_unsupported_or_invalid(change):
    with pytest.raises((Unsupported, ManifestInvalid), match=next(iter(change))):
        read(value(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"hash": "cd" * 32},
        {"normalized_code": 1},
        {"normalized_code": "\ud800"},
        {"metadata": []},
        {"metadata": {}},
        {"metadata": {**value()["metadata"], "created": "today"}},
        {"metadata": {**value()["metadata"], "tags": [1]}},
        {"metadata": {**value()["metadata"], "dependencies": ["../x"]}},
        {"metadata": {**value()["metadata"], "more": 1}},
        {"extra": 1},
    ],
)
def test_a_wrong_field_is_refused(change):
    with pytest.raises(ManifestInvalid):
        read(value(**change))


@pytest.mark.parametrize("field", [k for k in value() if k != "normal_form"])
def test_a_missing_field_is_refused_by_name(field):
    with pytest.raises(ManifestInvalid, match=field):
        read({k: v for k, v in value().items() if k != field})


@given(st.binary(max_size=300))
def test_any_bytes_give_a_typed_error(data):
    with pytest.raises(HoldfastError):
        FunctionObject.from_bytes(data, HASH, "p")


def test_a_lone_surrogate_is_never_written():
    with pytest.raises(Invalid, match="surrogate"):
        FunctionObject(HASH, "\ud800", 2, "2026-01-02T03:04:05Z").to_bytes()
