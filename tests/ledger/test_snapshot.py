from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import canonical_json
from holdfast.errors import Integrity, Unsupported
from holdfast.ledger.snapshot import (
    LedgerSnapshot,
    StandingTombstone,
    decode_snapshot,
    parse_snapshot_path,
    snapshot_path,
)
from ledger.segment_cases import reference

SNAPSHOT = LedgerSnapshot(
    snapshot_id=3,
    logseq=2**60,
    prev_record_hash=bytes(range(32)),
    segments=((7, b"\7" * 32), (2, b"\2" * 32)),
    inline=((reference(1), 4), (reference(2), 9)),
    tombstones=(
        StandingTombstone(reference(1), 5, 1, 2),
        StandingTombstone(reference(1), 6, 0, 2**32 - 1),
    ),
    published=(reference(3),),
    erased=(reference(4),),
    pins=(5, 8),
    domain=2**32 - 1,
    created_at="2026-01-02T03:04:05.000000006Z",
)
GOLDEN = (
    b'{"created_at":"2026-01-02T03:04:05.000000006Z","domain":7,"erased":[],"inline":'
    b'[["asl1:0001:%s","4"]],"logseq":"5","pins":["2"],"prev_record_hash":"%s",'
    b'"published":[],"schema":"holdfast.ledger.snapshot/1","segments":[{"id":"1","sha256":"%s"}],'
    b'"snapshot_id":"1","tombstones":[{"logseq":"3","reason_code":9,"ref":"asl1:0001:%s",'
    b'"scope":8}]}'
) % tuple(c * 32 for c in (b"aa", b"bb", b"cc", b"dd"))


def test_a_snapshot_survives_a_round_trip():
    assert decode_snapshot(SNAPSHOT.encode(), "s") == SNAPSHOT


def test_the_file_has_the_bytes_that_the_page_says():
    snapshot = decode_snapshot(GOLDEN, "s")
    assert snapshot.encode() == GOLDEN
    assert (snapshot.logseq, snapshot.domain, snapshot.pins) == (5, 7, (2,))
    assert snapshot.tombstones[0].scope == 8


def changed(**fields: object) -> bytes:
    return canonical_json.dumps(json.loads(GOLDEN) | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"snapshot_id": 1},
        {"snapshot_id": "0"},
        {"snapshot_id": "01"},
        {"logseq": str(2**64)},
        {"logseq": "-1"},
        {"prev_record_hash": "aa"},
        {"segments": {}},
        {"segments": [{"id": "1"}]},
        {"segments": [{"id": "1", "sha256": "aa" * 32}] * 2},
        {"inline": [["asl1:0001:" + "aa" * 31, "4"]]},
        {"inline": [["asl1:0000:" + "aa" * 32, "4"]]},
        {"inline": [["asl1:0001:" + "aa" * 32]]},
        {"inline": [[["x"], "4"]]},
        {"tombstones": [{"ref": "asl1:0001:" + "aa" * 32, "logseq": "1", "scope": 1}]},
        {"pins": ["1", "1"]},
        {"pins": [1]},
        {"domain": -1},
        {"domain": True},
        {"domain": 2**32},
        {"created_at": "yesterday"},
        {"created_at": None},
        {"schema": None},
        {"more": 1},
    ],
)
def test_a_malformed_field_is_integrity_that_names_the_file(fields):
    with pytest.raises(Integrity) as caught:
        decode_snapshot(changed(**fields), "ledger/snapshots/x.json")
    assert caught.value.target == "ledger/snapshots/x.json"


def test_a_later_schema_is_unsupported():
    with pytest.raises(Unsupported):
        decode_snapshot(changed(schema="holdfast.ledger.snapshot/2"), "s")


def test_bytes_that_are_not_canonical_are_refused():
    with pytest.raises(Integrity):
        decode_snapshot(GOLDEN + b"\n", "s")
    with pytest.raises(Integrity):
        decode_snapshot(b"[" * 100_000, "s")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_snapshots_end_in_typed_errors(data):
    mutated = bytearray(SNAPSHOT.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        mutated[place] = data.draw(st.sampled_from(list(b'0129af"{}[],:x\xff')))
    if data.draw(st.booleans()):
        del mutated[data.draw(st.integers(0, len(mutated))) :]
    try:
        assert decode_snapshot(bytes(mutated), "s").encode() == mutated
    except (Integrity, Unsupported):
        pass


def test_snapshot_paths_are_parsed_back():
    assert parse_snapshot_path(snapshot_path(12)) == 12
    assert parse_snapshot_path(snapshot_path(0)) is None
    assert parse_snapshot_path("snapshots/12.json") is None
