"""Ingest, end to end on real repositories."""

import importlib
import os
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import holdfast
from holdfast.errors import HoldfastError, Invalid, NotFound
from trees import Node, chain, describe, plain, plant, remove, trees

intake = importlib.import_module("holdfast.ingest.intake")
units = importlib.import_module("holdfast.ingest.units")


@pytest.fixture
def repo(tmp_path):
    with holdfast.init(tmp_path / "repo") as repository:
        yield repository


def only(report):
    assert len(report.sources) == 1
    return report.sources[0]


def stored_files(repo) -> dict[str, int]:
    return {e.path: e.size for e in repo.store.list("runs") if "/raw_source/" in e.path}


def current(repo, project) -> dict[bytes, str | None]:
    return {v.path: v.sha256 for v in repo.runs.current_files(project)}


@contextmanager
def unprivileged(*folders):
    """As a user whom file modes bind; folders become that user's."""
    if os.geteuid() != 0:
        yield
        return
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, 65534, 65534, follow_symlinks=False)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees())
def test_any_tree_comes_back_byte_for_byte(tree):
    with tempfile.TemporaryDirectory() as work:
        plant(work + "/tree", tree)
        expected = describe(work + "/tree")
        with holdfast.init(work + "/repo") as repo:
            report = repo.ingest(work + "/tree")
            assert report.ok
            assert only(report).counts.get("new_file", 0) == len(expected)
            restored = repo.restore(only(report).run_id, work + "/back")
            assert restored.ok
            assert restored.files == len(expected)
            assert repo.verify().findings == []
        assert describe(work + "/back") == expected
        for path in Path(work).rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)


