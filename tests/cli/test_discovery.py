"""Which repository a command means."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.cli.discovery import find_repository, is_url
from holdfast.errors import NotFound


def marked(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "holdfast.json").write_text("{}")
    return folder


def test_the_working_folder_itself_can_be_the_repository(tmp_path: Path) -> None:
    marked(tmp_path)
    assert find_repository(None, start=str(tmp_path)) == str(tmp_path)


def test_the_nearest_parent_is_taken(tmp_path: Path) -> None:
    marked(tmp_path / ".holdfast")
    near = marked(tmp_path / "a" / ".holdfast")
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    assert find_repository(None, start=str(tmp_path / "a" / "b" / "c")) == str(near)


def test_a_repository_goes_before_the_one_inside_it(tmp_path: Path) -> None:
    marked(tmp_path)
    marked(tmp_path / ".holdfast")
    assert find_repository(None, start=str(tmp_path)) == str(tmp_path)


def test_a_named_folder_stands_for_the_repository_in_it(tmp_path: Path) -> None:
    inner = marked(tmp_path / ".holdfast")
    assert find_repository(str(tmp_path)) == str(inner)


def test_a_named_folder_that_is_none_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find_repository(str(tmp_path / "nowhere")) == str(tmp_path / "nowhere")


def test_a_url_is_never_looked_up_on_the_disk() -> None:
    assert find_repository("s3://bucket/prefix") == "s3://bucket/prefix"
    assert not is_url("file:///x")


def test_nothing_found_is_not_found_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holdfast init"):
        find_repository(None, start=str(tmp_path))
