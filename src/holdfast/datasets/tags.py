"""Tags: names for snapshots (spec/datasets.md §9.7).

``<dataset folder>/tags/<name>.tag``, canonical JSON. The extension keeps a tag of any name from
being taken for a manifest, in whatever layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast import canonical_json
from holdfast.clock import parse_rfc3339, rfc3339
from holdfast.datasets.expiry import gone
from holdfast.datasets.form import MODEL
from holdfast.errors import (
    AlreadyExists,
    HoldfastError,
    Invalid,
    ManifestInvalid,
    NotFound,
    PathExists,
)
from holdfast.records import CommitRecord, NullSink
from holdfast.snapshotting.snapshot_id import is_readable

if TYPE_CHECKING:
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.snapshot import DatasetSnapshot

SCHEMA = "holdfast.tag/1"
FOLDER = "tags"
EXTENSION = ".tag"
LONGEST = 1 << 20
"""Bytes of a tag that are looked at."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}\Z")
_FIELDS = frozenset(
    ("schema", "name", "snapshot_id", "manifest_sha256", "author", "time", "message", "nonce")
)


@dataclass(frozen=True, slots=True)
class Tag:
    """A name for a snapshot. `time` is when it was set: RFC 3339, UTC."""

    name: str
    snapshot_id: str
    manifest_sha256: str
    author: str
    time: str
    message: str | None
    nonce: str

    def to_bytes(self) -> bytes:
        """The canonical bytes of the tag's file."""
        return canonical_json.dumps(
            {
                "schema": SCHEMA,
                "name": self.name,
                "snapshot_id": self.snapshot_id,
                "manifest_sha256": self.manifest_sha256,
                "author": self.author,
                "time": self.time,
                "message": self.message,
                "nonce": self.nonce,
            }
        )

    @property
    def commit_id(self) -> str:
        """Id of the COMMIT that announces it."""
        return f"{self.name}@{self.snapshot_id}#{self.nonce}"


def is_tag_name(name: str) -> bool:
    """Whether `name` can be a tag: 1 to 128 of ``[A-Za-z0-9._-]``, no dot first."""
    return _NAME.match(name) is not None


def decode_tag(data: bytes, path: str) -> Tag:
    """The tag in `data`. Raises `ManifestInvalid`."""
    try:
        value: Any = canonical_json.loads_canonical(data)
        if not isinstance(value, dict) or value.keys() != _FIELDS or value["schema"] != SCHEMA:
            raise ValueError("not the fields of a tag")
        texts = {name: value[name] for name in _FIELDS - {"message", "schema"}}
        if not all(isinstance(text, str) for text in texts.values()):
            raise ValueError("a field that is no text")
        if value["message"] is not None and not isinstance(value["message"], str):
            raise TypeError("a message that is no text")
        if not is_tag_name(value["name"]) or not is_readable(value["snapshot_id"]):
            raise ValueError("a name or an id that is none")
        parse_rfc3339(value["time"])
    except (TypeError, ValueError, HoldfastError) as error:
        raise ManifestInvalid("reading the tag", path, found=str(error)[:200]) from None
    tag = Tag(**texts, message=value["message"])
    if not path.endswith(f"/{tag.name}{EXTENSION}"):
        raise ManifestInvalid("reading the tag", path, found=f"the name {tag.name!r}")
    return tag


def tag_path(dataset: Dataset, name: str) -> str:
    """Path of a tag's file. Raises `Invalid` for a name that is none."""
    if not is_tag_name(name):
        raise Invalid(
            "tagging", repr(name), expected="1 to 128 of A-Za-z0-9._-, not beginning with a dot"
        )
    return f"{dataset.chain.places.folder}/{FOLDER}/{name}{EXTENSION}"


def read_tag(dataset: Dataset, name: str) -> Tag:
    """The tag `name`. Raises `NotFound`, `ManifestInvalid`."""
    path = tag_path(dataset, name)
    try:
        return decode_tag(dataset.store.read_range(path, 0, LONGEST), path)
    except NotFound:
        raise NotFound("reading the tag", name, found=f"dataset {dataset.id!r} has none") from None


def read_tags(dataset: Dataset) -> Iterator[Tag]:
    """All tags, by name. Raises `ManifestInvalid` at one that cannot be read."""
    _, files = dataset.store.children(f"{dataset.chain.places.folder}/{FOLDER}")
    for entry in files:
        if entry.path.endswith(EXTENSION):
            try:
                yield decode_tag(dataset.store.read_range(entry.path, 0, LONGEST), entry.path)
            except NotFound:
                continue


def set_tag(
    dataset: Dataset, name: str, snapshot: DatasetSnapshot, message: str | None, *, move: bool
) -> Tag:
    """See `Dataset.tag`."""
    chain, store = dataset.chain, dataset.store
    chain.check_writable()
    path = tag_path(dataset, name)
    if message is not None and len(message) > LONGEST // 8:
        raise Invalid("tagging", name, found="a message that is too long")
    now = rfc3339(chain.clock.now_ns())
    nonce = chain.new_ids.token(16)
    author = chain.author or "unknown"
    tag = Tag(name, snapshot.id, snapshot.manifest_sha256, author, now, message, nonce)
    with chain.lease():
        before = None
        try:
            if move and store.exists(path):
                before = store.get(path)
                store.compare_and_swap(path, before, tag.to_bytes())
            else:
                store.put(path, tag.to_bytes())
        except PathExists:
            raise AlreadyExists(
                "tagging",
                f"snapshot {snapshot.id}",
                found=f"a tag {name!r} already",
                hint="move it with move=True, or choose another name",
            ) from None
        # Where there are no leases it may have been expired, or erased, meanwhile.
        error = gone(dataset, snapshot.id)
        if error is not None:
            if before is None:
                store.delete(path)
            else:
                store.compare_and_swap(path, tag.to_bytes(), before)
            raise error
        announce(dataset, tag)
    return tag


def remove_tag(dataset: Dataset, name: str) -> Tag:
    """See `Dataset.untag`."""
    chain = dataset.chain
    chain.check_writable()
    with chain.lease():
        tag = read_tag(dataset, name)
        dataset.store.delete(tag_path(dataset, name))
        nonce = chain.new_ids.token(16)
        _commit(dataset, f"{name}@#{nonce}", nonce, rfc3339(chain.clock.now_ns()), None)
    return tag


def announce(dataset: Dataset, tag: Tag) -> None:
    """Tell the ledger of a tag, unless it knows."""
    _commit(dataset, tag.commit_id, tag.nonce, tag.time, tag.message, tag.author)


def is_announced(dataset: Dataset, tag: Tag) -> bool:
    """Whether the ledger knows of a tag; true where there is no ledger."""
    sink = dataset.chain.sink
    if isinstance(sink, NullSink):
        return True
    return sink.find_commit(MODEL, f"{dataset.id}/{FOLDER}", tag.commit_id) is not None


def _commit(
    dataset: Dataset, id: str, nonce: str, time: str, message: str | None, author: str = ""
) -> None:
    chain = dataset.chain
    if isinstance(chain.sink, NullSink):
        return
    # No object: the file may move on. What the tag names is fixed by the snapshot's own COMMIT.
    record = CommitRecord(
        model=MODEL,
        name=f"{dataset.id}/{FOLDER}",
        id=id,
        objects=(),
        time=time,
        nonce=nonce,
        author=author or chain.author or "unknown",
        message=message,
    )
    chain.sink.commit(record)
