"""Region writes from four processes at once: nothing is lost, nothing is merged."""

from __future__ import annotations

import subprocess
import sys

import zarr

from holdfast import FileSystemStore
from holdfast.datasets.dataset import Dataset
from holdfast.interop.zarr_dataset import ZarrDataset

PROCESSES, COMMITS = 4, 4

WRITER = """
import sys, zarr
from holdfast import FileSystemStore, SnapshotConflict
from holdfast.datasets.dataset import Dataset
from holdfast.interop.zarr_dataset import ZarrDataset

root, me, commits = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
kept = ZarrDataset(Dataset("cube", FileSystemStore(root)))
sys.stdin.readline()
for i in range(commits):
    with kept.transaction(message=f"{me}:{i}") as tx:
        group = zarr.open_group(tx.store, mode="r+")
        group["own"][me * commits + i] = 1 + me
    while True:  # every process adds one to the same chunk
        tx = kept.transaction()
        shared = zarr.open_group(tx.store, mode="r+")["shared"]
        shared[me] += 1
        try:
            tx.commit()
            break
        except SnapshotConflict:
            print("conflict")
"""


def test_four_processes_write_their_regions_and_share_a_chunk(tmp_path):
    kept = ZarrDataset(Dataset("cube", FileSystemStore(tmp_path)))
    with kept.transaction() as tx:
        root = zarr.open_group(tx.store, mode="w", zarr_format=3)
        rows = PROCESSES * COMMITS
        root.create_array("own", shape=(rows, 3), chunks=(1, 3), dtype="i4", fill_value=0)
        root.create_array("shared", shape=(PROCESSES,), chunks=(PROCESSES,), dtype="i4")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(me), str(COMMITS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for me in range(PROCESSES)
    ]
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=200)
        assert writer.returncode == 0, errors
    group = zarr.open_group(kept.store(), mode="r")
    assert group["own"][:, 0].tolist() == [1 + i // COMMITS for i in range(rows)]
    # A lost or merged update would be missing here.
    assert group["shared"][:].tolist() == [COMMITS] * PROCESSES
    history = [snapshot.id for snapshot in kept.dataset.history()]
    assert len(history) == len(set(history)) == 1 + 2 * PROCESSES * COMMITS
