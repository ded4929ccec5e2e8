"""log and show."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Command
from holdfast.errors import ExitCode


@pytest.fixture
def versions(holdfast: Command, filled: Path, project: Path) -> Path:
    """A second run, with one changed and one removed file."""
    (project / "notes.txt").write_text("second, longer\n")
    (project / "data" / "a.csv").unlink()
    assert holdfast("ingest", project).code == 0
    return filled


def test_log_is_newest_first(holdfast: Command, versions: Path) -> None:
    commits = holdfast("log", "--json").json["commits"]
    assert [c["logseq"] for c in commits] == sorted((c["logseq"] for c in commits), reverse=True)
    assert [c["model"] for c in commits] == ["run", "run", "repository"]
    assert {c["author"] for c in commits} == {"ana"}
    assert len(holdfast("log").out.splitlines()) == 4


def test_log_shows_as_many_as_asked(holdfast: Command, versions: Path) -> None:
    newest = holdfast("log", "--json").json["commits"][0]
    assert holdfast("log", "-n", "1", "--json").json["commits"] == [newest]


def test_log_of_a_model_or_a_project(holdfast: Command, versions: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("x")
    assert holdfast("ingest", "other").code == 0

    def found(*words: str) -> list[str]:
        return [c["name"] for c in holdfast("log", "--json", *words).json["commits"]]

    assert found("--model", "repository") == ["holdfast.json"]
    assert len(found("--project", "trips")) == 2
    assert len(found("--project", "other", "--model", "run")) == 1
    assert found("--model", "dataset") == []
    assert "No commits" in holdfast("log", "--model", "dataset").out


@pytest.mark.parametrize(
    "words", [["--model", "bogus"], ["--project", "trips", "--model", "repository"], ["trips"]]
)
def test_log_refuses_what_makes_no_sense(holdfast: Command, filled: Path, words: list[str]) -> None:
    assert holdfast("log", *words).code == ExitCode.USAGE


def test_log_of_a_file_lists_its_versions(holdfast: Command, versions: Path, project: Path) -> None:
    assert holdfast("ingest", project).code == 0  # a duplicate is no version
    found = holdfast("log", "trips/notes.txt", "--json").json["versions"]
    assert [v["outcome"] for v in found] == ["new_version", "new_file"]
    assert [v["size"] for v in found] == [15, 6]
    assert found[1]["superseded_by"] == found[0]["run_id"]
    assert holdfast("log", "notes.txt", "--project", "trips", "--json").json["versions"] == found
    assert len(holdfast("log", "trips/notes.txt", "-n", "1").out.splitlines()) == 2


def test_a_project_is_named_by_its_name_not_its_folder_only(
    holdfast: Command, made: Path, project: Path
) -> None:
    holdfast("ingest", "trips", "--project", "my trips 3.11")
    assert len(holdfast("log", "--project", "my trips 3.11", "--json").json["commits"]) == 1
    assert len(holdfast("ls", "my trips 3.11/data", "--json").json["files"]) == 3
    answer = holdfast("log", "--project", "nobody")
    assert answer.code == ExitCode.NOT_FOUND
    assert "my trips 3.11" in answer.err


@pytest.mark.parametrize("path", ["trips/nothing", "nobody/notes.txt"])
def test_log_of_a_file_that_never_was_is_not_found(
    holdfast: Command, filled: Path, path: str
) -> None:
    assert holdfast("log", path).code == ExitCode.NOT_FOUND


def test_show_finds_a_run_by_id_prefix_folder_and_commit_by_logseq(
    holdfast: Command, versions: Path
) -> None:
    commit = holdfast("log", "-n", "1", "--json").json["commits"][0]
    run = holdfast("show", commit["id"], "--json").json["run"]
    assert run["run_id"] == commit["id"]
    assert run["counts"] == {"duplicate": 4, "new_version": 1, "removed": 1}
    assert run["source"]["url"].endswith("trips")
    folder = run["run_dir"].removeprefix("runs/")
    for text in (commit["id"][:8], folder, folder.rpartition("/")[2]):
        assert holdfast("show", text, "--json").json["run"] == run, text
    logseq = commit["logseq"]
    for text in (str(logseq), f"commit:{logseq}"):
        found = holdfast("show", text, "--json").json
        assert found["kind"] == "commit"
        assert found["commit"] == commit


def test_show_of_a_file_a_project_and_an_artifact(holdfast: Command, filled: Path) -> None:
    file = holdfast("show", "trips/notes.txt", "--json").json["file"]
    assert (file["kind"], file["size"], file["outcome"]) == ("file", 6, "new_file")
    assert (filled / file["stored"]).read_text() == "first\n"
    assert holdfast("show", f"sha256:{file['sha256']}", "--json").json["file"] == file
    assert holdfast("show", file["sha256"], "--json").json["file"] == file
    link = holdfast("show", "trips/link", "--json").json["file"]
    assert (link["kind"], link["target"], link["stored"]) == ("symlink", "notes.txt", None)
    assert holdfast("show", "trips", "--json").json["project"]["name"] == "trips"
    reference = holdfast("put", "-", "--type-tag", "7", stdin=b"abc").out.strip()
    artifact = holdfast("show", reference[:24], "--json").json["artifact"]
    assert artifact["reference"] == reference
    assert (artifact["size"], artifact["type_tag"], artifact["tombstoned"]) == (3, 7, False)


def test_show_speaks_to_people_too(holdfast: Command, filled: Path) -> None:
    reference = holdfast("put", "-", "--type-tag", "7", stdin=b"abc").out.strip()
    run = holdfast("log", "-n", "1", "--model", "run", "--json").json["commits"][0]["id"]
    for text, word in (
        ("trips/notes.txt", "new_file"),
        ("trips", "folder"),
        (reference, "7 (0x00000007)"),
        (run, "new_file 6"),
        ("1", "holdfast.json"),
    ):
        answer = holdfast("show", text)
        assert answer.code == 0
        assert word in answer.out


@pytest.mark.parametrize("text", ["99", "commit:99", "nothing", "trips/nothing", "abcdef0123", ""])
def test_show_of_nothing_is_not_found(holdfast: Command, filled: Path, text: str) -> None:
    answer = holdfast("show", text)
    assert answer.code == ExitCode.NOT_FOUND
    assert answer.err.count("\n") == 1


def test_two_readings_are_listed_not_guessed(holdfast: Command, made: Path, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "x").write_text("x")
    assert holdfast("ingest", "1").code == 0
    answer = holdfast("show", "1")
    assert answer.code == ExitCode.USAGE
    assert "commit:1" in answer.err
    assert "project 1" in answer.err
    assert holdfast("show", "commit:1").code == 0
