"""Digests name their algorithm; times keep nanoseconds."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.clock import SystemClock, SystemIds, parse_rfc3339, rfc3339
from holdfast.digests import digest, hasher, parse_digest
from holdfast.errors import Invalid, Unsupported


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        ("sha256", hashlib.sha256(b"abc").hexdigest()),
        ("blake2b-16", hashlib.blake2b(b"abc", digest_size=16).hexdigest()),
        ("md5", "900150983cd24fb0d6963f7d28e17f72"),
    ],
)
def test_a_digest_is_written_with_its_algorithm_and_reads_back(algorithm: str, value: str) -> None:
    found = digest(b"abc", algorithm)
    assert str(found) == f"{algorithm}:{value}"
    assert parse_digest(str(found)) == found


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:AB", "abc", "sha256:" + "a" * 63, "md5:x"])
def test_a_text_that_is_no_digest_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        parse_digest(text)


def test_an_unknown_algorithm_is_unsupported() -> None:
    with pytest.raises(Unsupported):
        hasher("sha3")
    with pytest.raises(Unsupported):
        parse_digest("sha3:00")


@given(st.integers(0, 4_102_444_800 * 10**9))
def test_times_read_back_to_the_nanosecond(ns: int) -> None:
    assert parse_rfc3339(rfc3339(ns)) == ns


def test_zones_and_short_fractions_are_read() -> None:
    assert parse_rfc3339("1970-01-01T01:00:00.5+01:00") == 500_000_000


@pytest.mark.parametrize("text", ["", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00"])
def test_a_text_that_is_no_time_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        parse_rfc3339(text)


def test_the_system_gives_time_and_distinct_ids() -> None:
    ids = SystemIds()
    assert SystemClock().now_ns() > 0
    assert ids.uuid4() != ids.uuid4()
    assert len(ids.token(16)) == 32
    assert 0 < ids.u64() < 2**64
