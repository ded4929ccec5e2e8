"""ingest, ls and restore."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cli.conftest import Command
from holdfast.errors import ExitCode

PATHS = ["data/a.csv", "data/b.bin", "data/none", "empty", "link", "notes.txt"]


def test_ingest_says_what_became_of_the_files(holdfast: Command, made: Path, project: Path) -> None:
    answer = holdfast("ingest", "trips")
    assert (answer.code, answer.err) == (0, "")
    assert "6 files: 6 new" in answer.out
    again = holdfast("ingest", "trips", "--json").json
    assert again["ok"] is True
    assert again["counts"] == {"duplicate": 6}
    assert again["bytes_stored"] == 0
    assert [s["project"] for s in again["sources"]] == ["trips"]


def test_ingest_takes_several_sources_and_a_project(
    holdfast: Command, made: Path, project: Path
) -> None:
    found = holdfast(
        "ingest", "trips/data", "trips/notes.txt", "--project", "p", "--action", "look", "--json"
    ).json
    assert [s["project"] for s in found["sources"]] == ["p", "p"]
    assert [s["files"] for s in found["sources"]] == [3, 1]
    assert all(s["run_dir"].endswith("_look") for s in found["sources"])


def test_ingest_of_nothing_there_is_not_found_and_begins_no_run(
    holdfast: Command, made: Path, project: Path
) -> None:
    answer = holdfast("ingest", "trips", "nowhere")
    assert answer.code == ExitCode.NOT_FOUND
    assert "nowhere" in answer.err
    assert len(holdfast("log", "--json").json["commits"]) == 1


def test_a_file_that_cannot_be_read_is_named_with_exit_10(
    holdfast: Command, made: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from holdfast.ingest import read

    real = os.open

    def refuse(path: str | bytes, *rest: object, **named: object) -> int:
        if os.fsencode(path).endswith(b"a.csv"):
            raise OSError(errno.EACCES, "Permission denied", path)
        return real(path, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(read.os, "open", refuse)
    answer = holdfast("ingest", "trips")
    assert answer.code == ExitCode.NAMED_FAILURES
    assert "failed: data/a.csv" in answer.out
    assert answer.err.count("\n") == 1
    monkeypatch.undo()


def test_special_files_are_named_and_skipped(
    holdfast: Command, made: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)  # socket addresses are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        os.mkfifo("pipe")
        found = holdfast("ingest", ".", "--json").json
    assert sorted(s["path"] for s in found["sources"][0]["skipped"]) == ["pipe", "s"]
    assert "skipped: pipe: " in holdfast("ingest", ".").out


def test_hostile_names_are_shown_escaped(holdfast: Command, made: Path, project: Path) -> None:
    (project / "a\nb\x1b[31m").write_text("x")
    Path(os.fsdecode(bytes(project) + b"/caf\xff")).write_text("y")
    assert holdfast("ingest", "trips").code == 0
    text = holdfast("ls", "trips")
    assert text.code == 0
    assert "\x1b" not in text.out
    assert "a\\nb\\x1b[31m" in text.out
    assert "caf\\xff" in text.out
    files = {f["path"]: f for f in holdfast("ls", "trips", "--json").json["files"]}
    assert "a\nb\x1b[31m" in files
    assert files["caf\\xff"]["path_b64"] == "Y2Fm/w=="
    name = os.fsdecode(b"trips/caf\xff")
    assert holdfast("get", name).raw == b"y"
    assert holdfast("log", name, "--json").json["versions"][0]["path_b64"] == "Y2Fm/w=="


def test_ls_lists_projects_then_files(holdfast: Command, filled: Path) -> None:
    assert [p["name"] for p in holdfast("ls", "--json").json["projects"]] == ["trips"]
    assert "trips" in holdfast("ls").out
    files = holdfast("ls", "trips", "--json").json["files"]
    assert [f["path"] for f in files] == PATHS
    text = holdfast("ls", "trips").out
    assert [line.split()[-1] for line in text.splitlines()[1:-2]] == PATHS[:4]
    assert "link -> notes.txt" in text


def test_ls_of_an_empty_repository(holdfast: Command, made: Path) -> None:
    assert holdfast("ls").out == "No projects yet\n"
    assert holdfast("ls", "--json").json == {"projects": []}


def test_ls_of_a_folder_or_a_file(holdfast: Command, filled: Path) -> None:
    def found(where: str) -> list[str]:
        return [f["path"] for f in holdfast("ls", where, "--json").json["files"]]

    assert found("trips/data") == found("trips/data/") == PATHS[:3]
    assert found("trips/notes.txt") == ["notes.txt"]


def test_ls_of_a_run_shows_what_it_saw(holdfast: Command, filled: Path, project: Path) -> None:
    (project / "notes.txt").unlink()
    run = holdfast("ingest", "trips", "--json").json["sources"][0]["run_id"]
    seen = {f["path"]: f["outcome"] for f in holdfast("ls", "--run", run, "--json").json["files"]}
    assert seen == dict.fromkeys(PATHS, "duplicate") | {"notes.txt": "removed"}
    below = holdfast("ls", "trips/data", "--run", run, "--json").json["files"]
    assert [f["path"] for f in below] == PATHS[:3]
    assert "removed" in holdfast("ls", "--run", run).out


@pytest.mark.parametrize(
    "words", [["nobody"], ["trips/nothing"], ["--run", "0000"], ["trips", "--run", "ffffffff"]]
)
def test_ls_of_nothing_is_not_found(holdfast: Command, filled: Path, words: list[str]) -> None:
    answer = holdfast("ls", *words)
    assert answer.code == ExitCode.NOT_FOUND
    assert answer.err.count("\n") == 1


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    """What must be the same of two trees, by relative path."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = (status.st_mode, status.st_mtime_ns, path.read_bytes())
        else:
            found[name] = ("folder",)
    return found


