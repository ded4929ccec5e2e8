"""Record types of the log and their payloads (spec/ledger.md §2, the table).

`decode_payload` gives the typed payload of a record, or None for a type of a later version, which
readers skip. Integers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import ClassVar

import msgspec

from holdfast.errors import Integrity, Invalid
from holdfast.ledger.artifact import Reference, decode_ref, encode_ref
from holdfast.ledger.log import Entry, Record

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_U64_U64 = struct.Struct("<QQ")
_U32_U32 = struct.Struct("<II")
_DIGEST = 32
_SHA256_REF = b"\x01\x00\x20\x00"


class RecordType(IntEnum):
    """The u32 record types that this version writes."""

    SEGMENT_SEAL = 0x01
    SEGMENT_RETIRE = 0x02
    BATCH = 0x03
    TOMBSTONE = 0x10
    TOMBSTONE_LIFT = 0x11
    ERASE = 0x12
    SNAPSHOT_ANCHOR = 0x20
    SNAPSHOT_DROP = 0x21
    PIN = 0x22
    UNPIN = 0x23
    ARTIFACT_PUBLISH = 0x30
    ARTIFACT_UNPUBLISH = 0x31
    GC_FENCE = 0x40
    COMMIT = 0x1000
    INLINE_PUT = 0x1001


class SegmentSeal(msgspec.Struct, frozen=True):
    """Makes a segment visible: its id and the SHA-256 of its file."""

    TYPE: ClassVar[int] = RecordType.SEGMENT_SEAL
    segment_id: int
    segment_hash: bytes

    def encode(self) -> bytes:
        return _U64.pack(self.segment_id) + _digest(self.segment_hash)


class SegmentRetire(msgspec.Struct, frozen=True):
    """Takes a segment out of the index; `replaced_by` holds its records from here on."""

    TYPE: ClassVar[int] = RecordType.SEGMENT_RETIRE
    segment_id: int
    replaced_by: int

    def encode(self) -> bytes:
        return _U64_U64.pack(self.segment_id, self.replaced_by)


class Batch(msgspec.Struct, frozen=True):
    """The next `count` records hold together or not at all."""

    TYPE: ClassVar[int] = RecordType.BATCH
    count: int

    def encode(self) -> bytes:
        return _U32.pack(self.count)


class Tombstone(msgspec.Struct, frozen=True):
    """Hides an artifact of the local domain; `scope` and `reason_code` are opaque u32."""

    TYPE: ClassVar[int] = RecordType.TOMBSTONE
    reference: Reference
    scope: int = 0
    reason_code: int = 0

    def encode(self) -> bytes:
        return encode_ref(self.reference) + _U32_U32.pack(self.scope, self.reason_code)


class TombstoneLift(msgspec.Struct, frozen=True):
    """Cancels the tombstone that stands at `logseq`, and no other."""

    TYPE: ClassVar[int] = RecordType.TOMBSTONE_LIFT
    reference: Reference
    logseq: int

    def encode(self) -> bytes:
        return encode_ref(self.reference) + _U64.pack(self.logseq)


class Erase(msgspec.Struct, frozen=True):
    """The artifact's bytes are erased; the COMMIT at `logseq` says who and why."""

    TYPE: ClassVar[int] = RecordType.ERASE
    reference: Reference
    logseq: int

    def encode(self) -> bytes:
        return encode_ref(self.reference) + _U64.pack(self.logseq)


class SnapshotAnchor(msgspec.Struct, frozen=True):
    """A snapshot of the index state at this record's logseq: its id and its file's SHA-256."""

    TYPE: ClassVar[int] = RecordType.SNAPSHOT_ANCHOR
    snapshot_id: int
    snapshot_hash: bytes

    def encode(self) -> bytes:
        return _U64.pack(self.snapshot_id) + _digest(self.snapshot_hash)


class SnapshotDrop(msgspec.Struct, frozen=True):
    """The snapshot is no longer kept."""

    TYPE: ClassVar[int] = RecordType.SNAPSHOT_DROP
    snapshot_id: int

    def encode(self) -> bytes:
        return _U64.pack(self.snapshot_id)


class Pin(msgspec.Struct, frozen=True):
    """Keeps the state at `logseq` from collection."""

    TYPE: ClassVar[int] = RecordType.PIN
    logseq: int

    def encode(self) -> bytes:
        return _U64.pack(self.logseq)


class Unpin(msgspec.Struct, frozen=True):
    """Ends the pin of `logseq`."""

    TYPE: ClassVar[int] = RecordType.UNPIN
    logseq: int

    def encode(self) -> bytes:
        return _U64.pack(self.logseq)


class Publish(msgspec.Struct, frozen=True):
    """The artifact may be taken into other repositories."""

    TYPE: ClassVar[int] = RecordType.ARTIFACT_PUBLISH
    reference: Reference

    def encode(self) -> bytes:
        return encode_ref(self.reference)


class Unpublish(msgspec.Struct, frozen=True):
    """The artifact may no longer be taken into other repositories."""

    TYPE: ClassVar[int] = RecordType.ARTIFACT_UNPUBLISH
    reference: Reference

    def encode(self) -> bytes:
        return encode_ref(self.reference)


class GcFence(msgspec.Struct, frozen=True):
    """A collection begins; `horizon` is the oldest logseq that can still be opened."""

    TYPE: ClassVar[int] = RecordType.GC_FENCE
    horizon: int

    def encode(self) -> bytes:
        return _U64.pack(self.horizon)


class Commit(msgspec.Struct, frozen=True):
    """A commit of a model (number of spec/ledger.md §7); the frame holds the commit record."""

    TYPE: ClassVar[int] = RecordType.COMMIT
    model: int
    reference: Reference

    def encode(self) -> bytes:
        return _U16.pack(self.model) + encode_ref(self.reference)


