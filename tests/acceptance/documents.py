"""Documents as tests: the commands and programs in them are run, their outputs compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """One command line or program, the line it begins at, and the output it shall give."""

    line: int
    language: str
    source: str
    expected: str | None


def steps(document: Path) -> Iterator[Step]:
    """The steps of a document: each `$ ` line of a ``console`` block, each ``python`` block.

    The output of a command stands below it; that of a program in the ``text`` block that follows.
    """
    text = document.read_text()
    blocks = list(_FENCE.finditer(text))
    for number, block in enumerate(blocks):
        line = text.count("\n", 0, block.start()) + 2
        if block[1] == "python":
            follower = blocks[number + 1] if number + 1 < len(blocks) else None
            between = text[block.end() : follower.start()].strip() if follower else "-"
            shown = follower is not None and follower[1] == "text" and len(between) < 80
            yield Step(line, "python", block[2], follower[2] if shown and follower else None)
        elif block[1] == "console":
            yield from _commands(block[2], line)


def _commands(block: str, line: int) -> Iterator[Step]:
    source: str | None = None
    at, output = line, ""
    for offset, text in enumerate(block.splitlines(keepends=True)):
        if text.startswith("$ "):
            if source is not None:
                yield Step(at, "console", source, output)
            source, at, output = text[2:], line + offset, ""
        elif source is not None and text.startswith("> "):
            source += text[2:]
        else:
            output += text
    if source is not None:
        yield Step(at, "console", source, output)


def matches(expected: str, found: str) -> bool:
    """Whether `found` is `expected`, where ``...`` stands for any text."""
    pattern = ".*?".join(re.escape(part) for part in expected.rstrip("\n").split("..."))
    return re.fullmatch(pattern, found.rstrip("\n"), re.DOTALL) is not None


class Session:
    """A shell whose working folder and variables last from step to step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        home = folder / ".home"
        home.mkdir()
        self._state = home / "state"
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "HOLDFAST_AUTHOR": "ana",
        }
        work = folder / "work"
        work.mkdir()
        self._state.write_text(f"cd '{work}'\n")

    def run(self, step: Step) -> tuple[int, str]:
        """Exit code and output (both streams) of a step."""
        if step.language == "python":
            program = self._state.with_name("program.py")
            program.write_text(step.source)
            script = f"'{sys.executable}' '{program}'"
        else:
            script = step.source
        done = subprocess.run(
            ["bash", "-c", f". '{self._state}'\n{script}\ncode=$?\n"
             f"{{ export -p; echo \"cd '$PWD'\"; }} > '{self._state}'\nexit $code"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout.decode("utf-8", "replace")


def check(document: Path, folder: Path) -> int:
    """Run every step of `document` in a fresh folder; returns how many there were.

    Raises:
        AssertionError: a step failed or gave another output; the message has document and line.
    """
    session = Session(folder)
    number = 0
    for step in steps(document):
        number += 1
        code, output = session.run(step)
        where = f"{document.name}:{step.line}: {step.source.strip()}"
        assert code == 0, f"{where}\nexit code {code}\n{output}"
        if step.expected is not None:
            fits = matches(step.expected, output)
            assert fits, f"{where}\n-- expected\n{step.expected}-- found\n{output}"
    return number
