"""The command line in this process, on a real repository in a folder."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a command gave: exit code, standard output, standard error."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:
        assert self.out.count("\n") == 1, "one JSON value, one line"
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        assert self.err.count("\n") == 1
        found: dict[str, Any] = json.loads(self.err)["error"]
        return found


Command = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("HOLDFAST_REPO", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOLDFAST_AUTHOR", "ana")
    monkeypatch.chdir(tmp_path)
    return


@pytest.fixture
def holdfast(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Run a command line in this process: ``holdfast("put", "-", stdin=b"…")``."""

    def run(*argv: str | Path, stdin: bytes = b"") -> Answer:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        code = main([str(word) for word in argv])
        captured = capsysbinary.readouterr()
        return Answer(code, captured.out, captured.err.decode())

    return run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project folder, `trips`: three files, an empty one, a link, an empty folder."""
    folder = tmp_path / "trips"
    (folder / "data").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("first\n")
    (folder / "data" / "a.csv").write_bytes(b"x,y\n1,2\n")
    (folder / "data" / "b.bin").write_bytes(bytes(range(256)) * 16)
    (folder / "data" / "none").write_bytes(b"")
    (folder / "link").symlink_to("notes.txt")
    return folder


@pytest.fixture
def made(holdfast: Command, tmp_path: Path) -> Path:
    """A repository, ``.holdfast`` of the working folder."""
    answer = holdfast("init")
    assert answer.code == 0, answer.err
    return tmp_path / ".holdfast"


@pytest.fixture
def filled(holdfast: Command, made: Path, project: Path) -> Path:
    """The repository after one ingest of `project`."""
    answer = holdfast("ingest", project)
    assert answer.code == 0, answer.err
    return made
