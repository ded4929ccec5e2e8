"""JSON lines: what is written, that every value comes back, and what is refused."""

from __future__ import annotations

import base64
import dataclasses
import decimal
import enum
import json
import math
import os
import struct
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.datasets.codecs import jsonl_batches, jsonl_reader
from holdfast.datasets.codecs.json_values import MAX_DEPTH
from holdfast.datasets.codecs.jsonl import GO_LONGEST_LINE, Jsonl
from holdfast.datasets.timestamps import NanoTime
from holdfast.errors import Invalid, InvalidFormat, SchemaViolation

_SHARED = Path(__file__).parents[3] / "shared" / "fixtures"
VECTORS = Path(os.environ.get("HOLDFAST_FIXTURES") or _SHARED) / "lode" / "vectors" / "vectors.json"
needs_vectors = pytest.mark.skipif(
    not VECTORS.is_file(), reason=f"no vectors at {VECTORS}; HOLDFAST_FIXTURES names their folder"
)

BOTH = pytest.mark.parametrize("codec", [Jsonl(), Jsonl(True)], ids=["default", "canonical"])


class Bytes:
    """A sink in memory."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: Any) -> None:
        self.data += bytes(data)


class Content:
    """A source in memory, streamed in pieces of `size` bytes."""

    name = "some/file"

    def __init__(self, data: bytes, size: int = 1 << 20) -> None:
        self.data = data
        self.size = size

    def read_all(self) -> bytes:
        return self.data

    def stream(self) -> Any:
        return (self.data[i : i + self.size] for i in range(0, len(self.data), self.size))

    def open(self) -> Any:
        raise NotImplementedError


def encoded(codec: Jsonl, *chunks: Any) -> bytes:
    sink = Bytes()
    encoder = codec.encoder(sink)
    for chunk in chunks:
        encoder.write(chunk)
    encoder.finish()
    return sink.data


def decoded(data: bytes, size: int = 1 << 20) -> list[Any]:
    lists = list(Jsonl().read_rows(Content(data, size)))
    assert all(lists)
    return [row for rows in lists for row in rows]


def table(data: bytes, **options: Any) -> pa.Table:
    return pa.Table.from_batches(list(Jsonl().read_batches(Content(data), **options)))


def unwrapped(value: Any) -> Any:
    """The Python value that a vector means."""
    if isinstance(value, list):
        return [unwrapped(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$f64" in value:
        text = value["$f64"]
        return float(text) if "Inf" in text or "NaN" in text else float.fromhex(text)
    if "$f32" in value:
        return np.float32(float.fromhex(value["$f32"]))
    if "$float" in value:
        return float(value["$float"])
    if "$strbytes" in value:
        return base64.b64decode(value["$strbytes"]).decode("utf-8", "surrogateescape")
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    if "$time" in value:
        text = value["$time"]
        zone = UTC if text.endswith("Z") else datetime.fromisoformat(text[:19] + text[-6:]).tzinfo
        if text.startswith("0001-01-01"):
            return datetime(1, 1, 1, tzinfo=UTC)
        return NanoTime.of(value["$unix_nano"], zone)
    return {key: unwrapped(item) for key, item in value.items()}


@needs_vectors
def test_the_canonical_form_is_that_of_the_go_program() -> None:
    vectors = json.loads(VECTORS.read_text("utf-8"))["json"]
    assert len(vectors) > 400
    for vector in vectors:
        value = unwrapped(vector["in"])
        if "jsonl_error" in vector:
            with pytest.raises(SchemaViolation):
                encoded(Jsonl(True), [value])
        else:
            assert encoded(Jsonl(True), [value]).decode() == vector["jsonl"], vector


@needs_vectors
def test_the_default_form_means_the_same() -> None:
    for vector in json.loads(VECTORS.read_text("utf-8"))["json"]:
        value = unwrapped(vector["in"])
        if "jsonl_error" in vector:
            with pytest.raises(SchemaViolation):
                encoded(Jsonl(), [value])
        else:
            (ours,) = decoded(encoded(Jsonl(), [value]))
            (theirs,) = decoded(vector["jsonl"].encode())
            assert ours == (float(theirs) if type(ours) is float else theirs), vector


@needs_vectors
def test_lines_are_read_as_by_the_go_program_but_integers_are_exact() -> None:
    for vector in json.loads(VECTORS.read_text("utf-8"))["jsonl_decode"]:
        if "line_bytes" in vector:
            line = b'"' + b"x" * (vector["line_bytes"] - 2) + b'"\n'
            assert decoded(line) == [line[1:-2].decode()]  # there is no limit here
            continue
        data = vector["text"].encode()
        if "error" in vector:
            with pytest.raises(InvalidFormat):
                decoded(data)
            continue
        rows = decoded(data)
        expected = unwrapped(vector["records"])
        assert [float(r) if type(r) is int else r for r in rows] == expected
        assert all(type(r) is not int or r == int(data) for r in rows if len(rows) == 1)
        assert str(rows).count("-0.0") == str(expected).count("-0.0")


# --- Values come back


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=4
        )
    ),
    max_leaves=12,
)


def exact(value: Any) -> Any:
    """Something that is equal only for values that are the same to the last bit."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(item) for item in value]
    if isinstance(value, float):
        return struct.pack(">d", value)
    return (type(value).__name__, value)


