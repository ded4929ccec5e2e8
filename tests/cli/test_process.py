"""The program as a process: terminals, pipes, Ctrl-C, a full disk, completion, start-up."""

from __future__ import annotations

import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.conftest import Command
from holdfast.errors import ExitCode

PROGRAM = str(Path(sys.executable).parent / "holdfast")
ESCAPE = b"\x1b["


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST", "NO_COLOR"))}
    return {**kept, "TERM": "xterm-256color", "HOLDFAST_AUTHOR": "ana", **more}


def on_terminal(*words: str, **env: str) -> tuple[int, bytes]:
    """Exit code and everything shown by a command whose three streams are a terminal."""
    main, side = pty.openpty()
    try:
        child = subprocess.Popen(
            [PROGRAM, *words], stdin=side, stdout=side, stderr=side, env=environment(**env)
        )
        os.close(side)
        side = -1
        shown = b""
        while True:
            try:
                piece = os.read(main, 65536)
            except OSError:  # Linux: EIO when the last writer closes
                break
            if not piece:
                break
            shown += piece
        return child.wait(), shown
    finally:
        os.close(main)
        if side >= 0:
            os.close(side)


def in_pipe(*words: str, limit: Callable[[], None] | None = None) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [PROGRAM, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        check=False,
        preexec_fn=limit,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_terminal_gets_progress_colours_and_the_next_command(made: Path, project: Path) -> None:
    code, shown = on_terminal("ingest", "trips")
    assert code == 0
    assert b"taking in" in shown
    assert b"6 files" in shown
    assert ESCAPE in shown
    assert b"next: holdfast log --project trips" in shown
    shown = on_terminal("-R", str(made), "status")[1]
    assert f"next: holdfast -R {made} log".encode() in shown


def test_no_color_is_respected_on_a_terminal(filled: Path) -> None:
    code, shown = on_terminal("log", NO_COLOR="1")
    assert code == 0
    assert ESCAPE not in shown
    assert b"next: holdfast show" in shown
    assert ESCAPE in on_terminal("log")[1]


def test_a_pipe_gets_no_escape_codes_no_progress_and_no_hints(filled: Path) -> None:
    for words in (["ingest", "trips"], ["log"], ["ls", "trips"], ["verify"], ["status"]):
        code, out, err = in_pipe(*words)
        assert (code, err) == (0, b"")
        assert b"\x1b" not in out
        assert b"next:" not in out


def test_a_terminal_is_spared_binary_but_gets_text(filled: Path) -> None:
    code, shown = on_terminal("get", "trips/data/b.bin")
    assert code == ExitCode.USAGE
    assert b"-o" in shown
    assert b"\x00" not in shown
    assert on_terminal("get", "trips/notes.txt") == (0, b"first\r\n")


def test_a_reader_that_goes_away_is_no_error_message(filled: Path, project: Path) -> None:
    for number in range(3000):
        (project / f"a-file-with-a-long-name-{number}").write_bytes(b"")
    assert in_pipe("ingest", "trips")[0] == 0
    child = subprocess.Popen(
        [PROGRAM, "ls", "trips"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.read(10)
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait() == 141
    child.stderr.close()


def wait_for(path: Path, pattern: str) -> None:
    end = time.monotonic() + 60
    while not any(path.glob(pattern)):
        assert time.monotonic() < end
        select.select([], [], [], 0.005)


@pytest.mark.parametrize("streams", ["pipe", "terminal"])
def test_ctrl_c_of_an_ingest_is_one_line_130_and_a_sound_repository(
    holdfast: Command, made: Path, tmp_path: Path, streams: str
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    # Sparse files take no room here and long to read.
    for number in range(20):
        with (many / f"large-{number}").open("wb") as file:
            file.truncate(1 << 30)
    if streams == "pipe":
        child = subprocess.Popen(
            [PROGRAM, "ingest", "many"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        wait_for(made, "runs/*/*/journal.jsonl")
        child.send_signal(signal.SIGINT)
        _, err = child.communicate()
    else:
        main, side = pty.openpty()
        child = subprocess.Popen(
            [PROGRAM, "ingest", "many"],
            stdin=side,
            stdout=side,
            stderr=side,
            env=environment(),
            start_new_session=True,
        )
        os.close(side)
        wait_for(made, "runs/*/*/journal.jsonl")
        child.send_signal(signal.SIGINT)
        shown = b""
        while True:
            try:
                shown += os.read(main, 65536)
            except OSError:
                break
        os.close(main)
        child.wait()
        err = b"".join(line for line in shown.splitlines(keepends=True) if b"holdfast: " in line)
    assert child.returncode == ExitCode.INTERRUPTED
    assert b"holdfast: interrupted" in err
    assert err.count(b"\n") == 1
    assert holdfast("fsck", "--repair").code == 0
    assert holdfast("verify").code == 0


@pytest.mark.parametrize("show", [in_pipe, on_terminal])
def test_a_run_that_died_is_a_note_on_a_terminal_only(
    made: Path, project: Path, show: Callable[..., tuple[bytes, ...]]
) -> None:
    (project / "large").write_bytes(b"")
    os.truncate(project / "large", 1 << 36)
    child = subprocess.Popen([PROGRAM, "ingest", "trips"], env=environment())
    wait_for(made, "runs/*/*/journal.jsonl")
    child.kill()
    child.wait()
    (project / "large").unlink()
    code, *shown = show("ingest", "trips")
    assert code == 0
    assert shown[-1].count(b"holdfast: note: ") == (show is on_terminal)
    assert show is on_terminal or shown[-1] == b""


def test_a_disk_that_takes_no_more_is_exit_6_and_a_sound_repository(
    holdfast: Command, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "file").write_bytes(os.urandom(1 << 20))
    (tmp_path / "raw").write_bytes(os.urandom(1 << 20))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))

    for words in (["ingest", "big"], ["put", "raw"]):
        code, _, err = in_pipe(*words, limit=limit)
        assert code == ExitCode.STORAGE, err
        assert err.count(b"\n") == 1
    assert holdfast("fsck", "--repair").code == 0
    assert holdfast("verify").code == 0
    assert holdfast("ingest", "big").code == 0


def test_completion_offers_commands_and_options(made: Path) -> None:
    def offered(words: str) -> set[str]:
        done = subprocess.run(
            [PROGRAM],
            env=environment(
                _HOLDFAST_COMPLETE="complete_bash",
                COMP_WORDS=words,
                COMP_CWORD=str(len(words.split(" ")) - 1),
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        return set(done.stdout.split())

    assert offered("holdfast ver") == {"verify"}
    assert "--dry-run" in offered("holdfast gc --")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["log", "-n", "10"]])
def test_start_up_loads_nothing_heavy(filled: Path, words: list[str]) -> None:
    code = (
        "import sys; from holdfast.cli.main import main; code = main(sys.argv[1:]);"
        "print(' '.join(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    heavy = {"numpy", "pyarrow", "duckdb", "obstore", "h5py", "rich", "cryptography", "asyncio"}
    assert not loaded & heavy


def test_output_is_the_same_bytes_in_a_locale_without_utf_8(filled: Path, project: Path) -> None:
    (project / "café\udcff").write_text("x")
    assert in_pipe("ingest", "trips")[0] == 0
    done = subprocess.run(
        [PROGRAM, "ls", "trips"],
        env={**environment(LC_ALL="C"), "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert re.search(rb"caf(\\xe9|\xc3\xa9)\\xff", done.stdout)
