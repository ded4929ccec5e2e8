"""Artifacts and references, and their bytes (spec/ledger.md §1).

An artifact is bytes with an optional type tag; its reference is the digest of its
``ArtifactBytes``, so that the tag is part of the identity. Integers in ``ArtifactBytes`` and
``ReferenceBytes`` are big-endian; ``EncodedRef``, which lies in log records, is little-endian.
"""

from __future__ import annotations

import hashlib
import re
import struct
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from holdfast.errors import Integrity, Invalid, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

SHA256 = 0x0001
"""Hash id of SHA-256, the only one that this version can verify."""

MAX_TYPE_TAG = 2**32 - 1
MAX_LENGTH = 2**64 - 1

_DIGEST_SIZES = {SHA256: 32}
_TEXT = re.compile(r"asl1:([0-9a-f]{4}):((?:[0-9a-f]{2})+)\Z")
_UNTAGGED = struct.Struct(">BQ")
_TAGGED = struct.Struct(">BIQ")
_REF = struct.Struct("<HH")
_SHA256_REF = _REF.pack(SHA256, 32)


class Reference(msgspec.Struct, frozen=True, order=True):
    """The identity of an artifact: hash id (u16, not 0) and digest; ordered by both."""

    hash_id: int
    digest: bytes

    @property
    def text(self) -> str:
        """``asl1:<hash id, 4 hex digits>:<digest, lowercase hex>``."""
        return f"asl1:{self.hash_id:04x}:{self.digest.hex()}"

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Reference:
        """The reference that `text` writes.

        Raises:
            Invalid: not of that form, the reserved hash id 0000, or a digest of another length
                than the hash's.
        """
        match = _TEXT.match(text)
        if match is None:
            raise Invalid("reading the reference", repr(text), expected="asl1:<4 hex>:<hex digest>")
        reference = cls(int(match[1], 16), bytes.fromhex(match[2]))
        fault = _fault(reference)
        if fault is not None:
            raise Invalid("reading the reference", repr(text), found=fault[0], expected=fault[1])
        return reference


class Artifact(NamedTuple):
    """What ``ArtifactBytes`` hold."""

    data: bytes
    type_tag: int | None


def _fault(reference: Reference) -> tuple[str, str] | None:
    """What is wrong with a reference, as (found, expected), or None."""
    hash_id, digest = reference.hash_id, reference.digest
    if hash_id == 0:
        return "hash id 0000", "a hash id that is not reserved"
    if not digest:
        return "an empty digest", "at least one byte"
    size = _DIGEST_SIZES.get(hash_id)
    if size is not None and size != len(digest):
        return f"a digest of {len(digest)} bytes", f"{size} for hash id {hash_id:04x}"
    return None


def artifact_prefix(length: int, type_tag: int | None = None) -> bytes:
    """The part of ``ArtifactBytes`` before the bytes: 9 bytes, or 13 with a type tag.

    Raises:
        Invalid: a type tag that is no u32 or a length that is no u64.
    """
    if not 0 <= length <= MAX_LENGTH:
        raise Invalid("writing an artifact", found=f"length {length}", expected="a u64")
    if type_tag is None:
        return _UNTAGGED.pack(0, length)
    if not 0 <= type_tag <= MAX_TYPE_TAG:
        raise Invalid("writing an artifact", found=f"type tag {type_tag}", expected="a u32")
    return _TAGGED.pack(1, type_tag, length)


def artifact_bytes(data: Buffer, type_tag: int | None = None) -> bytes:
    """``ArtifactBytes``: u8 has_type_tag · u32 type_tag if 1 · u64 length · bytes."""
    view = memoryview(data).cast("B")
    return artifact_prefix(len(view), type_tag) + view


def decode_artifact(data: bytes, target: object = None) -> Artifact:
    """The artifact that `data` (``ArtifactBytes``, exactly) holds; `target` names it in errors.

    Raises:
        Integrity: a presence byte other than 0 and 1, a length that is not what follows.
    """
    doing = "reading an artifact"
    if not data:
        raise Integrity(doing, target, found="no bytes", expected="a presence byte", offset=0)
    presence = data[0]
    if presence not in (0, 1):
        raise Integrity(
            doing, target, found=f"presence byte {presence}", expected="0 or 1", offset=0
        )
    start = _TAGGED.size if presence else _UNTAGGED.size
    if len(data) < start:
        raise Integrity(
            doing, target, found=f"{len(data)} bytes", expected=f"at least {start}", offset=0
        )
    type_tag: int | None = None
    if presence:
        _, type_tag, length = _TAGGED.unpack_from(data)
    else:
        _, length = _UNTAGGED.unpack_from(data)
    if length != len(data) - start:
        raise Integrity(
            doing,
            target,
            found=f"{len(data) - start} bytes of content",
            expected=f"{length}",
            offset=start - 8,
        )
    return Artifact(bytes(data[start:]), type_tag)


def encode_reference(reference: Reference) -> bytes:
    """``ReferenceBytes``: u16 hash_id (big-endian) · digest."""
    _must_be_sound(reference)
    return reference.hash_id.to_bytes(2, "big") + reference.digest


