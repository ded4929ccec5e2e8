"""Volumes against writers, interruptions, sources and manifests that mean no good."""

from __future__ import annotations

import os
import re
import socket
import threading
from contextlib import contextmanager

import pytest

from holdfast.errors import Conflict, Denied, Invalid, NotFound, StorageFailure
from holdfast.volumes import url_source
from holdfast.volumes.blocks import Range
from holdfast.volumes.importing import import_into
from holdfast.volumes.sources import open_source
from holdfast.volumes.url_source import UrlSource, check_public
from volumes_support import MIB, make_store, new_volume, patterned

on_stores_with_leases = pytest.mark.parametrize("kind", ["memory", "files"])


@on_stores_with_leases
def test_a_block_that_waits_for_its_commit_is_not_replaced_by_its_own_volume(kind, tmp_path):
    for size in (5, MIB + 5):
        volume = new_volume(make_store(kind, tmp_path / str(size)))
        block = volume.stage_write_at(0, patterned(size, seed=1))
        with pytest.raises(Conflict, match=f"0-{size}.bin"):
            volume.stage_write_at(0, patterned(size, seed=2))
        volume.commit([block])
        assert volume.read_at(0, size) == patterned(size, seed=1)


@on_stores_with_leases
def test_a_block_that_its_volume_gave_up_may_be_replaced(kind, tmp_path):
    volume = new_volume(make_store(kind, tmp_path))
    volume.give_up([volume.stage_write_at(0, b"first")])
    volume.commit([volume.stage_write_at(0, b"other")])
    assert volume.read_at(0, 5) == b"other"


@on_stores_with_leases
@pytest.mark.parametrize("checksum", ["sha256", "md5"])
def test_a_block_is_not_committed_once_other_bytes_lie_in_its_place(kind, checksum, tmp_path):
    store = make_store(kind, tmp_path)
    with new_volume(store, checksum=checksum) as gone:
        block = gone.stage_write_at(0, b"first")
    volume = new_volume(store, checksum=checksum)
    other = volume.stage_write_at(0, b"other")
    for committer in (gone, new_volume(store, checksum=checksum)):
        with pytest.raises(Conflict, match=r"committing the block .*0-5\.bin"):
            committer.commit([block])
    volume.commit([other])
    assert volume.read_at(0, 5) == b"other"


@on_stores_with_leases
def test_a_block_that_another_process_staged_is_committed_here(kind, tmp_path):
    store = make_store(kind, tmp_path)
    with new_volume(store) as gone:
        block = gone.stage_write_at(0, patterned(MIB + 5))
    volume = new_volume(store)
    volume.commit([block])
    assert volume.read_at(0, MIB + 5) == patterned(MIB + 5)


def test_a_block_that_was_without_its_lease_for_a_moment_is_read_again_before_its_commit():
    store = make_store("memory", None)
    store.put("volumes/disk/data/0-5.bin", b"other")
    volume = new_volume(store)
    block = volume.stage_write_at(100, b"mine")
    cleared = volume.stage_write_at(0, b"hello")  # which lets the lease go, and takes it again
    store.delete(block.path)
    store.put(block.path, b"evil")
    with pytest.raises(Conflict, match=r"100-4\.bin"):
        volume.commit([block, cleared])
    volume.commit([cleared])


def test_a_stager_that_was_interrupted_while_it_waited_for_the_others_can_go_on(monkeypatch):
    store = make_store("memory", None)
    store.put("volumes/disk/data/0-5.bin", b"other")
    volume = new_volume(store)
    volume.stage_write_at(50, b"here")
    stager = volume._made

    def interrupted(test, timeout=None):
        if not test():
            raise KeyboardInterrupt
        return True

    with stager.using(), monkeypatch.context() as patched:  # another thread at work
        patched.setattr(stager._changed, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt):
            volume.stage_write_at(0, b"hello")
    staged = []
    thread = threading.Thread(
        target=lambda: staged.append(volume.stage_write_at(0, b"hello")), daemon=True
    )
    thread.start()
    thread.join(10)
    volume.commit(staged)
    assert volume.read_at(0, 5) == b"hello"


def test_a_block_whose_file_is_gone_is_named():
    store = make_store("memory", None)
    volume = new_volume(store)
    block = volume.stage_write_at(0, b"hello")
    store.delete(block.path)
    with pytest.raises(NotFound, match=r"0-5\.bin"):
        volume.commit([block])


