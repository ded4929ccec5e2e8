"""Layouts: paths, shapes and listings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.datasets.layout import DEFAULT, FLAT, HIVE, ManifestPath, file_name, layout_of
from holdfast.errors import Invalid, InvalidPath, Unsupported
from holdfast.store.memory import MemoryStore

LAYOUTS = pytest.mark.parametrize("layout", [DEFAULT, HIVE, FLAT], ids=lambda layout: layout.name)


def test_the_paths_are_those_of_the_format():
    assert DEFAULT.dataset_folder("D") == "datasets/D"
    assert DEFAULT.pointer("D") == "datasets/D/latest"
    assert DEFAULT.snapshots_folder("D") == "datasets/D/snapshots"
    assert DEFAULT.manifest("D", "S") == "datasets/D/snapshots/S/manifest.json"
    assert DEFAULT.data_file("D", "S", "", "data.gz") == "datasets/D/snapshots/S/data/data.gz"
    assert DEFAULT.copies("D", "S", []) == []
    assert HIVE.dataset_folder("D") == "datasets/D"
    assert HIVE.pointer("D") == "datasets/D/latest"
    assert HIVE.snapshots_folder("D") == "datasets/D/segments"
    assert HIVE.manifest("D", "S") == "datasets/D/segments/S/manifest.json"
    assert HIVE.data_file("D", "S", "a=1/b=2", "data") == (
        "datasets/D/partitions/a=1/b=2/segments/S/data/data"
    )
    assert HIVE.copies("D", "S", ["a=1/b=2", "a=2/b=2"]) == [
        "datasets/D/partitions/a=1/b=2/segments/S/manifest.json",
        "datasets/D/partitions/a=2/b=2/segments/S/manifest.json",
    ]
    assert FLAT.dataset_folder("D") == "D"
    assert FLAT.pointer("D") == "D/latest"
    assert FLAT.snapshots_folder("D") == "D"
    assert FLAT.manifest("D", "S") == "D/S/manifest.json"
    assert FLAT.data_file("D", "S", "", "blob") == "D/S/data/blob"


@pytest.mark.parametrize(
    ("codec", "compressor", "index", "name"),
    [
        ("jsonl", "noop", None, "data"),
        ("parquet", "gzip", None, "data.gz"),
        ("jsonl", "zstd", 3, "data-00003.zst"),
        ("jsonl", "noop", 123456, "data-123456"),
        (None, "noop", None, "blob"),
        ("", "gzip", None, "blob.gz"),
        (None, "zstd", 0, "blob-00000.zst"),
    ],
)
def test_the_name_of_a_data_file_says_codec_compressor_and_number(codec, compressor, index, name):
    assert file_name(codec, compressor, index) == name


def test_an_unknown_compressor_has_no_file_name():
    with pytest.raises(Unsupported, match="lz4"):
        file_name("jsonl", "lz4")


def test_layouts_are_found_by_name():
    assert [layout_of(name) for name in ("default", "hive", "flat")] == [DEFAULT, HIVE, FLAT]
    with pytest.raises(Invalid, match="default, hive, flat"):
        layout_of("deep")


@pytest.mark.parametrize(
    ("layout", "path", "found"),
    [
        (DEFAULT, "datasets/D/snapshots/S/manifest.json", ("D", "S", "")),
        (DEFAULT, "datasets/D/segments/S/manifest.json", None),
        (DEFAULT, "datasets/D/snapshots/S/data/manifest.json", None),
        (DEFAULT, "datasets/D/snapshots/S/x/manifest.json", None),
        (DEFAULT, "datasets/D/snapshots/manifest.json", None),
        (DEFAULT, "a/datasets/D/snapshots/S/manifest.json", None),
        (DEFAULT, "datasets/D/snapshots/S/manifest.json\n", None),
        (FLAT, "D/S/manifest.json", ("D", "S", "")),
        (FLAT, "D/manifest.json", None),
        (FLAT, "D/S/data/manifest.json", None),
        (HIVE, "datasets/D/segments/S/manifest.json", ("D", "S", "")),
        (HIVE, "datasets/D/partitions/a=1/segments/S/manifest.json", ("D", "S", "a=1")),
        (HIVE, "datasets/D/partitions/a=1/b=/segments/S/manifest.json", ("D", "S", "a=1/b=")),
        (
            HIVE,
            "datasets/D/partitions/k=segments/segments/S/manifest.json",
            ("D", "S", "k=segments"),
        ),
        (HIVE, "datasets/D/partitions/a=1/segments/S/data/manifest.json", None),
        (HIVE, "datasets/D/partitions/segments/S/manifest.json", None),
        (HIVE, "other/D/segments/S/manifest.json", None),
        (HIVE, "datasets/D/snapshots/S/manifest.json", None),
    ],
)
def test_a_manifest_is_known_by_the_shape_of_its_path(layout, path, found):
    assert layout.parse_manifest(path) == (None if found is None else ManifestPath(*found))


NAMES = st.text("abc=._ é\n%\U0001f600", min_size=1, max_size=6)


@settings(deadline=None)
@given(NAMES, NAMES, st.lists(st.tuples(NAMES, NAMES).map("=".join), min_size=1, max_size=3))
def test_every_path_that_a_layout_makes_is_one_that_it_knows(dataset, snapshot, segments):
    for layout in (DEFAULT, HIVE, FLAT):
        path = layout.manifest(dataset, snapshot)
        assert layout.parse_manifest(path) == (dataset, snapshot, "")
    partition = "/".join(segments)
    (copy,) = HIVE.copies(dataset, snapshot, [partition])
    assert HIVE.parse_manifest(copy) == (dataset, snapshot, partition)


@LAYOUTS
def test_ids_are_sorted_by_number_after_those_of_other_shapes(layout):
    store = MemoryStore()
    for id in ("100", "9", "1795167759927509777", "older", "0", "010", "x y"):
        store.put(layout.manifest("d", id), b"{}")
    found = layout.ids(store, "d")
    assert found[-3:] == ["9", "100", "1795167759927509777"]
    assert set(found[:-3]) == {"older", "0", "010", "x y"}


@LAYOUTS
def test_only_what_has_a_manifest_is_a_snapshot(layout):
    store = MemoryStore()
    partition = "k=v" if layout is HIVE else ""
    store.put(layout.data_file("d", "1", partition, "data"), b"")
    store.put(layout.data_file("d", "2", partition, "data"), b"")
    store.put(layout.manifest("d", "2"), b"{}")
    store.put(layout.data_file("d", "2", partition, "manifest.json"), b"")
    store.put(layout.pointer("d"), b"2")
    assert layout.ids(store, "d") == ["2"]
    assert layout.ids(store, "other") == []
    assert layout.partitions(store, "d") == (["k=v"] if layout is HIVE else [])


@pytest.mark.parametrize("layout", [DEFAULT, HIVE], ids=lambda layout: layout.name)
def test_only_what_has_a_snapshot_is_a_dataset(layout):
    store = MemoryStore()
    assert layout.datasets(store) == []
    for name in ("b", "a", "ü"):
        store.put(layout.manifest(name, "1"), b"{}")
    store.put(layout.pointer("empty"), b"1")
    assert layout.datasets(store) == ["a", "b", "ü"]


def test_a_flat_store_does_not_list_datasets():
    with pytest.raises(Unsupported, match="flat layout"):
        FLAT.datasets(MemoryStore())


def test_a_partition_without_its_copy_of_the_manifest_is_listed():
    store = MemoryStore()
    store.put(HIVE.data_file("d", "1", "k=b", "data"), b"")
    store.put(HIVE.data_file("d", "1", "k=a", "data"), b"")
    store.put(HIVE.data_file("d", "2", "k=c", "data"), b"")
    store.put(HIVE.manifest("d", "1"), b"{}")
    assert HIVE.partitions(store, "d") == ["k=a", "k=b"]


def test_partitions_belong_to_hive_and_to_nothing_else():
    with pytest.raises(Invalid, match="partition"):
        DEFAULT.data_file("d", "1", "k=v", "data")
    with pytest.raises(Invalid, match="partition"):
        HIVE.data_file("d", "1", "", "data")


@LAYOUTS
def test_a_name_that_leaves_the_store_is_refused_by_the_store(layout):
    store = MemoryStore()
    with pytest.raises(InvalidPath):
        store.get(layout.manifest("../../x", "1"))
    with pytest.raises(InvalidPath):
        store.get(layout.manifest("d", "../../../../x"))
    with pytest.raises(InvalidPath):
        layout.ids(store, "../../x")
