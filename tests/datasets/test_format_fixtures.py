"""What the original wrote: every manifest, every name, every damaged manifest."""

from __future__ import annotations

import json

import pytest

from holdfast.datasets.layout import DEFAULT, FLAT, HIVE, layout_of
from holdfast.datasets.manifest import decode_manifest, encode_manifest
from holdfast.datasets.partition import parse_partition, partition_of, partition_path
from holdfast.errors import ManifestInvalid, Unsupported
from holdfast.store.filesystem import FileSystemStore
from holdfast.volumes.manifest import (
    block_path,
    decode_volume_manifest,
    encode_volume_manifest,
    volume_manifest_path,
    volume_pointer,
)
from lode_fixtures import (
    LODE,
    case_names,
    expected,
    manifest_paths,
    materialise,
    needs_lode,
    unwrap,
    vectors,
)

pytestmark = needs_lode
CASES = [case for case in case_names() if case != "edge_bad_manifests"]


def rewritten(data):
    """The bytes that Holdfast writes where the original's are others: no files are an empty list,
    and what the original could not decode has become U+FFFD itself."""
    return data.replace(b'"files": null', b'"files": []').replace(b"\\ufffd", "\ufffd".encode())


@pytest.mark.parametrize("case", CASES)
def test_every_manifest_reads_and_is_written_again_byte_for_byte(case):
    paths = manifest_paths(case)
    assert paths
    for path in paths:
        data = (LODE / case / "store" / path).read_bytes()
        if path.startswith("volumes/"):
            again = encode_volume_manifest(decode_volume_manifest(data, path))
        else:
            again = encode_manifest(decode_manifest(data, path))
        assert again == rewritten(data), path


@pytest.mark.parametrize("case", CASES)
def test_every_manifest_says_what_the_original_read_from_it(case):
    for view in expected(case)["views"]:
        for snapshot in view["snapshots"]:
            wanted = snapshot["manifest"]
            if view["kind"] == "volume":
                path = volume_manifest_path(wanted["volume_id"], snapshot["id"])
                data = (LODE / case / "store" / path).read_bytes()
                volume = decode_volume_manifest(data, path)
                blocks = [(b["offset"], b["length"], b["path"]) for b in wanted["blocks"]]
                assert [(b.offset, b.length, b.path) for b in volume.blocks] == blocks
                assert volume.total_length == wanted["total_length"]
                continue
            layout = layout_of(view["config"]["layout"])
            path = layout.manifest(wanted["dataset_id"], snapshot["id"])
            manifest = decode_manifest((LODE / case / "store" / path).read_bytes(), path)
            assert manifest.snapshot_id == snapshot["id"]
            assert manifest.row_count == wanted["row_count"]
            assert manifest.codec == wanted.get("codec", "")
            assert manifest.compressor == wanted["compressor"]
            assert manifest.parent_snapshot_id == wanted.get("parent_snapshot_id", "")
            files = [(f["path"], f["size_bytes"]) for f in wanted["files"] or []]
            assert [(f.path, f.size_bytes) for f in manifest.files] == files


# What spec/datasets.md §3 makes stricter than the original's reader.
STRICTER = {
    "other_schema_name": Unsupported,
    "other_version": Unsupported,
    "other_dataset_id": ManifestInvalid,  # a duplicate key
    "duplicate_key": ManifestInvalid,
    "trailing_garbage": ManifestInvalid,
}


def test_damaged_manifests_are_taken_or_refused_as_by_the_original():
    cases = expected("edge_bad_manifests")["manifests"]
    assert {c["dataset_id"] for c in cases} >= STRICTER.keys()
    for case in cases:
        name = case["dataset_id"]
        path = DEFAULT.manifest(name, "100")
        data = (LODE / "edge_bad_manifests" / "store" / path).read_bytes()
        refused = case["reader_get_manifest_error"]
        if name in STRICTER:
            assert refused is None
            with pytest.raises(STRICTER[name]) as stricter:
                decode_manifest(data, path)
            assert stricter.value.target == path
        elif refused is None:
            # Names of fields are case-sensitive: ROW_COUNT is an unknown one.
            assert decode_manifest(data, path).row_count == 0, name
        else:
            with pytest.raises(ManifestInvalid) as caught:
                decode_manifest(data, path)
            assert caught.value.target == path
            field = refused["text"].removeprefix("invalid manifest: ").partition(":")[0]
            if refused["text"].startswith("invalid manifest: "):
                assert caught.value.found.startswith(f"field {field}: "), name


