"""Scans with conditions and manifests that mean no good."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyarrow.compute import field, scalar

from holdfast.datasets.dataset import Dataset
from holdfast.errors import Invalid
from holdfast.store.memory import MemoryStore


def written(*tables, **options):
    dataset = Dataset("d", MemoryStore(), **options)
    with dataset.transaction() as transaction:
        for table in tables:
            transaction.stage(table)
    return dataset


@pytest.mark.parametrize("type", [pa.large_string(), pa.large_binary()], ids=str)
def test_a_null_at_which_arrow_ends_the_process_is_refused(type):
    dataset = written(pa.table({"c": ["a", None]}))
    null = scalar(pa.scalar(None, type))
    for where in (field("c") == null, (field("c") == "a") | ~(null < field("c"))):
        with pytest.raises(Invalid, match="crashes"):
            dataset.scan(where=where)
    assert dataset.scan(where=field("c") == scalar(None)).read() == []


@pytest.mark.parametrize(
    ("codec", "values", "where"),
    [
        ("jsonl", ["1970-01-01T00:00:00Z", "x"], field("c").cast(pa.int64()) == 5),
        ("jsonl", [2**53 + 1], field("c") < scalar(1.5)),
        ("parquet", pa.array(["a"], pa.string_view()), field("c") == "a"),
    ],
)
def test_a_condition_that_does_not_fit_the_values_is_invalid(codec, values, where):
    dataset = written(pa.table({"c": values}), codec=codec)
    with pytest.raises(Invalid):
        dataset.scan(where=where).read()


@pytest.mark.parametrize("value", [2**62, -(2**62), 10**12])
def test_times_that_python_has_no_word_for_are_compared_and_explained(value):
    dataset = written(pa.table({"c": pa.array([0, None], pa.timestamp("s"))}))
    where = field("c") == scalar(pa.scalar(value, pa.timestamp("s")))
    scan = dataset.scan(where=where)
    assert scan.count() == 0
    assert str(value) in str(scan.explain())


def test_what_arrow_finds_in_a_set_of_views_is_what_a_scan_finds():
    values = pa.array([1, None, 5], pa.timestamp("ns", "UTC"))
    nulls = pa.array([None, None], pa.timestamp("ns", "UTC"))
    dataset = written(pa.table({"c": values}), pa.table({"c": nulls}))
    where = field("c").isin(pa.array(["x", "y", "z"], pa.string_view()))
    assert dataset.scan(where=where).to_arrow() == dataset.to_arrow().filter(where)
