"""The structure of a pyarrow expression, which pyarrow has no visitor for.

An expression pickles as an Arrow IPC file: its tree is in the metadata of the schema, in prefix
order, and its literals and options are the columns of the only row, with their exact types. So
nothing has to be guessed from text. The metadata repeats keys, of which pyarrow's dict keeps one
each; they are read through the Arrow C data interface, whose layout is fixed. Whatever is not
understood becomes `UNKNOWN`, and whoever reads a tree must take that for "anything".
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

DEEPEST = 200
"""Levels of a tree, chains of ``&`` and ``|`` counted once; deeper ones are not understood."""

CHAINS = frozenset({"and_kleene", "or_kleene"})


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that is not understood."""


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Field:
    """A top-level column."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A value with its Arrow type."""

    value: pa.Scalar


@dataclass(slots=True)
class Call:
    """A function of Arrow's compute library; `options` are a struct, or None."""

    name: str
    args: list[Node] = field(default_factory=list)
    options: pa.StructScalar | None = None


Node: TypeAlias = "Field | Literal | Call | Unknown"


def parse(expression: pc.Expression) -> Node:
    """The tree of an expression; ``and_kleene`` and ``or_kleene`` may have more than two
    arguments."""
    try:
        root = _parse(*_elements(expression))
    except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError):
        # Columns by number, which cannot be pickled, and whatever another Arrow does differently.
        # pa.ArrowException: its classes derive from these.
        return UNKNOWN
    return root if _depth(root) <= DEEPEST else UNKNOWN


def fields_of(node: Node) -> list[str] | None:
    """The columns that a tree names, each once; None where not all of it is understood."""
    names: dict[str, None] = {}
    for part in _walk(node):
        if isinstance(part, Unknown):
            return None
        if isinstance(part, Field):
            names[part.name] = None
    return list(names)


def crashes(node: Node) -> bool:
    """Whether Arrow ends the process when it evaluates a tree: it does where it has to give a null
    of the large types another type."""
    return any(
        isinstance(part, Literal)
        and not part.value.is_valid
        and str(part.value.type) in ("large_string", "large_binary")
        for part in _walk(node)
    )


def _elements(expression: pc.Expression) -> tuple[list[tuple[str, str]], pa.RecordBatch]:
    import pyarrow as pa

    _, (data,) = expression.__reduce__()
    with pa.ipc.open_file(data) as reader:
        batch = reader.get_batch(0)
    return _metadata(batch.schema), batch


class _ArrowSchema(ctypes.Structure):
    """The beginning of ``struct ArrowSchema`` of the Arrow C data interface."""

    _fields_ = (
        ("format", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("metadata", ctypes.c_void_p),
    )


def _metadata(schema: pa.Schema) -> list[tuple[str, str]]:
    """All keys and values of a schema's metadata, in order, repeated keys too."""
    capsule = schema.__arrow_c_schema__()
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    at = _ArrowSchema.from_address(get(capsule, b"arrow_schema")).metadata or 0
    if not at:
        raise ValueError("an expression without a tree")

    def number() -> int:
        nonlocal at
        at += 4
        return ctypes.c_int32.from_address(at - 4).value

    def text() -> str:
        nonlocal at
        length = number()
        at += length
        return ctypes.string_at(at - length, length).decode()

    pairs = [(text(), text()) for _ in range(number())]
    del capsule  # it owns the memory that was read, and had to live until here
    return pairs


def _parse(elements: list[tuple[str, str]], batch: pa.RecordBatch) -> Node:
    top = Call("")
    open_calls = [top]
    items = iter(elements)
    for kind, value in items:
        call = open_calls[-1]
        if kind == "field_ref":
            call.args.append(Field(value))
        elif kind == "nested_field_ref":
            for _ in range(int(value)):
                next(items)
            call.args.append(UNKNOWN)
        elif kind == "literal":
            call.args.append(Literal(batch.column(int(value))[0]))
        elif kind == "call":
            open_calls.append(Call(value))
        elif kind == "options":
            call.options = batch.column(int(value))[0]
        elif kind == "end" and len(open_calls) > 1 and call.name == value:
            open_calls.pop()
            _add(open_calls[-1], call)
        else:
            raise ValueError(f"{kind} in an expression")
    if len(open_calls) != 1 or len(top.args) != 1:
        raise ValueError("an expression that does not end")
    return top.args[0]


def _add(parent: Call, call: Call) -> None:
    # A chain as long as you like becomes one call, which costs no depth.
    if call.name in CHAINS and call.name == parent.name:
        parent.args.extend(call.args)
    else:
        parent.args.append(call)


def _walk(node: Node) -> Iterator[Node]:
    waiting = [node]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Call):
            waiting.extend(reversed(part.args))


def _depth(node: Node) -> int:
    deepest = 0
    waiting: list[tuple[Any, int]] = [(node, 1)]
    while waiting:
        part, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(part, Call):
            waiting.extend((arg, depth + 1) for arg in part.args)
    return deepest
