"""Pruning by the manifest never loses a row, and leaves out what it can."""

from __future__ import annotations

import functools
import operator
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.datasets.bounds import Bounds
from holdfast.datasets.expression import UNKNOWN, Call, Field, fields_of, parse
from holdfast.datasets.manifest import ColumnStats, DatasetManifest, FileRef, FileStats
from holdfast.datasets.partition import partition_path
from holdfast.datasets.prune import condition, possible
from holdfast.datasets.row_statistics import RowStats
from holdfast.datasets.statistics import TableStats

x, y = pc.field("x"), pc.field("y")
DAY = date(2024, 1, 2)
NAN = float("nan")
NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)


def manifest(*files, codec="parquet", hive=False):
    return DatasetManifest(
        "d", "1", "2024-01-01T00:00:00Z", {}, tuple(files),
        codec=codec, partitioner="hive" if hive else "noop",
    )  # fmt: skip


def file(*columns, rows=10, path="f"):
    return FileRef(path, 1, stats=FileStats(rows, columns))


def in_partition(partition, stats=None):
    return FileRef(f"datasets/d/partitions/{partition}/segments/1/data/data", 1, stats=stats)


def keeps(where, *files, **options):
    return possible(condition(where).masks(Bounds(manifest(*files, **options))))


def test_a_chain_of_any_length_is_one_call():
    tree = parse(functools.reduce(operator.or_, [x == n for n in range(3000)]))
    assert tree.name == "or_kleene"
    assert len(tree.args) == 3000
    assert fields_of(tree) == ["x"]


def test_what_is_not_understood_is_said_so():
    assert parse(pc.field(0) > 1) is UNKNOWN
    nested = parse(pc.field("a", "b") == 1)
    assert isinstance(nested, Call)
    assert nested.args[0] is UNKNOWN
    assert fields_of(nested) is None
    deep = x > 1
    for n in range(1000):
        deep = ~(deep & (y > n))
    assert parse(deep) is UNKNOWN
    assert parse(pc.field('a"b.c')).name == 'a"b.c'
    assert parse((x + 1) > y).args[1] == Field("y")


NUMBERS = file(ColumnStats("x", 3, 7))


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        (x > 7, False), (x >= 7, True), (x < 3, False), (x <= 3, True), (x == 8, False),
        (x == 5, True), (x != 5, True), (pc.scalar(7) < x, False), (x > 6.999, True),
        (x.isin([1, 8]), False),
        (x.isin([1, 7]), True), (x.is_null(), False), (x.is_valid(), True), (x == None, False),  # noqa: E711
        ((x > 7) | (x < 3), False), ((x > 7) | (y < 3), True), ((x > 7) & (y < 3), False),
        (~(x < 100), True), (~((x > 7) & (y < 3)), True), (pc.scalar(False), False),
        (x == NAN, False), (x != NAN, True), (pc.is_nan(x), True),
        (x.cast("string") == "9", True), (x > "a", True), (x > pa.scalar(DAY), True),
        (x.isin(["9"]), True), ((x + 1) > 100, True), (pc.starts_with(x, "b"), True),
    ],
    ids=str,
)  # fmt: skip
def test_numbers(where, kept):
    assert keeps(where, NUMBERS) == [kept]


def test_nan_may_be_in_a_parquet_file_and_never_in_a_json_file():
    for where in (~(x < 100), x.is_null(nan_is_null=True), x.isin([float("nan")])):
        assert keeps(where, NUMBERS) == [True]
        assert keeps(where, NUMBERS, codec="jsonl") == [False]


def test_a_column_of_nulls_fulfils_no_comparison_and_no_negated_one():
    nulls = file(ColumnStats("x", null_count=10))
    for where in (x > 5, ~(x > 5), x != 5, x.is_valid(), x.isin([5])):
        assert keeps(where, nulls) == [False]
    for where in (x.is_null(), ~x.isin([5]), x.isin([5, None]), (x > 5).is_null()):
        assert keeps(where, nulls) == [True]


