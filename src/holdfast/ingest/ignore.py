"""`.holdfastignore`: which entries of a folder are not taken in, by gitignore's rules.

The rules are those of gitignore(5), on bytes: the last pattern of a file that matches decides, a
file deeper in the tree goes before one above it, ``!`` takes an entry in again, a pattern with a
slash inside is anchored to its file's folder, a trailing slash matches folders only, and nothing
below an ignored folder can be taken in again. Why they are translated here: docs/decisions/0501.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

IGNORE_FILE = b".holdfastignore"

_BOM = b"\xef\xbb\xbf"
_CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": rb"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb"\x09-\x0d\x20",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}

_NEVER = rb"(?!)"
_STAR = object()
_STARS = object()
_SLASH = object()


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file. `anchored`: matched against the path below the file's folder,
    else against the name alone."""

    regex: re.Pattern[bytes]
    anchored: bool
    folders_only: bool
    takes_in: bool


class Ignore:
    """The rules that hold in one folder: its own ignore file's, then those of the folders above.

    Args:
        patterns: of this folder's file, in the file's order.
        folder: path of this folder below the root, without a trailing slash (b"" is the root).
        above: the rules of the folder above.
    """

    __slots__ = ("_above", "_patterns", "_start")

    def __init__(
        self, patterns: tuple[Pattern, ...], folder: bytes = b"", above: Ignore | None = None
    ) -> None:
        self._patterns = patterns[::-1]
        self._start = len(folder) + 1 if folder else 0
        self._above = above

    def ignores(self, path: bytes, name: bytes, *, is_folder: bool) -> bool:
        """Whether the entry at `path` (below the root), called `name`, is ignored.

        Only for entries in folders that are not ignored themselves.
        """
        rules: Ignore | None = self
        while rules is not None:
            below = path[rules._start :]
            for pattern in rules._patterns:
                if pattern.folders_only and not is_folder:
                    continue
                if pattern.regex.fullmatch(below if pattern.anchored else name):
                    return not pattern.takes_in
            rules = rules._above
        return False


def parse_ignore_file(data: bytes) -> tuple[Pattern, ...]:
    """The patterns that an ignore file holds; blank lines and comments are none."""
    patterns = []
    for line in data.removeprefix(_BOM).split(b"\n"):
        text = _without_trailing_spaces(line.removesuffix(b"\r"))
        if text and not line.startswith(b"#"):
            patterns.append(_parse_line(text))
    return tuple(patterns)


def _without_trailing_spaces(line: bytes) -> bytes:
    kept = at = 0
    while at < len(line):
        if line[at : at + 1] == b"\\":
            at += 1
            kept = at + 1
        elif line[at : at + 1] != b" ":
            kept = at + 1
        at += 1
    return line[:kept]


@lru_cache(maxsize=4096)
def _parse_line(text: bytes) -> Pattern:
    takes_in = text.startswith(b"!")
    if takes_in:
        text = text[1:]
    folders_only = text.endswith(b"/")
    if folders_only:
        text = text[:-1]
    anchored = b"/" in text
    source = _to_regex(_tokens(text.removeprefix(b"/"))) if text else _NEVER
    return Pattern(re.compile(source, re.DOTALL), anchored, folders_only, takes_in)


def _tokens(text: bytes) -> list[object]:
    """Slashes, stars, and regular expressions (bytes) for one byte each."""
    tokens: list[object] = []
    at = 0
    while at < len(text):
        char = text[at : at + 1]
        at += 1
        if char == b"/":
            tokens.append(_SLASH)
        elif char == b"?":
            tokens.append(rb"[^/]")
        elif char == b"*":
            first = at
            while text[at : at + 1] == b"*":
                at += 1
            tokens.append(_STAR if at == first else _STARS)
        elif char == b"[":
            piece, at = _bracket(text, at)
            tokens.append(piece)
        elif char == b"\\":
            escaped = text[at : at + 1]
            at += 1
            tokens.append(_SLASH if escaped == b"/" else re.escape(escaped) if escaped else _NEVER)
        else:
            tokens.append(re.escape(char))
    return tokens


def _bracket(text: bytes, at: int) -> tuple[bytes, int]:
    """The regular expression of the bracket whose inside starts at `at`, and where it ends. One
    that is not closed, or names an unknown class, matches nothing. It always has a member: a range
    that is empty was begun by one."""
    negated = text[at : at + 1] in (b"!", b"^")
    at += negated
    members: list[bytes] = []
    previous = b""
    first = at
    while at < len(text):
        char = text[at : at + 1]
        if char == b"]" and at > first:
            mark = b"^" if negated else b""
            return b"(?:(?!/)[" + mark + b"".join(members) + b"])", at + 1
        if char == b"[" and text[at + 1 : at + 2] == b":":
            end = text.find(b"]", at + 2)
            if end < 0:
                break
            if end > at + 2 and text[end - 1 : end] == b":":
                known = _CLASSES.get(text[at + 2 : end - 1])
                if known is None:
                    break
                members.append(known)
                previous, at = b"", end + 1
                continue
        if char == b"-" and previous and text[at + 1 : at + 2] not in (b"", b"]"):
            at += 1
            if text[at : at + 1] == b"\\":
                at += 1
            high = text[at : at + 1]
            if not high:
                break
            if previous <= high:
                members.append(_literal(previous) + b"-" + _literal(high))
            previous = b""
        else:
            if char == b"\\":
                at += 1
                char = text[at : at + 1]
                if not char:
                    break
            members.append(_literal(char))
            previous = char
        at += 1
    return _NEVER, len(text)


def _literal(char: bytes) -> bytes:
    return b"\\x%02x" % char[0]


def _to_regex(tokens: list[object]) -> bytes:
    """`**` between slashes spans folders, any other star stays in its component.

    Between two stars the first fit is as good as any later one, so those groups are atomic: a
    pattern of many stars takes polynomial time on no name.
    """
    runs: list[list[bytes]] = [[]]
    for component in _split(tokens, _SLASH):
        if component == [_STARS]:
            if len(runs) == 1 or runs[-1]:
                runs.append([])
        else:
            runs[-1].append(_component(component))
    if len(runs) == 1:
        return b"/".join(runs[0])
    head = b"".join(piece + b"/" for piece in runs[0])
    middle = b"".join(
        rb"(?>(?:[^/]*/)*?" + b"".join(piece + b"/" for piece in run) + b")" for run in runs[1:-1]
    )
    tail = rb"(?:[^/]*/)*" + b"/".join(runs[-1]) if runs[-1] else rb".*"
    return head + middle + tail


def _component(tokens: list[object]) -> bytes:
    pieces = [b"".join(t for t in part if isinstance(t, bytes)) for part in _split_stars(tokens)]
    if len(pieces) == 1:
        return pieces[0]
    middle = b"".join(rb"(?>[^/]*?" + piece + b")" for piece in pieces[1:-1])
    return pieces[0] + middle + rb"[^/]*" + pieces[-1]


def _split_stars(tokens: list[object]) -> list[list[object]]:
    return _split([_STAR if token is _STARS else token for token in tokens], _STAR)


def _split(tokens: list[object], at: object) -> list[list[object]]:
    parts: list[list[object]] = [[]]
    for token in tokens:
        if token is at:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
