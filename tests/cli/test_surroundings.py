"""The whole process where the surroundings are bad: streams, locale, working folder, numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast

COMMAND = f"'{sys.executable}' -m holdfast"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("surroundings")
    (root / "src").mkdir()
    (root / "src" / "é").write_text("bytes")
    with holdfast.init(root / "repo") as repo:
        repo.ingest(root / "src", project="proj")
    return root


def shell(root: Path, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOLDFAST_REPO": str(root / "repo"), **environment}
    return subprocess.run(
        ["bash", "-c", text.replace("holdfast", COMMAND, 1)],
        cwd=root,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_neither_a_traceback_nor_written_into_a_file(root, closed):
    done = shell(root, f"holdfast put - {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    with holdfast.open(root / "repo", read_only=True) as repo:
        assert repo.verify().ok
    assert shell(root, f"holdfast show nothing {closed}").returncode == 3


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["log", "log --json", "get proj/é", "--help", "verify"])
def test_a_full_standard_output_is_one_line_and_exit_6(root, command, unbuffered):
    done = shell(root, f"holdfast {command} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 6
    if "json" in command:
        assert json.loads(done.stderr)["error"]["code"] == "no_space"
    else:
        assert "standard output" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_full_standard_error_leaves_the_exit_code(root):
    assert shell(root, "holdfast show nothing 2>/dev/full").returncode == 3
    assert shell(root, "holdfast show nothing >/dev/full 2>/dev/full").returncode == 3


def test_a_working_folder_that_is_gone_is_named(root):
    done = shell(root, "mkdir gone; cd gone; rmdir ../gone; HOLDFAST_REPO= holdfast log")
    assert done.returncode == 3
    assert "working folder" in done.stderr
    assert done.stderr.count("\n") == 1


def test_names_are_utf_8_in_a_locale_that_is_not(root):
    old = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = shell(root, "holdfast ingest src --project old", **old)
    assert (done.returncode, done.stderr) == (0, "")
    assert shell(root, "holdfast get old/é", **old).stdout == "bytes"
    with holdfast.open(root / "repo", read_only=True) as repo:
        assert [v.path for v in repo.runs.current_files("old")] == ["é".encode()]


def test_the_library_refuses_to_name_files_in_another_encoding(root):
    text = "import holdfast.store.filesystem as f; f.FileSystemStore('x')"
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Unsupported" in done.stderr
    assert "PYTHONUTF8=1" in done.stderr


def test_a_limit_beyond_every_number_is_a_usage_error(root):
    done = shell(root, "holdfast log -n 99999999999999999999999")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_an_author_that_is_not_utf_8_is_escaped(root):
    done = shell(root, "HOLDFAST_AUTHOR=$'\\xff' holdfast ingest src --project proj")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xff" in shell(root, "holdfast log -n 1").stdout


def test_a_file_of_a_year_with_five_digits_can_be_listed(root):
    far = root / "far"
    far.mkdir()
    (far / "file").touch()
    os.utime(far / "file", (300_000_000_000, 300_000_000_000))
    if os.stat(far / "file").st_mtime < 300_000_000_000:
        pytest.skip("the file system has no such time")
    assert shell(root, "holdfast ingest far").returncode == 0
    done = shell(root, "holdfast ls far --json")
    assert json.loads(done.stdout)["files"][0]["mtime"] is None
    assert shell(root, "holdfast ls far").returncode == 0


def test_a_folder_is_no_file_to_put_and_nothing_to_mend(root):
    done = shell(root, "holdfast put src")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
