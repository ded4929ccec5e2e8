"""Names of human languages, and the folders that their mappings lie in (spec/functions.md §1)."""

from __future__ import annotations

import hashlib
from urllib.parse import unquote_to_bytes

from holdfast.errors import Invalid, ManifestInvalid
from holdfast.functions.strict_json import check_object, load_json

MAX_CHARACTERS = 256
MAX_FOLDER = 200
"""A folder name longer than this many bytes is replaced by a digest."""
LANGUAGE_FILE = "language.json"

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_ENCODED = [chr(b) if b in _PLAIN else f"%{b:02X}" for b in range(256)]


def check_language(language: str) -> str:
    """`language` itself: 1 to 256 characters that UTF-8 can hold.

    Raises:
        Invalid: empty, too long, or with a lone surrogate.
    """
    doing, expected = "reading the language", "1 to 256 characters"
    if not isinstance(language, str):
        raise Invalid(doing, found=f"a value of type {type(language).__name__}", expected=expected)
    if not 1 <= len(language) <= MAX_CHARACTERS:
        raise Invalid(
            doing, repr(language[:40]), found=f"{len(language)} characters", expected=expected
        )
    if not language.isascii() and any("\ud800" <= c <= "\udfff" for c in language):
        raise Invalid(doing, ascii(language[:40]), found="a lone surrogate", expected=expected)
    return language


def language_folder(language: str) -> str:
    """The name of the folder for `language`: its percent-encoding, or ``~<sha256>`` where that
    would be longer than 200 bytes. It is never ``.`` or ``..``, and holds no slash."""
    data = check_language(language).encode()
    encoded = "".join([_ENCODED[byte] for byte in data])
    return encoded if len(encoded) <= MAX_FOLDER else "~" + hashlib.sha256(data).hexdigest()


def needs_file(folder: str) -> bool:
    """Whether the language of this folder is only told by the `LANGUAGE_FILE` in it."""
    return folder.startswith("~")


def decode_folder(folder: str) -> str | None:
    """The language that a percent-encoded folder stands for; None when it stands for none."""
    try:
        language = unquote_to_bytes(folder).decode()
        return language if language_folder(language) == folder else None
    except (UnicodeDecodeError, Invalid):
        return None


def language_file(language: str) -> bytes:
    """The bytes of the `LANGUAGE_FILE` of `language`."""
    import json

    return json.dumps({"language": language}, ensure_ascii=False, indent=2).encode()


def parse_language_file(data: bytes, path: str) -> str:
    """The language that a `LANGUAGE_FILE` at `path` names; the path's folder must be its own.

    Raises:
        ManifestInvalid: not such a file, or one of another folder.
    """
    value = check_object(load_json(data, path), path, {"language": str})
    language: str = value["language"]
    try:
        folder = language_folder(language)
    except Invalid as error:
        raise ManifestInvalid("reading the language", path, found=str(error)) from None
    if path.split("/")[-2] != folder:
        raise ManifestInvalid(
            "reading the language", path, found=f"the language of {folder}", expected="its folder's"
        )
    return language
