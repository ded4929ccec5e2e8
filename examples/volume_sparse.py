"""A sparse volume: stage, commit, read; gaps are errors; a later process makes up for them."""

from __future__ import annotations

import holdfast

with holdfast.init("archive") as repo:
    disk = repo.volume("disk", total_length=4096)
    block = disk.stage_write_at(1024, b"b" * 1024)
    print("staged, and invisible:", disk.missing_ranges())
    disk.commit([block], {"part": 2})
    print("committed:", disk.read_at(1024, 3))
    try:
        disk.read_at(1000, 100)
    except holdfast.RangeMissing as error:
        print("a gap:", error.code, error.details["missing_offset"])
    try:
        disk.commit([disk.stage_write_at(2000, b"x" * 1000)])
    except holdfast.OverlappingBlocks as error:
        print("committed once, never again:", error.code)
    disk.close()

# Any later process, which knows nothing but the names.
with holdfast.open("archive") as repo:
    disk = repo.volume("disk")
    with disk.transaction(message="the rest") as tx:
        for gap in disk.missing_ranges():
            tx.stage_write_at(gap.offset, b"r" * gap.length)
    print("complete:", disk.map().complete, "in", len(tx.snapshot.blocks), "blocks")
    print("snapshots:", [s.map().covered for s in disk.snapshots()])
