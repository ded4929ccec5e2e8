"""Verification of segments, blocks and snapshots: every byte below the ledger's folder.

Each byte belongs to something whose digest is fixed by the log: log files to the chain, segments
to their seals, snapshots to their anchors, and the bytes of blocks to artifacts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Integrity, NotFound, Unsupported
from holdfast.ledger.artifact import SHA256, ArtifactHasher, artifact_prefix
from holdfast.ledger.block import block_path
from holdfast.ledger.inventory import Inventory, litter, read_segment, take_inventory
from holdfast.ledger.segment import Extent, SegmentRecord, segment_path
from holdfast.ledger.snapshot import decode_snapshot, snapshot_path
from holdfast.records import Checked, Finding, Severity

if TYPE_CHECKING:
    from holdfast.ledger.opened import Place
    from holdfast.ledger.replay import SealedSegment
    from holdfast.ledger.segment_reader import SegmentReader

MODEL = "ledger"
WINDOW = 8 * 2**20
"""Bytes of a block that are read at once."""

_VECTORISED = 4096
_STEP = 4096


class LedgerCheck:
    """One check of everything beside the log itself."""

    def __init__(self, place: Place, *, deep: bool) -> None:
        self._place = place
        self._prefix = place.prefix
        self._deep = deep
        self._inventory = Inventory()
        self._cover: dict[int, list[tuple[int, int]]] = {}
        self._unsound: set[int] = set()
        self._window = Window(place, self._prefix)
        self._known = True

    def run(self) -> Iterator[Finding | Checked]:
        """Check the log, then what it names, then what nothing names."""
        yield from self._place.log.verify(deep=self._deep)
        self._inventory = inventory = take_inventory(self._place)
        if inventory.fault is not None:
            yield Finding.of(inventory.fault, f"{self._prefix}/log", MODEL)
        yield from self._snapshots()
        for segment, _ in inventory.present_segments():
            yield from self._segment(segment)
        yield from self._blocks()
        leases = self._place.store.leases is not None
        who = "a writer that died left it" if leases else "a writer left it or is about to name it"
        for path, _ in litter(self._place, inventory):
            yield Finding(
                Severity.WARNING,
                "litter",
                path,
                f"no record of the log names {path}; {who}",
                MODEL,
                repairable=leases,
            )
        for path in inventory.others:
            yield Finding(
                Severity.INFO,
                "unexpected_file",
                path,
                f"{path} is none of the ledger's files",
                MODEL,
            )

    def _snapshots(self) -> Iterator[Finding | Checked]:
        state = self._inventory.state
        for snapshot_id, anchor in state.snapshots.items():
            path = f"{self._prefix}/{snapshot_path(snapshot_id)}"
            try:
                data = self._place.store.get(path)
                yield Checked(1, len(data))
                if hashlib.sha256(data).digest() != anchor.sha256:
                    raise Integrity(
                        "checking the snapshot", path, found="another SHA-256 than its anchor's"
                    )
                snapshot = decode_snapshot(data, path)
                if (snapshot.snapshot_id, snapshot.logseq) != (snapshot_id, anchor.logseq):
                    raise Integrity(
                        "checking the snapshot", path, found="another id or logseq than its anchor"
                    )
            except NotFound as error:
                yield _missing(error, path)
            except (Integrity, Unsupported) as error:
                yield _damaged(error, path)

    def _segment(self, segment: SealedSegment) -> Iterator[Finding | Checked]:
        path = f"{self._prefix}/{segment_path(segment.segment_id)}"
        try:
            reader = read_segment(self._place, segment)
            _check_structure(reader)
        except HoldfastError as error:
            # What it names is not known: no block may be called uncovered.
            self._known = False
            if segment.segment_id not in self._inventory.segments:
                yield _missing(error, path)
            else:
                yield _damaged(error, path)
            return
        yield Checked(1, len(reader.data))
        count = size = 0
        for record in self._by_place(reader):
            fault = self._artifact(record)
            if fault is not None:
                yield fault
            count, size = count + 1, size + record.total_length
            if count % _STEP == 0 or size >= WINDOW:
                yield Checked(0, size)
                size = 0
        yield Checked(0, size)

    def _by_place(self, reader: SegmentReader) -> Iterable[SegmentRecord]:
        """The records in the order of their bytes, so that blocks are read from front to back."""
        if len(reader) < _VECTORISED:
            return sorted(reader, key=lambda record: record.extents[:1])
        import numpy as np

        from holdfast.ledger.segment_columns import extent_table, record_table

        table, extents = record_table(reader), extent_table(reader)
        if table is None or not len(extents):
            return reader
        firsts = np.minimum(table["first_extent"], len(extents) - 1).astype(np.int64)
        order = np.lexsort((extents["offset"][firsts], extents["block_id"][firsts]))
        return (reader.record(int(i)) for i in order)

    def _artifact(self, record: SegmentRecord) -> Finding | None:
        """Check one artifact's bytes, or only that its blocks are long enough."""
        for extent in record.extents:
            fault = self._extent(extent)
            if fault is not None:
                return fault
        erased = record.reference in self._inventory.state.erased
        if record.tombstone or erased or not self._deep or record.extents[0].block_id == 0:
            return None
        if any(extent.block_id in self._unsound for extent in record.extents):
            return None
        first = record.extents[0]
        path = f"{self._prefix}/{block_path(first.block_id)}"
        if record.reference.hash_id != SHA256:
            return Finding(
                Severity.WARNING,
                "unsupported",
                path,
                f"{record.reference.text} cannot be checked: its hash is not known here",
                MODEL,
                first.offset,
            )
        try:
            sound = self._hash(record) == record.reference.digest
        except HoldfastError as error:
            return Finding.of(error, path, MODEL)
        if sound:
            return None
        return Finding(
            Severity.ERROR,
            "digest_mismatch",
            path,
            f"the bytes of {record.reference.text} at {first.offset} in {path} are damaged",
            MODEL,
            first.offset,
        )

    def _extent(self, extent: Extent) -> Finding | None:
        if not extent.block_id:
            return None
        start, end = extent.offset, extent.offset + extent.length
        cover = self._cover.setdefault(extent.block_id, [])
        if cover and cover[-1][1] == start:
            cover[-1] = (cover[-1][0], end)
        else:
            cover.append((start, end))
        size = self._inventory.blocks.get(extent.block_id)
        if extent.block_id in self._unsound or (size is not None and end <= size):
            return None
        self._unsound.add(extent.block_id)
        path = f"{self._prefix}/{block_path(extent.block_id)}"
        found = "is missing" if size is None else f"has {size} bytes, and artifacts up to {end}"
        code = "missing" if size is None else "malformed"
        return Finding(Severity.ERROR, code, path, f"{path} {found}", MODEL, size)

    def _hash(self, record: SegmentRecord) -> bytes:
        if record.total_length <= WINDOW and len(record.extents) == 1:
            data = self._window.read(record.extents[0])
            state = hashlib.sha256(artifact_prefix(len(data), record.type_tag))
            state.update(data)
            return state.digest()
        hasher = ArtifactHasher(record.total_length, record.type_tag)
        for block_id, offset, length in record.extents:
            for at in range(0, length, WINDOW):
                part = Extent(block_id, offset + at, min(WINDOW, length - at))
                hasher.update(self._window.read(part))
        return hasher.finish().digest

    def _blocks(self) -> Iterator[Finding | Checked]:
        """Bytes of blocks that no segment covers: nothing says what they should be."""
        for block_id, size in sorted(self._inventory.blocks.items()):
            cover = self._cover.get(block_id)
            if cover is None:
                continue
            yield Checked(1, 0)
            gap = _first_gap(cover, size) if self._known else None
            if gap is not None:
                path = f"{self._prefix}/{block_path(block_id)}"
                yield Finding(
                    Severity.WARNING,
                    "malformed",
                    path,
                    f"no segment covers the bytes from {gap} on in {path}",
                    MODEL,
                    gap,
                )


