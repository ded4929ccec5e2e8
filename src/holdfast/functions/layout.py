"""Where the files of a pool lie, below the pool's folder of the store (spec/functions.md §1).

Three layouts are read, the first is written::

    objects/<2>/<62>/object.json, …/<language>/<2>/<62>/mapping.json         v1
    objects/sha256/<2>/<62>/object.json, …/<language>/sha256/<2>/<62>/mapping.json   the original's
    objects/<2>/<62>.json                                                   v0

The original takes any language as a folder, slashes included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from holdfast.errors import Invalid
from holdfast.functions.language import LANGUAGE_FILE, language_folder
from holdfast.functions.object_json import is_hash

_H = r"([0-9a-f]{2})/([0-9a-f]{62})"
_V1 = re.compile(
    rf"objects/{_H}/(?:object\.json|([^/]+)/(?:{_H}/mapping\.json|language\.json))\Z", re.DOTALL
)
_ORIGINAL = re.compile(
    rf"objects/sha256/{_H}/(?:object\.json|(.+)/sha256/{_H}/mapping\.json)\Z", re.DOTALL
)
_V0 = re.compile(rf"objects/{_H}\.json\Z")


class Schema(Enum):
    """The layout in which a function lies."""

    V1 = "v1"
    ORIGINAL = "original"
    V0 = "v0"


@dataclass(frozen=True, slots=True)
class Place:
    """What a path of a pool holds.

    `language` is the folder in `Schema.V1` and the language itself in `Schema.ORIGINAL`. With
    neither `language` nor `mapping` it is the object; with `language` alone the language's name.
    """

    schema: Schema
    hash: str
    language: str | None = None
    mapping: str | None = None


def parse_path(path: str) -> Place | None:
    """What lies at `path`, relative to the pool; None when it is no file of a pool."""
    match = _V1.match(path)
    if match:
        a, b, language, c, d = match.groups()
        return Place(Schema.V1, a + b, language, c + d if c else None)
    match = _ORIGINAL.match(path)
    if match:
        a, b, language, c, d = match.groups()
        return Place(Schema.ORIGINAL, a + b, language, c + d if c else None)
    match = _V0.match(path)
    return Place(Schema.V0, "".join(match.groups())) if match else None


class Layout:
    """Paths in a store of the pool whose folder is `prefix` ("" for the root)."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix.strip("/")
        self.base = f"{self.prefix}/" if self.prefix else ""
        self.objects = f"{self.base}objects"
        self.original = f"{self.objects}/sha256"

    def relative(self, path: str) -> str:
        """`path` of the store, relative to the pool."""
        return path.removeprefix(self.base)

    def folder(self, hash: str, schema: Schema = Schema.V1) -> str:
        """The function's folder. Raises `Invalid` unless `hash` is 64 lowercase hex digits."""
        check_hash(hash)
        top = self.original if schema is Schema.ORIGINAL else self.objects
        return f"{top}/{hash[:2]}/{hash[2:]}"

    def object(self, hash: str, schema: Schema = Schema.V1) -> str:
        """The path of the function's ``object.json``, or of its one file in v0."""
        folder = self.folder(hash, schema)
        return f"{folder}.json" if schema is Schema.V0 else f"{folder}/object.json"

    def language(self, hash: str, folder: str) -> str:
        """The path of the file that names the language of `folder`."""
        return f"{self.folder(hash)}/{folder}/{LANGUAGE_FILE}"

    def mapping(self, hash: str, language: str, mapping: str, schema: Schema = Schema.V1) -> str:
        """The path of a ``mapping.json``."""
        check_hash(mapping)
        folder = self.folder(hash, schema)
        parts = f"{mapping[:2]}/{mapping[2:]}/mapping.json"
        if schema is Schema.ORIGINAL:
            return f"{folder}/{language}/sha256/{parts}"
        return f"{folder}/{language_folder(language)}/{parts}"


def check_hash(text: str) -> str:
    """`text` itself: 64 lowercase hex digits. Raises `Invalid` otherwise."""
    if not is_hash(text):
        raise Invalid("reading the hash", repr(text)[:80], expected="64 lowercase hex digits")
    return text
