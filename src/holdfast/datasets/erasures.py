"""Records of erasures: what was destroyed, by whom and why, and what stands in for it.

``<dataset folder>/erasures/<id>.json``, canonical JSON, create-only. A record is durable before
anything is deleted, so that an erasure which a crash cuts off is finished later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast import canonical_json
from holdfast.clock import parse_rfc3339
from holdfast.errors import HoldfastError, Invalid, ManifestInvalid, NotFound, Unsupported
from holdfast.snapshotting.snapshot_id import is_readable, order
from holdfast.store.paths import check_path

if TYPE_CHECKING:
    from holdfast.store.protocol import Store

SCHEMA = "holdfast.erasure/1"
FOLDER = "erasures"
_ID = re.compile(r"[0-9]{1,20}-[0-9a-f]{32}\Z")


@dataclass(frozen=True, slots=True)
class ErasedSnapshot:
    """A snapshot that is gone. `parent` is the one below it; `replacement` holds what was not
    erased of it, "" where nothing stands in for it."""

    id: str
    created_at: str
    parent: str
    manifest_sha256: str
    replacement: str


@dataclass(frozen=True, slots=True)
class ErasedFile:
    """A file that is gone; `checksum` is of its stored bytes, ``sha256:…`` or "" for unknown."""

    path: str
    size: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure. `rows` counts the rows that it destroyed, each file's once."""

    id: str
    dataset: str
    reason: str
    author: str
    time: str
    rows: int
    snapshots: tuple[ErasedSnapshot, ...]
    files: tuple[ErasedFile, ...]

    def to_bytes(self) -> bytes:
        """The record's canonical bytes."""
        return canonical_json.dumps(
            {
                "schema": SCHEMA,
                "id": self.id,
                "dataset": self.dataset,
                "reason": self.reason,
                "author": self.author,
                "time": self.time,
                "rows": self.rows,
                "snapshots": [
                    {
                        "id": s.id,
                        "created_at": s.created_at,
                        "parent": s.parent,
                        "manifest_sha256": s.manifest_sha256,
                        "replacement": s.replacement,
                    }
                    for s in self.snapshots
                ],
                "files": [
                    {"path": f.path, "size": f.size, "checksum": f.checksum} for f in self.files
                ],
            }
        )


def decode_erasure(data: bytes, path: str) -> Erasure:
    """The record in `data`; `path` is where it was read.

    Raises:
        ManifestInvalid: not such a record.
        Unsupported: one of a later version.
    """
    try:
        value = canonical_json.loads_canonical(data)
    except Invalid as error:
        raise ManifestInvalid("reading the erasure", path, found=str(error)) from None
    schema = str(value.get("schema")) if isinstance(value, dict) else ""
    if schema != SCHEMA and schema.startswith("holdfast.erasure/"):
        raise Unsupported("reading the erasure", path, found=schema, expected=SCHEMA)
    try:
        return _erasure(value)
    except (KeyError, TypeError, ValueError, HoldfastError) as error:
        raise ManifestInvalid("reading the erasure", path, found=str(error)[:200]) from None


def _erasure(value: Any) -> Erasure:
    if value["schema"] != SCHEMA:
        raise ValueError(f"schema {value['schema']!r:.60}")
    erasure = Erasure(
        id=_text(value, "id"),
        dataset=_text(value, "dataset"),
        reason=_text(value, "reason"),
        author=_text(value, "author"),
        time=_text(value, "time"),
        rows=_number(value, "rows"),
        snapshots=tuple(
            ErasedSnapshot(
                _id(s, "id"),
                _text(s, "created_at"),
                _id(s, "parent", empty=True),
                _text(s, "manifest_sha256"),
                _id(s, "replacement", empty=True),
            )
            for s in value["snapshots"]
        ),
        files=tuple(
            ErasedFile(check_path(_text(f, "path")), _number(f, "size"), _text(f, "checksum"))
            for f in value["files"]
        ),
    )
    if not _ID.match(erasure.id):
        raise ValueError(f"id {erasure.id!r:.60}")
    parse_rfc3339(erasure.time)
    return erasure


def _text(value: dict[str, Any], name: str) -> str:
    text = value[name]
    if not isinstance(text, str):
        raise TypeError(f"field {name}: {text!r:.60}")
    return text


def _number(value: dict[str, Any], name: str) -> int:
    number = value[name]
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise TypeError(f"field {name}: {number!r:.60}")
    return number


def _id(value: dict[str, Any], name: str, *, empty: bool = False) -> str:
    id = _text(value, name)
    if not (empty and not id) and not is_readable(id):
        raise ValueError(f"field {name}: {id!r:.60}")
    return id


class Erasures:
    """All erasures of a dataset, and what follows from them."""

    def __init__(self, records: list[Erasure]) -> None:
        self.records = sorted(records, key=lambda r: (len(r.id.split("-")[0]), r.id))
        self.snapshots: dict[str, ErasedSnapshot] = {}
        self.originals: dict[str, str] = {}
        """Id of a replacement → id of what it stands in for."""
        self.places: dict[str, str] = {}
        """Id of an erased snapshot → id of the record."""
        for record in self.records:
            for snapshot in record.snapshots:
                self.snapshots[snapshot.id] = snapshot
                self.places[snapshot.id] = record.id
                if snapshot.replacement:
                    # The first one counts: others repeated it.
                    self.originals.setdefault(snapshot.replacement, snapshot.id)

    def replacement(self, id: str) -> str:
        """Id of the snapshot that stands in for the erased one `id` now; "" where there is none."""
        seen = {id}
        while id in self.snapshots:
            id = self.snapshots[id].replacement
            if id in seen:
                return ""
            seen.add(id)
        return id

    def original(self, id: str) -> str:
        """Id of the snapshot that `id` stands in for at last; itself where it is none such."""
        seen = {id}
        while id in self.originals and self.originals[id] not in seen:
            id = self.originals[id]
            seen.add(id)
        return id

    def position(self, id: str) -> tuple[int, int, str]:
        """Sort key of a snapshot: a replacement stands where its original stood."""
        return order(self.original(id))

    def __bool__(self) -> bool:
        return bool(self.records)


def erasure_path(folder: str, id: str) -> str:
    """Path of a record; `folder` is the dataset's."""
    return f"{folder}/{FOLDER}/{id}.json"


def read_erasures(store: Store, folder: str) -> Erasures:
    """The erasures of the dataset in `folder`: a listing, and a read for each.

    Raises:
        ManifestInvalid, Unsupported: a record cannot be read.
    """
    return Erasures(list(_records(store, folder)))


def _records(store: Store, folder: str) -> Iterator[Erasure]:
    _, files = store.children(f"{folder}/{FOLDER}")
    for entry in files:
        name = entry.path.rpartition("/")[2]
        if not name.endswith(".json"):
            continue
        try:
            record = decode_erasure(store.get(entry.path), entry.path)
        except NotFound:
            continue
        if f"{record.id}.json" != name:
            raise ManifestInvalid("reading the erasure", entry.path, found=f"id {record.id}")
        yield record
