"""Statistics: true bounds, the original's rules, rows as JSON."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.datasets import row_statistics
from holdfast.datasets.manifest import ColumnStats, FileStats
from holdfast.datasets.row_statistics import RowStats
from holdfast.datasets.statistics import (
    LONGEST_TEXT,
    MOST_DISTINCT,
    MOST_ROW_KEYS,
    TableStats,
    lower_bound,
    upper_bound,
)
from holdfast.snapshotting.manifest_json import decode, encode


def of_columns(*chunks):
    """Statistics of one column in chunks."""
    stats = TableStats(pa.schema([("a", chunks[0].type)]))
    for chunk in chunks:
        stats.update(pa.table({"a": chunk}))
    (column,) = stats.result().columns
    return column


def bounds(*chunks):
    column = of_columns(*chunks)
    return column.min, column.max


def of_rows(*chunks):
    stats = RowStats()
    for chunk in chunks:
        stats.update(chunk)
    return stats.result()


def test_nan_is_never_a_bound():
    nan = math.nan
    assert bounds(pa.array([nan, 2.0, nan, 1.0])) == (1.0, 2.0)
    assert bounds(pa.array([nan, nan])) == (None, None)
    assert bounds(pa.array([nan]), pa.array([3.0])) == (3.0, 3.0)


def test_an_infinite_bound_takes_the_other_with_it():
    assert bounds(pa.array([1.0, math.inf])) == (None, None)
    assert bounds(pa.array([-math.inf]), pa.array([1.0])) == (None, None)
    assert bounds(pa.array([1.0, -math.inf], pa.float32())) == (None, None)


def test_of_the_two_zeros_the_first_stays():
    assert [math.copysign(1, b) for b in bounds(pa.array([0.0, -0.0]))] == [1, 1]
    assert [math.copysign(1, b) for b in bounds(pa.array([-0.0, 0.0]))] == [-1, -1]
    assert [math.copysign(1, b) for b in bounds(pa.array([-0.0]), pa.array([0.0]))] == [-1, -1]


def test_long_text_is_no_bound_each_for_itself():
    long = "z" * (LONGEST_TEXT + 1)
    assert bounds(pa.array(["a", long])) == ("a", None)
    assert bounds(pa.array(["é" * 512])) == ("é" * 512, "é" * 512)
    assert bounds(pa.array(["é" * 513])) == (None, None)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_text_is_ordered_by_its_bytes(kind):
    assert bounds(pa.array(["～", "😀", None, "z"], kind)) == ("z", "😀")


def test_dictionaries_count_what_is_used():
    array = pa.DictionaryArray.from_arrays(pa.array([1, 1, None, 3]), ["0", "b", "z", None])
    assert of_columns(array) == ColumnStats("a", "b", "b", 2, 1)


def test_times_are_text_in_utc_and_dates_are_days():
    at = dt.datetime(2024, 1, 2, 3, 4, 5, 600_000, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert bounds(pa.array([at]))[0] == "2024-01-02T01:04:05.6Z"
    assert bounds(pa.array([at], pa.timestamp("ns", "Europe/Paris")))[0] == "2024-01-02T01:04:05.6Z"
    assert bounds(pa.array([-1], pa.timestamp("ns")))[0] == "1969-12-31T23:59:59.999999999Z"
    for kind in (pa.date32(), pa.date64()):
        assert bounds(pa.array([dt.date(2024, 2, 29), dt.date(1, 1, 1)], kind)) == (
            "0001-01-01",
            "2024-02-29",
        )


def test_times_beyond_the_calendar_have_no_text():
    assert bounds(pa.array([0, 2**60], pa.timestamp("s"))) == ("1970-01-01T00:00:00Z", None)
    assert bounds(pa.array([-(2**31), 0], pa.date32())) == (None, "1970-01-01")


@pytest.mark.parametrize(
    "array",
    [
        pa.array([True, None]),
        pa.array([b"x", None]),
        pa.array([[1], None]),
        pa.array([{"x": 1}, None]),
        pa.array([1, None], pa.duration("s")),
        pa.array([1, None], pa.time32("s")),
        pa.array([1, None], pa.decimal128(5, 2)),
    ],
)
def test_other_types_have_a_null_count_only(array):
    assert of_columns(array) == ColumnStats("a", None, None, 1, None)


def test_null_columns_count_their_nulls():
    assert of_columns(pa.nulls(3)) == ColumnStats("a", None, None, 3, None)


def test_distinct_values_are_counted_while_they_are_few():
    few = pa.array([1, 2, 2, None])
    assert of_columns(few, pa.array([2, 3])).distinct_count == 3
    many = pa.array(range(MOST_DISTINCT + 1))
    assert of_columns(many).distinct_count is None
    assert of_columns(many.slice(1)).distinct_count == MOST_DISTINCT
    assert of_columns(many, few).distinct_count is None
    assert of_columns(pa.array(range(100_000))).distinct_count is None


@given(
    st.lists(st.one_of(st.none(), st.floats(width=32, allow_nan=True)), min_size=1),
    st.sampled_from([pa.float16(), pa.float32(), pa.float64()]),
)
def test_bounds_of_floats_lie_outside_all_values_after_json(values, kind):
    if pa.types.is_float16(kind):
        values = [None if v is None else np.float16(v if abs(v) < 6e4 else 0.0) for v in values]
    column = of_columns(pa.array(values, kind))
    read = decode(encode({"min": column.min, "max": column.max}), "here")
    if column.min is not None:
        finite = [float(v) for v in values if v is not None and not math.isnan(v)]
        assert lower_bound(read["min"]) <= min(finite)
        assert upper_bound(read["max"]) >= max(finite)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_stored_floats_read_back_between_their_bounds(value):
    read = decode(encode({"v": value}), "here")["v"]
    assert lower_bound(read) <= value <= upper_bound(read)


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), min_size=1))
def test_bounds_of_integers_are_exact(chunks):
    values = [value for chunk in chunks for value in chunk]
    assert bounds(*(pa.array(c, pa.int64()) for c in chunks)) == (min(values), max(values))


# Rows as JSON


def test_rows_have_bounds_for_numbers_and_text():
    stats = of_rows([{"n": 2, "s": "b", "o": {"x": 1}}, {"n": 1.5, "s": None, "o": None}])
    assert stats == FileStats(
        2,
        (
            ColumnStats("n", 1.5, 2.0, 0, 2),
            ColumnStats("s", "b", "b", 1, 1),
            ColumnStats("o", None, None, 1),
        ),
    )


def test_a_key_that_rows_lack_is_null_there():
    stats = of_rows([{"a": 1}] * 3, [{"b": "x"}, {"a": 5, "b": "y"}])
    assert [(c.name, c.min, c.max, c.null_count) for c in stats.columns] == [
        ("a", 1, 5, 1),
        ("b", "x", "y", 3),
    ]


@pytest.mark.parametrize(
    "chunks",
    [
        [[{"a": 1}, {"a": "x"}]],
        [[{"a": 1}], [{"a": "x"}], [{"a": 2}]],
        [[{"a": True}], [{"a": 2}]],
        [[{"a": 1}], [{"a": False}]],
        [[{"a": 2**70}]],
        [[{"a": "\ud800"}]],
        [[{"a": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)}]],
        [[{"a": b"x"}]],
        [[{"a": [1]}], [{"a": 1}]],
    ],
)
def test_keys_whose_values_have_no_order_in_common_have_no_bounds(chunks):
    (column,) = of_rows(*chunks).columns
    assert column == ColumnStats("a", None, None, 0, None)


def test_rows_that_are_no_dicts_leave_no_columns():
    assert of_rows([{"a": 1}], [[1], "x"]) == FileStats(3, ())
    assert of_rows([{1: 2}]) == FileStats(1, ())
    assert of_rows([{}, {}]) == FileStats(2, ())


def test_rows_with_too_many_keys_leave_no_columns():
    assert of_rows([{str(i): 1 for i in range(MOST_ROW_KEYS + 1)}]).columns == ()
    assert of_rows([{str(i): 1} for i in range(MOST_ROW_KEYS + 1)]).columns == ()


_ALIKE = st.sampled_from(
    [
        st.integers(-(2**63), 2**63 - 1),
        st.integers(-3, 3),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from([0.0, -0.0, 1.0, -1.5]),
        st.text(),
        st.sampled_from(["", "a", "～", "😀", "x" * (LONGEST_TEXT + 1)]),
        st.none(),
    ]
).flatmap(lambda values: st.lists(values | st.none(), min_size=1, max_size=12))


@settings(deadline=None)
@given(st.lists(_ALIKE, min_size=1, max_size=3))
def test_statistics_of_rows_do_not_depend_on_who_looked_at_the_values(pieces):
    chunks = [[{"a": value} for value in piece] for piece in pieces]
    with pytest.MonkeyPatch.context() as patch:
        by_python = of_rows(*chunks)
        patch.setattr(row_statistics, "_FEW", 0)
        by_arrow = of_rows(*chunks)
    assert repr(by_python) == repr(by_arrow)  # -0.0 is not 0.0


def test_distinct_numbers_and_texts_of_rows_are_counted_while_they_are_few():
    for make in (str, int, float):
        few = [{"a": make(i % MOST_DISTINCT)} for i in range(3000)]
        assert of_rows(few, few).columns[0].distinct_count == MOST_DISTINCT
        assert of_rows(few[:1000], [{"a": make(-1)}], few).columns[0].distinct_count is None
        many = [{"a": make(i)} for i in range(MOST_DISTINCT + 1)]
        for rows in (many, many * 3):
            (column,) = of_rows(rows, few[:5]).columns
            assert column == ColumnStats("a", make(0), max(map(make, range(1025))), 0, None)


def test_the_zeros_of_rows_are_two_and_the_first_is_the_bound():
    for values in ([-0.0, 0.0], [0.0, -0.0, 0.0]):
        (column,) = of_rows([{"a": v} for v in values], [{"a": -0.0}]).columns
        assert column.distinct_count == 2
        signs = {math.copysign(1, bound) for bound in (column.min, column.max)}
        assert signs == {math.copysign(1, values[0])}


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("aé😀", max_size=3),
    st.just([1]),
)
_ROWS = st.lists(st.dictionaries(st.sampled_from("abc"), _VALUES), max_size=5)


@settings(deadline=None)
@given(st.lists(_ROWS, max_size=4))
def test_statistics_of_rows_are_true(chunks):
    rows = [row for chunk in chunks for row in chunk]
    stats = of_rows(*chunks)
    assert stats.row_count == len(rows)
    for column in stats.columns:
        values = [row.get(column.name) for row in rows]
        assert column.null_count == values.count(None)
        there = [value for value in values if value is not None]
        if column.min is not None:
            assert all(column.min <= value for value in there)
        if column.max is not None:
            assert all(column.max >= value for value in there)
        if column.distinct_count is not None and there:
            assert column.distinct_count == len(set(there))
