"""The codec parquet: the original's files and checks, streams, pruning, hostile bytes."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from holdfast.datasets.codecs.parquet import Field, Parquet
from holdfast.datasets.manifest import (
    ColumnStats,
    FileStats,
    decode_manifest,
    encode_manifest,
)
from holdfast.datasets.timestamps import NanoTime
from holdfast.errors import Integrity, Invalid, InvalidFormat, SchemaViolation, Unsupported

LODE = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "lode"
CASES = ("parquet_none", "parquet_zstd_outer")

needs_fixtures = pytest.mark.skipif(not LODE.is_dir(), reason="../shared/fixtures is not here")


class Bytes(io.BytesIO):
    """A sink that keeps what it was given."""


class Held:
    """A source over bytes in memory."""

    name = "datasets/d/snapshots/1/data/data"

    def __init__(self, data):
        self.data = data
        self.reads = []

    def read_all(self):
        return self.data

    def stream(self):
        yield self.data

    def open(self):
        held = self

        class File(io.BytesIO):
            def read(self, size=-1):
                held.reads.append((self.tell(), size))
                return super().read(size)

        return File(self.data)


def written(codec, *chunks):
    sink = Bytes()
    encoder = codec.encoder(sink)
    for chunk in chunks:
        encoder.write(chunk)
    stats = encoder.finish()
    return sink.getvalue(), stats


def rows_in(codec, data):
    return [row for rows in codec.read_rows(Held(data)) for row in rows]


def table_in(codec, data, **options):
    return pa.Table.from_batches(codec.read_batches(Held(data), **options))


# The original's files


def case(name):
    return json.loads((LODE / name / "expected.json").read_text("utf-8"))


def fields_of(expected):
    config = expected["views"][0]["config"]
    return [Field(f["name"], f["type"], f.get("nullable", False)) for f in config["parquet_schema"]]


def unwrap(value):
    if isinstance(value, dict):
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        if "$unix_nano" in value:
            zone = dt.datetime.fromisoformat(value["$time"][:19] + value["$time"][-6:]).tzinfo \
                if value["$time"][-1] != "Z" else dt.UTC  # fmt: skip
            ns = value["$unix_nano"]
            return NanoTime.of(ns, zone)
        for key in ("$f64", "$f32"):
            if key in value:
                return float.fromhex(value[key])
        if "$float" in value:
            return float(value["$float"])
        return {key: unwrap(item) for key, item in value.items()}
    return [unwrap(item) for item in value] if isinstance(value, list) else value


def stored(name, snapshot):
    data = (LODE / name / "store" / snapshot["files"][0]["path"]).read_bytes()
    if snapshot["files"][0]["path"].endswith(".zst"):
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data


@needs_fixtures
@pytest.mark.parametrize("name", CASES)
def test_the_originals_files_read_to_their_records(name):
    expected = case(name)
    for snapshot in expected["views"][0]["snapshots"]:
        found = rows_in(Parquet(), stored(name, snapshot))
        wanted = unwrap(snapshot["records"])
        assert len(found) == snapshot["records_count"]
        for row, want in zip(found, wanted, strict=False):
            assert row == want
            for key, value in want.items():
                assert isinstance(row[key], type(value)) or isinstance(value, (int, NanoTime))


@needs_fixtures
@pytest.mark.parametrize("name", CASES)
def test_rows_get_the_originals_statistics_and_schema(name):
    expected = case(name)
    codec = Parquet(fields_of(expected))
    snapshots = {s["id"]: s for s in expected["views"][0]["snapshots"]}
    for call in (c for c in expected["calls"] if "snapshot_id" in c):
        snapshot = snapshots[call["snapshot_id"]]
        data, stats = written(codec, unwrap(call["records"]))
        columns = tuple(changed(column, distinct_count=None) for column in stats.columns)
        path = f"datasets/tab/snapshots/{call['snapshot_id']}/manifest.json"
        manifest_bytes = (LODE / name / "store" / path).read_bytes()
        manifest = decode_manifest(manifest_bytes, path)
        ours = changed(manifest.files[0], stats=FileStats(stats.row_count, columns))
        assert encode_manifest(replace(manifest, files=(ours,))) == manifest_bytes
        original = stored(name, snapshot)
        schema = pq.ParquetFile(io.BytesIO(original)).schema_arrow
        assert pq.ParquetFile(io.BytesIO(data)).schema_arrow.equals(schema)
        assert rows_in(codec, data) == rows_in(codec, original)


def probes():
    calls = case("parquet_none")["calls"] if LODE.is_dir() else []
    return [call for call in calls if "probe" in call]


@needs_fixtures
@pytest.mark.parametrize(
    "call", [c for c in probes() if "probe" in c], ids=lambda c: str(c["probe"])
)
def test_the_originals_checks_of_one_value_are_ours(call):
    expected = case("parquet_none")
    codec = Parquet(fields_of(expected))
    good = unwrap(expected["calls"][0]["records"][1])
    probe = call["probe"]
    record = {**good, **unwrap(probe["override"])} if isinstance(probe, dict) else probe
    encoder = codec.encoder(Bytes())
    if call["error"] is None:
        encoder.write([good, record])
        return
    with pytest.raises(SchemaViolation) as caught:
        encoder.write([good, record])
    assert caught.value.details["record"] == 1
    if isinstance(probe, dict):
        assert caught.value.details["field"] == next(iter(probe["override"]))


# Schemas


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([Field("", "int32")], "without a name"),
        ([Field("a", "int32"), Field("a", "bool")], "twice"),
        ([Field("a", "int16")], "int16"),
        (["a"], "str"),
    ],
)
def test_a_bad_schema_is_refused_at_once(fields, text):
    with pytest.raises(SchemaViolation, match=text):
        Parquet(fields)


def test_another_compression_or_schema_is_refused():
    with pytest.raises(Invalid):
        Parquet(compression="lzma")
    with pytest.raises(Invalid):
        Parquet(schema={"a": "int64"})
    with pytest.raises(Invalid):
        Parquet(row_group_rows=0)


def test_columns_lie_in_the_byte_order_of_their_names():
    codec = Parquet([Field("é", "int64"), Field("z", "bool"), Field("Z", "string")])
    data, stats = written(codec, [{"é": 1, "z": True, "Z": "x"}])
    assert pq.ParquetFile(io.BytesIO(data)).schema_arrow.names == ["Z", "z", "é"]
    assert [column.name for column in stats.columns] == ["é", "z", "Z"]


# Rows


def test_records_are_counted_over_the_encoders_life():
    codec = Parquet([Field("a", "int64")])
    encoder = codec.encoder(Bytes())
    encoder.write([{"a": 1}] * 5)
    with pytest.raises(SchemaViolation) as caught:
        encoder.write([{"a": 1}, {"a": 1}, {"a": None}])
    assert caught.value.details == {"record": 7, "field": "a"}
    assert "record 7" in str(caught.value)


def test_of_several_misfits_the_first_record_is_named():
    codec = Parquet([Field("a", "int64"), Field("b", "string")])
    with pytest.raises(SchemaViolation) as caught:
        codec.encoder(Bytes()).write([{"a": 1, "b": "x"}, {"a": 1, "b": 2}, {"a": "no", "b": "x"}])
    assert caught.value.details == {"record": 1, "field": "b"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int64", 2**63),
        ("int32", -(2**31) - 1),
        ("float32", 1e39),
        ("float64", "nan"),
        ("int64", math.inf),
        ("string", "\ud800"),
        ("timestamp", dt.datetime(2024, 1, 1)),
        ("timestamp", "2263-01-01T00:00:00Z"),
        ("timestamp", "2024-01-01T00:00:00+24:00"),
        ("timestamp", dt.date(2024, 1, 1)),
        ("bool", "true"),
    ],
)
def test_values_that_cannot_be_kept_exactly_are_refused(kind, value):
    with pytest.raises(SchemaViolation):
        Parquet([Field("a", kind)]).encoder(Bytes()).write([{"a": value}])


def test_numpy_scalars_count_as_what_they_stand_for():
    import numpy as np

    codec = Parquet([Field("a", "int64"), Field("b", "float64"), Field("t", "timestamp")])
    at = np.datetime64("2024-01-02T03:04:05.123456789")
    data, _ = written(codec, [{"a": np.int32(5), "b": np.float64(0.5), "t": at}])
    (row,) = rows_in(codec, data)
    assert row == {"a": 5, "b": 0.5, "t": NanoTime.of(1704164645123456789)}


def test_without_a_schema_rows_give_it_and_later_keys_join():
    data, stats = written(Parquet(), [{"a": 1, "b": None}], [{"a": 2, "b": "x", "c": [1, 2]}])
    assert rows_in(Parquet(), data) == [
        {"a": 1, "b": None, "c": None},
        {"a": 2, "b": "x", "c": [1, 2]},
    ]
    assert [(c.name, c.null_count) for c in stats.columns] == [("a", 0), ("b", 1), ("c", 1)]


def test_after_the_first_row_group_rows_must_fit():
    encoder = Parquet(row_group_rows=2).encoder(Bytes())
    encoder.write([{"a": 1}, {"a": 2}])
    encoder.write([{"a": 3.0}])
    with pytest.raises(SchemaViolation) as caught:
        encoder.write([{"a": 4}, {"a": 4.5}])
    assert caught.value.details == {"record": 4, "field": "a"}
    with pytest.raises(SchemaViolation) as caught:
        encoder.write([{"a": 4}, {"a": 4, "new": 1}])
    assert caught.value.details["field"] == "new"


def test_inference_names_the_record_that_breaks_it():
    with pytest.raises(SchemaViolation) as caught:
        Parquet().encoder(Bytes()).write([{"a": 1}] * 40 + [{"a": "x"}] + [{"a": 1}] * 9)
    assert caught.value.details == {"record": 40, "field": "a"}


def test_nanoseconds_survive_inference():
    at = NanoTime.of(1_700_000_000_000_000_001)
    data, _ = written(Parquet(), [{"t": at}, {"t": None}])
    assert rows_in(Parquet(), data) == [{"t": at}, {"t": None}]


def test_nothing_nested_is_shortened_silently():
    schema = pa.schema([("s", pa.struct([("n", pa.list_(pa.int64()))]))])
    for bad in ({"n": [1.5]}, {"n": [True]}, {"n": [1], "more": 1}, {"n": 3}, [1]):
        with pytest.raises(SchemaViolation) as caught:
            Parquet(schema).encoder(Bytes()).write([{"s": {"n": [1]}}, {"s": bad}])
        assert caught.value.details == {"record": 1, "field": "s"}


def test_nested_types_come_back():
    schema = pa.schema(
        [
            ("struct", pa.struct([("x", pa.int32()), ("t", pa.timestamp("ns", "UTC"))])),
            ("list", pa.list_(pa.string())),
            ("map", pa.map_(pa.string(), pa.int64())),
            ("dec", pa.decimal128(10, 2)),
            ("dict", pa.dictionary(pa.int32(), pa.string())),
            ("day", pa.date32()),
        ]
    )
    from decimal import Decimal

    row = {
        "struct": {"x": 1, "t": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)},
        "list": ["a", None],
        "map": [("k", 1)],
        "dec": Decimal("1.50"),
        "dict": "v",
        "day": dt.date(2024, 1, 2),
    }
    data, stats = written(Parquet(schema), [row, dict.fromkeys(row)])
    assert rows_in(Parquet(), data) == [row, dict.fromkeys(row)]
    assert table_in(Parquet(), data).schema.equals(schema)
    by_name = {column.name: column for column in stats.columns}
    assert all(column.null_count == 1 for column in stats.columns)
    assert (by_name["dict"].min, by_name["day"].max) == ("v", "2024-01-02")
    assert by_name["struct"].min is by_name["list"].min is by_name["dec"].min is None


# Columns


def test_columns_are_cast_only_without_loss():
    codec = Parquet([Field("i", "int32"), Field("f", "float64", nullable=True)])
    data, _ = written(codec, pa.table({"f": pa.array([1], pa.int8()), "i": [7.0]}))
    assert rows_in(codec, data) == [{"f": 1.0, "i": 7}]


@pytest.mark.parametrize(
    ("column", "record"),
    [
        (pa.array([1.0, 2.0, 2.5]), 12),
        (pa.array([1, 2**40, 3]), 11),
        (pa.array([1, None, 3]), 11),
        (pa.array(["1", "2", "3"]), 10),
        (pa.array([True, True, False]), 10),
    ],
)
def test_a_column_that_does_not_fit_names_its_first_bad_row(column, record):
    encoder = Parquet([Field("a", "int32")]).encoder(Bytes())
    encoder.write(pa.table({"a": pa.array(range(10), pa.int32())}))
    with pytest.raises(SchemaViolation) as caught:
        encoder.write(pa.table({"a": column}))
    assert caught.value.details == {"record": record, "field": "a"}


def test_floats_that_would_become_infinite_are_refused():
    encoder = Parquet([Field("a", "float32")]).encoder(Bytes())
    with pytest.raises(SchemaViolation) as caught:
        encoder.write(pa.table({"a": [math.inf, math.nan, 1e300]}))
    assert caught.value.details["record"] == 2


def test_missing_and_additional_columns_are_refused_unless_null_may_be():
    codec = Parquet([Field("a", "int64"), Field("b", "string", nullable=True)])
    data, _ = written(codec, pa.table({"a": [1]}))
    assert rows_in(codec, data) == [{"a": 1, "b": None}]
    for table in (pa.table({"b": ["x"]}), pa.table({"a": [1], "c": [2]})):
        with pytest.raises(SchemaViolation):
            codec.encoder(Bytes()).write(table)


def test_a_dictionary_column_may_change_its_dictionary():
    codec = Parquet()
    tables = [pa.table({"a": pa.array(v).dictionary_encode()}) for v in (["x", "y"], ["z", None])]
    data, stats = written(codec, *tables)
    assert [row["a"] for row in rows_in(codec, data)] == ["x", "y", "z", None]
    assert stats.columns == (ColumnStats("a", "x", "z", 1, 3),)


# Row groups, columns, conditions


def numbers(rows):
    return pa.table({"n": range(rows), "t": [f"{i:04d}" for i in range(rows)]})


def test_row_groups_end_after_their_rows_whatever_the_chunks():
    codec = Parquet(row_group_rows=100)
    data, _ = written(codec, *(numbers(1000).slice(at, 40) for at in range(0, 1000, 40)))
    file = pq.ParquetFile(io.BytesIO(data))
    assert file.metadata.num_rows == 1000
    groups = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
    assert max(groups) <= 100
    assert table_in(codec, data).equals(numbers(1000))


def test_wide_rows_make_smaller_row_groups(monkeypatch):
    monkeypatch.setattr("holdfast.datasets.codecs.parquet_encoder.GROUP_BYTES", 1 << 20)
    sink = Bytes()
    encoder = Parquet().encoder(sink)
    for _ in range(8):
        encoder.write(pa.table({"a": [b"x" * 1000] * 500}))
    encoder.finish()
    assert pq.ParquetFile(io.BytesIO(sink.getvalue())).num_row_groups >= 3


def test_row_groups_that_cannot_match_are_not_read():
    codec = Parquet(compression="none", row_group_rows=10_000)
    data, _ = written(codec, numbers(200_000))
    source = Held(data)
    where = (pc.field("n") >= 45_000) & (pc.field("n") < 45_100)
    table = pa.Table.from_batches(codec.read_batches(source, columns=["t"], where=where))
    assert table.column("t").to_pylist() == [f"{i:04d}" for i in range(45_000, 45_100)]
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    ends = [metadata.row_group(group).column(0).data_page_offset for group in (4, 5)]
    footer = len(data) - (1 << 16)
    for start, _ in source.reads:
        assert ends[0] - 100_000 <= start <= ends[1] or start >= footer
    assert sum(size for _, size in source.reads if size > 0) < len(data) / 5


def test_no_match_still_gives_the_schema():
    data, _ = written(Parquet(), numbers(10))
    table = table_in(Parquet(), data, columns=["t"], where=pc.field("n") > 100)
    assert table.num_rows == 0
    assert table.schema.names == ["t"]


def test_a_column_that_the_file_lacks_is_null():
    data, _ = written(Parquet(), numbers(3))
    table = table_in(Parquet(), data, columns=["gone", "n"])
    assert table.to_pydict() == {"gone": [None] * 3, "n": [0, 1, 2]}
    table = table_in(Parquet(), data, columns=["n"], where=pc.field("gone").is_null())
    assert table.num_rows == 3
    table = table_in(Parquet(), data, where=pc.field("gone") > 5)
    assert (table.num_rows, table.schema.names) == (0, ["n", "t"])


def test_a_condition_that_does_not_suit_the_types_is_refused():
    data, _ = written(Parquet(), numbers(3))
    for where in (pc.field("t") > 5, pc.field("n") + 1, pc.field(0) > 1):
        with pytest.raises(Invalid):
            table_in(Parquet(), data, where=where)


def test_columns_come_in_the_order_asked_for():
    table = pa.table({"a": [1], "b": [2], "a.b": [3]})
    data, _ = written(Parquet(), table)
    assert table_in(Parquet(), data, columns=["b", "a"]).column_names == ["b", "a"]
    assert table_in(Parquet(), data, columns=["a.b"]).to_pydict() == {"a.b": [3]}


X, Y = pc.field("x"), pc.field("y")
CONDITIONS = [
    X != 5.0,
    ~(X <= 5.0),
    ~(X > 2.0),
    X > 5.0,
    X == -0.0,
    X.is_nan(),
    X.is_null(nan_is_null=True),
    X.is_null(),
    X.isin([1.0, 5.0]),
    (X < 3.0) | (Y == '"!='),
    (Y >= "b") & (X <= 2.0),
    ~(Y == "b"),
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, math.nan, 0.0, -0.0, 1.0, 2.0, 5.0, 7.0, math.inf, -math.inf]),
            st.sampled_from([None, "", "a", "b", "é", '"!=']),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(range(len(CONDITIONS))),
)
def test_pruned_reads_find_what_a_filter_over_all_rows_finds(rows, condition):
    table = pa.table(
        {
            "x": pa.array([x for x, _ in rows], pa.float64()),
            "y": pa.array([y for _, y in rows], pa.string()),
        }
    )
    where = CONDITIONS[condition]
    data, _ = written(Parquet(row_group_rows=2), table)
    found = table_in(Parquet(), data, where=where)
    assert repr(found.to_pydict()) == repr(table.filter(where).to_pydict())


# Bad bytes, bad sinks


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1xxxxPAR1", b"{}\n", b"\0" * 4096])
def test_bytes_that_are_no_parquet_are_named_so(data):
    for read in (
        lambda s: list(Parquet().read_rows(s)),
        lambda s: list(Parquet().read_batches(s)),
    ):
        with pytest.raises(InvalidFormat) as caught:
            read(Held(data))
        assert caught.value.target == Held.name


def test_cut_and_changed_files_end_in_a_typed_error_or_in_rows():
    data, _ = written(Parquet(compression="none"), numbers(50))
    for at in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[at] ^= 0x41
        for bad in (bytes(damaged), data[:at]):
            try:
                list(Parquet().read_rows(Held(bad)))
            except (InvalidFormat, Unsupported):
                pass


def test_a_failed_read_keeps_its_own_error():
    data, _ = written(Parquet(row_group_rows=100), numbers(1000))

    class Broken(Held):
        def open(self):
            class File(io.BytesIO):
                def read(self, size=-1):
                    if self.tell() < 1000:
                        raise Integrity("reading", "block 0", found="other bytes")
                    return super().read(size)

            return File(self.data)

    for where in (None, pc.field("n") < 5):
        with pytest.raises(Integrity, match="block 0"):
            list(Parquet().read_batches(Broken(data), where=where))


def test_a_failed_sink_keeps_its_own_error_and_gets_no_footer():
    class Full(io.BytesIO):
        def write(self, data):
            if self.tell() > 2000:
                raise Unsupported("writing", "here", found="no room")
            return super().write(data)

    sink = Full()
    encoder = Parquet(compression="none").encoder(sink)
    encoder.write(pa.table({"a": [i * 7919 % 2**31 for i in range(200_000)]}))
    with pytest.raises(Unsupported, match="no room"):
        encoder.finish()
    size = sink.tell()
    del encoder
    assert sink.tell() == size


def test_an_encoder_that_is_dropped_writes_nothing_more():
    sink = Bytes()
    encoder = Parquet(row_group_rows=10).encoder(sink)
    encoder.write(numbers(20))
    size = sink.tell()
    assert size
    del encoder
    assert sink.tell() == size


def test_a_finished_encoder_takes_no_more():
    encoder = Parquet().encoder(Bytes())
    encoder.finish()
    with pytest.raises(Invalid):
        encoder.write([{"a": 1}])
    with pytest.raises(Invalid):
        encoder.finish()


def test_no_rows_make_a_file_with_the_schema():
    codec = Parquet([Field("a", "int64")])
    data, stats = written(codec)
    assert rows_in(codec, data) == []
    assert table_in(codec, data).schema.names == ["a"]
    assert stats.row_count == 0
    assert rows_in(Parquet(), written(Parquet())[0]) == []
