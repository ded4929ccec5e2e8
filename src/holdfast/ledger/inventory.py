"""What lies below the ledger's folder, held against what the log names.

The base of `verify` and of removing litter: the whole log is replayed from its first record, so
that every segment and snapshot that was ever named is known.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.errors import Busy, Denied, HoldfastError, Integrity, NotFound, Unsupported
from holdfast.ledger.block import block_path, parse_block_path
from holdfast.ledger.payload import RecordType, SnapshotAnchor, payload_of
from holdfast.ledger.replay import Anchor, IndexState
from holdfast.ledger.segment import parse_segment_path, segment_path
from holdfast.ledger.segment_reader import SegmentReader
from holdfast.ledger.snapshot import decode_snapshot, parse_snapshot_path, snapshot_path
from holdfast.ledger.write import writers_lease

if TYPE_CHECKING:
    from holdfast.ledger.opened import Place
    from holdfast.ledger.replay import SealedSegment


@dataclass(slots=True)
class Inventory:
    """Files by kind, with sizes in bytes, and the state at head.

    `anchors` holds every snapshot ever anchored; `fault` is what stopped the replay, after which
    nothing may be called litter. `judged`: what no record names may be called litter, as far as
    it was there before the log was read (`early`).
    """

    state: IndexState = field(default_factory=IndexState)
    anchors: dict[int, Anchor] = field(default_factory=dict)
    fault: HoldfastError | None = None
    judged: bool = False
    early: set[str] = field(default_factory=set)
    blocks: dict[int, int] = field(default_factory=dict)
    segments: dict[int, int] = field(default_factory=dict)
    snapshots: dict[int, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def lost_segments(self) -> list[int]:
        """Segment files that no record ever named."""
        return sorted(self.segments.keys() - self.state.sealed.keys())

    def lost_snapshots(self) -> list[int]:
        """Snapshot files that no record names any more."""
        return sorted(self.snapshots.keys() - self.state.snapshots.keys())

    def present_segments(self) -> Iterator[tuple[SealedSegment, bool]]:
        """The sealed segments whose files are there or must be; whether they are live."""
        for segment_id, segment in self.state.sealed.items():
            live = segment_id in self.state.segments
            if live or segment_id in self.segments:
                yield segment, live


def take_inventory(place: Place, *, leased: bool = False) -> Inventory:
    """List the files and replay the log. `leased`: the caller keeps writers out."""
    inventory = Inventory()
    with contextlib.ExitStack() as stack:
        kept_out = leased or _keep_writers_out(place, stack)
        # Where there are no leases a writer may be at work, and nobody removes anything either.
        inventory.judged = kept_out or place.store.leases is None
        _list_files(place, inventory)
        inventory.early = _paths(inventory)
        _replay(place, inventory)
        if not kept_out:
            # What writers added meanwhile may be named by records just read.
            _list_files(place, inventory)
        if inventory.fault is None:
            inventory.fault = _ended_early(place, inventory)
    return inventory


def lost_blocks(place: Place, inventory: Inventory) -> list[int] | None:
    """Blocks that no sealed segment names; None when a segment cannot be read, because then
    nobody knows what it names."""
    named: set[int] = set()
    for segment, _ in inventory.present_segments():
        try:
            reader = read_segment(place, segment)
            for record in reader:
                named.update(extent.block_id for extent in record.extents)
        except (Integrity, NotFound):
            return None
    return sorted(inventory.blocks.keys() - named)


def read_segment(place: Place, segment: SealedSegment) -> SegmentReader:
    """The segment's file as it is now, hashed now: no cache is asked.

    Raises:
        Integrity: missing, or its SHA-256 is not the sealed one.
    """
    path = segment_path(segment.segment_id)
    name = f"{place.prefix}/{path}"
    try:
        data = place.files.open(path).data
    except NotFound:
        raise Integrity(
            "checking the segment", name, found="no such file", expected="a sealed segment"
        ) from None
    found = hashlib.sha256(data).digest()
    if found != segment.sha256:
        raise Integrity(
            "checking the segment",
            name,
            found=f"SHA-256 {found.hex()}",
            expected=f"{segment.sha256.hex()}, as sealed",
        )
    return SegmentReader(data, name)


def litter(place: Place, inventory: Inventory) -> list[tuple[str, int]]:
    """Files that no record names, as (path below the store's root, size)."""
    if inventory.fault is not None or not inventory.judged:
        return []
    lost = [(segment_path(i), inventory.segments[i]) for i in inventory.lost_segments()]
    lost += [(snapshot_path(i), inventory.snapshots[i]) for i in inventory.lost_snapshots()]
    blocks = lost_blocks(place, inventory) or ()
    lost += [(block_path(i), inventory.blocks[i]) for i in blocks]
    return [(f"{place.prefix}/{path}", size) for path, size in lost if path in inventory.early]


def _ended_early(place: Place, inventory: Inventory) -> Integrity | None:
    """What is wrong where a snapshot was written farther on in the log than the log goes: the log
    came from an older copy, and what it does not name is no litter."""
    head = inventory.state.position
    for snapshot_id in inventory.lost_snapshots():
        name = snapshot_path(snapshot_id)
        if name not in inventory.early or snapshot_id in inventory.anchors:
            continue
        path = f"{place.prefix}/{name}"
        try:
            logseq = decode_snapshot(place.store.get(path), path).logseq
        except (Integrity, NotFound, Unsupported):
            continue
        # Asked again: a reader may have come while a writer was taking in what a crash had left.
        if logseq > head + 1 and logseq > place.log.head().logseq + 1:
            return Integrity(
                "reading the log",
                f"{place.prefix}/log",
                found=f"an end at record {head}",
                expected=f"record {logseq - 1} at least, on which {path} was written",
                hint="an older copy of the log was put here? Put the newest one back",
                logseq=head,
            )
    return None


def _paths(inventory: Inventory) -> set[str]:
    paths = {segment_path(i) for i in inventory.segments}
    paths |= {snapshot_path(i) for i in inventory.snapshots}
    return paths | {block_path(i) for i in inventory.blocks}


def _keep_writers_out(place: Place, stack: contextlib.ExitStack) -> bool:
    if place.store.leases is None:
        return False
    try:
        stack.enter_context(writers_lease(place, exclusive=True, timeout=0))
    except (Busy, Denied):
        # A writer is at work, or who may only read cannot know.
        return False
    return True


def _list_files(place: Place, inventory: Inventory) -> None:
    start = len(place.prefix) + 1
    inventory.others.clear()
    kinds = (
        (parse_block_path, inventory.blocks),
        (parse_segment_path, inventory.segments),
        (parse_snapshot_path, inventory.snapshots),
    )
    for entry in place.store.list(place.prefix):
        path = entry.path[start:]
        if path.startswith("log/"):
            continue
        for parse, files in kinds:
            number = parse(path)
            if number is not None:
                files[number] = entry.size
                break
        else:
            inventory.others.append(entry.path)


def _replay(place: Place, inventory: Inventory) -> None:
    state = inventory.state
    try:
        for record in place.log.records():
            state.apply(record)
            if record.type == RecordType.SNAPSHOT_ANCHOR:
                anchor = payload_of(record)
                assert isinstance(anchor, SnapshotAnchor)
                inventory.anchors[anchor.snapshot_id] = Anchor(record.logseq, anchor.snapshot_hash)
    except Integrity as error:
        inventory.fault = error
