"""Replacing a dependency, and with it the callers of what changes (spec/functions.md §2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Integrity, Invalid, NotFound
from holdfast.functions.imports import dependencies_of, replace_dependencies
from holdfast.functions.mapping import Mapping
from holdfast.functions.normal_forms import denormalize, normalize
from holdfast.functions.object_json import FunctionObject
from holdfast.functions.writing import Addition

if TYPE_CHECKING:
    from holdfast.functions.pool import FunctionPool


@dataclass(frozen=True, slots=True)
class Refactored:
    """What a refactoring came to.

    Attributes:
        hash: of the function that now calls the new dependency.
        replaced: old hash → new hash, of it and of all callers, callees first.
        logseq: of the COMMIT; None without a ledger or in a dry run.
    """

    hash: str
    replaced: dict[str, str] = field(default_factory=dict)
    logseq: int | None = None


def graph(pool: FunctionPool) -> dict[str, set[str]]:
    """dependency → its direct callers, over the whole pool. Functions that cannot be read have no
    dependencies: `validate` names them."""
    out: dict[str, set[str]] = {}
    for hash in pool.list():
        try:
            found, _ = pool.reader.object(hash, verify=False)
            needs = dependencies_of(found.normalized_code)
        except HoldfastError:
            continue
        for dependency in needs:
            out.setdefault(dependency, set()).add(hash)
    return out


def callers(pool: FunctionPool, hash: str) -> list[str]:
    """The hashes of the functions that import `hash`, ascending."""
    return sorted(graph(pool).get(hash, ()))


def refactor(
    pool: FunctionPool, what: str, old: str, new: str, *, dry_run: bool = False
) -> Refactored:
    """Make `what` call `new` where it calls `old`, and make everything that calls `what`, directly
    or not, call its replacement. Every mapping of every language goes along, the names of aliases
    included; the old functions stay.

    Raises:
        Invalid: `what` does not call `old`; `new` calls `what`; a function that cannot be
            normalised again (the message names it). Nothing was written.
        NotFound: one of the three is not in the pool.
    """
    pool.check_writable()
    what, old, new = pool.find(what), pool.find(old), pool.find(new)
    if old == new:
        raise Invalid("refactoring", what, found="the same function to replace and to put in")
    by_dependency = graph(pool)
    order = _callers_after_callees(what, by_dependency)
    if new in order:
        raise Invalid(
            "refactoring",
            what,
            found=f"{new} calls it, so it cannot be what it calls",
        )
    replaced = {old: new}
    additions: dict[str, Addition] = {}
    for hash in order:
        changes = {old: new} if hash == what else {}
        for dependency in order:
            if dependency in replaced and hash in by_dependency.get(dependency, ()):
                changes[dependency] = replaced[dependency]
        addition = _changed(pool, hash, changes)
        replaced[hash] = addition.object.hash
        there = additions.setdefault(addition.object.hash, addition)
        there.mappings.update(addition.mappings)
    del replaced[old]
    logseq = None
    if not dry_run:
        _, logseq = pool.write(list(additions.values()), f"refactor {what} {old} {new}")
    return Refactored(replaced[what], replaced, logseq)


def _callers_after_callees(start: str, by_dependency: dict[str, set[str]]) -> list[str]:
    """`start` and everything that calls it, each after all that it calls among them."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        hash = waiting.pop()
        if hash not in reached:
            reached.add(hash)
            waiting += by_dependency.get(hash, ())
    open_callees = dict.fromkeys(reached, 0)
    for hash in reached:
        for caller in by_dependency.get(hash, ()):
            open_callees[caller] += 1
    ready = [start]
    out: list[str] = []
    while ready:
        hash = ready.pop()
        out.append(hash)
        for caller in sorted(by_dependency.get(hash, ()), reverse=True):
            open_callees[caller] -= 1
            if not open_callees[caller]:
                ready.append(caller)
    if len(out) != len(reached):
        # Hashes of contents cannot form a cycle; damaged files can claim one.
        raise Integrity("refactoring", start, found="functions that call each other in a circle")
    return out


def _changed(pool: FunctionPool, hash: str, changes: dict[str, str]) -> Addition:
    """The function with its dependencies replaced, under all its mappings."""
    found, _ = pool.reader.object(hash)
    places = pool.reader.mapping_places(hash)
    if not places:
        raise NotFound("refactoring", hash, found="a function without any mapping")
    out: Addition | None = None
    for place in places:
        mapping = pool.reader.mapping(hash, place)
        source = denormalize(found.normalized_code, found.normal_form, mapping)
        source = replace_dependencies(source, changes)
        functions = normalize(source, found.normal_form, f"{hash}@{place.language}")
        if len(functions) != 1:
            raise Invalid("refactoring", hash, found=f"{len(functions)} functions in one")
        (function,) = functions
        names = Mapping(
            function.docstring, function.name_mapping, function.alias_mapping, mapping.comment
        )
        if out is None:
            out = Addition(_object(pool, found, function.hash, function.normalized_code))
        elif function.hash != out.object.hash:
            raise Invalid(
                "refactoring",
                hash,
                found=f"another function in {place.language!r}",
                hint="its mapping gives a name that means something else; see `validate`",
            )
        out.add(place.language, names)
    assert out is not None
    return out


def _object(pool: FunctionPool, old: FunctionObject, hash: str, code: str) -> FunctionObject:
    from holdfast.clock import rfc3339

    return FunctionObject(
        hash,
        code,
        old.normal_form,
        rfc3339(pool.clock.now_ns()),
        pool.author,
        old.tags,
        tuple(dependencies_of(code)),
    )
