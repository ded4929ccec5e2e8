"""One flipped byte anywhere in a small repository: verify finds it and names the file."""

import multiprocessing

import pytest

import holdfast
from bit_sweep import everything, findings, sweep
from trees import Node, plain, plant

LIMIT = 32 << 10
PROCESSES = 2


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A repository with a bit of everything, closed."""
    work = tmp_path_factory.mktemp("sweep")
    plain(work / "t", a=b"1" * 40)
    plant(work / "t", {b"link": Node("symlink", b"a"), b"empty": Node("directory", mode=0o755)})
    with holdfast.init(work / "repo") as repo:
        repo.ingest(work / "t")
        (work / "t" / "a").write_bytes(b"changed")
        (work / "t" / "link").unlink()
        repo.ingest(work / "t")
        first = repo.ledger.put(b"inline artifact")
        repo.ledger.put_many([bytes([n]) * 50 for n in range(3)], 7)
        repo.ledger.tombstone(first)
        repo.ledger.snapshot()
        repo.ledger.put(b"after the snapshot")
    return work / "repo"


def test_the_repository_fits_has_every_kind_of_file_and_is_clean(small):
    files = everything(small)
    assert sum((small / path).stat().st_size for path in files) <= LIMIT
    assert findings(small) == []
    kinds = {".".join(path.split("/")[-1].split(".")[1:]) for path in files}
    assert {"json", "jsonl", "asl", "blk", "idx", "commits"} <= kinds
    assert {path.split("/")[0] for path in files} == {"holdfast.json", "ledger", "runs"}


def test_any_flipped_byte_is_found_and_the_file_named(small, tmp_path):
    total = sum((small / path).stat().st_size for path in everything(small))
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        parts = pool.starmap(
            sweep, [(str(small), str(tmp_path), n, PROCESSES) for n in range(PROCESSES)]
        )
    assert [miss for _, missed in parts for miss in missed] == []
    assert sum(flipped for flipped, _ in parts) == total
