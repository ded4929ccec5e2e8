"""What normalising a source gives, whatever the normal form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NormalizedFunction:
    """One function in a normal form (spec/functions.md §3).

    Attributes:
        hash: 64 lowercase hex digits; equal for the same logic in another human language.
        normalized_code: the function under its normal names, imports first, as it is stored.
        name_mapping: normal name → the name in this source.
        alias_mapping: hash of a pool function → the name under which this source calls it.
        docstring: without quotes, "" when there is none.
        normal_form: 1 or 2.
        name: the function's name in this source.
        dependencies: hashes of the pool functions that it imports, ascending.
    """

    hash: str
    normalized_code: str
    name_mapping: dict[str, str]
    alias_mapping: dict[str, str]
    docstring: str
    normal_form: int
    name: str
    dependencies: tuple[str, ...] = ()
