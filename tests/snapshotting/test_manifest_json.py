"""Manifest JSON: the original's spelling, and a reader that takes nothing on trust."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.clock import parse_rfc3339
from holdfast.errors import Invalid, ManifestInvalid
from holdfast.snapshotting import manifest_json
from holdfast.snapshotting.manifest_json import Ordered, decode, encode, go_float, rfc3339_go
from independent_manifest import float_text, text_of
from lode_fixtures import needs_lode, unwrap, vectors

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner)
    ),
    max_leaves=12,
)
LONE = [chr(0xD800), chr(0xD801)]
METADATA = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), JSON)


def one(value):
    """How a value is spelled."""
    text = encode([("v", value)]).decode()
    return text.removeprefix('{\n  "v": ').removesuffix("\n}")


def as_doubles(value):
    """A whole float is written without a point and reads back as an integer."""
    if isinstance(value, dict):
        return {key: as_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_doubles(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return float(value)


@needs_lode
def test_every_vector_is_spelled_as_the_original_spells_it():
    checked = 0
    for vector in vectors()["json"]:
        value = unwrap(vector["in"])
        if "manifest_error" in vector:
            with pytest.raises(Invalid, match="inf"):
                encode([("metadata", {"v": value})])
            continue
        expected = '{\n  "metadata": {\n    "v": ' + vector["manifest"] + "\n  }\n}"
        assert encode([("metadata", {"v": value})]).decode() == expected, vector
        checked += 1
    assert checked > 450


@settings(deadline=None)
@given(METADATA)
def test_what_is_written_follows_the_rules(value):
    assert encode(value).decode() == text_of(value)


@settings(deadline=None)
@given(METADATA)
def test_what_is_written_reads_back(value):
    data = encode(value)
    back = decode(data, "m")
    assert encode(back) == data
    assert as_doubles(back) == as_doubles(value)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_to_the_same_double(value):
    assert float(go_float(value)).hex() == value.hex()
    assert go_float(value) == float_text(value)


@settings(deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_reads_back_in_its_own_precision(value):
    assert np.float32(go_float(np.float32(value))) == np.float32(value)
    assert len(go_float(np.float32(value)).lstrip("-0.").split("e")[0]) <= max(
        len(go_float(value).lstrip("-0.").split("e")[0]), 1
    )


def test_a_struct_keeps_its_order_and_a_map_is_sorted():
    data = encode([("b", 1), ("a", {"d": 1, "c": Ordered(z=1, y=2)})])
    assert data.decode().replace("\n", "").replace("  ", "") == (
        '{"b": 1,"a": {"c": {"z": 1,"y": 2},"d": 1}}'
    )


def test_keys_are_sorted_by_bytes_and_not_by_utf16():
    assert list(decode(encode({"\U00010000": 1, "\uffff": 2, "a": 3, "": 4}), "m")) == [
        "", "a", "\uffff", "\U00010000",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int64(-3), "-3"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (np.bool_(True), "true"),
        (np.float64(1e21), "1e+21"),
        (np.float16(0.1), "0.1"),
        (np.str_("a"), '"a"'),
        (b"\x00\xff", '"AP8="'),
        (bytearray(b"\x00\xff"), '"AP8="'),
        (memoryview(b"\x00\xff"), '"AP8="'),
        ((1, 2.0), "[\n    1,\n    2\n  ]"),
        (date(2024, 1, 2), '"2024-01-02"'),
        (datetime(2024, 1, 2, 3, 4, 5), '"2024-01-02T03:04:05Z"'),
        (datetime(2024, 1, 2, 3, 4, 5, 120000, tzinfo=UTC), '"2024-01-02T03:04:05.12Z"'),
        (datetime(2024, 1, 2, tzinfo=timezone(-timedelta(hours=2))), '"2024-01-02T00:00:00-02:00"'),
        (
            datetime(2024, 1, 2, tzinfo=timezone(timedelta(minutes=19, seconds=32))),
            '"2024-01-01T23:40:28Z"',
        ),
        (np.datetime64("2024-01-02T03:04:05.000000006"), '"2024-01-02T03:04:05.000000006Z"'),
        (np.datetime64("2024-01"), '"2024-01-01T00:00:00Z"'),
        (np.datetime64("9999-12-31"), '"9999-12-31T00:00:00Z"'),
        (np.datetime64(7, "25s"), '"1970-01-01T00:02:55Z"'),
        ("a\ud800b", '"a\\ufffdb"'),
        ({"\ud800": 1}, '{\n    "�": 1\n  }'),
    ],
)
def test_values_beyond_json_have_a_spelling(value, text):
    assert one(value) == text


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (float("nan"), "the number nan in v.a[1]"),
        (-math.inf, "the number -inf in v.a[1]"),
        (np.float32("inf"), "the number inf in v.a[1]"),
        (np.datetime64("NaT"), "NaT in v.a[1]"),
        (np.datetime64(2**62, "s"), "a year outside 1 to 9999 in v.a[1]"),
        (np.timedelta64(1, "s"), "a value of type timedelta64 in v.a[1]"),
        (np.zeros(2), "a value of type ndarray in v.a[1]"),
        ({1, 2}, "a value of type set in v.a[1]"),
        (Decimal(1), "a value of type Decimal in v.a[1]"),
        (10**309, "an integer beyond the range of a double in v.a[1]"),
        ({3: 4}, "a key of type int in v.a[1]"),
        (dict.fromkeys(LONE), "keys in v.a[1] that are the same once written"),
        (dict.fromkeys(["\ufffd", LONE[0]]), "keys in v.a[1] that are the same once written"),
    ],
)
def test_what_has_no_spelling_is_refused_by_its_place(value, found):
    with pytest.raises(Invalid) as caught:
        encode([("v", {"a": [0, value]})])
    assert caught.value.found == found


def test_a_value_that_holds_itself_is_refused():
    value: dict = {}
    value["again"] = value
    with pytest.raises(Invalid, match="nesting deeper than 64"):
        encode(value)


def nested(depth, leaf=0):
    for _ in range(depth):
        leaf = [leaf]
    return leaf


def test_both_directions_take_the_same_depth():
    data = encode({"v": nested(63)})
    assert decode(data, "m") == {"v": nested(63)}
    with pytest.raises(Invalid, match="nesting deeper than 64"):
        encode({"v": nested(64)})
    with pytest.raises(Invalid, match="nesting deeper than 64"):
        encode({"v": nested(63)}, depth=1)
    deep = json.dumps({"v": nested(64)}).encode()
    with pytest.raises(ManifestInvalid, match="nesting deeper than 64"):
        decode(deep, "m")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_endless_nesting_is_an_error_and_no_crash(opening):
    with pytest.raises(ManifestInvalid, match="nesting"):
        decode(opening * 200_000, "m")
    with pytest.raises(ManifestInvalid):
        decode(b'{"v":' + b"[" * 500 + b"]" * 500 + b"}", "m")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b"{}x",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":2}',
        b'{"v":[{"a":1,"\\u0061":2}]}',
        b'{"\\ud800":1,"\\udfff":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 310 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":-0,"b":' + b"9" * 5000 + b"}",
        b'{"a":01}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\n"}',
        b"{'a':1}",
        b'{"a":1,}',
    ],
)
def test_anything_but_one_object_of_strict_json_is_refused_with_the_path(data):
    with pytest.raises(ManifestInvalid) as caught:
        decode(data, "datasets/d/snapshots/1/manifest.json")
    assert caught.value.target == "datasets/d/snapshots/1/manifest.json"


def test_a_manifest_over_the_limit_is_neither_read_nor_written(monkeypatch):
    monkeypatch.setattr(manifest_json, "MAX_BYTES", 20)
    assert decode(encode({"a": 1}), "m") == {"a": 1}
    with pytest.raises(ManifestInvalid, match="at most 20"):
        decode(b"{}" + b" " * 20, "m")
    with pytest.raises(Invalid, match="at most 20"):
        encode({"a": "x" * 20})


def test_numbers_keep_their_kind_and_sign():
    back = decode(b'{"a": -0, "b": 9007199254740993, "c": 1.0, "d": -0.0, "e": 10e2}', "m")
    assert [type(v) for v in back.values()] == [float, int, float, float, float]
    assert back["b"] == 2**53 + 1
    assert math.copysign(1, back["a"]) == -1


def test_escapes_of_lone_surrogates_become_the_replacement_character():
    back = decode(b'{"\\ud800": ["\\udc00\\ud83d\\ude00", {"a": "\\\\ud800"}]}', "m")
    assert back == {"\ufffd": ["\ufffd\U0001f600", {"a": "\\ud800"}]}


@settings(deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_end_in_an_object_or_a_typed_error(data):
    try:
        assert isinstance(decode(data, "m"), dict)
    except ManifestInvalid:
        pass


@settings(deadline=None)
@given(
    st.integers(-62_135_500_000 * 10**9, 253_402_200_000 * 10**9),
    st.integers(-14 * 60, 14 * 60),
)
def test_a_time_reads_back_to_the_nanosecond(ns, offset):
    text = rfc3339_go(ns, offset)
    assert parse_rfc3339(text) == ns
    assert not text.rstrip("Z").endswith("0") or "." not in text or offset


@pytest.mark.parametrize(
    ("ns", "offset"), [(2**80, 0), (-(2**80), 0), (0, 1440), (253_402_300_799 * 10**9, 60)]
)
def test_a_time_that_rfc_3339_cannot_hold_is_refused(ns, offset):
    with pytest.raises(Invalid):
        rfc3339_go(ns, offset)


def test_a_pandas_time_keeps_its_nanoseconds_and_nat_is_refused():
    import pandas

    assert one(pandas.Timestamp(1704164645123456789, tz="UTC")) == (
        '"2024-01-02T03:04:05.123456789Z"'
    )
    with pytest.raises(Invalid, match="NaT"):
        one(pandas.NaT)
