"""Snapshot files: the index state at one logseq, as canonical JSON (spec/ledger.md §5.7).

A snapshot counts only when the log holds its anchor: the SNAPSHOT_ANCHOR at the file's own
`logseq`, with the SHA-256 of the file. Integers of 64 bits are decimal strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from holdfast import canonical_json
from holdfast.clock import parse_rfc3339
from holdfast.errors import Integrity, Invalid, Unsupported
from holdfast.ledger.artifact import Reference

SCHEMA = "holdfast.ledger.snapshot/1"

_FIELDS = frozenset(
    (
        *("schema", "snapshot_id", "logseq", "prev_record_hash", "segments", "inline"),
        *("tombstones", "published", "erased", "pins", "domain", "created_at"),
    )
)
_U64 = re.compile(r"(0|[1-9][0-9]{0,19})\Z")
_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
_NAME = re.compile(r"snapshots/(\d{20})\.json\Z")
_T = TypeVar("_T")


class StandingTombstone(NamedTuple):
    """A tombstone in force, with the logseq of its record."""

    reference: Reference
    logseq: int
    scope: int
    reason_code: int


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """The index state at `logseq`, the position of its own anchor.

    `prev_record_hash` is the hash of record logseq - 1 (32 zero bytes before the first);
    `segments` are (id, SHA-256 of the file) in seal order; `inline` (reference, logseq) and
    `tombstones` ascend by logseq; `created_at` is RFC 3339.
    """

    snapshot_id: int
    logseq: int
    prev_record_hash: bytes
    segments: tuple[tuple[int, bytes], ...]
    inline: tuple[tuple[Reference, int], ...]
    tombstones: tuple[StandingTombstone, ...]
    published: tuple[Reference, ...]
    erased: tuple[Reference, ...]
    pins: tuple[int, ...]
    domain: int
    created_at: str

    def encode(self) -> bytes:
        """The file's canonical bytes."""
        return canonical_json.dumps(
            {
                "schema": SCHEMA,
                "snapshot_id": str(self.snapshot_id),
                "logseq": str(self.logseq),
                "prev_record_hash": self.prev_record_hash.hex(),
                "segments": [{"id": str(i), "sha256": sha.hex()} for i, sha in self.segments],
                "inline": [[ref.text, str(logseq)] for ref, logseq in self.inline],
                "tombstones": [
                    {
                        "ref": t.reference.text,
                        "logseq": str(t.logseq),
                        "scope": t.scope,
                        "reason_code": t.reason_code,
                    }
                    for t in self.tombstones
                ],
                "published": [ref.text for ref in self.published],
                "erased": [ref.text for ref in self.erased],
                "pins": [str(pin) for pin in self.pins],
                "domain": self.domain,
                "created_at": self.created_at,
            }
        )


def snapshot_path(snapshot_id: int) -> str:
    """The file's path below the ledger's folder."""
    return f"snapshots/{snapshot_id:020d}.json"


def parse_snapshot_path(path: str) -> int | None:
    """The snapshot id that a path below the ledger's folder names, or None."""
    match = _NAME.match(path)
    if match is None or not 0 < int(match[1]) < 2**64:
        return None
    return int(match[1])


def decode_snapshot(data: bytes, path: str) -> LedgerSnapshot:
    """The snapshot that `data` holds.

    Raises:
        Integrity: not canonical JSON of this form; names `path` and the field.
        Unsupported: a later schema.
    """
    try:
        value = canonical_json.loads_canonical(data)
    except Invalid as error:
        raise Integrity(
            "reading the snapshot", path, found=error.found, offset=error.offset
        ) from None
    if not isinstance(value, dict):
        raise _bad(path, "(all)", value)
    schema = value.get("schema")
    if schema != SCHEMA:
        if isinstance(schema, str) and schema.startswith("holdfast.ledger.snapshot/"):
            raise Unsupported("reading the snapshot", path, found=schema, expected=SCHEMA)
        raise _bad(path, "schema", schema)
    if value.keys() != _FIELDS:
        raise _bad(path, "(names)", sorted(value.keys() ^ _FIELDS))
    return _Fields(value, path).snapshot()


