"""Volume manifests: round trips, the order of blocks, and hostile ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import Invalid, ManifestInvalid, Unsupported
from holdfast.snapshotting.lineage import Lineage
from holdfast.volumes import manifest as manifest_module
from holdfast.volumes.manifest import (
    BlockRef,
    VolumeManifest,
    block_path,
    decode_volume_manifest,
    encode_volume_manifest,
    volume_manifest_path,
    volume_pointer,
    volume_snapshots_folder,
)
from independent_manifest import volume_bytes

PATH = "volumes/v/snapshots/100/manifest.json"
FULL = VolumeManifest(
    volume_id="v",
    snapshot_id="100",
    created_at="2025-01-02T03:04:05Z",
    metadata={"step": 1},
    total_length=1000,
    blocks=(
        BlockRef(0, 10, "volumes/v/data/0-10.bin", "aa", "bb"),
        BlockRef(10, 90, "volumes/v/data/10-90.bin"),
        BlockRef(999, 1, 'else/"where"', "cc"),
    ),
    parent_snapshot_id="99",
    checksum_algorithm="sha256",
    lineage=Lineage(author="ada", nonce="n"),
    mark="gc",
)
FULL_BYTES = b"""{
  "schema_name": "lode-volume-manifest",
  "format_version": "1.0.0",
  "volume_id": "v",
  "snapshot_id": "100",
  "created_at": "2025-01-02T03:04:05Z",
  "metadata": {
    "step": 1
  },
  "total_length": 1000,
  "blocks": [
    {
      "offset": 0,
      "length": 10,
      "path": "volumes/v/data/0-10.bin",
      "checksum": "aa",
      "blocks_sha256": "bb"
    },
    {
      "offset": 10,
      "length": 90,
      "path": "volumes/v/data/10-90.bin"
    },
    {
      "offset": 999,
      "length": 1,
      "path": "else/\\"where\\"",
      "checksum": "cc"
    }
  ],
  "parent_snapshot_id": "99",
  "checksum_algorithm": "sha256",
  "holdfast": {
    "author": "ada",
    "nonce": "n"
  },
  "holdfast_mark": "gc"
}"""
EMPTY = VolumeManifest("v", "100", "2025-01-02T03:04:05Z", {}, 1000, ())


def test_a_manifest_has_these_bytes_and_reads_back():
    assert encode_volume_manifest(FULL) == FULL_BYTES
    assert decode_volume_manifest(FULL_BYTES, PATH) == FULL


def test_a_volume_without_blocks_reads_back():
    data = encode_volume_manifest(EMPTY)
    assert b'"blocks": [],' not in data
    assert b'"blocks": []' in data
    assert decode_volume_manifest(data, PATH) == EMPTY


def test_blocks_are_written_in_the_order_of_their_offsets():
    assert encode_volume_manifest(replace(FULL, blocks=FULL.blocks[::-1])) == FULL_BYTES


def test_paths_are_those_of_the_format():
    assert volume_pointer("v") == "volumes/v/latest"
    assert volume_manifest_path("v", "100") == PATH
    assert PATH.startswith(volume_snapshots_folder("v") + "/")
    assert block_path("v", 8192, 100) == "volumes/v/data/8192-100.bin"
    assert BlockRef(5, 3, "p").end == 8


def changed(**fields):
    value = json.loads(encode_volume_manifest(EMPTY)) | fields
    return json.dumps({k: v for k, v in value.items() if v is not ...}).encode()


def blocks(*triples):
    return changed(blocks=[{"offset": o, "length": n, "path": p} for o, n, p in triples])


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (changed(volume_id=""), "volume_id"),
        (changed(snapshot_id="a/b"), "snapshot_id"),
        (changed(created_at="0001-01-01T00:00:00Z"), "created_at"),
        (changed(metadata=None), "metadata"),
        (changed(total_length=-1), "total_length"),
        (changed(total_length=1.0), "total_length"),
        (changed(blocks=...), "blocks"),
        (changed(blocks=None), "blocks"),
        (changed(blocks={}), "blocks"),
        (changed(blocks=[1]), "blocks[0]"),
        (changed(blocks=[{}]), "blocks[0].path"),
        (changed(blocks=[{"path": "x", "length": 1, "offset": "0"}]), "blocks[0].offset"),
        (changed(blocks=[{"path": "x", "length": True, "offset": 0}]), "blocks[0].length"),
        (changed(blocks=[{"path": "x", "length": 1, "checksum": 3}]), "blocks[0].checksum"),
        (blocks((-1, 5, "x")), "blocks[0].offset"),
        (blocks((0, 0, "x")), "blocks[0].length"),
        (blocks((0, -5, "x")), "blocks[0].length"),
        (blocks((0, 1001, "x")), "blocks[0]"),
        (blocks((1000, 1, "x")), "blocks[0]"),
        (blocks((2**63 - 1, 2**63 - 1, "x")), "blocks[0]"),
        (blocks((2**70, 1, "x")), "blocks[0]"),
        (blocks((0, 10, "x"), (9, 1, "y")), "blocks[1].offset"),
        (blocks((0, 10, "x"), (0, 10, "x")), "blocks[1].offset"),
        (blocks((50, 10, "x"), (0, 10, "y")), "blocks[1].offset"),
        (blocks((0, 10, "x"), (10, 10, "../y")), "blocks[1].path"),
        (blocks((0, 10, "/x")), "blocks[0].path"),
        (blocks((0, 10, "")), "blocks[0].path"),
        (blocks((0, 10, "volumes/v/data/../0-10.bin")), "blocks[0].path"),
    ],
)
def test_a_wrong_field_is_named_with_the_manifest(data, field):
    with pytest.raises(ManifestInvalid) as caught:
        decode_volume_manifest(data, PATH)
    assert caught.value.found.startswith(f"field {field}: ")
    assert caught.value.target == PATH


def test_overlap_and_disorder_are_told_apart():
    with pytest.raises(ManifestInvalid, match="overlaps"):
        decode_volume_manifest(blocks((0, 10, "x"), (9, 1, "y")), PATH)
    with pytest.raises(ManifestInvalid, match="not sorted"):
        decode_volume_manifest(blocks((50, 10, "x"), (0, 10, "y")), PATH)


def test_a_volume_name_that_no_path_holds_does_not_loosen_the_check_of_paths():
    data = changed(
        volume_id="../..",
        blocks=[{"offset": 0, "length": 1, "path": "volumes/../../data/0-1.bin"}],
    )
    with pytest.raises(ManifestInvalid, match=r"blocks\[0\]\.path"):
        decode_volume_manifest(data, PATH)


def test_a_null_counts_as_an_absent_field():
    data = changed(
        blocks=[{"offset": None, "length": 1, "path": "x", "checksum": None, "future": []}]
    )
    assert decode_volume_manifest(data, PATH).blocks == (BlockRef(0, 1, "x"),)


@pytest.mark.parametrize(
    "data",
    [
        FULL_BYTES.replace(b'"length": 90,', b'"length": 90,\n      "length": 90,'),
        FULL_BYTES.replace(b'"total_length"', b'"blocks": [],\n  "total_length"'),
        FULL_BYTES + b"\n{}",
        FULL_BYTES[:-1],
    ],
)
def test_duplicate_keys_and_trailing_bytes_are_refused(data):
    with pytest.raises(ManifestInvalid):
        decode_volume_manifest(data, PATH)


@pytest.mark.parametrize(
    "data",
    [changed(schema_name="lode-manifest"), changed(format_version="2"), changed(holdfast_mark="x")],
)
def test_what_a_newer_program_wrote_is_unsupported(data):
    with pytest.raises(Unsupported):
        decode_volume_manifest(data, PATH)


@pytest.mark.parametrize(
    "change",
    [
        {"volume_id": ""},
        {"metadata": {"a": float("inf")}},
        {"total_length": 999},
        {"total_length": -1},
        {"blocks": (BlockRef(0, 10, "x"), BlockRef(5, 10, "y"))},
        {"blocks": (BlockRef(0, 10, "../x"),)},
        {"blocks": (BlockRef("0", 10, "x"),)},
        {"blocks": (BlockRef(0, 10, "x", checksum=5),)},
        {"mark": "unheard of"},
    ],
)
def test_what_would_not_be_read_is_not_written(change):
    with pytest.raises(Invalid):
        encode_volume_manifest(replace(FULL, **change))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@st.composite
def manifests(draw):
    at = 0
    found = []
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 99)), max_size=5)):
        at += gap
        path = draw(
            st.just(block_path("v", at, length)) | st.sampled_from(["a<b", "é/\U0001f600", 'q"q'])
        )
        hexes = st.sampled_from(["", "ab" * 32, "<&>"])
        found.append(BlockRef(at, length, path, draw(hexes), draw(hexes)))
        at += length
    return VolumeManifest(
        volume_id=draw(st.just("v") | TEXT.filter(bool)),
        snapshot_id=draw(st.sampled_from(["1", "1795167759605058128", "é"])),
        created_at="2025-01-02T03:04:05.000000001Z",
        metadata=draw(st.dictionaries(TEXT, TEXT | st.lists(st.integers()), max_size=2)),
        total_length=at + draw(st.integers(0, 5)),
        blocks=tuple(found),
        parent_snapshot_id=draw(st.sampled_from(["", "0"])),
        checksum_algorithm=draw(st.sampled_from(["", "md5"])),
        lineage=draw(st.none() | st.builds(Lineage, TEXT, nonce=TEXT)),
        mark=draw(st.sampled_from(["", "healed", "gc"])),
    )


@settings(deadline=None)
@given(manifests())
def test_what_is_written_reads_back(manifest):
    data = encode_volume_manifest(manifest)
    assert decode_volume_manifest(data, PATH) == manifest


@settings(deadline=None)
@given(manifests())
def test_every_byte_follows_the_rules(manifest):
    assert encode_volume_manifest(manifest) == volume_bytes(manifest)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(FULL_BYTES)),
            st.integers(0, 12),
            st.sampled_from([b"", b"null", b"-1", b"[", b"{}", b'"', b"\xff", b"../", b"9" * 30]),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_mutated_manifest_reads_or_ends_in_a_typed_error(mutations):
    data = FULL_BYTES
    for at, length, new in mutations:
        data = data[:at] + new + data[at + length :]
    try:
        manifest = decode_volume_manifest(data, PATH)
    except (ManifestInvalid, Unsupported) as refused:
        if refused.target != PATH:
            raise
    else:
        assert decode_volume_manifest(encode_volume_manifest(manifest), PATH) == manifest


def outcome(data, monkeypatch, quick_from):
    monkeypatch.setattr(manifest_module, "_QUICK_FROM", quick_from)
    try:
        return decode_volume_manifest(data, PATH)
    except (ManifestInvalid, Unsupported) as refused:
        return type(refused)


BLOCK = b"""    {
      "offset": 10,
      "length": 90,
      "path": "volumes/v/data/10-90.bin"
    }"""
WORDS = [
    b"", b"null", b"-1", b"1.0", b'"', b"\\", b"\xff", b'"length": 90, ', b'"offset": 10,',
    b'"x": [], ', b'"path": "x", ', b'"checksum": "", ', b'"checksum": "a", "checksum": "a", ',
    b"[", b"]", BLOCK + b",", b'"blocks": [], ', b'"blocks": [' + BLOCK + b"], ",
    b'"other": [' + BLOCK + b"], ", b'"other": {"blocks": []}, ',
]  # fmt: skip
SMALL_BYTES = encode_volume_manifest(replace(FULL, blocks=FULL.blocks[1:2]))


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([FULL_BYTES.replace(b'\\"', b"'"), SMALL_BYTES]),
    st.lists(
        st.tuples(
            st.sampled_from([b"{", b"[", b",", b"\n", b'"', b" ", b"}", b"]"]),
            st.integers(0, 30),
            st.sampled_from(WORDS),
        ),
        max_size=3,
    ),
)
def test_the_quick_way_through_large_manifests_finds_what_the_strict_way_finds(data, mutations):
    for mark, number, new in mutations:
        places = [i for i in range(len(data)) if data[i : i + 1] == mark]
        if places:
            at = places[number % len(places)] + 1
            data = data[:at] + new + data[at:]
    with pytest.MonkeyPatch.context() as patch:
        assert outcome(data, patch, 0) == outcome(data, patch, len(data) + 1)


@pytest.mark.parametrize(
    "change",
    [
        (b'"offset": 100,', b'"offset": 100, "offset": 100,'),
        (b'"offset": 100,', b'"offset": 100, "\\u006fffset": 100,'),
        (b'"blocks": [', b'"blocks": [], "blocks": ['),
        (b'"length": 100,', b'"length": 101,'),
        (b"/data/", b"/../data/"),
    ],
)
def test_a_large_manifest_is_read_as_strictly_as_a_small_one(change):
    data = encode_volume_manifest(many(2000))
    assert len(data) > 1 << 17
    with pytest.raises(ManifestInvalid):
        decode_volume_manifest(data.replace(*change, 1), PATH)


def test_a_large_manifest_may_have_fields_of_other_programs():
    manifest = many(2000)
    data = encode_volume_manifest(manifest)
    more = data.replace(b'"offset": 100,', b'"offset": 100, "future": [1],', 1)
    assert decode_volume_manifest(more, PATH) == manifest
    blocks = data[data.index(b"[") : data.index(b"]") + 1]
    twice = data.replace(b'"total_length"', b'"before": ' + blocks + b', "total_length"')
    assert decode_volume_manifest(twice, PATH) == manifest


def many(count):
    return replace(
        EMPTY,
        total_length=count * 100,
        blocks=tuple(BlockRef(i * 100, 100, block_path("v", i * 100, 100)) for i in range(count)),
    )


def test_a_hundred_thousand_blocks_read_back():
    manifest = many(100_000)
    assert decode_volume_manifest(encode_volume_manifest(manifest), PATH) == manifest
