"""Errors are one line, exit codes are the design's, nothing ends in a traceback."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.conftest import Command
from holdfast.cli import entry, history
from holdfast.cli.main import main
from holdfast.cli.session import Session
from holdfast.errors import ExitCode, HoldfastError

COMMANDS = [
    "init",
    "ingest",
    "status",
    "log",
    "show",
    "ls",
    "restore",
    "put",
    "get",
    "tombstone",
    "lift",
    "snapshot",
    "dataset",
    "volume",
    "verify",
    "fsck",
    "gc",
    "export-log",
]
GROUPS = {
    "dataset": [
        "create",
        "write",
        "read",
        "log",
        "diff",
        "scan",
        "export",
        "tag",
        "list",
        "expire",
        "retention",
        "erase-rows",
    ],
    "volume": ["create", "stage", "commit", "read", "map", "resume", "log", "list"],
}


def commands_in(text: str) -> list[str]:
    """The commands that a help lists."""
    shown = text.partition("Commands:")[2].split("\n\n")[0]
    return [line.split()[0] for line in shown.strip().splitlines()]


@pytest.mark.parametrize("name", GROUPS)
def test_the_help_of_a_group_lists_its_commands_in_order(holdfast: Command, name: str) -> None:
    assert commands_in(holdfast(name, "--help").out) == GROUPS[name]


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, names in GROUPS.items() for name in names]
)
def test_every_command_of_a_group_has_the_shared_options(
    holdfast: Command, group: str, name: str
) -> None:
    answer = holdfast(group, name, "--help")
    assert answer.code == 0
    for option in ("--repo", "--json", "--debug"):
        assert option in answer.out


def test_help_lists_every_command_in_order(holdfast: Command) -> None:
    answer = holdfast("--help")
    assert answer.code == 0
    assert commands_in(answer.out) == COMMANDS


def test_no_command_line_at_all_shows_the_help(holdfast: Command) -> None:
    assert holdfast().out == holdfast("--help").out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_and_the_shared_options(holdfast: Command, name: str) -> None:
    answer = holdfast(name, "--help")
    assert answer.code == 0
    for option in ("--repo", "--json", "--debug"):
        assert option in answer.out


def test_the_version_is_one_line(holdfast: Command) -> None:
    from holdfast import __version__

    assert holdfast("--version").out == f"holdfast {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["bogus"],
        ["log", "--bogus"],
        ["put"],
        ["log", "-n", "many"],
        ["log", "-n", "0"],
        ["lift", "asl1:0001:00", "-1"],
        ["show", "-R"],
        ["export-log"],
        ["--repo"],
        ["status", "too", "many"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(holdfast: Command, words: list[str]) -> None:
    answer = holdfast(*words)
    assert answer.code == ExitCode.USAGE
    assert answer.raw == b""
    assert answer.err.startswith("holdfast: ")
    assert answer.err.count("\n") == 1
    assert "--help" in answer.err


def test_a_wrong_command_line_with_json_is_an_error_object(holdfast: Command) -> None:
    error = holdfast("log", "--bogus", "--json").error
    assert error["code"] == "invalid"
    assert error["exit_code"] == 2


def _raise_in_log(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setitem(history.COMMANDS, "log", _command_like_log(fail))


def _command_like_log(body: object) -> object:
    def log(session: Session) -> None:
        body(session)  # type: ignore[operator]

    return log


def every_error() -> list[type[HoldfastError]]:
    found: list[type[HoldfastError]] = []
    waiting: list[type[HoldfastError]] = [HoldfastError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return found


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.code)
def test_each_error_class_has_its_exit_code_and_one_line(
    holdfast: Command, monkeypatch: pytest.MonkeyPatch, kind: type[HoldfastError]
) -> None:
    error = kind("reading", "a\nb\x1b[31m\udcff", found="nothing", offset=7)
    _raise_in_log(monkeypatch, error)
    answer = holdfast("log")
    assert answer.code == kind.exit_code
    assert answer.err == f"holdfast: {error}\n"
    assert "\x1b" not in answer.err
    as_json = holdfast("log", "--json")
    assert as_json.code == kind.exit_code
    assert as_json.error == {**error.to_json(), "exit_code": int(kind.exit_code)}
    assert as_json.raw == b""


def test_an_unforeseen_error_is_one_line_and_exit_1(
    holdfast: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _raise_in_log(monkeypatch, ValueError("two\nlines"))
    answer = holdfast("log")
    assert answer.code == ExitCode.INTERNAL
    assert answer.err.count("\n") == 1
    assert "ValueError" in answer.err
    assert "--debug" in answer.err


def test_debug_shows_the_traceback_before_the_line(
    holdfast: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _raise_in_log(monkeypatch, ValueError("oh"))
    answer = holdfast("log", "--debug")
    assert answer.err.startswith("Traceback")
    assert answer.err.splitlines()[-1].startswith("holdfast: ")


def test_an_operating_system_error_gets_the_class_that_fits_it(
    holdfast: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _raise_in_log(monkeypatch, PermissionError(13, "Permission denied", "/x"))
    answer = holdfast("log")
    assert answer.code == ExitCode.DENIED
    assert "/x" in answer.err


def test_ctrl_c_is_one_line_and_exit_130(
    holdfast: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _raise_in_log(monkeypatch, KeyboardInterrupt())
    answer = holdfast("log")
    assert answer.code == ExitCode.INTERRUPTED
    assert answer.err.startswith("holdfast: interrupted")
    assert answer.err.count("\n") == 1


def test_run_takes_the_process_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["holdfast", "--version"])
    before = signal.getsignal(signal.SIGINT)
    try:
        assert entry.run() == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().out.startswith("holdfast ")


WORDS = st.one_of(
    st.sampled_from(
        [*COMMANDS, "-R", "--repo", "--json", "--debug", "-n", "-o", "--", "-", "--run"]
    ),
    st.sampled_from(["--project", "--model", "run", "commit:1", "asl1:0001:00", "sha256:00", "1"]),
    st.text(st.characters(exclude_characters="\x00"), max_size=12),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(words=st.lists(WORDS, max_size=5))
def test_no_command_line_ends_in_a_traceback(
    words: list[str], holdfast: Command, tmp_path: Path, made: Path
) -> None:
    if "--install-completion" in words:
        return
    kept = {name: os.environ.get(name) for name in ("SHELL",)}
    answer = holdfast(*words)
    assert answer.code in {int(code) for code in ExitCode}
    assert answer.code != ExitCode.INTERNAL, answer.err
    if answer.code and "--debug" not in words:
        assert answer.err.count("\n") == 1
        assert "Traceback" not in answer.err
    assert kept["SHELL"] == os.environ.get("SHELL")


def test_main_never_raises_for_bytes_that_are_not_text(made: Path) -> None:
    assert main(["show", os.fsdecode(b"\xff\xfe")]) == ExitCode.NOT_FOUND
