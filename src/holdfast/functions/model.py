"""What a pool answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.functions.layout import Schema
    from holdfast.functions.mapping import Mapping
    from holdfast.functions.object_json import FunctionObject


@dataclass(frozen=True, slots=True)
class Added:
    """What adding a function, or a mapping of it, came to.

    Attributes:
        name: the function's name in `language`.
        new: whether the function was not in the pool before.
        new_mapping: whether the mapping was not.
        logseq: of the COMMIT; None without a ledger.
    """

    hash: str
    mapping_hash: str
    language: str
    name: str
    normal_form: int
    new: bool
    new_mapping: bool
    logseq: int | None = None


@dataclass(frozen=True, slots=True)
class MappingInfo:
    """A mapping of a function, with what it holds and the layout it lies in."""

    hash: str
    mapping: Mapping
    schema: Schema

    @property
    def comment(self) -> str:
        """Why this variant is there."""
        return self.mapping.comment


@dataclass(frozen=True, slots=True)
class Loaded:
    """A function in one language. `source` is under its names there; `schema` is where it was."""

    hash: str
    language: str
    mapping_hash: str
    source: str
    object: FunctionObject
    mapping: Mapping
    schema: Schema
