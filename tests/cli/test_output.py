"""What goes to people and what to programs."""

from __future__ import annotations

import os
import sys

import pytest

from holdfast.cli.output import (
    Output,
    count,
    has_colours,
    path_fields,
    path_text,
    size_text,
    styled,
    width,
)


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (2**64, "16.0 EiB"),
    ],
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert size_text(size) == text


def test_counts_agree_with_their_noun() -> None:
    assert [count(n, "file") for n in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]


def test_control_characters_never_reach_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output()
    out.line("a\x1b[31mb\nc\r\u202e")
    out.table(["name"], [["x\x07\x9b\udcff"]])
    text = capsys.readouterr().out
    assert text.splitlines() == ["a\\x1b[31mb\\nc\\r\\u202e", "name", "x\\x07\\x9b\\udcff"]


def test_columns_line_up_also_with_wide_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table([">n", "name", "x"], [[1, "日本", "a"], [22, "abcdef", "b"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [" n  name    x", " 1  日本    a", "22  abcdef  b"]
    assert {width(line) for line in lines} == {13}


def test_nothing_for_people_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(json=True)
    out.line("a")
    out.result("b")
    out.table(["c"], [["d"]])
    out.next("e")
    assert capsys.readouterr() == ("", "")


def test_no_colours_in_a_pipe() -> None:
    assert styled("a", "red", sys.stdout) == "a"


def test_colours_on_a_terminal_unless_asked_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert has_colours(Terminal())  # type: ignore[arg-type]
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colours(Terminal())  # type: ignore[arg-type]
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colours(Terminal())  # type: ignore[arg-type]


def test_a_path_that_is_not_utf_8_carries_its_bytes_in_json() -> None:
    assert path_fields(b"caf\xc3\xa9") == {"path": "caf\u00e9"}
    assert path_fields(b"a\xff") == {"path": "a\\xff", "path_b64": "Yf8="}
    assert path_fields(os.fsdecode(b"a\xff"), "output")["output_b64"] == "Yf8="
    assert path_text(b"a\xff") == "a\\xff"
