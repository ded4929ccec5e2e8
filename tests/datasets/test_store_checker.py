"""Every store that is written here obeys spec/datasets.md, as a checker reads it that knows
nothing of Holdfast; and the checker is no pushover."""

from __future__ import annotations

import gzip
import itertools
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from care_support import START, SetClock, dataset, store_of
from holdfast.datasets.codecs.jsonl import Jsonl
from holdfast.datasets.codecs.parquet import Field, Parquet
from holdfast.datasets.dataset import Dataset
from holdfast.store.memory import MemoryStore
from holdfast.volumes.volume import Volume
from lode_fixtures import LODE, case_names, needs_lode
from store_checker import check_store, look_at

STORES = pytest.mark.parametrize("kind", ["memory", "files"])
SCHEMA = [
    Field("none", "string", nullable=True),
    Field("n", "int64"),
    Field("k", "string"),
    Field("f", "float64"),
    Field("day", "timestamp"),
]
CODECS = {
    "jsonl": "jsonl",
    "jsonl, portable": Jsonl(canonical=True),
    "parquet": "parquet",
    "parquet, portable": Parquet(schema=SCHEMA),
}
LAYOUTS = {"default": {}, "flat": {"layout": "flat"}, "hive": {"partition_by": ("day", "k")}}


def records(number, start=0):
    """Rows with everything that a name or a line has to escape."""
    texts = ["plain", "a/b c", "ü漢😀", '<&>\u2028\b\f"\\', "100%", ""]
    return [
        {
            "day": datetime(2024, 1, 1 + n % 3, 12, tzinfo=UTC),
            "k": texts[n % len(texts)],
            "n": n,
            "f": [0.5, 1e21, -0.0, 1e-7, 3.0][n % 5],
            "none": None if n % 2 else "x",
        }
        for n in range(start, start + number)
    ]


def use(ds):
    """Writes of each kind."""
    ds.write(records(7), {"é": 1, "a": [1.5, {"z": None, "b": b"\xff"}], "t": datetime.now(UTC)})
    ds.append(records(3, 7), {"<": ">"})
    ds.write([])
    with ds.transaction({"parts": 2}, append=True) as tx:
        tx.stage(records(5, 20))
        tx.stage(records(5, 30))
    ds.append(records(1))
    if ds.layout.name != "hive":
        with ds.stream_write_records() as out:
            out.write(records(4))
            out.write(records(4, 4))


@STORES
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codec", CODECS)
def test_records_in_every_form(kind, layout, codec, tmp_path):
    store = store_of(kind, tmp_path)
    compressors, checksums = ("none", "gzip", "zstd"), ("sha256", "md5", "blake2b-16", "none")
    # On disk a syncing write costs more: a few of the forms.
    few = zip(compressors, checksums, strict=False)
    forms = list(few if kind == "files" else itertools.product(compressors, checksums))
    for compressor, checksum in forms:
        use(
            Dataset(
                f"{compressor}-{checksum}",
                store,
                codec=CODECS[codec],
                compressor=compressor,
                checksum=checksum,
                **LAYOUTS[layout],
            )
        )
    portable = codec.endswith("portable")
    seen = check_store(store, portable=portable)
    assert seen[layout] == seen["datasets"] == len(forms)
    assert seen["manifests"] == len(forms) * (5 if layout == "hive" else 6)
    assert seen[codec.partition(",")[0]] == seen["noop"] + seen["gzip"] + seen["zstd"]
    assert {"sha256", "md5", "blake2b-16"} <= seen.keys()
    assert bool(seen["copies"]) == (layout == "hive")
    if kind == "files":
        assert check_store(tmp_path / "store", portable=portable) == seen


@STORES
def test_blobs_and_large_files(kind, tmp_path):
    store = store_of(kind, tmp_path)
    data = bytes(range(256)) * 10_000
    for compressor in ("none", "gzip", "zstd"):
        for layout in ("default", "flat"):
            ds = Dataset(f"{compressor}-{layout}", store, layout=layout, compressor=compressor)
            ds.write(data)
            ds.write(b"")
            with ds.stream_write({"s": 1}) as out:
                out.write(data[: 1 << 20])
            Dataset(f"rows-{compressor}-{layout}", store, layout=layout, checksum="none").write(
                [{"text": "x" * 1000, "n": n} for n in range(2000)]
            )
    seen = check_store(store)
    assert seen["raw"] == 18
    assert seen["sidecars"] == 10


