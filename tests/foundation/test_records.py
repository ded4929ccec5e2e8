"""Commit records (spec/ledger.md §7): exact bytes, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import canonical_json
from holdfast.errors import HoldfastError, Invalid, ManifestInvalid, Unsupported
from holdfast.records import CommitRecord, ObjectRef

RECORD = CommitRecord(
    model="run",
    name="demo",
    id="r-1",
    objects=(ObjectRef("runs/demo/x/run.json", 12, "ab" * 32),),
    time="2026-01-02T03:04:05.000000006Z",
    nonce="0f" * 16,
    author="ann",
    inputs=("commit:7", "sha256:" + "00" * 32),
)
GOLDEN = (
    b'{"author":"ann","id":"r-1","inputs":["commit:7","sha256:' + b"00" * 32 + b'"],'
    b'"message":null,"model":"run","name":"demo","nonce":"' + b"0f" * 16 + b'",'
    b'"objects":[{"path":"runs/demo/x/run.json","sha256":"' + b"ab" * 32 + b'","size":12}],'
    b'"parent":null,"run":null,"schema":"holdfast.commit/1",'
    b'"time":"2026-01-02T03:04:05.000000006Z"}'
)


def test_a_record_has_the_specified_bytes_and_reads_back() -> None:
    assert RECORD.to_bytes() == GOLDEN
    assert CommitRecord.from_bytes(GOLDEN) == RECORD


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "cat"),
        ("id", 3),
        ("nonce", "00"),
        ("time", "yesterday"),
        ("inputs", ["file:x"]),
        ("objects", [{"path": "", "size": 1, "sha256": "00" * 32}]),
        ("objects", [{"path": "a", "size": True, "sha256": "00" * 32}]),
        ("objects", [{"path": "a", "size": 1, "sha256": "0"}]),
        ("extra", 1),
    ],
)
def test_a_record_with_a_wrong_field_is_refused_and_named(field: str, value: object) -> None:
    data = canonical_json.dumps(json.loads(GOLDEN) | {field: value})
    with pytest.raises(ManifestInvalid):
        CommitRecord.from_bytes(data)


def test_a_record_of_a_later_schema_is_unsupported() -> None:
    data = canonical_json.dumps(json.loads(GOLDEN) | {"schema": "holdfast.commit/2"})
    with pytest.raises(Unsupported):
        CommitRecord.from_bytes(data)


@given(st.integers(0, len(GOLDEN) - 1), st.integers(1, 255))
def test_a_mutated_record_is_another_record_or_a_typed_error(at: int, flip: int) -> None:
    data = bytearray(GOLDEN)
    data[at] ^= flip
    try:
        record = CommitRecord.from_bytes(bytes(data))
    except HoldfastError:
        return
    assert record.to_bytes() == bytes(data)


@pytest.mark.parametrize(
    "values",
    [
        {"inputs": ("..",)},
        {"inputs": ("commit:0",)},
        {"model": "nothing"},
        {"nonce": "x"},
        {"time": "now"},
        {"author": "\udcff"},
        {"objects": (ObjectRef("", 1, "0" * 64),)},
    ],
)
def test_a_record_that_no_reader_takes_is_not_written(values):
    right = CommitRecord(
        model="run",
        name="p",
        id="i",
        objects=(),
        time="2026-01-02T03:04:05.000000000Z",
        nonce="0" * 32,
        author="me",
    )
    assert CommitRecord.from_bytes(right.to_bytes()) == right
    with pytest.raises(Invalid):
        dataclasses.replace(right, **values).to_bytes()
