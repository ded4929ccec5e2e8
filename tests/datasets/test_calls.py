"""What datasets ask of a store: fixed numbers of calls, and no listing on a hot path."""

from __future__ import annotations

from functools import partial

import pyarrow as pa
import pytest

from datasets_support import CountingStore
from holdfast.datasets.dataset import Dataset
from holdfast.ledger.ledger import Ledger
from holdfast.store.calls import OsCalls
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from holdfast.testing.faults import FaultyCalls
from runs_support import NoLeases

ROWS = [{"n": 1}, {"n": 2}]


def with_snapshots(store, count, **options):
    ds = Dataset("d", store, **options)
    for _ in range(count):
        ds.append(ROWS)


def cost(store, action):
    store.reset()
    action()
    return dict(store.counts)


@pytest.mark.parametrize("inner", [MemoryStore, NoLeases])
def test_a_commit_costs_the_same_whatever_lies_below(inner):
    for action in (Dataset.write, Dataset.append):
        costs = []
        for snapshots in (2, 40):
            store = CountingStore(inner())
            with_snapshots(store, snapshots, codec="jsonl")
            ds = Dataset("d", store)
            first = cost(store, partial(action, ds, ROWS))
            again = cost(store, partial(action, ds, ROWS))
            costs.append((first, again))
        assert costs[0] == costs[1]
        for counts in costs[0]:
            assert "list" not in counts
            assert "children" not in counts
        if inner is MemoryStore:
            # The pointer; the data file, the manifest and the new pointer; the swap.
            expected = {"read_range": 1, "stage": 3, "publish_many": 2, "swap_staged": 1}
        else:
            expected = {"read_range": 1, "batch": 1, "publish_many": 1}
            expected |= {"compare_and_swap": 1, "put": 1}
        assert costs[0][1] == expected


@pytest.mark.parametrize("snapshots", [1, 30])
def test_the_latest_snapshot_costs_its_pointer_and_its_manifest(snapshots):
    store = CountingStore(MemoryStore())
    with_snapshots(store, snapshots)
    fresh = Dataset("d", store, layout="default")
    assert cost(store, fresh.latest) == {"read_range": 2}
    assert cost(store, fresh.latest) == {"read_range": 1}
    id = fresh.latest().id
    other = Dataset("d", store, layout="default")
    assert cost(store, lambda: other.snapshot(id)) == {"read_range": 1}


def test_a_layout_that_was_not_named_is_found_without_listing():
    store = CountingStore(MemoryStore())
    with_snapshots(store, 20)
    counts = cost(store, Dataset("d", store).latest)
    assert "list" not in counts
    assert "children" not in counts
    assert counts["exists"] == 1


def test_reading_a_small_snapshot_reads_each_file_once():
    store = CountingStore(MemoryStore())
    with_snapshots(store, 1)
    ds = Dataset("d", store)
    ds.append(ROWS)
    latest = ds.latest()
    store.reset()
    assert latest.read() == ROWS * 2 or len(latest.read()) == 4
    assert sorted(set(store.read)) == [f.path for f in latest.files]


def test_an_append_reads_and_copies_no_data():
    store = CountingStore(MemoryStore())
    with_snapshots(store, 5)
    ds = Dataset("d", store)
    data = {f.path for f in ds.latest().files}
    store.reset()
    ds.append(ROWS)
    assert not data & set(store.read)


def syncs(tmp_path, options, action, *, ledger):
    calls = FaultyCalls(OsCalls())
    store = FileSystemStore(tmp_path, calls=calls)
    ds = Dataset("d", store, sink=Ledger(store) if ledger else None, **options)
    for _ in range(3):
        action(ds)
    calls.reset()
    action(ds)
    return calls.counts["fsync"] + calls.counts["sync_file_system"]


def shares_syncs(folder):
    calls = OsCalls()
    fd = calls.open(str(folder), 0)
    shared = calls.can_sync_file_system(fd)
    calls.close(fd)
    return shared


def test_a_small_commit_syncs_a_fixed_number_of_times(tmp_path):
    def write(ds):
        ds.write(ROWS)

    alone = syncs(tmp_path / "a", {"codec": "jsonl"}, write, ledger=False)
    if shares_syncs(tmp_path):
        # The file system, then data, manifest and pointer for errors; the pointer's folder; the
        # manifest's name.
        assert alone == 6
    else:
        # Data, manifest, pointer, the files' folder and the two above it; the pointer's folder;
        # the manifest's name.
        assert alone == 8
    # And the ledger's frames and records.
    assert syncs(tmp_path / "b", {"codec": "jsonl"}, write, ledger=True) == alone + 2


def test_many_partitions_share_their_syncs(tmp_path):
    table = pa.table({"k": list(range(300)), "n": list(range(300))})

    def write(ds):
        ds.write(table)

    number = syncs(tmp_path / "d", {"partition_by": "k", "codec": "parquet"}, write, ledger=False)
    # A staged copy is synced once more for errors that came before the sync of all, which costs
    # nothing then; without sharing there would be five for each partition.
    assert number < (330 if shares_syncs(tmp_path) else 5000)