def test_texts_are_compared_by_their_bytes_and_prefixes():
    names = file(ColumnStats("x", "Zoë", "é"))
    assert keeps(x < "Zo", names) == [False]
    assert keeps(x > "\uffff", names) == [False]
    assert keeps(x == "a", names) == [True]
    assert keeps(pc.starts_with(x, "Zo"), names) == [True]
    assert keeps(pc.starts_with(x, "Y"), names) == [False]
    assert keeps(pc.starts_with(x, "Y", ignore_case=True), names) == [True]
    assert keeps(x < "a", file(ColumnStats("x", "\ufffd", None))) == [True]
    assert keeps(x.isin(["A", "B"]), names) == [False]


def test_times_are_compared_as_instants():
    times = file(ColumnStats("x", "2024-01-02T10:00:00+02:00", "2024-01-02T09:00:00.000000001Z"))
    nine = pa.scalar(datetime(2024, 1, 2, 9, tzinfo=UTC), pa.timestamp("s", "UTC"))
    assert keeps(x > nine, times) == [True]
    later = pa.scalar(1704186000000000001, pa.timestamp("ns", "UTC"))
    assert keeps(x > later, times) == [False]
    assert keeps(x < pa.scalar(datetime(2024, 1, 2, 8, tzinfo=UTC)), times) == [False]
    days = file(ColumnStats("x", "2024-01-01", "2024-01-02"))
    assert keeps(x > DAY, days) == [False]
    assert keeps(x == DAY, days) == [True]
    # Arrow takes the day of a time in a set.
    assert keeps(x.isin([datetime(2024, 1, 2, 5)]), days) == [True]


def test_a_partition_is_compared_as_the_type_of_the_condition():
    numbers = [in_partition(f"x={n}") for n in ("9", "10", "1e+06", "%3Cnil%3E", "NaN", "true")]
    assert keeps(x == 10, *numbers, hive=True) == [False, True, False, False, False, True]
    assert keeps(x > 9.5, *numbers, hive=True) == [False, True, True, False, False, True]
    assert keeps(x == "10", *numbers, hive=True) == [False, True, False, False, False, False]
    assert keeps(x.is_null(), *numbers, hive=True) == [False, False, False, True, True, False]
    assert keeps(x, *numbers[:1], numbers[5], hive=True) == [True, True]
    assert keeps(~x, numbers[5], hive=True) == [False]
    assert keeps(x == 10, *numbers) == [True] * 6


def test_a_set_of_texts_may_be_cast_to_what_a_partition_holds():
    # "05" is in a set for a column of integers that holds 5.
    five = in_partition("x=5")
    assert keeps(x.isin(["05"]), five, hive=True) == [True]
    assert keeps(x.isin(["6"]), five, hive=True) == [False]
    days = [in_partition(f"x=2024-01-0{n}") for n in (1, 2)]
    assert keeps(x.isin(["2024-01-02"]), *days, hive=True) == [True, True]
    assert keeps(x.isin(["2024-01-02"]), *days, hive=True, codec="jsonl") == [False, True]


def test_a_date_partition_holds_times_of_that_day_in_any_zone():
    day = in_partition("x=2024-01-02")
    for hours in (-13, 0, 12, 36):
        at = datetime(2024, 1, 2, tzinfo=UTC) + timedelta(hours=hours)
        assert keeps(x == pa.scalar(at), day, hive=True) == [True]
    assert keeps(x == pa.scalar(NOON + timedelta(days=3)), day, hive=True) == [False]
    text = "2024-01-02T23:30:00-01:00"
    assert keeps(x == text, day, hive=True, codec="jsonl") == [True]
    assert keeps(x == "2024-01-03", day, hive=True, codec="jsonl") == [False]
    exact = FileStats(3, (ColumnStats("x", "2024-01-02", "2024-01-02"),))
    for one in (DAY - timedelta(days=1), DAY + timedelta(days=1)):
        assert keeps(x == one, in_partition("x=2024-01-02", exact), hive=True) == [False]


def test_paths_that_do_not_tell_key_from_value_prune_nothing():
    twice = in_partition("x=1=2")
    assert keeps(x == "7", twice, hive=True) == [True]
    assert keeps(x == "7", in_partition("x=1/x=2"), hive=True) == [True]
    assert keeps(x == "7", in_partition("nothing"), hive=True) == [True]
    bounds = Bounds(manifest(twice, hive=True), ["x"])
    assert possible(condition(x == "7").masks(bounds)) == [False]
    assert keeps(x == "7", in_partition("x=%FF"), hive=True) == [True]