def test_tables_of_every_type():
    store = MemoryStore()
    table = pa.table(
        {
            "z": pa.array([1, None, 3], pa.int32()),
            "f32": pa.array([0.1, float("nan"), -2.5], pa.float32()),
            "inf": [float("inf"), 0.0, 1.0],
            "b": [True, None, False],
            "raw": [b"\xff", b"", None],
            "ts": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
            "long": ["x" * 2000, "y", "z"],
            "list": [[1], [], None],
            "é": [{"z": 1, "a": "x"}, None, {"z": None, "a": ""}],
        }
    )
    Dataset("arrow", store).write(table)
    ds = Dataset("both", store, codec="jsonl")
    ds.write(table.drop_columns(["f32", "inf"]))
    ds.append(table.drop_columns(["f32", "inf"]))
    fields = [Field("b", "timestamp"), Field("a", "float32", nullable=True)]
    typed = Dataset("typed", store, codec=Parquet(schema=fields), compressor="zstd")
    typed.write([{"b": datetime(2024, 1, 1, tzinfo=UTC), "a": 0.1}, {"b": "2024-01-01T00:00:00Z"}])
    seen = check_store(store)
    assert seen["parquet"] == 2
    assert seen["jsonl"] == 2


@STORES
@pytest.mark.parametrize("layout", LAYOUTS)
def test_after_healing_expiry_collection_and_erasure(kind, layout, tmp_path):
    store = store_of(kind, tmp_path)
    ds, clock = dataset(store, **LAYOUTS[layout])
    first = ds.write(records(6))
    second = ds.append(records(6, 6))
    # A writer died between its two steps.
    dead = str(int(second.id) + 1)
    store.compare_and_swap(ds.layout.pointer("d"), second.id.encode(), dead.encode())
    assert "healed" not in check_store(store, crashed=True)
    third = ds.append(records(6, 12))
    ds.tag("kept", third)
    for day in range(3):
        clock.now = START + day * 86_400 * 10**9
        ds.append(records(1, day))
    assert check_store(store)["healed"] == 1
    ds.erase_rows(pc.field("n") == 7, "asked to")
    check_store(store)
    ds.expire([first.id], "old")
    ds.write(records(2))
    store.put(ds.layout.data_file("d", "9", "day=1/k=1" if layout == "hive" else "", "data"), b"x")
    assert look_at(store).problems
    ds.collect()
    seen = check_store(store)
    assert seen["gc"] >= 1
    assert 7 not in [row["n"] for row in ds.at("kept").read()]


@STORES
@pytest.mark.parametrize("checksum", ["sha256", "md5", "none"])
def test_volumes(kind, checksum, tmp_path):
    store = store_of(kind, tmp_path)
    volume = Volume("v", store, 10 << 20, checksum, clock=SetClock())
    one = volume.stage_write_at(4096, bytes(2 << 20))
    two = volume.stage_write_at(0, b"x")
    volume.commit([one], {"n": 1.0, "é": "<"})
    volume.commit([two])
    volume.stage_write_at(9 << 20, b"not committed")
    seen = check_store(store)
    assert seen["volumes"] == 1
    assert seen["files"] == 3
    assert seen["sidecars"] == 2


# What the original wrote at will, to see what readers make of it.
ODD = {
    "edge_pointer": ["empty/latest", "garbage/latest", "missing/latest", "older/latest",
                     "padded/latest", "stale/latest"],
}  # fmt: skip


@needs_lode
@pytest.mark.parametrize("case", [c for c in case_names() if c != "edge_bad_manifests"])
def test_what_the_original_wrote_obeys_them_too(case):
    out = look_at(LODE / case / "store", portable=True)
    assert out.seen["manifests"]
    odd = [f"datasets/{path}" for path in ODD.get(case, [])]
    assert [problem.partition(": ")[0] for problem in out.problems] == odd


@needs_lode
def test_every_damaged_manifest_is_noticed():
    out = look_at(LODE / "edge_bad_manifests" / "store", linear=False)
    noticed = {problem.split("/")[1] for problem in out.problems}
    # All of them: not one is spelled as the original spells its own.
    assert noticed == {p.name for p in (LODE / "edge_bad_manifests/store/datasets").iterdir()}


