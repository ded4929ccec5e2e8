"""Datasets in the hands of people who mean harm, or of bad luck."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest

from holdfast.datasets.dataset import Dataset
from holdfast.datasets.reader import DatasetReader
from holdfast.errors import (
    Invalid,
    ManifestInvalid,
    PathExists,
    SchemaViolation,
    SnapshotConflict,
    Unsupported,
)
from holdfast.snapshotting import chain, healing
from holdfast.store.calls import OsCalls
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from holdfast.store.object_writer import ObjectStaged
from runs_support import Commits, NoLeases


def plant(store, path, data):
    """Put bytes in the place of a stored file."""
    store._files.pop(path, None)
    store.put(path, data)


@pytest.mark.parametrize("options", [{}, {"layout": "flat"}, {"partition_by": "n"}], ids=str)
@pytest.mark.parametrize("whose", ["of an older snapshot", "of another dataset"])
def test_a_manifest_in_the_place_of_another_is_refused(options, whose):
    store = MemoryStore()
    ds = Dataset("d", store, **options)
    old, new = ds.write([{"n": 1}]), ds.write([{"n": 2}])
    if whose == "of another dataset":
        old = Dataset("e", store, **options).write([{"n": 3}])
    plant(store, new.manifest_path, store.get(old.manifest_path))
    again = Dataset("d", store)
    for use in (
        again.read,
        again.latest,
        lambda: again.write([{"n": 4}]),
        lambda: again.at(new.id),
    ):
        with pytest.raises(ManifestInvalid, match="it is the manifest of another one"):
            use()
    with pytest.raises(ManifestInvalid):
        DatasetReader(store, ds.layout).get_manifest("d", new.id)
    assert "manifest_invalid" in {getattr(step, "code", "") for step in again.verify()}


def test_folders_whose_names_are_no_ids_are_no_snapshots():
    store = MemoryStore()
    ds = Dataset("d", store)
    first = ds.write([{"n": 1}])
    for name in ("x" * 201, "a\nb"):
        plant(store, f"datasets/d/snapshots/{name}/manifest.json", b"{}")
    assert [s.id for s in ds.snapshots()] == [first.id]


@pytest.mark.parametrize("kind", [MemoryStore, NoLeases])
@pytest.mark.parametrize("first", [{}, {"partition_by": "n"}], ids=["default", "hive"])
def test_a_dataset_that_is_opened_in_another_layout_is_not_forked(kind, first):
    store = kind()
    other = {"partition_by": "n"} if not first else {"layout": "default"}
    # Both think that they make it: one of them comes first.
    second = Dataset("d", store, codec="jsonl", dead_after=0.01, **other)
    waiting = second.transaction()
    waiting.stage([{"n": 2}])
    written = Dataset("d", store, codec="jsonl", **first).write([{"n": 1}])
    files = dict(store._files)
    with pytest.raises(Invalid, match="layout, in which it is stored"):
        waiting.commit()
    wrong = Dataset("d", store, **other)
    for use in (wrong.read, lambda: wrong.write([{"n": 2}]), wrong.latest):
        with pytest.raises(Invalid, match="layout, in which it is stored"):
            use()
    assert store._files == files
    assert Dataset("d", store).latest() == written


def test_metadata_that_the_caller_changes_later_stay_as_they_were_committed():
    store = MemoryStore()
    ds = Dataset("d", store)
    theirs = {"tags": ["a"], "raw": b"x"}
    stream = ds.stream_write_records(theirs)
    written = ds.write([{"n": 1}], theirs)
    theirs["tags"].append("b")
    stream.commit()
    assert written.metadata == Dataset("d", store).at(written.id).metadata
    assert written.metadata == stream.snapshot.metadata == {"tags": ["a"], "raw": "eA=="}


class Strict(Commits):
    """A sink that takes what the ledger takes."""

    def commit(self, record, *, since=0):
        record.to_bytes()
        return super().commit(record, since=since)


def test_text_that_is_no_unicode_is_committed_as_it_reads_back():
    store = MemoryStore()
    ds = Dataset("d", store, sink=Strict(), author="\udcff")
    written = ds.write([{"n": 1}], message="a\ud800", run="\ud800")
    assert written.message == Dataset("d", store).latest().message == "a\ufffd"
    assert ds.write([{"n": 2}]).parent == written.id


def test_a_manifest_without_end_is_refused_unread(tmp_path):
    store = FileSystemStore(tmp_path)
    written = Dataset("d", store).write([{"n": 1}])
    with open(tmp_path / written.manifest_path, "r+b") as file:
        file.truncate(1 << 40)  # 1 TiB, none of which is there
    with pytest.raises(ManifestInvalid, match="at most 268435456"):
        Dataset("d", store).read()
    with pytest.raises(ManifestInvalid, match="at most 268435456"):
        DatasetReader(store).get_manifest("d", written.id)


@pytest.mark.parametrize("kind", [MemoryStore, NoLeases])
@pytest.mark.parametrize("pointer", [b"x" * 2000, b"\xff" * 1024, b"\n" * 3000], ids=len)
def test_a_pointer_full_of_rubbish_is_replaced_by_the_next_writer(kind, pointer):
    store = kind()
    first = Dataset("d", store).write([{"n": 1}])
    plant(store, "datasets/d/latest", pointer)
    assert Dataset("d", store).latest() == first
    second = Dataset("d", store).write([{"n": 2}])
    assert second.parent == first.id
    assert store.get("datasets/d/latest") == second.id.encode()


def test_ids_that_run_out_are_refused_before_anything_is_written():
    store = MemoryStore()
    first = Dataset("d", store).write([{"n": 1}])
    last = "9" * 20
    data = store.get(first.manifest_path).replace(first.id.encode(), last.encode())
    store.put(first.manifest_path.replace(first.id, last), data)
    plant(store, "datasets/d/latest", last.encode())
    files = dict(store._files)
    with pytest.raises(Unsupported, match="the newest snapshot is 9999"):
        Dataset("d", store).write([{"n": 2}])
    assert store._files == files


@pytest.mark.parametrize("id", ["9223372036854775807", "9223372036854775808"])
def test_ids_at_the_end_of_64_bits_go_on(id):
    store = MemoryStore()
    first = Dataset("d", store).write([{"n": 1}])
    data = store.get(first.manifest_path).replace(first.id.encode(), id.encode())
    store.put(first.manifest_path.replace(first.id, id), data)
    plant(store, "datasets/d/latest", id.encode())
    ds = Dataset("d", store)
    ids = [ds.append([{"n": n}]).id for n in range(3)]
    assert [s.id for s in ds.history()] == [*reversed(ids), id]
    assert [s.id for s in ds.snapshots()] == [first.id, id, *ids]


def test_a_pointer_that_changes_for_ever_does_not_hold_a_writer_for_ever(monkeypatch):
    monkeypatch.setattr(healing, "MOST_CHANGES", 5)
    store = NoLeases()
    ids = itertools.count(2 * 10**18)

    def change(seconds):
        plant(store, "datasets/d/latest", str(next(ids)).encode())

    change(0)
    ds = Dataset("d", store, layout="default")
    ds.chain.sleep = change
    with pytest.raises(SnapshotConflict, match="changed 5 times"):
        ds.write([{"n": 1}])


def test_a_stream_of_which_a_write_failed_does_not_end_as_if_it_were_committed():
    ds = Dataset("d", MemoryStore(), codec="jsonl")
    bad = [{"n": float("nan")}]
    stream = ds.stream_write_records()
    with pytest.raises(Invalid, match="of which a write failed"), stream, suppress(SchemaViolation):
        stream.write(bad)
    with ds.stream_write_records() as stream:
        with pytest.raises(SchemaViolation):
            stream.write(bad)
        stream.abort()
    assert list(ds.snapshots()) == []


def test_what_a_transaction_refused_counts_for_nothing():
    ds = Dataset("d", MemoryStore())
    with ds.transaction() as tx:
        with pytest.raises(Invalid):
            tx.stage(12)
        tx.stage(b"blob")
        with pytest.raises(Invalid, match="a second blob"):
            tx.stage(b"other")
    assert ds.read() == b"blob"


def test_a_lost_file_without_a_sha256_does_not_keep_the_next_writer_out():
    store, sink = MemoryStore(), Strict()
    first = Dataset("d", store, checksum="md5").write([{"n": 1}])
    store.delete(first.files[0].path)
    ds = Dataset("d", store, sink=sink)
    second = ds.write([{"n": 2}])
    assert [r.id for r in sink.records] == [first.id, second.id]
    assert [o.path for o in sink.records[0].objects] == [first.manifest_path]
    assert ds.read() == [{"n": 2}]


def test_hundreds_of_snapshots_that_no_commit_knows_are_anchored_oldest_first():
    store, sink = MemoryStore(), Strict()
    bare = Dataset("d", store)
    ids = [bare.append([{"n": n}]).id for n in range(200)]
    last = Dataset("d", store, sink=sink).append([{"n": -1}])
    assert [r.id for r in sink.records] == [*ids, last.id]


def test_an_object_whose_name_was_taken_can_be_published_under_another():
    store = MemoryStore()
    store.put("a", b"theirs")

    def no_stage():
        raise AssertionError("it is small")

    staged = ObjectStaged(create=store.put, stage=no_stage, key=str, name="x")
    staged.write(b"ours")
    with pytest.raises(PathExists):
        staged.publish("a")
    staged.publish("b")
    assert (store.get("a"), store.get("b")) == (b"theirs", b"ours")


class Interrupted(OsCalls):
    """System calls, one of which is met by Ctrl-C: before or after it does its work."""

    def __init__(self, after):
        super().__init__()
        self.after = after
        self.left = -1

    def __getattribute__(self, name):
        value = super().__getattribute__(name)
        if name in ("after", "left") or name.startswith("_") or not callable(value):
            return value

        def call(*args, **kwargs):
            self.left -= 1
            if self.left == 0 and not self.after:
                raise KeyboardInterrupt
            result = value(*args, **kwargs)
            if self.left == 0 and self.after:
                raise KeyboardInterrupt
            return result

        return call


@pytest.mark.parametrize("after", [False, True], ids=["before a call", "after a call"])
@pytest.mark.parametrize("options", [{}, {"partition_by": "n"}], ids=str)
def test_ctrl_c_at_any_system_call_leaves_the_old_or_the_new_and_the_next_write_goes_on(
    tmp_path, monkeypatch, options, after
):
    monkeypatch.setattr(chain, "LEASE_TIMEOUT", 1.0)
    rows = [{"n": 2}, {"n": 3, "x": "y" * 300_000}]
    done, number = False, 0
    while not done:
        number += 3 if options else 1
        calls, sink = Interrupted(after), Strict()
        root = tmp_path / str(number)
        ds = Dataset("d", FileSystemStore(root, calls=calls), codec="jsonl", sink=sink, **options)
        ds.write([{"n": 1}])
        calls.left = number
        with suppress(KeyboardInterrupt):
            ds.append(rows)
        done, calls.left = calls.left > 0, -1
        fresh = Dataset("d", FileSystemStore(root), sink=sink)
        found = sorted(row["n"] for row in fresh.read())
        assert found in ([1], [1, 2, 3])
        ds.append([{"n": 9}])
        assert sorted(row["n"] for row in fresh.read()) == [*found, 9]
        errors = [step for step in fresh.verify() if getattr(step, "severity", "") == "error"]
        assert errors == []
    assert number > 30


def test_more_large_partitions_than_descriptors_are_refused_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda which: (64, 64))
    ds = Dataset("d", FileSystemStore(tmp_path), partition_by="n", codec="jsonl")
    with pytest.raises(Unsupported, match="more than 32 partitions with large files"):
        ds.write({"n": n, "x": "y" * 300_000} for n in range(60))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
