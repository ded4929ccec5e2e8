"""A repository that somebody sent: files of other kinds than written, links that lead out of it,
records that hold together and say nonsense. Typed errors only, no wait, nothing outside touched."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast
from holdfast import canonical_json
from holdfast.errors import HoldfastError, Invalid, ManifestInvalid, Unsupported
from holdfast.runs import projects
from holdfast.runs.journal import Batch, Position, encode_batch, parse
from holdfast.runs.model import Source

SPARSE = 1 << 40
MEMORY = 1 << 30


@pytest.fixture(autouse=True)
def bounds() -> Iterator[None]:
    """No wait without end, and no more than 1 GiB of memory: both end as failures."""

    def late(*_: object) -> None:
        raise AssertionError("it waits")

    before = resource.getrlimit(resource.RLIMIT_AS)
    old = signal.signal(signal.SIGALRM, late)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    signal.alarm(60)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("golden")
    source = root / "source"
    source.mkdir()
    (source / "a.txt").write_bytes(b"first")
    os.symlink("a.txt", source / "link")
    with holdfast.init(root / "repo") as repo:
        repo.ingest(source, project="proj")
        (source / "a.txt").write_bytes(b"second")
        repo.ingest(source, project="proj")
        repo.ledger.put_many([b"packed %d" % i for i in range(20)])
        repo.ledger.snapshot()
        repo.ledger.put(b"inline")
    return root


@pytest.fixture
def repo(golden: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(golden / "repo", tmp_path / "repo", symlinks=True))


def use_all(root: Path, source: Path, target: Path) -> list[HoldfastError]:
    """Everything that reads, then everything that writes; the errors."""
    errors: list[HoldfastError] = []

    def attempt(read_only: bool, work: object) -> None:
        try:
            with holdfast.open(root, read_only=read_only) as repo:
                work(repo)  # type: ignore[operator]
        except HoldfastError as error:
            errors.append(error)

    ref = "asl1:0001:" + holdfast.Reference(1, hashlib.sha256(b"none").digest()).digest.hex()
    missing = holdfast.Reference.parse(ref)
    for work in (
        lambda r: r.status(),
        lambda r: r.runs.current_files("proj"),
        lambda r: [r.ledger.get(found) for found in packed_and_inline()],
        lambda r: r.ledger.exists(missing),
        lambda r: list(r.ledger.commits()),
        lambda r: r.restore("proj", target),
        lambda r: r.verify(),
    ):
        attempt(True, work)
        shutil.rmtree(target, ignore_errors=True)
    for work in (
        lambda r: r.fsck(repair=True),
        lambda r: r.ledger.put(b"more"),
        lambda r: r.ingest(source, project="proj"),
        lambda r: r.ledger.snapshot(),
        lambda r: r.gc(),
    ):
        attempt(False, work)
    assert all("\n" not in str(error) for error in errors)
    return errors


def packed_and_inline() -> list[holdfast.Reference]:
    from holdfast.ledger.artifact import reference_of

    return [reference_of(b"packed 3"), reference_of(b"inline")]


FILES = (
    "holdfast.json",
    "cache/segments.json",
    "ledger/log/head",
    "ledger/log/*.asl",
    "ledger/log/*.commits",
    "ledger/blocks/sealed/*/*.blk",
    "ledger/index/*/*.idx",
    "ledger/snapshots/*.json",
    "locks/ledger.lock",
    "locks/ledger-writers.lock",
    "locks/projects/proj.lock",
    "runs/metadata.duckdb",
    "runs/proj/project.json",
    "runs/proj/*_001_*/claim",
    "runs/proj/*_001_*/journal.jsonl",
    "runs/proj/*_001_*/run.json",
    "runs/proj/*_001_*/raw_source/a.txt",
)


def place(root: Path, pattern: str) -> Path:
    found = sorted(root.glob(pattern))
    return found[0] if found else root / pattern


@pytest.mark.parametrize("pattern", FILES)
def test_a_pipe_in_the_place_of_a_file_makes_nobody_wait(golden, repo, tmp_path, pattern):
    path = place(repo, pattern)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    use_all(repo, golden / "source", tmp_path / "out")


@pytest.mark.parametrize("name", ["metadata.duckdb", "metadata.duckdb.wal"])
@pytest.mark.parametrize("kind", ["pipe", "link", "dangling", "folder"])
def test_the_derived_index_is_built_anew_in_the_place_of_what_is_no_file(
    repo, tmp_path, name, kind
):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    path = repo / "runs" / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        os.symlink(outside / ("precious" if kind == "link" else "new"), path)
    with holdfast.open(repo) as opened:
        try:
            assert opened.runs.index.query("SELECT count(*) FROM runs") == [(2,)]
        except HoldfastError:
            assert kind == "folder"
    assert {p.name: p.read_bytes() for p in outside.iterdir()} == {"precious": b"precious"}


READ_WHOLE = ("cache/*.json", "ledger/snapshots/*.json", "runs/proj/*.json", "holdfast.json")
READ_WHOLE += tuple(f"runs/proj/*_001_*/{name}" for name in ("claim", "journal.jsonl", "run.json"))
"""Everything else is read a piece at a time."""


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("pattern", READ_WHOLE)
def test_a_file_of_a_tebibyte_takes_no_memory(golden, repo, tmp_path, pattern, whole):
    path = place(repo, pattern)
    if whole:
        path.unlink()
    with open(path, "ab") as file:
        file.truncate(SPARSE)
    use_all(repo, golden / "source", tmp_path / "out")


@pytest.mark.parametrize("pattern", FILES)
def test_a_link_in_the_place_of_a_file_is_not_followed(golden, repo, tmp_path, pattern):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    path = place(repo, pattern)
    path.unlink(missing_ok=True)
    os.symlink(outside / ("precious" if FILES.index(pattern) % 2 else "new"), path)
    use_all(repo, golden / "source", tmp_path / "out")
    assert {p.name: p.read_bytes() for p in outside.iterdir()} == {"precious": b"precious"}


@pytest.mark.parametrize(
    "folder",
    [
        *("cache", "ledger", "ledger/log", "ledger/log/cut", "ledger/blocks", "ledger/index"),
        *("ledger/snapshots", "locks", "locks/projects", "locks/runs", "runs", "runs/proj"),
    ],
)
def test_a_link_in_the_place_of_a_folder_is_not_followed(golden, repo, tmp_path, folder):
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("ledger.lock", "segments.json", "precious"):
        (outside / name).write_bytes(b"precious")
    shutil.rmtree(repo / folder, ignore_errors=True)
    os.symlink(outside, repo / folder)
    use_all(repo, golden / "source", tmp_path / "out")
    assert {p.name: p.read_bytes() for p in outside.iterdir()} == dict.fromkeys(
        ["ledger.lock", "precious", "segments.json"], b"precious"
    )


def rewrite(journal: Path, change: object) -> None:
    """Write a journal anew whose chain is right, each batch after `change`."""
    batches = parse(journal.read_bytes()).batches
    position, data = Position(), b""
    for batch in batches:
        change(batch)  # type: ignore[operator]
        more, position = encode_batch(
            position,
            batch.order,
            begin=batch.begin,
            files=batch.files,
            marks=batch.marks,
            artifacts=batch.artifacts,
            end=batch.end,
        )
        data += more
    journal.write_bytes(data)


def lines(**values: object) -> object:
    def change(batch: Batch) -> None:
        batch.files = [msgspec.structs.replace(line, **values) for line in batch.files]

    return change


NONSENSE = [
    {"path": "../../outside/x"},
    {"path": "/tmp/x"},
    {"path": "a/../../x"},
    {"path": ""},
    {"path": "nul\0"},
    {"path": "x", "path_b64": "!!"},
    {"stored": "../../outside/precious"},
    {"stored": "/etc/hostname"},
    {"stored": "proj/../../../outside/precious"},
    {"stored": "nul\0"},
    {"stored": ""},
    {"kind": "device"},
    {"kind": "symlink", "target": None},
    {"kind": "symlink", "target": ""},
    {"kind": "symlink", "target": "nul\0"},
    {"kind": "symlink", "target": "x", "target_b64": "!!"},
    {"kind": "symlink", "target": "x" * 5000},
    {"outcome": "stolen"},
    {"size": -1},
    {"size": 2**63},
    {"size": 2**80},
    {"mtime_ns": "yesterday"},
    {"mtime_ns": "9" * 24},
    {"mtime_ns": "-" + "9" * 24},
    {"mode": 2**70},
    {"mode": -1},
    {"sha256": "x"},
    {"sha256": None},
    {"file_id": None},
]


@pytest.mark.parametrize("values", NONSENSE, ids=lambda v: ",".join(map(repr, v.items()))[:60])
def test_lines_that_say_nonsense_lead_nowhere(golden, repo, tmp_path, values):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    for journal in sorted(repo.glob("runs/proj/*/journal.jsonl")):
        rewrite(journal, lines(**values))
        (journal.parent / "run.json").unlink()
    use_all(repo, golden / "source", tmp_path / "out")
    assert sorted(p.name for p in outside.iterdir()) == ["precious"]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "out") == ["outside", "repo"]


def test_a_run_that_names_itself_as_the_one_before_ends(golden, repo, tmp_path):
    """Parents in a circle, none announced: whoever announces them must not go round for ever."""
    journals = sorted(repo.glob("runs/proj/*/journal.jsonl"))
    ids = [parse(j.read_bytes()).batches[0].begin.run_id for j in journals]
    for journal, parent in zip(journals, reversed(ids), strict=True):

        def change(batch: Batch, parent: str = parent) -> None:
            if batch.end is not None:
                batch.end = msgspec.structs.replace(batch.end, parent=parent)

        rewrite(journal, change)
        (journal.parent / "run.json").unlink()
    shutil.rmtree(repo / "ledger")
    use_all(repo, golden / "source", tmp_path / "out")


@pytest.mark.parametrize(
    "values",
    [
        {"folder": "../../outside"},
        {"folder": "/tmp"},
        {"folder": "other"},
        {"folder": "archive"},
        {"folder": "a/b"},
        {"folder": ""},
        {"folder": "nul\0"},
        {"id": "../x"},
        {"name": ""},
        {"name": "../x"},
        {"name": "x" * 300},
    ],
)
def test_a_projects_file_that_names_another_place_is_refused(golden, repo, tmp_path, values):
    file = repo / "runs/proj/project.json"
    value = {**canonical_json.loads(file.read_bytes()), **values}
    del value["sha256"]
    digest = hashlib.sha256(canonical_json.dumps(value)).hexdigest()
    file.write_bytes(canonical_json.dumps({**value, "sha256": digest}))
    errors = use_all(repo, golden / "source", tmp_path / "out")
    assert any(isinstance(error, ManifestInvalid) for error in errors)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "out") == ["repo"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(1, 255))
def test_a_mutated_projects_file_is_refused_with_a_typed_error(at, flip):
    right = projects.encode(
        projects.Project("227a9aad-c897-471e-920f-365ab7dcd499", "p", "p", "2026-01-02", "d")
    )
    assert projects.decode(right).folder == "p"
    wrong = bytearray(right)
    wrong[at % len(right)] ^= flip
    with pytest.raises((ManifestInvalid, Unsupported)):
        projects.decode(bytes(wrong))
    with pytest.raises(ManifestInvalid):
        projects.decode(right[: at % len(right)])


@pytest.mark.parametrize("claim", [b"../../../x\n", b"/x\n", b"a/b\n", b"", b"x" * 500, b"\xff\n"])
def test_a_claim_that_is_none_takes_no_lease_and_ends_no_run(golden, repo, tmp_path, claim):
    run = next(iter(sorted(repo.glob("runs/proj/*_001_*"))))
    (run / "run.json").unlink()
    (run / "claim").write_bytes(claim)
    before = sorted(p.name for p in (repo / "locks/runs").iterdir())
    with holdfast.open(repo) as opened:
        opened.fsck(repair=True)
    assert not (run / "run.json").exists()
    assert sorted(p.name for p in (repo / "locks/runs").iterdir()) == before
    assert not (tmp_path / "x.lock").exists()


def test_a_claim_with_the_id_of_another_run_ends_no_run(repo):
    first, second = sorted(repo.glob("runs/proj/*_00[12]_*"))
    (first / "run.json").unlink()
    (first / "claim").write_bytes((second / "claim").read_bytes())
    with holdfast.open(repo) as opened:
        opened.fsck(repair=True)
    assert not (first / "run.json").exists()


@pytest.mark.parametrize(
    "values",
    [
        {"inputs": [".."]},
        {"inputs": ["commit:0"]},
        {"inputs": ["\ud800"]},
        {"instructions": "\ud800"},
        {"source": Source("folder", "\ud800")},
        {"source": Source("folder", "x", "\ud800")},
    ],
)
def test_a_run_that_no_record_can_tell_of_is_not_begun(golden, repo, tmp_path, values):
    with holdfast.open(repo) as opened, pytest.raises(Invalid):
        opened.runs.begin("proj", "act", **values)
    assert use_all(repo, golden / "source", tmp_path / "out") == []
