"""RFC 8785: numbers, strings, key order, and what is refused."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import canonical_json
from holdfast.errors import Invalid

# RFC 8785 appendix B: IEEE 754 bits and the text.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-canonical_json.MAX_INTEGER, canonical_json.MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_are_written_as_the_rfc_lists_them(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json.number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_the_same_double(value: float) -> None:
    assert float(canonical_json.number(value)) == value


def test_the_rfc_example_has_the_rfc_bytes() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '€$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    assert canonical_json.dumps(value) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_ordered_by_utf16_units() -> None:
    keys = ["€", "\r", "\ufb33", "1", "😀", "\x80", "ö"]
    written = json.loads(canonical_json.dumps(dict.fromkeys(keys, 0)))
    assert list(written) == ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]


@given(json_values)
def test_what_was_written_reads_back_and_is_canonical(value: object) -> None:
    data = canonical_json.dumps(value)
    again = canonical_json.loads_canonical(data)
    assert canonical_json.dumps(again) == data
    assert again == value


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 2**53, -(2**53), "\ud800", {"\udfff": 1}, {1: 2}, b"x", {1, 2}],
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(Invalid):
        canonical_json.dumps(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1,"a":2}',
        b"NaN",
        b"[Infinity]",
        b"\xff",
        b"1 2",
        b"[" * 100_000,
        b"[" * 70 + b"]" * 70,
        b"1" * 5000,
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b"1.0",
        b"1e999",
        b'"\\u0041"',
        b'"\\ud800"',
        b"9007199254740993",
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        canonical_json.loads_canonical(data)


@given(st.binary(max_size=60))
def test_any_bytes_end_in_a_value_or_a_typed_error(data: bytes) -> None:
    try:
        canonical_json.loads_canonical(data)
    except Invalid:
        return
    assert canonical_json.dumps(canonical_json.loads(data)) == data


_TEXTS = st.text('aZ\x00\x1f\x7f\n"\\/é\u2028\ue000\U0001f600', max_size=4)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(_VALUES)
def test_the_quick_way_writes_what_the_thorough_way_writes(value):
    quick = canonical_json.dumps(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical_json, "_is_plain", lambda value: False)
        assert canonical_json.dumps(value) == quick


@pytest.mark.parametrize(
    "value",
    [2**53, {"a": [-(2**53)]}, {1: 2}, {"a": {None: 1}}, "\ud800", {"a": ["\udc00"]}, {1, 2}],
)
def test_the_quick_way_refuses_nothing_less(value):
    with pytest.raises(Invalid):
        canonical_json.dumps(value)
