import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.fixtures import OUVERTURE, expected, needs_ouverture
from holdfast.errors import Invalid, ManifestInvalid
from holdfast.functions.mapping import Mapping, check_mapping_hash

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
MAPPINGS = st.builds(
    Mapping,
    TEXT,
    st.dictionaries(TEXT, TEXT, max_size=5),
    st.dictionaries(TEXT, TEXT, max_size=3),
    TEXT,
)
NAMES = {"docstring": "", "name_mapping": {}, "alias_mapping": {}, "comment": ""}


def test_the_hash_is_that_of_json_with_spaced_separators_and_raw_letters():
    mapping = Mapping("é", {"_v_10": "b", "_v_2": "a"}, {"h": "x"}, "c")
    text = (
        '{"alias_mapping": {"h": "x"}, "comment": "c", "docstring": "é", '
        '"name_mapping": {"_v_10": "b", "_v_2": "a"}}'
    )
    import hashlib

    assert mapping.hash == hashlib.sha256(text.encode()).hexdigest()


@needs_ouverture
def test_every_mapping_of_the_original_has_its_recorded_hash():
    count = 0
    for path in (OUVERTURE / "pool_v1").rglob("mapping.json"):
        mapping = Mapping.from_bytes(path.read_bytes(), str(path))
        check_mapping_hash(mapping, path.parts[-3] + path.parts[-2], str(path))
        count += 1
    assert count == 121


@needs_ouverture
def test_every_recorded_mapping_hash_is_ours():
    for case in expected()["inputs"]:
        found = case["v1"].get("mapping_hash")
        if found:
            mapping = Mapping(
                case["docstring"], case["name_mapping"], case["alias_mapping"], case["comment"]
            )
            assert mapping.hash == found, case["input"]


@given(MAPPINGS)
def test_a_mapping_comes_back_and_keeps_its_hash(mapping):
    data = mapping.to_bytes()
    again = Mapping.from_bytes(data, "p")
    assert again == mapping
    assert again.hash == mapping.hash
    assert again.to_bytes() == data
    assert json.loads(data).keys() == {"docstring", "name_mapping", "alias_mapping", "comment"}


@given(MAPPINGS)
def test_equal_mappings_have_equal_bytes_whatever_the_order(mapping):
    names = dict(reversed(mapping.name_mapping.items()))
    other = Mapping(mapping.docstring, names, mapping.alias_mapping, mapping.comment)
    assert other.to_bytes() == mapping.to_bytes()
    assert other.hash == mapping.hash


def test_names_are_written_in_the_order_of_their_numbers():
    mapping = Mapping("", {f"_v_{i}": f"n{i}" for i in range(11, -1, -1)})
    assert list(json.loads(mapping.to_bytes())["name_mapping"])[:3] == ["_v_0", "_v_1", "_v_2"]


@pytest.mark.parametrize(
    "change",
    [
        {"docstring": None},
        {"docstring": "\ud800"},
        {"name_mapping": []},
        {"name_mapping": {"a": 1}},
        {"alias_mapping": {"a": None}},
        {"comment": 3},
        {"extra": 1},
    ],
)
def test_a_wrong_field_is_refused_by_name(change):
    data = json.dumps({**NAMES, **change}).encode()
    with pytest.raises(ManifestInvalid, match=next(iter(change))):
        Mapping.from_bytes(data, "p")


@pytest.mark.parametrize("field", list(NAMES))
def test_a_missing_field_is_refused_by_name(field):
    data = json.dumps({k: v for k, v in NAMES.items() if k != field}).encode()
    with pytest.raises(ManifestInvalid, match=field):
        Mapping.from_bytes(data, "p")


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b"\xff\xfe", b'{"docstring": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000],
)
def test_bytes_that_are_no_mapping_are_refused(data):
    with pytest.raises(ManifestInvalid):
        Mapping.from_bytes(data, "p")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_mapping_or_a_typed_error(data):
    try:
        Mapping.from_bytes(data, "p")
    except ManifestInvalid:
        pass


def test_a_lone_surrogate_is_never_written():
    with pytest.raises(Invalid, match="surrogate"):
        Mapping("\ud800").to_bytes()
    with pytest.raises(Invalid, match="surrogate"):
        _ = Mapping("\ud800").hash


def test_a_mapping_with_another_hash_is_refused():
    with pytest.raises(ManifestInvalid, match="hash"):
        check_mapping_hash(Mapping("x"), Mapping("y").hash, "p")
