"""init and status, and which repository they mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Command
from holdfast.errors import ExitCode


def test_init_without_a_path_makes_dot_holdfast(holdfast: Command, tmp_path: Path) -> None:
    answer = holdfast("init")
    assert answer.code == 0
    assert str(tmp_path / ".holdfast") in answer.out
    config = json.loads((tmp_path / ".holdfast" / "holdfast.json").read_bytes())
    assert config["repository_id"] in answer.out


def test_init_takes_a_path_or_the_repo_option(holdfast: Command, tmp_path: Path) -> None:
    assert holdfast("init", "a/b").code == 0
    assert (tmp_path / "a/b/holdfast.json").is_file()
    assert holdfast("init", "-R", "c").code == 0
    assert (tmp_path / "c/holdfast.json").is_file()
    assert holdfast("init", "d", "-R", "e").code == ExitCode.USAGE


def test_init_of_an_empty_folder_fills_it(holdfast: Command, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert holdfast("init", "here").code == 0


@pytest.mark.parametrize("again", ["init", "init ."])
def test_a_folder_that_is_not_empty_is_refused(holdfast: Command, made: Path, again: str) -> None:
    before = sorted(str(p) for p in Path().rglob("*"))
    answer = holdfast(*again.split())
    assert answer.code == ExitCode.CONFLICT
    assert answer.err.count("\n") == 1
    assert sorted(str(p) for p in Path().rglob("*")) == before


def test_init_over_a_file_is_refused(holdfast: Command) -> None:
    Path("f").write_text("")
    assert holdfast("init", "f").code in (ExitCode.USAGE, ExitCode.CONFLICT)


def test_a_file_system_that_takes_no_files_is_denied_or_fails_in_one_line(
    holdfast: Command,
) -> None:
    answer = holdfast("init", "/proc/holdfast-test")
    assert answer.code in (ExitCode.DENIED, ExitCode.NOT_FOUND, ExitCode.STORAGE)
    assert answer.err.count("\n") == 1


def test_status_of_an_empty_repository(holdfast: Command, made: Path) -> None:
    found = holdfast("status", "--json").json
    assert found["url"] == str(made)
    assert (found["head"], found["projects"], found["last_run"]) == (1, 0, None)
    assert "1 records" in holdfast("status").out


def test_status_counts_what_runs_took_in(holdfast: Command, filled: Path) -> None:
    found = holdfast("status", "--json").json
    assert found["runs"] == {"completed": 1}
    assert found["run_files"] == {"new_file": 6}
    assert found["run_bytes"] == 6 + 8 + 4096
    text = holdfast("status").out
    assert "1 completed" in text
    assert "ingest of trips" in text


COMMANDS_THAT_READ = [
    "status",
    "log",
    "show x",
    "ls",
    "restore x -o y",
    "get x",
    "verify",
    "fsck",
    "gc --dry-run",
    "export-log -o y",
]
COMMANDS_THAT_WRITE = [
    "ingest .",
    "put -",
    "tombstone 12345678",
    "lift 12345678 1",
    "snapshot",
    "gc",
]


@pytest.mark.parametrize("line", [*COMMANDS_THAT_READ, *COMMANDS_THAT_WRITE])
def test_no_repository_is_exit_3_and_says_what_to_do(holdfast: Command, line: str) -> None:
    for words in (line.split(), ["-R", "nowhere", *line.split()], [*line.split(), "-R", "no"]):
        answer = holdfast(*words)
        assert answer.code == ExitCode.NOT_FOUND
        assert answer.err.count("\n") == 1
        assert "holdfast init" in answer.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("line", COMMANDS_THAT_READ)
def test_a_damaged_holdfast_json_is_exit_5_and_named(
    holdfast: Command, made: Path, line: str
) -> None:
    path = made / "holdfast.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"created", b"creatad"))
    answer = holdfast(*line.split())
    assert answer.code == ExitCode.INTEGRITY
    assert "holdfast.json" in answer.err
    assert answer.err.count("\n") == 1


def test_a_repository_from_the_future_is_exit_8(holdfast: Command, made: Path) -> None:
    path = made / "holdfast.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"format_version":1', b'"format_version":2'))
    assert holdfast("log").code == ExitCode.UNSUPPORTED


def test_a_file_in_the_place_of_a_repository_is_refused(holdfast: Command) -> None:
    Path("f").write_text("")
    assert holdfast("-R", "f", "log").code == ExitCode.USAGE


def test_the_repository_is_found_from_below(
    holdfast: Command, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a/b").mkdir(parents=True)
    monkeypatch.chdir("a/b")
    assert holdfast("status", "--json").json["url"] == str(made)


def test_option_beats_environment_beats_parents(
    holdfast: Command, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        holdfast("init", name)

    def used(*words: str) -> str:
        url: str = holdfast(*words, "--json").json["url"]
        return Path(url).name

    assert used("status") == ".holdfast"
    monkeypatch.setenv("HOLDFAST_REPO", str(tmp_path / "one"))
    assert used("status") == "one"
    assert used("-R", "two", "status") == "two"
    assert used("status", "-R", "two") == "two"
    assert used("-R", "two", "status", "-R", "three") == "three"


def test_json_may_stand_before_the_command(holdfast: Command, made: Path) -> None:
    assert holdfast("--json", "status").json["head"] == 1
