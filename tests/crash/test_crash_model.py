"""The crash model itself: it finds the faults that it is there to find."""

from __future__ import annotations

import os

import pytest

from holdfast.store.durable import create_file, make_folders, replace_file
from holdfast.testing.crash_model import CrashCalls

WRITE = os.O_WRONLY | os.O_CREAT


def write(calls, path, data, *, sync=False):
    fd = calls.open(path, WRITE)
    calls.write(fd, data)
    if sync:
        calls.fsync(fd)
    calls.close(fd)


def sync(calls, path):
    fd = calls.open(path, os.O_RDONLY)
    calls.fsync(fd)
    calls.close(fd)


def settled(*folders):
    calls = CrashCalls()
    for folder in folders:
        calls.make_folder(folder)
    calls.settle()
    return calls


def trees(calls, **options):
    return [state.tree() for state in calls.crashes(**options)]


def test_nothing_done_is_one_state():
    assert trees(CrashCalls()) == [{}]


def test_an_unsynced_file_may_be_absent_empty_whole_torn_zeroed_or_garbage():
    calls = settled()
    write(calls, "/a", b"x" * 5000)
    sizes = {len(t["/a"]) if "/a" in t else None for t in trees(calls)}
    assert {None, 0, 1, 512, 4096, 2500, 4999, 5000} <= sizes
    contents = [t["/a"] for t in trees(calls) if "/a" in t]
    assert bytes(5000) in contents
    assert any(len(c) == 5000 and b"GARBAGE" in c for c in contents)
    assert any(c[:512] == bytes(512) and c[-1:] == b"x" for c in contents)


def test_a_synced_file_without_a_synced_folder_may_be_absent_but_not_torn():
    calls = settled()
    write(calls, "/a", b"whole", sync=True)
    calls.acknowledge("a")
    found = [s.tree() for s in calls.crashes() if s.acknowledged]
    assert {} in found
    assert {"/a": b"whole"} in found
    assert len(found) == 2


def test_a_synced_folder_without_a_synced_file_may_hold_a_torn_file():
    calls = settled()
    write(calls, "/a", b"whole")
    sync(calls, "/")
    calls.acknowledge("a")
    found = [s.tree() for s in calls.crashes() if s.acknowledged]
    assert {"/a": b""} in found
    assert {} not in found


def test_a_synced_file_in_a_synced_folder_is_there():
    calls = settled()
    write(calls, "/a", b"whole", sync=True)
    sync(calls, "/")
    calls.acknowledge("a")
    assert [s.tree() for s in calls.crashes() if s.acknowledged] == [{"/a": b"whole"}]


def test_a_folder_whose_entry_is_not_synced_takes_its_files_with_it():
    calls = settled()
    calls.make_folder("/f")
    write(calls, "/f/a", b"1", sync=True)
    sync(calls, "/f")
    calls.acknowledge("a")
    assert {} in [s.tree() for s in calls.crashes() if s.acknowledged]


def test_syncfs_makes_everything_durable():
    calls = settled()
    calls.make_folder("/f")
    for i in range(5):
        write(calls, f"/f/{i}", b"%d" % i)
    fd = calls.open("/", os.O_RDONLY)
    assert calls.sync_file_system(fd)
    calls.acknowledge("all")
    assert [s.tree() for s in calls.crashes() if s.acknowledged] == [
        {f"/f/{i}": b"%d" % i for i in range(5)}
    ]


def test_any_subset_of_unsynced_entries_may_be_lost():
    calls = settled()
    for name in "abc":
        write(calls, f"/{name}", b"", sync=True)
    assert {frozenset(t) for t in trees(calls)} == {
        frozenset("/" + c for c in names) for names in ("", "a", "b", "c", "ab", "ac", "bc", "abc")
    }


def test_a_rename_leaves_the_old_content_or_the_new_never_neither():
    calls = settled()
    write(calls, "/a", b"old", sync=True)
    sync(calls, "/")
    calls.settle()
    write(calls, "/t", b"new", sync=True)
    calls.rename("/t", "/a")
    assert {t["/a"] for t in trees(calls)} == {b"old", b"new"}


def test_a_rename_of_an_unsynced_file_may_tear_what_was_whole():
    calls = settled()
    write(calls, "/a", b"old" * 400, sync=True)
    sync(calls, "/")
    calls.settle()
    write(calls, "/t", b"new" * 400)
    calls.rename("/t", "/a")
    assert b"" in {t["/a"] for t in trees(calls)}


@pytest.mark.parametrize("synced", ["/from", "/to", None])
def test_a_rename_across_folders_never_loses_the_file(synced):
    calls = settled("/from", "/to")
    write(calls, "/from/a", b"1", sync=True)
    sync(calls, "/from")
    calls.settle()
    calls.rename("/from/a", "/to/a")
    if synced:
        sync(calls, synced)
        calls.acknowledge(synced)
    found = trees(calls)
    assert {"/from/a": b"1"} in found
    assert {"/to/a": b"1"} in found
    assert {} not in found


def test_an_unlink_before_its_link_is_durable_may_lose_the_file():
    calls = settled()
    write(calls, "/t", b"1", sync=True)
    sync(calls, "/")
    calls.settle()
    calls.link("/t", "/a")
    calls.unlink("/t")
    assert {} in trees(calls)


def test_an_overwrite_in_place_is_torn_between_old_and_new():
    calls = settled()
    write(calls, "/a", b"o" * 1024, sync=True)
    sync(calls, "/")
    calls.settle()
    fd = calls.open("/a", os.O_RDWR)
    calls.write_at(fd, b"n" * 1024, 0)
    contents = {t["/a"] for t in trees(calls)}
    assert b"o" * 1024 in contents
    assert b"n" * 512 + b"o" * 512 in contents
    assert b"o" * 512 + b"n" * 512 in contents


