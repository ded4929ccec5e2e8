from __future__ import annotations

import errno
import os

import pytest

from holdfast.errors import NotFound, PathExists, StorageFailure
from holdfast.store.calls import OsCalls
from holdfast.store.durable import (
    create_file,
    make_folders,
    read_all_at,
    read_file,
    replace_file,
    sync_folder,
    write_all,
)
from holdfast.testing.faults import Fault, FaultyCalls


@pytest.fixture
def calls():
    return FaultyCalls(OsCalls())


@pytest.mark.parametrize("short", [None, 1, 3, 1000])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"0123456789",
        bytearray(b"xyz"),
        memoryview(b"abcdefgh").cast("I"),
        memoryview(b"0123456789")[::2],
    ],
)
def test_everything_is_written_however_short_each_write_is(tmp_path, short, data):
    calls = FaultyCalls(OsCalls(), short_writes=short)
    create_file(calls, str(tmp_path / "a"), data)
    assert (tmp_path / "a").read_bytes() == bytes(data)


def test_a_write_that_writes_nothing_does_not_loop_for_ever():
    class Full(OsCalls):
        def write(self, fd, data):
            return 0

    with pytest.raises(OSError) as caught:
        write_all(Full(), 1, b"x")
    assert caught.value.errno == errno.EIO


def test_short_reads_are_continued_to_the_end(tmp_path):
    class Short(OsCalls):
        def read_at(self, fd, size, offset):
            return os.pread(fd, min(size, 3), offset)

    (tmp_path / "a").write_bytes(b"0123456789")
    fd = os.open(tmp_path / "a", os.O_RDONLY)
    try:
        assert read_all_at(Short(), fd, 8, 1) == b"12345678"
        assert read_all_at(Short(), fd, 100, 4) == b"456789"
        assert read_all_at(Short(), fd, 5, 10) == b""
        assert read_all_at(Short(), fd, 0, 0) == b""
    finally:
        os.close(fd)
    assert read_file(Short(), str(tmp_path / "a")) == b"0123456789"


def test_create_refuses_an_existing_file_and_replace_takes_its_place(calls, tmp_path):
    path = str(tmp_path / "a")
    create_file(calls, path, b"one")
    with pytest.raises(PathExists):
        create_file(calls, path, b"two")
    assert read_file(calls, path) == b"one"
    replace_file(calls, path, b"three")
    assert read_file(calls, path) == b"three"
    assert os.listdir(tmp_path) == ["a"]


def test_replace_makes_a_file_that_was_not_there(calls, tmp_path):
    replace_file(calls, str(tmp_path / "a"), b"1")
    assert read_file(calls, str(tmp_path / "a")) == b"1"


@pytest.mark.parametrize("write", [create_file, replace_file])
def test_a_missing_folder_is_not_found(calls, tmp_path, write):
    with pytest.raises(NotFound):
        write(calls, str(tmp_path / "no" / "a"), b"")


@pytest.mark.parametrize("write", [create_file, replace_file])
def test_bytes_then_name_then_folder(calls, tmp_path, write):
    path = str(tmp_path / "a")
    write(calls, path, b"1")
    order = [
        (op, "temp" if ".hf-" in at else os.path.relpath(at, tmp_path))
        for op, at in calls.log
        if op in ("write", "fsync", "link", "rename", "unlink")
    ]
    name = [("link", "a"), ("unlink", "temp")] if write is create_file else [("rename", "a")]
    assert order == [("write", "temp"), ("fsync", "temp"), *name, ("fsync", ".")]


def test_each_new_folder_is_synced_in_the_one_above(calls, tmp_path):
    make_folders(calls, str(tmp_path / "a" / "b" / "c"))
    synced = [os.path.relpath(at, tmp_path) for op, at in calls.log if op == "fsync"]
    assert synced == ["..", ".", "a", "a/b"]
    calls.reset()
    make_folders(calls, str(tmp_path / "a" / "b" / "c"))
    assert [os.path.relpath(at, tmp_path) for op, at in calls.log if op == "fsync"] == ["a/b"]


def test_a_folder_above_that_may_not_be_read_is_passed_over(calls, tmp_path):
    calls.fail(Fault(errno.EACCES, op="open", ever_after=True))
    make_folders(calls, str(tmp_path))
    with pytest.raises(Exception, match="EACCES"):
        make_folders(calls, str(tmp_path / "new"))


def test_a_failing_folder_sync_is_a_storage_failure(calls, tmp_path):
    calls.fail(Fault(errno.EIO, op="fsync"))
    with pytest.raises(StorageFailure, match="EIO"):
        sync_folder(calls, str(tmp_path))


def test_an_interrupt_leaves_no_temporary_file(tmp_path):
    class Interrupted(OsCalls):
        def fsync(self, fd):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_file(Interrupted(), str(tmp_path / "a"), b"1")
    assert os.listdir(tmp_path) == []
