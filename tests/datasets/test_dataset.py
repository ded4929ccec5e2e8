"""Datasets on every kind of store: what is written comes back, and nothing else happens."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from holdfast.datasets.dataset import Dataset
from holdfast.errors import (
    Denied,
    Integrity,
    Invalid,
    InvalidPath,
    NoSnapshots,
    NotFound,
    SchemaViolation,
    SnapshotConflict,
)
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from runs_support import NoLeases

TABLE = pa.table({"n": [1, 2, 3], "s": ["a", None, "c"]})
ROWS = TABLE.to_pylist()


@pytest.fixture(params=["memory", "files", "no leases"])
def store(request, tmp_path):
    return {
        "memory": MemoryStore,
        "files": lambda: FileSystemStore(tmp_path / "store"),
        "no leases": NoLeases,
    }[request.param]()


CONFIGURATIONS = [
    {"codec": codec, "compressor": compressor, **layout}
    for codec in ("jsonl", "parquet")
    for compressor in ("none", "gzip", "zstd")
    for layout in ({}, {"layout": "flat"}, {"partition_by": "n"})
]


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_records_come_back_by_a_dataset_that_was_told_nothing(store, options):
    written = Dataset("d", store, **options).write(ROWS, {"k": [1, {"x": None}]})
    ds = Dataset("d", store)
    assert sorted(ds.read(), key=lambda r: r["n"]) == ROWS
    assert ds.latest() == written
    assert ds.latest().metadata == {"k": [1, {"x": None}]}
    assert ds.latest().row_count == 3
    assert ds.to_arrow().sort_by("n").to_pylist() == ROWS
    again = ds.append([{"n": 4, "s": "d"}])
    assert again.manifest.codec == options["codec"]
    assert sorted(ds.read(), key=lambda r: r["n"]) == [*ROWS, {"n": 4, "s": "d"}]
    assert [s.id for s in ds.snapshots()] == [written.id, again.id]


@pytest.mark.parametrize("compressor", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("size", [0, 1, 300_000, 2_500_000])
def test_a_blob_comes_back(store, compressor, size):
    data = bytes(i * i % 251 for i in range(1000)) * (size // 1000) + b"x" * (size % 1000)
    ds = Dataset("d", store, compressor=compressor)
    snapshot = ds.write(data)
    assert Dataset("d", store).read() == data
    assert snapshot.row_count == 1
    assert ds.write(io.BytesIO(data)).read() == data
    with ds.stream_write() as out:
        out.write(data[: size // 2])
        out.write(data[size // 2 :])
    assert out.snapshot.read() == data
    with out.snapshot.open() as file:
        file.seek(size // 3)
        assert file.read(100) == data[size // 3 :][:100]


def test_a_write_holds_exactly_what_it_was_given(store):
    ds = Dataset("d", store)
    ds.write([{"n": 1}])
    ds.write([{"n": 2}])
    assert ds.read() == [{"n": 2}]
    assert [s.read() for s in ds.snapshots()] == [[{"n": 1}], [{"n": 2}]]


def test_an_append_names_the_files_of_its_parent(store):
    ds = Dataset("d", store)
    first = ds.write([{"n": 1}])
    second = ds.append([{"n": 2}])
    assert set(first.files) < set(second.files)
    assert second.row_count == 2
    assert ds.append([]).files == second.files


@dataclass
class Event:
    at: datetime
    n: int

    def timestamp(self):
        return self.at


def test_dataclasses_are_records_and_their_times_are_noted(store):
    ds = Dataset("d", store)
    days = [datetime(2024, 1, d, tzinfo=UTC) for d in (2, 1, 3)]
    snapshot = ds.write([Event(day, n) for n, day in enumerate(days)])
    assert snapshot.manifest.min_timestamp == "2024-01-01T00:00:00Z"
    assert snapshot.manifest.max_timestamp == "2024-01-03T00:00:00Z"
    assert [r["n"] for r in ds.read()] == [0, 1, 2]
    later = ds.append([Event(datetime(2024, 2, 1, tzinfo=UTC), 3)])
    assert later.manifest.max_timestamp == "2024-02-01T00:00:00Z"
    assert later.manifest.min_timestamp == "2024-01-01T00:00:00Z"


def test_the_first_data_decide_on_the_codec(store):
    for number, (data, codec) in enumerate(
        [(b"x", ""), (ROWS, "jsonl"), (TABLE, "parquet"), (TABLE.to_pandas(), "parquet")]
    ):
        assert Dataset(f"d{number}", store).write(data).manifest.codec == codec


def test_no_records_are_a_snapshot_too(store):
    ds = Dataset("d", store, codec="jsonl")
    with pytest.raises(NoSnapshots):
        ds.latest()
    assert list(ds.snapshots()) == []
    snapshot = ds.write([])
    assert snapshot.files == ()
    assert ds.read() == []
    assert ds.to_arrow().num_rows == 0
    with ds.stream_write_records() as out:
        pass
    assert out.snapshot.row_count == 0
    assert len(out.snapshot.files) == 1
    assert out.snapshot.read() == []


def test_threads_stage_into_one_snapshot_and_the_parts_keep_their_order(store):
    ds = Dataset("d", store)
    with ds.transaction({"k": 1}, message="together") as tx:
        tx.stage([{"n": -1}])
        threads = [threading.Thread(target=tx.stage, args=([{"n": n}],)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    snapshot = tx.snapshot
    assert snapshot.read()[0]["n"] == -1
    assert sorted(r["n"] for r in snapshot.read()) == list(range(-1, 6))
    names = [f.path.rpartition("/")[2] for f in snapshot.files]
    assert names == [f"data-0000{i}" for i in range(7)]
    assert snapshot.message == "together"


def abort_transaction(ds):
    with ds.transaction() as tx:
        tx.stage([{"n": 2}])
        raise RuntimeError


def abort_records(ds):
    with ds.stream_write_records() as out:
        out.write([{"n": 2}])
        raise RuntimeError


@pytest.mark.parametrize("abort", [abort_transaction, abort_records])
def test_an_exception_leaves_nothing(store, abort):
    ds = Dataset("d", store)
    ds.write([{"n": 1}])
    before = list(store.list())
    with pytest.raises(RuntimeError):
        abort(ds)
    assert list(store.list()) == before
    assert ds.read() == [{"n": 1}]


def test_records_that_do_not_fit_leave_nothing(store):
    ds = Dataset("d", store, codec="parquet", schema=pa.schema([("n", pa.int64())]))
    ds.write([{"n": 1}])
    before = list(store.list())
    with pytest.raises(SchemaViolation, match="n"):
        ds.write([{"n": 2}, {"n": "three"}])
    with pytest.raises(SchemaViolation):
        ds.append([{"m": 2}])
    assert list(store.list()) == before


def test_a_conflict_is_raised_when_it_is_asked_for(store):
    ds, other = Dataset("d", store), Dataset("d", store)
    first = ds.write([{"n": 1}], on_conflict="raise")
    tx = ds.transaction(on_conflict="raise")
    tx.stage([{"n": 3}])
    other.write([{"n": 2}])
    with pytest.raises(SnapshotConflict):
        tx.commit()
    with pytest.raises(SnapshotConflict):
        ds.append([{"n": 4}], parent=first.id)
    assert ds.read() == [{"n": 2}]
    ds.append([{"n": 5}], parent=ds.latest().id)
    assert ds.read() == [{"n": 2}, {"n": 5}] or ds.read() == [{"n": 5}, {"n": 2}]


def test_damage_is_never_read(store):
    ds = Dataset("d", store)
    ds.write(TABLE)
    path = ds.latest().files[0].path
    data = store.get(path)
    store.delete(path)
    store.put(path, data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    fresh = Dataset("d", store)
    for read in (fresh.read, fresh.to_arrow, lambda: fresh.latest().open_object().read_at(0, 4)):
        with pytest.raises(Integrity, match=path):
            read()
    store.delete(path)
    store.put(path, data[:-1])
    with pytest.raises(Integrity):
        fresh.read()
    store.delete(path)
    with pytest.raises(NotFound):
        fresh.read()


def test_a_dataset_opened_read_only_writes_nothing(store):
    Dataset("d", store).write(ROWS)
    before = list(store.list())
    ds = Dataset("d", store, read_only=True)
    for write in (
        lambda: ds.write(ROWS),
        lambda: ds.append(ROWS),
        ds.transaction,
        ds.stream_write,
        ds.stream_write_records,
    ):
        with pytest.raises(Denied):
            write()
    assert ds.read() == ROWS
    assert list(store.list()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "hive", "codec": "raw", "partition_by": "k"}, "codec"),
        ({"layout": "flat", "partition_by": "k"}, "hive"),
        ({"layout": "spiral"}, "spiral"),
        ({"codec": "csv"}, "csv"),
        ({"compressor": "rar"}, "rar"),
        ({"checksum": "crc"}, "crc"),
        ({"partition_by": ["a", "a"]}, "twice"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(Exception, match=message) as error:
        Dataset("d", MemoryStore(), **options).write(ROWS)
    assert type(error.value).__module__ == "holdfast.errors"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0", "x" * 256, "a\\b"])
def test_a_name_that_is_no_folder_is_refused(name):
    with pytest.raises(Invalid):
        Dataset(name, MemoryStore()).write(ROWS)


def test_another_configuration_than_the_stored_one_is_an_error(store):
    Dataset("d", store).write(ROWS)
    for options in ({"codec": "parquet"}, {"codec": "raw"}, {"compressor": "gzip"}):
        with pytest.raises(Invalid, match="as configured"):
            Dataset("d", store, **options).read()


def test_metadata_that_no_manifest_can_hold_is_refused_before_anything_is_written(store):
    ds = Dataset("d", store)
    for metadata in ({"x": float("nan")}, {"x": object()}, {1: 2}):
        with pytest.raises(Invalid):
            ds.write(ROWS, metadata)
    assert list(store.list()) == []


def test_hive_needs_its_keys_in_every_record(store):
    ds = Dataset("d", store, partition_by=["a", "b"], codec="jsonl")
    with pytest.raises(SchemaViolation, match="b"):
        ds.write([{"a": 1, "b": 2}, {"a": 1}])
    with pytest.raises(Invalid):
        ds.stream_write_records().write([{"a": 1, "b": 2}])
    assert list(store.list()) == []
    assert Dataset("d", store).partition_keys == ()
    ds.write([{"a": 1, "b": "x/y"}, {"a": 2, "b": None}])
    assert Dataset("d", store).partition_keys == ("a", "b")
    assert len(ds.latest().files) == 2


def test_more_partitions_than_files_may_be_open_are_written(store):
    ds = Dataset("d", store, partition_by="k", codec="jsonl")
    rows = [{"k": i % 450, "n": i} for i in range(1800)]
    ds.write(rows)
    assert sorted(ds.read(), key=lambda r: r["n"]) == rows


def test_names_of_other_programs_are_no_obstacle(store):
    for name in ("名前", "with space", "a.b-c_d", "%41"):
        ds = Dataset(name, store)
        ds.write(ROWS)
        assert Dataset(name, store).read() == ROWS
    with pytest.raises(InvalidPath):
        Dataset(".hf-x", store)


def test_a_line_that_the_original_could_not_read_is_written_with_a_warning(store):
    ds = Dataset("d", store, codec="jsonl")
    with pytest.warns(UserWarning, match="10 MiB"):
        ds.write([{"long": "x" * (10 * 2**20)}])
    assert len(ds.read()[0]["long"]) == 10 * 2**20


def test_an_input_that_no_commit_could_name_is_refused(store):
    ds = Dataset("d", store)
    for inputs in (["commit:0"], ["x"], [5], "sha256:12"):
        with pytest.raises(Invalid, match="commit:<logseq>"):
            ds.write(ROWS, inputs=inputs)
    assert list(store.list()) == []
    snapshot = ds.write(ROWS, inputs="commit:5")
    assert snapshot.manifest.lineage.inputs == ("commit:5",)


def test_an_append_by_other_partition_keys_is_refused(store):
    Dataset("d", store, partition_by="n", codec="jsonl").write(ROWS)
    with pytest.raises(Invalid, match="partition keys s"):
        Dataset("d", store, partition_by="s", codec="jsonl").append([{"n": 1, "s": "x"}])
