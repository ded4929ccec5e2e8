"""The file of one Zarr commit: new values one after the other, then an index of keys.

::

    "HFZARR1\\n"                    8 bytes
    the values                     in the order of their keys
    the index                      canonical JSON
    length of the index            8 bytes, little-endian
    SHA-256 of the index           32 bytes
    "HFZARR1\\n"                    8 bytes

The index says where each key's value lies, in this pack or in an older one::

    {"format": 1, "keys": {"t/c/0/0": [0, 8, 1523, "<sha256>"], "t/c/0/1": null},
     "layers": ["datasets/era/snapshots/…/data/blob"], "packs": ["datasets/era/…/blob"]}

``[pack, offset, length, sha256]``: pack 0 is the file itself, n is ``packs[n - 1]``; null is a key
that is gone. What an index does not say, the indexes of its `layers` do, the last of them first.
A commit takes the newest layers that are not larger than twice its own into its own, so that
there are few layers, and each key is written again a few times only.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from holdfast import canonical_json
from holdfast.digests import sha256_hex
from holdfast.errors import Integrity, Invalid, ManifestInvalid, Unsupported

MAGIC = b"HFZARR1\n"
FORMAT = 1
FOOTER = struct.Struct("<Q32s8s")
MAX_LAYERS = 64

_READING = "reading the Zarr index of"


class Placed(NamedTuple):
    """Where the value of a key lies. `pack` is a path, "" for the pack that is being written."""

    pack: str
    offset: int
    length: int
    sha256: str


Keys = dict[str, Placed | None]


@dataclass(frozen=True, slots=True)
class Layer:
    """The keys that the index of one pack names; None: gone."""

    pack: str
    keys: Mapping[str, Placed | None]


def resolve(layers: Sequence[Layer]) -> dict[str, Placed]:
    """What each key is in the end; `layers` oldest first."""
    out: Keys = {}
    for layer in layers:
        out.update(layer.keys)
    return {key: placed for key, placed in out.items() if placed is not None}


def merge(
    layers: Sequence[Layer], changes: Mapping[str, Placed | None]
) -> tuple[list[Layer], Keys]:
    """The layers that stay below a new index, and what that index has to say."""
    below = list(layers)
    keys: Keys = dict(changes)
    while below and (len(below[-1].keys) <= 2 * len(keys) or len(below) >= MAX_LAYERS):
        keys = {**below.pop().keys, **keys}
    if not below:
        keys = {key: placed for key, placed in keys.items() if placed is not None}
    return below, keys


def encode_index(layers: Sequence[Layer], keys: Mapping[str, Placed | None]) -> bytes:
    """Index and footer of a pack."""
    packs = sorted({p.pack for p in keys.values() if p is not None and p.pack})
    numbers = {"": 0} | {pack: n for n, pack in enumerate(packs, 1)}
    index = canonical_json.dumps(
        {
            "format": FORMAT,
            "keys": {
                key: None if p is None else [numbers[p.pack], p.offset, p.length, p.sha256]
                for key, p in keys.items()
            },
            "layers": [layer.pack for layer in layers],
            "packs": packs,
        }
    )
    return index + FOOTER.pack(len(index), hashlib.sha256(index).digest(), MAGIC)


def index_range(footer: bytes, size: int, path: str) -> tuple[int, int, str]:
    """Offset, length and SHA-256 of the index, from the last bytes of a pack of `size` bytes.

    Raises:
        Invalid: not a pack.
        Integrity: a footer that cannot be.
    """
    if len(footer) != FOOTER.size or not footer.endswith(MAGIC):
        raise Invalid(
            _READING, path, found="a file that no Zarr transaction wrote",
            hint="keep Zarr in a dataset of its own",
        )  # fmt: skip
    length, digest, _ = FOOTER.unpack(footer)
    offset = size - FOOTER.size - length
    if offset < len(MAGIC):
        raise Integrity(_READING, path, found=f"an index of {length} bytes in a file of {size}")
    return offset, length, digest.hex()


def decode_index(data: bytes, sha256: str, path: str) -> tuple[list[str], Keys]:
    """The layers below the index `data` of the pack at `path`, and its keys.

    Raises:
        Integrity: not the index that the footer names.
        ManifestInvalid: it breaks a rule; the message names the key.
        Unsupported: a newer format.
    """
    found = sha256_hex(data)
    if found != sha256:
        raise Integrity(_READING, path, found=f"SHA-256 {found}", expected=sha256)
    try:
        document = canonical_json.loads(data)
    except Invalid as error:
        raise ManifestInvalid(_READING, path, found=error.found, offset=error.offset) from None
    if not isinstance(document, dict):
        raise _wrong(path, "not an object")
    if document.get("format") != FORMAT:
        raise Unsupported(_READING, path, found=f"format {document.get('format')!r}")
    layers = _texts(document, "layers", path)
    packs = ["", *_texts(document, "packs", path)]
    packs[0] = path
    keys = document.get("keys")
    if not isinstance(keys, dict):
        raise _wrong(path, "keys: not an object")
    if len(layers) > MAX_LAYERS:
        raise _wrong(path, f"layers: {len(layers)} of them")
    return layers, {key: _placed(key, value, packs, path) for key, value in keys.items()}


def _placed(key: str, value: Any, packs: Sequence[str], path: str) -> Placed | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 4:
        raise _wrong(path, f"keys[{key}]: not [pack, offset, length, sha256]")
    pack, offset, length, digest = value
    for number in (pack, offset, length):
        if type(number) is not int or number < 0:
            raise _wrong(path, f"keys[{key}]: {number!r}")
    if pack >= len(packs):
        raise _wrong(path, f"keys[{key}]: pack {pack} of {len(packs)}")
    if not isinstance(digest, str) or len(digest) != 64:
        raise _wrong(path, f"keys[{key}]: {digest!r}, not a SHA-256")
    return Placed(packs[pack], offset, length, digest)


def _texts(document: dict[str, Any], name: str, path: str) -> list[str]:
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise _wrong(path, f"{name}: not a list of paths")
    return value


def _wrong(path: str, found: str) -> ManifestInvalid:
    return ManifestInvalid(_READING, path, found=found)
