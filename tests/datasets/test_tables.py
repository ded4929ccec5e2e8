"""Tables in any form as chunks, and back."""

from __future__ import annotations

import datetime as dt
import io
import pickle
from collections import namedtuple
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.datasets.tables import chunks, rows_of, table_of, to_pandas, to_polars
from holdfast.datasets.timestamps import (
    NanoTime,
    TimeRange,
    datetime_ns,
    instant,
    rfc3339_short,
)
from holdfast.errors import Invalid, SchemaViolation, Unsupported

TABLE = pa.table({"a": [1, 2], "b": ["x", None]})
ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


def rows(data, **options):
    """All rows of the chunks, whatever form those have."""
    out = []
    for chunk in chunks(data, **options):
        out += chunk.to_pylist() if isinstance(chunk, pa.Table) else chunk
    return out


# In


@pytest.mark.parametrize(
    "make",
    [
        lambda: ROWS,
        lambda: tuple(ROWS),
        lambda: (row for row in ROWS),
        lambda: [MappingProxyType(row) for row in ROWS],
        lambda: TABLE,
        lambda: TABLE.to_batches()[0],
        TABLE.to_reader,
        lambda: pyarrow.dataset.dataset(TABLE),
        lambda: pyarrow.dataset.dataset(TABLE).scanner(),
        lambda: [TABLE.slice(0, 1), TABLE.slice(1)],
        lambda: iter(TABLE.to_batches(max_chunksize=1)),
    ],
)
def test_rows_and_arrow_in_every_form_are_the_same_table(make):
    assert rows(make()) == ROWS


def test_polars_frames_stay_columns():
    import polars

    frame = polars.DataFrame(ROWS)
    for data in (frame, frame.lazy()):
        (chunk,) = chunks(data)
        assert isinstance(chunk, pa.Table)
        assert chunk.to_pylist() == ROWS


def test_anything_with_an_arrow_stream_is_a_table():
    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return TABLE.__arrow_c_stream__(requested_schema)

    class Array:
        def __arrow_c_array__(self, requested_schema=None):
            return TABLE.to_batches()[0].__arrow_c_array__(requested_schema)

    assert rows(Stream()) == rows(Array()) == ROWS


def test_a_pandas_index_is_kept_where_it_has_a_name():
    import pandas

    frame = pandas.DataFrame({"a": [1, 2]}, index=[5, 6])
    assert rows(frame) == [{"a": 1}, {"a": 2}]
    assert rows(frame.rename_axis("id")) == [{"a": 1, "id": 5}, {"a": 2, "id": 6}]
    with pytest.raises(SchemaViolation):
        rows(pandas.DataFrame({"a": [1, "x"]}))
    with pytest.raises(Invalid):
        rows(frame["a"])


def test_arrow_types_of_pandas_come_back():
    import pandas

    frame = pandas.DataFrame({"a": [1, None]}, dtype="int64[pyarrow]")
    (chunk,) = chunks(frame)
    assert chunk.schema.field("a").type == pa.int64()
    assert to_pandas(chunk)["a"].dtype == frame["a"].dtype


def test_structured_arrays_are_tables():
    array = np.zeros(2, dtype=[("a", "i4"), ("b", "U3"), ("c", "f8", (2,)), ("d", [("x", "i1")])])
    array["b"] = ["p", "q"]
    (chunk,) = chunks(array)
    assert chunk.column("a").type == pa.int32()
    assert chunk.to_pylist()[1]["b"] == "q"
    assert chunk.to_pylist()[0]["c"] == [0.0, 0.0]
    with pytest.raises(Invalid):
        rows(np.zeros(3))


def test_records_come_in_chunks_and_lazily():
    taken = []

    def generate():
        for i in range(10):
            taken.append(i)
            yield {"i": i}

    stream = chunks(generate(), rows=4)
    assert len(next(stream)) == 4
    assert taken == [0, 1, 2, 3]
    assert [len(chunk) for chunk in stream] == [4, 2]
    assert [len(chunk) for chunk in chunks([{"i": 1}] * 10, rows=4)] == [4, 4, 2]
    assert list(chunks([])) == []


