"""Verify, repair and the services of a repository, for datasets."""

from __future__ import annotations

import threading

import pytest

import holdfast
from care_support import STORES, SetClock, dataset, store_of, write_days
from holdfast.datasets.dataset import Dataset
from holdfast.errors import Denied, Invalid, NotFound, Unsupported
from holdfast.ledger.ledger import Ledger
from holdfast.opening import init
from holdfast.opening import open as open_repository
from holdfast.records import Checked, Finding, Severity
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return store_of(request.param, tmp_path)


@pytest.fixture(params=[True, False], ids=["ledger", "alone"])
def ledger(request):
    return request.param


@pytest.fixture(params=["memory", "files"])
def repository(request, tmp_path):
    with init(store_of(request.param, tmp_path), author="tester", clock=SetClock()) as found:
        yield found


def findings(ds, *, deep=True):
    return [f for f in ds.verify(deep=deep) if isinstance(f, Finding)]


def said(found):
    return {(f.severity, f.code, f.path, f.repairable) for f in found}


def complaints(found):
    return [f for f in found if f.severity is not Severity.INFO]


def replace(store, path, change):
    data = change(store.get(path))
    store.delete(path)
    store.put(path, data)


def mended(ds):
    return sorted(f.code for f in ds.repair())


# One dataset


@pytest.mark.parametrize("options", [{}, {"layout": "flat"}, {"partition_by": "n"}], ids=str)
def test_a_sound_dataset_has_nothing_to_complain_of(store, ledger, options):
    ds, clock = dataset(store, ledger=ledger, codec="jsonl", **options)
    write_days(ds, clock, 3)
    ds.append([{"n": 9}])
    ds.tag("t")
    for deep in (True, False):
        assert findings(ds, deep=deep) == []
    assert list(ds.repair()) == []


def test_a_file_of_several_snapshots_is_read_once(store):
    ds, _ = dataset(store, codec="jsonl")
    ds.write([{"n": 1}])
    for _ in range(4):
        ds.append([{"n": 2}])
    size = sum(f.size_bytes for f in ds.latest().files)
    manifests = sum(store.size(s.manifest_path) for s in ds.snapshots())
    assert sum(c.bytes for c in ds.verify() if isinstance(c, Checked)) == size + manifests


@pytest.mark.parametrize("deep", [True, False])
def test_every_damage_of_a_file_is_found(store, ledger, deep):
    ds, _ = dataset(store, ledger=ledger)
    one, two, three = ds.write(b"one"), ds.write(b"two"), ds.write(b"three")
    store.delete(one.files[0].path)
    replace(store, two.files[0].path, lambda d: d + b"x")
    replace(store, three.files[0].path, lambda d: b"x" + d[1:])
    expected = {
        (Severity.ERROR, "missing", one.files[0].path, False),
        (Severity.ERROR, "integrity", two.files[0].path, False),
    }
    if deep:
        expected.add((Severity.ERROR, "integrity", three.files[0].path, False))
    assert said(findings(ds, deep=deep)) == expected


