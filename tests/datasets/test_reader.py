"""The reader finds what is in a store, by its manifests, and nothing that is not whole."""

from __future__ import annotations

import io

import pytest

from holdfast import DatasetReader, ManifestRef
from holdfast.datasets.dataset import Dataset
from holdfast.datasets.layout import DEFAULT
from holdfast.errors import Integrity, Invalid, ManifestInvalid, NotFound, Unsupported
from holdfast.snapshotting.iteration import Iteration
from holdfast.store.memory import MemoryStore
from runs_support import Ticks

ROWS = [{"k": "a", "n": 1}, {"k": "b", "n": 2}]


@pytest.fixture
def store():
    return MemoryStore()


def test_it_lists_datasets_and_their_manifests_oldest_first(store):
    one = Dataset("one", store)
    first, second = one.write(ROWS), one.append(ROWS)
    Dataset("two", store).write(b"raw")
    store.put("datasets/empty/snapshots/1/data/data", b"of a writer that died")
    reader = DatasetReader(store)
    assert list(reader.list_datasets()) == ["one", "two"]
    refs = list(reader.list_manifests("one"))
    assert refs == [ManifestRef("one", s.id, "", s.manifest_path) for s in (first, second)]
    assert reader.get_manifest("one", refs[1]) == second.manifest
    assert reader.get_manifest("one", first.id) == first.manifest
    assert list(reader.list_partitions("one")) == []
    assert list(reader.list_manifests("nowhere")) == []


def test_it_lists_what_was_written_into_a_partition(store):
    ds = Dataset("d", store, partition_by="k")
    first = ds.write(ROWS)
    second = ds.append([{"k": "b", "n": 3}])
    ds.write([])
    reader = DatasetReader(store, "hive")
    assert list(reader.list_partitions("d")) == ["k=a", "k=b"]
    assert [r.id for r in reader.list_manifests("d", "k=a")] == [first.id]
    assert [r.id for r in reader.list_manifests("d", "k=b")] == [first.id, second.id]
    assert {r.partition for r in reader.list_manifests("d", "k=b")} == {"k=b"}
    assert list(reader.list_manifests("d", "k=nothing")) == []
    assert len(list(reader.list_manifests("d"))) == 3
    (ref,) = reader.list_manifests("d", "k=a")
    # The copy in the partition is not needed.
    store.delete(f"datasets/d/partitions/k=a/segments/{first.id}/manifest.json")
    assert list(reader.list_manifests("d", "k=a")) == [ref]
    assert reader.get_manifest("d", ref) == first.manifest


def test_what_a_layout_cannot_list_is_said_with_its_name(store):
    Dataset("d", store, layout="flat").write(ROWS)
    flat = DatasetReader(store, "flat")
    with pytest.raises(Unsupported, match="flat layout"):
        flat.list_datasets()
    assert len(list(flat.list_manifests("d"))) == 1
    for layout in ("flat", "default"):
        with pytest.raises(Unsupported, match=f"{layout} layout"):
            DatasetReader(store, layout).list_manifests("d", "k=a")
    with pytest.raises(Invalid):
        DatasetReader(store, "none such")
    with pytest.raises(Invalid):
        DatasetReader(store, "hive").list_manifests("d", "")


def test_snapshots_that_only_repeat_others_are_not_listed(store):
    ds = Dataset("d", store, dead_after=0.0, clock=Ticks())
    first = ds.write(ROWS)
    dead = str(int(first.id) + 1)
    store.compare_and_swap("datasets/d/latest", first.id.encode(), dead.encode())
    second = ds.write(ROWS)
    assert second.parent == dead
    reader = DatasetReader(store)
    assert [r.id for r in reader.list_manifests("d")] == [first.id, second.id]
    assert reader.get_manifest("d", dead).mark == "healed"


def test_a_damaged_manifest_ends_the_listing_once(store):
    ds = Dataset("d", store)
    first = ds.write(ROWS)
    store.put(DEFAULT.manifest("d", "99999999999999999999"), b"{}")
    with DatasetReader(store).list_manifests("d") as refs:
        assert next(refs).id == first.id
        with pytest.raises(ManifestInvalid, match="99999999999999999999"):
            next(refs)
        assert list(refs) == []


