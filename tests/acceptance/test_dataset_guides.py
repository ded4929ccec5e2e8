"""The guides to datasets and volumes do what they say; what they list is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.documents import ROOT, check, steps
from holdfast import Dataset, FileSystemStore

GUIDES = ROOT / "docs/guide"
NAMES = (
    *("datasets.md", "volumes.md", "dataset-stream-or-volume.md"),
    *("portable-reader.md", "other-tools.md"),
)


@pytest.mark.parametrize("name", NAMES)
def test_the_programs_of_a_guide_print_what_it_says(name, tmp_path):
    assert check(GUIDES / name, tmp_path) > 0


READER = next(s.source for s in steps(GUIDES / "portable-reader.md") if "def latest" in s.source)
FUNCTIONS = READER.partition("\nroot = ")[0]
ASK = """
import sys
assert not {"holdfast", "pyarrow"} & sys.modules.keys()
root = pathlib.Path(sys.argv[1])
found = list(read(root, latest(root, sys.argv[2])))
print(json.dumps([x.hex() if isinstance(x, bytes) else x for x in found]))
"""


def read_without_holdfast(store, name):
    # -S: no package can be imported.
    command = [sys.executable, "-I", "-S", "-c", FUNCTIONS + ASK, store.root, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_portable_reader_has_twenty_lines():
    assert len([line for line in FUNCTIONS.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize("layout", ["default", "hive", "flat"])
@pytest.mark.parametrize("compressor", ["none", "gzip"])
def test_the_portable_reader_reads_records_in_every_layout(layout, compressor, tmp_path):
    store = FileSystemStore(str(tmp_path))
    keys = "k" if layout == "hive" else None
    dataset = Dataset(
        "d", store, layout=layout, partition_by=keys, codec="jsonl", compressor=compressor
    )
    dataset.write([{"k": "a", "n": 0}])
    assert read_without_holdfast(store, "d") == [{"k": "a", "n": 0}]
    dataset.append([{"k": "b", "n": 1.5}, {"k": "a", "n": "x<y"}])
    assert sorted(read_without_holdfast(store, "d"), key=str) == sorted(dataset.read(), key=str)
    dataset.write([])
    assert read_without_holdfast(store, "d") == []


@pytest.mark.parametrize("layout", ["default", "flat"])
def test_the_portable_reader_reads_blobs_and_files_of_parquet(layout, tmp_path):
    import pyarrow as pa

    store = FileSystemStore(str(tmp_path))
    Dataset("blob", store, layout=layout, checksum="md5").write(b"\x00\xff")
    assert read_without_holdfast(store, "blob") == ["00ff"]
    table = Dataset("table", store, layout=layout)
    table.write(pa.table({"n": [1, 2]}))
    (data,) = read_without_holdfast(store, "table")
    assert bytes.fromhex(data) == table.latest().open().read()


def test_the_portable_reader_passes_over_a_snapshot_that_stands_in_for_a_dead_writer(tmp_path):
    store = FileSystemStore(str(tmp_path))
    dataset = Dataset("d", store, codec="jsonl")
    first = dataset.write([{"n": 1}])
    dead = str(int(first.id) + 1)
    store.compare_and_swap("datasets/d/latest", first.id.encode(), dead.encode())
    list(Dataset("d", store).repair())
    assert Dataset("d", store).snapshot(dead).manifest.mark == "healed"
    assert read_without_holdfast(store, "d") == [{"n": 1}]


def test_the_portable_reader_refuses_a_flipped_bit(tmp_path):
    store = FileSystemStore(str(tmp_path))
    snapshot = Dataset("d", store, codec="jsonl").write([{"n": 1}])
    file = tmp_path / snapshot.files[0].path
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    with pytest.raises(subprocess.CalledProcessError) as error:
        read_without_holdfast(store, "d")
    assert "AssertionError" in error.value.stderr


EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_use_public_names_only(example):
    text = example.read_text()
    assert not re.search(r"(?:from|import) holdfast\.(?!interop\b|testing\b)", text)
    assert not re.search(r"\._\w", text)


def test_there_is_an_example_for_each_way_of_use():
    ways = {
        *("dataset_write_list_read", "blob_upload", "discover_by_manifests", "hive_partitions"),
        *("stream_large", "volume_sparse"),
    }
    assert ways <= {example.stem for example in EXAMPLES}
    listed = (ROOT / "examples/README.md").read_text()
    assert [example.name for example in EXAMPLES if f"({example.name})" not in listed] == []


INSIDE = {
    *("chain", "codec_of", "commit_blocks", "give_up", "index", "kept_form", "options", "places"),
    *("settle", "source", "verified", "verify_reads", "writer"),
}
"""Names without an underscore that only other parts of Holdfast use."""


def test_api_md_names_everything_that_can_be_given_to_and_asked_of_datasets_and_volumes():
    import inspect

    import holdfast
    from holdfast import interop

    text = (ROOT / "docs/api.md").read_text()
    known = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    wanted = set(interop.__all__)
    for public in (
        *(holdfast.Dataset, holdfast.DatasetSnapshot, holdfast.DatasetReader),
        *(holdfast.Volume, holdfast.VolumeSnapshot, holdfast.BlockRef, holdfast.ManifestRef),
    ):
        wanted |= {name for name in dir(public) if not name.startswith("_")}
    for function in (
        *(holdfast.Dataset.__init__, holdfast.Dataset.write, holdfast.Dataset.scan),
        *(holdfast.Dataset.apply_retention, holdfast.DatasetReader.__init__),
        *(holdfast.Jsonl, holdfast.Parquet, holdfast.Field, holdfast.Volume.__init__),
        *(holdfast.Volume.commit, holdfast.Volume.read_at),
    ):
        wanted |= inspect.signature(function).parameters.keys() - {"self"}
    assert sorted(wanted - known - INSIDE) == []


PAGES = [
    *(GUIDES / name for name in NAMES),
    *(ROOT / "docs/spec" / name for name in ("datasets.md", "volumes.md")),
    *sorted((ROOT / "docs/spec/contracts").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_of_datasets_calls_what_is_there_planned(page):
    assert not re.search(r"\b(planned|draft|TODO|not yet|to come)\b", page.read_text(), re.I)


CONTRACTS = ROOT / "docs/spec/contracts"
REFERENCE = re.compile(r"`((?:\w+/)+test_\w+\.py)::(\w+)`")
CLAUSE = re.compile(r"^(?:- )?\*\*([A-Z]\d+)\*\*", re.MULTILINE)
LISTS = [CONTRACTS / "README.md", ROOT / "docs/seed-datasets.md"]


def references(page: Path) -> set[tuple[str, str]]:
    """The tests that a page names: `folder/test_file.py::name`, below `tests/`, without the
    ``test_`` of the name."""
    return set(REFERENCE.findall(page.read_text()))


def names_in(file: Path) -> set[str]:
    return set(re.findall(r"^\s*(?:async )?def test_(\w+)\(", file.read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", LISTS, ids=lambda page: page.name)
def test_every_test_that_a_list_names_is_there(page):
    named = references(page)
    assert len(named) > 50
    # The suites that several stores inherit are not in a file of tests.
    testing = ROOT / "src/holdfast/testing"
    suites = names_in(testing / "store_contract.py") | names_in(testing / "stream_contract.py")
    suites |= names_in(ROOT / "tests/object_store_behaviour.py")
    inherit = {
        "contracts/test_store_contract.py": suites,
        "s3/test_object_store_on_ceph.py": suites,
        "store/test_object_store.py": suites,
    }
    missing = [
        f"{file}::{name}"
        for file, name in sorted(named)
        if not (ROOT / "tests" / file).exists()
        or name not in names_in(ROOT / "tests" / file) | inherit.get(file, set())
    ]
    assert not missing


def test_the_matrix_has_every_clause_of_the_contracts_and_no_other():
    clauses: list[str] = []
    for page in sorted(CONTRACTS.glob("*.md")):
        if page.name != "README.md":
            clauses += CLAUSE.findall(page.read_text())
    assert len(clauses) == len(set(clauses)) > 50
    rows = dict(
        re.findall(r"^\| ([A-Z]\d+) \|(.*)\|$", (CONTRACTS / "README.md").read_text(), re.M)
    )
    assert rows.keys() == set(clauses)
    assert [clause for clause, row in rows.items() if not REFERENCE.search(row)] == []
