"""One line of a journal, and one entry of ``run.json``: typed, canonical, fast.

Each kind of line has a first key of its own, by which it is known: ``action`` begin, ``created``
file, ``file_id`` mark, ``artifact`` artifact, ``bytes`` end, ``batch`` the line that closes a
batch.

Fields stand in the order of their names, so that msgspec's encoding is RFC 8785's; a test compares
the two. Strict decoding encodes again and compares, so that each content has one spelling.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from holdfast.errors import Invalid, ManifestInvalid

if TYPE_CHECKING:
    from holdfast.runs.model import FileVersion

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,24})\Z")
OUTCOMES = frozenset(
    {"new_file", "new_version", "duplicate", "processed_again", "removed", "failed"}
)
STATUSES = frozenset({"in_progress", "completed", "completed_with_errors", "failed"})
KINDS = frozenset({"file", "symlink", "directory"})


class FileLine(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A path in a run: a line of the journal and an entry of ``run.json``.

    Times are RFC 3339; `mtime_ns` is a decimal string, because canonical JSON has no integers
    beyond 2**53; `created` is when this version was registered (of a duplicate: then, too).
    """

    created: str
    error: str | None
    file_id: str | None
    kind: str
    mode: int | None
    mtime_ns: str | None
    outcome: str
    path: str
    path_b64: str | None = None
    processed: str | None
    run_id: str
    sha256: str | None
    size: int
    stored: str | None
    supersedes: str | None = None
    target: str | None
    target_b64: str | None = None

    @property
    def raw_path(self) -> bytes:
        """The path's bytes."""
        return self.path.encode() if self.path_b64 is None else _unbase64(self.path_b64)

    @property
    def raw_target(self) -> bytes | None:
        """The symlink target's bytes."""
        if self.target is None:
            return None
        if self.target_b64 is None:
            return self.target.encode()
        return _unbase64(self.target_b64)

    def version(self, project: str, seen_by: str | None = None) -> FileVersion:
        """The same as a `FileVersion` of `project` (a name)."""
        from holdfast.runs.model import FileVersion as Version

        return Version(
            path=self.raw_path,
            kind=self.kind,
            size=self.size,
            sha256=self.sha256,
            mode=self.mode,
            mtime_ns=None if self.mtime_ns is None else int(self.mtime_ns),
            target=self.raw_target,
            outcome=self.outcome,
            file_id=self.file_id,
            run_id=self.run_id,
            project=project,
            stored=self.stored,
            processed=self.processed,
            created=self.created,
            error=self.error,
            seen_by=seen_by,
        )


class ProjectLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The project as a run names it."""

    folder: str
    id: str
    name: str


class SourceLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The source as a run names it."""

    commit: str | None
    kind: str
    url: str


class BeginLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line of a journal: who, what, when, from where; and the COMMIT's nonce."""

    action: str
    author: str
    created: str
    inputs: list[str]
    instructions: str | None
    nonce: str
    project: ProjectLine
    run_id: str
    schema: str
    sequence: int
    source: SourceLine | None
    timestamp: str


class MarkLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of this project was processed successfully at the time `processed`."""

    file_id: str
    processed: str


class ArtifactLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that the run put out: folder `artifact`, `name` below it."""

    artifact: str
    name: str
    sha256: str
    size: int


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files by outcome."""

    duplicate: int = 0
    failed: int = 0
    new_file: int = 0
    new_version: int = 0
    processed_again: int = 0
    removed: int = 0


class EndLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last line of a finished run's journal. `bytes` were stored anew; `parent` is the run of
    this project that was finished before."""

    bytes: int
    completed: str
    counts: Counts
    error: str | None
    parent: str | None
    status: str


def text_and_b64(raw: bytes) -> tuple[str, str | None]:
    """(text, base64 or None): base64 only where `raw` is not UTF-8; the text is then for reading,
    with U+FFFD in the place of bad bytes."""
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace"), base64.b64encode(raw).decode("ascii")