def sorted_keys(value: Any) -> bool:
    if isinstance(value, dict):
        keys = [key.encode() for key in value]
        return keys == sorted(keys) and all(map(sorted_keys, value.values()))
    return not isinstance(value, list) or all(map(sorted_keys, value))


@given(rows=st.lists(values, max_size=5), size=st.integers(1, 40))
def test_every_value_comes_back_to_the_last_bit(rows: list[Any], size: int) -> None:
    data = encoded(Jsonl(), rows)
    assert exact(decoded(data, size)) == exact(rows)
    lines = data.decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(rows)
    assert all(sorted_keys(json.loads(line)) for line in lines)


def same_numbers(read: Any, written: Any) -> bool:
    """Whether the values are equal, where floats without a fraction may have become integers."""
    if isinstance(written, dict):
        return read.keys() == written.keys() and all(
            same_numbers(read[key], item) for key, item in written.items()
        )
    if isinstance(written, list):
        return len(read) == len(written) and all(map(same_numbers, read, written))
    if isinstance(written, float):
        return exact(float(read)) == exact(written)
    return exact(read) == exact(written)


@given(rows=st.lists(values, max_size=5))
def test_the_canonical_form_holds_the_same_numbers(rows: list[Any]) -> None:
    data = encoded(Jsonl(True), rows)
    read = decoded(data)
    assert same_numbers(read, rows)
    assert encoded(Jsonl(True), read) == data


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    at: datetime


class Shout(str):
    __slots__ = ()


class Number(int):
    pass


CET = timezone(timedelta(hours=1))
SPELLED: list[tuple[Any, Any]] = [
    (b"\x00\xff", "AP8="),
    (bytearray(b"ab"), "YWI="),
    ((1, (2,)), [1, [2]]),
    (datetime(2024, 1, 2, 3, 4, 5, 120000, CET), "2024-01-02T03:04:05.12+01:00"),
    (datetime(2024, 1, 2, 3, 4, 5), "2024-01-02T03:04:05Z"),
    (NanoTime.of(1), "1970-01-01T00:00:00.000000001Z"),
    (date(2024, 1, 2), "2024-01-02"),
    (np.datetime64("2024-01-02T03:04:05.5"), "2024-01-02T03:04:05.5Z"),
    (np.datetime64("NaT"), None),
    (np.int64(-3), -3),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (np.bool_(True), True),
    (np.float64(1.5), 1.5),
    (np.float32(0.1), 0.1),
    (np.str_("x"), "x"),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array(7), 7),
    (np.array(["2024-01-02"], "datetime64[ns]"), ["2024-01-02T00:00:00Z"]),
    (Colour.RED, "red"),
    (Point(1, datetime(2024, 1, 2, tzinfo=UTC)), {"at": "2024-01-02T00:00:00Z", "x": 1}),
    (Shout("x"), "x"),
    (Number(5), 5),
    (decimal.Decimal("1.50"), "1.50"),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (10**40, 10**40),
    ("a\ud800b", "a\ufffdb"),
    ({"\udfff": 1}, {"\ufffd": 1}),
]