def test_restore_gives_back_bytes_modes_times_and_links(
    holdfast: Command, filled: Path, project: Path
) -> None:
    (project / "notes.txt").chmod(0o751)
    os.utime(project / "notes.txt", ns=(1, 1_234_567_890_123_456_789))
    (project / "notes.txt").write_text("new\n")
    os.utime(project / "notes.txt", ns=(1, 1_234_567_890_123_456_789))
    assert holdfast("ingest", "trips").code == 0
    answer = holdfast("restore", "trips", "-o", "back")
    assert (answer.code, answer.err) == (0, "")
    assert facts(Path("back")) == facts(project)


def test_restore_of_a_run_gives_its_state(holdfast: Command, filled: Path, project: Path) -> None:
    first = holdfast("log", "-n", "1", "--json").json["commits"][0]["id"]
    before = facts(project)
    (project / "notes.txt").write_text("changed")
    (project / "link").unlink()
    holdfast("ingest", "trips")
    found = holdfast("restore", first, "-o", "back", "--json").json
    assert (found["ok"], found["files"], found["bytes"]) == (True, 6, 4110)
    assert facts(Path("back")) == before


def test_restore_of_a_path(holdfast: Command, filled: Path, project: Path) -> None:
    assert holdfast("restore", "trips/data", "-o", "d").code == 0
    assert facts(Path("d")) == facts(project / "data")
    assert holdfast("restore", "trips/notes.txt", "-o", "n.txt").code == 0
    assert Path("n.txt").read_text() == "first\n"


def test_restore_never_overwrites(holdfast: Command, filled: Path) -> None:
    Path("full").mkdir()
    Path("full/mine").write_text("mine")
    answer = holdfast("restore", "trips", "-o", "full")
    assert answer.code == ExitCode.CONFLICT
    assert [p.name for p in Path("full").iterdir()] == ["mine"]
    assert holdfast("restore", "trips", "-o", "full/mine").code == ExitCode.CONFLICT


@pytest.mark.parametrize("what", ["nobody", "trips/nothing", "ffffffff"])
def test_restore_of_nothing_is_not_found(holdfast: Command, filled: Path, what: str) -> None:
    answer = holdfast("restore", what, "-o", "back")
    assert answer.code == ExitCode.NOT_FOUND
    assert not Path("back").exists()
