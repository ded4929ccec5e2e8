"""Restore: as it was, over nothing, through no symlink, and nothing wrong under a true name."""

import os
import stat

import pytest

import holdfast
from holdfast.errors import AlreadyExists, Denied, Integrity, NotFound
from holdfast.restore.tree import Tree, remove_tree
from holdfast.runs import Runs
from holdfast.store.memory import MemoryStore
from trees import Node, describe, plain, plant


@pytest.fixture
def repo(tmp_path):
    with holdfast.init(tmp_path / "repo") as repository:
        yield repository


def stored_path(repo, tmp_path, project, path):
    version = repo.runs.get_latest_file(project, path)
    return tmp_path / "repo" / "runs" / version.stored


def damage(path):
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def leftovers(folder):
    return [name for name in os.listdir(folder) if name.startswith(".hf-")]


def test_a_run_comes_back_as_it_was_then(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", sub__b=b"2")
    before = describe(tmp_path / "t")
    run = repo.ingest(tmp_path / "t").sources[0].run_id
    (tmp_path / "t" / "a").write_bytes(b"changed")
    repo.ingest(tmp_path / "t")
    report = repo.restore(run, tmp_path / "back")
    assert (report.files, report.bytes, report.ok) == (2, 2, True)
    assert describe(tmp_path / "back") == before


def test_runs_alone_on_a_store_restore_a_run_too(tmp_path):
    with Runs(MemoryStore()) as runs:
        info = runs.create_run("p", "upload")
        runs.register_file(info.run_id, "sub/a", b"1")
        runs.complete_run(info.run_id)
        assert runs.restore(info.run_dir, tmp_path / "back").files == 1
        assert describe(tmp_path / "back").keys() == {b"sub/a"}
        with pytest.raises(NotFound):
            runs.restore("p", tmp_path / "other")


def test_a_project_comes_back_as_it_is_now(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", b=b"2")
    repo.ingest(tmp_path / "t")
    (tmp_path / "t" / "a").unlink()
    repo.ingest(tmp_path / "t")
    repo.restore("t", tmp_path / "back")
    assert describe(tmp_path / "back").keys() == {b"b"}


def test_a_project_may_be_named_by_its_id_or_its_folder_too(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", sub__b=b"2")
    repo.ingest(tmp_path / "t", project="two words")
    (project,) = repo.runs.projects()
    assert project.folder == "two_words"
    for number, name in enumerate((project.name, project.folder, project.id)):
        repo.restore(name, tmp_path / f"all{number}")
        assert describe(tmp_path / f"all{number}").keys() >= {b"a", b"sub/b"}
        repo.restore(f"{name}/sub", tmp_path / f"sub{number}")
        assert describe(tmp_path / f"sub{number}").keys() == {b"b"}


def test_a_folder_of_a_project_comes_back_as_the_target(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", sub__b=b"2", sub__deep__c=b"3", subway=b"4")
    repo.ingest(tmp_path / "t")
    repo.restore("t/sub", tmp_path / "back")
    assert describe(tmp_path / "back").keys() == {b"b", b"deep/c"}


def test_one_file_comes_back_under_the_name_given(repo, tmp_path):
    plant(tmp_path / "t", {b"a": Node("file", b"1", 0o640)})
    repo.ingest(tmp_path / "t")
    repo.restore("t/a", tmp_path / "x.txt")
    found = (tmp_path / "x.txt").stat()
    assert (tmp_path / "x.txt").read_bytes() == b"1"
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o640, 1_700_000_000_123_456_789)
    assert leftovers(tmp_path) == []


def test_one_file_comes_back_into_an_existing_folder_under_its_own_name(repo, tmp_path):
    plain(tmp_path / "t", sub__a=b"1")
    repo.ingest(tmp_path / "t")
    plain(tmp_path / "here", other=b"stays")
    repo.restore("t/sub/a", tmp_path / "here")
    assert {p: n.content for p, n in describe(tmp_path / "here").items()} == {
        b"a": b"1",
        b"other": b"stays",
    }


def test_an_empty_folder_is_filled(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", sub__b=b"2")
    repo.ingest(tmp_path / "t")
    (tmp_path / "back").mkdir()
    inode = (tmp_path / "back").stat().st_ino
    repo.restore("t", tmp_path / "back")
    assert describe(tmp_path / "back").keys() == {b"a", b"sub/b"}
    assert (tmp_path / "back").stat().st_ino == inode


@pytest.mark.parametrize("there", ["file", "folder", "link", "dangling"])
@pytest.mark.parametrize("what", ["t", "t/a"])
def test_what_is_there_is_never_overwritten(repo, tmp_path, there, what):
    plain(tmp_path / "t", a=b"1")
    repo.ingest(tmp_path / "t")
    plain(tmp_path / "full", a=b"mine")
    (tmp_path / "empty").mkdir()
    target = tmp_path / "target"
    if there == "file":
        target.write_bytes(b"mine")
    elif there == "folder":
        target = tmp_path / "full"
    elif there == "link":
        target.symlink_to(tmp_path / "full")
    else:
        target.symlink_to(tmp_path / "nowhere")
    before = describe(tmp_path)
    with pytest.raises(AlreadyExists):
        repo.restore(what, target)
    assert describe(tmp_path).keys() == before.keys()
    assert (tmp_path / "full" / "a").read_bytes() == b"mine"


def test_a_symlink_of_the_tree_is_made_and_never_written_through(repo, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    # One project, two sources: a symlink in the one has the name of a folder in the other.
    plant(tmp_path / "one", {b"x": Node("symlink", os.fsencode(outside))})
    plain(tmp_path / "two", x__evil=b"1", y=b"2")
    repo.ingest(tmp_path / "one", tmp_path / "two", project="p")
    report = repo.restore("p", tmp_path / "back")
    assert [e.path for e in report.errors] == [b"x/evil"]
    assert os.listdir(outside) == []
    assert os.readlink(tmp_path / "back" / "x") == str(outside)
    assert (tmp_path / "back" / "y").read_bytes() == b"2"


def test_a_folder_swapped_for_a_symlink_meanwhile_is_not_written_through(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "root").mkdir()
    root = os.open(tmp_path / "root", os.O_RDONLY)
    tree = Tree(root)
    try:
        tree.folder((b"a",))
        tree.folder(())
        (tmp_path / "root" / "a").rmdir()
        (tmp_path / "root" / "a").symlink_to(outside)
        with pytest.raises(NotADirectoryError):
            tree.folder((b"a", b"b"))
    finally:
        tree.close()
        os.close(root)
    assert os.listdir(outside) == []


def test_a_damaged_file_is_named_and_all_others_come_back(repo, tmp_path):
    plain(tmp_path / "t", a=b"1" * 100, b=b"2" * 100, c=b"3" * (3 << 20))
    repo.ingest(tmp_path / "t")
    damage(stored_path(repo, tmp_path, "t", b"b"))
    damage(stored_path(repo, tmp_path, "t", b"c"))
    report = repo.restore("t", tmp_path / "back")
    assert not report.ok
    assert [d.path for d in report.damaged] == [b"b", b"c"]
    assert describe(tmp_path / "back").keys() == {b"a"}
    assert leftovers(tmp_path) == leftovers(tmp_path / "back") == []


def test_a_missing_stored_file_is_damage_too(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", b=b"2")
    repo.ingest(tmp_path / "t")
    stored_path(repo, tmp_path, "t", b"b").unlink()
    report = repo.restore("t", tmp_path / "back")
    assert [d.path for d in report.damaged] == [b"b"]


def test_one_damaged_file_alone_is_an_integrity_error_and_leaves_nothing(repo, tmp_path):
    plain(tmp_path / "t", a=b"1" * 100)
    repo.ingest(tmp_path / "t")
    damage(stored_path(repo, tmp_path, "t", b"a"))
    (tmp_path / "out").mkdir()
    with pytest.raises(Integrity):
        repo.restore("t/a", tmp_path / "out" / "a")
    assert os.listdir(tmp_path / "out") == []


def test_a_failing_target_leaves_nothing_behind(repo, tmp_path, monkeypatch):
    plain(tmp_path / "t", a=b"1", sub__b=b"2")
    repo.ingest(tmp_path / "t")
    (tmp_path / "out").mkdir()
    from holdfast.errors import NoSpace
    from holdfast.restore import write

    def full(fd, data):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(write, "_write_whole", full)
    with pytest.raises(NoSpace):
        repo.restore("t", tmp_path / "out" / "back")
    assert os.listdir(tmp_path / "out") == []


def test_set_user_id_is_not_given_to_whoever_restores(repo, tmp_path):
    plant(tmp_path / "t", {b"a": Node("file", b"1", 0o4755)})
    repo.ingest(tmp_path / "t")
    repo.restore("t", tmp_path / "back")
    assert stat.S_IMODE((tmp_path / "back" / "a").stat().st_mode) == 0o755


def test_what_a_run_could_not_take_in_is_named_as_missing(repo, tmp_path):
    from holdfast.runs.model import FileEntry

    with repo.run("test", project="p") as run:
        key = run.stage(
            b"a", b"1", "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
        )
        run.register(
            FileEntry(
                path=b"a",
                size=1,
                sha256="6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
                stored=key,
            )
        )
        run.register(FileEntry(path=b"b", error="changed while read"))
    report = repo.restore(run.run_id, tmp_path / "back")
    assert [(m.path, m.reason) for m in report.missing] == [(b"b", "changed while read")]
    assert report.ok
    assert describe(tmp_path / "back").keys() == {b"a"}


@pytest.mark.parametrize("what", ["nothing", "t/none", "t/a/b", "t2/a", ""])
def test_what_is_not_there_is_not_found(repo, tmp_path, what):
    plain(tmp_path / "t", a=b"1")
    repo.ingest(tmp_path / "t")
    with pytest.raises(NotFound):
        repo.restore(what, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_read_only_repository_can_be_restored_from(repo, tmp_path):
    plain(tmp_path / "t", a=b"1")
    repo.ingest(tmp_path / "t")
    with holdfast.open(tmp_path / "repo", read_only=True) as closed:
        assert closed.restore("t", tmp_path / "back").files == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_target_that_may_not_be_written_is_denied(repo, tmp_path):
    plain(tmp_path / "t", a=b"1")
    repo.ingest(tmp_path / "t")
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(Denied):
        repo.restore("t", tmp_path / "shut" / "back")


def test_removing_a_tree_needs_neither_depth_nor_descriptors(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    top = os.dup(here)
    for name in ["top"] + ["d"] * 1500:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.symlink("/", "l", dir_fd=here)
    os.close(here)
    remove_tree(top, b"top")
    remove_tree(top, b"top")
    os.close(top)
    assert os.listdir(tmp_path) == []