@BOTH
@pytest.mark.parametrize(("value", "expected"), SPELLED, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("beside", [1, None, "T00:00:00"])
def test_other_types_become_what_json_has(
    codec: Jsonl, value: Any, expected: Any, beside: Any
) -> None:
    # What stands beside a value decides how closely a chunk is looked at, never the result.
    rows = [{"v": value, "w": [value], "x": beside}]
    assert exact(decoded(encoded(codec, rows))) == exact(
        [{"v": expected, "w": [expected], "x": beside}]
    )
    assert decoded(encoded(codec, [value])) == [expected]


def test_pandas_times_and_missing_values_are_written() -> None:
    import pandas as pd

    rows = [[pd.Timestamp("2024-01-02T03:04:05.123456789Z"), pd.NaT, pd.NA]]
    assert decoded(encoded(Jsonl(), rows)) == [["2024-01-02T03:04:05.123456789Z", None, None]]


# --- What is refused


REFUSED: list[tuple[Any, str]] = [
    (math.nan, "the number nan"),
    (-math.inf, "the number -inf"),
    (np.float64("nan"), "the number nan"),
    (np.float32("inf"), "the number inf"),
    (np.array([1.0, math.nan]), "the number nan"),
    (Point(math.nan, datetime(2024, 1, 2, tzinfo=UTC)), "the number nan"),
    ({1: 2}, "a key of type int"),
    ({None: 2}, "a key of type NoneType"),
    (object(), "a value of type object"),
    (1j, "a value of type complex"),
    (np.timedelta64(1, "s"), "a value of type numpy.timedelta64"),
    (10**5000, "an integer of thousands of digits"),
    (dict.fromkeys(["\ud800", "\ud801"]), "keys that are the same once they are written"),
]


@BOTH
@pytest.mark.parametrize(("value", "found"), REFUSED, ids=lambda v: type(v).__name__)
def test_what_no_line_can_hold_is_refused_before_anything_is_written(
    codec: Jsonl, value: Any, found: str
) -> None:
    sink = Bytes()
    encoder = codec.encoder(sink)
    encoder.write([{"a": 1}] * 3)
    before = sink.data
    with pytest.raises(SchemaViolation) as caught:
        encoder.write([{"a": None}, {"a": [0, {"b": value}]}])
    assert caught.value.target == "record 4"
    assert caught.value.details["record"] == 4
    assert caught.value.details["field"].startswith("a[1].b")
    assert found in caught.value.found
    assert sink.data == before
    with pytest.raises(Invalid):
        encoder.finish()


@BOTH
def test_keys_that_collide_are_refused_whatever_the_order(codec: Jsonl) -> None:
    for keys in (["\ud800", "\ufffd"], ["\ufffd", "\ud800"]):
        with pytest.raises(SchemaViolation):
            encoded(codec, [dict.fromkeys(keys)])


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = {"a": value} if level % 2 else [value]
    return value


@BOTH
def test_nesting_has_a_limit_that_reading_does_not_fall_below(codec: Jsonl) -> None:
    rows = [nested(MAX_DEPTH)]
    assert decoded(encoded(codec, rows)) == rows
    cycle: list[Any] = []
    cycle.append(cycle)
    for deep in (nested(MAX_DEPTH + 1), nested(5000), cycle):
        for rows in ([deep], [1] * 500 + [deep], [{}] * 500 + [deep]):
            with pytest.raises(SchemaViolation, match="nesting deeper"):
                encoded(codec, rows)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 9000 + b"]" * 9000])
def test_deep_nesting_on_disk_is_a_typed_error(text: bytes) -> None:
    with pytest.raises(InvalidFormat, match="nesting too deep"):
        decoded(b"1\n" + text + b"\n")


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b'{"a":1}\n{"a":}\n', 13),
        (b"1 2\n", 2),
        (b"1\n[1,\n2]\n", None),
        (b"1,2\n[3\n4]\n", 1),
        (b'{"a":1}{"a":2}\n', 7),
        (b"{\n}\n", None),
        (b"1\r2\n", 2),
        (b"1\n\xff\n", 2),
        (b'1\n"\xff"\n', 2),
        (b"1\n \n", 2),
        (b"1e999\n", 0),
        (b"9" * 5000, 0),
        (b"-0 1\n", 3),
        (b'"\\ud800\n', 0),
    ],
)
def test_bad_lines_are_refused_with_file_and_offset(data: bytes, offset: int | None) -> None:
    for size in (1 << 20, 1):
        with pytest.raises(InvalidFormat) as caught:
            decoded(data, size)
        assert caught.value.target == "some/file"
        assert caught.value.offset is not None
        if offset is not None:
            assert caught.value.offset == offset


def test_the_offset_counts_what_came_before_in_other_blocks() -> None:
    good = encoded(Jsonl(), [{"a": i} for i in range(60_000)])
    assert len(good) > 2 * jsonl_reader.BLOCK
    with pytest.raises(InvalidFormat) as caught:
        decoded(good + b"oops\n")
    assert caught.value.offset == len(good)


