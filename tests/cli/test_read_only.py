"""A repository that may be read but not written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Command
from holdfast.errors import ExitCode

NOBODY = 65534


@pytest.fixture
def shelf(holdfast: Command, filled: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of a repository, in a folder where this process may not write (it is nobody)."""
    holdfast("put", "-", stdin=b"bytes")
    place = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    place.chmod(0o755)
    shutil.copytree(filled, place / ".holdfast")
    for path in [*place.rglob("*"), place]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.chdir(place)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    yield place
    if root:
        os.seteuid(0)
    for path in [place, *(p for p in place.rglob("*") if p.is_dir())]:
        path.chmod(0o755)
    shutil.rmtree(place)


@pytest.mark.parametrize(
    "line",
    [
        "status",
        "log",
        "log trips/notes.txt",
        "show 1",
        "ls",
        "ls trips",
        "get trips/notes.txt",
        "verify",
        "verify --quick",
        "fsck",
    ],
)
def test_commands_that_read_do_not_need_to_write(holdfast: Command, shelf: Path, line: str) -> None:
    answer = holdfast(*line.split())
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize("line", ["put -", "snapshot", "ingest /bin/sh", "init other", "gc"])
def test_commands_that_write_are_denied_in_one_line(
    holdfast: Command, shelf: Path, line: str
) -> None:
    answer = holdfast(*line.split(), stdin=b"x")
    assert answer.code == ExitCode.DENIED, answer.err
    assert answer.err.count("\n") == 1


def test_output_files_in_a_read_only_folder_are_denied(holdfast: Command, shelf: Path) -> None:
    for line in ("get trips/notes.txt -o out", "export-log -o out", "restore trips -o out"):
        answer = holdfast(*line.split())
        assert answer.code == ExitCode.DENIED, answer.err
        assert answer.err.count("\n") == 1
