"""What a volume is before anything is committed to it.

The format has no place for a volume without blocks, so `volume create` keeps the length as a COMMIT
in the ledger: model volume, name ``NAME/created``, no objects, the length in bytes as its id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.clock import rfc3339
from holdfast.errors import AlreadyExists, NotFound
from holdfast.records import CommitRecord

if TYPE_CHECKING:
    from holdfast.repository import Repository
    from holdfast.volumes.manifest import BlockRef
    from holdfast.volumes.volume import Volume

_LENGTH = re.compile(r"[1-9][0-9]{0,18}\Z")
_BLOCK = re.compile(r"(0|[1-9][0-9]{0,18})-([1-9][0-9]{0,18})\.bin\Z")
_PIECE = 8 << 20


def created_length(repo: Repository, name: str) -> int | None:
    """The length that `create` kept for the volume, or None."""
    last = repo.ledger.last_commit("volume", f"{name}/created")
    return int(last[1]) if last is not None and _LENGTH.match(last[1]) else None


def existing(repo: Repository, name: str) -> Volume:
    """The volume `name`, which was committed to or created.

    Raises:
        NotFound: it was not; the message names those there are.
    """
    volume = repo.volume(name)
    if volume.chain.latest() is not None:
        return volume
    length = created_length(repo, name)
    if length is not None:
        return repo.volume(name, length)
    names = repo.volumes()
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    raise NotFound(
        "looking for the volume", repr(name), found=f"the volumes here are: {listed or 'none'}",
        hint="make it with `holdfast volume create NAME --length N`",
    )  # fmt: skip


def keep_length(repo: Repository, name: str, length: int, message: str | None) -> None:
    """Keep the length of a new volume, durably.

    Raises:
        AlreadyExists: there is such a volume.
        Invalid: no such length, or no name.
    """
    volume = repo.volume(name, length)
    latest = repo.volume(name).chain.latest()
    there = created_length(repo, name) if latest is None else latest.manifest.total_length
    if there is not None:
        raise AlreadyExists(
            "making the volume", name, found=f"one of {there} bytes",
            hint="its length is fixed; use it, or choose another name",
        )  # fmt: skip
    repo.ledger.commit(
        CommitRecord(
            model="volume",
            name=f"{volume.id}/created",
            id=str(length),
            objects=(),
            time=rfc3339(repo.clock.now_ns()),
            nonce=repo.ids.token(16),
            author=repo.author,
            message=message,
        )
    )


def staged_ranges(volume: Volume) -> list[tuple[int, int]]:
    """(offset, length) of the blocks that were staged and not committed, by offset. Lists the
    volume's data."""
    latest = volume.chain.latest()
    named = set() if latest is None else {block.path for block in latest.manifest.blocks}
    found = []
    start = len(volume.places.data) + 1
    for entry in volume.store.list(volume.places.data):
        match = _BLOCK.match(entry.path[start:])
        if match is not None and entry.path not in named:
            found.append((int(match[1]), int(match[2])))
    return sorted(found)


def adopt(volume: Volume, offset: int, length: int) -> BlockRef:
    """A block that another process staged, as our own: its bytes are read, hashed and synced."""
    path = volume.places.block(offset, length)

    def pieces() -> Iterator[bytes]:
        at = 0
        while piece := volume.store.read_range(path, at, _PIECE):
            yield piece
            at += len(piece)

    return volume.stage_write_at(offset, pieces())
