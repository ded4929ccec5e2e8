"""How a command answers: text for people, one JSON value for programs.

Nothing that came from a file name, a message or another stranger's bytes reaches a terminal
unescaped; colours and hints only go to terminals.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from holdfast.errors import from_oserror, one_line

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def is_terminal(stream: TextIO) -> bool:
    """Whether `stream` shows to a person who can see escape codes."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def has_colours(stream: TextIO) -> bool:
    """Whether to colour what goes to `stream` (https://no-color.org)."""
    return (
        is_terminal(stream)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "") not in ("", "dumb")
    )


@contextmanager
def writing() -> Iterator[None]:
    """Turn a failure of standard output (a full disk) into the typed error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        typed = from_oserror(error, "writing to", "standard output")
        typed.hint = "only the answer could not be written; what the command did stays done"
        raise typed from None


def write(text: str) -> None:
    """Write `text` to standard output."""
    with writing():
        sys.stdout.write(text)


@dataclass(frozen=True, slots=True)
class Output:
    """Standard output of one command."""

    json: bool = False

    def value(self, value: dict[str, Any]) -> None:
        """The command's whole answer, with ``--json``: one JSON object, ASCII, one line."""
        import json

        write(json.dumps(value, separators=(",", ":")) + "\n")

    def line(self, text: str = "", style: str | None = None) -> None:
        """One line for people; nothing with ``--json``."""
        if not self.json:
            write(styled(one_line(text), style, sys.stdout) + "\n")

    def result(self, text: str) -> None:
        """One line for people and scripts, never styled."""
        if not self.json:
            write(one_line(text) + "\n")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Aligned columns; a column whose head begins with ``>`` is aligned to the right."""
        if self.json:
            return
        cells = [[one_line(str(cell)) for cell in row] for row in rows]
        right = [name.startswith(">") for name in head]
        names = [name.removeprefix(">") for name in head]
        widths = [max(map(width, column)) for column in zip(names, *cells, strict=True)]
        for number, row in enumerate([names, *cells]):
            parts = [_pad(*part) for part in zip(row, widths, right, strict=True)]
            text = "  ".join(parts).rstrip()
            write(styled(text, None if number else "dim", sys.stdout) + "\n")

    def next(self, command: str) -> None:
        """The next useful command; only when a person looks at both streams."""
        if not self.json and is_terminal(sys.stdout) and is_terminal(sys.stderr):
            sys.stdout.flush()
            text = styled(one_line(f"next: {command}"), "dim", sys.stderr)
            sys.stderr.write(text + "\n")


def styled(text: str, style: str | None, stream: TextIO) -> str:
    """`text` in `style`, where `stream` shows colours."""
    if style is None or not text or not has_colours(stream):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def width(text: str) -> int:
    """How many terminal columns `text` takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _pad(text: str, size: int, right: bool) -> str:
    space = " " * (size - width(text))
    return space + text if right else text + space


def size_text(size: int) -> str:
    """`size` bytes for people: ``999 B``, ``1.5 KiB``."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    units = iter(("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"))
    unit = "B"
    while value >= 1023.95:
        value, unit = value / 1024, next(units)
    return f"{value:.1f} {unit}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 file``, ``2 files``, ``1,234 files``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def path_text(path: bytes | str) -> str:
    """A path of any bytes as text; bytes that are not UTF-8 as ``\\xNN``."""
    return path if isinstance(path, str) else path.decode("utf-8", "backslashreplace")


def path_fields(path: bytes | str, name: str = "path") -> dict[str, str]:
    """The JSON fields of a path: its text and, where it is not UTF-8, ``<name>_b64``."""
    raw = path if isinstance(path, bytes) else os.fsencode(path)
    try:
        return {name: raw.decode("utf-8")}
    except UnicodeDecodeError:
        import base64

        return {name: path_text(raw), f"{name}_b64": base64.b64encode(raw).decode("ascii")}