def test_of_two_unsynced_appends_the_first_may_be_lost_alone():
    calls = settled()
    fd = calls.open("/a", WRITE | os.O_APPEND)
    calls.fsync(fd)
    sync(calls, "/")
    calls.write(fd, b"1" * 10)
    calls.write(fd, b"2" * 10)
    contents = {t.get("/a") for t in trees(calls)}
    assert bytes(10) + b"2" * 10 in contents
    assert b"1" * 10 in contents


def test_a_truncation_may_be_lost_until_synced():
    calls = settled()
    write(calls, "/a", b"12345", sync=True)
    sync(calls, "/")
    calls.settle()
    fd = calls.open("/a", os.O_RDWR)
    calls.truncate(fd, 2)
    assert {t["/a"] for t in trees(calls)} == {b"12", b"12345"}
    calls.fsync(fd)
    calls.acknowledge("cut")
    assert [s.tree() for s in calls.crashes() if s.acknowledged] == [{"/a": b"12"}]


def test_hard_links_share_what_was_lost():
    calls = settled()
    write(calls, "/a", b"0123456789")
    calls.link("/a", "/b")
    for tree in trees(calls):
        if len(tree) == 2:
            assert tree["/a"] == tree["/b"]


def test_locks_are_gone_after_a_crash_and_add_no_states():
    calls = settled()
    calls.make_folder("/locks")
    write(calls, "/locks/x", b"holder", sync=True)
    assert calls.operations == []
    assert trees(calls) == [{}]


def test_states_are_the_same_for_the_same_seed_and_keep_the_limit():
    calls = settled()
    for i in range(12):
        write(calls, f"/{i}", b"%d" % i * 600)
    first = [(s.story, s.tree()) for s in calls.crashes(limit=300, seed=5)]
    assert first == [(s.story, s.tree()) for s in calls.crashes(limit=300, seed=5)]
    assert 200 < len(first) <= 330
    assert first != [(s.story, s.tree()) for s in calls.crashes(limit=300, seed=6)]
    found = [tree for _, tree in first]
    assert {} in found
    assert {f"/{i}": b"%d" % i * 600 for i in range(12)} in found


def test_a_state_does_not_change_the_model_or_another_state():
    calls = settled()
    write(calls, "/a", b"1234", sync=True)
    sync(calls, "/")
    before = calls.tree()
    states = list(calls.crashes())
    for state in states:
        write(state, "/a", b"XX")
        write(state, "/b", b"new")
    assert calls.tree() == before
    trees_now = [state.tree() for state in states]
    assert all(tree["/a"].startswith(b"XX") and tree["/b"] == b"new" for tree in trees_now)
    assert {"/a": b"XX34", "/b": b"new"} in trees_now
    assert {"/a": b"XX", "/b": b"new"} in trees_now


class NoFileSync(CrashCalls):
    def fsync(self, fd):
        if self.stat_open(fd).is_folder:
            super().fsync(fd)


class NoFolderSync(CrashCalls):
    def fsync(self, fd):
        if not self.stat_open(fd).is_folder:
            super().fsync(fd)


def survives(model, write_it, expected):
    write_it(model)
    model.acknowledge("done")
    return all(s.tree().get("/f/a") == expected for s in model.crashes(limit=200) if s.acknowledged)


@pytest.mark.parametrize("write_it", [create_file, replace_file])
@pytest.mark.parametrize(
    ("kind", "sound"), [(CrashCalls, True), (NoFileSync, False), (NoFolderSync, False)]
)
def test_a_durable_write_without_one_of_its_syncs_is_found_out(kind, sound, write_it):
    model = kind()
    model.make_folder("/f")
    model.settle()
    assert survives(model, lambda m: write_it(m, "/f/a", b"x" * 700), b"x" * 700) is sound


@pytest.mark.parametrize(("kind", "sound"), [(CrashCalls, True), (NoFolderSync, False)])
def test_folders_made_without_a_sync_above_are_found_out(kind, sound):
    def write_it(model):
        make_folders(model, "/f")
        fd = model.open("/f/a", WRITE)
        CrashCalls.fsync(model, fd)
        fd = model.open("/f", os.O_RDONLY)
        CrashCalls.fsync(model, fd)

    assert survives(kind(), write_it, b"") is sound


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda c: c.open("/none", os.O_RDONLY), FileNotFoundError),
        (lambda c: c.open("/f/a", os.O_WRONLY | os.O_CREAT | os.O_EXCL), FileExistsError),
        (lambda c: c.open("/f", os.O_WRONLY), IsADirectoryError),
        (lambda c: c.open("/f/a", os.O_RDONLY | os.O_DIRECTORY), NotADirectoryError),
        (lambda c: c.open("/f/a/b", WRITE), NotADirectoryError),
        (lambda c: c.link("/f/a", "/f/b"), FileExistsError),
        (lambda c: c.make_folder("/f"), FileExistsError),
        (lambda c: c.make_folder("/no/f"), FileNotFoundError),
        (lambda c: c.unlink("/f"), IsADirectoryError),
        (lambda c: c.remove_folder("/f"), OSError),
        (lambda c: c.list_folder("/f/a"), NotADirectoryError),
        (lambda c: c.rename("/f/a", "/f2"), IsADirectoryError),
        (lambda c: c.close(12), OSError),
    ],
)
def test_the_model_fails_as_the_system_does(call, error):
    model = settled("/f", "/f2")
    for name in ("/f/a", "/f/b"):
        write(model, name, b"1")
    with pytest.raises(error):
        call(model)
