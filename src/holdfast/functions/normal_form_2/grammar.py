"""The syntax that normal form 2 knows: every node kind and its fields, in reading order.

Frozen: the canonical encoding (`encode`) writes the fields of a node in this order, and names are
numbered along it (docs/spec/functions.md). A field that a Python does not have yet, such as
``type_params`` before 3.12, reads as empty. Left out on purpose: positions, ``ctx`` (the place
says it), ``type_comment``, and ``kind`` of a constant (the prefix ``u``).
"""

from __future__ import annotations

import ast
from typing import Any

FIELDS: dict[str, tuple[str, ...]] = {
    "FunctionDef": ("decorator_list", "name", "type_params", "args", "returns", "body"),
    "AsyncFunctionDef": ("decorator_list", "name", "type_params", "args", "returns", "body"),
    "ClassDef": ("decorator_list", "name", "type_params", "bases", "keywords", "body"),
    "Return": ("value",),
    "Delete": ("targets",),
    "Assign": ("targets", "value"),
    "TypeAlias": ("name", "type_params", "value"),
    "AugAssign": ("target", "op", "value"),
    "AnnAssign": ("target", "annotation", "value", "simple"),
    "For": ("target", "iter", "body", "orelse"),
    "AsyncFor": ("target", "iter", "body", "orelse"),
    "While": ("test", "body", "orelse"),
    "If": ("test", "body", "orelse"),
    "With": ("items", "body"),
    "AsyncWith": ("items", "body"),
    "Match": ("subject", "cases"),
    "Raise": ("exc", "cause"),
    "Try": ("body", "handlers", "orelse", "finalbody"),
    "TryStar": ("body", "handlers", "orelse", "finalbody"),
    "Assert": ("test", "msg"),
    "Import": ("names",),
    "ImportFrom": ("level", "module", "names"),
    "Global": ("names",),
    "Nonlocal": ("names",),
    "Expr": ("value",),
    "Pass": (),
    "Break": (),
    "Continue": (),
    "BoolOp": ("op", "values"),
    "NamedExpr": ("target", "value"),
    "BinOp": ("left", "op", "right"),
    "UnaryOp": ("op", "operand"),
    "Lambda": ("args", "body"),
    "IfExp": ("body", "test", "orelse"),
    "Dict": ("keys", "values"),
    "Set": ("elts",),
    "ListComp": ("elt", "generators"),
    "SetComp": ("elt", "generators"),
    "DictComp": ("key", "value", "generators"),
    "GeneratorExp": ("elt", "generators"),
    "Await": ("value",),
    "Yield": ("value",),
    "YieldFrom": ("value",),
    "Compare": ("left", "ops", "comparators"),
    "Call": ("func", "args", "keywords"),
    "FormattedValue": ("value", "conversion", "format_spec"),
    "JoinedStr": ("values",),
    "Constant": ("value",),
    "Attribute": ("value", "attr"),
    "Subscript": ("value", "slice"),
    "Starred": ("value",),
    "Name": ("id",),
    "List": ("elts",),
    "Tuple": ("elts",),
    "Slice": ("lower", "upper", "step"),
    "comprehension": ("target", "iter", "ifs", "is_async"),
    "ExceptHandler": ("type", "name", "body"),
    "arguments": (
        "posonlyargs",
        "args",
        "vararg",
        "kwonlyargs",
        "kwarg",
        "defaults",
        "kw_defaults",
    ),
    "arg": ("arg", "annotation"),
    "keyword": ("arg", "value"),
    "alias": ("name", "asname"),
    "withitem": ("context_expr", "optional_vars"),
    "match_case": ("pattern", "guard", "body"),
    "MatchValue": ("value",),
    "MatchSingleton": ("value",),
    "MatchSequence": ("patterns",),
    "MatchMapping": ("keys", "patterns", "rest"),
    "MatchClass": ("cls", "patterns", "kwd_attrs", "kwd_patterns"),
    "MatchStar": ("name",),
    "MatchAs": ("pattern", "name"),
    "MatchOr": ("patterns",),
    "TypeVar": ("name", "bound", "default_value"),
    "ParamSpec": ("name", "default_value"),
    "TypeVarTuple": ("name", "default_value"),
}

OPERATORS = (
    *("And", "Or", "Not", "Invert", "UAdd", "USub"),
    *("Add", "Sub", "Mult", "MatMult", "Div", "Mod", "Pow", "FloorDiv"),
    *("LShift", "RShift", "BitOr", "BitXor", "BitAnd"),
    *("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE", "Is", "IsNot", "In", "NotIn"),
)

# Fields that never hold a node: what walks the tree for names steps over them.
_PLAIN = frozenset(
    {
        *("name", "attr", "id", "arg", "asname", "level", "module", "simple", "is_async"),
        *("conversion", "rest", "kwd_attrs", "op", "ops"),
    }
)


def node_type(kind: str) -> type[ast.AST] | None:
    """The class of a node kind, None where this Python does not have it."""
    found: Any = getattr(ast, kind, None)
    return found if isinstance(found, type) and issubclass(found, ast.AST) else None


def children_by_type() -> dict[type[ast.AST], tuple[str, ...]]:
    """For every node class of this Python the fields that may hold nodes, in reading order."""
    out: dict[type[ast.AST], tuple[str, ...]] = {}
    for kind, fields in FIELDS.items():
        cls = node_type(kind)
        if cls is None:
            continue
        if kind in ("Constant", "MatchSingleton", "Global", "Nonlocal", "Import", "ImportFrom"):
            out[cls] = ()
        else:
            plain = _PLAIN - {"name"} if kind == "TypeAlias" else _PLAIN
            out[cls] = tuple(f for f in fields if f not in plain and f in cls._fields)
    return out
