"""Hive partitions: text, encoding, and the parts of a chunk."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.datasets.layout import HIVE
from holdfast.datasets.partition import (
    parse_partition,
    partition_chunk,
    partition_keys,
    partition_of,
    partition_path,
    partition_segment,
)
from holdfast.errors import Invalid, InvalidPath, SchemaViolation
from holdfast.store.paths import check_path
from lode_fixtures import needs_lode, unwrap, vectors


@needs_lode
def test_every_vector_is_spelled_as_the_original_spells_it():
    checked = 0
    for vector in vectors()["partition"]:
        value = unwrap(vector["value"])
        if isinstance(value, float) and not math.isfinite(value):
            # The original's codec refused the record before its partition had a name.
            assert vector["partition"].startswith("ERROR")
            continue
        assert partition_segment("k", value) == vector["partition"], vector
        checked += 1
    assert checked > 490


@needs_lode
def test_keys_stand_in_paths_as_they_are():
    for vector in vectors()["hive_keys"]:
        partition = partition_path(vector["keys"], lambda _: "v")
        assert HIVE.data_file("d", "ID", partition, "data") == vector["path"]
        assert parse_partition(vector["path"], vector["keys"]) == tuple(
            (key, "v") for key in vector["keys"]
        )


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("", "k="),
        (None, "k=%3Cnil%3E"),
        (True, "k=true"),
        (np.bool_(False), "k=false"),
        (np.int32(-7), "k=-7"),
        (2**70, f"k={2**70}"),
        (np.float32(0.1), "k=0.1"),
        (1e6, "k=1e+06"),
        (123456.5, "k=123456.5"),
        (0.0001, "k=0.0001"),
        (0.00001, "k=1e-05"),
        (float("nan"), "k=NaN"),
        (float("-inf"), "k=-Inf"),
        (date(2024, 1, 2), "k=2024-01-02"),
        (datetime(2024, 1, 2, 23, 59), "k=2024-01-02"),
        (datetime(2024, 1, 2, 23, 59, tzinfo=timezone(-timedelta(hours=7))), "k=2024-01-02"),
        (np.datetime64("2024-01-02T23:59:59.999999999"), "k=2024-01-02"),
        (b"ab", "k=%5B97%2098%5D"),
        ("-_.~$&+=:@", "k=-_.~$&+=:@"),
        ("a/b\\c", "k=a%2Fb%5Cc"),
    ],
)
def test_values_have_the_originals_text(value, segment):
    assert partition_segment("k", value) == segment


@pytest.mark.parametrize(
    "value",
    [
        object(), {1, 2}, {1: 2}, Decimal(1), timedelta(1), 1j, np.datetime64("NaT"), "\ud800",
        [datetime(2024, 1, 2)],
    ],
)  # fmt: skip
def test_a_value_without_text_is_a_violation_that_names_the_key(value):
    with pytest.raises(SchemaViolation) as caught:
        partition_segment("when", value)
    assert caught.value.target == "when"


def test_a_value_that_holds_itself_is_a_violation():
    value: list = []
    value.append(value)
    with pytest.raises(SchemaViolation):
        partition_segment("k", value)


def test_a_segment_has_at_most_255_bytes():
    assert len(partition_segment("k", "x" * 253)) == 255
    with pytest.raises(Invalid, match="255"):
        partition_segment("k", "x" * 254)
    assert len(partition_segment("k", "é" * 42)) == 254
    with pytest.raises(Invalid, match="255"):
        partition_segment("k", "é" * 43)
    with pytest.raises(Invalid, match="255"):
        partition_segment("é" * 100, "x" * 60)


@pytest.mark.parametrize("key", ["a/b", "a\\b", "a\0", ".hf-x", "\ud800"])
def test_a_key_that_no_path_holds_is_refused(key):
    with pytest.raises(InvalidPath):
        partition_segment(key, "v")


def test_a_record_without_a_key_is_a_violation():
    with pytest.raises(SchemaViolation) as caught:
        partition_path(["a", "b"], {"a": 1}.__getitem__)
    assert caught.value.target == "b"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEY = st.text("abc é:%", min_size=1, max_size=4)


@settings(deadline=None)
@given(st.lists(st.tuples(KEY, TEXT), min_size=1, max_size=3))
def test_text_comes_back_from_the_path(pairs):
    partition = "/".join(partition_segment(key, value) for key, value in pairs)
    assert check_path(f"datasets/d/partitions/{partition}/x")
    path = HIVE.data_file("d", "1", partition, "data")
    assert partition_of(path) == partition
    assert parse_partition(path) == parse_partition(partition) == tuple(pairs)
    assert partition_keys(path) == tuple(key for key, _ in pairs)


@settings(deadline=None)
@given(TEXT, TEXT)
def test_two_texts_never_share_a_segment(one, other):
    assert (partition_segment("k", one) == partition_segment("k", other)) == (one == other)


@pytest.mark.parametrize(
    ("path", "partition"),
    [
        ("datasets/d/partitions/a=1/segments/1/data/data", "a=1"),
        ("datasets/d/partitions/a=1/segments/1/manifest.json", "a=1"),
        ("datasets/d/partitions/k=segments/segments/segments/data/data", "k=segments"),
        ("datasets/d/segments/1/manifest.json", ""),
        ("datasets/d/snapshots/1/data/data", ""),
        ("d/1/data/data", ""),
        ("datasets/partitions/partitions/segments/1/data/data", ""),
    ],
)
def test_the_partition_of_a_path(path, partition):
    assert partition_of(path) == partition


def test_keys_tell_a_sign_of_the_key_from_that_of_the_value():
    assert parse_partition("a=b=c") == (("a", "b=c"),)
    assert parse_partition("a=b=c", ["a=b"]) == (("a=b", "c"),)
    with pytest.raises(Invalid, match="expected b="):
        parse_partition("a=1", ["b"])
    with pytest.raises(Invalid, match="2 keys"):
        parse_partition("a=1/b=2", ["a"])
    with pytest.raises(Invalid):
        parse_partition("no sign")
    assert parse_partition("datasets/d/snapshots/1/data/data") == ()


def test_rows_keep_their_order_in_their_parts():
    rows = [{"k": k, "n": n} for n, k in enumerate(["b", "a", "b", 1, True, 1.0, None])]
    parts = dict(partition_chunk(rows, ["k"]))
    assert {path: [row["n"] for row in part] for path, part in parts.items()} == {
        "k=b": [0, 2], "k=a": [1], "k=1": [3, 5], "k=true": [4], "k=%3Cnil%3E": [6],
    }  # fmt: skip


def test_a_row_without_a_key_is_named():
    with pytest.raises(SchemaViolation, match="record 1 has no such key") as caught:
        list(partition_chunk([{"k": 1}, {"x": 2}], ["k"]))
    assert caught.value.details == {"record": 1, "field": "k"}
    with pytest.raises(SchemaViolation, match="record 0"):
        list(partition_chunk(["not a map"], ["k"]))


VALUES = {
    pa.string(): st.sampled_from(["a", "b/c", "", "é"]),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint8(): st.integers(0, 3),
    pa.bool_(): st.booleans(),
    pa.float64(): st.floats(allow_infinity=False, allow_nan=False).map(lambda x: x or 0.0),
    pa.float32(): st.floats(width=32, allow_nan=False, allow_infinity=False).map(
        lambda x: x or 0.0
    ),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(UTC)),
    pa.binary(): st.binary(max_size=2),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["a", "b"]),
}


@settings(deadline=None)
@given(st.data())
def test_a_table_falls_into_the_parts_that_its_rows_fall_into(data):
    kinds = data.draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3))
    size = data.draw(st.integers(1, 8))
    columns = [
        pa.array(
            data.draw(st.lists(st.none() | VALUES[kind], min_size=size, max_size=size)), type=kind
        )
        for kind in kinds
    ]
    keys = [f"k{i}" for i in range(len(kinds))]
    table = pa.table([*columns, pa.array(range(size))], names=[*keys, "n"])
    if data.draw(st.booleans()):
        table = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    rows = table.to_pylist()
    for key, kind in zip(keys, kinds, strict=True):
        if kind == pa.float32():
            for row in rows:
                row[key] = None if row[key] is None else np.float32(row[key])
    by_rows = {path: [row["n"] for row in part] for path, part in partition_chunk(rows, keys)}
    by_table = {path: part.column("n").to_pylist() for path, part in partition_chunk(table, keys)}
    assert by_table == by_rows


def test_a_timestamp_with_a_zone_falls_on_its_own_date():
    zone = timezone(timedelta(hours=5, minutes=45))
    moment = datetime(2024, 6, 1, 0, 30, tzinfo=zone)
    table = pa.table({"k": pa.array([moment], pa.timestamp("ns", "+05:45"))})
    assert [path for path, _ in partition_chunk(table, ["k"])] == ["k=2024-06-01"]


def test_a_table_that_cannot_be_partitioned_says_why():
    table = pa.table({"a": [1], "s": [{"x": 1}]})
    with pytest.raises(SchemaViolation) as caught:
        list(partition_chunk(table, ["b"]))
    assert caught.value.target == "b"
    with pytest.raises(SchemaViolation):
        list(partition_chunk(table, ["s"]))


def test_an_empty_table_has_no_parts():
    table = pa.table({"k": pa.array([], pa.string())})
    assert list(partition_chunk(table, ["k"])) == []
    assert list(partition_chunk([], ["k"])) == []
