"""A mapping: what a function and its parts are called in one human language.

``mapping.json`` and its hash are the original's, byte for byte (spec/functions.md §1).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from holdfast.errors import Invalid, ManifestInvalid
from holdfast.functions.strict_json import check_object, check_texts, load_json

_FIELDS = {"docstring": str, "name_mapping": dict, "alias_mapping": dict, "comment": str}


@dataclass(frozen=True, slots=True)
class Mapping:
    """Names in one language.

    Attributes:
        docstring: without quotes; "" when there is none.
        name_mapping: normal name → name.
        alias_mapping: hash of a pool function → what this function calls it.
        comment: why this variant is there, shown in menus.
    """

    docstring: str = ""
    name_mapping: dict[str, str] = field(default_factory=dict)
    alias_mapping: dict[str, str] = field(default_factory=dict)
    comment: str = ""

    @property
    def hash(self) -> str:
        """SHA-256 of the content, 64 hex digits; equal mappings have equal hashes."""
        return mapping_hash(self)

    def to_bytes(self) -> bytes:
        """The bytes of ``mapping.json``: as the original writes it, the names in natural order.

        Raises:
            Invalid: a text with a lone surrogate.
        """
        value = {
            "docstring": self.docstring,
            "name_mapping": dict(sorted(self.name_mapping.items(), key=_natural)),
            "alias_mapping": dict(sorted(self.alias_mapping.items())),
            "comment": self.comment,
        }
        return _encoded(json.dumps(value, ensure_ascii=False, indent=2))

    @classmethod
    def from_bytes(cls, data: bytes, path: str) -> Mapping:
        """The mapping that the file at `path` holds.

        Raises:
            ManifestInvalid: not a mapping; the message names the offset or the field.
        """
        value = check_object(load_json(data, path), path, _FIELDS)
        names = check_texts(value["name_mapping"], path, "name_mapping")
        aliases = check_texts(value["alias_mapping"], path, "alias_mapping")
        return cls(value["docstring"], names, aliases, value["comment"])


def mapping_hash(mapping: Mapping) -> str:
    """SHA-256 of the mapping as JSON: keys sorted, non-ASCII raw, separators with a space.

    Raises:
        Invalid: a text with a lone surrogate.
    """
    text = json.dumps(
        {
            "docstring": mapping.docstring,
            "name_mapping": mapping.name_mapping,
            "alias_mapping": mapping.alias_mapping,
            "comment": mapping.comment,
        },
        ensure_ascii=False,
        sort_keys=True,
    )
    return hashlib.sha256(_encoded(text)).hexdigest()


def check_mapping_hash(mapping: Mapping, expected: str, path: str) -> None:
    """Raises `ManifestInvalid` unless `expected` is the mapping's hash."""
    found = mapping.hash
    if found != expected:
        raise ManifestInvalid(
            "reading the mapping", path, found=f"content with the hash {found}", expected=expected
        )


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Invalid("writing a mapping", found="a lone surrogate in a text") from None


def _natural(item: tuple[str, str]) -> tuple[int, str]:
    return len(item[0]), item[0]
