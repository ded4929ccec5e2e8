"""Collection frees what no kept snapshot needs, and nothing else."""

from __future__ import annotations

import pytest

from care_support import DAY, START, STORES, data_files, dataset, moment, store_of, write_days
from holdfast.errors import Denied, HoldfastError, NotFound
from holdfast.records import Finding, Severity
from holdfast.store.memory import MemoryStore


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return store_of(request.param, tmp_path)


@pytest.fixture(params=[True, False], ids=["ledger", "alone"])
def ledger(request):
    return request.param


def complaints(ds):
    return [f for f in ds.verify() if isinstance(f, Finding) and f.severity is not Severity.INFO]


def litter_of(ds):
    return [f.path for f in ds.verify() if isinstance(f, Finding) and f.code == "litter"]


def dead_writer(store, ds, id="9", name="data", partition=""):
    path = ds.layout.data_file(ds.id, id, partition, name)
    store.put(path, b"left behind")
    return path


def test_where_nothing_is_to_be_freed_nothing_is_committed(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    write_days(ds, clock, 2)
    before = list(store.list("datasets"))
    assert ds.collect().removed == []
    assert list(store.list("datasets")) == before


def test_files_of_dead_writers_go(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    (one,) = write_days(ds, clock, 1)
    path = dead_writer(store, ds)
    assert [p for p, _ in ds.collect().removed] == [path]
    assert data_files(store) == [one.files[0].path]
    assert ds.latest() == one
    assert ds.latest().read() == [{"n": 0}]
    assert not complaints(ds)
    assert ds.collect().removed == []


def test_a_dry_run_says_the_same_and_removes_nothing(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    write_days(ds, clock, 1)
    path = dead_writer(store, ds)
    before = list(store.list(""))
    assert ds.collect(dry_run=True).removed == [(path, 11)]
    assert list(store.list("")) == before
    reader, _ = dataset(store, ledger=False, read_only=True)
    assert reader.collect(dry_run=True).removed == [(path, 11)]
    with pytest.raises(Denied):
        reader.collect()


def test_what_a_writer_left_before_the_first_snapshot_goes_too(store, ledger):
    ds, _ = dataset(store, ledger=ledger)
    dead_writer(store, ds)
    assert len(ds.collect().removed) == 1
    assert list(ds.snapshots()) == []
    one = ds.write([{"n": 1}])
    assert ds.latest() == one


def test_expired_snapshots_go_and_those_that_are_kept_stay(store):
    ds, clock = dataset(store)
    snapshots = write_days(ds, clock, 5)
    ds.tag("release", snapshots[1])
    report = ds.apply_retention(keep_last=2)
    freed = ds.collect()
    paths = {p for p, _ in freed.removed}
    for snapshot in snapshots:
        gone = snapshot.id in report.expired
        assert (snapshot.manifest_path in paths) is gone
        assert store.exists(snapshot.files[0].path) is not gone
    again, _ = dataset(store)
    assert [s.read() for s in again.snapshots()] == [[{"n": n}] for n in (1, 3, 4)]
    assert [s.id for s in again.history() if not s.manifest.mark] == [
        snapshots[n].id for n in (4, 3, 1)
    ]
    assert again.at("release").read() == [{"n": 1}]
    assert again.at(moment(START + 3 * DAY + DAY * 3 // 4)).read() == [{"n": 3}]
    for n in (0, 2):
        for look in (again.snapshot, again.at):
            with pytest.raises(NotFound, match="expired"):
                look(snapshots[n].id)
    with pytest.raises(NotFound, match="expired"):
        again.at(moment(START + 2 * DAY + DAY * 3 // 4))
    assert not complaints(again)
    assert not litter_of(again)
    assert again.collect().removed == []


def test_a_file_that_a_later_snapshot_names_stays(store):
    ds, _ = dataset(store, codec="jsonl")
    one = ds.write([{"n": 1}])
    two = ds.append([{"n": 2}])
    ds.expire(one)
    assert [p for p, _ in ds.collect().removed] == [one.manifest_path]
    assert ds.latest() == two
    assert two.read() == [{"n": 1}, {"n": 2}]
    assert not complaints(ds)


def test_block_hashes_go_with_their_file(store):
    ds, _ = dataset(store)
    one = ds.write(bytes(3 << 20))
    two = ds.write(bytes(2 << 20))
    assert one.files[0].blocks_sha256
    ds.expire(one)
    removed = {p for p, _ in ds.collect().removed}
    assert removed == {one.manifest_path, one.files[0].path, f"{one.files[0].path}.blk"}
    assert two.read() == bytes(2 << 20)
    assert not complaints(ds)


def test_copies_of_hive_manifests_go_before_the_canonical_one():
    deleted = []

    class Watched(MemoryStore):
        def delete(self, path):
            deleted.append(path)
            super().delete(path)

    store = Watched()
    ds, clock = dataset(store, partition_by="n", codec="jsonl")
    write_days(ds, clock, 3, rows=lambda n: [{"n": 1, "d": n}, {"n": 2, "d": n}])
    first = next(iter(ds.snapshots()))
    ds.expire(first)
    deleted.clear()
    ds.collect()
    assert deleted == [
        f"datasets/d/partitions/n=1/segments/{first.id}/manifest.json",
        f"datasets/d/partitions/n=2/segments/{first.id}/manifest.json",
        f"datasets/d/segments/{first.id}/manifest.json",
        f"datasets/d/partitions/n=1/segments/{first.id}/data/data",
        f"datasets/d/partitions/n=2/segments/{first.id}/data/data",
    ]
    assert not complaints(ds)


@pytest.mark.parametrize("layout", ["default", "flat", "hive"])
def test_files_of_others_are_never_touched(store, layout):
    options = {"partition_by": "n"} if layout == "hive" else {"layout": layout}
    ds, clock = dataset(store, ledger=False, **options)
    write_days(ds, clock, 1)
    folder = ds.chain.places.folder
    others = [
        f"{folder}/README.md",
        f"{folder}/notes/data/x",
        f"{folder}/tags/x",
        f"{folder}/erasures/x",
        "datasets/e/snapshots/7/data/data",
        "elsewhere/7/data/data",
    ]
    for path in others:
        store.put(path, b"mine")
    dead_writer(store, ds, partition="n=0" if layout == "hive" else "")
    assert len(ds.collect().removed) == 1
    assert all(store.exists(path) for path in others)


def test_what_is_left_of_a_snapshot_whose_manifest_is_lost_stays(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    one, _ = write_days(ds, clock, 2)
    store.delete(one.manifest_path)
    again, _ = dataset(store, ledger=ledger)
    assert again.collect().removed == []
    assert store.exists(one.files[0].path)
    assert [f.path for f in complaints(again)] == [one.manifest_path]


def test_nothing_goes_while_a_manifest_cannot_be_read(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    one, _ = write_days(ds, clock, 2)
    dead_writer(store, ds)
    store.delete(one.manifest_path)
    store.put(one.manifest_path, b"{}")
    before = list(store.list("datasets"))
    again, _ = dataset(store, ledger=ledger)
    with pytest.raises(HoldfastError, match="manifest"):
        again.collect()
    assert list(store.list("datasets")) == before


def test_a_writer_that_published_before_the_collection_begins_again(tmp_path):
    store = store_of("no leases", tmp_path)
    ds, clock = dataset(store, codec="jsonl")
    ds.write([{"n": 1}])
    other, _ = dataset(store, codec="jsonl", clock=clock)

    swap, collected = store.compare_and_swap, []

    def slow_swap(path, expected, replacement):
        if path.endswith("/latest") and not collected:
            collected.append(None)
            collected.append(other.collect())
        swap(path, expected, replacement)

    store.compare_and_swap = slow_swap
    two = ds.append([{"n": 2}])
    assert len(collected[1].removed) == 1
    assert two.read() == [{"n": 1}, {"n": 2}]
    assert not complaints(ds)
    assert ds.collect().removed == []


def test_a_writer_between_its_two_steps_keeps_its_files(tmp_path):
    store = store_of("no leases", tmp_path)
    ds, clock = dataset(store, codec="jsonl")
    ds.write([{"n": 1}])
    other, _ = dataset(store, codec="jsonl", clock=clock)
    other.chain.dead_after = 1e9
    pointer = other.chain.places.pointer
    pauses = []
    put = store.put

    def slow_put(path, data):
        if path.endswith("manifest.json") and not pauses:
            pauses.append(path)

            def step(_):
                other.chain.sleep = lambda _: None
                put(path, data)

            other.chain.sleep = step
            collected.append(other.collect())
            return
        put(path, data)

    collected = []
    store.put = slow_put
    two = ds.append([{"n": 2}])
    assert store.exists(pointer)
    assert collected[0].removed == []
    assert two.read() == [{"n": 1}, {"n": 2}]
    assert not complaints(ds)


def test_marked_snapshots_that_nothing_needs_go(store):
    ds, clock = dataset(store)
    (one,) = write_days(ds, clock, 1)
    dead_writer(store, ds)
    ds.collect()
    (marked,) = [s for s in ds.history() if s.manifest.mark]
    two = ds.write([{"n": 5}])
    ds.write([{"n": 6}])
    ds.expire(one)
    removed = {p for p, _ in ds.collect().removed}
    assert removed == {one.manifest_path, one.files[0].path, marked.manifest_path}
    assert next(s.id for s in ds.snapshots()) == two.id
    assert not complaints(ds)
    assert ds.collect().removed == []


def test_readers_and_writers_go_on_after_a_collection(store, ledger):
    ds, clock = dataset(store, ledger=ledger, codec="jsonl")
    write_days(ds, clock, 1)
    dead_writer(store, ds)
    ds.collect()
    assert ds.read() == [{"n": 0}]
    assert ds.append([{"n": 1}]).read() == [{"n": 0}, {"n": 1}]
    assert [bool(s.manifest.mark) for s in ds.history()] == [False, True, False]
    assert len(list(ds.snapshots())) == 2
