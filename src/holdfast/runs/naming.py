"""Names on the store: project folders, actions, run folders, raw_source files (spec/runs.md §1).

Pure. Nothing that a caller passes can leave its folder. Names need not be reversible: the true
path is in the journal and in ``run.json``.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from holdfast.errors import Invalid, InvalidPath

RESERVED_FOLDERS = frozenset({"archive", "contexts", "exports"})
"""Folders below ``runs/`` that are no projects."""
RESERVED_TYPES = frozenset({"raw_source", "journal"})
"""Folders of a run that are no artifact types."""

ACTION_LENGTH = 50
NAME_LENGTH = 255
FOLDER_LENGTH = 120
COMPONENT_BYTES = 255
KEPT_BYTES = 180
"""What is kept of a component that is too long, in bytes."""

FILE_SYSTEM_PATH_BYTES = 3000
OBJECT_PATH_BYTES = 600
"""Longest encoded path below raw_source, so that the whole stays below PATH_MAX (4,096) on a file
system and below 1,024 bytes, the longest key of S3."""

_ACTION = re.compile(r"[^A-Za-z0-9._-]")
_ARTIFACT_TYPE = re.compile(r"[a-z0-9_]{1,64}\Z")
_RUN_FOLDER = re.compile(r"(\d{8}_\d{6})_(\d{3,9})_([A-Za-z0-9._-]{1,50})\Z", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f-\x9f\\%]*\Z")
_ESCAPED = re.compile(r"[\x00-\x1f\x7f-\x9f\\%]")
_SOURCE_PATH = re.compile(
    rb"(?!\.{1,2}(?:/|\Z))[^/\0]+(?:/(?!\.{1,2}(?:/|\Z))[^/\0]+)*\Z", re.DOTALL
)
_TEMPORARY = ".hf-"


class RunFolder(NamedTuple):
    """A run folder's name, taken apart."""

    timestamp: str
    sequence: int
    action: str


def is_uuid(text: str) -> bool:
    """Whether `text` has the form of an id (lowercase UUID)."""
    return _UUID.match(text) is not None


def _refuse_leaving(kind: str, text: str) -> None:
    if not text or not text.strip():
        raise Invalid(f"naming {kind}", repr(text), found="nothing", expected="a name")
    if "\x00" in text or text.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", text):
        raise Invalid(
            f"naming {kind}",
            repr(text),
            found="a NUL, an absolute path or a `..`",
            hint="give a plain name",
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(f"naming {kind}", repr(text), found="a lone surrogate") from None


def check_project_name(name: str) -> str:
    """`name`, when it can be a project's.

    Raises:
        Invalid: empty, over 255 characters, a NUL or lone surrogate, an absolute path, a ``..``.
    """
    _refuse_leaving("the project", name)
    if len(name) > NAME_LENGTH:
        raise Invalid(
            "naming the project",
            repr(name[:40] + "…"),
            found=f"{len(name)} characters",
            expected=f"at most {NAME_LENGTH}",
        )
    return name


def project_folder(name: str) -> str:
    """The folder that a project of this name would like: letters and digits of any script, ``-``
    and ``_``; other characters become ``_``, runs of it one, none at the ends."""
    check_project_name(name)
    kept = "".join(
        c
        if c in "-_" or unicodedata.category(c)[0] == "L" or unicodedata.category(c) == "Nd"
        else "_"
        for c in unicodedata.normalize("NFC", name)
    )
    folder = re.sub(r"_+", "_", kept).strip("_")
    folder = _cut(folder, FOLDER_LENGTH).strip("_") or "project"
    return f"{folder}_" if folder.casefold() in RESERVED_FOLDERS else folder


def folder_candidates(name: str) -> Iterator[str]:
    """Folders to try for a new project: its own, then with ``_2``, ``_3``, …"""
    folder = project_folder(name)
    yield folder
    number = 2
    while True:
        yield f"{folder.rstrip('_')}_{number}"
        number += 1


def is_project_folder(folder: str) -> bool:
    """Whether a project's folder can have this name: one component, not hidden, not reserved."""
    return (
        _PLAIN.match(folder) is not None
        and "/" not in folder
        and not folder.startswith(".")
        and 0 < len(folder.encode(errors="replace")) <= COMPONENT_BYTES
        and folder.casefold() not in RESERVED_FOLDERS
    )


def sanitise_action(action: str) -> str:
    """The action as part of a folder's name: ``[A-Za-z0-9._-]``, at most 50 characters.

    Raises:
        Invalid: empty, a NUL, an absolute path, a ``..`` component.
    """
    _refuse_leaving("the action", action)
    return _ACTION.sub("_", action)[:ACTION_LENGTH]


def timestamp_of(ns: int) -> str:
    """``YYYYMMDD_HHMMSS``, UTC."""
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%Y%m%d_%H%M%S}"