def test_a_generator_of_batches_is_not_gathered():
    seen = []

    def generate():
        for at in range(3):
            seen.append(at)
            yield TABLE.to_batches()[0]

    stream = chunks(generate())
    next(stream)
    assert seen == [0]


@pytest.mark.parametrize(
    "data",
    ["text", b"bytes", bytearray(b"x"), 5, 1.5, None, {"a": [1]}, io.BytesIO(b"x\n"), object(),
     [TABLE, {"a": 1}]],
)  # fmt: skip
def test_what_is_no_table_is_refused(data):
    with pytest.raises(Invalid):
        rows(data)


@dataclass
class Point:
    x: int
    tags: list


@dataclass
class Event:
    at: dt.datetime
    where: Point

    def timestamp(self):
        return self.at


class Reading(msgspec.Struct):
    value: float
    where: Any = None


Pair = namedtuple("Pair", "left right")


def test_objects_become_dicts_at_every_level():
    at = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    point = {"x": 1, "tags": [{"left": 1, "right": 2}]}
    assert rows([Event(at, Point(1, [Pair(1, 2)])), Reading(0.5, Point(1, (Pair(1, 2),)))]) == [
        {"at": at, "where": point},
        {"value": 0.5, "where": point},
    ]


def test_one_object_is_no_table():
    for data in (Point(1, []), Reading(1.0), Pair(1, 2)):
        with pytest.raises(Invalid):
            rows(data)


def test_objects_that_hold_themselves_are_refused():
    point = Point(1, [])
    point.tags.append(point)
    with pytest.raises(Invalid):
        rows([point])


def test_values_of_other_kinds_pass():
    assert rows(["a", 1, None]) == ["a", 1, None]


# Times of records


def test_the_first_and_last_time_keep_their_zone():
    east = dt.timezone(dt.timedelta(hours=2))
    times = TimeRange()
    assert (times.min_timestamp, times.max_timestamp) == ("", "")
    at = [
        dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC),
        dt.datetime(2025, 3, 1, 10, 30, 0, 250_000, tzinfo=east),
        dt.datetime(2025, 3, 1, 10, 30, 0, 250_000, tzinfo=east).astimezone(dt.UTC),
    ]
    rows([{"no": "timestamp"}, *(Event(t, Point(0, [])) for t in at)], times=times)
    assert times.min_timestamp == "2025-03-01T10:30:00.25+02:00"
    assert times.max_timestamp == "2025-03-01T12:00:00Z"
    times.add(NanoTime.of(datetime_ns(at[0]) + 1))
    assert times.max_timestamp == "2025-03-01T12:00:00.000000001Z"


@pytest.mark.parametrize("value", ["2024-01-02", "2024-01-02T00:00:00+24:00", 5, None,
                                   dt.datetime(2024, 1, 1), np.datetime64("NaT")])  # fmt: skip
def test_what_is_no_time_is_refused(value):
    with pytest.raises(Invalid):
        instant(value)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-1439, 1439))
def test_times_and_their_text_say_the_same(ns, offset):
    assert instant(rfc3339_short(ns, offset)) == (ns, offset)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-2000, 2000))
def test_times_with_nanoseconds_behave_as_times(ns, more):
    one, other = NanoTime.of(ns), NanoTime.of(ns + more)
    assert datetime_ns(one) == ns
    assert instant(one.isoformat())[0] == ns
    assert (one < other, one <= other, one == other) == (more > 0, more >= 0, more == 0)
    assert (one > other, one >= other, one != other) == (more < 0, more <= 0, more != 0)
    assert pickle.loads(pickle.dumps(one)) == one
    plain = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=ns // 1000)
    assert (one == plain) == (plain == one) == (ns % 1000 == 0)
    if ns % 1000 == 0:
        assert hash(one) == hash(plain)


