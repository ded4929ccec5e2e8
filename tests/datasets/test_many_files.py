"""Manifests with many files: the quick ways find and write what the strict ways do."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.datasets import file_ref
from holdfast.datasets import manifest as manifest_module
from holdfast.datasets.manifest import (
    ColumnStats,
    DatasetManifest,
    FileRef,
    FileStats,
    decode_manifest,
    encode_manifest,
)
from holdfast.datasets.quick_files import quick_files
from holdfast.errors import HoldfastError
from holdfast.snapshotting.lineage import Lineage
from independent_manifest import dataset_bytes

PATH = "datasets/d/snapshots/100/manifest.json"
FOLDER = "datasets/d/snapshots/100/data"
COLUMNS = (
    ColumnStats("n", 0, 2.5, 1, 2),
    ColumnStats('"s" <&>', "\\\"\u2028'", "{}[],:\n", 0, 1),
    ColumnStats("none", None, None, 2),
    ColumnStats("b", False, True),
)
FILES = (
    FileRef(f"{FOLDER}/data-00000", 7, "aa" * 32, FileStats(2, COLUMNS), "bb" * 32),
    FileRef(f"{FOLDER}/data-00001", 8, "cc" * 32, FileStats(3)),
    FileRef(f"{FOLDER}/é & é", 0),
)
MANIFEST = DatasetManifest(
    "d", "100", "2025-01-02T03:04:05Z", {"a": []}, FILES, codec="jsonl", lineage=Lineage("ada")
)
SMALL = replace(MANIFEST, files=FILES[1:2])


def answer(call, *arguments):
    """What it gives, or its error in full."""
    try:
        return repr(call(*arguments))
    except HoldfastError as refused:
        return type(refused), str(refused)


def strictly_decoded(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_module, "quick_files", lambda data: None)
        return answer(decode_manifest, data, PATH)


def strictly_encoded(manifest):
    def unusual(file):
        raise file_ref._Unusual

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_ref, "_entry", unusual)
        files = tuple(copy.copy(file) for file in manifest.files)
        assert all(file.entry is None for file in files)
        return answer(encode_manifest, replace(manifest, files=files))


COLUMN = (
    b'{"name": "a", "min": 1, "max": "x", "null_count": 0}',
    b'{"name": "a", "null_count": 0, "null_count": 0}',
    b'{"name": "a"}',
    b'{"name": "a", "null_count": null}',
    b'{"null_count": 1}',
    b'{"name": "a", "min": -0, "null_count": 1}',
    b'{"name": "a", "min": 1' + b"0" * 309 + b', "null_count": 1}',
    b'{"name": "a", "min": 18446744073709551616, "null_count": 1}',
    b'{"name": "a", "min": 1E5, "max": 1.0, "null_count": 1}',
    b'{"name": "a", "min": 1e400, "null_count": 1}',
    b'{"name": "a", "min": [1, {"x": 2}], "null_count": 1}',
    b'{"name": "a", "null_count": 1, "distinct_count": 0}',
    b'{"name": "a", "null_count": 1, "distinct_count": null}',
    b'{"name": "a", "n\\u0061me": "b", "null_count": 1}',
    b'{"name": "\\"", "name": "b", "null_count": 1}',
    b'{"name": "\\\\", "max": "\\\\\\"\\\\", "null_count": 1}',
    b'{"name": "\\ud800", "null_count": 1}',
    b'{"name": "\\ud83d\\ude00", "null_count": 1}',
    b'{"name": "a", "null_count": 9223372036854775808}',
    b'{"name": "a", "null_count": true}',
    b'{"name": "a", "null_count": 1.0}',
    b'{"name": "a", "new": 1, "null_count": 1}',
    b'{"name": "\x01", "null_count": 1}',
    b'{"name": "\xff", "null_count": 1}',
    b'{"name": "\xed\xa0\x80", "null_count": 1}',
)


@pytest.mark.parametrize("one", COLUMN)
@pytest.mark.parametrize("other", COLUMN[:3])
def test_columns_are_read_as_strictly_quickly(one, other):
    files = b'[{"path": "x", "size_bytes": 1, "stats": {"row_count": 1, "columns": [%s, %s]}}]'
    data = encode_manifest(replace(MANIFEST, files=())).replace(
        b'"files": []', b'"files": ' + files % (one, other)
    )
    assert answer(decode_manifest, data, PATH) == strictly_decoded(data)


FILE = b'    {"path": "x", "size_bytes": 1}'
WORDS = [
    b"", b"null", b"-1", b"-0", b"1.0", b'"', b"\\", b"\\\\", b'\\"', b"\xff", b"../", b" ",
    b"9" * 30, b'"size_bytes": 7, ', b'"row_count": 2, ', b'"name": "n", ', b'"null_count": 1, ',
    b'"x": [], ', b'"path": "x", ', b'"checksum": "", ', b'"min": 0, ', b'"min": null, ',
    b'"stats": null, ', b'"columns": [], ', b'"distinct_count": 2, ', b"[", b"]", FILE + b",",
    b'"files": [], ', b'"files": null, ', b'"files": [' + FILE + b"], ",
    b'"other": [' + FILE + b"], ", b'"other": {"files": []}, ',
]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([encode_manifest(MANIFEST), encode_manifest(SMALL)]),
    st.lists(
        st.tuples(
            st.sampled_from([b"{", b"[", b",", b"\n", b'"', b" ", b": ", b"}", b"]"]),
            st.integers(0, 60),
            st.integers(0, 3),
            st.sampled_from(WORDS),
        ),
        max_size=3,
    ),
)
def test_the_quick_way_to_decode_finds_what_the_strict_way_finds(data, mutations):
    for mark, number, cut, new in mutations:
        places = [i for i in range(len(data)) if data.startswith(mark, i)]
        if places:
            at = places[number % len(places)] + len(mark)
            data = data[:at] + new + data[at + cut :]
    assert answer(decode_manifest, data, PATH) == strictly_decoded(data)


def test_the_same_text_in_a_field_before_the_files_is_not_taken_for_them():
    files = b'[{"path": "x", "size_bytes": 1}]'
    empty = encode_manifest(replace(MANIFEST, files=()))
    for before in (b'"other": %s, ', b'"other": {"files": %s}, ', b'"other": [%s], '):
        data = empty.replace(b'"files": []', before % files + b'"files": ' + files)
        assert data != empty
        assert decode_manifest(data, PATH).files == (FileRef("x", 1),)
    twice = empty.replace(b'"files": []', b'"files": %s, "files": %s' % (files, files))
    assert answer(decode_manifest, twice, PATH) == strictly_decoded(twice)


@pytest.mark.parametrize(
    "path",
    ["", "/x", "x/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a/.hf-0123456789abcdef", ".x/y",
     "locks", "locks/x", "x/locks/y", "locksmith", "a\\b", "a\0b", "x" * 255, "x" * 256, "é" * 128,
     "é" * 127, "a\nb", f"{'x' * 200}/{'y' * 200}"],
)  # fmt: skip
@pytest.mark.parametrize("others", [[], ["a"], ["a", "z/é"]])
def test_paths_are_checked_as_strictly_quickly(path, others):
    files = [{"path": name, "size_bytes": 1} for name in (*others, path, *others)]
    value = json.loads(encode_manifest(SMALL)) | {"files": files}
    data = json.dumps(value).encode()
    assert answer(decode_manifest, data, PATH) == strictly_decoded(data)


BOUNDS = (
    2**63, -(2**64), 10**308, 10**309, -(10**309), -0.0, 0.0, 1e16, 1e21, 1e-4, 9e-5, 1e-7, 3.0,
    float("nan"), float("inf"), True, "", "\ud800", b"x", [], {"b": 1, "a": "<"}, (1,), object,
)  # fmt: skip


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_bound_is_written_quickly_as_it_is_strictly(bound):
    for column in (ColumnStats("a", bound), ColumnStats("a", None, bound)):
        manifest = replace(MANIFEST, files=(*FILES, FileRef("x", 1, stats=FileStats(1, (column,)))))
        assert answer(encode_manifest, manifest) == strictly_encoded(manifest)


def test_what_is_written_is_decoded_the_quick_way():
    assert quick_files(encode_manifest(MANIFEST))[0] == FILES
    unsigned = FileRef("x", 1, stats=FileStats(1, (ColumnStats("u", 2**63, 2**64 - 1),)))
    assert quick_files(encode_manifest(replace(MANIFEST, files=(unsigned,))))[0] == (unsigned,)


BOUND = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(BOUNDS)
)
NUMBER = st.integers(0, 3) | st.sampled_from([-1, 2**63 - 1, 2**63, True, 1.0, None, "1"])
TEXT = st.text(max_size=4) | st.sampled_from(["", "a" * 64, None, 1, b"a", "\ud800", "\\"])
COLUMN_STATS = st.builds(ColumnStats, TEXT, BOUND, BOUND, NUMBER, NUMBER)
STATS = st.builds(FileStats, NUMBER, st.lists(COLUMN_STATS, max_size=2).map(tuple))
FILE_REF = st.builds(
    FileRef,
    st.text("ab/.", min_size=1, max_size=5) | TEXT.filter(lambda text: isinstance(text, str)),
    NUMBER,
    TEXT,
    st.none() | STATS,
    TEXT,
)


@settings(deadline=None, max_examples=300)
@given(st.lists(FILE_REF, max_size=2, unique_by=lambda file: file.path))
def test_the_quick_way_to_encode_writes_what_the_strict_way_writes(files):
    manifest = replace(MANIFEST, files=tuple(files))
    assert answer(encode_manifest, manifest) == strictly_encoded(manifest)


@settings(deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**18), 10**18).map(float)
    | st.tuples(st.integers(1, 10**17), st.integers(-40, 40)).map(lambda t: t[0] * 10.0 ** t[1])
)
def test_a_float_is_spelled_as_the_original_spells_it(value):
    file = FileRef("x", 1, stats=FileStats(1, (ColumnStats("f", value, -value),)))
    manifest = replace(MANIFEST, files=(file,))
    assert encode_manifest(manifest) == dataset_bytes(manifest)


def test_the_files_of_a_parent_are_written_as_they_were():
    data = encode_manifest(MANIFEST)
    for base in (MANIFEST, decode_manifest(data, PATH)):
        new = FileRef(f"{FOLDER}/data-00000b", 9, stats=FileStats(1, COLUMNS[:1]))
        grown = replace(base, files=(*base.files, new))
        assert encode_manifest(grown) == dataset_bytes(grown)
        assert encode_manifest(base) == data


def test_a_bound_that_can_change_is_written_as_it_is_now():
    bound = [1]
    file = FileRef("x", 1, stats=FileStats(1, (ColumnStats("a", bound),)))
    manifest = replace(MANIFEST, files=(file,))
    encode_manifest(manifest)
    bound.append(2)
    files = json.loads(encode_manifest(manifest))["files"]
    assert files[0]["stats"]["columns"][0]["min"] == [1, 2]


def test_the_text_of_a_file_is_no_part_of_its_value():
    (file,) = SMALL.files
    other = pickle.loads(pickle.dumps(file))
    assert file.entry
    assert file == other == copy.deepcopy(file)
    assert hash(file) == hash(other)
    assert repr(file) == repr(other)
