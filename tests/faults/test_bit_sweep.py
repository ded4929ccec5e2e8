"""One flipped byte anywhere in a small repository: verify finds it and names the file."""

import os

import pytest

import holdfast
from holdfast.errors import HoldfastError
from holdfast.repository import is_rebuildable
from trees import Node, plain, plant

LIMIT = 32 << 10


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A repository with a bit of everything, closed."""
    work = tmp_path_factory.mktemp("sweep")
    plain(work / "t", a=b"1" * 40, sub__b=b"2" * 90)
    plant(work / "t", {b"link": Node("symlink", b"a"), b"empty": Node("directory", mode=0o755)})
    with holdfast.init(work / "repo") as repo:
        repo.ingest(work / "t")
        (work / "t" / "a").write_bytes(b"changed")
        (work / "t" / "link").unlink()
        repo.ingest(work / "t")
        first = repo.ledger.put(b"inline artifact")
        repo.ledger.put_many([bytes([n]) * 50 for n in range(8)], 7)
        repo.ledger.tombstone(first)
        repo.ledger.snapshot()
        repo.ledger.put(b"after the snapshot")
    return work / "repo"


def everything(root):
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), root)
            if not is_rebuildable(path):
                found.append(path)
    return sorted(found)


def findings(root):
    """What opening and checking says: (path or target, message) of each finding or error."""
    try:
        with holdfast.open(root, read_only=True) as repo:
            return [(f.path, f.message) for f in repo.verify().findings]
    except HoldfastError as error:
        return [(error.target or "", str(error))]


def test_the_repository_fits_and_is_clean(small):
    files = everything(small)
    assert sum((small / path).stat().st_size for path in files) <= LIMIT
    assert findings(small) == []
    areas = {path.split("/")[0] for path in files}
    assert areas == {"holdfast.json", "ledger", "runs"}


def test_any_flipped_byte_is_found_and_the_file_named(small):
    missed = []
    for path in everything(small):
        file = os.path.join(small, path)
        os.chmod(file, 0o644)
        with open(file, "rb") as opened:
            whole = opened.read()
        for at in range(len(whole)):
            with open(file, "r+b", buffering=0) as opened:
                opened.seek(at)
                opened.write(bytes([whole[at] ^ (1 << at % 8)]))
            found = findings(small)
            if not any(path in named or path in message for named, message in found):
                missed.append((path, at, found))
            with open(file, "r+b", buffering=0) as opened:
                opened.seek(at)
                opened.write(whole[at : at + 1])
    assert missed == []
    assert findings(small) == []