S = TypeVar("S", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()
_file_decoder = msgspec.json.Decoder(FileLine)


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ManifestInvalid(
            "reading a file entry", found=f"{text!r:.80}", expected="base64"
        ) from None


def encode(line: msgspec.Struct) -> bytes:
    """Canonical bytes, without a newline."""
    return _encoder.encode(line)


def decode_file(data: bytes) -> FileLine:
    """The entry that `data` holds.

    Raises:
        ManifestInvalid: not a canonical, well-formed entry.
    """
    line = decode_strict(_file_decoder, data)
    check_file(line)
    return line


def decode_strict(decoder: msgspec.json.Decoder[S], data: bytes) -> S:
    """What `decoder` makes of `data`, when encoding it again gives the same bytes.

    Raises:
        ManifestInvalid: it does not decode, or is not canonical.
    """
    try:
        value = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestInvalid("reading a line", found=str(error)) from None
    if _encoder.encode(value) != data:
        raise ManifestInvalid("reading a line", found="bytes that are not in canonical form")
    return value


def _bad(field: str, value: object) -> ManifestInvalid:
    return ManifestInvalid("reading a file entry", found=f"field {field}: {value!r:.80}")


def check_usable(line: FileLine) -> None:
    """Refuse what the types let through and what no reader could use; much faster than
    `check_file`, because every line of every journal passes here.

    Raises:
        ManifestInvalid: names the field.
    """
    if line.outcome not in OUTCOMES:
        raise _bad("outcome", line.outcome)
    if line.kind not in KINDS:
        raise _bad("kind", line.kind)
    if line.size < 0:
        raise _bad("size", line.size)
    if line.file_id is None and line.outcome != "failed":
        raise _bad("file_id", None)
    when = line.mtime_ns
    if when is not None and not _DECIMAL.match(when):
        raise _bad("mtime_ns", when)
    if line.path_b64 is not None:
        _unbase64(line.path_b64)
    if line.target_b64 is not None:
        _unbase64(line.target_b64)


def check_file(line: FileLine) -> None:
    """Refuse values that the types alone let through.

    Raises:
        ManifestInvalid: names the field.
    """
    if line.outcome not in OUTCOMES:
        raise _bad("outcome", line.outcome)
    if line.kind not in KINDS:
        raise _bad("kind", line.kind)
    if line.size < 0:
        raise _bad("size", line.size)
    if line.sha256 is not None and not _SHA256.match(line.sha256):
        raise _bad("sha256", line.sha256)
    if line.mtime_ns is not None and not _DECIMAL.match(line.mtime_ns):
        raise _bad("mtime_ns", line.mtime_ns)
    if line.stored is not None and not safe_key(line.stored):
        raise _bad("stored", line.stored)
    if line.kind == "file" and line.outcome not in ("removed", "failed"):
        if line.sha256 is None:
            raise _bad("sha256", None)
        if line.stored is None:
            raise _bad("stored", None)
    if line.kind == "symlink" and line.target is None and line.outcome != "failed":
        raise _bad("target", None)
    for name, text, b64 in (
        ("path_b64", line.path, line.path_b64),
        ("target_b64", line.target or "", line.target_b64),
    ):
        if b64 is None:
            continue
        try:
            raw = base64.b64decode(b64, validate=True)
        except (binascii.Error, ValueError):
            raise _bad(name, b64) from None
        if text_and_b64(raw) != (text, b64):
            raise _bad(name, b64)
    from holdfast.runs.naming import check_source_path

    try:
        check_source_path(line.raw_path)
    except Invalid:
        raise _bad("path", line.path) from None


def safe_key(key: str) -> bool:
    """Whether `key` stays below ``runs/``."""
    return (
        bool(key)
        and not key.startswith("/")
        and "\\" not in key
        and "\0" not in key
        and "//" not in key
        and not key.endswith("/")
        and not (("." in key) and any(part in (".", "..") for part in key.split("/")))
    )
