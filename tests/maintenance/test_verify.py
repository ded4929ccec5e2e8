"""Verify, fsck, gc and status on real repositories."""

import os
import subprocess
import sys

import pytest

import holdfast
from holdfast.errors import Denied
from holdfast.records import CommitRecord, ObjectRef, Severity
from trees import plain


@pytest.fixture
def repo(tmp_path):
    plain(tmp_path / "t", a=b"1" * 50, sub__b=b"2" * 2000)
    with holdfast.init(tmp_path / "repo") as repository:
        repository.ingest(tmp_path / "t")
        repository.ledger.put(b"artifact")
        yield repository


def flip(path, at=-1):
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def stored(repo, tmp_path, path):
    return tmp_path / "repo" / "runs" / repo.runs.get_latest_file("t", path).stored


def test_a_sound_repository_has_no_findings_and_every_byte_is_read(repo):
    report = repo.verify()
    assert report.findings == []
    assert report.ok
    assert report.deep
    assert report.bytes >= 2050


def test_a_flipped_byte_of_a_stored_file_is_found_and_the_file_named(repo, tmp_path):
    path = stored(repo, tmp_path, b"sub/b")
    flip(path)
    report = repo.verify()
    assert not report.ok
    assert [f.path for f in report.errors] == [str(path.relative_to(tmp_path / "repo"))]


def test_a_quick_check_reads_no_contents_and_says_so(repo, tmp_path):
    flip(stored(repo, tmp_path, b"sub/b"))
    report = repo.verify(deep=False)
    assert report.ok
    assert report.to_json()["contents_read"] is False


def test_a_quick_check_sees_a_file_that_is_cut_or_gone(repo, tmp_path):
    cut = stored(repo, tmp_path, b"sub/b")
    cut.chmod(0o644)
    os.truncate(cut, 1999)
    stored(repo, tmp_path, b"a").unlink()
    named = {f.path.rpartition("/")[2] for f in repo.verify(deep=False).errors}
    assert named == {"a", "b"}


def test_a_file_that_a_commit_fixes_is_checked_against_it(repo):
    repo.store.put("cache/x", b"not that")
    repo.ledger.commit(
        CommitRecord(
            model="function",
            name="f",
            id="1",
            objects=(
                ObjectRef("cache/x", 8, "0" * 64),
                ObjectRef("cache/y", 8, "0" * 64),
                ObjectRef("holdfast.json", 1, "0" * 64),
            ),
            time="2026-01-01T00:00:00Z",
            nonce="0" * 32,
            author="test",
        )
    )
    assert {(f.path, f.code) for f in repo.verify().errors} == {
        ("cache/x", "digest_mismatch"),
        ("cache/y", "missing"),
        ("holdfast.json", "size_mismatch"),
    }


def test_a_changed_holdfast_json_is_found_by_the_quick_check_too(repo, tmp_path):
    path = tmp_path / "repo" / "holdfast.json"
    path.write_bytes(path.read_bytes().replace(b'"created":"2', b'"created":"3'))
    assert [f.path for f in repo.verify(deep=False).errors] == ["holdfast.json"]


def test_a_file_that_nobody_knows_is_named_and_no_error(repo, tmp_path):
    (tmp_path / "repo" / "stray").write_bytes(b"x")
    (tmp_path / "repo" / "odd").mkdir()
    (tmp_path / "repo" / "odd" / "one").write_bytes(b"x")
    report = repo.verify()
    assert report.ok
    assert [(f.path, f.code) for f in report.findings] == [
        ("odd/one", "unexpected_file"),
        ("stray", "unexpected_file"),
    ]


def test_a_stray_file_of_somebody_else_leaves_fsck_with_nothing_to_do(repo, tmp_path):
    (run_dir,) = [run.run_dir for run in repo.runs.list_runs()]
    strays = ["stray", "runs/stray", f"{run_dir}/stray", "ledger/index/stray", "ledger/log/stray"]
    for path in strays:
        (tmp_path / "repo" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "repo" / path).write_bytes(b"x")
    report = repo.fsck(repair=True)
    assert report.ok
    assert sorted(f.path for f in report.found) == sorted(strays)
    assert all((tmp_path / "repo" / path).exists() for path in strays)


