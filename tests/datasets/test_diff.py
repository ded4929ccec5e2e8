"""What differs between two snapshots."""

from __future__ import annotations

import pyarrow as pa
import pytest

from care_support import STORES, dataset, store_of
from holdfast.errors import Invalid
from holdfast.store.memory import MemoryStore


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return store_of(request.param, tmp_path)


def ids(rows):
    return [row["id"] for row in rows]


def test_an_append_adds_a_file_and_keeps_the_others(store):
    ds, _ = dataset(store, codec="jsonl")
    one = ds.write([{"id": 1}, {"id": 2}])
    two = ds.append([{"id": 3}])
    diff = ds.diff(one, two)
    assert [f.path for f in diff.kept] == [f.path for f in one.files]
    assert (len(diff.added), len(diff.removed)) == (1, 0)
    assert (diff.rows_before, diff.rows_after) == (2, 3)
    assert diff.bytes_added == diff.added[0].size_bytes
    assert diff
    back = ds.diff(two.id, one.id)
    assert (len(back.added), len(back.removed)) == (0, 1)
    assert back.bytes_removed == diff.bytes_added


def test_a_snapshot_does_not_differ_from_itself(store):
    ds, _ = dataset(store, codec="jsonl")
    one = ds.write([{"id": 1}])
    ds.tag("t")
    diff = ds.diff(one, "t")
    assert not diff
    assert diff.rows().added == diff.rows().removed == ()


def test_rows_are_compared_by_their_key(store):
    ds, _ = dataset(store, codec="jsonl")
    one = ds.write([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 3, "v": "c"}])
    two = ds.write([{"v": "a", "id": 1}, {"id": 3, "v": "C"}, {"id": 4, "v": "d"}])
    rows = ds.diff(one, two).rows(key="id")
    assert ids(rows.added) == [4]
    assert ids(rows.removed) == [2]
    assert rows.changed == (({"id": 3, "v": "c"}, {"id": 3, "v": "C"}),)


def test_rows_without_a_key_are_compared_whole_and_counted(store):
    ds, _ = dataset(store, codec="jsonl")
    one = ds.write([{"id": 1}, {"id": 1}, {"id": 2}])
    two = ds.write([{"id": 1}, {"id": 3}])
    rows = ds.diff(one, two).rows()
    assert ids(rows.added) == [3]
    assert ids(rows.removed) == [1, 2]
    assert rows.changed == ()


def test_only_files_that_differ_are_read(store):
    ds, _ = dataset(store, codec="jsonl")
    one = ds.write([{"id": 1}])
    two = ds.append([{"id": 2}])
    store.delete(one.files[0].path)
    assert ids(ds.diff(one, two).rows(key="id").added) == [2]


def test_tables_tell_which_columns_came_and_went(store):
    ds, _ = dataset(store)
    one = ds.write(pa.table({"id": [1, 2], "x": [1.0, float("nan")]}))
    two = ds.write(pa.table({"id": [1, 2], "y": ["a", None]}))
    diff = ds.diff(one, two)
    assert diff.columns_added == ("y",)
    assert diff.columns_removed == ("x",)
    assert len(diff.rows(key="id").changed) == 2


def test_metadata_and_form_are_compared(store):
    one = dataset(store, codec="jsonl")[0].write([{"id": 1}], {"a": 1, "b": None})
    ds, _ = dataset(store, compressor="gzip")
    two = ds.write([{"id": 1}], {"a": 2})
    diff = ds.diff(one, two)
    assert diff.metadata_changes == {"a": (1, 2), "b": (None, None)}
    assert diff.form_changes == {"compressor": ("noop", "gzip")}


def test_a_key_that_does_not_tell_rows_apart_is_refused():
    ds, _ = dataset(MemoryStore(), codec="jsonl")
    one = ds.write([{"id": 1, "v": 1}, {"id": 1, "v": 2}])
    two = ds.write([{"id": 1, "v": 1}])
    with pytest.raises(Invalid, match="twice"):
        ds.diff(one, two).rows(key="id")
    with pytest.raises(Invalid, match="without the key"):
        ds.diff(one, two).rows(key=["id", "w"])
    assert len(ds.diff(one, two).rows(key=("id", "v")).removed) == 1


def test_raw_bytes_have_no_rows():
    ds, _ = dataset(MemoryStore())
    one, two = ds.write(b"one"), ds.write(b"two")
    assert ds.diff(one, two)
    with pytest.raises(Invalid, match="raw bytes"):
        ds.diff(one, two).rows()