@pytest.mark.parametrize("id", ["1", "", "..", "a/b", "x\0"])
def test_a_snapshot_that_is_not_there_is_not_found(store, id):
    Dataset("d", store).write(ROWS)
    with pytest.raises(NotFound):
        DatasetReader(store).get_manifest("d", id)


def test_a_reference_into_another_dataset_is_refused(store):
    Dataset("d", store).write(ROWS)
    reader = DatasetReader(store)
    (ref,) = reader.list_manifests("d")
    with pytest.raises(Invalid, match="dataset d"):
        reader.get_manifest("other", ref)


@pytest.mark.parametrize("layout", ["default", "hive", "flat"])
def test_files_open_as_they_are_stored(store, layout):
    keys = {"partition_by": "k"} if layout == "hive" else {}
    ds = Dataset("d", store, layout=layout, compressor="gzip", codec="jsonl", **keys)
    ds.write(ROWS)
    snapshot = ds.append(ROWS)
    reader = DatasetReader(store, layout)
    for file in snapshot.files:
        stored = store.get(file.path)
        for how in (file, file.path):
            for manifest in (None, snapshot.manifest):
                with reader.open_object(how, manifest) as opened:
                    assert opened.read() == stored
                    assert opened.seek(-4, io.SEEK_END) == len(stored) - 4
                    assert opened.read() == stored[-4:]
                assert reader.read_range(how, 3, 5, manifest) == stored[3:8]
        assert reader.read_range(file, len(stored) - 1, 9) == stored[-1:]
        assert reader.read_range(file, len(stored) + 1, 9) == b""
        with pytest.raises(Invalid):
            reader.read_range(file, -1, 1)


def test_a_range_of_a_large_file_reads_its_block_only(store):
    data = bytes(range(256)) * 4096 * 3
    snapshot = Dataset("d", store).write(data)
    (file,) = snapshot.files
    assert file.blocks_sha256
    damaged = bytearray(data)
    damaged[2 << 20] ^= 1
    store._files[file.path] = bytes(damaged)
    reader = DatasetReader(store)
    assert reader.read_range(file, 1 << 20, 300) == data[1 << 20 :][:300]
    with pytest.raises(Integrity):
        reader.read_range(file, (2 << 20) + 7, 300)
    off = DatasetReader(store, verify="off")
    assert off.read_range(file, 2 << 20, 1) == bytes([data[2 << 20] ^ 1])


def test_a_file_that_no_manifest_names_does_not_open(store):
    snapshot = Dataset("d", store).write(ROWS)
    reader = DatasetReader(store)
    path = snapshot.files[0].path
    store.put(path + "-00009", b"litter")
    for unknown in (path + "-00009", snapshot.manifest_path, "datasets/d/latest", "x", "data/data"):
        for manifest in (None, snapshot.manifest):
            with pytest.raises(NotFound):
                reader.open_object(unknown, manifest)
    store.delete(snapshot.manifest_path)
    with pytest.raises(NotFound, match="give the manifest"):
        reader.open_object(path)
    with reader.open_object(path, snapshot.manifest) as file:
        assert file.read() == store.get(path)


def opened_iterations(store):
    ds = Dataset("d", store)
    ds.write(ROWS)
    reader = DatasetReader(store)
    return [
        reader.list_datasets(),
        reader.list_manifests("d"),
        ds.snapshots(),
        ds.history(),
        ds.latest().read_rows(),
        ds.latest().to_batches(),
    ]


def test_every_iteration_stops_where_it_is_closed(store):
    for iteration in opened_iterations(store):
        with iteration as inner:
            assert inner is iteration
        iteration.close()
        assert list(iteration) == []
    for iteration in opened_iterations(store):
        assert list(iteration)
        assert list(iteration) == []


def test_an_error_is_raised_once_and_what_was_held_is_let_go():
    held = []

    class Source:
        def __init__(self):
            self.left = [1]

        def __iter__(self):
            return self

        def __next__(self):
            if self.left:
                return self.left.pop()
            raise NotFound("reading", "it")

        def close(self):
            held.append("closed")

    iteration = Iteration(Source())
    assert next(iteration) == 1
    with pytest.raises(NotFound):
        next(iteration)
    assert list(iteration) == []
    iteration.close()
    assert held == ["closed"]