def decode_reference(data: bytes, target: object = None) -> Reference:
    """The reference that `data` (``ReferenceBytes``, to the end of the frame) holds.

    Raises:
        Integrity: too short, the reserved hash id, a known hash with another digest length.
    """
    if len(data) < 2:
        raise Integrity(
            "reading a reference", target, found=f"{len(data)} bytes", expected="at least 2"
        )
    reference = Reference(int.from_bytes(data[:2], "big"), bytes(data[2:]))
    _must_decode(reference, target, 0)
    return reference


def encode_ref(reference: Reference) -> bytes:
    """``EncodedRef``: u16 hash_id · u16 digest_len · digest, little-endian."""
    if reference.hash_id == SHA256 and len(reference.digest) == 32:
        return _SHA256_REF + reference.digest
    _must_be_sound(reference)
    return _REF.pack(reference.hash_id, len(reference.digest)) + reference.digest


def decode_ref(data: bytes, offset: int = 0, target: object = None) -> tuple[Reference, int]:
    """The reference in the ``EncodedRef`` at `offset` of `data`, and the offset behind it.

    Raises:
        Integrity: shorter than it says, the reserved hash id, a known hash with another digest
            length.
    """
    start = offset + 4
    if len(data) < start:
        raise Integrity(
            "reading a reference",
            target,
            found=f"{max(0, len(data) - offset)} bytes",
            expected="at least 4",
            offset=offset,
        )
    hash_id, size = _REF.unpack_from(data, offset)
    end = start + size
    if len(data) < end:
        raise Integrity(
            "reading a reference",
            target,
            found=f"{len(data) - start} bytes",
            expected=f"a digest of {size}",
            offset=offset,
        )
    reference = Reference(hash_id, bytes(data[start:end]))
    if hash_id != SHA256 or size != 32:
        _must_decode(reference, target, offset)
    return reference, end


def reference_of(data: Buffer, type_tag: int | None = None) -> Reference:
    """The reference of the artifact of `data` and `type_tag`."""
    view = memoryview(data).cast("B")
    state = hashlib.sha256(artifact_prefix(len(view), type_tag))
    state.update(view)
    return Reference(SHA256, state.digest())


def reference_of_frame(frame: Buffer) -> Reference:
    """The reference of what is ``ArtifactBytes`` already."""
    return Reference(SHA256, hashlib.sha256(frame).digest())


class ArtifactHasher:
    """Hashes an artifact of known length chunk by chunk, in constant memory."""

    def __init__(self, length: int, type_tag: int | None = None) -> None:
        self._state = hashlib.sha256(artifact_prefix(length, type_tag))
        self._left = length

    def update(self, chunk: Buffer) -> None:
        """Take in the next bytes. Raises `Invalid` when they are more than the length said."""
        self._left -= memoryview(chunk).nbytes
        if self._left < 0:
            raise Invalid("hashing an artifact", found=f"{-self._left} bytes more than it has")
        self._state.update(chunk)

    def finish(self) -> Reference:
        """The reference. Raises `Invalid` when bytes are missing."""
        if self._left:
            raise Invalid("hashing an artifact", found=f"{self._left} bytes are missing")
        return Reference(SHA256, self._state.digest())


def hash_chunks(chunks: Iterable[Buffer], length: int, type_tag: int | None = None) -> Reference:
    """The reference of the artifact whose `length` bytes come as `chunks`."""
    state = ArtifactHasher(length, type_tag)
    for chunk in chunks:
        state.update(chunk)
    return state.finish()


def require_verifiable(reference: Reference, doing: str = "verifying") -> None:
    """Raise `Unsupported` when the reference's hash is not known here (that is not corruption)."""
    if reference.hash_id not in _DIGEST_SIZES:
        raise Unsupported(
            doing,
            reference.text,
            found=f"hash id {reference.hash_id:04x}",
            expected="0001 (SHA-256)",
            hint="read it with a version that knows this hash",
        )


def verify_artifact(reference: Reference, data: Buffer, type_tag: int | None = None) -> None:
    """Check that the artifact of `data` and `type_tag` is the one that `reference` names.

    Raises:
        Unsupported: a hash id that is not known here.
        Integrity: other bytes or another type tag.
    """
    require_verifiable(reference)
    found = reference_of(data, type_tag)
    if found != reference:
        raise Integrity("verifying", reference.text, found=f"bytes of {found.text}")


def _must_be_sound(reference: Reference) -> None:
    fault = _fault(reference)
    if fault is None and not (reference.hash_id <= 0xFFFF and len(reference.digest) <= 0xFFFF):
        fault = "a hash id or digest length beyond 16 bits", "a u16"
    if fault is not None:
        raise Invalid("writing a reference", found=fault[0], expected=fault[1])


def _must_decode(reference: Reference, target: object, offset: int) -> None:
    fault = _fault(reference)
    if fault is not None:
        raise Integrity(
            "reading a reference", target, found=fault[0], expected=fault[1], offset=offset
        )
