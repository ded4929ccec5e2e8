"""Imports into volumes (spec/datasets.md §8)."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import (
    Conflict,
    Denied,
    Invalid,
    NotFound,
    StorageFailure,
    Unsupported,
)
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from holdfast.volumes.blocks import Range
from holdfast.volumes.importing import KEY, import_into, pieces
from holdfast.volumes.sources import FileSource, open_source
from holdfast.volumes.url_source import check_public
from holdfast.volumes.volume import Volume
from volumes_support import make_store, new_volume, on_every_store, patterned

SIZE = 10_007
DATA = patterned(SIZE)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "source.bin"
    path.write_bytes(DATA)
    return path


@on_every_store
def test_a_file_is_taken_in_pieces_and_snapshots(kind, tmp_path, file):
    volume = new_volume(make_store(kind, tmp_path / "store"), total_length=SIZE + 100)
    seen = []
    report = import_into(
        volume, file, at=100, piece=1000, commit_pieces=4, metadata={"by": "me"},
        message="hello", progress=seen.append,
    )  # fmt: skip
    assert volume.read_at(100, SIZE) == DATA
    assert (report.bytes_read, report.bytes_kept, len(report.snapshots)) == (SIZE, 0, 3)
    assert (seen[-1].done, seen[-1].total) == (SIZE, SIZE)
    latest = volume.latest()
    assert latest.id == report.snapshots[-1]
    assert latest.metadata["by"] == "me"
    assert latest.message == "hello"
    facts = latest.metadata[KEY]
    assert (facts["source"], facts["at"], facts["size"]) == ("source.bin", 100, SIZE)
    again = import_into(volume, file, at=100, piece=1000)
    assert (again.bytes_read, again.bytes_kept, again.snapshots) == (0, SIZE, ())


def test_a_snapshot_is_made_after_some_time(file):
    volume = new_volume(MemoryStore(), total_length=SIZE)
    report = import_into(volume, file, piece=1000, commit_seconds=0)
    assert len(report.snapshots) == 11


@given(
    gaps=st.lists(st.tuples(st.integers(0, 500), st.integers(1, 100)), max_size=5),
    at=st.integers(0, 50),
    piece=st.integers(1, 60),
)
def test_pieces_make_up_the_gaps_and_end_at_multiples(gaps, at, piece):
    missing = [Range(at + offset, length) for offset, length in gaps]
    cut = list(pieces(missing, at, piece))
    assert [b for p in cut for b in range(p.offset, p.offset + p.length)] == [
        b for gap in missing for b in range(gap.offset, gap.offset + gap.length)
    ]
    ends = {gap.offset + gap.length for gap in missing}
    for p in cut:
        assert p.length <= piece
        assert (p.offset + p.length - at) % piece == 0 or p.offset + p.length in ends


KILLED = """
import os, signal, sys
from holdfast.store.filesystem import FileSystemStore
from holdfast.volumes.importing import import_into
from holdfast.volumes.volume import Volume
store, source, pieces = sys.argv[1:]
volume = Volume("disk", FileSystemStore(store), total_length=10007)
seen = []
def progress(now):
    seen.append(now)
    if len(seen) == int(pieces):
        os.kill(os.getpid(), signal.SIGKILL)