class InlinePut(msgspec.Struct, frozen=True):
    """A small artifact; the frame holds its ``ArtifactBytes``."""

    TYPE: ClassVar[int] = RecordType.INLINE_PUT
    reference: Reference

    def encode(self) -> bytes:
        return encode_ref(self.reference)


Payload = (
    SegmentSeal
    | SegmentRetire
    | Batch
    | Tombstone
    | TombstoneLift
    | Erase
    | SnapshotAnchor
    | SnapshotDrop
    | Pin
    | Unpin
    | Publish
    | Unpublish
    | GcFence
    | Commit
    | InlinePut
)


def entry_of(payload: Payload, frame: bytes | None = None) -> Entry:
    """The entry that appends `payload`.

    Raises:
        Invalid: a number that its field cannot hold, a digest of the wrong length.
    """
    try:
        return Entry(int(payload.TYPE), payload.encode(), frame)
    except struct.error as error:
        raise Invalid("writing a record", type(payload).__name__, found=str(error)) from None


def payload_of(record: Record, target: object = None) -> Payload | None:
    """The typed payload of `record`, or None for an unknown type.

    Raises:
        Integrity: the payload does not have the form of its type; names `target` and the logseq.
    """
    return decode_payload(record.type, record.payload, target, record.logseq)


def decode_payload(
    kind: int, payload: bytes, target: object = None, logseq: int = 0
) -> Payload | None:
    """As `payload_of`, from the record's parts."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return None
    try:
        decoded, end = decoder(payload)
    except (struct.error, Integrity) as error:
        raise _malformed(kind, target, logseq, str(error)) from None
    if end != len(payload):
        raise _malformed(kind, target, logseq, f"{len(payload)} bytes, of which {end} are used")
    return decoded


def _malformed(kind: int, target: object, logseq: int, found: str) -> Integrity:
    return Integrity(
        f"reading the {RecordType(kind).name} record {logseq} in",
        target or "the log",
        found=found,
        logseq=logseq,
    )


def _digest(digest: bytes) -> bytes:
    if len(digest) != _DIGEST:
        raise Invalid("writing a record", found=f"a digest of {len(digest)} bytes", expected="32")
    return digest


def _id_and_digest(
    make: Callable[[int, bytes], Payload],
) -> Callable[[bytes], tuple[Payload, int]]:
    def decode(payload: bytes) -> tuple[Payload, int]:
        (number,) = _U64.unpack_from(payload)
        if len(payload) < 8 + _DIGEST:
            raise struct.error(f"{len(payload)} bytes instead of {8 + _DIGEST}")
        return make(number, payload[8 : 8 + _DIGEST]), 8 + _DIGEST

    return decode


def _number(make: Callable[[int], Payload]) -> Callable[[bytes], tuple[Payload, int]]:
    return lambda payload: (make(_U64.unpack_from(payload)[0]), 8)


def _reference(make: Callable[[Reference], Payload]) -> Callable[[bytes], tuple[Payload, int]]:
    def decode(payload: bytes) -> tuple[Payload, int]:
        reference, end = decode_ref(payload)
        return make(reference), end

    return decode


def _reference_and_number(
    make: Callable[[Reference, int], Payload],
) -> Callable[[bytes], tuple[Payload, int]]:
    def decode(payload: bytes) -> tuple[Payload, int]:
        reference, end = decode_ref(payload)
        return make(reference, _U64.unpack_from(payload, end)[0]), end + 8

    return decode


def _tombstone(payload: bytes) -> tuple[Payload, int]:
    reference, end = decode_ref(payload)
    return Tombstone(reference, *_U32_U32.unpack_from(payload, end)), end + 8


def _commit(payload: bytes) -> tuple[Payload, int]:
    (model,) = _U16.unpack_from(payload)
    reference, end = decode_ref(payload, 2)
    return Commit(model, reference), end


_DECODERS: dict[int, Callable[[bytes], tuple[Payload, int]]] = {
    RecordType.SEGMENT_SEAL: _id_and_digest(SegmentSeal),
    RecordType.SEGMENT_RETIRE: lambda p: (SegmentRetire(*_U64_U64.unpack_from(p)), 16),
    RecordType.BATCH: lambda p: (Batch(_U32.unpack_from(p)[0]), 4),
    RecordType.TOMBSTONE: _tombstone,
    RecordType.TOMBSTONE_LIFT: _reference_and_number(TombstoneLift),
    RecordType.ERASE: _reference_and_number(Erase),
    RecordType.SNAPSHOT_ANCHOR: _id_and_digest(SnapshotAnchor),
    RecordType.SNAPSHOT_DROP: _number(SnapshotDrop),
    RecordType.PIN: _number(Pin),
    RecordType.UNPIN: _number(Unpin),
    RecordType.ARTIFACT_PUBLISH: _reference(Publish),
    RecordType.ARTIFACT_UNPUBLISH: _reference(Unpublish),
    RecordType.GC_FENCE: _number(GcFence),
    RecordType.COMMIT: _commit,
    RecordType.INLINE_PUT: _reference(InlinePut),
}

PLAIN: dict[int, tuple[int, bytes]] = {
    RecordType.TOMBSTONE: (44, _SHA256_REF),
    RecordType.TOMBSTONE_LIFT: (44, _SHA256_REF),
    RecordType.ERASE: (44, _SHA256_REF),
    RecordType.ARTIFACT_PUBLISH: (36, _SHA256_REF),
    RecordType.ARTIFACT_UNPUBLISH: (36, _SHA256_REF),
}
"""Types without a frame whose payload is sound when it has this length and these first bytes, those
of the ``EncodedRef`` of a SHA-256 digest; whatever else, `decode_payload` judges."""