def written():
    """One store with something of everything; name → path."""
    store = MemoryStore()
    clock = SetClock()
    rows = [{"k": "a", "n": 1}, {"k": "a", "n": 2}]
    hive = Dataset("h", store, partition_by="k", codec="jsonl", clock=clock)
    hive.write(rows)
    latest = hive.append(rows)
    zipped = Dataset("z", store, codec="jsonl", compressor="gzip", checksum="none", clock=clock)
    zstd = Dataset("s", store, codec="jsonl", compressor="zstd", checksum="none", clock=clock)
    fields = [Field("n", "int64"), Field("k", "string")]
    table = Dataset("p", store, codec=Parquet(fields), checksum="none", clock=clock)
    big = Dataset("b", store, clock=clock).write(bytes(1 << 20))
    volume = Volume("v", store, 1 << 20, clock=clock)
    committed = volume.commit([volume.stage_write_at(0, b"abc")])
    paths = {
        "manifest": latest.manifest_path,
        "copy": f"datasets/h/partitions/k=a/segments/{latest.id}/manifest.json",
        "data": latest.files[-1].path,
        "pointer": "datasets/h/latest",
        "gzip": zipped.write(rows).files[0].path,
        "zstd": zstd.write(rows).files[0].path,
        "parquet": table.write(rows).files[0].path,
        "sidecar": big.files[0].path + ".blk",
        "block": "volumes/v/data/0-3.bin",
        "volume": committed.manifest_path,
    }
    check_store(store, portable=True)
    return store, paths


def other_level(data):
    return gzip.compress(gzip.decompress(data), mtime=7)


def no_checksum(data):
    import zstandard

    return zstandard.ZstdCompressor(write_checksum=False).compress(b'{"k":"a","n":1}\n' * 2)


def backwards(data):
    import io

    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2], "k": ["a", "a"]}), out)
    return out.getvalue()


def replacing(old, new):
    return lambda data: data.replace(old, new, 1)


DAMAGE = {
    "a space in a manifest": ("manifest", replacing(b'": ', b'":  ')),
    "a final newline": ("manifest", lambda data: data + b"\n"),
    "another row count": ("manifest", replacing(b'"row_count": 4', b'"row_count": 5')),
    "another dataset": ("manifest", replacing(b'"dataset_id": "h"', b'"dataset_id": "x"')),
    "a parent further down": ("manifest", replacing(b'_snapshot_id": "1', b'_snapshot_id": "')),
    "an empty field": ("manifest", replacing(b'"codec"', b'"min_timestamp": "",\n  "codec"')),
    "a copy that is not one": ("copy", lambda data: data + b" "),
    "no copy": ("copy", None),
    "no data": ("data", None),
    "other data": ("data", replacing(b"1", b"2")),
    "data that are longer": ("data", lambda data: data + b'{"k":"a","n":3}\n'),
    "a newline in the pointer": ("pointer", lambda data: data + b"\n"),
    "no pointer": ("pointer", None),
    "a time in the header of gzip": ("gzip", other_level),
    "zstd without a checksum": ("zstd", no_checksum),
    "columns out of order": ("parquet", backwards),
    "another sidecar": ("sidecar", lambda data: bytes(32)),
    "no sidecar": ("sidecar", None),
    "another block": ("block", lambda data: b"abd"),
    "a block elsewhere": ("volume", replacing(b'"offset": 0', b'"offset": 1')),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_the_checker_notices(name):
    store, paths = written()
    what, change = DAMAGE[name]
    before = store._files.pop(paths[what])
    if change is not None:
        after = change(before)
        assert after != before
        store._files[paths[what]] = after
    assert look_at(store, portable=True).problems


@pytest.mark.parametrize(
    "path",
    [
        "datasets/h/segments/1/data/data",
        "datasets/h/partitions/k=a/segments/5/data/data-00001",
        "datasets/h/other",
        "volumes/v/data/x.bin",
        "volumes/v/snapshots/1/other",
    ],
)
def test_the_checker_notices_what_nobody_named(path):
    store, _ = written()
    store._files[path] = b"litter"
    assert [p for p in look_at(store).problems if p.startswith(path)]


@pytest.mark.parametrize(
    ("line", "good"),
    [
        (b'{"a":1,"b":2}', True),
        (b'{"b":1,"a":2}', False),
        (b'{"a":1,"a":2}', False),
        (b'{"a":1', False),
        (b'{"a":1} {"a":1}', False),
        (b'{"a":{"c":1,"b":2}}', False),
    ],
)
def test_the_checker_reads_lines(line, good):
    store = MemoryStore()
    ds = Dataset("d", store, codec="jsonl", checksum="none", clock=SetClock())
    (file,) = ds.write([{"a": 0}]).files
    manifest = ds.latest().manifest_path
    store._files[file.path] = line + b"\n"
    size = f'"size_bytes": {len(line) + 1}'.encode()
    store._files[manifest] = store.get(manifest).replace(b'"size_bytes": 8', size)
    problems = [p for p in look_at(store).problems if ": line 0" in p or ": unreadable" in p]
    assert bool(problems) != good


def test_times_are_in_the_shortest_form():
    assert START % 10**9 == 0
    clock = SetClock(START - 1_000_000 + 120_000_000)
    store = MemoryStore()
    Dataset("d", store, clock=clock).write([{"at": datetime(2024, 1, 1) + timedelta(days=1)}])
    check_store(store)
