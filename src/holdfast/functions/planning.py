"""From a source to what is to be written: normalised, joined to what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Invalid
from holdfast.functions.language import check_language
from holdfast.functions.layout import Schema
from holdfast.functions.mapping import Mapping
from holdfast.functions.normal_forms import NEWEST, denormalize, normalize
from holdfast.functions.object_json import FunctionObject

if TYPE_CHECKING:
    from holdfast.functions.normalized import NormalizedFunction
    from holdfast.functions.reading import PoolReader


@dataclass(frozen=True, slots=True)
class Source:
    """A Python source to add: its functions are called as in `language`."""

    source: str | bytes
    language: str
    comment: str = ""
    tags: tuple[str, ...] = ()
    filename: str = "<source>"


@dataclass(frozen=True, slots=True)
class Planned:
    """One function of a source."""

    function: NormalizedFunction
    object: FunctionObject
    mapping: Mapping


class Planner:
    """Normalises sources for one pool. Nothing is written."""

    def __init__(self, reader: PoolReader, created: str, author: str) -> None:
        self._reader = reader
        self._created = created
        self._author = author

    def plan(
        self, item: Source, normal_form: int | None, *, look_for_form_1: bool = True
    ) -> list[Planned]:
        """The functions of `item`, callees first.

        With `normal_form` None a function is in normal form 2, unless the same function is in the
        pool in normal form 1 and not in 2: then it joins that one.

        Raises:
            Invalid: a source, language or comment that cannot be kept; the message says why.
        """
        check_language(item.language)
        functions = normalize(item.source, normal_form or NEWEST, item.filename)
        if normal_form is None and look_for_form_1 and len(functions) == 1:
            functions = [self._joined(item, functions[0])]
        return [self._planned(item, function) for function in functions]

    def _joined(self, item: Source, function: NormalizedFunction) -> NormalizedFunction:
        """`function`, or the same in normal form 1 where the pool has it in that one."""
        try:
            (old,) = normalize(item.source, 1, item.filename)
        except HoldfastError:
            return function  # normal form 1 refuses more
        if not self._reader.schemas(old.hash) or self._reader.schemas(function.hash):
            return function
        return old if function.hash in self._newest_hashes(old.hash) else function

    def _newest_hashes(self, hash: str) -> set[str]:
        """The hash that the stored function has in normal form 2, under each of its mappings that
        can be told. In normal form 1 different functions can share a hash: only one that is the
        same in normal form 2 too may be joined (docs/decisions/0752)."""
        out: set[str] = set()
        try:
            found, _ = self._reader.object(hash)
            if found.normal_form != 1:
                return set()
            places = self._reader.mapping_places(hash)
        except HoldfastError:
            return set()
        for place in places:
            try:
                text = denormalize(found.normalized_code, 1, self._reader.mapping(hash, place))
                out.update(f.hash for f in normalize(text))
            except HoldfastError:
                continue
        return out

    def _planned(self, item: Source, function: NormalizedFunction) -> Planned:
        mapping = Mapping(
            function.docstring, function.name_mapping, function.alias_mapping, item.comment
        )
        stored = FunctionObject(
            hash=function.hash,
            normalized_code=function.normalized_code,
            normal_form=function.normal_form,
            created=self._created,
            author=self._author,
            tags=tuple(sorted(set(item.tags))),
            dependencies=function.dependencies,
        )
        try:
            stored.to_bytes()
            mapping.to_bytes()
        except Invalid as error:
            raise Invalid("adding", item.filename, found=error.found) from None
        return Planned(function, stored, mapping)


def pool_has_form_1(reader: PoolReader) -> bool:
    """Whether any function of the pool may be in normal form 1. Reads until it finds one."""
    for hash in reader.hashes():
        try:
            found, schema = reader.object(hash, verify=False)
        except HoldfastError:
            continue
        if schema is not Schema.V1 or found.normal_form == 1:
            return True
    return False