import_into(volume, source, piece=1000, commit_pieces=3, progress=progress)
"""


@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_an_import_that_was_killed_goes_on_with_what_is_missing(tmp_path, file, killed_after):
    store = tmp_path / "store"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(store), str(file), str(killed_after)], check=False
    )
    assert ended.returncode == -signal.SIGKILL
    volume = Volume("disk", FileSystemStore(store), total_length=SIZE)
    report = import_into(volume, file, piece=1000, commit_pieces=3)
    committed = (killed_after - 1) // 3 * 3000  # the killed call came before the commit
    assert report.bytes_kept == committed
    assert volume.read_at(0, SIZE) == DATA
    assert list(volume.orphans()) == []


def test_a_file_that_changed_since_is_a_conflict(file):
    volume = new_volume(MemoryStore(), total_length=SIZE)
    volume.commit([volume.stage_write_at(0, DATA[:7])])
    with FileSource(file) as source:
        stop = StopIteration()

        def progress(now):
            if now.done > 5000:
                raise stop

        with pytest.raises(StopIteration):
            import_into(volume, source, piece=1000, commit_pieces=2, progress=progress)
    os.utime(file, ns=(1, 1))
    with pytest.raises(Conflict, match="source"):
        import_into(volume, file, piece=1000)


def test_a_file_that_changes_meanwhile_is_a_conflict(file):
    volume = new_volume(MemoryStore(), total_length=SIZE)
    with pytest.raises(Conflict, match="changes"):
        import_into(volume, file, piece=1000, progress=lambda _: os.utime(file, ns=(1, 1)))


def test_the_same_bytes_under_another_name_are_no_conflict(file):
    volume = new_volume(MemoryStore(), total_length=SIZE)
    import_into(volume, file, piece=1000)
    moved = file.rename(file.with_name("moved.bin"))
    assert import_into(volume, moved, piece=1000).bytes_read == 0


def test_what_cannot_be_imported_is_refused(file, tmp_path):
    volume = new_volume(MemoryStore(), total_length=SIZE)
    with pytest.raises(Invalid, match="at most 100"):
        import_into(volume, file, max_size=100)
    with pytest.raises(Invalid):
        import_into(volume, file, at=1)
    with pytest.raises(Invalid):
        import_into(volume, file, piece=0)
    (tmp_path / "empty").touch()
    with pytest.raises(Invalid):
        import_into(volume, tmp_path / "empty")
    with pytest.raises(Invalid, match="regular"):
        import_into(volume, tmp_path)
    with pytest.raises(NotFound):
        import_into(volume, tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Invalid, match="regular"):
        import_into(volume, tmp_path / "pipe")


# URLs


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.seen.append(
            (self.path, self.headers.get("Range"), self.headers.get("If-Range"))
        )
        state = self.server.state
        path = self.path.partition("?")[0]
        if path.startswith("/to/"):
            self.reply(302, b"", {"Location": state["location"]})
        elif path == "/status":
            self.reply(state["status"], b"no")
        elif path == "/plain":
            self.reply(200, DATA)
        else:
            self.ranged(state)

    def ranged(self, state):
        first, last = (int(n) for n in self.headers["Range"].removeprefix("bytes=").split("-"))
        if self.headers.get("If-Range", state["etag"]) != state["etag"]:
            self.reply(200, DATA)
            return
        body = DATA[first : last + 1]
        headers = {"Content-Range": state["range"] or f"bytes {first}-{last}/{SIZE}"}
        if state["etag"]:
            headers["ETag"] = state["etag"]
        else:
            headers["Last-Modified"] = state["modified"]
        self.reply(206, body[: state["short"]], headers, len(body))

    def reply(self, status, body, headers=None, length=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


@contextmanager
def serving(**state):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.state = {
        "etag": '"one"', "modified": "Sat, 28 Nov 2026 00:00:00 GMT", "range": "", "short": None,
        "location": "", "status": 200, **state,
    }  # fmt: skip
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_url_is_read_range_by_range_and_only_what_is_missing():
    volume = new_volume(MemoryStore(), total_length=SIZE)
    with serving() as (server, url):
        earlier = {KEY: {"at": 0, "size": SIZE, "etag": '"one"'}}
        volume.commit([volume.stage_write_at(2000, DATA[2000:6000])], earlier)
        report = import_into(volume, f"{url}/x?secret=1", piece=1000, allow_private=True)
        assert report.bytes_read == SIZE - 4000
        assert volume.read_at(0, SIZE) == DATA
        ranges = [seen[1] for seen in server.seen]
        assert ranges[:3] == ["bytes=0-0", "bytes=0-999", "bytes=1000-1999"]
        assert "bytes=2000-2999" not in ranges
        assert server.seen[1][2] == '"one"'
        facts = volume.latest().metadata[KEY]
        assert facts["source"] == f"{url}/x"
        assert facts["etag"] == '"one"'
        server.state["etag"] = '"two"'
        with pytest.raises(Conflict):
            import_into(volume, f"{url}/x", allow_private=True)


def test_a_url_that_changes_meanwhile_is_a_conflict():
    volume = new_volume(MemoryStore(), total_length=SIZE)
    with serving() as (server, url), pytest.raises(Conflict):
        import_into(
            volume, f"{url}/x", piece=1000, allow_private=True,
            progress=lambda _: server.state.update(etag='"two"'),
        )  # fmt: skip


@pytest.mark.parametrize("etag", ['W/"weak"', ""])
def test_a_change_shows_without_a_strong_tag_too(etag):
    with serving(etag=etag) as (server, url):
        source = open_source(f"{url}/x", allow_private=True)
        assert source.read(5, 10) == DATA[5:15]
        assert all(seen[2] is None for seen in server.seen)
        server.state.update(etag='W/"other"' if etag else "", modified="later")
        with pytest.raises(Conflict):
            source.read(5, 10)


def test_servers_without_ranges_are_refused():
    with serving() as (server, url):
        with pytest.raises(Unsupported, match="ranges"):
            open_source(f"{url}/plain", allow_private=True)
        for text in ("bytes 0-0/*", "bytes 1-1/9", "nonsense", "bytes 0-0/0", "bytes 0-5/100"):
            server.state["range"] = text
            with pytest.raises(Unsupported):
                open_source(f"{url}/x", allow_private=True)


def test_a_reply_that_is_cut_off_is_a_failure_and_stages_nothing():
    store = MemoryStore()
    with serving() as (server, url):
        source = open_source(f"{url}/x", allow_private=True)
        server.state["short"] = 5
        with pytest.raises(StorageFailure):
            import_into(new_volume(store, total_length=SIZE), source, piece=1000)
    assert list(store.list()) == []


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, NotFound), (410, NotFound), (401, Denied), (403, Denied), (416, Unsupported),
     (500, StorageFailure), (503, StorageFailure)],
)  # fmt: skip
def test_refusals_of_a_server_are_typed(status, error):
    with serving(status=status) as (_, url), pytest.raises(error, match=str(status)):
        open_source(f"{url}/status", allow_private=True)


def test_redirects_stay_with_http_and_public_addresses(tmp_path):
    with serving() as (server, url):
        server.state["location"] = f"{url}/x"
        with open_source(f"{url}/to/x", allow_private=True) as source:
            assert source.read(0, 4) == DATA[:4]
        for target in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/"):
            server.state["location"] = target
            with pytest.raises(Denied, match="scheme"):
                open_source(f"{url}/to/x", allow_private=True)
        server.state["location"] = "http://user:secret@127.0.0.1/x"
        with pytest.raises(Invalid):
            open_source(f"{url}/to/x", allow_private=True)
        server.state["location"] = f"{url}/to/x"
        with pytest.raises(StorageFailure):
            open_source(f"{url}/to/x", allow_private=True)


def test_private_addresses_are_refused_unless_they_are_allowed():
    with serving() as (server, url):
        for host in (url, url.replace("127.0.0.1", "localhost")):
            with pytest.raises(Denied, match="not public"):
                open_source(f"{host}/x")
        assert server.seen == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1",
     "0.0.0.0", "224.0.0.1", "::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "::", "ff02::1",
     "64:ff9b::7f00:1", "2002:7f00:1::"],
)  # fmt: skip
def test_addresses_that_are_not_public(address):
    with pytest.raises(Denied, match="allow_private"):
        check_public(address, "host")


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_addresses_that_are_public(address):
    check_public(address, "host")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://host/x", "http://", "https:///x", "http://a b/", "http://host/\n",
     "http://host:99999/", "http://u:p@host/", "http://häst/", "data://x"],
)  # fmt: skip
def test_other_urls_are_refused_before_anything_is_sent(url):
    with pytest.raises(Invalid):
        open_source(url)


def test_a_server_that_cannot_be_reached_is_a_failure():
    with serving() as (_, url):
        pass
    with pytest.raises(StorageFailure, match="run it again"):
        open_source(f"{url}/x", allow_private=True)