def _bad(path: str, field: str, found: object) -> Integrity:
    return Integrity("reading the snapshot", path, found=f"field {field}: {found!r:.80}")


class _Fields:
    """Reads the fields of one snapshot; `where` names the field in errors."""

    def __init__(self, value: dict[str, Any], path: str) -> None:
        self._value = value
        self._path = path

    def snapshot(self) -> LedgerSnapshot:
        value = self._value
        return LedgerSnapshot(
            snapshot_id=self._u64(value["snapshot_id"], "snapshot_id", low=1),
            logseq=self._u64(value["logseq"], "logseq", low=1),
            prev_record_hash=self._hash(value["prev_record_hash"], "prev_record_hash"),
            segments=self._unique("segments", self._segment, lambda s: s[0]),
            inline=self._unique("inline", self._inline, lambda i: i[0]),
            tombstones=self._unique("tombstones", self._tombstone, lambda t: t.logseq),
            published=self._unique("published", self._reference, lambda r: r),
            erased=self._unique("erased", self._reference, lambda r: r),
            pins=self._unique("pins", self._u64, lambda p: p),
            domain=self._u32(value["domain"], "domain"),
            created_at=self._time(value["created_at"]),
        )

    def _unique(
        self, field: str, read: Callable[[Any, str], _T], key: Callable[[_T], object]
    ) -> tuple[_T, ...]:
        items = self._value[field]
        if not isinstance(items, list):
            raise _bad(self._path, field, items)
        out = tuple(read(item, field) for item in items)
        if len({key(item) for item in out}) != len(out):
            raise _bad(self._path, field, "an entry that stands twice")
        return out

    def _u64(self, value: Any, field: str, low: int = 0) -> int:
        if isinstance(value, str) and _U64.match(value) and low <= int(value) < 2**64:
            return int(value)
        raise _bad(self._path, field, value)

    def _u32(self, value: Any, field: str) -> int:
        if type(value) is int and 0 <= value < 2**32:
            return value
        raise _bad(self._path, field, value)

    def _hash(self, value: Any, field: str) -> bytes:
        if isinstance(value, str) and _HEX64.match(value):
            return bytes.fromhex(value)
        raise _bad(self._path, field, value)

    def _time(self, value: Any) -> str:
        try:
            if isinstance(value, str):
                parse_rfc3339(value)
                return value
        except Invalid:
            pass
        raise _bad(self._path, "created_at", value)

    def _reference(self, value: Any, field: str) -> Reference:
        try:
            if isinstance(value, str):
                return Reference.parse(value)
        except Invalid:
            pass
        raise _bad(self._path, field, value)

    def _segment(self, value: Any, field: str) -> tuple[int, bytes]:
        if not isinstance(value, dict) or value.keys() != {"id", "sha256"}:
            raise _bad(self._path, field, value)
        return self._u64(value["id"], "segments.id"), self._hash(value["sha256"], "segments.sha256")

    def _inline(self, value: Any, field: str) -> tuple[Reference, int]:
        if not isinstance(value, list) or len(value) != 2:
            raise _bad(self._path, field, value)
        return self._reference(value[0], field), self._u64(value[1], field, low=1)

    def _tombstone(self, value: Any, field: str) -> StandingTombstone:
        names = {"ref", "logseq", "scope", "reason_code"}
        if not isinstance(value, dict) or value.keys() != names:
            raise _bad(self._path, field, value)
        return StandingTombstone(
            self._reference(value["ref"], "tombstones.ref"),
            self._u64(value["logseq"], "tombstones.logseq", low=1),
            self._u32(value["scope"], "tombstones.scope"),
            self._u32(value["reason_code"], "tombstones.reason_code"),
        )
