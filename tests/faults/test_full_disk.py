"""No space: a typed error, nothing acknowledged, and a repository that goes on afterwards."""

import os
import resource
import subprocess
from contextlib import contextmanager

import pytest

import holdfast
from holdfast.errors import NoSpace
from trees import plain


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MiB, and a function that makes it larger."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=3m,mode=755", "tmpfs", str(disk)]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")

    def grow():
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)

    yield disk, grow
    subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def files_of_at_most(size):
    """Writing beyond `size` bytes of a file fails, as a quota makes it fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def sound_and_goes_on(where, source, before):
    """After the failure: nothing lost, nothing left, and the same ingest works."""
    with holdfast.open(where) as repo:
        assert repo.fsck(repair=True).ok
        assert repo.verify().ok
        assert {v.path for v in repo.runs.current_files("t")} == before
        assert list(repo.store.stale_temps()) == []
        report = repo.ingest(source, project="t")
        assert report.ok
        repo.gc()
        assert repo.verify().findings == []


@pytest.mark.parametrize("shape", ["one large file", "many small files"])
def test_a_full_disk_ends_the_ingest_and_loses_nothing(small_disk, tmp_path, shape):
    disk, grow = small_disk
    plain(tmp_path / "first", a=b"1", b=b"2" * 1000)
    if shape == "one large file":
        plain(tmp_path / "t", large=os.urandom(5 << 20))
    else:
        plain(tmp_path / "t", **{f"f{n}": os.urandom(8000) for n in range(600)})
    with holdfast.init(disk / "repo") as repo:
        repo.ingest(tmp_path / "first", project="t")
        with pytest.raises(NoSpace):
            repo.ingest(tmp_path / "t")
    grow()
    sound_and_goes_on(disk / "repo", tmp_path / "t", {b"a", b"b"})


def test_a_full_disk_ends_a_put_and_loses_nothing(small_disk):
    disk, grow = small_disk
    with holdfast.init(disk / "repo") as repo:
        kept = repo.ledger.put(b"kept")
        with pytest.raises(NoSpace):
            repo.ledger.put(os.urandom(5 << 20))
        assert repo.ledger.get(kept) == b"kept"
    grow()
    with holdfast.open(disk / "repo") as repo:
        assert repo.fsck(repair=True).ok
        large = os.urandom(5 << 20)
        assert repo.ledger.get(repo.ledger.put(large)) == large
        assert repo.ledger.get(kept) == b"kept"
        repo.gc()
        assert repo.verify().findings == []


def test_a_file_beyond_the_limit_ends_the_ingest_and_loses_nothing(tmp_path):
    plain(tmp_path / "first", a=b"1")
    plain(tmp_path / "t", small=b"2", too__large=os.urandom(3 << 20))
    with holdfast.init(tmp_path / "repo") as repo:
        repo.ingest(tmp_path / "first", project="t")
        with files_of_at_most(1 << 20), pytest.raises(NoSpace):
            repo.ingest(tmp_path / "t")
    sound_and_goes_on(tmp_path / "repo", tmp_path / "t", {b"a"})


def test_a_full_target_ends_the_restore_and_leaves_nothing(tmp_path):
    plain(tmp_path / "t", small=b"2", large=os.urandom(3 << 20))
    (tmp_path / "out").mkdir()
    with holdfast.init(tmp_path / "repo") as repo:
        repo.ingest(tmp_path / "t")
        with files_of_at_most(1 << 20), pytest.raises(NoSpace):
            repo.restore("t", tmp_path / "out" / "back")
        assert os.listdir(tmp_path / "out") == []
        assert repo.restore("t", tmp_path / "out" / "back").ok
