"""Volumes that the original wrote read as it reads them (fixtures/lode)."""

import hashlib

import pytest

from holdfast.errors import HoldfastError, Invalid, NotFound, OverlappingBlocks, RangeMissing
from holdfast.store.filesystem import FileSystemStore
from holdfast.volumes.manifest import BlockRef
from holdfast.volumes.volume import Volume
from lode_fixtures import LODE, expected, needs_lode, unwrap

pytestmark = needs_lode
CASES = ["volume_plain", "volume_md5"]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=CASES)
def case(request):
    store = FileSystemStore(LODE / request.param / "store", read_only=True)
    view = expected(request.param)["views"][0]
    config = view["config"]
    volume = Volume(
        config["volume_id"], store, config["total_length"], config.get("checksum"), read_only=True
    )
    return volume, view


def test_snapshots_and_pointer(case):
    volume, view = case
    assert volume.latest().id == view["latest"]["id"]
    assert [s.id for s in volume.snapshots()] == [s["id"] for s in view["snapshots"]]
    assert [s.id for s in volume.history()] == [s["id"] for s in reversed(view["snapshots"])]


def test_manifests_and_blocks(case):
    volume, view = case
    for want in view["snapshots"]:
        snapshot = volume.snapshot(want["id"])
        manifest = unwrap(want["manifest"])
        assert snapshot.total_length == manifest["total_length"]
        assert snapshot.metadata == manifest["metadata"]
        assert (snapshot.parent or "") == manifest.get("parent_snapshot_id", "")
        assert snapshot.created_at == manifest["created_at"]
        assert [(b.offset, b.length, b.path, b.checksum) for b in snapshot.blocks] == [
            (b["offset"], b["length"], b["path"], b.get("checksum", "")) for b in manifest["blocks"]
        ]
        for block, digest in zip(snapshot.blocks, want["blocks"], strict=True):
            assert sha256(snapshot.open_block(block).read_all()) == digest["sha256"]


def test_gaps_and_runs(case):
    volume, view = case
    for want in view["snapshots"]:
        snapshot = volume.snapshot(want["id"])
        drawn = snapshot.map()
        assert [g._asdict() for g in snapshot.missing_ranges()] == [
            {"offset": g["offset"], "length": g["length"]} for g in want["gaps"]
        ]
        assert list(drawn.gaps) == snapshot.missing_ranges()
        assert drawn.complete == want["complete"]
        assert [(r.offset, r.length) for r in drawn.runs] == [
            (r["offset"], r["length"]) for r in want["runs"]
        ]
        for run in want["runs"]:
            assert sha256(snapshot.read_at(run["offset"], run["length"])) == run["sha256"]


def test_probes(case):
    volume, view = case
    for want in view["snapshots"]:
        snapshot = volume.snapshot(want["id"])
        for probe in want["probes"]:
            where = probe["offset"], probe["length"]
            if "error" not in probe:
                data = snapshot.read_at(*where)
                assert sha256(data) == probe["sha256"]
                assert data.hex() == probe.get("hex", data.hex())
                continue
            kind = RangeMissing if "ErrRangeMissing" in probe["error"]["is"] else Invalid
            with pytest.raises(kind):
                snapshot.read_at(*where)


@pytest.mark.parametrize("name", CASES)
def test_the_calls_that_made_the_store_make_the_same_one(name, tmp_path):
    """Every call of the original, with the bytes it wrote, and each refusal that it met."""
    source = FileSystemStore(LODE / name / "store", read_only=True)
    config = expected(name)["views"][0]["config"]
    store = FileSystemStore(tmp_path)
    volume = Volume("disk", store, config["total_length"], config.get("checksum", "none"))
    staged = {}
    for call in expected(name)["calls"]:
        if call["api"] == "StageWriteAt":
            block = volume.stage_write_at(call["offset"], source.get(call["block"]["path"]))
            staged[block.path] = block
            assert block.path == call["block"]["path"]
            assert block.checksum == call["block"].get("checksum", "")
        elif call["api"] == "Commit" and "error" not in call:
            snapshot = volume.commit(
                [staged[b["path"]] for b in call["blocks"]], unwrap(call["metadata"])
            )
            want = source.get(f"volumes/disk/snapshots/{call['snapshot_id']}/manifest.json")
            ours = store.get(snapshot.manifest_path)
            # Up to ids, times and the extra fields at the end they are the same bytes.
            start, end = b'"metadata"', b"\n  ]"
            assert (
                ours[ours.index(start) : ours.index(end)]
                == want[want.index(start) : want.index(end)]
            )
    assert volume.map() == Volume("disk", source, read_only=True).map()
    block = staged["volumes/disk/data/0-4096.bin"]
    uncommitted = staged["volumes/disk/data/500000-1000.bin"]
    total = config["total_length"]
    refusals = {
        "StageWriteAt(-1)": lambda: volume.stage_write_at(-1, b"x"),
        "StageWriteAt(empty)": lambda: volume.stage_write_at(0, b""),
        "StageWriteAt(past the end)": lambda: volume.stage_write_at(total, b"x"),
        "StageWriteAt(same offset and length again)": lambda: volume.stage_write_at(0, bytes(4096)),
        "Commit(no blocks)": lambda: volume.commit([]),
        "Commit(only committed blocks)": lambda: volume.commit([block]),
        "Commit(a committed block again plus a new one)": lambda: volume.commit(
            [block, uncommitted]
        ),
        "Commit(overlap)": lambda: volume.commit([volume.stage_write_at(4000, bytes(200))]),
        "Commit(foreign path)": lambda: volume.commit([BlockRef(300000, 5, "elsewhere")]),
        "Commit(negative offset)": lambda: volume.commit(
            [BlockRef(-1, 5, "volumes/disk/data/-1-5.bin")]
        ),
        "Commit(zero length)": lambda: volume.commit([BlockRef(5, 0, "volumes/disk/data/5-0.bin")]),
        "Commit(past the end)": lambda: volume.commit(
            [BlockRef(total, 1, f"volumes/disk/data/{total}-1.bin")]
        ),
        "Snapshot(unknown)": lambda: volume.snapshot("unknown"),
        "Latest with another total length": lambda: Volume("disk", store, 2 * total).latest(),
        "Snapshots with another total length": lambda: list(
            Volume("disk", store, 2 * total).snapshots()
        ),
        "NewVolume(empty id)": lambda: Volume("", store, total),
        "NewVolume(length 0)": lambda: Volume("disk", store, 0),
    }
    kinds = {"ErrOverlappingBlocks": OverlappingBlocks, "ErrNotFound": NotFound}
    for call in expected(name)["calls"]:
        if "error" not in call or call["api"] == "NewVolume(nil factory)":
            continue
        is_ = call["error"]["is"]
        with pytest.raises(kinds.get(is_[0] if is_ else "", HoldfastError)):
            refusals[call["api"]]()