@given(data=st.binary(max_size=60), size=st.integers(1, 20))
def test_any_bytes_end_in_values_or_a_typed_error(data: bytes, size: int) -> None:
    try:
        decoded(data, size)
    except InvalidFormat:
        pass


@given(data=st.text(alphabet='[]{}":,\\u-0e1.dDcC8\n\r ', max_size=30))
def test_each_line_is_one_value_by_the_standard_library_too(data: str) -> None:
    lines = [line.removesuffix("\r") for line in data.split("\n")]
    try:
        expected = [json.loads(line) for line in lines if line]
    except ValueError:
        with pytest.raises(InvalidFormat):
            decoded(data.encode())
        return
    try:
        assert decoded(data.encode()) == json.loads(
            json.dumps(expected).replace("\\ud8", "\\ufffd")
        ) or ("\\u" in data)
    except InvalidFormat:
        # The library reads no number beyond a double's range.
        assert "Infinity" in json.dumps(expected)


def test_halves_of_surrogate_pairs_mean_the_replacement_character() -> None:
    data = rb'["\ud800","\udc00x","\ud83d\ude00","\\ud800","\ud800\ud83d\ude00"]' + b"\n"
    assert decoded(data) == [["\ufffd", "\ufffdx", "\U0001f600", "\\ud800", "\ufffd\U0001f600"]]


def test_minus_zero_is_a_float_wherever_it_stands() -> None:
    (row,) = decoded(b'{"a":-0,"b":[-0 ,-0.0,0],"c":"-0","d":10,"e":"x-0,"}\n')
    assert exact(row) == exact({"a": -0.0, "b": [-0.0, -0.0, 0], "c": "-0", "d": 10, "e": "x-0,"})
    for data in (b"-0\n", b"1\n-0\n", b"1\n -0\n", b"1\r\n\t-0\r\n", b'{"a":-0}\n', b"[1,-0]\n"):
        assert "-0.0" in repr(decoded(data)), data


def test_empty_lines_are_skipped_and_one_carriage_return_is_dropped() -> None:
    assert decoded(b'\n\r\n1\r\n\n"a"\n2') == [1, "a", 2]
    assert decoded(b"") == []
    assert decoded(b"\n\n") == []


@pytest.mark.parametrize("size", [1000, 1 << 16, 1 << 20, 1 << 23])
def test_lines_of_any_length_across_any_pieces(size: int) -> None:
    rows = ["x" * 3_000_000, 1, "y" * 70_000, {"a": "z" * 600_000}, 2]
    assert decoded(encoded(Jsonl(), rows), size) == rows


def test_a_large_file_comes_in_lists_of_bounded_size() -> None:
    data = encoded(Jsonl(), [{"a": i} for i in range(100_000)])
    lists = list(Jsonl().read_rows(Content(data, len(data))))
    assert max(map(len, lists)) < 50_000
    assert [row["a"] for rows in lists for row in rows] == list(range(100_000))


def test_a_line_that_the_go_program_cannot_read_is_noticed() -> None:
    for length, noticed in ((GO_LONGEST_LINE, 0), (GO_LONGEST_LINE + 1, GO_LONGEST_LINE + 1)):
        encoder = Jsonl().encoder(Bytes())
        encoder.write([1, "x" * (length - 2), 2])
        assert encoder.longest_line == noticed


# --- Tables


def test_a_table_is_written_as_its_rows() -> None:
    source = pa.table(
        {
            "t": pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns", "UTC")),
            "i": pa.array([2**63, 1], pa.uint64()),
            "b": pa.array([b"\xff", None]),
            "l": pa.array([[1.5, None], []]),
            "d": pa.array(["x", "x"]).dictionary_encode(),
        }
    )
    assert decoded(encoded(Jsonl(), source)) == [
        {
            "b": "/w==",
            "d": "x",
            "i": 2**63,
            "l": [1.5, None],
            "t": "2023-11-14T22:13:20.123456789Z",
        },
        {"b": None, "d": "x", "i": 1, "l": [], "t": None},
    ]


def test_a_table_with_nan_or_equal_names_is_refused() -> None:
    with pytest.raises(SchemaViolation, match="record 1"):
        encoded(Jsonl(), pa.table({"a": [1.0, math.nan, None]}))
    with pytest.raises(SchemaViolation, match="'a'"):
        encoded(Jsonl(), pa.table([[1], [2]], names=["a", "a"]))


