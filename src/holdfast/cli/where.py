"""The condition language of ``--where``: a small, safe part of what SQL says.

::

    day >= '2024-01-02' and (n > 5 or kind in ('a', 'b')) and not done and note is not null

Columns are bare words or ``"in double quotes"``; literals are numbers, ``'text'`` (a quote in it is
doubled), ``true``, ``false``, ``date '2024-01-02'`` and ``timestamp '2024-01-02T03:04:05Z'``. Words
of the language may be written in upper case. Nothing is evaluated but comparisons.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.errors import HoldfastError, Invalid

if TYPE_CHECKING:
    import pyarrow.compute as pc

MAX_LENGTH = 65_536
"""Characters of a condition."""

MAX_DEPTH = 50
"""Parentheses and ``not`` within each other."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")+")
      | (?P<word>[^\W\d]\w*)
      | (?P<sign><=|>=|<>|!=|==|[=<>(),+-])
    )""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = frozenset(("and", "or", "not", "in", "is", "null", "true", "false"))
_DOING = "reading --where"
_LITERAL = "a number, 'text', true, false, date '…' or timestamp '…'"


def parse_where(text: str) -> pc.Expression:
    """The condition as a pyarrow expression.

    Raises:
        Invalid: not a condition; the message says at which character.
    """
    return _Parser(text).parse()