def run_folder(timestamp: str, sequence: int, action: str) -> str:
    """The folder's name; `action` sanitised already."""
    return f"{timestamp}_{sequence:03d}_{action}"


def parse_run_folder(name: str) -> RunFolder | None:
    """A run folder's parts, or None when `name` is not one."""
    match = _RUN_FOLDER.match(name)
    if match is None:
        return None
    return RunFolder(match[1], int(match[2]), match[3])


def check_artifact_type(artifact_type: str) -> str:
    """`artifact_type`, when it is one.

    Raises:
        Invalid: not ``[a-z0-9_]{1,64}``, or a reserved name.
    """
    if not _ARTIFACT_TYPE.match(artifact_type) or artifact_type in RESERVED_TYPES:
        raise Invalid(
            "naming the artifact type",
            repr(artifact_type),
            expected="[a-z0-9_]{1,64}, not " + " or ".join(sorted(RESERVED_TYPES)),
        )
    return artifact_type


def check_source_path(path: bytes) -> bytes:
    """`path`, when it can be a registered one: relative, ``/``-separated, normalised raw bytes.

    Raises:
        InvalidPath: empty, absolute, NUL, or an empty, ``.`` or ``..`` component.
    """
    if not _SOURCE_PATH.match(path):
        raise InvalidPath(
            "registering the path",
            repr(path)[1:],
            found="empty, absolute, NUL, or an empty, `.` or `..` component",
            expected="a relative path such as b'sub/name.csv'",
        )
    return path


def stored_path(path: bytes, *, longest: int = FILE_SYSTEM_PATH_BYTES, twin: int = 1) -> str:
    """The path below ``raw_source`` for `path`.

    Args:
        path: raw bytes, checked by `check_source_path`.
        longest: bytes of the whole encoded path; beyond it, one name made of its hash.
        twin: 1 for the plain name; n > 1 adds ``%~n`` (the name is taken, by a case twin or by an
            earlier content of the same path in the same run).
    """
    try:
        text = path.decode()
    except UnicodeDecodeError:
        text = ""
    if text and _PLAIN.match(text) and _TEMPORARY not in text and _fits(path):
        encoded = text
    else:
        encoded = "/".join(_component(part) for part in path.split(b"/"))
    if len(encoded) > longest or (not encoded.isascii() and len(encoded.encode()) > longest):
        encoded = "%~" + hashlib.sha256(path).hexdigest()
    if twin == 1:
        return encoded
    suffix = f"%~{twin}"
    head, slash, last = encoded.rpartition("/")
    return head + slash + _cut(last, COMPONENT_BYTES - len(suffix)) + suffix


def _fits(path: bytes) -> bool:
    return len(path) <= COMPONENT_BYTES or max(map(len, path.split(b"/"))) <= COMPONENT_BYTES


def _component(raw: bytes) -> str:
    text = raw.decode("utf-8", "surrogateescape")
    # A name such as ours for temporary files would be hidden by the store, and swept.
    start = "%2E" if text.startswith(_TEMPORARY) else ""
    if start:
        text = text[1:]
    encoded = start + "".join(_escape(c) for c in text)
    if len(encoded.encode()) <= COMPONENT_BYTES:
        return encoded
    return _cut(encoded, KEPT_BYTES) + "%~" + hashlib.sha256(raw).hexdigest()[:16]


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"%{code - 0xDC00:02X}"
    if _ESCAPED.match(character):
        return "".join(f"%{byte:02X}" for byte in character.encode())
    return character


def _cut(text: str, size: int) -> str:
    """The longest beginning of `text` of at most `size` bytes that splits no character and no
    ``%XX``."""
    data = text.encode()
    if len(data) <= size:
        return text
    kept = data[:size].decode("utf-8", "ignore")
    for tail in (1, 2):
        if kept[-tail:].startswith("%") and text[len(kept) - tail :][:2] != "%~":
            return kept[:-tail]
    return kept
