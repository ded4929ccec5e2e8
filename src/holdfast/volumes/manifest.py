"""The manifest of a volume's snapshot (spec/datasets.md §3, §8); its presence is the commit.

Manifests are cumulative: each names every block of the volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.errors import InvalidPath, ManifestInvalid
from holdfast.snapshotting.fields import Fields
from holdfast.snapshotting.lineage import Lineage, lineage_fields, read_lineage
from holdfast.snapshotting.manifest_json import MAX_BYTES, Rendered, decode, encode, string
from holdfast.snapshotting.schema import (
    FORMAT_VERSION,
    check_id,
    check_schema,
    check_writable,
    present,
)
from holdfast.store.paths import check_path

SCHEMA_NAME = "lode-volume-manifest"
_QUICK_FROM = 1 << 16
# What msgspec spells otherwise than the original.
_ESCAPED = (b"\\", b"<", b">", b"&")


class BlockRef(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True
):
    """A block: `length` bytes of the volume from `offset` on, in the file `path` of the store.

    `checksum` is lower hex, "" for none; `blocks_sha256` is the SHA-256 of the file's sidecar, ""
    for none. (A struct and not a dataclass: a manifest may have 100,000.)
    """

    offset: int
    length: int
    path: str
    checksum: str = ""
    blocks_sha256: str = ""

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class VolumeManifest:
    """A snapshot of a volume of `total_length` bytes. `blocks` are sorted by offset and do not
    overlap; `created_at` is RFC 3339 text; "" stands for none in optional fields."""

    volume_id: str
    snapshot_id: str
    created_at: str
    metadata: dict[str, Any]
    total_length: int
    blocks: tuple[BlockRef, ...]
    parent_snapshot_id: str = ""
    checksum_algorithm: str = ""
    lineage: Lineage | None = None
    mark: str = ""


def volume_pointer(volume: str) -> str:
    """The pointer to the latest snapshot."""
    return f"volumes/{volume}/latest"


def volume_snapshots_folder(volume: str) -> str:
    """The folder that holds a folder for each snapshot."""
    return f"volumes/{volume}/snapshots"


def volume_manifest_path(volume: str, snapshot: str) -> str:
    """The manifest of a snapshot."""
    return f"volumes/{volume}/snapshots/{snapshot}/manifest.json"


def block_path(volume: str, offset: int, length: int) -> str:
    """The file of a block."""
    return f"volumes/{volume}/data/{offset}-{length}.bin"


def encode_volume_manifest(manifest: VolumeManifest) -> bytes:
    """Its bytes; blocks are sorted by offset.

    Raises:
        Invalid: something that `decode_volume_manifest` would refuse, or metadata that JSON cannot
            hold.
    """
    blocks = sorted(manifest.blocks, key=lambda block: block.offset)
    fields = present(
        [
            ("schema_name", SCHEMA_NAME),
            ("format_version", FORMAT_VERSION),
            ("volume_id", manifest.volume_id),
            ("snapshot_id", manifest.snapshot_id),
            ("created_at", manifest.created_at),
            ("metadata", manifest.metadata),
            ("total_length", manifest.total_length),
            ("blocks", [msgspec.structs.asdict(block) for block in blocks]),
            ("parent_snapshot_id?", manifest.parent_snapshot_id),
            ("checksum_algorithm?", manifest.checksum_algorithm),
            *lineage_fields(manifest.lineage, manifest.mark),
        ]
    )
    target = f"snapshot {manifest.snapshot_id} of volume {manifest.volume_id}"
    check_writable(_read_manifest, fields, target)
    fields["blocks"] = Rendered(_render_blocks(blocks))
    return encode(fields)


def decode_volume_manifest(data: bytes, path: str) -> VolumeManifest:
    """The manifest in `data`; `path` is where it was read, for messages. Takes time in proportion
    to the number of blocks. Unknown fields are ignored.

    Raises:
        ManifestInvalid: not JSON, a duplicate key, trailing bytes, a missing or wrong field, a
            block whose path could leave the store, and blocks that are not sorted, overlap or
            leave the volume.
        Unsupported: another schema, a newer major version, or an unknown mark.
    """
    found = _quick_blocks(data)
    if found is not None:
        blocks, rest = found
        try:
            value = decode(rest, path)
        except ManifestInvalid:
            value = {}  # below, with the offset in the whole
        # Other blocks: the same text stood in another field before them.
        if value.get("blocks") == []:
            return _read_manifest(value, path, blocks)
    return _read_manifest(decode(data, path), path)


class _Outline(msgspec.Struct):
    blocks: msgspec.Raw


def _quick_blocks(data: bytes) -> tuple[list[BlockRef], bytes] | None:
    """The blocks of a large manifest, and the manifest with ``[]`` in their place, which is still
    to be decoded strictly. None where the blocks are few or not as they are usually written.

    msgspec, which is three times faster than `json`, lets a key stand twice. That would show in
    the number of quotation marks: without backslashes, every string has two.
    """
    if not _QUICK_FROM <= len(data) <= MAX_BYTES:
        return None
    try:
        text = bytes(msgspec.json.decode(data, type=_Outline).blocks)
        if len(text) < _QUICK_FROM or b"\\" in text:
            return None
        blocks: list[BlockRef] = msgspec.json.decode(text, type=list[BlockRef])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    # Three keys and a path; key and value of each of the others.
    strings = sum(4 + 2 * bool(b.checksum) + 2 * bool(b.blocks_sha256) for b in blocks)
    if text.count(b'"') != 2 * strings:
        return None
    at = data.find(text)
    return blocks, b"[]".join((data[:at], data[at + len(text) :]))


def _render_blocks(blocks: list[BlockRef]) -> str:
    """As `manifest_json.encode` lays them out; for 100,000 blocks it is ten times faster."""
    if not blocks:
        return "[]"
    try:
        compact = msgspec.json.encode(blocks)
    except UnicodeEncodeError:
        compact = b"\\"
    if compact.isascii() and not any(c in compact for c in _ESCAPED):
        # No string has a line break in it, so that each begins a line of the layout.
        lines = msgspec.json.format(compact, indent=2).replace(b"\n", b"\n  ")
        return lines.decode("ascii")
    out = []
    for block in blocks:
        text = (
            f'\n    {{\n      "offset": {block.offset},\n      "length": {block.length},'
            f'\n      "path": {string(block.path)}'
        )
        if block.checksum:
            text += f',\n      "checksum": {string(block.checksum)}'
        if block.blocks_sha256:
            text += f',\n      "blocks_sha256": {string(block.blocks_sha256)}'
        out.append(text + "\n    }")
    return f"[{','.join(out)}\n  ]"


def _read_manifest(
    value: dict[str, Any], path: str, decoded: list[BlockRef] | None = None
) -> VolumeManifest:
    """`decoded`: the blocks, where they are decoded already."""
    fields = Fields(value, path)
    check_schema(fields, SCHEMA_NAME, path)
    lineage, mark = read_lineage(fields, path)
    volume = fields.text("volume_id", required=True)
    total = fields.integer("total_length")
    items = fields.items("blocks")
    if items is None:
        raise fields.wrong("blocks", "required")
    return VolumeManifest(
        volume_id=volume,
        snapshot_id=check_id(fields, "snapshot_id", required=True),
        created_at=fields.time("created_at", required=True),
        metadata=fields.mapping("metadata"),
        total_length=total,
        blocks=_checked(fields, decoded or _read_blocks(fields, items), volume, total),
        parent_snapshot_id=check_id(fields, "parent_snapshot_id"),
        checksum_algorithm=fields.text("checksum_algorithm"),
        lineage=lineage,
        mark=mark,
    )


def _read_blocks(fields: Fields, items: list[Any]) -> list[BlockRef]:
    try:
        return msgspec.convert(items, type=list[BlockRef])
    except msgspec.ValidationError:
        # Here unknown fields are ignored, a null is an absent field, and errors name the field.
        return [_read_block(block) for block in fields.objects("blocks")]


def _checked(
    fields: Fields, blocks: list[BlockRef], volume: str, total: int
) -> tuple[BlockRef, ...]:
    usual = _usual_folder(volume)
    end = 0
    for i, block in enumerate(blocks):
        offset, length = block.offset, block.length
        if offset < end:
            if offset < 0:
                raise fields.wrong(f"blocks[{i}].offset", "below 0")
            if offset < blocks[i - 1].offset:
                raise fields.wrong(f"blocks[{i}].offset", "not sorted: below that of the last one")
            raise fields.wrong(f"blocks[{i}].offset", "overlaps the block before it")
        if length <= 0:
            raise fields.wrong(f"blocks[{i}].length", "below 1")
        end = offset + length
        if end > total:
            raise fields.wrong(f"blocks[{i}]", f"ends beyond the total_length of {total}")
        # The path that Holdfast and the original give a block needs no other check.
        if usual is None or block.path != f"{usual}{offset}-{length}.bin":
            _check_block_path(fields, i, block.path)
    return tuple(blocks)


def _usual_folder(volume: str) -> str | None:
    try:
        return check_path(block_path(volume, 0, 1)).removesuffix("0-1.bin")
    except InvalidPath:
        return None


def _check_block_path(fields: Fields, index: int, path: str) -> None:
    try:
        check_path(path)
    except InvalidPath as error:
        raise fields.wrong(f"blocks[{index}].path", f"{path[:80]!r}, {error.found}") from None


def _read_block(fields: Fields) -> BlockRef:
    return BlockRef(
        offset=fields.integer("offset"),
        length=fields.integer("length"),
        path=fields.text("path", required=True),
        checksum=fields.text("checksum"),
        blocks_sha256=fields.text("blocks_sha256"),
    )