def test_a_changed_manifest_is_found(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    one, two = write_days(ds, clock, 2)
    replace(
        store, one.manifest_path, lambda d: d.replace(b'"metadata": {}', b'"metadata": {"a": 1}')
    )
    replace(store, two.manifest_path, lambda d: d[:-1])
    found = said(complaints(findings(ds)))
    assert (Severity.ERROR, "manifest_invalid", two.manifest_path, False) in found
    changed = (Severity.ERROR, "digest_mismatch", one.manifest_path, False)
    assert (changed in found) is ledger


def test_lost_block_hashes_are_written_anew_and_wrong_ones_are_named(store, ledger):
    ds, _ = dataset(store, ledger=ledger)
    one = ds.write(bytes(3 << 20))
    path = f"{one.files[0].path}.blk"
    before = store.get(path)
    store.delete(path)
    assert said(findings(ds)) == {(Severity.WARNING, "missing", path, True)}
    assert mended(ds) == ["missing"]
    assert store.get(path) == before
    assert findings(ds) == []
    replace(store, path, lambda d: b"x" + d[1:])
    assert said(findings(ds)) == {(Severity.ERROR, "digest_mismatch", path, False)}


def test_missing_copies_are_added_and_other_ones_are_named(store, ledger):
    ds, _ = dataset(store, ledger=ledger, partition_by="n", codec="jsonl")
    one = ds.write([{"n": 1}, {"n": 2}])
    paths = [f"datasets/d/partitions/n={n}/segments/{one.id}/manifest.json" for n in (1, 2)]
    store.delete(paths[0])
    assert said(findings(ds)) == {(Severity.WARNING, "missing_copy", paths[0], True)}
    assert mended(ds) == ["missing_copy"]
    assert findings(ds) == []
    replace(store, paths[1], lambda d: d + b" ")
    assert said(findings(ds)) == {(Severity.ERROR, "digest_mismatch", paths[1], False)}


def test_a_pointer_of_a_dead_writer_is_healed(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    (one,) = write_days(ds, clock, 1)
    pointer = ds.chain.places.pointer
    dead = str(int(one.id) + 5)
    store.compare_and_swap(pointer, one.id.encode(), dead.encode())
    assert said(findings(ds)) == {(Severity.WARNING, "dead_pointer", pointer, True)}
    assert "healed" in mended(ds)
    assert findings(ds) == []
    assert ds.latest() == one
    assert [s.id for s in ds.history()] == [dead, one.id]


def test_a_pointer_that_is_old_or_gone_is_set_again(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    one, two = write_days(ds, clock, 2)
    pointer = ds.chain.places.pointer
    store.delete(pointer)
    assert said(findings(ds)) == {(Severity.WARNING, "stale_pointer", pointer, True)}
    assert mended(ds) == ["stale_pointer"]
    assert store.get(pointer).decode() == two.id
    assert findings(ds) == []
    if ledger:
        store.compare_and_swap(pointer, two.id.encode(), one.id.encode())
        assert said(findings(ds)) == {(Severity.WARNING, "stale_pointer", pointer, True)}
        assert mended(ds) == ["stale_pointer"]
        assert findings(ds) == []


def test_snapshots_and_tags_that_the_ledger_does_not_know_are_anchored(store):
    alone, clock = dataset(store, ledger=False)
    one, two = write_days(alone, clock, 2)
    alone.tag("t")
    ds, _ = dataset(store)
    assert said(findings(ds)) == {
        (Severity.WARNING, "unanchored", path, True)
        for path in (one.manifest_path, two.manifest_path, "datasets/d/tags/t.tag")
    }
    assert mended(ds) == ["unanchored"] * 3
    assert findings(ds) == []
    assert [r.id for _, r in ds.chain.sink.commits(name="d")] == [two.id, one.id]


def test_files_of_dead_writers_are_litter_and_files_of_others_are_unexpected(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    write_days(ds, clock, 1)
    store.put("datasets/d/snapshots/9/data/data", b"x")
    store.put("datasets/d/README", b"x")
    assert said(findings(ds)) == {
        (Severity.INFO, "litter", "datasets/d/snapshots/9/data/data", False),
        (Severity.INFO, "unexpected_file", "datasets/d/README", False),
    }
    if store.leases is not None:
        assert mended(ds) == ["litter"]
        assert not store.exists("datasets/d/snapshots/9/data/data")
    assert store.exists("datasets/d/README")


def test_a_tag_of_a_snapshot_that_is_gone_or_changed_is_found(store):
    ds, clock = dataset(store, ledger=False)
    one, two = write_days(ds, clock, 2)
    ds.tag("one", one)
    ds.tag("two", two)
    store.delete(one.manifest_path)
    replace(
        store, two.manifest_path, lambda d: d.replace(b'"metadata": {}', b'"metadata": {"a": 1}')
    )
    found = said(complaints(findings(ds)))
    assert (Severity.ERROR, "missing", "datasets/d/tags/one.tag", False) in found
    assert (Severity.ERROR, "digest_mismatch", "datasets/d/tags/two.tag", False) in found


def test_a_history_that_forked_is_found(store):
    ds, clock = dataset(store, ledger=False)
    one, two = write_days(ds, clock, 2)
    three = ds.write([{"n": 3}])
    replace(
        store,
        three.manifest_path,
        lambda d: d.replace(two.id.encode() + b'",\n  "row', one.id.encode() + b'",\n  "row'),
    )
    assert said(complaints(findings(ds))) == {
        (Severity.WARNING, "forked_history", three.manifest_path, False)
    }


def test_reading_only_repairs_nothing(store):
    ds, clock = dataset(store, ledger=False)
    write_days(ds, clock, 1)
    reader, _ = dataset(store, ledger=False, read_only=True)
    assert findings(reader) == []
    with pytest.raises(Denied):
        reader.repair()


def test_memory_of_a_check_is_that_of_the_ids():
    import tracemalloc

    ds, _ = dataset(MemoryStore(), ledger=False, codec="jsonl")
    wide = {f"c{n}": n for n in range(200)}
    for _ in range(60):
        ds.write([wide])
    tracemalloc.start()
    assert findings(ds) == []
    assert tracemalloc.get_traced_memory()[1] < 2_500_000
    tracemalloc.stop()


# In a repository


def test_a_repository_opens_datasets_and_knows_their_names(repository):
    assert repository.datasets() == []
    ds = repository.dataset("trips", codec="jsonl")
    assert repository.datasets() == []
    one = ds.write([{"n": 1}])
    repository.dataset("hive", partition_by="n").write([{"n": 1}])
    assert repository.datasets() == ["hive", "trips"]
    assert repository.dataset("trips").latest() == one
    assert one.manifest.checksum_algorithm == "sha256"
    assert one.manifest.lineage.author == "tester"
    assert repository.ledger.last_commit("dataset", "trips")[1] == one.id
    repository.volume("space", 100).transaction()
    assert repository.volumes() == []


@pytest.mark.parametrize("name", ["", ".x", "a/b", "ä", "x" * 129, "a b", "..", "a\n"])
def test_a_repository_refuses_names_that_are_none(repository, name):
    with pytest.raises(Invalid):
        repository.dataset(name)
    with pytest.raises(Invalid):
        repository.volume(name, 10)


def test_a_repository_refuses_what_is_for_bare_stores(repository):
    with pytest.raises(Unsupported, match="flat"):
        repository.dataset("d", layout="flat")
    with pytest.raises(Invalid, match="sha256"):
        repository.dataset("d", checksum="md5")
    with pytest.raises(Invalid, match="which the repository gives"):
        repository.dataset("d", author="me")
    repository.dataset("d", checksum="sha256").write(b"x")


def test_a_repository_opened_for_reading_writes_no_dataset(tmp_path):
    with init(tmp_path / "r") as repository:
        repository.dataset("d").write(b"x")
    with open_repository(tmp_path / "r", read_only=True) as repository:
        ds = repository.dataset("d")
        assert ds.read() == b"x"
        assert repository.verify().findings == []
        with pytest.raises(Denied):
            ds.write(b"y")


def test_verify_fsck_and_status_take_every_dataset_in(repository):
    ds = repository.dataset("d", codec="jsonl")
    one = ds.write([{"n": 1}])
    files = repository.verify().files
    ds.write([{"n": 2}])
    assert repository.verify().ok
    assert repository.verify().files > files + 2
    assert repository.status().to_json()["datasets"] == 1
    assert repository.status().to_json()["volumes"] == 0
    repository.store.delete("datasets/d/latest")
    report = repository.fsck()
    assert [f.code for f in report.left] == ["stale_pointer"]
    assert repository.fsck(repair=True).ok
    assert repository.fsck().ok
    repository.store.delete(one.files[0].path)
    assert [f.path for f in repository.verify().errors] == [one.files[0].path]


def test_a_file_that_no_dataset_owns_is_named(repository):
    repository.store.put("datasets/x", b"")
    repository.store.put("datasets/a b/snapshots/1/data/data", b"")
    repository.dataset("d").write(b"x")
    found = {f.path for f in repository.verify().findings if f.code == "unexpected_file"}
    assert found == {"datasets/x", "datasets/a b/snapshots/1/data/data"}


def test_gc_collects_expired_snapshots_and_verify_stays_clean(repository):
    ds = repository.dataset("d", codec="jsonl")
    one, _, three = (ds.write([{"n": n}]) for n in range(3))
    ds.apply_retention(keep_last=1)
    ds.tag("t")
    dry = repository.gc(dry_run=True)
    assert one.files[0].path in [p for p, _ in dry.removed]
    report = repository.gc()
    assert sorted(report.removed) == sorted(dry.removed)
    assert not report.failed
    assert repository.verify().findings == []
    assert repository.fsck().ok
    assert ds.latest() == three
    with pytest.raises(NotFound, match="expired"):
        ds.at(one.id)
    assert repository.gc().removed == []


def test_an_erasure_leaves_a_repository_sound(repository):
    ds = repository.dataset("d", codec="jsonl")
    one = ds.write([{"n": 1}, {"n": 2}])
    ds.append([{"n": 3}])
    ds.erase_rows(lambda row: row["n"] == 1, "law")
    found = repository.verify().findings
    assert [(f.severity, f.code) for f in found] == [(Severity.INFO, "erased")]
    assert repository.fsck().ok
    assert not repository.store.exists(one.manifest_path)
    again = holdfast.open(repository.store)
    assert sorted(row["n"] for row in again.dataset("d").read()) == [2, 3]


def test_one_damaged_dataset_is_in_nobodys_way(repository):
    broken, sound = repository.dataset("a"), repository.dataset("b")
    one = broken.write(b"x")
    replace(repository.store, one.manifest_path, lambda d: b"{}")
    sound.write(b"y")
    repository.store.put("datasets/b/snapshots/9/data/blob", b"left")
    report = repository.gc()
    assert [p for p, _ in report.removed] == ["datasets/b/snapshots/9/data/blob"]
    assert [p for p, _ in report.failed] == ["datasets/a"]
    assert not repository.verify().ok
    assert not repository.fsck(repair=True).ok


def test_status_reads_no_contents(tmp_path):
    class Watched(MemoryStore):
        def __init__(self):
            super().__init__()
            self.read = []

        def get(self, path):
            self.read.append(path)
            return super().get(path)

        def read_range(self, path, offset, length):
            self.read.append(path)
            return super().read_range(path, offset, length)

    store = Watched()
    with init(store) as repository:
        repository.dataset("d").write(b"x")
        store.read.clear()
        assert repository.status().datasets == 1
        assert [p for p in store.read if p.startswith("datasets")] == []


def test_a_dataset_of_another_process_is_cared_for_on_a_bare_store(tmp_path):
    store = FileSystemStore(tmp_path)
    Dataset("d", store, codec="jsonl").write([{"n": 1}])
    ds = Dataset("d", FileSystemStore(tmp_path))
    assert findings(ds) == []
    assert ds.collect().removed == []


@pytest.mark.parametrize("kind", ["files", "no leases"])
def test_writers_retention_collections_and_erasures_at_once_lose_nothing(kind, tmp_path):
    store = store_of(kind, tmp_path)

    def fresh():
        sink = Ledger(store)
        return Dataset("d", store, codec="jsonl", sink=sink, author="tester", dead_after=60.0)

    fresh().write([{"k": "start"}])
    written: list[str] = []
    failed: list[BaseException] = []
    writing = threading.Event()

    def write(name):
        ds = fresh()
        for n in range(12):
            ds.append([{"k": f"{name}-{n}"}, {"k": "secret"}][: 1 + (n % 4 == 0)])
            written.append(f"{name}-{n}")

    def collect():
        ds = fresh()
        while not writing.is_set():
            ds.apply_retention(keep_last=4)
            ds.collect()

    def erase():
        ds = fresh()
        while not writing.is_set():
            ds.erase_rows(lambda row: row["k"] == "secret", "law")

    def guarded(work, *args):
        try:
            work(*args)
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=guarded, args=(write, name)) for name in "ab"]
    others = [threading.Thread(target=guarded, args=(work,)) for work in (collect, erase)]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    writing.set()
    for thread in others:
        thread.join()
    assert failed == []
    ds = fresh()
    ds.erase_rows(lambda row: row["k"] == "secret", "law")
    assert sorted(row["k"] for row in ds.read()) == sorted(["start", *written])
    assert len(written) == 24
    assert all(s.read() is not None for s in ds.snapshots())
    assert complaints(findings(ds)) == []
    assert not [e for e in store.list("datasets") if b"secret" in store.get(e.path)]
