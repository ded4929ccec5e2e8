"""Datasets that the original wrote answer here what they answered there (fixtures/lode).

Every question of the expectations is asked, and what differs is collected. `DIFFERENCES` lists
what may, with the section of spec/datasets.md that wants it so. The two must be equal: a
difference that is not listed fails, and so does one that no longer occurs.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime

import pytest

from holdfast import DatasetReader
from holdfast.datasets.codecs.parquet import Field, Parquet
from holdfast.datasets.dataset import Dataset
from holdfast.datasets.layout import DEFAULT
from holdfast.errors import (
    HoldfastError,
    Invalid,
    InvalidFormat,
    ManifestInvalid,
    NotFound,
    SchemaViolation,
    Unsupported,
)
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from lode_fixtures import LODE, case_names, expected, materialise, needs_lode, unwrap, vectors
from store_checker import look_at

pytestmark = needs_lode

BAD = "edge_bad_manifests"
CASES = [c for c in case_names() if c != BAD and not c.startswith("volume")]

INTEGERS = "§3, §5: integers are exact, in records, metadata and bounds; there they are float64"
NO_FILES = '§3: "files": null is read, where the original refuses what it writes itself'
CANONICAL = "§1: the canonical manifest counts, not the copies, and a snapshot of no records too"

# (case, dataset, question) → why.
DIFFERENCES = {
    **{
        (case, "events", question): INTEGERS
        for case in (
            "default_jsonl",
            "default_jsonl_gzip",
            "default_jsonl_sha256",
            "default_jsonl_zstd",
            "flat_jsonl",
        )
        for question in ("records", "manifest.metadata")
    },
    ("parquet_none", "tab", "manifest.files"): INTEGERS,
    ("parquet_zstd_outer", "tab", "manifest.files"): INTEGERS,
    **{
        ("empty_write", dataset, question): NO_FILES
        for dataset in ("jsonl_noop", "jsonl_gzip", "jsonl_zstd", "parquet")
        for question in ("list_manifests", "list_partitions")
    },
    ("empty_write", "hive", "list_manifests"): CANONICAL,
    ("hive_one", "ev", "list_manifests"): CANONICAL,
    ("hive_two", "ev", "list_manifests"): CANONICAL,
}

VALIDATED = "§3: `Dataset` answers as the original's reader, not as its unchecking Dataset"
STRICT = "§3: trailing bytes and duplicate keys are refused"
VERSION = "§3: another schema_name or major version is Unsupported"
CASE = "§3: field names are case-sensitive"
DATASET_QUESTIONS = ("latest", "snapshot", "snapshots")
READER_QUESTIONS = ("get_manifest", "list_manifests")

# (dataset, question) → why.
BAD_DIFFERENCES = {
    ("key_case", "row_count"): CASE,
    **{
        (dataset, question): VALIDATED
        for dataset in (
            "zero_time", "no_schema_name", "no_format_version", "no_dataset_id", "no_snapshot_id",
            "no_created_at", "no_metadata", "no_files", "no_compressor", "no_partitioner",
            "null_metadata", "null_files", "neg_rows", "file_no_path", "file_neg_size",
        )
        for question in DATASET_QUESTIONS
    },
    **{
        (dataset, question): why
        for dataset, why in (
            ("other_dataset_id", STRICT), ("duplicate_key", STRICT), ("trailing_garbage", STRICT),
            ("other_schema_name", VERSION), ("other_version", VERSION),
        )
        for question in (*DATASET_QUESTIONS, *READER_QUESTIONS)
    },
}  # fmt: skip


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def dataset_views(case):
    return [view for view in expected(case)["views"] if view["kind"] == "dataset"]


def opened(view, store, *, configured, read_only=True):
    """The dataset, told nothing or everything."""
    config = view["config"]
    if not configured:
        return Dataset(config["dataset_id"], store, read_only=read_only)
    codec = config.get("codec", "raw")
    if "parquet_schema" in config:
        fields = [
            Field(f["name"], f["type"], f.get("nullable", False)) for f in config["parquet_schema"]
        ]
        codec = Parquet(fields, config.get("parquet_compression", "none"))
    return Dataset(
        config["dataset_id"],
        store,
        layout=config["layout"],
        partition_by=config.get("partition_keys"),
        codec=codec,
        compressor=config["compressor"],
        checksum=config.get("checksum", "none"),
        read_only=read_only,
    )


def same(ours, theirs):
    """Equal in kind and value. JSON tells 1 from 1.0 no more than Go does."""
    if isinstance(theirs, dict):
        return (
            isinstance(ours, dict)
            and ours.keys() == theirs.keys()
            and all(same(ours[key], theirs[key]) for key in theirs)
        )
    if isinstance(theirs, list):
        return (
            isinstance(ours, list)
            and len(ours) == len(theirs)
            and all(map(same, ours, theirs))
        )  # fmt: skip
    if isinstance(theirs, datetime):
        return isinstance(ours, datetime) and nanoseconds(ours) == nanoseconds(theirs)
    if isinstance(theirs, (bool, str, bytes)) or theirs is None:
        return type(ours) is type(theirs) and ours == theirs
    if isinstance(ours, bool) or not isinstance(ours, (int, float)):
        return False
    if isinstance(theirs, float) and math.isnan(theirs):
        return math.isnan(ours)
    if isinstance(theirs, float) and math.copysign(1, ours) != math.copysign(1, theirs):
        return False
    return ours == theirs


def nanoseconds(moment):
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (since.days * 86400 + since.seconds) * 10**6 + since.microseconds
    return micros * 1000 + getattr(moment, "nanosecond", 0)


def as_floats(value):
    """A record as the original decodes it: every number a float64."""
    if isinstance(value, dict):
        return {key: as_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_floats(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def manifest_fields(manifest):
    """Our manifest as the original prints its own, field by field."""
    files = []
    for file in manifest.files:
        entry = {"path": file.path, "size_bytes": file.size_bytes, "checksum": file.checksum}
        if file.stats is not None:
            columns = [column_fields(column) for column in file.stats.columns]
            entry["stats"] = {"row_count": file.stats.row_count, "columns": columns}
            if not file.stats.columns:
                del entry["stats"]["columns"]
        files.append(filled(entry))
    names = (
        "dataset_id", "snapshot_id", "created_at", "metadata", "parent_snapshot_id", "row_count",
        "min_timestamp", "max_timestamp", "codec", "compressor", "partitioner",
        "checksum_algorithm",
    )  # fmt: skip
    fields = {"schema_name": "lode-manifest", "format_version": "1.0.0", "files": files}
    return filled(fields | {name: getattr(manifest, name) for name in names})


def column_fields(column):
    # An empty text is a bound.
    names = ("name", "min", "max", "null_count", "distinct_count")
    pairs = ((name, getattr(column, name)) for name in names)
    return {name: value for name, value in pairs if value is not None}


def filled(fields):
    return {name: value for name, value in fields.items() if value is not None and value != ""}


class Answers:
    """Collects the questions to which we answer otherwise."""

    def __init__(self, *prefix):
        self.prefix = prefix
        self.different = set()
        self.asked = 0

    def compare(self, question, ours, theirs):
        """`ours` is a function; an error on both sides is the same answer."""
        self.asked += 1
        failed = isinstance(theirs, dict) and theirs.keys() == {"error"}
        try:
            found = ours()
        except HoldfastError:
            good = failed
        else:
            good = not failed and same(found, theirs)
        if not good:
            self.different.add((*self.prefix, question))


def ask(case, view, *, configured):
    """All questions about one dataset of a case."""
    store = FileSystemStore(LODE / case / "store", read_only=True)
    config = view["config"]
    name = config["dataset_id"]
    ds = opened(view, store, configured=configured)
    reader = DatasetReader(store, config["layout"])
    answers = Answers(case, name)
    answers.compare("latest", lambda: ds.latest().id, view["latest"]["id"])
    answers.compare("snapshots", lambda: [s.id for s in ds.snapshots()], ids_of(view))
    pointer = view["latest_pointer"]
    if pointer["exists"]:
        content = lambda: store.get(pointer["path"]).decode()  # noqa: E731
        answers.compare("pointer", content, pointer["content"])
    assert store.exists(pointer["path"]) == pointer["exists"]
    ask_reader(answers, reader, name, view["reader"])
    for wanted in view["snapshots"]:
        snapshot = ds.snapshot(wanted["id"])
        theirs = unwrap(wanted["manifest"])
        theirs["files"] = theirs["files"] or []
        fields = manifest_fields(snapshot.manifest)
        assert fields.keys() == theirs.keys()
        for field, value in theirs.items():
            found = fields[field]
            answers.compare(f"manifest.{field}", lambda f=found: f, value)
            # Nothing else may differ in them.
            answers.compare("but integers", lambda f=found: as_floats(f), as_floats(value))
        from_reader = reader.get_manifest(name, wanted["id"])
        assert from_reader == snapshot.manifest
        ask_files(answers, snapshot, reader, wanted["files"])
        if "blob" in wanted:
            blob = snapshot.read()
            answers.compare("blob", lambda b=blob: [len(b), sha256(b)],
                            [wanted["blob"]["size"], wanted["blob"]["sha256"]])  # fmt: skip
        else:
            ask_records(answers, snapshot, wanted)
    assert answers.asked > 10
    return answers.different


def ids_of(view):
    return [snapshot["id"] for snapshot in view["snapshots"]]


def ask_reader(answers, reader, name, wanted):
    answers.compare("list_datasets", lambda: list(reader.list_datasets()), wanted["list_datasets"])
    partitions = wanted["list_partitions"]
    if isinstance(partitions, list):
        # The original lists them snapshot by snapshot.
        partitions = sorted(partitions)
    answers.compare("list_partitions", lambda: list(reader.list_partitions(name)), partitions)
    refs = lambda: [  # noqa: E731
        {"id": ref.id, "partition": ref.partition} for ref in reader.list_manifests(name)
    ]
    answers.compare("list_manifests", refs, wanted["list_manifests"])
    for partition, ids in wanted.get("list_manifests_by_partition", {}).items():
        answers.compare(
            "list_manifests_by_partition",
            lambda p=partition: [ref.id for ref in reader.list_manifests(name, p)],
            ids,
        )


def ask_files(answers, snapshot, reader, files):
    assert [file.path for file in snapshot.files] == sorted(file["path"] for file in files)
    for file in files:
        path = file["path"]
        stored = reader.open_object(path).read()
        answers.compare("stored", lambda d=stored: [len(d), sha256(d)],
                        [file["size"], file["sha256"]])  # fmt: skip
        with snapshot.open(path) as payload:
            data = payload.read()
        answers.compare("payload", lambda d=data: [len(d), sha256(d)],
                        [file["payload_size"], file["payload_sha256"]])  # fmt: skip
        if "payload_text" in file:
            text = unwrap(file["payload_text"])
            answers.compare(
                "payload_text", lambda d=data: d.decode("utf-8", "surrogateescape"), text
            )
        for probe in file["read_ranges"]:
            where = probe["offset"], probe["length"]
            answers.compare("read_ranges", lambda p=path, w=where: reader.read_range(p, *w).hex(),
                            probe["hex"])  # fmt: skip
            assert len(probe["hex"]) == 2 * probe["got"]


GO_TYPES = {
    "float64": (int, float),
    "float32": (float,),
    "int32": (int,),
    "int64": (int,),
    "string": (str,),
    "bool": (bool,),
    "[]uint8": (bytes,),
    "time.Time": (datetime,),
    "map[string]interface {}": (dict,),
    "[]interface {}": (list,),
    "<nil>": (type(None),),
}


def of_type(value, kind):
    return isinstance(value, GO_TYPES[kind]) and isinstance(value, bool) == (kind == "bool")


def ask_records(answers, snapshot, wanted):
    ours = snapshot.read()
    theirs = [unwrap(record) for record in wanted["records"]]
    answers.compare("records_count", lambda: len(ours), wanted["records_count"])
    if wanted.get("records_truncated"):
        assert len(theirs) < len(ours)
        ours = ours[: len(theirs)]
    answers.compare("records", lambda: ours, theirs)
    if snapshot.manifest.codec == "jsonl":
        answers.compare("but integers", lambda: as_floats(ours), as_floats(theirs))
    if isinstance(wanted.get("first_record_go_types"), dict):
        for key, kind in wanted["first_record_go_types"].items():
            answers.compare("types", lambda v=ours[0][key], k=kind: of_type(v, k), True)


@pytest.mark.parametrize("configured", [False, True], ids=["bare", "configured"])
@pytest.mark.parametrize("case", CASES)
def test_every_question_is_answered_as_by_the_original(case, configured):
    found = set()
    for view in dataset_views(case):
        # Two datasets of one name: only the layout tells them apart.
        found |= ask(case, view, configured=configured)
    assert found == {key for key in DIFFERENCES if key[0] == case}


def test_the_canonical_manifests_of_hive_are_those_that_the_copies_repeat():
    for case in ("hive_one", "hive_two"):
        (view,) = dataset_views(case)
        reader = DatasetReader(FileSystemStore(LODE / case / "store", read_only=True), "hive")
        ours = [(ref.id, ref.partition) for ref in reader.list_manifests("ev")]
        assert ours == [(id, "") for id in ids_of(view)]
        assert {r["id"] for r in view["reader"]["list_manifests"]} == set(ids_of(view))


# Damaged manifests


def error_of(action):
    try:
        action()
    except HoldfastError as error:
        return error
    return None


def test_every_damaged_manifest_is_answered_as_by_the_originals_reader():
    store = FileSystemStore(LODE / BAD / "store", read_only=True)
    reader = DatasetReader(store)
    found = set()
    for case in expected(BAD)["manifests"]:
        name = case["dataset_id"]
        ds = Dataset(name, store, read_only=True)
        questions = {
            "latest": ("dataset_latest_error", ds.latest),
            "snapshot": ("dataset_snapshot_error", lambda d=ds: d.snapshot("100")),
            "snapshots": ("dataset_snapshots_error", lambda d=ds: list(d.snapshots())),
            "read": ("dataset_read_error", ds.read),
            "get_manifest": (
                "reader_get_manifest_error",
                lambda n=name: reader.get_manifest(n, "100"),
            ),
            "list_manifests": (
                "reader_list_manifests_error",
                lambda n=name: list(reader.list_manifests(n)),
            ),
        }
        for question, (key, answer) in questions.items():
            error = error_of(answer)
            if isinstance(error, NotFound):
                assert (name, question) == ("file_missing", "read")
                assert error.target.endswith("nowhere")
            elif error is not None:
                assert isinstance(error, (ManifestInvalid, Unsupported))
                if question != "read":
                    assert error.target == DEFAULT.manifest(name, "100")
            if (error is None) != (case[key] is None):
                found.add((name, question))
        if "row_count" in case and case["reader_get_manifest_error"] is None:
            try:
                rows = reader.get_manifest(name, "100").row_count
            except HoldfastError:
                continue
            if rows != case["row_count"]:
                found.add((name, "row_count"))
    assert found == set(BAD_DIFFERENCES)


# Writing on top of what the original wrote


def more_of(view):
    """Something to append: the last records that are there."""
    if "codec" not in view["config"]:
        return b"more"
    if view["config"]["codec"] == "parquet" and len(view["config"]["parquet_schema"]) > 1:
        floats = {"f32", "f64", "n_f32", "n_f64"}
        return [
            {
                key: float(value) if key in floats and value is not None else value
                for key, value in unwrap(record).items()
            }
            for record in view["snapshots"][0]["records"]
        ]
    return [{"k": "2024-01-01", "day": "2024-01-01", "region": "eu", "n": 1, "i": 1}]


def contents(ds):
    return {s.id: (s.manifest, s.read()) for s in ds.snapshots()}


@pytest.mark.parametrize("configured", [False, True], ids=["bare", "configured"])
@pytest.mark.parametrize("case", CASES)
def test_writing_goes_on_where_the_original_stopped(case, configured, tmp_path):
    store = FileSystemStore(materialise(case, tmp_path))
    before = {e.path: store.get(e.path) for e in store.list()}
    for view in dataset_views(case):
        config = view["config"]
        ds = opened(view, store, configured=configured, read_only=False)
        if config.get("partition_keys") and not configured and not ds.latest().files:
            with pytest.raises(Invalid, match="keys"):
                ds.write(more_of(view))
            ds = Dataset(ds.id, store, partition_by=config["partition_keys"])
        old = contents(ds)
        data = more_of(view)
        if "parquet_schema" in config and len(config["parquet_schema"]) == 1:
            data = [{"n": 1}]
        latest = ds.latest()
        one = ds.write(data, {"by": "us"})
        below = ds.snapshot(one.parent)
        if ds.id == "stale":
            # At the id that the pointer named a writer counts as dead, and is fenced.
            assert below.manifest.mark == "healed"
            assert below.manifest.lineage.real == latest.id
            assert below.id == view["latest_pointer"]["content"]
        else:
            assert below == latest
        assert latest.id == view["latest"]["id"]
        assert one.manifest.compressor == config["compressor"]
        assert one.manifest.codec == config.get("codec", "")
        assert one.manifest.checksum_algorithm == config.get("checksum", "")
        assert one.manifest.partitioner == latest.manifest.partitioner
        if "codec" in config:
            two = ds.append(data)
            assert set(one.files) < set(two.files)
            assert two.row_count == 2 * one.row_count
        again = Dataset(ds.id, store, layout=config["layout"])
        found = contents(again)
        assert {id: found.pop(id) for id in old} == old
        assert one.id in found
        assert again.latest().id == list(found)[-1]
    # What was there is there, byte for byte, but for the pointers.
    for path, data in before.items():
        assert store.get(path) == data or path.endswith("/latest")
    # Below a pointer that named an older snapshot the line is forked, as the original forks it.
    problems = look_at(store).problems
    assert {p.split("/")[1] for p in problems} == ({"older"} if case == "edge_pointer" else set())


# Errors of the vectors


def of_vectors():
    """What the vectors say is refused → how it is done here. What has no counterpart is left out:
    no store, no compressor (options of Python), an unset iterator."""
    store = MemoryStore()
    raw = Dataset("raw", store, codec="raw")
    raw.write(b"x")
    rows = Dataset("rows", store, codec="jsonl")
    rows.write([{"n": 1}])

    def stream(action):
        out = raw.stream_write()
        out.write(b"x")
        action(out)

    def read(data):
        ds = Dataset(f"p{len(data)}", store, codec="parquet", checksum="none")
        (file,) = ds.write([{"n": 1}]).files
        manifest = ds.latest().manifest_path
        store._files[file.path] = data
        store._files[manifest] = store.get(manifest).replace(
            f'"size_bytes": {file.size_bytes}'.encode(), f'"size_bytes": {len(data)}'.encode()
        )
        Dataset(ds.id, store).read()

    return {
        "NewDataset hive without keys": (
            Invalid, lambda: Dataset("h", store, layout="hive", codec="jsonl").write([{"n": 1}])),
        "NewDatasetReader WithCodec": (
            TypeError, lambda: DatasetReader(store, codec="jsonl")),
        "NewDatasetReader WithChecksum": (
            TypeError, lambda: DatasetReader(store, checksum="md5")),
        "StreamWriteRecords encode error": (
            Invalid, lambda: write_stream(rows, [{"n": math.nan}])),
        "Snapshot empty id": (NotFound, lambda: rows.snapshot("")),
        "Read unknown": (NotFound, lambda: rows.snapshot("1").read()),
        "StreamWriteRecords without codec": (
            Invalid, lambda: write_stream(raw, [{"n": 1}])),
        "Write raw nothing": (Invalid, lambda: raw.write([])),
        "Write hive non-map": (
            Invalid, lambda: Dataset("h", store, partition_by="k", codec="jsonl").write([7])),
        "Commit twice": (Invalid, lambda: stream(lambda s: (s.commit(), s.commit()))),
        "Write after commit": (Invalid, lambda: stream(lambda s: (s.commit(), s.write(b"y")))),
        "Commit after abort": (Invalid, lambda: stream(lambda s: (s.abort(), s.commit()))),
        "NewParquetCodec empty name": (
            SchemaViolation, lambda: Parquet([Field("", "int64")])),
        "NewParquetCodec duplicate": (
            SchemaViolation, lambda: Parquet([Field("a", "int64"), Field("a", "int64")])),
        "parquet Decode PAR1": (InvalidFormat, lambda: read(b"PAR1")),
        "parquet Decode PAR1xxxxPAR1": (InvalidFormat, lambda: read(b"PAR1xxxxPAR1")),
    }  # fmt: skip


def write_stream(ds, records):
    with ds.stream_write_records() as out:
        out.write(records)


NO_COUNTERPART = {
    "NewDataset nil factory",
    "NewDataset nil store",
    "NewDataset nil compressor",
    "StreamWriteRecords nil iterator",
}


def test_what_the_original_refuses_is_refused():
    ours = of_vectors()
    assert {v["what"] for v in vectors()["errors"]} == ours.keys() | NO_COUNTERPART
    for kind, action in ours.values():
        with pytest.raises(kind):
            action()


@pytest.mark.parametrize("case", [c for c in CASES if not c.startswith("parquet")])
def test_writes_that_the_original_refused_are_refused(case):
    views = {view["config"]["dataset_id"]: view for view in dataset_views(case)}
    for call in expected(case)["calls"]:
        if not call.get("error"):
            continue
        store = MemoryStore()
        ds = opened(views[call["dataset_id"]], store, configured=True, read_only=False)
        with pytest.raises(HoldfastError):
            ds.write([unwrap(record) for record in call["records"]])
        assert list(store.list()) == []


def test_keys_of_hive_make_the_paths_of_the_vectors():
    for vector in vectors()["hive_keys"]:
        store = MemoryStore()
        keys = vector["keys"]
        try:
            ds = Dataset("d", store, partition_by=keys, codec="jsonl")
            snapshot = ds.write([dict.fromkeys(keys, "v")])
        except Invalid:
            # A key that stands twice, and one without a name, are refused (§4).
            assert keys in ([""], ["a", "a"])
            continue
        assert snapshot.files[0].path == vector["path"].replace("/ID/", f"/{snapshot.id}/")
        if keys != ["a=b"]:  # a path does not tell where a key with "=" ends
            assert Dataset("d", store).partition_keys == tuple(keys)