def test_a_manifest_that_contradicts_itself_prunes_nothing():
    assert keeps(x == 5, file(ColumnStats("x", 9, 1))) == [True]
    stats = FileStats(1, (ColumnStats("x", 9, 9),))
    assert keeps(x == 5, in_partition("x=8", stats), hive=True) == [True]
    mixed = file(ColumnStats("x", "a", 4), ColumnStats("y", True, [1]))
    assert keeps((x == 5) & (y == 5), mixed) == [True]
    assert keeps(x == 5, file(ColumnStats("x", -(10**400), 10**400))) == [True]


def test_the_reason_names_column_bounds_and_condition():
    where = (y == 1) & (x > 5) & (x > 9)
    bounds = Bounds(manifest(file(ColumnStats("x", 1, 3))))
    assert condition(where).reason(bounds, 0) == "x: 1 to 3, cannot match > 5"
    assert condition(~(x < 4)).reason(bounds, 0) == "x: 1 to 3, cannot match not < 4"
    bounds = Bounds(manifest(in_partition("day=2024-01-01"), hive=True))
    reason = condition(pc.field("day") == "2024-01-02").reason(bounds, 0)
    assert reason == 'partition day=2024-01-01 cannot match == "2024-01-02"'


# Properties

INTEGERS = st.sampled_from([-(2**63), -5, -1, 0, 1, 2, 3, 5, 2**24 + 1, 2**53 + 1, 2**63 - 1])
FLOATS = st.sampled_from(
    [-1e300, -1.5, -0.0, 0.0, 0.1, 1.0, 2.5, 1e-50, 16777217.0, float("inf"), float("nan")]
)
TEXTS = st.sampled_from(["", "a", "aé", "b", "\U0001f600", "2024-01-02", "5", "05", "<nil>"])
TIMES = st.sampled_from(
    [datetime(2024, 1, d, h, m) for d in (1, 2, 3) for h in (0, 12) for m in (0, 30)]
)
DATES = st.sampled_from([date(1969, 12, 31), date(2024, 1, 1), DAY, date(2024, 1, 3)])
TYPES = {
    pa.int64(): INTEGERS,
    pa.int32(): st.sampled_from([-5, 0, 1, 2, 3, 5, 300]),
    pa.float64(): FLOATS,
    pa.float32(): FLOATS,
    pa.string(): TEXTS,
    pa.bool_(): st.booleans(),
    pa.timestamp("us"): TIMES,
    pa.timestamp("ns", "UTC"): TIMES,
    pa.timestamp("s"): TIMES,
    pa.date32(): DATES,
    pa.dictionary(pa.int8(), pa.string()): TEXTS,
}
LITERALS = st.one_of(INTEGERS, FLOATS, TEXTS, TIMES, DATES, st.booleans(), st.none())
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


def columns_of(kind, size):
    values = st.lists(st.one_of(st.none(), TYPES[kind]), min_size=size, max_size=size)
    return st.builds(lambda found: pa.array(found, kind), values)


def scalars(kind):
    value = LITERALS if kind is None else st.one_of(TYPES[kind], TYPES[kind], st.none(), LITERALS)
    zoned = kind is not None and getattr(kind, "tz", None)
    return value.map(lambda v: v.replace(tzinfo=UTC) if zoned and isinstance(v, datetime) else v)


def sets(kind):
    # One type for all of a set, as Arrow has it.
    return st.lists(TYPES[kind], min_size=1, max_size=3).map(
        lambda found: pa.array([*found], kind if "dictionary" not in str(kind) else pa.string())
    )