class _Token:
    __slots__ = ("at", "kind", "text")

    def __init__(self, kind: str, text: str, at: int) -> None:
        self.kind = kind
        self.text = text
        self.at = at


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise Invalid(_DOING, found=f"{len(text)} characters", expected=f"at most {MAX_LENGTH}")
        self._text = text
        self._tokens = list(self._cut())
        self._next = 0
        self._depth = 0

    def parse(self) -> pc.Expression:
        found = self._either()
        if self._peek().kind != "end":
            raise self._refused(expected="and, or, or the end")
        return found

    # Grammar

    def _either(self) -> pc.Expression:
        return self._chain("or", self._both, operator.or_)

    def _both(self) -> pc.Expression:
        return self._chain("and", self._not, operator.and_)

    def _chain(
        self, word: str, part: Callable[[], pc.Expression], join: Callable[[Any, Any], Any]
    ) -> pc.Expression:
        parts = [part()]
        while self._take_word(word):
            parts.append(part())
        # As a balanced tree: whoever walks it goes log n deep.
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=False)
            odd = parts[-1:] if len(parts) % 2 else []
            parts = [join(a, b) for a, b in pairs] + odd
        return parts[0]

    def _not(self) -> pc.Expression:
        if not self._take_word("not"):
            return self._predicate()
        self._deeper()
        found = ~self._not()
        self._depth -= 1
        return found

    def _predicate(self) -> pc.Expression:
        if self._take("("):
            self._deeper()
            found = self._either()
            self._depth -= 1
            if not self._take(")"):
                raise self._refused(expected="a closing parenthesis")
            return found
        at = self._peek()
        left, is_column = self._operand()
        sign = self._peek()
        if sign.kind == "sign" and sign.text in _COMPARE:
            self._next += 1
            if self._is_word("null"):
                raise self._refused(expected=_LITERAL, hint="null is asked for with `is null`")
            right, other = self._operand()
            if not (is_column or other):
                raise self._refused(at, expected="a column on one of the sides")
            return _COMPARE[sign.text](left, right)
        if not is_column:
            raise self._refused(at, expected="a column")
        if self._take_word("is"):
            negative = self._take_word("not")
            if not self._take_word("null"):
                raise self._refused(expected="null or not null")
            return left.is_valid() if negative else left.is_null()
        negative = self._take_word("not")
        if self._take_word("in"):
            found = self._in(left)
            return ~found if negative else found
        if negative:
            raise self._refused(expected="in")
        return left

    def _in(self, column: pc.Expression) -> pc.Expression:
        import pyarrow as pa

        if not self._take("("):
            raise self._refused(expected="a list in parentheses")
        at = self._peek()
        values = [self._literal()]
        while self._take(","):
            values.append(self._literal())
        if not self._take(")"):
            raise self._refused(expected="a comma or a closing parenthesis")
        try:
            kind = _common(values)
            return column.isin(pa.array([value.cast(kind) for value in values], kind))
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            raise self._refused(at, expected="values of one type") from None

    def _operand(self) -> tuple[Any, bool]:
        """A column or a literal, and whether it is a column."""
        import pyarrow.compute as pc

        token = self._peek()
        if token.kind == "quoted":
            self._next += 1
            return pc.field(token.text[1:-1].replace('""', '"')), True
        if token.kind == "word" and token.text.lower() not in _WORDS:
            after = self._tokens[self._next + 1]
            if not (token.text.lower() in ("date", "timestamp") and after.kind == "text"):
                self._next += 1
                return pc.field(token.text), True
        return pc.scalar(self._literal()), False

    def _literal(self) -> Any:
        import pyarrow as pa

        token = self._peek()
        self._next += 1
        word = token.text.lower() if token.kind == "word" else ""
        if token.kind == "text":
            return pa.scalar(_unquoted(token.text))
        if word in ("true", "false"):
            return pa.scalar(word == "true")
        if word in ("date", "timestamp") and self._peek().kind == "text":
            return self._time(word)
        sign = 1
        if token.kind == "sign" and token.text in ("-", "+"):
            sign = -1 if token.text == "-" else 1
            token = self._peek()
            self._next += 1
        if token.kind == "number":
            return self._number(token, sign)
        self._next -= 1
        raise self._refused(token, expected=_LITERAL)

    def _number(self, token: _Token, sign: int) -> Any:
        import pyarrow as pa

        if not token.text.isdigit():
            if math.isfinite(found := float(token.text)):
                return pa.scalar(sign * found)
        elif len(token.text) <= 20:
            value = sign * int(token.text)
            if -(1 << 63) <= value < 1 << 63:
                return pa.scalar(value, pa.int64())
            if 0 <= value < 1 << 64:
                return pa.scalar(value, pa.uint64())
        raise self._refused(token, expected="a number of 64 bits")

    def _time(self, word: str) -> Any:
        import datetime

        import pyarrow as pa

        from holdfast.clock import parse_rfc3339

        token = self._peek()
        self._next += 1
        text = _unquoted(token.text)
        try:
            if word == "date":
                return pa.scalar(datetime.date.fromisoformat(text), pa.date32())
            kind = pa.timestamp("ns", "UTC")
            return pa.scalar(parse_rfc3339(text), pa.int64()).cast(kind)
        except (HoldfastError, ValueError, OverflowError, pa.ArrowException):
            form = "2024-01-02" if word == "date" else "2024-01-02T03:04:05Z, with a zone"
            raise self._refused(token, expected=f"as in {form}") from None

    # Tokens

    def _cut(self) -> Iterator[_Token]:
        at, text = 0, self._text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                rest = text[at:].lstrip()
                raise self._refused(_Token("odd", rest[:20], len(text) - len(rest)))
            kind = match.lastgroup or ""
            yield _Token(kind, match[kind], match.start(kind))
            at = match.end()
        yield _Token("end", "", len(text))

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _is_word(self, word: str) -> bool:
        token = self._peek()
        return token.kind == "word" and token.text.lower() == word

    def _take_word(self, word: str) -> bool:
        found = self._is_word(word)
        self._next += found
        return found

    def _take(self, sign: str) -> bool:
        token = self._peek()
        found = token.kind == "sign" and token.text == sign
        self._next += found
        return found

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._refused(expected=f"at most {MAX_DEPTH} parentheses within each other")

    def _refused(
        self, token: _Token | None = None, *, expected: str = "", hint: str = ""
    ) -> Invalid:
        token = token or self._peek()
        found = repr(token.text) if token.text else "the end"
        return Invalid(
            _DOING,
            repr(self._text[:200]),
            found=f"{found} at character {token.at + 1}",
            expected=expected,
            hint=hint,
        )


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _common(values: Sequence[Any]) -> Any:
    """The type of a list of literals: floating where a number is. Raises `ValueError`."""
    import pyarrow as pa

    kinds = {value.type for value in values}
    if len(kinds) == 1:
        return values[0].type
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        if any(pa.types.is_floating(kind) for kind in kinds):
            return pa.float64()
        return pa.int64()
    raise ValueError("no common type")
