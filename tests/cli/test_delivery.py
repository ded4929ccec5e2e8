"""New files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from holdfast.cli.delivery import NewFile, to_file
from holdfast.errors import NoSpace, PathExists, StorageFailure


def test_a_file_is_not_there_before_it_is_published(tmp_path: Path) -> None:
    with NewFile(str(tmp_path / "out")) as file:
        file.write(b"half")
        assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_reading_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> object:
        yield b"half"
        raise StorageFailure("reading", "x")

    with pytest.raises(StorageFailure):
        to_file(chunks(), str(tmp_path / "out"))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_whoever_was_faster_keeps_the_name(tmp_path: Path) -> None:
    with NewFile(str(tmp_path / "out")) as file:
        file.write(b"mine")
        (tmp_path / "out").write_bytes(b"theirs")
        with pytest.raises(PathExists):
            file.publish()
    assert (tmp_path / "out").read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) == 1


def refuse(number: int) -> object:
    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


def test_without_hard_links_the_name_is_taken_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    assert to_file([b"a", b"b"], str(tmp_path / "out")) == 2
    assert (tmp_path / "out").read_bytes() == b"ab"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(PathExists):
        to_file([b"c"], str(tmp_path / "out"))


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failure_at_the_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(os, call, refuse(errno.ENOSPC))
    with pytest.raises(NoSpace):
        to_file([b"a"], str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []
