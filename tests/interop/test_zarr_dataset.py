"""Zarr in a dataset: transactions, snapshots that stay, conflicts, packs."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import xarray
import zarr

from holdfast import FileSystemStore, MemoryStore
from holdfast.datasets.dataset import Dataset
from holdfast.errors import (
    Denied,
    Integrity,
    Invalid,
    NotFound,
    SnapshotConflict,
    Unsupported,
)
from holdfast.interop.zarr_dataset import ZarrDataset


def made(store=None):
    return ZarrDataset(Dataset("cube", store or MemoryStore()))


def create(kept, shape=(8, 8), chunks=(2, 2), name="v"):
    with kept.transaction() as tx:
        root = zarr.open_group(tx.store, mode="a", zarr_format=3)
        root.create_array(name, shape=shape, chunks=chunks, dtype="f8", fill_value=0)
    return tx.snapshot


def array(store, name="v", mode="r+"):
    return zarr.open_group(store, mode=mode)[name]


def read(kept, name="v", snapshot=None):
    return array(kept.store(snapshot), name, "r")[:]


def test_a_transaction_is_one_snapshot_and_older_ones_stay_as_they_are():
    kept = made()
    first = create(kept)
    with kept.transaction(message="one", metadata={"day": 1}) as tx:
        array(tx.store)[:4] = 1
    with kept.transaction(message="two") as tx:
        array(tx.store)[2:6] = 2
    second, third = list(kept.dataset.snapshots())[1:]
    assert (second.message, second.metadata, third.message) == ("one", {"day": 1}, "two")
    assert read(kept, snapshot=first).sum() == 0
    assert read(kept, snapshot=second).sum() == 32
    assert read(kept).sum() == 16 + 64
    assert third.parent == second.id


def test_a_transaction_sees_its_own_writes_and_nobody_else_does():
    kept = made()
    create(kept)
    tx = kept.transaction()
    array(tx.store)[0, 0] = 5
    assert array(tx.store)[0, 0] == 5
    assert read(kept)[0, 0] == 0
    tx.abort()
    assert read(kept)[0, 0] == 0
    assert len(list(kept.dataset.snapshots())) == 1


def test_an_exception_commits_nothing():
    kept = made()
    create(kept)
    with pytest.raises(ZeroDivisionError), kept.transaction() as tx:
        array(tx.store)[:] = 1 // (tx is None)
    assert read(kept).sum() == 0


def test_a_transaction_that_has_ended_takes_nothing_and_gives_nothing():
    kept = made()
    create(kept)
    with kept.transaction() as tx:
        array(tx.store)[:] = 1
    with pytest.raises(Invalid, match="it has ended"):
        array(tx.store)
    with pytest.raises(Invalid, match="it has ended"):
        tx.commit()


def test_a_transaction_without_changes_commits_nothing():
    kept = made()
    snapshot = create(kept)
    with kept.transaction() as tx:
        array(tx.store, mode="r")[:]
    assert tx.snapshot == snapshot
    with pytest.raises(Invalid, match="no changes"):
        made().transaction().commit()


def test_regions_of_different_chunks_are_both_committed():
    kept = made()
    create(kept)
    one, other = kept.transaction(), kept.transaction()
    array(one.store)[:2] = 1
    array(other.store)[2:4] = 2
    one.commit()
    other.commit()
    assert read(kept).sum(axis=1).tolist() == [8, 8, 16, 16, 0, 0, 0, 0]


@pytest.mark.parametrize("rows", [slice(0, 2), slice(1, 2)], ids=["whole chunks", "parts"])
def test_a_chunk_that_two_transactions_wrote_is_a_conflict_and_never_merged(rows):
    kept = made()
    create(kept)
    one, other = kept.transaction(), kept.transaction()
    array(one.store)[0:1] = 1
    array(other.store)[rows] = 2
    one.commit()
    with pytest.raises(SnapshotConflict, match="v/c/0/0: another transaction") as caught:
        other.commit()
    assert caught.value.details["key"] == "v/c/0/0"
    assert read(kept).sum() == 8
    assert len(list(kept.dataset.snapshots())) == 2


def test_a_chunk_left_empty_by_one_and_written_by_another_is_a_conflict():
    kept = made()
    create(kept)
    one, other = kept.transaction(), kept.transaction()
    array(one.store)[:2] = 1
    array(other.store)[:2] = 0
    one.commit()
    with pytest.raises(SnapshotConflict):
        other.commit()


def test_raise_conflicts_with_any_other_snapshot():
    kept = made()
    create(kept)
    one, other = kept.transaction(), kept.transaction(on_conflict="raise")
    array(one.store)[:2] = 1
    array(other.store)[2:4] = 2
    one.commit()
    with pytest.raises(SnapshotConflict):
        other.commit()


def conflicts(first, second):
    """Whether `second` fails after `first`, both begun on the same snapshot."""
    kept = made()
    create(kept)
    create(kept, name="w")
    one, other = kept.transaction(), kept.transaction()
    first(one.store)
    second(other.store)
    one.commit()
    try:
        other.commit()
    except SnapshotConflict:
        return True
    return False


def region(store):
    array(store)[:2] = 1


def corner(store):
    array(store)[6:, 6:] = 1


def elsewhere(store):
    array(store, "w")[:] = 1


def resize(store):
    array(store).resize((4, 8))


def units(store):
    array(store).attrs["units"] = "K"


def title(store):
    zarr.open_group(store, mode="r+").attrs["title"] = "T"


def replace(store):
    zarr.create_array(store, name="v", shape=(9,), chunks=(3,), dtype="i4", overwrite=True)


def remove(store):
    del zarr.open_group(store, mode="r+")["v"]


def everything(store):
    zarr.open_group(store, mode="w")


def new(store):
    zarr.open_group(store, mode="r+").create_array("n", shape=(4,), chunks=(2,), dtype="i4")


def new_region(store):
    new(store)
    array(store, "n")[:2] = 1


@pytest.mark.parametrize("change", [resize, units, replace, remove, everything])
def test_a_change_of_an_array_conflicts_with_a_region_of_it_in_either_order(change):
    assert conflicts(change, region)
    assert conflicts(region, change)
    assert conflicts(change, corner)
    assert conflicts(corner, change)


@pytest.mark.parametrize("change", [resize, units, replace, remove, title, new])
def test_a_change_of_an_array_or_group_leaves_other_arrays_alone(change):
    assert not conflicts(change, elsewhere)
    assert not conflicts(elsewhere, change)


def test_replacing_everything_conflicts_with_every_change_before_it_and_regions_after_it():
    for change in (elsewhere, title, new):
        assert conflicts(change, everything)
    assert conflicts(everything, elsewhere)
    # What was removed is not what these wrote to.
    assert not conflicts(everything, title)
    assert not conflicts(everything, new)


def test_two_that_make_the_same_array_agree_and_other_arrays_do_not():
    assert not conflicts(new, new)
    assert not conflicts(new, new_region)
    assert conflicts(
        new,
        lambda s: zarr.open_group(s, mode="r+").create_array("n", shape=(5,), dtype="i4"),
    )


@pytest.mark.parametrize("kind", ["removed", "replaced by an array"])
def test_a_group_that_is_gone_conflicts_with_what_was_written_below_it(kind):
    kept = made()
    with kept.transaction() as tx:
        zarr.open_group(tx.store, mode="w", zarr_format=3).create_group("g")
    one, other = kept.transaction(), kept.transaction()
    root = zarr.open_group(one.store, mode="r+")
    if kind == "removed":
        del root["g"]
    else:
        root.create_array("g", shape=(2,), dtype="i4", overwrite=True)
    zarr.open_group(other.store, mode="r+", path="g").create_array("a", shape=(2,), dtype="i4")
    one.commit()
    with pytest.raises(SnapshotConflict, match=r"g/zarr\.json: another transaction"):
        other.commit()


def test_two_that_append_at_once_conflict():
    kept = made()
    data = xarray.Dataset({"t": (("time",), np.ones(2))})
    with kept.transaction() as tx:
        data.to_zarr(tx.store)
    one, other = kept.transaction(), kept.transaction()
    data.to_zarr(one.store, append_dim="time")
    (data + 1).to_zarr(other.store, append_dim="time")
    one.commit()
    with pytest.raises(SnapshotConflict):
        other.commit()


def test_a_snapshot_store_is_read_only():
    kept = made()
    create(kept)
    with pytest.raises((ValueError, Denied)):
        array(kept.store(), mode="r+")[:] = 1
    with pytest.raises(NotFound):
        made().store()


def test_metadata_of_zarr_2_is_refused():
    with pytest.raises(Unsupported, match="Zarr 2"):
        zarr.create_array(made().transaction().store, shape=(3,), dtype="i4", zarr_format=2)


def test_sharded_arrays_read_a_part_of_a_shard():
    kept = made()
    values = np.arange(64.0).reshape(8, 8)
    with kept.transaction() as tx:
        zarr.create_array(tx.store, name="v", data=values, chunks=(2, 2), shards=(4, 8))
    assert np.array_equal(read(kept)[2:4], values[2:4])
    assert array(kept.store(), mode="r")[5, 5] == values[5, 5]


def test_a_dataset_that_holds_something_else_is_invalid():
    dataset = Dataset("blob", MemoryStore())
    dataset.write(b"some bytes that are no pack" * 9)
    with pytest.raises(Invalid, match="no Zarr transaction"):
        ZarrDataset(dataset).store()
    with pytest.raises(Unsupported, match="not compressed"):
        create(ZarrDataset(Dataset("c", MemoryStore(), compressor="zstd")))


def test_damage_of_a_pack_is_never_handed_out():
    store = MemoryStore()
    kept = made(store)
    create(kept)
    with kept.transaction() as tx:
        array(tx.store)[:] = 1
    path = kept.dataset.latest().files[-1].path
    data = store.get(path)
    for at in range(8, len(data), 97):
        broken = bytearray(data)
        broken[at] ^= 1
        store.delete(path)
        store.put(path, bytes(broken))
        with pytest.raises(Integrity):
            read(made(store))


def test_many_small_commits_keep_few_layers_and_every_value():
    kept = made()
    create(kept, shape=(64,), chunks=(1,))
    for i in range(64):
        with kept.transaction() as tx:
            array(tx.store)[i] = i + 1
    assert read(kept).tolist() == list(range(1, 65))
    assert read(made(kept.dataset.store)).tolist() == list(range(1, 65))
    assert len(kept.latest().layers) <= 7
    assert len(kept.dataset.latest().files) == 65


def test_repack_leaves_one_file_with_the_same_values():
    kept = made()
    create(kept)
    for i in range(5):
        with kept.transaction() as tx:
            array(tx.store)[i] = i + 1
    before = read(kept)
    open_transaction = kept.transaction()
    array(open_transaction.store)[6:] = 9
    snapshot = kept.repack(message="tidy")
    assert len(snapshot.files) == 1
    assert np.array_equal(read(kept), before)
    open_transaction.commit()
    assert read(kept)[6:].sum() == 16 * 9
    assert np.array_equal(read(kept)[:6], before[:6])


def test_values_beyond_the_memory_go_through_a_temporary_file(monkeypatch):
    monkeypatch.setattr("holdfast.interop.zarr_staging.Staging.__init__.__defaults__", (100,))
    kept = made()
    create(kept)
    values = np.random.default_rng(1).random((8, 8))
    with kept.transaction() as tx:
        array(tx.store)[:] = values
        array(tx.store)[:] = values + 1
        assert np.array_equal(array(tx.store)[:], values + 1)
    assert np.array_equal(read(kept), values + 1)


def test_threads_with_transactions_of_their_own_lose_nothing(tmp_path):
    kept = made(FileSystemStore(tmp_path))
    create(kept, shape=(12, 6), chunks=(1, 3))
    failures = []

    def write(row):
        try:
            with kept.transaction() as tx:
                array(tx.store)[row] = row + 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(row,)) for row in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert read(kept)[:, 0].tolist() == list(range(1, 13))
    assert len(list(kept.dataset.snapshots())) == 13


def test_xarray_writes_regions_and_appends():
    kept = made()
    data = xarray.Dataset(
        {"t": (("time", "x"), np.arange(12.0).reshape(3, 4), {"units": "K"})},
        coords={"time": [0, 1, 2], "x": [10, 20, 30, 40]},
    )
    with kept.transaction() as tx:
        data.to_zarr(tx.store, encoding={"t": {"chunks": (1, 4)}})
    with xarray.open_zarr(kept.store(), chunks=None) as opened:
        xarray.testing.assert_identical(opened.load(), data)
    one, other = kept.transaction(), kept.transaction()
    changed = (data + 100).drop_vars("x")
    changed.isel(time=slice(0, 1)).to_zarr(one.store, region={"time": slice(0, 1)})
    changed.isel(time=slice(2, 3)).to_zarr(other.store, region={"time": slice(2, 3)})
    one.commit()
    other.commit()
    with xarray.open_zarr(kept.store(), chunks=None) as opened:
        assert opened["t"].values[:, 0].tolist() == [100, 4, 108]
    with kept.transaction() as tx:
        data.assign_coords(time=[3, 4, 5]).to_zarr(tx.store, append_dim="time")
    with xarray.open_zarr(kept.store(), chunks=None) as opened:
        assert opened["time"].values.tolist() == [0, 1, 2, 3, 4, 5]
