"""The walk: what is found, in which order, and what it never does."""

import os
import resource
import socket
import stat

import pytest

from holdfast.errors import Invalid, NotFound
from holdfast.ingest.walk import EmptyFolder, File, Link, Skip, walk
from trees import chain, remove


def found_in(root, **options):
    with walk(root, **options) as found:
        return list(found)


def paths(root, **options):
    return [entry.path for entry in found_in(root, **options)]


def test_paths_come_in_the_order_of_their_bytes(tmp_path):
    for name in ("b/x", "b.txt", "b-1", "a/z/y", "a/y", "c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert paths(tmp_path) == [b"a/y", b"a/z/y", b"b-1", b"b.txt", b"b/x", b"c"]


def test_a_symlink_is_recorded_with_its_target_as_bytes_and_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    os.symlink(b"no\xffwhere", os.fsencode(tmp_path) + b"/dangling")
    os.symlink("real", tmp_path / "to-folder")
    links = {e.path: e.target for e in found_in(tmp_path) if isinstance(e, Link)}
    assert links == {b"dangling": b"no\xffwhere", b"to-folder": b"real"}


def test_a_folder_in_which_nothing_is_taken_is_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir(mode=0o700)
    (tmp_path / "only-ignored").mkdir()
    (tmp_path / "only-ignored" / "x.tmp").write_bytes(b"")
    (tmp_path / ".holdfastignore").write_bytes(b"*.tmp\n")
    empty = [e for e in found_in(tmp_path) if isinstance(e, EmptyFolder)]
    assert [e.path for e in empty] == [b"empty", b"only-ignored"]
    assert stat.S_IMODE(empty[0].mode) == 0o700


def test_special_files_are_named_and_skipped(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    server.close()
    assert [(e.path, e.reason) for e in found_in(tmp_path) if isinstance(e, Skip)] == [
        (b"pipe", "a named pipe"),
        (b"socket", "a socket"),
    ]


def test_a_repository_below_is_named_and_not_entered(tmp_path):
    nested = tmp_path / "data" / ".holdfast"
    nested.mkdir(parents=True)
    (nested / "holdfast.json").write_bytes(b'{"schema":"holdfast.repository/1"}')
    (nested / "secret").write_bytes(b"")
    assert found_in(tmp_path) == [
        Skip(b"data/.holdfast", "a Holdfast repository", unseen=True),
    ]


def test_a_file_that_only_has_the_name_of_a_repository_file_is_taken(tmp_path):
    (tmp_path / "holdfast.json").write_bytes(b'{"mine": true}')
    assert paths(tmp_path) == [b"holdfast.json"]


def test_a_repository_itself_is_refused_as_a_source(tmp_path):
    (tmp_path / "holdfast.json").write_bytes(b'{"schema":"holdfast.repository/1"}')
    with pytest.raises(Invalid, match="a Holdfast repository"):
        found_in(tmp_path)


def test_the_folder_to_avoid_is_not_entered_even_when_it_does_not_look_like_a_repository(tmp_path):
    (tmp_path / "repo").mkdir()
    status = (tmp_path / "repo").stat()
    avoid = frozenset({(status.st_dev, status.st_ino)})
    assert [type(e) for e in found_in(tmp_path, avoid=avoid)] == [Skip]


def test_a_missing_source_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        found_in(tmp_path / "nowhere")


def test_a_single_file_is_a_source_of_one(tmp_path):
    (tmp_path / "one").write_bytes(b"x")
    (tmp_path / "two").write_bytes(b"x")
    (tmp_path / "link").symlink_to("one")
    assert paths(tmp_path / "one") == [b"one"]
    assert [(type(e), e.path) for e in found_in(tmp_path / "link")] == [(File, b"link")]


def test_the_deepest_tree_is_walked_with_few_descriptors(tmp_path):
    chain(tmp_path, ["deeper"] * 1500, b"")
    os.close(os.open(tmp_path / "zz", os.O_CREAT | os.O_WRONLY))
    used = len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, hard))
    try:
        assert paths(tmp_path) == [b"/".join([b"deeper"] * 1500 + [b"leaf"]), b"zz"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        remove(tmp_path, "deeper")


def test_a_folder_swapped_for_a_symlink_leads_nowhere(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"")
    source = tmp_path / "source"
    (source / "b").mkdir(parents=True)
    (source / "a").write_bytes(b"")
    with walk(source) as found:
        steps = iter(found)
        assert next(steps).path == b"a"
        (source / "b").rmdir()
        (source / "b").symlink_to(outside)
        rest = list(steps)
    assert [(e.path, e.unseen) for e in rest] == [(b"b", True)]


def test_a_folder_moved_away_below_the_walk_is_named(tmp_path):
    source = tmp_path / "source"
    deep = source / "/".join(["d"] * 40)
    deep.mkdir(parents=True)
    (deep / "leaf").write_bytes(b"")
    (source / "z").write_bytes(b"")
    with walk(source) as found:
        steps = iter(found)
        assert next(steps).path.endswith(b"leaf")
        (source / "d" / "d").rename(tmp_path / "moved")
        rest = list(steps)
    assert Skip(b"d", "moved while being read", unseen=True, failed=True) in rest


def test_an_ended_walk_leaves_no_descriptor_open(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"")
    before = len(os.listdir("/proc/self/fd"))
    with walk(tmp_path) as found:
        next(iter(found))
    assert len(os.listdir("/proc/self/fd")) == before