# Paths that the original's store on a file system took, and that no store here takes: not
# normalised, or with a backslash.
STRICTER_PATHS = {"./c", "a/./g", "a//e", "a/../d", "f/", "back\\slash", "C:\\x"}


def test_a_manifest_names_no_path_that_the_originals_store_refused():
    taken = set()
    for vector in vectors()["store"]:
        if "path" not in vector:
            continue
        path = vector["path"]
        document = {
            "schema_name": "lode-manifest", "format_version": "1.0.0", "dataset_id": "d",
            "snapshot_id": "1", "created_at": "2025-01-02T03:04:05Z", "metadata": {},
            "files": [{"path": path, "size_bytes": 1}], "compressor": "noop",
            "partitioner": "noop",
        }  # fmt: skip
        try:
            decode_manifest(json.dumps(document).encode(), "m")
        except ManifestInvalid:
            assert vector["fs"]["put"] is not None or path in STRICTER_PATHS, path
        else:
            assert vector["fs"]["put"] is None or path == "f/under-a-file", path
            taken.add(path)
    assert taken >= {"a/b", "...", " ", "ü"}


@pytest.mark.parametrize("case", CASES)
def test_the_store_lists_as_the_original_listed_it(case, tmp_path):
    store = FileSystemStore(materialise(case, tmp_path))
    for view in expected(case)["views"]:
        if view["kind"] == "volume":
            continue
        layout = layout_of(view["config"]["layout"])
        dataset = view["config"]["dataset_id"]
        reader = view["reader"]
        if layout is FLAT:
            with pytest.raises(Unsupported, match="flat layout"):
                layout.datasets(store)
        else:
            assert set(layout.datasets(store)) >= set(reader["list_datasets"])
        snapshots = [s["id"] for s in view["snapshots"]]
        assert layout.ids(store, dataset) == snapshots
        listed = reader["list_partitions"]
        if isinstance(listed, dict):
            # The original's reader refuses the "files": null that the original writes.
            assert case == "empty_write"
            continue
        assert layout.partitions(store, dataset) == sorted(listed)
        pointer = view["latest_pointer"]
        assert layout.pointer(dataset) == pointer["path"]
        by_partition = reader["list_manifests_by_partition"]
        for partition, ids in by_partition.items():
            for id in ids:
                (copy,) = layout.copies(dataset, id, [partition])
                assert layout.parse_manifest(copy) == (dataset, id, partition)
                assert store.get(copy) == store.get(layout.manifest(dataset, id))


@pytest.mark.parametrize("case", CASES)
def test_every_file_lies_where_the_layout_puts_it(case):
    for view in expected(case)["views"]:
        for snapshot in view["snapshots"]:
            if view["kind"] == "volume":
                for block in snapshot["manifest"]["blocks"]:
                    volume = view["config"]["volume_id"]
                    assert block_path(volume, block["offset"], block["length"]) == block["path"]
                assert view["latest_pointer"]["path"] == volume_pointer(volume)
                continue
            layout = layout_of(view["config"]["layout"])
            for file in snapshot["files"]:
                name = file["path"].rpartition("/")[2]
                partition = partition_of(file["path"])
                dataset = view["config"]["dataset_id"]
                placed = layout.data_file(dataset, snapshot["id"], partition, name)
                assert placed == file["path"]


@pytest.mark.parametrize("case", ["hive_one", "hive_two"])
def test_the_records_of_the_original_fall_into_its_partitions(case):
    (view,) = expected(case)["views"]
    keys = view["config"]["partition_keys"]
    for call in expected(case)["calls"]:
        if "error" in call or "snapshot_id" not in call:
            continue
        records = [unwrap(record) for record in call["records"]]
        ours = {partition_path(keys, record.__getitem__) for record in records}
        path = HIVE.manifest(call["dataset_id"], call["snapshot_id"])
        manifest = decode_manifest((LODE / case / "store" / path).read_bytes(), path)
        assert ours == {partition_of(file.path) for file in manifest.files}
        for record in records:
            partition = partition_path(keys, record.__getitem__)
            assert parse_partition(partition, keys) == tuple((k, record[k]) for k in keys)
