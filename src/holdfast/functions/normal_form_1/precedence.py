"""How tightly an expression binds: a looser one inside a tighter place gets parentheses."""

from __future__ import annotations

import ast
from typing import Final

TUPLE: Final = 0
YIELD: Final = 1
TEST: Final = 2
OR: Final = 3
AND: Final = 4
NOT: Final = 5
COMPARE: Final = 6
BIT_OR: Final = 7
BIT_XOR: Final = 8
BIT_AND: Final = 9
SHIFT: Final = 10
SUM: Final = 11
TERM: Final = 12
FACTOR: Final = 13
POWER: Final = 14
AWAIT: Final = 15
ATOM: Final = 16

BINARY: Final[dict[type[ast.AST], tuple[str, int]]] = {
    ast.BitOr: ("|", BIT_OR),
    ast.BitXor: ("^", BIT_XOR),
    ast.BitAnd: ("&", BIT_AND),
    ast.LShift: ("<<", SHIFT),
    ast.RShift: (">>", SHIFT),
    ast.Add: ("+", SUM),
    ast.Sub: ("-", SUM),
    ast.Mult: ("*", TERM),
    ast.MatMult: ("@", TERM),
    ast.Div: ("/", TERM),
    ast.FloorDiv: ("//", TERM),
    ast.Mod: ("%", TERM),
    ast.Pow: ("**", POWER),
}
UNARY: Final[dict[type[ast.AST], tuple[str, int]]] = {
    ast.Not: ("not ", NOT),
    ast.UAdd: ("+", FACTOR),
    ast.USub: ("-", FACTOR),
    ast.Invert: ("~", FACTOR),
}
BOOLEAN: Final[dict[type[ast.AST], tuple[str, int]]] = {
    ast.Or: (" or ", OR),
    ast.And: (" and ", AND),
}
COMPARISON: Final[dict[type[ast.AST], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
