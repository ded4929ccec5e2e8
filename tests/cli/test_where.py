"""The condition language of --where means what SQL means, and refuses what it does not know."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli.where import MAX_DEPTH, MAX_LENGTH, parse_where
from holdfast.errors import Invalid

TABLE = pa.table(
    {
        "n": pa.array([1, 2, 3, None], pa.int64()),
        "x": pa.array([0.5, -1.5, 2.0, 4.0]),
        "kind": ["a", "b", "it's", None],
        "done": [True, False, None, True],
        "odd name": [1, 2, 3, 4],
        "day": pa.array([0, 1, 2, 3], pa.date32()),
        "time": pa.array([0, 1_000, 2_000, None], pa.timestamp("ms", "UTC")),
        "date": [9, 8, 7, 6],
    }
)


def rows(text: str) -> list[int]:
    """Numbers of the rows, from 0, for which the condition is true."""
    table = TABLE.append_column("row", pa.array([0, 1, 2, 3]))
    found: list[int] = pads.dataset(table).to_table(filter=parse_where(text))["row"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n = 2", [1]),
        ("n == 2", [1]),
        ("2 < n", [2]),
        ("n <> 2", [0, 2]),
        ("n != 2 AND n >= 1", [0, 2]),
        ("n = 1 or n = 2 and kind = 'a'", [0]),
        ("(n = 1 or n = 2) and kind = 'b'", [1]),
        ("not n = 2", [0, 2]),
        ("not not n = 2", [1]),
        ("n is null", [3]),
        ("n is not null", [0, 1, 2]),
        ("kind in ('a', 'b')", [0, 1]),
        ("n in (1, 2.0, -3)", [0, 1]),
        ("n not in (1, 2)", [2, 3]),
        ("kind = 'it''s'", [2]),
        ("done", [0, 3]),
        ("not done", [1]),
        ("done = false", [1]),
        ("x < -1", [1]),
        ("x > 1.5e0", [2, 3]),
        ("x > .4 and x < n", [0, 2]),
        ('"odd name" > 3', [3]),
        ("day = date '1970-01-02'", [1]),
        ("day in (date '1970-01-02', date '1970-01-04')", [1, 3]),
        ("time >= timestamp '1970-01-01T01:00:01+01:00'", [1, 2]),
        ("date > 7", [0, 1]),
    ],
)
def test_a_condition_chooses_the_rows_for_which_it_is_true(text: str, expected: list[int]) -> None:
    assert rows(text) == expected


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 1),
        ("n >", 4),
        ("n > > 1", 5),
        ("n = null", 5),
        ("1 = 2", 1),
        ("'a'", 1),
        ("n in ()", 7),
        ("n in (1, 'a')", 7),
        ("n in 1", 6),
        ("n is 1", 6),
        ("n not 1", 7),
        ("(n = 1", 7),
        ("n = 1)", 6),
        ("n = 1 n = 2", 7),
        ("n = 'open", 5),
        ("n ; 1", 3),
        ("n = 99999999999999999999999", 5),
        ("x = 1e999", 5),
        ("day = date '2024-13-01'", 12),
        ("time > timestamp '2024-01-01'", 18),
        ("f(n) = 1", 2),
        ("n = -", 6),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, at: int) -> None:
    with pytest.raises(Invalid, match=f"at character {at}\\b"):
        parse_where(text)


def test_long_chains_are_flat_and_deep_ones_are_refused() -> None:
    assert rows(" or ".join(f"n = {i}" for i in range(3_000))) == [0, 1, 2]
    assert rows("(" * MAX_DEPTH + "n = 1" + ")" * MAX_DEPTH) == [0]
    for text in ("(" * 10_000 + "n = 1", "not " * 10_000 + "n = 1", "n" * (MAX_LENGTH + 1)):
        with pytest.raises(Invalid):
            parse_where(text)


@given(st.text(alphabet="n()'\"=<>-+.,0123456789 andortisul$;é\n", max_size=40))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        parse_where(text)
    except Invalid:
        pass


@given(st.integers(-(2**63), 2**63 - 1), st.text(max_size=20))
def test_literals_mean_what_they_say(number: int, text: str) -> None:
    table: Any = pa.table({"n": pa.array([number], pa.int64()), "t": [text]})
    quoted = text.replace("'", "''")
    kept = pads.dataset(table).to_table(filter=parse_where(f"n = {number} and t = '{quoted}'"))
    assert kept.num_rows == 1