class Window:
    """Reads blocks from front to back in large pieces."""

    def __init__(self, place: Place, prefix: str) -> None:
        self._store = place.store
        self._prefix = prefix
        self._block = -1
        self._start = 0
        self._data = memoryview(b"")

    def read(self, extent: Extent) -> memoryview:
        """The bytes of an extent of at most `WINDOW` bytes.

        Raises:
            NotFound, StorageFailure: the block cannot be read.
            Integrity: it ends before.
        """
        block_id, offset, length = extent
        at = offset - self._start
        if block_id != self._block or at < 0 or at + length > len(self._data):
            path = f"{self._prefix}/{block_path(block_id)}"
            self._data = memoryview(self._store.read_range(path, offset, WINDOW))
            self._block, self._start, at = block_id, offset, 0
            if len(self._data) < length:
                found = f"{len(self._data)} bytes"
                raise Integrity("reading", path, found=found, expected=str(length), offset=offset)
        return self._data[at : at + length]


def _check_structure(reader: SegmentReader) -> None:
    if len(reader) < _VECTORISED:
        reader.check()
    else:
        from holdfast.ledger.segment_columns import check_cover

        check_cover(reader)


def _first_gap(cover: list[tuple[int, int]], size: int) -> int | None:
    reached = 0
    for start, end in sorted(cover):
        if start > reached:
            return reached
        reached = max(reached, end)
    return reached if reached < size else None


def _missing(error: HoldfastError, path: str) -> Finding:
    return Finding(Severity.ERROR, "missing", path, str(error), MODEL)


def _damaged(error: HoldfastError, path: str) -> Finding:
    code = "digest_mismatch" if "SHA-256" in error.found else "malformed"
    return Finding(Severity.ERROR, code, path, str(error), MODEL, error.offset)
