"""The schema of a Parquet dataset (§7): fields with one of eight types, or any Arrow schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import SchemaViolation

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = ("int32", "int64", "float32", "float64", "string", "bytes", "bool", "timestamp")
"""Types of a `Field`; a timestamp is an INT64 of nanoseconds, UTC."""

_DOING = "declaring a Parquet schema"


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a schema that the Go implementation reads too.

    Args:
        name: its name, not empty.
        type: one of `TYPES`.
        nullable: whether a record may lack it, or have None there.
    """

    name: str
    type: str
    nullable: bool = False


def check_fields(fields: Sequence[Field]) -> tuple[Field, ...]:
    """The fields, as given. Raises `SchemaViolation` on a bad name or type, or a second column
    of the same name."""
    seen: set[str] = set()
    for field in fields:
        if not isinstance(field, Field):
            raise SchemaViolation(_DOING, found=f"a {type(field).__name__}", expected="a Field")
        if not field.name:
            raise SchemaViolation(_DOING, found="a field without a name")
        if field.name in seen:
            raise SchemaViolation(_DOING, f"field {field.name!r}", found="it is there twice")
        if field.type not in TYPES:
            raise SchemaViolation(
                _DOING, f"field {field.name!r}", found=f"{field.type!r}", expected=", ".join(TYPES)
            )
        try:
            field.name.encode()
        except UnicodeEncodeError:
            raise SchemaViolation(
                _DOING, f"field {field.name!r}", found="a name that is not Unicode"
            ) from None
        seen.add(field.name)
    return tuple(fields)


def arrow_schema(fields: Sequence[Field]) -> pa.Schema:
    """The Arrow schema of the file: columns in the byte order of their names."""
    import pyarrow as pa

    kinds = {
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "string": pa.string(),
        "bytes": pa.binary(),
        "bool": pa.bool_(),
        "timestamp": pa.timestamp("ns", "UTC"),
    }
    ordered = sorted(fields, key=lambda field: field.name.encode())
    return pa.schema([pa.field(f.name, kinds[f.type], f.nullable) for f in ordered])


def check_names(schema: pa.Schema) -> pa.Schema:
    """The schema, if every column has a name of its own, else `SchemaViolation`."""
    names = schema.names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaViolation(_DOING, f"field {twice!r}", found="it is there twice")
    return schema
