"""What ties the models to the rest: commit records, findings, and the two protocols.

`CommitRecord` is spec/ledger.md §7: RFC 8785 JSON, one per commit of any model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from holdfast import canonical_json
from holdfast.clock import parse_rfc3339
from holdfast.errors import HoldfastError, Invalid, ManifestInvalid, Unsupported

COMMIT_SCHEMA = "holdfast.commit/1"
COMMIT_TYPE_TAG = 0x00484601
"""Type tag of commit records, as artifacts."""

MODEL_NUMBERS = {
    "repository": 0,
    "dataset": 1,
    "volume": 2,
    "arrays": 3,
    "run": 4,
    "function": 5,
}
MODEL_NAMES = {number: name for name, number in MODEL_NUMBERS.items()}

_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
_NONCE = re.compile(r"[0-9a-f]{32}\Z")
_INPUT = re.compile(r"(commit:[1-9][0-9]{0,19}|asl1:[0-9a-f]{4}:[0-9a-f]+|sha256:[0-9a-f]{64})\Z")
_FIELDS = frozenset(
    (
        *("schema", "model", "name", "id", "parent", "objects"),
        *("inputs", "run", "author", "time", "message", "nonce"),
    )
)


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A file that a commit fixes: path from the repository root, bytes, SHA-256 hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """One commit of one model (spec/ledger.md §7). `time` is RFC 3339, UTC, nanoseconds."""

    model: str
    name: str
    id: str
    objects: tuple[ObjectRef, ...]
    time: str
    nonce: str
    author: str
    parent: str | None = None
    inputs: tuple[str, ...] = ()
    run: str | None = None
    message: str | None = None

    def to_bytes(self) -> bytes:
        """The record's canonical bytes.

        Raises:
            Invalid: a field that `from_bytes` would refuse: such a record, once in the log, would
                stop everybody who looks for a commit.
        """
        value = {
            "schema": COMMIT_SCHEMA,
            "model": self.model,
            "name": self.name,
            "id": self.id,
            "parent": self.parent,
            "objects": [{"path": o.path, "size": o.size, "sha256": o.sha256} for o in self.objects],
            "inputs": list(self.inputs),
            "run": self.run,
            "author": self.author,
            "time": self.time,
            "message": self.message,
            "nonce": self.nonce,
        }
        data = canonical_json.dumps(value)
        # What `dumps` wrote is canonical; its fields are what is left to check.
        _commit_from_json(value)
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> CommitRecord:
        """The record that `data` holds.

        Raises:
            ManifestInvalid: not a canonical commit record; the message names the field.
            Unsupported: a commit schema of a later version.
        """
        try:
            value = canonical_json.loads_canonical(data)
        except Invalid as error:
            raise ManifestInvalid("reading a commit record", found=str(error)) from None
        return _commit_from_json(value)


def is_input(text: object) -> bool:
    """Whether `text` names something that a run can have read."""
    return isinstance(text, str) and _INPUT.match(text) is not None


def _bad(field_name: str, found: object) -> ManifestInvalid:
    return ManifestInvalid("reading a commit record", found=f"field {field_name}: {found!r:.80}")


def _commit_from_json(value: Any) -> CommitRecord:
    if not isinstance(value, dict):
        raise _bad("(all)", type(value).__name__)
    schema = value.get("schema")
    if schema != COMMIT_SCHEMA:
        if isinstance(schema, str) and schema.startswith("holdfast.commit/"):
            raise Unsupported("reading a commit record", found=schema, expected=COMMIT_SCHEMA)
        raise _bad("schema", schema)
    if value.keys() != _FIELDS:
        raise _bad("(names)", sorted(value.keys() ^ _FIELDS))
    for name in ("model", "name", "id", "author", "time", "nonce"):
        if not isinstance(value[name], str):
            raise _bad(name, value[name])
    for name in ("parent", "run", "message"):
        if value[name] is not None and not isinstance(value[name], str):
            raise _bad(name, value[name])
    if value["model"] not in MODEL_NUMBERS:
        raise _bad("model", value["model"])
    if not _NONCE.match(value["nonce"]):
        raise _bad("nonce", value["nonce"])
    try:
        parse_rfc3339(value["time"])
    except Invalid:
        raise _bad("time", value["time"]) from None
    inputs = value["inputs"]
    if not isinstance(inputs, list):
        raise _bad("inputs", inputs)
    for item in inputs:
        if not isinstance(item, str) or not _INPUT.match(item):
            raise _bad("inputs", item)
    if not isinstance(value["objects"], list):
        raise _bad("objects", value["objects"])
    objects = tuple(_object_from_json(item) for item in value["objects"])
    return CommitRecord(
        model=value["model"],
        name=value["name"],
        id=value["id"],
        parent=value["parent"],
        objects=objects,
        inputs=tuple(inputs),
        run=value["run"],
        author=value["author"],
        time=value["time"],
        message=value["message"],
        nonce=value["nonce"],
    )


def _object_from_json(item: Any) -> ObjectRef:
    if not isinstance(item, dict) or item.keys() != {"path", "size", "sha256"}:
        raise _bad("objects", item)
    path, size, sha256 = item["path"], item["size"], item["sha256"]
    if not isinstance(path, str) or not path:
        raise _bad("objects.path", path)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _bad("objects.size", size)
    if not isinstance(sha256, str) or not _HEX64.match(sha256):
        raise _bad("objects.sha256", sha256)
    return ObjectRef(path, size, sha256)


class CommitSink(Protocol):
    """To whom a model announces its commits. In a repository: the ledger."""

    def position(self) -> int:
        """The logseq of the newest record that is visible now (0: none)."""

    def commit(self, record: CommitRecord, *, since: int = 0) -> int:
        """Append `record` durably and return its logseq.

        `since` is the `position()` at which the writer began. If a COMMIT of the same (model,
        name, id) lies after it, nothing is appended and that one's logseq is the answer; 0
        looks at the whole log.
        """

    def find_commit(self, model: str, name: str, id: str) -> int | None:
        """The logseq of the COMMIT of (model, name, id), or None."""

    def last_commit(self, model: str, name: str) -> tuple[int, str] | None:
        """Logseq and id of the newest COMMIT of `name` in `model`, or None."""

    def find_object(self, model: str, name: str, id: str) -> ObjectRef | None:
        """The root object that the COMMIT of (model, name, id) fixes, or None."""


class NullSink:
    """The sink of a model that works alone."""

    def position(self) -> int:
        return 0

    def commit(self, record: CommitRecord, *, since: int = 0) -> int:
        return 0

    def find_commit(self, model: str, name: str, id: str) -> int | None:
        return None

    def last_commit(self, model: str, name: str) -> tuple[int, str] | None:
        return None

    def find_object(self, model: str, name: str, id: str) -> ObjectRef | None:
        return None


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Bytes are lost, wrong or missing."""
    WARNING = "warning"
    """Sound, but unfinished: `fsck --repair` mends it; or a file that could be taken for data."""
    INFO = "info"
    """Worth knowing; nothing to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `verify` or `fsck` found.

    `code` is stable (``digest_mismatch``, ``missing``, ``unanchored``, ``litter``, ``torn_tail``,
    ``dead_run``, ``malformed``, ``unexpected_file``); `path` is relative to the repository root.
    """

    severity: Severity
    code: str
    path: str
    message: str
    model: str = ""
    offset: int | None = None
    repairable: bool = False

    @classmethod
    def of(cls, error: HoldfastError, path: str, model: str) -> Finding:
        """The finding for an error met while checking `path`."""
        return cls(Severity.ERROR, error.code, path, str(error), model, error.offset)


@dataclass(frozen=True, slots=True)
class Checked:
    """Progress of a check: what was read since the last one."""

    files: int = 0
    bytes: int = 0


@dataclass(slots=True)
class GcReport:
    """What a collection removed, or would remove: (path, size in bytes), and failures by path."""

    removed: list[tuple[str, int]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Bytes freed."""
        return sum(size for _, size in self.removed)

    def merge(self, other: GcReport) -> None:
        """Take in what `other` says."""
        self.removed += other.removed
        self.failed += other.failed


class Maintainable(Protocol):
    """A model that `verify`, `fsck` and `gc` can look after."""

    def verify(self, *, deep: bool = True) -> Iterator[Finding | Checked]:
        """Check everything; `deep` reads every byte, else structure and sizes."""

    def repair(self) -> Iterator[Finding]:
        """Mend what can be mended without loss; yields what was mended, as INFO findings."""

    def collect(self, *, dry_run: bool) -> GcReport:
        """Remove what nothing needs."""