def test_pandas_times_and_numpy_times_are_exact():
    import pandas

    assert instant(pandas.Timestamp(5, tz="UTC")) == (5, 0)
    assert instant(np.datetime64("1970-01-01T00:00:01.000000007")) == (1_000_000_007, 0)
    assert instant(np.datetime64("1970-01-02")) == (86_400 * 10**9, 0)


# Out


def test_rows_have_exact_and_aware_times():
    kind = pa.timestamp("ns", "UTC")
    table = pa.table(
        {
            "t": pa.array([1, 2000, None], kind),
            "s": pa.array([{"t": 7}, None, {"t": None}], pa.struct([("t", kind)])),
            "l": pa.array([[1, None], [], None], pa.list_(kind)),
            "m": pa.array([[("k", 3)], None, []], pa.map_(pa.string(), kind)),
            "f": pa.array([[1, 2], None, [3, 4]], pa.list_(kind, 2)),
            "d": pa.array([1, None, 1], kind).dictionary_encode(),
            "n": pa.array([1, None, -1], pa.timestamp("ns")),
        }
    )
    at = NanoTime.of
    assert rows_of(table) == [
        {"t": at(1), "s": {"t": at(7)}, "l": [at(1), None], "m": [("k", at(3))],
         "f": [at(1), at(2)], "d": at(1), "n": at(1, None)},
        {"t": at(2000), "s": None, "l": [], "m": None, "f": None, "d": None, "n": None},
        {"t": None, "s": {"t": None}, "l": None, "m": [], "f": [at(3), at(4)], "d": at(1),
         "n": at(-1, None)},
    ]  # fmt: skip
    assert rows_of(table)[1]["t"] == dt.datetime(1970, 1, 1, 0, 0, 0, 2, tzinfo=dt.UTC)
    assert rows_of(table.slice(1))[0]["l"] == []


def test_rows_of_chunks_and_batches_and_no_columns():
    assert rows_of(pa.concat_tables([TABLE, TABLE])) == ROWS + ROWS
    assert rows_of(TABLE.to_batches()[0]) == ROWS
    assert rows_of(TABLE.slice(1)) == ROWS[1:]
    assert rows_of(TABLE.select([])) == [{}, {}]


@pytest.mark.parametrize(
    "array",
    [pa.array([1], pa.duration("ns")), pa.array([1], pa.time64("ns")),
     pa.array([2**60], pa.timestamp("s"))],
)  # fmt: skip
def test_what_python_cannot_hold_is_said(array):
    with pytest.raises(Unsupported):
        rows_of(pa.table({"a": array}))


def test_batches_of_several_schemas_make_one_table():
    (one,) = TABLE.to_batches()
    (other,) = pa.table({"a": [1.5], "c": [True]}).to_batches()
    assert table_of([one, one]).num_rows == 4
    assert table_of([one, other]).to_pylist()[2] == {"a": 1.5, "b": None, "c": True}
    assert table_of([]).num_rows == 0
    (text,) = pa.table({"a": ["x"]}).to_batches()
    with pytest.raises(SchemaViolation):
        table_of([one, text])


def test_frames_come_out():
    import pandas
    import polars

    assert to_polars(TABLE).equals(polars.DataFrame(ROWS))
    assert to_pandas(TABLE)["a"].tolist() == [1, 2]
    assert to_pandas(TABLE, dtype_backend="pyarrow")["a"].dtype == pandas.ArrowDtype(pa.int64())


def test_rows_keep_the_columns_zone():
    at = dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)
    for unit in ("s", "ms", "us", "ns"):
        column = pa.array([at, None], pa.timestamp(unit, "Europe/Paris"))
        found, none = (row["a"] for row in rows_of(pa.table({"a": column})))
        assert (found, found.utcoffset(), none) == (at, dt.timedelta(hours=2), None)
