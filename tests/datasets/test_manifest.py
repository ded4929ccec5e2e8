"""Dataset manifests: round trips, the rules of the format, and hostile ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.datasets.manifest import (
    ColumnStats,
    DatasetManifest,
    FileRef,
    FileStats,
    decode_manifest,
    encode_manifest,
)
from holdfast.errors import Invalid, ManifestInvalid, Unsupported
from holdfast.snapshotting.lineage import Lineage
from independent_manifest import dataset_bytes

PATH = "datasets/d/snapshots/100/manifest.json"
FULL = DatasetManifest(
    dataset_id="d",
    snapshot_id="100",
    created_at="2025-01-02T03:04:05.5+02:00",
    metadata={"b": [1, {}], "a": "<x>"},
    files=(
        FileRef(
            "datasets/d/snapshots/100/data/data-00000",
            7,
            checksum="aa",
            stats=FileStats(
                2,
                (
                    ColumnStats("n", 0, 2.5, 1, 2),
                    ColumnStats("s", "", "z"),
                    ColumnStats("none", null_count=2),
                ),
            ),
        ),
        FileRef("datasets/d/snapshots/100/data/data-00001", 2**21, blocks_sha256="cc"),
    ),
    parent_snapshot_id="99",
    row_count=3,
    min_timestamp="2025-01-01T00:00:00Z",
    max_timestamp="2025-01-02T00:00:00-07:00",
    codec="parquet",
    compressor="zstd",
    partitioner="noop",
    checksum_algorithm="sha256",
    lineage=Lineage(
        author="ada", message="first", run="r1", inputs=("x@1", "y"), nonce="n", real="98"
    ),
    mark="healed",
)
FULL_BYTES = b"""{
  "schema_name": "lode-manifest",
  "format_version": "1.0.0",
  "dataset_id": "d",
  "snapshot_id": "100",
  "created_at": "2025-01-02T03:04:05.5+02:00",
  "metadata": {
    "a": "\\u003cx\\u003e",
    "b": [
      1,
      {}
    ]
  },
  "files": [
    {
      "path": "datasets/d/snapshots/100/data/data-00000",
      "size_bytes": 7,
      "checksum": "aa",
      "stats": {
        "row_count": 2,
        "columns": [
          {
            "name": "n",
            "min": 0,
            "max": 2.5,
            "null_count": 1,
            "distinct_count": 2
          },
          {
            "name": "s",
            "min": "",
            "max": "z",
            "null_count": 0
          },
          {
            "name": "none",
            "null_count": 2
          }
        ]
      }
    },
    {
      "path": "datasets/d/snapshots/100/data/data-00001",
      "size_bytes": 2097152,
      "blocks_sha256": "cc"
    }
  ],
  "parent_snapshot_id": "99",
  "row_count": 3,
  "min_timestamp": "2025-01-01T00:00:00Z",
  "max_timestamp": "2025-01-02T00:00:00-07:00",
  "codec": "parquet",
  "compressor": "zstd",
  "partitioner": "noop",
  "checksum_algorithm": "sha256",
  "holdfast": {
    "author": "ada",
    "message": "first",
    "run": "r1",
    "inputs": [
      "x@1",
      "y"
    ],
    "nonce": "n",
    "real": "98"
  },
  "holdfast_mark": "healed"
}"""
EMPTY = DatasetManifest("d", "100", "2025-01-02T03:04:05Z", {}, ())
EMPTY_BYTES = b"""{
  "schema_name": "lode-manifest",
  "format_version": "1.0.0",
  "dataset_id": "d",
  "snapshot_id": "100",
  "created_at": "2025-01-02T03:04:05Z",
  "metadata": {},
  "files": [],
  "row_count": 0,
  "compressor": "noop",
  "partitioner": "noop"
}"""


@pytest.mark.parametrize(("manifest", "data"), [(FULL, FULL_BYTES), (EMPTY, EMPTY_BYTES)])
def test_a_manifest_has_these_bytes_and_reads_back(manifest, data):
    assert encode_manifest(manifest) == data
    assert decode_manifest(data, PATH) == manifest


def test_files_are_sorted_by_the_bytes_of_their_paths():
    names = ("b", "\U00010000", "\uffff", "a/b", "a", "a-b")
    manifest = replace(EMPTY, files=tuple(FileRef(name, 0) for name in names))
    files = json.loads(encode_manifest(manifest))["files"]
    assert [f["path"].encode() for f in files] == sorted(name.encode() for name in names)


def changed(**fields):
    value = json.loads(EMPTY_BYTES) | fields
    return json.dumps({k: v for k, v in value.items() if v is not ...}).encode()


def file_with(**fields):
    return changed(files=[{"path": "x", "size_bytes": 1}, {"path": "y", "size_bytes": 1} | fields])


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (changed(dataset_id=""), "dataset_id"),
        (changed(dataset_id=3), "dataset_id"),
        (changed(snapshot_id="../1"), "snapshot_id"),
        (changed(snapshot_id=".."), "snapshot_id"),
        (changed(parent_snapshot_id="a/b"), "parent_snapshot_id"),
        (changed(parent_snapshot_id=5), "parent_snapshot_id"),
        (changed(created_at=None), "created_at"),
        (changed(created_at=1), "created_at"),
        (changed(created_at=""), "created_at"),
        (changed(created_at="0001-01-01T02:00:00+02:00"), "created_at"),
        (changed(created_at="2025-02-30T00:00:00Z"), "created_at"),
        (changed(min_timestamp="yesterday"), "min_timestamp"),
        (changed(max_timestamp=[]), "max_timestamp"),
        (changed(metadata=...), "metadata"),
        (changed(metadata="x"), "metadata"),
        (changed(files=...), "files"),
        (changed(files=None), "files"),
        (changed(files=..., codec="jsonl"), "files"),
        (changed(files={}), "files"),
        (changed(files=[1]), "files[0]"),
        (changed(files=[None]), "files[0]"),
        (changed(row_count=True), "row_count"),
        (changed(row_count="1"), "row_count"),
        (changed(row_count=2**63), "row_count"),
        (changed(compressor=""), "compressor"),
        (changed(partitioner=None), "partitioner"),
        (changed(codec=1), "codec"),
        (changed(checksum_algorithm={}), "checksum_algorithm"),
        (changed(holdfast=[]), "holdfast"),
        (changed(holdfast={"author": 1}), "holdfast.author"),
        (changed(holdfast={"inputs": ["x", 1]}), "holdfast.inputs[1]"),
        (changed(holdfast_mark=1), "holdfast_mark"),
        (file_with(path=None), "files[1].path"),
        (file_with(size_bytes=1.5), "files[1].size_bytes"),
        (file_with(size_bytes=10**300), "files[1].size_bytes"),
        (file_with(checksum=1), "files[1].checksum"),
        (file_with(blocks_sha256=[]), "files[1].blocks_sha256"),
        (file_with(stats=[]), "files[1].stats"),
        (file_with(stats={"row_count": -1}), "files[1].stats.row_count"),
        (file_with(stats={"columns": {}}), "files[1].stats.columns"),
        (file_with(stats={"columns": [3]}), "files[1].stats.columns[0]"),
        (file_with(stats={"columns": [{"name": 1}]}), "files[1].stats.columns[0].name"),
        (
            file_with(stats={"columns": [{}, {"null_count": "x"}]}),
            "files[1].stats.columns[1].null_count",
        ),
    ],
)
def test_a_wrong_field_is_named_with_the_manifest(data, field):
    with pytest.raises(ManifestInvalid) as caught:
        decode_manifest(data, PATH)
    assert caught.value.found.startswith(f"field {field}: ")
    assert caught.value.target == PATH


HOSTILE = [
    "", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a\\b", "a\0b", "locks/x",
    "a/.hf-0123456789abcdef", "x" * 256, "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_a_path_that_no_store_takes_is_refused_in_both_directions(path):
    if path != "\ud800":  # which reads as U+FFFD
        with pytest.raises(ManifestInvalid, match=r"files\[1\]\.path"):
            decode_manifest(file_with(path=path), PATH)
    with pytest.raises(Invalid, match=r"files\[0\]\.path"):
        encode_manifest(replace(EMPTY, files=(FileRef(path, 1),)))


@pytest.mark.parametrize(
    "change",
    [
        {"dataset_id": ""},
        {"snapshot_id": "a/b"},
        {"created_at": "now"},
        {"metadata": None},
        {"metadata": {"a": float("nan")}},
        {"metadata": {"a": object()}},
        {"row_count": -1},
        {"row_count": 1.0},
        {"compressor": ""},
        {"min_timestamp": "x"},
        {"mark": "unheard of"},
        {"files": (FileRef("x", -1),)},
        {"files": (FileRef("x", 1), FileRef("x", 1))},
        {"files": (FileRef("x", 1, stats=FileStats(-1)),)},
        {"files": (FileRef("x", 1, stats=FileStats(1, (ColumnStats("a", float("inf")),))),)},
    ],
)
def test_what_would_not_be_read_is_not_written(change):
    with pytest.raises(Invalid):
        encode_manifest(replace(EMPTY, **change))


@pytest.mark.parametrize(
    "data",
    [
        changed(schema_name="lode-volume-manifest"),
        changed(format_version="2.0.0"),
        changed(format_version="10.0"),
        changed(holdfast_mark="unheard of"),
    ],
)
def test_what_a_newer_program_wrote_is_unsupported(data):
    with pytest.raises(Unsupported) as caught:
        decode_manifest(data, PATH)
    assert caught.value.target == PATH


def test_a_newer_minor_version_and_unknown_fields_are_read():
    data = changed(format_version="1.7.0", future={"x": [1]}, holdfast={"author": "a", "new": 1})
    assert decode_manifest(data, PATH) == replace(EMPTY, lineage=Lineage(author="a"))


def test_no_files_are_read_where_a_codec_is_named():
    assert decode_manifest(changed(files=None, codec="jsonl"), PATH).files == ()


def test_a_null_counts_as_an_absent_field():
    data = file_with(stats=None, checksum=None, blocks_sha256=None)
    manifest = decode_manifest(data, PATH)
    assert manifest.files[1] == FileRef("y", 1)
    nulls = dict.fromkeys(("row_count", "codec", "min_timestamp", "holdfast", "holdfast_mark"))
    assert decode_manifest(changed(**nulls), PATH) == EMPTY


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NAME = st.text("abcxyz019._- é\U0001f600", min_size=1, max_size=8).filter(
    lambda s: s not in (".", "..") and not s.startswith(".hf-")
)
STORE_PATH = (
    st.lists(NAME, min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda p: p.split("/")[0] != "locks")
)
TIME = st.sampled_from(
    ["2025-01-02T03:04:05Z", "1969-12-31T23:59:59.999999999Z", "2024-02-29T00:00:00.5-07:30"]
)
COUNT = st.integers(0, 2**63 - 1)
VALUE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | TEXT
    | st.floats(-1e6, 1e6).map(lambda x: x + 0.5 if float(x).is_integer() else x)
)
COLUMN = st.builds(ColumnStats, TEXT, VALUE, VALUE, COUNT, st.none() | st.integers(1, 2**63 - 1))
FILE = st.builds(
    FileRef,
    STORE_PATH,
    COUNT,
    st.sampled_from(["", "ab" * 32]),
    st.none() | st.builds(FileStats, COUNT, st.lists(COLUMN, max_size=3).map(tuple)),
    st.sampled_from(["", "cd" * 32]),
)
LINEAGE = st.builds(
    Lineage,
    TEXT,
    st.none() | TEXT.filter(bool),
    st.none() | TEXT.filter(bool),
    st.lists(TEXT, max_size=2).map(tuple),
    TEXT,
    TEXT,
)
MANIFEST = st.builds(
    DatasetManifest,
    TEXT.filter(bool),
    NAME,
    TIME,
    st.dictionaries(TEXT, VALUE | st.lists(VALUE, max_size=2), max_size=3),
    st.lists(FILE, max_size=3, unique_by=lambda f: f.path).map(
        lambda files: tuple(sorted(files, key=lambda f: f.path.encode()))
    ),
    NAME | st.just(""),
    COUNT,
    TIME | st.just(""),
    TIME | st.just(""),
    st.sampled_from(["", "jsonl", "parquet"]),
    st.sampled_from(["noop", "gzip", "zstd"]),
    st.sampled_from(["noop", "hive"]),
    st.sampled_from(["", "md5", "sha256"]),
    st.none() | LINEAGE,
    st.sampled_from(["", "healed", "gc"]),
)


@settings(deadline=None)
@given(MANIFEST)
def test_what_is_written_reads_back(manifest):
    data = encode_manifest(manifest)
    assert decode_manifest(data, PATH) == manifest
    assert encode_manifest(decode_manifest(data, PATH)) == data


@settings(deadline=None)
@given(MANIFEST)
def test_every_byte_follows_the_rules(manifest):
    assert encode_manifest(manifest) == dataset_bytes(manifest)


def read(data):
    """The manifest in `data`; None where a typed error refused it."""
    try:
        return decode_manifest(data, PATH)
    except (ManifestInvalid, Unsupported) as refused:
        if refused.target != PATH:
            raise
        return None


@settings(deadline=None)
@given(
    st.sampled_from([FULL_BYTES, EMPTY_BYTES]),
    st.lists(
        st.tuples(
            st.integers(0, len(FULL_BYTES)),
            st.integers(0, 12),
            st.sampled_from([b"", b"null", b"-1", b"[", b"{}", b'"', b"\xff", b"../", b"9" * 30]),
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_a_mutated_manifest_reads_or_ends_in_a_typed_error(data, mutations):
    for at, length, new in mutations:
        data = data[:at] + new + data[at + length :]
    manifest = read(data)
    if manifest is None or len({f.path for f in manifest.files}) < len(manifest.files):
        return
    files = tuple(sorted(manifest.files, key=lambda file: file.path))
    again = decode_manifest(encode_manifest(replace(manifest, files=files)), PATH)
    assert again == replace(manifest, files=files)


@settings(deadline=None)
@given(
    st.sampled_from(
        [*json.loads(FULL_BYTES), "files.0.path", "files.0.size_bytes", "files.0.stats",
         "files.0.stats.columns", "files.0.stats.columns.0.min", "holdfast.inputs"]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    ),
)  # fmt: skip
def test_any_value_in_any_field_reads_or_ends_in_a_typed_error(place, value):
    document = json.loads(FULL_BYTES)
    *holders, name = place.split(".")
    holder = document
    for step in holders:
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    holder[name] = value
    read(json.dumps(document).encode())
