"""Which files can hold a row that fulfils a condition, decided by the manifest alone (§9.4).

A condition is true, false or null for a row. For each file and each part of the condition the set
of outcomes that its rows can have is computed, as a bit mask that may be too large and is never too
small; a file whose mask lacks "true" is not read. Parts that are not understood can be anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.datasets.bounds import DAY_NS, LAST, Bounds, Kind, Range, exact_texts, literal
from holdfast.datasets.expression import CHAINS, Call, Field, Literal, Node, parse

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

TRUE, FALSE, NULL = 1, 2, 4
ANY = TRUE | FALSE | NULL

_MIRRORED = {
    "equal": "equal",
    "not_equal": "not_equal",
    "less": "greater",
    "less_equal": "greater_equal",
    "greater": "less",
    "greater_equal": "less_equal",
}
_SIGNS = {
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
}
_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}


class Test(Protocol):
    """A part of a condition."""

    def masks(self, bounds: Bounds) -> list[int]:
        """The outcomes that rows of each file can have."""

    def reason(self, bounds: Bounds, file: int) -> str:
        """Why no row of a file can fulfil it, if so."""


def condition(where: pc.Expression) -> Test:
    """The test of a condition."""
    return _test(parse(where))


def possible(masks: Sequence[int]) -> list[bool]:
    """For each mask, whether a row can fulfil the condition. A mask without any outcome means that
    the manifest contradicts itself: such a file is read."""
    return [bool(mask & TRUE) or not mask for mask in masks]


class _Kept(ABC):
    """A test that keeps the outcomes of the snapshot that it saw last."""

    _known: tuple[Bounds, list[int]] | None = None

    def masks(self, bounds: Bounds) -> list[int]:
        known = self._known  # read once: other threads may scan too
        if known is None or known[0] is not bounds:
            known = self._known = (bounds, self._masks(bounds))
        return known[1]

    @abstractmethod
    def _masks(self, bounds: Bounds) -> list[int]:
        """The outcomes for each file."""


@dataclass(eq=False)
class _Constant(_Kept):
    mask: int

    def _masks(self, bounds: Bounds) -> list[int]:
        return [self.mask] * len(bounds.files)

    def reason(self, bounds: Bounds, file: int) -> str:
        return "the condition is never true"


@dataclass(eq=False)
class _Chain(_Kept):
    """``and_kleene`` or ``or_kleene`` of tests."""

    parts: tuple[Test, ...]
    is_and: bool

    def _masks(self, bounds: Bounds) -> list[int]:
        table = _AND if self.is_and else _OR
        out = self.parts[0].masks(bounds)
        for part in self.parts[1:]:
            out = [table[one][other] for one, other in zip(out, part.masks(bounds), strict=True)]
        return out

    def reason(self, bounds: Bounds, file: int) -> str:
        never = [p for p in self.parts if not p.masks(bounds)[file] & TRUE]
        if self.is_and and never:
            return never[0].reason(bounds, file)
        reasons = dict.fromkeys(part.reason(bounds, file) for part in never)
        return "; ".join([*reasons][:3]) + ("; …" if len(reasons) > 3 else "")


@dataclass(eq=False)
class _Not(_Kept):
    part: Test

    def _masks(self, bounds: Bounds) -> list[int]:
        return [_NOT[mask] for mask in self.part.masks(bounds)]

    def reason(self, bounds: Bounds, file: int) -> str:
        if isinstance(self.part, _Column):
            return self.part.why(bounds, file, f"not {self.part.text}")
        return "its opposite is true or null for every row"


@dataclass(eq=False)
class _NullTest(_Kept):
    """``is_null`` or ``is_valid`` of a condition."""

    part: Test
    wants_null: bool

    def _masks(self, bounds: Bounds) -> list[int]:
        yes, no = (TRUE, FALSE) if self.wants_null else (FALSE, TRUE)
        return [
            (yes if mask & NULL else 0) | (no if mask & (TRUE | FALSE) else 0)
            for mask in self.part.masks(bounds)
        ]

    def reason(self, bounds: Bounds, file: int) -> str:
        return f"no row for which it is {'null' if self.wants_null else 'not null'}"


@dataclass(eq=False)
class _Column(_Kept):
    """A test of one column: `outcome` gives the outcomes for a range of values.

    Attributes:
        text: what is asked of the column, for people: ``> 5``.
    """

    name: str
    kind: Kind
    text: str
    outcome: Callable[[Range], int]

    def _masks(self, bounds: Bounds) -> list[int]:
        outcome = self.outcome
        return [outcome(r) for r in bounds.ranges(self.name, self.kind)]

    def reason(self, bounds: Bounds, file: int) -> str:
        return self.why(bounds, file, self.text)

    def why(self, bounds: Bounds, file: int, asked: str) -> str:
        """What the file has, and what was asked."""
        partition = bounds.partition(file, self.name)
        if partition is not None:
            return f"partition {self.name}={_short(partition)} cannot match {asked}"
        stats = bounds.stats(file, self.name)
        if stats is None:
            return f"{self.name} cannot match {asked}"
        if self.kind == "any" or not bounds.ranges(self.name, self.kind)[file].values:
            return f"{self.name}: {stats.null_count} nulls, cannot match {asked}"
        return f"{self.name}: {_short(stats.min)} to {_short(stats.max)}, cannot match {asked}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _said(value: pa.Scalar) -> str:
    try:
        return str(value)
    except (OverflowError, ValueError):  # a time that Python has no word for
        return f"{value.value} as {value.type}"


# From the tree to tests


def _test(node: Node) -> Test:
    if isinstance(node, Literal):
        return _constant(node.value)
    if isinstance(node, Field):
        return _Column(node.name, "bool", "true", _comparing("equal", True, True))
    if not isinstance(node, Call):
        return _Constant(ANY)
    if node.name in CHAINS:
        return _Chain(tuple(_test(arg) for arg in node.args), node.name == "and_kleene")
    if node.name in _SIGNS and len(node.args) == 2:
        return _comparison(node.name, *node.args)
    if len(node.args) != 1:
        return _Constant(ANY)
    (arg,) = node.args
    if node.name == "invert":
        return _Not(_test(arg))
    if node.name in ("is_null", "is_valid"):
        return _null_test(node, arg)
    if node.name == "is_in" and isinstance(arg, Field) and node.options is not None:
        return _is_in(arg.name, node.options)
    if node.name == "starts_with" and isinstance(arg, Field) and node.options is not None:
        return _starts_with(arg.name, node.options)
    return _Constant(ANY)


def _constant(value: pa.Scalar) -> Test:
    known = value.as_py() if str(value.type) == "bool" else NotImplemented
    if not value.is_valid:
        return _Constant(NULL)
    return _Constant(ANY if known is NotImplemented else TRUE if known else FALSE)


def _comparison(name: str, left: Node, right: Node) -> Test:
    if isinstance(left, Literal):
        left, right, name = right, left, _MIRRORED[name]
    if not isinstance(left, Field) or not isinstance(right, Literal):
        return _Constant(ANY)
    value = right.value
    if not value.is_valid:
        return _Constant(NULL)
    kind, found = _values(value.type, [value])
    if kind is None:
        return _Constant(ANY)
    text = (
        f'{_SIGNS[name]} "{_short(value)}"' if kind == "text" else f"{_SIGNS[name]} {_said(value)}"
    )
    if found[0] != found[0]:
        return _Column(left.name, kind, text, _with_nan(name))
    return _Column(left.name, kind, text, _comparing(name, *literal(kind, found[0])))


def _null_test(node: Call, arg: Node) -> Test:
    wants_null = node.name == "is_null"
    if not isinstance(arg, Field):
        return _NullTest(_test(arg), wants_null)
    nan_too = wants_null and (node.options is None or node.options["nan_is_null"].as_py())
    yes, no = (TRUE, FALSE) if wants_null else (FALSE, TRUE)

    def outcome(r: Range) -> int:
        out = (yes if r.nulls else 0) | (no if r.values or r.nan else 0)
        return out | (yes if nan_too and r.nan else 0)

    return _Column(arg.name, "any", "is null" if wants_null else "is not null", outcome)


def _starts_with(name: str, options: pa.StructScalar) -> Test:
    prefix = options["pattern"].as_py()
    if options["ignore_case"].as_py() or not isinstance(prefix, str):
        return _Constant(ANY)

    def outcome(r: Range) -> int:
        out = NULL if r.nulls else 0
        if not r.values:
            return out
        if r.low is None or r.high is None:
            return out | TRUE | FALSE
        if r.high >= prefix and r.low <= prefix + LAST * (len(r.low) + 1):
            out |= TRUE
        return out if r.low.startswith(prefix) and r.high.startswith(prefix) else out | FALSE

    return _Column(name, "text", f'starts with "{_short(prefix)}"', outcome)


def _is_in(name: str, options: pa.StructScalar) -> Test:
    items = options["value_set"].values
    null_matches = options["null_matching_behavior"].as_py()
    kind, found = _values(items.type, items.drop_null())
    # Arrow finds every value of a time in a set of views, nulls too.
    if kind is None or str(items.type) == "string_view":
        return _Constant(ANY)
    spans = sorted(_member(kind, value) for value in found if value == value)
    lows, highs = [low for low, _ in spans], [high for _, high in spans]
    nan = len(spans) < len(found)
    exact = exact_texts(found) if kind == "text" else frozenset()
    # How a null is answered depends on an option, how a miss is on whether the set has a null.
    of_null = FALSE | NULL | (TRUE if items.null_count and null_matches == 0 else 0)
    of_miss = FALSE | (NULL if items.null_count and null_matches == 3 else 0)

    def outcome(r: Range) -> int:
        out = (of_null if r.nulls else 0) | (of_miss | (TRUE if nan else 0) if r.nan else 0)
        if not r.values:
            return out
        if kind == "text" and r.cast not in exact:
            return out | TRUE | of_miss
        at = 0 if r.low is None else bisect_left(highs, r.low)
        if at < len(lows) and (r.high is None or lows[at] <= r.high):
            out |= TRUE
            if kind == "text" and r.low is not None and r.low == r.high:
                return out  # the only value that there is
        return out | of_miss

    return _Column(name, kind, f"in {len(found)} values", outcome)


def _member(kind: Kind, value: Any) -> tuple[Any, Any]:
    # In a column of days, Arrow takes a time in a set for its day.
    return (value - value % DAY_NS, value) if kind == "time" else literal(kind, value)


# Outcomes


def _comparing(name: str, least: Any, greatest: Any) -> Callable[[Range], int]:
    """The outcomes of comparing values with a literal that is between `least` and `greatest`."""
    of_nan = TRUE if name == "not_equal" else FALSE

    def outcome(r: Range) -> int:
        out = (NULL if r.nulls else 0) | (of_nan if r.nan else 0)
        if not r.values:
            return out
        low, high = r.low, r.high
        below = low is None or low < greatest  # a value can be less
        above = high is None or high > least
        equal = (low is None or low <= greatest) and (high is None or high >= least)
        only = low is not None and low == high == least == greatest  # nothing else
        if name == "equal":
            return out | (TRUE if equal else 0) | (0 if only else FALSE)
        if name == "not_equal":
            return out | (FALSE if equal else 0) | (0 if only else TRUE)
        if name == "less":
            return out | (TRUE if below else 0) | (FALSE if above or equal else 0)
        if name == "less_equal":
            return out | (TRUE if below or equal else 0) | (FALSE if above else 0)
        if name == "greater":
            return out | (TRUE if above else 0) | (FALSE if below or equal else 0)
        return out | (TRUE if above or equal else 0) | (FALSE if below else 0)

    return outcome


def _with_nan(name: str) -> Callable[[Range], int]:
    always = TRUE if name == "not_equal" else FALSE
    return lambda r: (NULL if r.nulls else 0) | (always if r.values or r.nan else 0)


def _values(kind: pa.DataType, values: Any) -> tuple[Kind | None, list[Any]]:
    """The kind of literals of a type, and their values; None: a type that is not understood."""
    from pyarrow import types

    if types.is_integer(kind) or types.is_floating(kind):
        return "number", [value.as_py() for value in values]
    if str(kind) in ("string", "large_string", "string_view"):
        return "text", [value.as_py() for value in values]
    if types.is_boolean(kind):
        return "bool", [value.as_py() for value in values]
    if types.is_timestamp(kind):
        return "time", [value.value * _UNIT_NS[kind.unit] for value in values]
    if types.is_date(kind):
        step = 86_400_000_000_000 if types.is_date32(kind) else 1_000_000
        return "time", [value.value * step for value in values]
    return None, []


def _table(function: Callable[[int, int], int]) -> list[list[int]]:
    def combined(one: int, other: int) -> int:
        out = 0
        for a in (TRUE, FALSE, NULL):
            for b in (TRUE, FALSE, NULL):
                if one & a and other & b:
                    out |= function(a, b)
        return out

    return [[combined(one, other) for other in range(8)] for one in range(8)]


def _and(a: int, b: int) -> int:
    return FALSE if FALSE in (a, b) else NULL if NULL in (a, b) else TRUE


def _or(a: int, b: int) -> int:
    return TRUE if TRUE in (a, b) else NULL if NULL in (a, b) else FALSE


_AND = _table(_and)
_OR = _table(_or)
_NOT = [
    mask & NULL | (FALSE if mask & TRUE else 0) | (TRUE if mask & FALSE else 0) for mask in range(8)
]
