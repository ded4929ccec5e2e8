from __future__ import annotations

import pytest
from hypothesis import given, settings

from holdfast.errors import InvalidPath
from holdfast.store.paths import check_folder, check_path, is_listed_name, is_temp_name
from holdfast.testing.store_contract import HOSTILE_PATHS, KIND_PATHS
from holdfast.testing.strategies import hostile_paths, paths


@pytest.mark.parametrize("path", KIND_PATHS, ids=ascii)
def test_an_unusual_path_is_itself(path):
    assert check_path(path) == path
    assert check_folder(path) == path


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=ascii)
def test_a_hostile_path_is_refused_with_its_reason(path):
    with pytest.raises(InvalidPath) as caught:
        check_path(path)
    assert caught.value.found
    assert "\n" not in str(caught.value)


@given(paths())
@settings(max_examples=200, deadline=None)
def test_every_good_path_is_taken_and_its_names_are_listed(path):
    assert check_path(path) == path
    assert all(is_listed_name(name) for name in path.split("/"))


@given(hostile_paths())
@settings(max_examples=200, deadline=None)
def test_every_hostile_path_is_refused(path):
    with pytest.raises(InvalidPath):
        check_path(path)


@pytest.mark.parametrize("value", [None, 1, b"a", ["a"]])
def test_a_value_that_is_no_text_is_refused(value):
    with pytest.raises(InvalidPath, match="type"):
        check_path(value)


@pytest.mark.parametrize(("length", "good"), [(255, True), (256, False)])
@pytest.mark.parametrize("place", ["{}", "a/{}", "{}/a", "a/{}/é"])
def test_a_component_has_at_most_255_bytes(place, length, good):
    path = place.format("é" * (length // 2) + "x" * (length % 2))
    if good:
        assert check_path(path) == path
    else:
        with pytest.raises(InvalidPath, match="256 bytes"):
            check_path(path)


def test_a_long_path_of_short_components_is_taken():
    path = "/".join(["component"] * 1000)
    assert check_path(path) == path


def test_the_root_and_the_folder_of_locks_are_folders():
    assert check_folder("") == ""
    assert check_folder("locks") == "locks"
    with pytest.raises(InvalidPath):
        check_folder("locks/below")


@pytest.mark.parametrize(
    ("name", "temporary"),
    [
        (".hf-0123456789abcdef", True),
        (".hf-0123456789abcdeg", False),
        (".hf-0123456789abcde", False),
        (".hf-0123456789abcdef0", False),
        (".hf-0123456789abcdef\n", False),
        ("hf-0123456789abcdef", False),
    ],
)
def test_a_temporary_file_is_known_by_its_whole_name(name, temporary):
    assert is_temp_name(name) is temporary