def test_fsck_removes_the_temporary_file_of_a_dead_process_and_leaves_others(repo, tmp_path):
    dead = tmp_path / "repo" / "runs" / ".hf-0123456789abcdef"
    dead.write_bytes(b"half")
    with repo.store.open_writer("runs/contexts/alive") as writer:
        writer.write(b"half")
        assert [f.code for f in repo.fsck().left] == ["litter"]
        report = repo.fsck(repair=True)
        assert report.ok
        assert [f.path for f in report.mended] == ["runs/.hf-0123456789abcdef"]
        assert not dead.exists()
        writer.write(b" whole")
    assert repo.store.get("runs/contexts/alive") == b"half whole"


def test_fsck_ends_a_dead_run_and_anchors_it(repo, tmp_path):
    die = (
        "import sys, os, holdfast\n"
        "repo = holdfast.open(sys.argv[1])\n"
        "run = repo.runs.begin('dead', 'test')\n"
        "print(run.run_id, flush=True)\n"
        "os._exit(9)\n"
    )
    child = [sys.executable, "-c", die, str(tmp_path / "repo")]
    dead = subprocess.run(child, capture_output=True, text=True, check=False).stdout.strip()
    found = repo.fsck()
    assert not found.ok
    assert not found.damaged
    mended = repo.fsck(repair=True)
    assert mended.ok
    assert repo.runs.find_run(dead).status == "failed"
    assert repo.ledger.find_commit("run", "dead", dead) is not None
    assert repo.verify().findings == []


def test_fsck_cannot_mend_lost_bytes_and_says_so(repo, tmp_path):
    stored(repo, tmp_path, b"a").unlink()
    report = repo.fsck(repair=True)
    assert not report.ok
    assert report.damaged


def test_a_read_only_repository_can_be_checked_and_not_repaired(repo, tmp_path):
    with holdfast.open(tmp_path / "repo", read_only=True) as closed:
        assert closed.verify().findings == []
        assert closed.fsck().ok
        with pytest.raises(Denied):
            closed.fsck(repair=True)
        for dry_run in (True, False):
            with pytest.raises(Denied):
                closed.gc(dry_run=dry_run)


def test_a_dry_run_of_gc_names_exactly_what_gc_removes(repo, tmp_path):
    (tmp_path / "repo" / "runs" / ".hf-0123456789abcdef").write_bytes(b"half")
    (tmp_path / "repo" / "ledger" / ".hf-0123456789abcdef").write_bytes(b"half")
    planned = repo.gc(dry_run=True)
    assert (tmp_path / "repo" / "runs" / ".hf-0123456789abcdef").exists()
    assert sorted(repo.gc().removed) == sorted(planned.removed)
    assert sorted(path for path, _ in planned.removed) == [
        "ledger/.hf-0123456789abcdef",
        "runs/.hf-0123456789abcdef",
    ]
    assert repo.gc().removed == []


def test_gc_of_a_sound_repository_removes_nothing(repo):
    assert repo.gc().removed == []
    assert repo.verify().findings == []


def test_status_counts_without_reading_contents(repo):
    status = repo.status()
    assert status.projects == 1
    assert status.runs == {"completed": 1}
    assert status.run_files == {"new_file": 2}
    assert status.run_bytes == 2050
    assert status.head == repo.ledger.position() > 0
    assert status.last_run["project_name"] == "t"
    assert status.dead_runs == []
    assert status.to_json()["id"] == repo.id


def test_findings_are_in_an_order_that_does_not_change(repo, tmp_path):
    for path in (b"a", b"sub/b"):
        flip(stored(repo, tmp_path, path))
    findings = repo.verify().findings
    assert findings == sorted(findings, key=lambda f: f.path)
    assert {f.severity for f in findings} == {Severity.ERROR}
    assert repo.verify().findings == findings
