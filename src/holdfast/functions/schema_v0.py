"""Schema v0, read for ever and never written: one JSON file with all languages of a function."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.errors import Invalid, ManifestInvalid, Unsupported
from holdfast.functions.language import check_language
from holdfast.functions.mapping import Mapping
from holdfast.functions.strict_json import check_object, check_text, check_texts, load_json

_READING = "reading the v0 function"
_FIELDS = {"version": int, "hash": str, "normalized_code": str, "name_mappings": dict}
_OPTIONAL = {"docstrings": dict, "alias_mappings": dict}


@dataclass(frozen=True, slots=True)
class FunctionV0:
    """A function of schema v0, in normal form 1: its mappings by language."""

    hash: str
    normalized_code: str
    mappings: dict[str, Mapping]

    @classmethod
    def from_bytes(cls, data: bytes, expected: str, path: str) -> FunctionV0:
        """The function in the file at `path`, which must be the one whose hash is `expected`. The
        code is not yet held against the hash.

        Raises:
            ManifestInvalid: not a function of schema v0, or another one.
            Unsupported: another version.
        """
        value = load_json(data, path)
        if isinstance(value, dict) and value.get("version", 0) != 0:
            found = f"version {value['version']!r:.60}"
            raise Unsupported(_READING, path, found=found, expected="0")
        check_object(value, path, _FIELDS, _OPTIONAL)
        if value["hash"] != expected:
            found = f"the function {value['hash']!r:.70}"
            raise ManifestInvalid(_READING, path, found=found, expected=expected)
        names = value["name_mappings"]
        # The original reads these two as empty where they are missing, for one language or all.
        docstrings = value.get("docstrings", {})
        aliases = value.get("alias_mappings", {})
        for what, languages in (("docstrings", docstrings), ("alias_mappings", aliases)):
            for language in languages:
                if language not in names:
                    found = f"the language {language!r:.60} in {what}, not in name_mappings"
                    raise ManifestInvalid(_READING, path, found=found)
        mappings = {}
        for language, mapping in names.items():
            try:
                check_language(language)
            except Invalid as error:
                raise ManifestInvalid(_READING, path, found=str(error)) from None
            mappings[language] = Mapping(
                check_text(docstrings.get(language, ""), path, "docstrings"),
                check_texts(mapping, path, "name_mappings"),
                check_texts(aliases.get(language, {}), path, "alias_mappings"),
            )
        return cls(expected, value["normalized_code"], mappings)
