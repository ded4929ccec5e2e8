from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Invalid, InvalidPath
from holdfast.runs import naming
from holdfast.store.paths import check_path

raw_names = st.binary(min_size=1, max_size=300).filter(
    lambda b: b"/" not in b and b"\0" not in b and b not in (b".", b"..")
)
raw_paths = st.lists(raw_names, min_size=1, max_size=5).map(b"/".join)


@given(raw_paths)
def test_a_stored_path_never_leaves_its_folder_and_every_store_takes_it(path):
    stored = naming.stored_path(naming.check_source_path(path))
    assert check_path(f"raw_source/{stored}")
    assert all(len(part.encode()) <= 255 for part in stored.split("/"))


@given(st.lists(raw_paths, min_size=2, max_size=2, unique=True), st.integers(1, 9))
def test_two_paths_have_two_stored_paths(paths, twin):
    one, two = (naming.stored_path(path, twin=twin) for path in paths)
    assert one != two


@given(raw_paths, st.integers(2, 12))
def test_a_twin_has_a_name_of_its_own_that_a_store_takes(path, twin):
    stored = naming.stored_path(path, twin=twin)
    assert stored != naming.stored_path(path)
    assert stored.endswith(f"%~{twin}")
    assert check_path(stored)


@given(raw_paths)
def test_a_stored_path_is_short_enough_for_an_object_store(path):
    assert len(naming.stored_path(path, longest=naming.OBJECT_PATH_BYTES).encode()) <= 600


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        (b"a b/\xc3\xa9.csv", "a b/é.csv"),
        (b"bad\xff\xfe", "bad%FF%FE"),
        (b"new\nline\\and%", "new%0Aline%5Cand%25"),
        (b"\xc2\x85", "%C2%85"),
        (b".hf-0123456789abcdef/x", "%2Ehf-0123456789abcdef/x"),
    ],
)
def test_a_name_is_escaped_as_the_spec_says(path, stored):
    assert naming.stored_path(path) == stored


def test_a_long_component_is_cut_to_180_bytes_and_16_digits_of_its_hash():
    stored = naming.stored_path(b"dir/" + b"x" * 300)
    assert stored.startswith("dir/" + "x" * 180 + "%~")
    assert len(stored) == 4 + 180 + 2 + 16


def test_a_cut_splits_no_character_and_no_escape():
    for lead in range(4):
        stored = naming.stored_path(b"x" * lead + b"\xff" * 200)
        head = stored[:-18]
        assert head[lead:] == "%FF" * (len(head[lead:]) // 3)
        assert len(head) <= 180


@pytest.mark.parametrize(
    "path", [b"", b"/a", b"a/", b"a//b", b"..", b"a/..", b"../a", b".", b"./a", b"a\0b"]
)
def test_a_path_that_leaves_is_refused(path):
    with pytest.raises(InvalidPath):
        naming.check_source_path(path)


@pytest.mark.parametrize("path", [b"...", b"a..b", b".hidden", b"a/.b", b"..a/b..", b"\n"])
def test_a_path_that_only_looks_like_leaving_is_taken(path):
    assert naming.check_source_path(path) == path


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Adventure Works (LT)", "Adventure_Works_LT"),
        ("Zürich__Daten / 2026!", "Zürich_Daten_2026"),
        ("!!!", "project"),
        ("archive", "archive_"),
        ("Exports", "Exports_"),
        ("日本語 データ", "日本語_データ"),
    ],
)
def test_a_project_folder_is_made_of_letters_and_digits(name, folder):
    assert naming.project_folder(name) == folder


@given(st.text(max_size=260))
def test_a_project_folder_is_never_empty_reserved_or_outside(name):
    try:
        folder = naming.project_folder(name)
    except Invalid:
        return
    assert folder
    assert "/" not in check_path(folder)
    assert folder.casefold() not in naming.RESERVED_FOLDERS


@pytest.mark.parametrize("name", ["", " ", "..", "a/../b", "/etc", "a\0b", "x" * 256, "\ud800"])
def test_a_project_name_that_would_leave_is_refused(name):
    with pytest.raises(Invalid):
        naming.project_folder(name)


@pytest.mark.parametrize(
    ("action", "folder"),
    [("upload_my/repo name", "upload_my_repo_name"), ("a" * 60, "a" * 50), ("é", "_")],
)
def test_an_action_is_sanitised(action, folder):
    assert naming.sanitise_action(action) == folder


@pytest.mark.parametrize("action", ["", "..", "upload_../../escaped", "/x", "a\0"])
def test_an_action_that_would_leave_is_refused(action):
    with pytest.raises(Invalid):
        naming.sanitise_action(action)


@given(st.text(min_size=1, max_size=80))
def test_a_run_folder_can_be_read_back(action):
    try:
        kept = naming.sanitise_action(action)
    except Invalid:
        return
    name = naming.run_folder("20260102_030405", 7, kept)
    assert naming.parse_run_folder(name) == ("20260102_030405", 7, kept)


@pytest.mark.parametrize("name", ["raw_source", "journal", "", "A", "a-b", "../x", "a" * 65])
def test_an_artifact_type_that_is_none_is_refused(name):
    with pytest.raises(Invalid):
        naming.check_artifact_type(name)
