"""What ``HASH[@LANGUAGE[@MAPPING]]`` shows (spec/functions.md §2)."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from holdfast.errors import Invalid, NotFound, one_line
from holdfast.functions.language import check_language
from holdfast.functions.layout import Schema

if TYPE_CHECKING:
    from holdfast.functions.model import Loaded
    from holdfast.functions.pool import FunctionPool
    from holdfast.functions.reading import MappingPlace, PoolReader


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of a menu: what to give to `show`, and why one would."""

    what: str
    comment: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Code, or a menu.

    Attributes:
        text: what to print, ends with a newline.
        kind: "code", "mappings" (choose one) or "languages" (choose one).
        choices: the lines of the menu.
        schema: the layout it was read from; `Schema.V0` calls for a warning.
        loaded: with code: the function.
    """

    hash: str
    text: str
    kind: Literal["code", "mappings", "languages"]
    schema: Schema
    choices: list[Choice] = field(default_factory=list)
    loaded: Loaded | None = None


def resolve(reader: PoolReader, what: str) -> tuple[str, str | None, list[MappingPlace]]:
    """(hash, language or None, the mappings that are meant) of ``HASH[@LANGUAGE[@MAPPING]]``.
    Prefixes of hashes are accepted. A language may hold ``@`` itself.

    Raises:
        NotFound: no such function, language or mapping.
        Invalid: not of that form, or an ambiguous prefix.
    """
    prefix, at, rest = what.partition("@")
    hash = reader.find(prefix)
    places = reader.mapping_places(hash)
    if not at:
        return hash, None, places
    if not rest:
        raise Invalid("reading", what, found="no language after @", expected="HASH@LANGUAGE")
    if not any(p.language == rest for p in places) and "@" in rest:
        language, _, mapping = rest.rpartition("@")
        of_language = [p for p in places if p.language == language]
        if of_language:
            return hash, language, [_one_mapping(of_language, mapping, what)]
    check_language(rest)
    found = [p for p in places if p.language == rest]
    if not found:
        languages = ", ".join(sorted({p.language for p in places})) or "none"
        raise NotFound(
            "looking for a mapping of",
            hash,
            found=f"none in the language {rest!r}",
            hint=f"it has: {languages}",
        )
    return hash, rest, found


def _one_mapping(places: list[MappingPlace], prefix: str, what: str) -> MappingPlace:
    found = [p for p in places if prefix and p.hash.startswith(prefix)]
    if not found:
        hint = "it has: " + ", ".join(p.hash for p in places)
        raise NotFound("looking for the mapping", what, hint=hint)
    if len(found) > 1:
        raise Invalid(
            "looking for the mapping",
            what,
            found=", ".join(p.hash for p in found),
            hint="give more digits",
        )
    return found[0]


def show(pool: FunctionPool, what: str, command: str) -> Shown:
    """The code when one mapping is meant, else a menu of commands to copy: full hashes, `command`
    as it was invoked, the comment behind it."""
    hash, language, places = resolve(pool.reader, what)
    if language is not None and len(places) == 1:
        loaded = pool.load_place(hash, places[0])
        text = loaded.source if loaded.source.endswith("\n") else loaded.source + "\n"
        return Shown(hash, text, "code", loaded.schema, loaded=loaded)
    schema = pool.reader.schemas(hash)[0]
    if language is None:
        counts: dict[str, int] = {}
        for place in places:
            counts[place.language] = counts.get(place.language, 0) + 1
        choices = [
            Choice(f"{hash}@{name}", "" if counts[name] == 1 else f"{counts[name]} mappings")
            for name in sorted(counts)
        ]
        title = "Languages of this function. Please choose one:"
        return Shown(hash, _menu(title, command, choices), "languages", schema, choices)
    choices = [
        Choice(f"{hash}@{language}@{p.hash}", pool.reader.mapping(hash, p).comment) for p in places
    ]
    title = f"Multiple mappings found for {language!r}. Please choose one:"
    return Shown(hash, _menu(title, command, choices), "mappings", schema, choices)


def _menu(title: str, command: str, choices: list[Choice]) -> str:
    lines = [title, ""]
    for choice in choices:
        line = f"{command} {shlex.quote(choice.what)}"
        # On one line: what follows a line break would be a command of its own when pasted.
        lines.append(f"{line}  # {one_line(choice.comment)}" if choice.comment else line)
    return "\n".join(lines) + "\n"
