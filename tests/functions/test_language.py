import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import Invalid, ManifestInvalid
from holdfast.functions.language import (
    decode_folder,
    language_file,
    language_folder,
    needs_file,
    parse_language_file,
)
from holdfast.store.paths import check_path

LANGUAGES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)


@pytest.mark.parametrize(
    ("language", "folder"),
    [
        ("eng", "eng"),
        ("fra-canadian", "fra-canadian"),
        ("en_US", "en_US"),
        ("é1x", "%C3%A91x"),
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        ("../..", "%2E%2E%2F%2E%2E"),
        ("~" + "0" * 64, "%7E" + "0" * 64),
        (".hf-0000000000000000", "%2Ehf-0000000000000000"),
        ("e\nx\0", "e%0Ax%00"),
        ("a\\b", "a%5Cb"),
        ("object.json", "object%2Ejson"),
        ("x" * 200, "x" * 200),
    ],
)
def test_a_folder_is_the_percent_encoding(language, folder):
    assert language_folder(language) == folder
    assert decode_folder(folder) == language


def test_a_folder_over_200_bytes_is_a_digest_with_the_name_in_a_file():
    language = "é" * 256
    folder = language_folder(language)
    assert folder[0] == "~"
    assert len(folder) == 65
    assert needs_file(folder)
    path = f"objects/00/00/{folder}/language.json"
    assert parse_language_file(language_file(language), path) == language


@settings(max_examples=200)
@given(LANGUAGES)
def test_any_language_stays_one_component_and_comes_back(language):
    folder = language_folder(language)
    assert check_path(folder) == folder
    assert "/" not in folder
    path = f"{folder}/language.json"
    if needs_file(folder):
        assert parse_language_file(language_file(language), path) == language
    else:
        assert decode_folder(folder) == language


@given(LANGUAGES, LANGUAGES)
def test_two_languages_never_share_a_folder(one, other):
    assert (language_folder(one) == language_folder(other)) == (one == other)


@pytest.mark.parametrize("language", ["", "x" * 257, "\ud800", "a\udfff", 3, None])
def test_what_is_no_language_is_refused(language):
    with pytest.raises(Invalid):
        language_folder(language)


@pytest.mark.parametrize("folder", ["", "%2f", "é", "a%", "%61", "a b", "%FF", "."])
def test_a_folder_that_no_language_has_stands_for_none(folder):
    assert decode_folder(folder) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps({"language": "eng"}).encode(),
        json.dumps({"language": ""}).encode(),
        json.dumps({"language": 1}).encode(),
        json.dumps({"language": "é" * 256, "more": 1}).encode(),
        b'{"language": "\\ud800"}',
        b"\xff",
    ],
)
def test_a_language_file_of_something_else_is_refused(data):
    folder = language_folder("é" * 256)
    with pytest.raises(ManifestInvalid):
        parse_language_file(data, f"objects/{folder}/language.json")
