"""The concurrency matrix of docs/spec/contracts/write.md: what meets what."""

from __future__ import annotations

import tracemalloc

import pytest

from holdfast import (
    AlreadyExists,
    Dataset,
    Denied,
    FileSystemStore,
    Invalid,
    MemoryStore,
    NotFound,
    SnapshotConflict,
    init,
)

OTHERS, OURS, FIRST = [{"who": "other"}], [{"who": "us"}], [{"who": "first"}]


@pytest.fixture
def store():
    return MemoryStore()


def handles(store, **options):
    return Dataset("d", store, codec="jsonl", **options), Dataset("d", store, codec="jsonl")


def test_a_write_that_began_before_anothers_commit_holds_its_own_rows_only(store):
    ours, other = handles(store)
    ours.write(FIRST)
    began = ours.transaction()
    began.stage(OURS)
    theirs = other.append(OTHERS)
    snapshot = began.commit()
    assert ours.read() == OURS
    assert snapshot.parent == theirs.id
    assert theirs.read() == FIRST + OTHERS


def test_of_two_appends_none_loses_its_rows(store):
    ours, other = handles(store)
    ours.write(FIRST)
    began = ours.transaction(append=True)
    began.stage(OURS)
    other.append(OTHERS)
    began.commit()
    assert sorted(r["who"] for r in ours.read()) == ["first", "other", "us"]


def test_an_append_that_meets_a_write_holds_what_that_wrote(store):
    ours, other = handles(store)
    ours.write(FIRST)
    began = ours.transaction(append=True)
    began.stage(OURS)
    other.write(OTHERS)
    assert sorted(r["who"] for r in began.commit().read()) == ["other", "us"]


def test_an_append_that_meets_a_write_in_another_form_is_refused(store):
    ours, _ = handles(store)
    ours.write(FIRST)
    began = ours.transaction(append=True)
    began.stage(OURS)
    theirs = Dataset("d", store, codec="jsonl", compressor="gzip").write(OTHERS)
    with pytest.raises(Invalid, match="gzip"):
        began.commit()
    assert ours.latest().id == theirs.id


@pytest.mark.parametrize("how", [{"on_conflict": "raise"}, {"parent": None}])
def test_who_asks_for_a_conflict_gets_one_and_nothing_is_visible(store, how):
    ours, other = handles(store)
    first = ours.write(FIRST)
    how = {"parent": first.id} if "parent" in how else how
    began = ours.transaction(**how)
    began.stage(OURS)
    theirs = other.append(OTHERS)
    with pytest.raises(SnapshotConflict):
        began.commit()
    assert [s.id for s in ours.snapshots()] == [first.id, theirs.id]


def test_healing_and_collection_are_no_conflict(store):
    ours, other = handles(store)
    first = ours.write(FIRST)
    began = ours.transaction(parent=first.id)
    began.stage(OURS)
    dead = str(int(first.id) + 1)
    store.compare_and_swap("datasets/d/latest", first.id.encode(), dead.encode())
    list(other.repair())
    store.put(f"datasets/d/snapshots/{int(dead) + 1}/data/data", b"of a dead writer")
    assert other.collect().removed
    assert [s.manifest.mark for s in ours.history()] == ["gc", "healed", ""]
    assert began.commit().read() == OURS


def test_the_first_write_decides_on_the_layout(store):
    ours = Dataset("d", store, partition_by="who", codec="jsonl")
    began = ours.transaction()
    began.stage(OURS)
    Dataset("d", store, codec="jsonl").write(OTHERS)
    with pytest.raises(Invalid, match="layout"):
        began.commit()
    assert Dataset("d", store).read() == OTHERS


def test_a_commit_that_began_before_a_collection_is_whole_after_it(store):
    ours, other = handles(store)
    ours.write(FIRST)
    began = ours.transaction(append=True)
    began.stage(OURS)
    store.put(f"datasets/d/snapshots/{int(ours.latest().id) + 1}/data/data", b"of a dead writer")
    assert len(other.collect().removed) == 1
    began.commit()
    assert sorted(r["who"] for r in ours.read()) == ["first", "us"]


def test_a_commit_that_began_before_an_erasure_is_newer_than_it(tmp_path):
    import pyarrow.compute as pc

    with init(tmp_path / "r") as repo:
        ours = repo.dataset("d", codec="jsonl")
        ours.write(FIRST)
        began = ours.transaction(append=True)
        began.stage(FIRST)
        assert repo.dataset("d").erase_rows(pc.field("who") == "first", reason="law").rows == 1
        assert began.commit().read() == FIRST


def test_a_latest_snapshot_that_another_write_made_old_may_expire_and_a_tagged_one_not(tmp_path):
    with init(tmp_path / "r") as repo:
        ours, other = repo.dataset("d", codec="jsonl"), repo.dataset("d")
        first = ours.write(FIRST)
        with pytest.raises(Denied):
            other.expire(first)
        second = ours.write(OURS)
        ours.write(OURS)
        ours.tag("kept", second)
        with pytest.raises(Denied):
            other.expire(second)
        with pytest.raises(AlreadyExists):
            other.tag("kept", first)
        assert other.expire(first) == [first.id]
        repo.gc()
        with pytest.raises(NotFound):
            first.read()


def test_a_reader_stays_with_its_snapshot_whatever_is_written(store):
    ours, other = handles(store)
    seen = ours.write(FIRST)
    rows = seen.read_rows()
    other.write(OTHERS)
    assert list(rows) == [FIRST]
    assert seen.read() == FIRST
    assert ours.read() == OTHERS


def test_streams_of_the_wrong_kind_are_refused(store):
    hive = Dataset("h", store, partition_by="k", codec="jsonl")
    with pytest.raises(Invalid, match="hive"), hive.stream_write_records() as out:
        out.write([{"k": 1}])
    raw = Dataset("raw", store, codec="raw")
    with pytest.raises(Invalid, match="raw"), raw.stream_write_records() as out:
        out.write([{"k": 1}])
    with pytest.raises(Invalid, match="jsonl"):
        Dataset("rows", store, codec="jsonl").stream_write()
    assert not list(store.list("datasets"))


@pytest.mark.parametrize("kind", ["bytes", "records"])
def test_a_stream_takes_the_same_memory_however_long_it_is(kind, tmp_path):
    store = FileSystemStore(str(tmp_path))
    piece = bytes(1 << 20) if kind == "bytes" else [{"t": "x" * 1000} for _ in range(1000)]
    ds = Dataset(kind, store, codec="raw" if kind == "bytes" else "jsonl")
    stream = ds.stream_write() if kind == "bytes" else ds.stream_write_records()
    peaks = []
    for count in (4, 60):
        tracemalloc.start()
        for _ in range(count):
            stream.write(piece)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert stream.commit().files[0].size_bytes > 60_000_000
    assert peaks[1] < 24 << 20