def test_batches_share_the_schema_of_all_records() -> None:
    rows: list[Any] = [{"a": None, "s": {"x": 1}} for _ in range(30_000)]
    rows += [{"a": 1, "z": [{"k": 1}]} for _ in range(30_000)]
    rows += [{"a": 2.5, "s": {"y": "t"}, "z": [{"l": None}]}]
    data = encoded(Jsonl(), rows)
    batches = list(Jsonl().read_batches(Content(data)))
    assert len(batches) > 2
    assert len({str(batch.schema) for batch in batches}) == 1
    whole = pa.Table.from_batches(batches)
    assert whole.num_rows == len(rows)
    assert whole.slice(60_000).to_pylist() == [
        {"a": 2.5, "s": {"x": None, "y": "t"}, "z": [{"k": None, "l": None}]}
    ]
    assert whole.column("a").null_count == 30_000


def test_a_file_too_large_to_wait_in_memory_gives_the_same_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows: list[Any] = [{"a": i} for i in range(40_000)]
    rows += [{"a": i + 0.5, "b": "x"} for i in range(40_000)]
    data = encoded(Jsonl(), rows)
    kept = table(data)
    monkeypatch.setattr(jsonl_batches, "KEPT", 0)
    assert table(data).equals(kept)


def test_columns_and_conditions() -> None:
    data = encoded(Jsonl(), [{"a": 1, "b": "x"}, {"a": 2}, {"a": 3, "b": "z"}])
    assert table(data, columns=["b"]).to_pydict() == {"b": ["x", None, "z"]}
    assert table(data, columns=["b"], where=pc.field("a") > 1).to_pydict() == {"b": [None, "z"]}
    assert table(data, columns=["c", "a"], where=pc.field("a") == 3).to_pydict() == {
        "c": [None],
        "a": [3],
    }
    assert table(data, where=pc.field("c") == 3).num_rows == 0
    assert table(data, where=pc.field("c").is_null()).to_pydict()["a"] == [1, 2, 3]
    assert table(data, columns=[]).num_columns == 0
    assert table(b"", columns=["a"]).schema.names == ["a"]
    assert table(b"").num_rows == 0
    with pytest.raises(Invalid):
        table(data, where=pc.field("a") == "x")


def test_unsigned_integers_of_64_bits_are_a_column() -> None:
    data = encoded(Jsonl(), [{"a": 1}] * 40_000 + [{"a": 2**64 - 1}])
    assert table(data).column("a").to_pylist()[-2:] == [1, 2**64 - 1]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([{"a": 1, "b": 1}, {"a": 1, "b": "x"}], "column 'b' of records 0 to 1"),
        ([{"a": 2**70}], "column 'a'"),
        ([{"a": 1}, 5], "record 1 is a int"),
        ([{"a": 1}] * 40_000 + [{"a": "x"}] * 40_000, "a"),
    ],
)
def test_records_without_common_columns_are_refused_as_a_table(rows: Any, found: str) -> None:
    with pytest.raises(SchemaViolation) as caught:
        table(encoded(Jsonl(), rows))
    assert found in caught.value.found
    assert caught.value.target == "some/file"


# --- Statistics


def test_statistics_are_of_what_a_reader_finds() -> None:
    encoder = Jsonl().encoder(Bytes())
    encoder.write([{"a": 1, "b": np.float32(0.1)}, {"a": np.int64(5), "b": 2.5}])
    encoder.write([{"a": None, "b": np.datetime64("NaT")}])
    stats = encoder.finish()
    assert stats.row_count == 3
    columns = {column.name: column for column in stats.columns}
    assert (columns["a"].min, columns["a"].max, columns["a"].null_count) == (1, 5, 1)
    assert (columns["b"].min, columns["b"].max, columns["b"].null_count) == (0.1, 2.5, 1)


def test_without_statistics_only_records_are_counted() -> None:
    encoder = Jsonl(statistics=False).encoder(Bytes())
    encoder.write([{"a": 1}, {"a": 2}])
    encoder.write(pa.table({"a": [1]}))
    stats = encoder.finish()
    assert (stats.row_count, tuple(stats.columns)) == (3, ())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), nested(MAX_DEPTH)])
def test_what_no_line_can_hold_is_found_among_many_rows(value: Any) -> None:
    rows = [{"id": i, "name": f"user-{i}", "number": 1.5} for i in range(3000)]
    sink = Bytes()
    with pytest.raises(SchemaViolation, match="2999"):
        Jsonl().encoder(sink).write([*rows[:-1], {"id": value}])
