"""Reading: what changes meanwhile is noticed, and nothing is copied without need."""

import hashlib
import os

import pytest

import holdfast
from holdfast.ingest.read import CHANGED, Reader
from holdfast.ingest.walk import File, Folder, Skip
from trees import plain

LARGE = (1 << 20) + 7


@pytest.fixture
def run(tmp_path):
    with holdfast.init(tmp_path / "repo") as repo:
        run = repo.runs.begin("p", "test")
        yield run
        run.fail("test ends")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "source").mkdir()
    opened = Folder(os.open(tmp_path / "source", os.O_RDONLY))
    yield opened
    opened.release()


def meddle(times, act):
    """A read that lets `act` happen after each of the first `times` reads."""
    left = [times]

    def read(fd, size):
        data = os.read(fd, size)
        if left[0]:
            left[0] -= 1
            act()
        return data

    return read


@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_a_quiet_file_is_taken_with_size_digest_mode_and_time(run, folder, tmp_path, size):
    data = os.urandom(size)
    plain(tmp_path / "source", f=data)
    taken = Reader(run).take(File(b"f", folder, b"f"))
    entry = taken.entry
    assert (entry.size, entry.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert (entry.mode, entry.mtime_ns, entry.error) == (0o644, 1_700_000_000_123_456_789, None)
    assert taken.bytes_read == size


@pytest.mark.parametrize("size", [100, LARGE])
def test_a_file_that_changes_once_is_read_again(run, folder, tmp_path, size):
    plain(tmp_path / "source", f=b"a" * size)
    path = tmp_path / "source" / "f"
    read = meddle(1, lambda: path.write_bytes(b"b" * size))
    entry = Reader(run, read=read).take(File(b"f", folder, b"f")).entry
    assert entry.sha256 == hashlib.sha256(b"b" * size).hexdigest()


@pytest.mark.parametrize("size", [100, LARGE])
@pytest.mark.parametrize("change", [b"", b"same length", b"longer"])
def test_a_file_that_always_changes_is_reported(run, folder, tmp_path, size, change):
    plain(tmp_path / "source", f=b"a" * size)
    path = tmp_path / "source" / "f"
    contents = {b"": b"", b"same length": b"a" * size, b"longer": b"a" * (size + 1)}

    def act():
        path.write_bytes(contents[change])
        if change == b"longer":
            path.write_bytes(b"a" * size)

    entry = Reader(run, read=meddle(10**6, act)).take(File(b"f", folder, b"f")).entry
    assert entry.error == CHANGED
    assert (entry.stored, entry.sha256) == (None, None)


def test_a_file_replaced_while_it_is_read_is_read_again(run, folder, tmp_path):
    plain(tmp_path / "source", f=b"old", other=b"new!")
    path = tmp_path / "source" / "f"
    other = tmp_path / "source" / "other"
    read = meddle(1, lambda: other.exists() and other.rename(path))
    entry = Reader(run, read=read).take(File(b"f", folder, b"f")).entry
    assert entry.sha256 == hashlib.sha256(b"new!").hexdigest()


def test_a_file_deleted_before_it_is_read_is_skipped(run, folder):
    skip = Reader(run).take(File(b"f", folder, b"f"))
    assert isinstance(skip, Skip)
    assert skip.unseen


def test_a_file_swapped_for_a_symlink_is_not_followed(run, folder, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "source" / "f").symlink_to(tmp_path / "secret")
    skip = Reader(run).take(File(b"f", folder, b"f"))
    assert isinstance(skip, Skip)


def test_a_file_swapped_for_a_pipe_does_not_hang(run, folder, tmp_path):
    os.mkfifo(tmp_path / "source" / "f")
    skip = Reader(run).take(File(b"f", folder, b"f"))
    assert isinstance(skip, Skip)
    assert skip.reason == "a named pipe"


def test_short_reads_are_put_together(run, folder, tmp_path):
    plain(tmp_path / "source", f=b"0123456789" * 100)
    reader = Reader(run, read=lambda fd, size: os.read(fd, min(size, 7)))
    entry = reader.take(File(b"f", folder, b"f")).entry
    assert entry.sha256 == hashlib.sha256(b"0123456789" * 100).hexdigest()


def test_a_failing_disk_is_an_error_of_that_file(run, folder, tmp_path):
    plain(tmp_path / "source", f=b"x")

    def broken(fd, size):
        raise OSError(5, os.strerror(5))

    entry = Reader(run, read=broken).take(File(b"f", folder, b"f")).entry
    assert entry.error == "Input/output error [EIO]"


def test_the_access_time_of_an_own_file_stays(run, folder, tmp_path):
    plain(tmp_path / "source", f=b"x")
    os.utime(tmp_path / "source" / "f", ns=(1, 2 * 10**9))
    Reader(run).take(File(b"f", folder, b"f"))
    assert os.stat(tmp_path / "source" / "f").st_atime_ns == 1
