"""The canonical encoding of a syntax tree: what the hash of normal form 2 is taken over.

The same bytes on every Python (docs/spec/functions.md has the definition and vectors).
"""

from __future__ import annotations

import ast
import struct
from typing import Any

from holdfast.errors import Invalid
from holdfast.functions.normal_form_2.grammar import FIELDS, OPERATORS, node_type

DOMAIN = b"holdfast.function/2\n"

_CONSTANT = 1  # a field that holds a constant, not a node
_VALUES = 2  # the parts of an f-string
_CONSTANT_FIELDS = frozenset({("Constant", "value"), ("MatchSingleton", "value")})


def varint(value: int) -> bytes:
    """`value` ≥ 0 as LEB128: seven bits a byte, lowest first, the high bit on all but the last."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _text(tag: bytes, text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return tag + varint(len(data)) + data


def _head(kind: str) -> bytes:
    return b"(" + varint(len(kind)) + kind.encode()


def _field_mode(kind: str, field: str) -> int:
    if (kind, field) in _CONSTANT_FIELDS:
        return _CONSTANT
    return _VALUES if kind == "JoinedStr" else 0


_TABLE: dict[type[ast.AST], tuple[bytes, tuple[tuple[str, int], ...]]] = {
    cls: (_head(kind), tuple((f, _field_mode(kind, f)) for f in fields))
    for kind, fields in FIELDS.items()
    if (cls := node_type(kind)) is not None
}
_TABLE |= {cls: (_head(kind), ()) for kind in OPERATORS if (cls := node_type(kind)) is not None}

# Later Pythons added these; where they are missing they are empty.
_MISSING: dict[str, Any] = {"type_params": [], "default_value": None}


def encode_ast(node: ast.AST) -> bytes:
    """The canonical encoding of a node, or of a module as the list of its statements.

    Raises:
        Invalid: syntax that normal form 2 does not know.
    """
    out: list[bytes] = []
    if isinstance(node, ast.Module):
        out.append(b"[" + varint(len(node.body)))
        for statement in node.body:
            _node(statement, out)
    else:
        _node(node, out)
    return b"".join(out)


def _node(node: Any, out: list[bytes]) -> None:
    entry = _TABLE.get(node.__class__)
    if entry is None:
        raise Invalid("encoding", "a syntax tree", found=f"unknown node {type(node).__name__}")
    head, fields = entry
    out.append(head)
    for field, mode in fields:
        if mode:
            if mode == _CONSTANT:
                out.append(encode_constant(node.value))
            else:
                _parts(node, out)
            continue
        try:
            value = getattr(node, field)
        except AttributeError:
            value = _MISSING.get(field)
        cls = value.__class__
        if value is None:
            out.append(b"N")
        elif cls is str:
            out.append(_text(b"I", value))
        elif cls is list:
            out.append(b"[" + varint(len(value)))
            for item in value:
                if item is None:
                    out.append(b"N")
                elif item.__class__ is str:
                    out.append(_text(b"I", item))
                else:
                    _node(item, out)
        elif cls is int:
            out.append(encode_constant(value))
        else:
            _node(value, out)


def encode_constant(value: Any) -> bytes:
    """A constant with its type: equal bytes only for constants that no program can tell apart."""
    if type(value) is str:
        return _text(b"s", value)
    if type(value) is int:
        size = (abs(value).bit_length() + 7) // 8
        sign = b"-" if value < 0 else b"+"
        return b"i" + sign + varint(size) + abs(value).to_bytes(size, "big")
    if value is None:
        return b"n"
    if value is True:
        return b"t"
    if value is False:
        return b"u"
    if value is ...:
        return b"e"
    if type(value) is float:
        return b"f" + struct.pack(">d", value)
    if type(value) is complex:
        return b"c" + struct.pack(">dd", value.real, value.imag)
    if type(value) is bytes:
        return b"b" + varint(len(value)) + value
    raise Invalid("encoding", "a constant", found=f"a value of type {type(value).__name__}")


def joined_parts(node: ast.JoinedStr) -> list[str | ast.FormattedValue]:
    """The parts of an f-string: texts merged, none empty, strings inside strings flattened."""
    out: list[str | ast.FormattedValue] = []
    pending = list(reversed(node.values))
    while pending:
        value: Any = pending.pop()
        if isinstance(value, ast.JoinedStr):
            pending.extend(reversed(value.values))
        elif isinstance(value, ast.FormattedValue):
            out.append(value)
        elif isinstance(value, ast.Constant) and isinstance(value.value, str):
            if not value.value:
                continue
            if out and isinstance(out[-1], str):
                out[-1] += value.value
            else:
                out.append(value.value)
        else:
            raise Invalid("encoding", "an f-string", found=f"unknown node {type(value).__name__}")
    return out


def _parts(node: ast.JoinedStr, out: list[bytes]) -> None:
    parts = joined_parts(node)
    out.append(b"[" + varint(len(parts)))
    for part in parts:
        if isinstance(part, str):
            out.append(_text(b"s", part))
        else:
            _node(part, out)
