"""``object.json`` of schema v1: a function without the names of any language.

As the original writes it (indented by two, non-ASCII raw), with our ``normal_form`` added; an
object without that field is one of the original's, in normal form 1 (spec/functions.md §1).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from holdfast.clock import parse_rfc3339
from holdfast.errors import Invalid, ManifestInvalid, Unsupported
from holdfast.functions.strict_json import check_object, check_text, load_json

SCHEMA_VERSION = 1
NORMAL_FORMS = (1, 2)

_HASH = re.compile(r"[0-9a-f]{64}\Z")
_FIELDS = {
    "schema_version": int,
    "hash": str,
    "hash_algorithm": str,
    "normalized_code": str,
    "encoding": str,
    "metadata": dict,
}
_METADATA = {"created": str, "author": str, "tags": list, "dependencies": list}
_READING = "reading the function"


@dataclass(frozen=True, slots=True)
class FunctionObject:
    """What ``object.json`` says. `created` is RFC 3339 UTC; `dependencies` are hashes, ascending
    (the original left them empty)."""

    hash: str
    normalized_code: str
    normal_form: int
    created: str
    author: str = ""
    tags: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The bytes of ``object.json``.

        Raises:
            Invalid: a text with a lone surrogate.
        """
        value = {
            "schema_version": SCHEMA_VERSION,
            "hash": self.hash,
            "hash_algorithm": "sha256",
            "normalized_code": self.normalized_code,
            "encoding": "none",
            "normal_form": self.normal_form,
            "metadata": {
                "created": self.created,
                "author": self.author,
                "tags": list(self.tags),
                "dependencies": list(self.dependencies),
            },
        }
        try:
            return json.dumps(value, ensure_ascii=False, indent=2).encode()
        except UnicodeEncodeError:
            raise Invalid("writing a function", self.hash, found="a lone surrogate") from None

    @classmethod
    def from_bytes(cls, data: bytes, expected: str, path: str) -> FunctionObject:
        """The object in the file at `path`, which must be the one whose hash is `expected`. The
        code is not yet held against the hash.

        Raises:
            ManifestInvalid: not an object of schema v1, or another function's.
            Unsupported: a later schema, another encoding, hash or normal form.
        """
        value = load_json(data, path)
        if not isinstance(value, dict) or "schema_version" not in value:
            raise ManifestInvalid(_READING, path, found="no field 'schema_version'")
        # The version first: another one may have other fields.
        _supported(value["schema_version"], (SCHEMA_VERSION,), "schema_version", path)
        check_object(value, path, _FIELDS, {"normal_form": int})
        metadata = check_object(value["metadata"], path, _METADATA, where="metadata")
        _supported(value["hash_algorithm"], ("sha256",), "hash_algorithm", path)
        _supported(value["encoding"], ("none",), "encoding", path)
        normal_form = value.get("normal_form", 1)
        _supported(normal_form, NORMAL_FORMS, "normal_form", path)
        if value["hash"] != expected:
            found = f"the function {value['hash']!r:.70}"
            raise ManifestInvalid(_READING, path, found=found, expected=expected)
        try:
            parse_rfc3339(metadata["created"])
        except Invalid as error:
            raise ManifestInvalid(_READING, path, found=str(error)) from None
        for name in ("tags", "dependencies"):
            for item in metadata[name]:
                check_text(item, path, name)
        dependencies = tuple(metadata["dependencies"])
        for item in dependencies:
            if not is_hash(item):
                found = f"the dependency {item!r:.70}"
                raise ManifestInvalid(_READING, path, found=found, expected="64 hex digits")
        return cls(
            expected,
            value["normalized_code"],
            normal_form,
            metadata["created"],
            metadata["author"],
            tuple(metadata["tags"]),
            dependencies,
        )


def is_hash(text: str) -> bool:
    """Whether `text` is 64 lowercase hex digits."""
    return _HASH.match(text) is not None


def _supported(value: Any, known: tuple[Any, ...], name: str, path: str) -> None:
    if value not in known or isinstance(value, bool):
        raise Unsupported(
            _READING,
            path,
            found=f"{name} {value!r:.60}",
            expected=" or ".join(str(k) for k in known),
        )
