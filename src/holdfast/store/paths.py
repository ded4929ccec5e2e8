"""Which paths a store takes: relative, ``/``-separated, normalised.

The same rules hold on every store, so that a repository can be copied from one to another.
"""

from __future__ import annotations

import re

from holdfast.errors import InvalidPath

TEMP_PREFIX = ".hf-"
"""Names with this prefix belong to Holdfast's temporary files."""

LOCKS = "locks"
"""The folder of lock files at the root of a store; never listed, never written by callers."""

MAX_COMPONENT = 255
"""Longest component of a path, in bytes of UTF-8."""

# A component that is not "." or "..", does not begin with the prefix of temporary files, and holds
# no slash, backslash, NUL or surrogate. One match decides on the whole path: this is on the hot
# path of ingest.
_COMPONENT = r"(?!\.{1,2}(?:/|\Z)|\.hf-)[^/\\\x00\ud800-\udfff]+"
_PATH = re.compile(rf"(?!locks(?:/|\Z)){_COMPONENT}(?:/{_COMPONENT})*\Z")
_TEMP = re.compile(r"\.hf-[0-9a-f]{16}\Z")


def check_path(path: str) -> str:
    """`path` itself, if a store takes it.

    Raises:
        InvalidPath: empty, absolute, with an empty component, ``.``, ``..``, NUL, a backslash or a
            lone surrogate; a component over 255 bytes of UTF-8 or beginning with ``.hf-``; or
            below ``locks``.
    """
    # A character takes at most 4 bytes: a path of 63 has no component over 252.
    try:
        if _PATH.match(path) and (len(path) < 64 or _fits(path)):
            return path
    except TypeError:
        pass
    raise InvalidPath("checking the path", repr(path), found=_why(path))


def check_folder(folder: str) -> str:
    """`folder` itself, if it can be the folder of files: a path as for `check_path`, or "" for the
    root. ``locks`` is allowed here: it has no files that a store would list.

    Raises:
        InvalidPath: as `check_path`.
    """
    if folder in ("", LOCKS):
        return folder
    return check_path(folder)


def is_temp_name(name: str) -> bool:
    """Whether a file of this name is one of Holdfast's temporary files."""
    return _TEMP.match(name) is not None


def is_listed_name(name: str) -> bool:
    """Whether a store lists a file or folder of this name, as far as the name decides."""
    return _PATH.match(name) is not None or name == LOCKS


def _fits(path: str) -> bool:
    if path.isascii() and len(path) <= MAX_COMPONENT:
        return True
    return all(len(part.encode()) <= MAX_COMPONENT for part in path.split("/"))


def _why(path: object) -> str:
    if not isinstance(path, str):
        return f"a value of type {type(path).__name__}"
    if not path:
        return "an empty path"
    if path[0] == "/":
        return "an absolute path"
    for part in path.split("/"):
        if part == "":
            return "an empty component"
        if part in (".", ".."):
            return f"the component {part!r}"
        if part.startswith(TEMP_PREFIX):
            return f"a component that begins with {TEMP_PREFIX!r}"
        if "\0" in part:
            return "NUL"
        if "\\" in part:
            return "a backslash"
        if not part.isascii() and any("\ud800" <= c <= "\udfff" for c in part):
            return "a lone surrogate"
        if len(part.encode()) > MAX_COMPONENT:
            return f"a component of {len(part.encode())} bytes, more than {MAX_COMPONENT}"
    return f"the folder {LOCKS!r}, kept for lock files"
