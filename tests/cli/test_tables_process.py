"""``dataset`` and ``volume`` as processes: terminals, pipes, Ctrl-C."""

from __future__ import annotations

import io
import signal
import subprocess
from pathlib import Path

import pyarrow as pa

from cli.conftest import Command
from cli.test_process import ESCAPE, PROGRAM, environment, in_pipe, on_terminal, wait_for


def test_a_terminal_gets_a_table_progress_and_the_next_command(made: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,kind\n1,\x1b[31mred\n" + "2,b\n" * 60)
    code, shown = on_terminal("dataset", "write", "days", "a.csv")
    assert code == 0
    assert b"writing days" in shown
    assert b"next: holdfast dataset read days" in shown
    code, shown = on_terminal("dataset", "read", "days", NO_COLOR="1")
    assert code == 0
    assert ESCAPE not in shown
    assert b"The first 50 rows" in shown
    assert len(shown.splitlines()) == 53


def test_a_pipe_gets_rows_and_nothing_else(made: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n" + "2\n" * 60)
    assert in_pipe("dataset", "write", "days", "a.csv")[::2] == (0, b"")
    assert in_pipe("dataset", "read", "days") == (0, b'{"n":2}\n' * 60, b"")


def test_a_terminal_gets_a_shaded_map(made: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    assert in_pipe("volume", "create", "disk", "--length", "1000")[0] == 0
    assert in_pipe("volume", "stage", "disk", "0", "a", "--commit")[0] == 0
    code, shown = on_terminal("volume", "map", "disk", PYTHONUTF8="1")
    assert code == 0
    assert "█".encode() in shown
    assert b"next: holdfast volume resume disk" in shown


def test_ctrl_c_of_a_write_is_one_line_130_and_nothing_visible(
    holdfast: Command, made: Path, tmp_path: Path
) -> None:
    child = subprocess.Popen(
        [PROGRAM, "dataset", "write", "blob", "-", "--format", "raw"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert child.stdin is not None
    child.stdin.write(b"x" * (4 << 20))
    child.stdin.flush()
    wait_for(made, "datasets/blob/.hf-*")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate()
    assert child.returncode == 130
    assert (out, err.count(b"\n")) == (b"", 1)
    assert holdfast("dataset", "list", "--json").json == {"datasets": []}
    assert holdfast("verify").code == 0


def test_a_reader_that_goes_away_is_no_error_message(made: Path, tmp_path: Path) -> None:
    sink = io.BytesIO()
    table = pa.table({"n": range(300_000)})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "a.arrows").write_bytes(sink.getvalue())
    assert in_pipe("dataset", "write", "days", "a.arrows")[0] == 0
    for form in ("jsonl", "csv", "arrow", "parquet"):
        child = subprocess.Popen(
            [PROGRAM, "dataset", "read", "days", "--format", form],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.read(3)
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == 141
        child.stderr.close()
