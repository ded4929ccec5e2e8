"""Rows that are erased by law are nowhere any more; everything else is still there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from care_support import DAY, START, STORES, dataset, moment, store_of
from holdfast.errors import Denied, Erased, HoldfastError, Integrity, Invalid, Unsupported
from holdfast.records import Finding, Severity
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore

SECRET = "XyzzySecretPerson"
HIT = pc.field("who") == SECRET


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return store_of(request.param, tmp_path)


@pytest.fixture(params=[True, False], ids=["ledger", "alone"])
def ledger(request):
    return request.param


def rows(*names):
    return [{"n": n, "who": name} for n, name in enumerate(names)]


def everything(store):
    """All bytes of the store, decompressed where they can be."""
    if isinstance(store, FileSystemStore):
        root = Path(store.root)
        found = {str(p): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    else:
        found = {e.path: store.get(e.path) for e in store.list("")}
    out = {}
    for path, data in found.items():
        try:
            data += gzip.decompress(data)
        except OSError:
            pass
        if data[:4] == b"PAR1":
            import pyarrow.parquet as pq

            data += repr(pq.read_table(pa.BufferReader(data)).to_pylist()).encode()
        out[path] = data
    return out


def assert_nowhere(store, text=SECRET):
    holders = [path for path, data in everything(store).items() if text.encode() in data]
    assert holders == []


def complaints(ds):
    return [f for f in ds.verify() if isinstance(f, Finding) and f.severity is not Severity.INFO]


OPTIONS = [
    {"codec": "jsonl"},
    {"codec": "jsonl", "compressor": "gzip"},
    {"codec": "parquet"},
    {"codec": "jsonl", "layout": "flat"},
    {"codec": "jsonl", "partition_by": "n"},
    {"codec": "parquet", "partition_by": "n"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_bytes_are_gone_from_every_snapshot(store, ledger, options):
    ds, _ = dataset(store, ledger=ledger, **options)
    one = ds.write(rows("Ada", SECRET, "Grace"), {"k": 1})
    two = ds.append(rows("Edsger"))
    three = ds.write(rows("Barbara", "Ada"))
    four = ds.append(rows(SECRET))
    report = ds.erase_rows(HIT, "asked to be forgotten")
    assert report.rows == 2
    assert set(report.replacements) == {one.id, two.id, four.id}
    assert_nowhere(store)
    again, _ = dataset(store, ledger=ledger, **options)

    def names(snapshot):
        return sorted(row["who"] for row in snapshot.read())

    assert [names(s) for s in again.snapshots()] == [
        ["Ada", "Grace"],
        ["Ada", "Edsger", "Grace"],
        ["Ada", "Barbara"],
        ["Ada", "Barbara"],
    ]
    first = next(iter(again.snapshots()))
    assert (first.metadata, first.row_count) == ({"k": 1}, 2)
    assert first.manifest.lineage.replaces == one.id
    assert first.message == "asked to be forgotten"
    assert names(again.latest()) == ["Ada", "Barbara"]
    assert again.snapshot(three.id) == three
    for erased in (one, two, four):
        for look in (again.snapshot, again.at):
            with pytest.raises(Erased, match=report.replacements[erased.id]):
                look(erased.id)
    assert not complaints(again)
    assert not [f for f in again.verify() if isinstance(f, Finding) and f.code == "litter"]


def test_the_latest_stays_the_latest_where_only_older_ones_held_such_rows(store, ledger):
    ds, _ = dataset(store, ledger=ledger, codec="jsonl")
    one = ds.write(rows(SECRET, "Ada"))
    two = ds.write(rows("Grace"))
    report = ds.erase_rows(HIT, "law")
    assert list(report.replacements) == [one.id]
    assert ds.latest() == two
    assert ds.snapshot(report.replacements[one.id]).read() == [{"n": 1, "who": "Ada"}]
    newest = next(iter(ds.history()))
    assert newest.manifest.files == two.manifest.files
    assert ds.append(rows("Edsger")).read() == rows("Grace") + rows("Edsger")
    assert not complaints(ds)


def test_a_time_finds_what_was_not_erased_in_its_place(store, ledger):
    ds, clock = dataset(store, ledger=ledger, codec="jsonl")
    for n, name in enumerate(["Ada", SECRET, "Grace"]):
        clock.now = START + n * DAY
        ds.write([{"n": n, "who": name}, {"n": n, "who": "all"}])
    clock.now = START + 9 * DAY
    ds.erase_rows(HIT, "law")
    found = [ds.at(moment(START + n * DAY + DAY // 2)).read() for n in range(3)]
    assert [[row["who"] for row in day] for day in found] == [
        ["Ada", "all"],
        ["all"],
        ["Grace", "all"],
    ]
    assert ds.at(moment(START + 20 * DAY)).read()[0]["who"] == "Grace"
    assert [s.read()[0]["n"] for s in ds.snapshots()] == [0, 1, 2]


def test_rows_are_erased_again_from_what_was_replaced(store, ledger):
    ds, clock = dataset(store, ledger=ledger, codec="jsonl")
    one = ds.write(rows(SECRET, "Ada", "Grace"))
    clock.now = START + DAY
    ds.erase_rows(HIT, "first")
    clock.now = START + 2 * DAY
    report = ds.erase_rows(lambda row: row["who"] == "Ada", "second")
    with pytest.raises(Erased, match=next(iter(report.replacements.values()))):
        ds.snapshot(one.id)
    assert_nowhere(store)
    assert_nowhere(store, '"Ada"')
    assert [s.read() for s in ds.snapshots()] == [[{"n": 2, "who": "Grace"}]]
    assert ds.at(one.created_at).read() == [{"n": 2, "who": "Grace"}]
    assert not complaints(ds)


def test_tags_move_to_what_stands_in(store, ledger):
    ds, _ = dataset(store, ledger=ledger, codec="jsonl")
    one = ds.write(rows(SECRET, "Ada"))
    ds.write(rows("Grace"))
    ds.tag("release", one, message="out")
    report = ds.erase_rows(HIT, "law")
    assert ds.tags()["release"].snapshot_id == report.replacements[one.id]
    assert ds.tags()["release"].message == "out"
    assert ds.at("release").read() == [{"n": 1, "who": "Ada"}]
    assert not complaints(ds)


def test_a_file_in_many_snapshots_is_rewritten_once(store):
    ds, _ = dataset(store, codec="jsonl")
    ds.write(rows(SECRET, "Ada"))
    for n in range(4):
        ds.append(rows(f"name {n}"))
    ds.erase_rows(HIT, "law")
    files = {f.path for s in ds.snapshots() for f in s.files}
    assert len(files) == 5
    assert [s.row_count for s in ds.snapshots()] == [1, 2, 3, 4, 5]
    assert [len(s.read()) for s in ds.snapshots()] == [1, 2, 3, 4, 5]


def test_a_file_of_which_nothing_is_left_goes(store, ledger):
    ds, _ = dataset(store, ledger=ledger, codec="jsonl")
    ds.write(rows(SECRET))
    ds.erase_rows(HIT, "law")
    assert ds.latest().files == ()
    assert (ds.read(), ds.latest().row_count) == ([], 0)
    assert_nowhere(store)
    assert not complaints(ds)


def test_where_no_row_matches_nothing_happens(store, ledger):
    ds, _ = dataset(store, ledger=ledger, codec="jsonl")
    ds.write(rows("Ada"))
    before = list(store.list("datasets"))
    report = ds.erase_rows(HIT, "law")
    assert (report.id, report.rows, report.replacements) == ("", 0, {})
    assert list(store.list("datasets")) == before


def test_expired_snapshots_and_what_dead_writers_left_go_too(store):
    ds, _ = dataset(store, codec="jsonl")
    one = ds.write(rows(SECRET))
    ds.write(rows("Ada"))
    ds.expire(one)
    store.put("datasets/d/snapshots/9/data/data", json.dumps(rows(SECRET)[0]).encode())
    ds.erase_rows(HIT, "law")
    assert_nowhere(store)
    assert not complaints(ds)


def test_temporary_files_of_dead_processes_go_too(tmp_path):
    store = FileSystemStore(tmp_path / "store")
    ds, _ = dataset(store, codec="jsonl")
    ds.write(rows(SECRET, "Ada"))
    left = tmp_path / "store/datasets/d/.hf-0123456789abcdef"
    left.write_bytes(SECRET.encode())
    ds.erase_rows(HIT, "law")
    assert not left.exists()
    assert_nowhere(store)


def test_times_of_erased_rows_are_not_kept():
    from dataclasses import dataclass
    from datetime import UTC, datetime

    @dataclass
    class Visit:
        who: str
        when: str

        def timestamp(self):
            return datetime.fromisoformat(self.when)

    store = MemoryStore()
    ds, _ = dataset(store, codec="jsonl")
    at = datetime(1999, 12, 31, tzinfo=UTC).isoformat()
    one = ds.write([Visit(SECRET, at), Visit("Ada", "2024-01-01T00:00:00+00:00")])
    assert one.manifest.min_timestamp.startswith("1999")
    ds.erase_rows(HIT, "law")
    assert_nowhere(store, "1999-12-31")


def test_statistics_of_erased_rows_are_not_kept():
    store = MemoryStore()
    ds, _ = dataset(store)
    ds.write(pa.table({"n": [1, 987654321], "who": ["Ada", SECRET]}))
    ds.erase_rows(HIT, "law")
    assert_nowhere(store, "987654321")
    (file,) = ds.latest().files
    assert [(c.min, c.max) for c in file.stats.columns if c.name == "n"] == [(1, 1)]


def test_large_files_go_with_their_block_hashes(store):
    ds, _ = dataset(store, codec="jsonl")
    filler = [{"n": n, "who": f"{n:0200d}"} for n in range(8000)]
    one = ds.write([*filler, {"n": -1, "who": SECRET}])
    assert one.files[0].blocks_sha256
    ds.erase_rows(HIT, "law")
    assert not store.exists(f"{one.files[0].path}.blk")
    assert ds.latest().files[0].blocks_sha256
    assert ds.read() == filler
    assert not complaints(ds)


def test_values_that_are_left_are_the_same_as_before(store):
    ds, _ = dataset(store, codec="jsonl")
    odd = [
        {"who": "a", "v": 2**60 + 1, "x": [1, {"y": None}]},
        {"who": "b", "v": 1e-300},
        {"who": SECRET},
        {"who": None, "v": "é\u2028"},
        {"other": 1},
    ]
    ds.write(odd)
    ds.erase_rows(lambda row: row.get("who") == SECRET, "law")
    assert ds.read() == [row for row in odd if row.get("who") != SECRET]


def test_tables_keep_their_schema(store):
    ds, _ = dataset(store)
    table = pa.table(
        {
            "at": pa.array([1, 2, 3], pa.timestamp("ns", "UTC")),
            "small": pa.array([1, None, 3], pa.int32()),
            "who": ["Ada", SECRET, None],
        }
    )
    ds.write(table)
    before = ds.to_arrow().schema
    ds.erase_rows(HIT, "law")
    assert ds.to_arrow().schema.equals(before)
    assert ds.to_arrow().column("small").to_pylist() == [1, 3]


def test_the_record_says_what_was_destroyed_by_whom_and_why(store):
    ds, _ = dataset(store, codec="jsonl")
    one = ds.write(rows(SECRET, "Ada"))
    report = ds.erase_rows(HIT, "Art. 17")
    record = json.loads(store.get(f"datasets/d/erasures/{report.id}.json"))
    assert (record["reason"], record["author"], record["rows"]) == ("Art. 17", "tester", 1)
    assert record["snapshots"] == [
        {
            "id": one.id,
            "created_at": one.created_at,
            "parent": "",
            "manifest_sha256": one.manifest_sha256,
            "replacement": report.replacements[one.id],
        }
    ]
    assert [f["path"] for f in record["files"]] == [one.manifest_path, one.files[0].path]
    assert record["files"][1]["checksum"] == f"sha256:{one.files[0].checksum}"
    ((_, told),) = ds.chain.sink.commits(name="d/erasures")
    assert (told.id, told.message) == (report.id, "Art. 17")
    assert told.objects[0].path == f"datasets/d/erasures/{report.id}.json"
    erased = [f for f in ds.verify() if isinstance(f, Finding) and f.code == "erased"]
    assert [f.severity for f in erased] == [Severity.INFO]


def test_what_cannot_be_done_is_refused_before_anything_is_written(store):
    ds, _ = dataset(store, codec="jsonl")
    ds.write(rows("Ada"))
    before = list(store.list("datasets"))

    def broken(row):
        raise KeyError("nope")

    for where, reason, kind in (
        (HIT, " ", Invalid),
        (17, "law", Invalid),
        (pc.field("nobody") == 3, "law", Invalid),
        (pc.field("who") > 3, "law", Invalid),
        (broken, "law", Invalid),
    ):
        with pytest.raises(kind):
            ds.erase_rows(where, reason)
    assert list(store.list("datasets")) == before
    reader, _ = dataset(store, ledger=False, read_only=True)
    with pytest.raises(Denied):
        reader.erase_rows(HIT, "law")


def test_raw_bytes_have_no_rows(store):
    ds, _ = dataset(store)
    ds.write(b"blob")
    with pytest.raises(Unsupported, match="raw bytes"):
        ds.erase_rows(HIT, "law")


def test_a_damaged_file_stops_it_before_anything_is_written(store):
    ds, _ = dataset(store, codec="jsonl")
    one = ds.write(rows(SECRET))
    store.delete(one.files[0].path)
    store.put(one.files[0].path, b"x" * one.files[0].size_bytes)
    before = list(store.list("datasets"))
    with pytest.raises(Integrity):
        ds.erase_rows(HIT, "law")
    assert list(store.list("datasets")) == before


def test_writers_at_the_same_time_lose_nothing(store, monkeypatch):
    from holdfast.datasets.replacing import Eraser

    ds, clock = dataset(store, codec="jsonl")
    ds.write(rows(SECRET, "Ada"))
    ds.append(rows("Grace"))
    other, _ = dataset(store, codec="jsonl", clock=clock)
    appended = []
    commit, touches = Eraser._commit, Eraser._touches

    def append():
        if len(appended) < 6:
            appended.append(SECRET if len(appended) in (1, 4) else "E")
            other.append([{"n": 100, "who": appended[-1]}])

    def overtaken_commit(eraser, draft):
        append()
        commit(eraser, draft)
        append()

    def overtaken_look(eraser, stored, *, grow=True):
        found = touches(eraser, stored, grow=grow)
        if store.leases is None and len(appended) in (2, 3):
            append()
        return found

    monkeypatch.setattr(Eraser, "_commit", overtaken_commit)
    monkeypatch.setattr(Eraser, "_touches", overtaken_look)
    ds.erase_rows(HIT, "law")
    monkeypatch.undo()
    assert len(appended) == 6
    again, _ = dataset(store, codec="jsonl")
    names = sorted(row["who"] for row in again.read() if row["who"] != SECRET)
    assert names == ["Ada", "E", "E", "E", "E", "Grace"]
    # What others wrote meanwhile may be newer than the erasure; after another one it is gone too.
    again.erase_rows(HIT, "law")
    assert sorted(row["who"] for row in again.read()) == names
    assert [len(s.read()) for s in again.snapshots()] == [s.row_count for s in again.snapshots()]
    assert_nowhere(store)
    assert not complaints(again)


def test_a_record_that_names_other_files_is_not_obeyed(store):
    ds, _ = dataset(store, codec="jsonl")
    ds.write(rows(SECRET, "Ada"))
    report = ds.erase_rows(HIT, "law")
    path = f"datasets/d/erasures/{report.id}.json"
    value = json.loads(store.get(path))
    store.put("precious", b"1")
    value["files"][0]["path"] = "precious"
    forged = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    store.delete(path)
    store.put(path, forged)
    with pytest.raises(HoldfastError):
        list(ds.repair())
    assert store.exists("precious")


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.pop("rows"),
        lambda v: v.update(rows=-1),
        lambda v: v.update(id="x"),
        lambda v: v.update(snapshots=3),
        lambda v: v["files"][0].update(path="../x"),
        lambda v: v["snapshots"][0].update(replacement="a/b"),
        lambda v: v.update(schema="holdfast.erasure/2"),
        lambda v: v.update(time="x"),
    ],
)
def test_a_damaged_record_is_named(change):
    from holdfast.datasets.erasures import decode_erasure

    store = MemoryStore()
    ds, _ = dataset(store, codec="jsonl")
    ds.write(rows(SECRET, "Ada"))
    report = ds.erase_rows(HIT, "law")
    path = f"datasets/d/erasures/{report.id}.json"
    value = json.loads(store.get(path))
    change(value)
    with pytest.raises(HoldfastError, match="erasures/"):
        decode_erasure(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), path)
    for garbage in (b"", b"[]", b"\xff", b"[" * 2000, b"3"):
        with pytest.raises(HoldfastError, match="erasures/"):
            decode_erasure(garbage, path)


def test_a_marked_snapshot_that_repeated_an_erased_one_goes_with_it(store, ledger):
    ds, _ = dataset(store, ledger=ledger, codec="jsonl")
    one = ds.write(rows(SECRET, "Ada"))
    store.put("datasets/d/snapshots/9/data/data", b"left")
    ds.collect()
    (marked,) = [s for s in ds.history() if s.manifest.mark]
    ds.tag("marked", marked)
    report = ds.erase_rows(HIT, "law")
    assert report.replacements == {id: ds.latest().id for id in (one.id, marked.id)}
    with pytest.raises(Erased):
        ds.snapshot(marked.id)
    assert ds.at("marked") == ds.latest()
    assert [s.id for s in ds.snapshots()] == [ds.latest().id]
    assert ds.at(marked.created_at) == ds.latest()
    assert_nowhere(store)
    assert not complaints(ds)
