"""Giving a function names in another language (spec/functions.md §2)."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING

from holdfast.errors import Invalid
from holdfast.functions.language import check_language
from holdfast.functions.mapping import Mapping
from holdfast.functions.names import check_names, check_round_trip

if TYPE_CHECKING:
    from holdfast.functions.object_json import FunctionObject
    from holdfast.functions.pool import FunctionPool


def translated(
    pool: FunctionPool,
    what: str,
    language: str,
    names: MappingOf[str, str],
    *,
    docstring: str,
    aliases: MappingOf[str, str] | None,
    comment: str,
) -> tuple[FunctionObject, Mapping]:
    """The function that `what` names and its mapping in `language`; nothing is written. See
    `FunctionPool.translate`."""
    check_language(language)
    loaded = pool.load(what)
    known = loaded.mapping
    unknown = sorted(set(names) - set(known.name_mapping.values()))
    if unknown:
        raise Invalid(
            "translating",
            what,
            found=f"no name {', '.join(map(repr, unknown[:8]))} in {loaded.language!r}",
            expected=", ".join(sorted(known.name_mapping.values())),
        )
    strange = sorted(set(aliases or {}) - set(known.alias_mapping))
    if strange:
        raise Invalid(
            "translating",
            what,
            found=f"no dependency {', '.join(strange[:8])}",
            expected=", ".join(sorted(known.alias_mapping)) or "none",
        )
    mapping = Mapping(
        docstring,
        {normal: names.get(name, name) for normal, name in known.name_mapping.items()},
        {**known.alias_mapping, **(aliases or {})},
        comment,
    )
    target = f"{loaded.hash}@{language}"
    check_names(mapping, target)
    check_round_trip(loaded.object, mapping, target)
    return loaded.object, mapping
