"""Reading a pool in all its layouts (spec/functions.md §1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import Integrity, Invalid, NotFound
from holdfast.functions.identity import recompute_hash
from holdfast.functions.language import decode_folder, needs_file, parse_language_file
from holdfast.functions.layout import Layout, Schema, check_hash, parse_path
from holdfast.functions.mapping import Mapping, check_mapping_hash
from holdfast.functions.object_json import FunctionObject, is_hash
from holdfast.functions.schema_v0 import FunctionV0

if TYPE_CHECKING:
    from holdfast.store.protocol import Store

_PREFIX = re.compile(r"[0-9a-f]{1,64}\Z")
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class MappingPlace:
    """Where a mapping of a function lies; in v0 `path` is the function's one file."""

    language: str
    hash: str
    path: str
    schema: Schema


class PoolReader:
    """The functions below `prefix` of a store. Nothing is remembered between calls: other programs
    may add at any time."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store = store
        self.layout = Layout(prefix)

    def find(self, prefix: str) -> str:
        """The one function whose hash begins with `prefix`.

        Raises:
            Invalid: not hex, or the beginning of several hashes.
            NotFound: of none.
        """
        if not _PREFIX.match(prefix):
            expected = "a hash: up to 64 lowercase hex digits"
            raise Invalid("looking for the function", repr(prefix)[:80], expected=expected)
        if len(prefix) == 64:
            if not self.schemas(prefix):
                raise _not_found(prefix)
            return prefix
        found = sorted({hash for hash in self.hashes(prefix) if hash.startswith(prefix)})
        if not found:
            raise _not_found(prefix)
        if len(found) > 1:
            shown = ", ".join(found[:_SHOWN]) + (" …" if len(found) > _SHOWN else "")
            raise Invalid(
                "looking for the function",
                prefix,
                found=f"{len(found)} functions: {shown}",
                hint="give more digits",
            )
        return found[0]

    def hashes(self, prefix: str = "", *, unfinished: bool = False) -> Iterator[str]:
        """The hashes of all functions, ascending; with `prefix` at least those that begin with it.
        With `unfinished` also folders that have no object (yet)."""
        top = prefix[:2]
        folders: set[str] = set()
        for where in (self.layout.objects, self.layout.original):
            names = self.store.children(where)[0]
            folders.update(n for n in names if len(n) == 2 and n.startswith(top))
        for two in sorted(folders):
            yield from self._hashes_below(two, unfinished)

    def schemas(self, hash: str) -> list[Schema]:
        """The layouts in which the function is there, the newest first."""
        return [s for s in Schema if self.store.exists(self.layout.object(hash, s))]

    def object(self, hash: str, *, verify: bool = True) -> tuple[FunctionObject, Schema]:
        """The function's object, from the newest layout that has it; `verify` holds the code
        against the hash.

        Raises:
            NotFound: no such function.
            ManifestInvalid, Unsupported: an object that cannot be read.
            Integrity: `verify`, and the code has another hash.
        """
        for schema in Schema:
            path = self.layout.object(hash, schema)
            try:
                data = self.store.get(path)
            except NotFound:
                continue
            found = self._decode(data, hash, path, schema)
            if verify:
                check_code(found, path)
            return found, schema
        raise _not_found(hash)

    def mapping_places(self, hash: str) -> list[MappingPlace]:
        """Every mapping of the function, by language and hash; one that lies in several layouts is
        given once, in the newest. What lies below an object that is not there (yet) is none: a dead
        process may have left it torn."""
        out: dict[tuple[str, str], MappingPlace] = {}
        for schema in (Schema.V1, Schema.ORIGINAL):
            if not self.store.exists(self.layout.object(hash, schema)):
                continue
            for place in self._places(hash, schema):
                out.setdefault((place.language, place.hash), place)
        path = self.layout.object(hash, Schema.V0)
        try:
            old = FunctionV0.from_bytes(self.store.get(path), hash, path)
        except NotFound:
            pass
        else:
            for language, mapping in old.mappings.items():
                place = MappingPlace(language, mapping.hash, path, Schema.V0)
                out.setdefault((language, place.hash), place)
        return [out[key] for key in sorted(out)]

    def mapping(self, hash: str, place: MappingPlace) -> Mapping:
        """The mapping at `place`, held against its hash.

        Raises:
            NotFound, ManifestInvalid
        """
        data = self.store.get(place.path)
        if place.schema is Schema.V0:
            mapping = FunctionV0.from_bytes(data, hash, place.path).mappings[place.language]
        else:
            mapping = Mapping.from_bytes(data, place.path)
        check_mapping_hash(mapping, place.hash, place.path)
        return mapping

    def _hashes_below(self, two: str, unfinished: bool) -> Iterator[str]:
        found: dict[str, None] = {}
        folders, files = self.store.children(f"{self.layout.objects}/{two}")
        for name in folders:
            if is_hash(two + name) and (
                unfinished or self.store.exists(self.layout.object(two + name))
            ):
                found[two + name] = None
        for entry in files:
            name = entry.path.rsplit("/", 1)[1].removesuffix(".json")
            if entry.path.endswith(".json") and is_hash(two + name):
                found[two + name] = None
        for name in self.store.children(f"{self.layout.original}/{two}")[0]:
            hash = two + name
            if is_hash(hash) and (
                unfinished or self.store.exists(self.layout.object(hash, Schema.ORIGINAL))
            ):
                found[hash] = None
        yield from sorted(found)

    def _places(self, hash: str, schema: Schema) -> Iterator[MappingPlace]:
        names: dict[str, str] = {}
        for entry in self.store.list(self.layout.folder(hash, schema)):
            place = parse_path(self.layout.relative(entry.path))
            if place is None or place.mapping is None or place.language is None:
                continue
            language: str | None = place.language
            if schema is Schema.V1:
                folder = place.language
                if folder not in names:
                    names[folder] = self.language_of(hash, folder)
                language = names[folder]
            assert language is not None
            yield MappingPlace(language, place.mapping, entry.path, schema)

    def language_of(self, hash: str, folder: str) -> str:
        """The language of a folder of the function.

        Raises:
            ManifestInvalid: a file that does not name this folder's language.
            Integrity: a folder that stands for no language.
        """
        if needs_file(folder):
            path = self.layout.language(hash, folder)
            return parse_language_file(self.store.get(path), path)
        language = decode_folder(folder)
        if language is None:
            raise Integrity(
                "reading the language",
                f"{self.layout.folder(hash)}/{folder}",
                found="a folder that stands for no language",
            )
        return language

    def _decode(self, data: bytes, hash: str, path: str, schema: Schema) -> FunctionObject:
        if schema is Schema.V0:
            old = FunctionV0.from_bytes(data, hash, path)
            return FunctionObject(hash, old.normalized_code, 1, "")
        return FunctionObject.from_bytes(data, hash, path)


def check_code(function: FunctionObject, path: str) -> None:
    """Raises `Integrity` unless the function's code has its hash."""
    try:
        found = recompute_hash(function.normalized_code, function.normal_form)
    except Invalid as error:
        raise Integrity("reading the function", path, found=str(error)) from None
    if found != function.hash:
        raise Integrity(
            "reading the function",
            path,
            found=f"code with the hash {found}",
            expected=function.hash,
        )


def _not_found(hash: str) -> NotFound:
    return NotFound("looking for the function", hash, hint="`list` shows what is there")


__all__ = ["MappingPlace", "PoolReader", "check_code", "check_hash"]
