"""`make demo` shows what it says, and says so when something is not as it should be."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from acceptance.documents import ROOT


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/demo.py, with its folder in a place of this test."""
    spec = importlib.util.spec_from_file_location("holdfast_demo", ROOT / "tools/demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DEMO", tmp_path / ".demo")
    monkeypatch.setattr(module, "REPOSITORY", tmp_path / ".demo/.holdfast")
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small folder with what is awkward in real ones."""
    folder = tmp_path / "a source"
    (folder / "code" / "deep").mkdir(parents=True)
    (folder / "hollow").mkdir()
    (folder / "code" / "one.py").write_text("print(1)\n" * 400)
    (folder / "code" / "deep" / "two.bin").write_bytes(os.urandom(100_000))
    (folder / "code" / "deep" / "twin.bin").write_bytes(b"\0" * 100_000)
    (folder / "code" / "twin.bin").write_bytes(b"\0" * 100_000)
    (folder / "empty").write_bytes(b"")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("code/one.py")
    (folder / "away").symlink_to("/nowhere")
    (folder / ".holdfastignore").write_text("*.bin\n")
    os.mkfifo(folder / "pipe")
    os.symlink("code", folder / "folder link")
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xff")).write_bytes(b"x")
    return folder


def test_the_demo_of_a_folder_ends_with_its_summary_whatever_was_there_before(
    demo: ModuleType, source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (demo.DEMO / ".holdfast").mkdir(parents=True)
    (demo.DEMO / ".holdfast" / "left over").write_text("")
    before = {p: p.lstat().st_mtime_ns for p in source.rglob("*")}
    assert demo.main([str(source)]) == 0
    shown = capfd.readouterr().out
    assert "All as it should be" in shown
    assert "exit code 5" in shown
    assert {p: p.lstat().st_mtime_ns for p in source.rglob("*")} == before


def test_damage_that_is_not_found_fails_the_demo(
    demo: ModuleType,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(demo, "flip", lambda _: lambda: None)
    assert demo.main([str(source)]) == 1
    assert "exit code 0 instead of 5" in capfd.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        lambda p: (p / "run.sh").write_text("#!/bin/sx\n"),
        lambda p: (p / "run.sh").chmod(0o644),
        lambda p: os.utime(p / "empty", ns=(0, 0)),
        lambda p: (p / "away").unlink(),
        lambda p: (p / "hollow").rmdir(),
        lambda p: (p / "more").write_text(""),
    ],
    ids=["bytes", "mode", "time", "link", "folder", "more"],
)
def test_two_trees_that_differ_fail_the_demo(
    demo: ModuleType, source: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    copy = tmp_path / "copy"
    (source / "pipe").unlink()
    shutil.copytree(source, copy, symlinks=True)
    demo.compare(source, copy)
    change(copy)
    with pytest.raises(demo.DemoError):
        demo.compare(source, copy)


def test_a_folder_without_files_is_refused(demo: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "hollow").mkdir()
    assert demo.main([str(tmp_path / "hollow")]) == 1
    assert demo.main([str(tmp_path / "missing")]) == 1