def conditions(kinds):
    """Conditions over columns of given types, {name: type}."""
    names = sorted(kinds)

    def leaf(name):
        of, kind = pc.field(name), kinds[name]
        options = [
            st.builds(
                lambda test, value: test(of, pa.scalar(value)),
                st.sampled_from(COMPARISONS), scalars(kind),
            ),
            st.builds(lambda v, null: of.isin(pa.concat_arrays([v, pa.nulls(null, v.type)])),
                      st.one_of(sets(kind), st.sampled_from(list(TYPES)).flatmap(sets)),
                      st.integers(0, 1)),
            st.builds(lambda nan: of.is_null(nan_is_null=nan), st.booleans()),
            st.just(of.is_valid()),
        ]  # fmt: skip
        if kind == pa.bool_():
            options.append(st.just(of))
        if kind == pa.string():
            options.append(TEXTS.map(lambda prefix: pc.starts_with(of, prefix)))
        return st.one_of(options)

    def grow(parts):
        return st.one_of(
            st.builds(operator.and_, parts, parts),
            st.builds(operator.or_, parts, parts),
            st.builds(operator.invert, parts),
            st.builds(lambda part: part.is_null(), parts),
        )

    return st.recursive(st.sampled_from(names).flatmap(leaf), grow, max_leaves=5)


@st.composite
def tables_and_conditions(draw):
    kinds = {name: draw(st.sampled_from(list(TYPES))) for name in ("x", "y")}
    tables = []
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.integers(1, 4))
        tables.append(pa.table({n: draw(columns_of(k, size)) for n, k in kinds.items()}))
    return tables, draw(st.lists(conditions(kinds), min_size=1, max_size=4))


def matching(table, where):
    """The rows that Arrow finds, None where the condition does not fit the table."""
    try:
        return table.filter(where).num_rows
    except (pa.ArrowException, TypeError):
        return None


@settings(max_examples=60, deadline=None)
@given(tables_and_conditions())
def test_a_file_with_a_matching_row_is_kept(case):
    tables, wheres = case
    files = []
    for table in tables:
        stats = TableStats(table.schema)
        stats.update(table)
        files.append(FileRef("f", 1, stats=stats.result()))
    bounds = Bounds(manifest(*files))
    for where in wheres:
        kept = possible(condition(where).masks(bounds))
        for table, mask, keep in zip(tables, condition(where).masks(bounds), kept, strict=True):
            found = matching(table, where)
            assert keep or not found, f"{where} of {table.to_pylist()}"
            if mask == 1:
                assert found in (table.num_rows, None)


@settings(max_examples=50, deadline=None)
@given(tables_and_conditions(), st.booleans())
def test_a_partition_with_a_matching_row_is_kept(case, with_stats):
    tables, wheres = case
    rows = [(table.slice(n, 1), row) for table in tables for n, row in enumerate(table.to_pylist())]
    files = []
    for table, row in rows:
        stats = None
        if with_stats:
            found = TableStats(table.schema)
            found.update(table)
            stats = found.result()
        value = dict(row, x=narrow(table["x"]))
        files.append(in_partition(partition_path(["x"], value.__getitem__), stats))
    bounds = Bounds(manifest(*files, hive=True))
    for where in wheres:
        kept = possible(condition(where).masks(bounds))
        for (table, row), keep in zip(rows, kept, strict=True):
            assert keep or not matching(table, where), f"{where} of {row}"


def narrow(column):
    """The value as partitioning takes it."""
    value = column[0]
    return value.as_py() if column.type != pa.float32() else column.to_numpy()[0]


@st.composite
def rows_and_conditions(draw):
    kinds = {n: draw(st.sampled_from([pa.int64(), pa.float64(), pa.string()])) for n in ("x", "y")}
    row = st.fixed_dictionaries(
        {}, optional={n: st.one_of(st.none(), TYPES[k].filter(finite)) for n, k in kinds.items()}
    )
    files = draw(st.lists(st.lists(row, min_size=1, max_size=4), min_size=1, max_size=4))
    return files, draw(st.lists(conditions(kinds), min_size=1, max_size=4))


def finite(value):
    return not isinstance(value, float) or abs(value) < 1e301


@settings(max_examples=50, deadline=None)
@given(rows_and_conditions())
def test_a_json_file_with_a_matching_row_is_kept(case):
    files, wheres = case
    refs = []
    for rows in files:
        stats = RowStats()
        stats.update(rows)
        refs.append(FileRef("f", 1, stats=stats.result()))
    bounds = Bounds(manifest(*refs, codec="jsonl"))
    for where in wheres:
        kept = possible(condition(where).masks(bounds))
        for rows, keep in zip(files, kept, strict=True):
            table = pa.table({n: pa.array([row.get(n) for row in rows]) for n in ("x", "y")})
            assert keep or not matching(table, where), f"{where} of {rows}"
