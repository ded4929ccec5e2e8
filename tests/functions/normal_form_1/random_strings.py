"""Random functions that return strings and f-strings, which are the hard part of printing."""

from __future__ import annotations

import ast
import random
import warnings

_TEXT = [
    *("a", "'", '"', "{{", "}}", " ", "é", "%", "\n", "\t", "\u2028", "\U0001fae8"),
    *("\\n", "\\t", "\\\\", "\\x07", "\\u200b", "\\N{BULLET}", "\\'", '\\"', "\\r", "\\ud800"),
    *("'''", '"""'),
]
_EXPRESSIONS = [
    *("x", "x.y", "1", "-1", "x + 1", "{1: 2}", "{x}", "(x,)", "x, ", "(lambda: 1)", "*a, b"),
    *("x if y else z", "not x", "(y := 1)", "x < y", "x != y", "yield x", "...", "b'a'", "1e999"),
    *("x['k']", 'x["k"]', "x[1:2]", '""', "[i for i in x]", "d[u'u']", "'a' 'b'"),
]
_ENDS = [
    *("", "", "", "!r", "!s", "!a", "!r:>5", "=", "=!s", " = ", "=:>5", ":>10", ":%H:%M", ":{w}"),
    *(":>{w}", ":{w}.{p}", ":", ":{'a'}", ":{w!r}", ":\\n", ":\\\\", ":'", ':"', ":\n", ":{w:x}"),
]
_QUOTES = ["'", '"', '"""', "'''"]


class RandomStrings:
    """Makes sources that this Python parses, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def sources(self, count: int) -> list[str]:
        """That many functions."""
        found: list[str] = []
        while len(found) < count:
            source = self._function()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    tree = ast.parse(source)
                except (SyntaxError, ValueError):
                    continue
            if len(tree.body) == 1:  # a newline outside a string begins another statement
                found.append(source)
        return found

    def _function(self) -> str:
        begin = self._random.choice(["return ", "", "x = ", '"doc"\n    return '])
        return f"def g(x):\n    {begin}{self._string(0)}\n"

    def _text(self) -> str:
        return "".join(self._random.choices(_TEXT, k=self._random.randrange(4)))

    def _expression(self, depth: int) -> str:
        kind = self._random.random()
        if kind < 0.4 or depth > 2:
            return self._random.choice(_EXPRESSIONS)
        if kind < 0.7:
            return self._string(depth + 1)
        return f"x[{self._string(depth + 1)}]"

    def _string(self, depth: int) -> str:
        kind = self._random.random()
        if kind < 0.7:
            return self._fstring(depth)
        if kind < 0.85:
            return self._plain()
        pieces = self._random.choices([self._fstring(depth), self._plain()], k=3)
        return " ".join(pieces)

    def _plain(self) -> str:
        quote = self._random.choice(_QUOTES)
        prefix = self._random.choice(["", "", "r", "u"])
        return f"{prefix}{quote}{self._text().replace('{{', '{')}{quote}"

    def _fstring(self, depth: int) -> str:
        body = ""
        for _ in range(self._random.randrange(4)):
            if self._random.random() < 0.5:
                body += self._text()
            else:
                expression = self._expression(depth)
                body += f"{{ {expression}{self._random.choice(_ENDS)}}}"
        quote = self._random.choice(_QUOTES)
        return f"{self._random.choice(['f', 'f', 'rf', 'F'])}{quote}{body}{quote}"