@pytest.mark.parametrize("number", [1.0, True, "1", None, [1]])
def test_ranges_are_of_whole_numbers(number):
    store = make_store("memory", None)
    volume = new_volume(store)
    for use in (
        lambda: volume.stage_write_at(number, b"hello"),
        lambda: volume.read_at(number, 1),
        lambda: volume.missing_ranges(number),
        lambda: volume.missing_ranges(0, number or 1.5),
        lambda: new_volume(store, total_length=number or 0),
    ):
        volume.commit([volume.stage_write_at(len(volume.chain.ids()), b"h")])
        with pytest.raises(Invalid):
            use()


def test_ranges_of_numpy_integers_are_those_of_integers():
    import numpy

    volume = new_volume(make_store("memory", None), total_length=2**63 - 1)
    last = numpy.int64(2**63 - 3)
    volume.commit([volume.stage_write_at(last, b"zz")])
    assert volume.read_at(last, numpy.int8(2)) == b"zz"
    assert volume.missing_ranges(numpy.int64(0)) == [Range(0, 2**63 - 3)]
    with pytest.raises(Invalid, match="outside"):
        volume.read_at(last, numpy.int64(10))


@pytest.mark.parametrize("data", [[1], [b"a", None], ["text"], "text", None, 5])
def test_what_is_no_bytes_is_not_staged(data):
    volume = new_volume(make_store("memory", None))
    with pytest.raises(Invalid, match="bytes"):
        volume.stage_write_at(0, data)


# Imports


def test_an_import_over_bytes_of_somebody_else_is_a_conflict_unless_they_are_the_same(tmp_path):
    (tmp_path / "a").write_bytes(b"A" * 100)
    (tmp_path / "b").write_bytes(b"B" * 50)
    store = make_store("memory", None)
    volume = new_volume(store)
    volume.commit([volume.stage_write_at(10, b"A" * 20)])
    report = import_into(volume, tmp_path / "a", piece=7)
    assert (report.bytes_read, report.bytes_kept) == (80, 20)
    assert volume.read_at(0, 100) == b"A" * 100
    with pytest.raises(Conflict, match="other bytes in the volume"):
        import_into(volume, tmp_path / "b", at=50)
    volume.commit([volume.stage_write_at(219, b"C")])
    with pytest.raises(Conflict, match="within 1 from 219"):
        import_into(volume, tmp_path / "b", at=200)
    assert volume.missing_ranges(200, 50) == [Range(200, 19), Range(220, 30)]


def test_files_are_opened_by_any_kind_of_path_or_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"bytes")
    with open_source(os.fsencode(tmp_path / "a")) as source:
        assert source.read(0, 5) == b"bytes"
    with pytest.raises(Invalid, match="null"):
        open_source("a\0b")


@contextmanager
def answering(answer):
    """A server; `answer` gets each connection and the head of its request."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        answer(connection, connection.recv(1 << 16))
                    except OSError:
                        pass  # it was cut

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/file"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def head_of(request, more=""):
    first, last = re.search(rb"bytes=(\d+)-(\d+)", request).groups()
    place = f"bytes {first.decode()}-{last.decode()}/100"
    return f"HTTP/1.1 206 Partial\r\nContent-Range: {place}\r\n{more}\r\n".encode()


def test_a_server_that_says_go_on_for_ever_is_given_up():
    def answer(connection, request):
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    with answering(answer) as url, pytest.raises(StorageFailure):
        UrlSource(url, allow_private=True, timeout=0.2)


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(monkeypatch):
    monkeypatch.setattr(url_source, "SLOWEST", 1 << 20)
    never = threading.Event()

    def answer(connection, request):
        connection.sendall(head_of(request))
        while True:
            connection.sendall(b"x")
            never.wait(0.05)

    with answering(answer) as url:
        source = UrlSource(url, allow_private=True, timeout=0.3)
        with pytest.raises(StorageFailure):
            source.read(0, 100)


def test_a_chunk_of_less_than_nothing_is_a_failure():
    def answer(connection, request):
        connection.sendall(head_of(request, "Transfer-Encoding: chunked\r\n") + b"-5\r\nx")

    with answering(answer) as url:
        source = UrlSource(url, allow_private=True, timeout=10)
        with pytest.raises(StorageFailure):
            source.read(0, 100)


@pytest.mark.parametrize(
    "address",
    ["::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "fec0::1", "5f00::1", "3fff::1"],
)
def test_addresses_that_lead_to_private_ones_by_translation_are_not_public(address):
    with pytest.raises(Denied, match="allow_private"):
        check_public(address, "host")
