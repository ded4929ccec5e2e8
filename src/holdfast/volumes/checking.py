"""What a block reference has to be before it is committed (spec/datasets.md §8)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from holdfast.digests import parse_digest
from holdfast.errors import HoldfastError, Integrity, Invalid, NotFound
from holdfast.snapshotting.block_hashes import HASH, block_count, has_sidecar, sidecar_path
from holdfast.volumes.blocks import check_range
from holdfast.volumes.manifest import BlockRef

if TYPE_CHECKING:
    from holdfast.store.protocol import Store
    from holdfast.volumes.form import VolumePlaces

_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
_DOING = "looking at the block"


def check_references(
    blocks: Iterable[BlockRef], places: VolumePlaces, total_length: int, checksum: str
) -> list[BlockRef]:
    """The blocks, each as `Volume.stage_write_at` makes them. Raises `Invalid`."""
    checked = []
    for block in blocks:
        if not isinstance(block, BlockRef):
            raise Invalid("committing", repr(block), expected="what `stage_write_at` returned")
        check_range(block.offset, block.length, total_length, _DOING)
        expected = places.block(block.offset, block.length)
        if block.path != expected:
            raise Invalid(_DOING, repr(block.path), found="another path", expected=expected)
        _check_digests(block, checksum)
        checked.append(block)
    if not checked:
        raise Invalid(
            "committing to",
            f"volume {places.name}",
            found="no blocks",
            expected="one or more new ones",
        )
    return checked


def check_files(blocks: Iterable[BlockRef], store: Store, *, sidecars: bool = True) -> None:
    """See that the blocks' files are there, each with its size; with `sidecars` these too.

    Raises:
        NotFound: one is not.
        Integrity: one has another size.
    """
    for block in blocks:
        _check_size(store, block.path, block.length)
        if sidecars and block.blocks_sha256:
            _check_size(store, sidecar_path(block.path), block_count(block.length) * HASH)


def _check_digests(block: BlockRef, checksum: str) -> None:
    try:
        if block.checksum or checksum:
            parse_digest(f"{checksum}:{block.checksum}")
    except HoldfastError:
        raise Invalid(
            _DOING,
            block.path,
            found=f"the checksum {block.checksum!r:.80}",
            expected=f"{checksum} in hex" if checksum else "none: the volume has none",
        ) from None
    given = block.blocks_sha256
    if given and not (has_sidecar(block.length) and _HEX64.match(given)):
        raise Invalid(_DOING, block.path, found=f"blocks_sha256 {given!r:.80}")


def _check_size(store: Store, path: str, expected: int) -> None:
    try:
        found = store.size(path)
    except NotFound:
        raise NotFound(_DOING, path, found="no file", hint="stage it again") from None
    if found != expected:
        raise Integrity(_DOING, path, found=f"{found} bytes", expected=f"{expected}")