def test_a_tree_deeper_than_a_path_can_name_comes_back(repo, tmp_path):
    chain(tmp_path, ["deep"] + ["d" * 60] * 1100, b"down here")
    try:
        report = only(repo.ingest(tmp_path / "deep"))
        assert report.counts == {"new_file": 1}
        assert repo.restore("deep", tmp_path / "back").files == 1
        here = os.open(tmp_path / "back", os.O_RDONLY)
        for _ in range(1100):
            below = os.open("d" * 60, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        leaf = os.open("leaf", os.O_RDONLY, dir_fd=here)
        assert os.read(leaf, 100) == b"down here"
        os.close(leaf)
        os.close(here)
    finally:
        remove(tmp_path, "deep")
        remove(tmp_path, "back")


def test_the_project_is_named_after_the_folder(repo, tmp_path):
    plain(tmp_path / "results", a=b"1")
    assert only(repo.ingest(tmp_path / "results")).project == "results"
    assert [p.name for p in repo.runs.projects()] == ["results"]


def test_each_source_gets_a_run_of_its_own(repo, tmp_path):
    plain(tmp_path / "one", a=b"1")
    plain(tmp_path / "two", a=b"2")
    report = repo.ingest(tmp_path / "one", tmp_path / "two", project="both")
    assert [s.counts for s in report.sources] == [{"new_file": 1}, {"new_version": 1}]
    assert report.to_json()["counts"] == {"new_file": 1, "new_version": 1}


def test_the_same_tree_again_stores_nothing(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", b__c=b"22", big=os.urandom(3 << 20))
    repo.ingest(tmp_path / "t")
    before = stored_files(repo)
    again = only(repo.ingest(tmp_path / "t"))
    assert again.counts == {"duplicate": 3}
    assert (again.bytes_stored, again.bytes_read) == (0, (3 << 20) + 3)
    assert stored_files(repo) == before
    assert list(repo.store.stale_temps()) == []


def test_a_changed_file_is_one_new_version(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", b=b"2")
    repo.ingest(tmp_path / "t")
    (tmp_path / "t" / "a").write_bytes(b"one")
    again = only(repo.ingest(tmp_path / "t"))
    assert again.counts == {"duplicate": 1, "new_version": 1}
    assert again.bytes_stored == 3


def test_a_large_file_changed_in_place_is_a_new_version(repo, tmp_path):
    plain(tmp_path / "t", big=b"x" * (2 << 20))
    repo.ingest(tmp_path / "t")
    (tmp_path / "t" / "big").write_bytes(b"x" * ((2 << 20) - 1) + b"y")
    assert only(repo.ingest(tmp_path / "t")).counts == {"new_version": 1}
    repo.restore("t/big", tmp_path / "big")
    assert (tmp_path / "big").read_bytes().endswith(b"xy")


def test_a_then_b_then_a_refers_to_the_bytes_of_the_first(repo, tmp_path):
    for content in (b"A" * 5000, b"B" * 5000, b"A" * 5000):
        plain(tmp_path / "t", f=content)
        report = only(repo.ingest(tmp_path / "t"))
    assert report.counts == {"new_version": 1}
    assert report.bytes_stored == 0
    assert len(stored_files(repo)) == 2
    repo.restore("t", tmp_path / "back")
    assert (tmp_path / "back" / "f").read_bytes() == b"A" * 5000


def test_a_path_that_is_gone_is_removed_and_stays_in_its_old_run(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", b=b"2")
    first = only(repo.ingest(tmp_path / "t"))
    (tmp_path / "t" / "b").unlink()
    assert only(repo.ingest(tmp_path / "t")).counts == {"duplicate": 1, "removed": 1}
    assert current(repo, "t").keys() == {b"a"}
    repo.restore(first.run_id, tmp_path / "back")
    assert describe(tmp_path / "back").keys() == {b"a", b"b"}


def test_a_single_file_removes_nothing(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", b=b"2")
    repo.ingest(tmp_path / "t")
    report = only(repo.ingest(tmp_path / "t" / "a", project="t"))
    assert report.counts == {"duplicate": 1}
    assert current(repo, "t").keys() == {b"a", b"b"}


def test_what_cannot_be_read_is_named_and_removes_nothing():
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        work.chmod(0o755)
        plain(work / "t", ok=b"1", shut=b"2", closed__x=b"3", closed__y=b"4")
        with holdfast.init(work / "repo") as repo:
            repo.ingest(work / "t")
        (work / "t" / "shut").chmod(0)
        (work / "t" / "closed").chmod(0)
        try:
            with unprivileged(work / "repo", work / "t"), holdfast.open(work / "repo") as repo:
                report = only(repo.ingest(work / "t"))
                names = current(repo, "t").keys()
        finally:
            (work / "t" / "closed").chmod(0o755)
        assert report.status == "completed_with_errors"
        assert [(e.path, e.reason) for e in report.errors] == [
            (b"closed", "Permission denied [EACCES]"),
            (b"shut", "Permission denied [EACCES]"),
        ]
        assert names == {b"ok", b"shut", b"closed/x", b"closed/y"}


def test_special_files_are_skipped_and_the_run_is_complete(repo, tmp_path, monkeypatch):
    plain(tmp_path / "t", a=b"1")
    os.mkfifo(tmp_path / "t" / "pipe")
    monkeypatch.chdir(tmp_path / "t")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    report = only(repo.ingest(tmp_path / "t"))
    assert report.status == "completed"
    assert [s.path for s in report.skipped] == [b"pipe", b"socket"]


def test_a_repository_below_the_source_is_skipped_and_its_paths_are_not_removed(tmp_path):
    plain(tmp_path / "t", a=b"1", inner__x=b"2")
    with holdfast.init(tmp_path / "t" / ".holdfast") as repo:
        repo.ingest(tmp_path / "t")
        assert current(repo, "t").keys() == {b"a", b"inner/x"}
        (tmp_path / "t" / "inner" / "x").unlink()
        holdfast.init(tmp_path / "t" / "inner").close()
        report = only(repo.ingest(tmp_path / "t"))
    assert [s.path for s in report.skipped] == [b".holdfast", b"inner"]
    assert "removed" not in report.counts


@pytest.mark.parametrize("inside", ["", "runs", "ledger"])
def test_a_repository_does_not_take_itself_in(repo, tmp_path, inside):
    plain(tmp_path / "t", a=b"1")
    repo.ingest(tmp_path / "t")
    with pytest.raises(Invalid):
        repo.ingest(tmp_path / "repo" / inside)
    assert len(repo.runs.list_runs()) == 1


def test_no_run_begins_when_one_of_the_sources_is_missing(repo, tmp_path):
    plain(tmp_path / "t", a=b"1")
    with pytest.raises(NotFound):
        repo.ingest(tmp_path / "t", tmp_path / "nowhere")
    assert repo.runs.list_runs() == []


def test_an_ignored_file_is_counted_and_left_out(repo, tmp_path):
    plain(tmp_path / "t", a=b"1")
    plant(tmp_path / "t", {b".holdfastignore": Node("file", b"*.tmp\n"), b"x.tmp": Node("file")})
    report = only(repo.ingest(tmp_path / "t"))
    assert report.ignored == 1
    assert current(repo, "t").keys() == {b".holdfastignore", b"a"}


def test_an_interrupt_ends_the_run_as_failed_and_keeps_what_was_flushed(
    repo, tmp_path, monkeypatch
):
    monkeypatch.setattr(intake, "BATCH_FILES", 10)
    monkeypatch.setattr(units, "UNIT_FILES", 10)
    plant(tmp_path / "t", {b"f%03d" % n: Node("file", b"%d" % n) for n in range(200)})

    def interrupt(done):
        if done.outcomes.get("new_file", 0) >= 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(intake, "_TICK", 0.0)
    with pytest.raises(KeyboardInterrupt):
        repo.ingest(tmp_path / "t", progress=interrupt)
    (run,) = repo.runs.list_runs()
    assert (run.status, run.error) == ("failed", "interrupted")
    kept = current(repo, "t")
    assert len(kept) >= 20
    assert repo.restore("t", tmp_path / "back").files == len(kept)
    assert repo.verify().findings == []


def test_progress_ends_with_the_totals(repo, tmp_path):
    plain(tmp_path / "t", a=b"1", big=b"x" * (2 << 20))
    seen = []
    report = repo.ingest(tmp_path / "t", progress=seen.append)
    assert (seen[-1].files, seen[-1].bytes) == (2, report.bytes_read)


def test_a_read_only_repository_refuses_and_stays_as_it_was(repo, tmp_path):
    plain(tmp_path / "t", a=b"1")
    before = [(e.path, e.size) for e in repo.store.list()]
    with (
        holdfast.open(tmp_path / "repo", read_only=True) as closed,
        pytest.raises(HoldfastError) as refused,
    ):
        closed.ingest(tmp_path / "t")
    assert refused.value.code == "denied"
    assert [(e.path, e.size) for e in repo.store.list()] == before


def test_the_report_is_plain_json(repo, tmp_path):
    plant(tmp_path / "t", {b"\xff": Node("file", b"1")})
    fields = repo.ingest(tmp_path / "t").to_json()
    assert fields["sources"][0].keys() == {
        *["source", "project", "run_id", "run_dir", "status", "files", "counts"],
        *["bytes_read", "bytes_stored", "errors", "skipped", "ignored"],
    }
