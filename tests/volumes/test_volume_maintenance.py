"""Looking after volumes: verify, repair, collect."""

import pytest

from holdfast.errors import Denied, HoldfastError
from holdfast.records import Checked, Finding, Severity
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from holdfast.volumes.volume import Volume
from runs_support import Commits
from volumes_support import MIB, damage, make_store, new_volume, on_every_store, patterned


def filled(store, **options):
    volume = new_volume(store, **options)
    volume.commit([volume.stage_write_at(0, b"small")])
    volume.commit([volume.stage_write_at(MIB, patterned(MIB + 7))])
    return volume


def findings(volume, *, deep=True):
    return [f for f in volume.verify(deep=deep) if isinstance(f, Finding)]


def codes(volume, *, deep=True):
    return [(f.code, f.path.rpartition("/")[2]) for f in findings(volume, deep=deep)]


LARGE = f"volumes/disk/data/{MIB}-{MIB + 7}.bin"


@on_every_store
@pytest.mark.parametrize("checksum", ["sha256", "md5", "none"])
def test_a_sound_volume_has_no_findings_and_every_byte_was_read(kind, checksum, tmp_path):
    volume = filled(make_store(kind, tmp_path), checksum=checksum)
    checked = list(volume.verify())
    assert all(isinstance(c, Checked) for c in checked)
    assert sum(c.bytes for c in checked) > MIB + 12
    assert codes(volume, deep=False) == []
    assert codes(new_volume(make_store(kind, tmp_path / "empty"))) == []


def test_damaged_bytes_are_found_by_a_deep_check_only():
    store = MemoryStore()
    volume = filled(store)
    damage(store, LARGE, MIB + 3)
    damage(store, "volumes/disk/data/0-5.bin", 0)
    assert codes(volume, deep=False) == []
    found = findings(volume)
    assert [f.code for f in found] == ["integrity", "integrity"]
    assert {f.path for f in found} == {LARGE, "volumes/disk/data/0-5.bin"}
    assert all(f.severity is Severity.ERROR for f in found)


def test_bytes_that_only_the_block_hashes_know_are_checked_too():
    store = MemoryStore()
    volume = filled(store, checksum="none")
    damage(store, LARGE, 3)
    assert codes(volume) == [("integrity", f"{MIB}-{MIB + 7}.bin")]


@pytest.mark.parametrize("deep", [True, False])
def test_missing_and_cut_files_are_found(deep):
    store = MemoryStore()
    volume = filled(store)
    store.delete(LARGE)
    store._files["volumes/disk/data/0-5.bin"] = b"smal"
    assert codes(volume, deep=deep) == [
        ("integrity", "0-5.bin"),
        ("missing", f"{MIB}-{MIB + 7}.bin"),
    ]


def test_a_lost_sidecar_is_written_anew_and_a_damaged_one_is_an_error():
    store = MemoryStore()
    volume = filled(store)
    sidecar = store.get(LARGE + ".blk")
    store.delete(LARGE + ".blk")
    (finding,) = findings(volume, deep=False)
    assert (finding.code, finding.repairable) == ("missing", True)
    assert [f.code for f in volume.repair()] == ["missing"]
    assert store.get(LARGE + ".blk") == sidecar
    assert list(volume.repair()) == []
    damage(store, LARGE + ".blk", 0)
    assert codes(volume) == [("integrity", f"{MIB}-{MIB + 7}.bin.blk")]


def test_a_damaged_manifest_is_found_and_nothing_is_collected_then():
    store = MemoryStore()
    volume = filled(store)
    store.put("volumes/disk/data/900-3.bin", b"abc")
    newest = volume.latest()
    store._files[newest.manifest_path] = b"{}"
    again = Volume("disk", store)
    assert codes(again)[0] == ("manifest_invalid", "manifest.json")
    with pytest.raises(HoldfastError):
        again.collect()
    assert store.exists("volumes/disk/data/900-3.bin")


@on_every_store
def test_a_dead_writer_between_pointer_and_manifest_is_found_and_healed(kind, tmp_path):
    store = make_store(kind, tmp_path)
    volume = filled(store)
    newest = volume.latest().id
    dead = str(int(newest) + 5)
    store.compare_and_swap("volumes/disk/latest", newest.encode(), dead.encode())
    again = Volume("disk", store)
    (finding,) = findings(again)
    assert (finding.code, finding.repairable) == ("stale_pointer", True)
    if store.leases is None:
        return  # only a writer waits for the one that may be slow
    assert [f.code for f in again.repair()] == ["healed"]
    assert codes(again) == []
    assert [s.mark for s in again.history()] == ["healed", "", ""]
    assert again.read_at(0, 5) == b"small"


def test_snapshots_without_a_commit_are_announced():
    store = MemoryStore()
    filled(store)
    sink = Commits()
    volume = Volume("disk", store, sink=sink)
    assert [c for c, _ in codes(volume)] == ["unanchored", "unanchored"]
    assert [f.code for f in volume.repair()] == ["unanchored", "unanchored"]
    assert [r.id for r in sink.records] == [s.id for s in volume.snapshots()]
    assert codes(volume) == []


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_uncommitted_blocks_are_collected_when_nobody_stages(kind, tmp_path):
    store = make_store(kind, tmp_path)
    volume = filled(store)
    stager = new_volume(store)
    block = stager.stage_write_at(5 * MIB, patterned(MIB))
    names = {block.path, block.path + ".blk"}
    assert {e.path for e in volume.orphans()} == names
    assert {f.path for f in findings(volume)} == names
    assert all(f.severity is Severity.INFO for f in findings(volume))
    assert volume.collect().removed == []
    stager.close()
    assert {path for path, _ in volume.collect(dry_run=True).removed} == names
    assert store.exists(block.path)
    report = volume.collect()
    assert {path for path, _ in report.removed} == names
    assert report.bytes == MIB + 32
    assert not store.exists(block.path)
    assert codes(volume) == []
    assert volume.read_at(0, 5) == b"small"


def test_without_leases_nothing_is_collected(tmp_path):
    store = make_store("no leases", tmp_path)
    volume = filled(store)
    block = new_volume(store).stage_write_at(5 * MIB, b"left")
    assert volume.collect().removed == []
    assert [e.path for e in volume.orphans()] == [block.path]


def test_a_volume_opened_for_reading_is_checked_and_not_collected(tmp_path):
    store = FileSystemStore(tmp_path)
    filled(store)
    left = new_volume(store)
    left.stage_write_at(5 * MIB, b"left")
    left.close()
    reading = Volume("disk", FileSystemStore(tmp_path, read_only=True), read_only=True)
    assert codes(reading) == [("litter", f"{5 * MIB}-4.bin")]
    assert len(reading.collect(dry_run=True).removed) == 1
    with pytest.raises(Denied):
        reading.collect()
