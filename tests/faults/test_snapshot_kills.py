"""SIGKILL at random moments of commits to datasets and volumes, four processes on one repository.

Every acknowledged snapshot is there afterwards, parents form one line, and everything verifies, on
the file system and on S3 servers.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import holdfast
from holdfast.datasets.dataset import Dataset
from holdfast.records import Severity
from holdfast.volumes.volume import Volume
from s3_servers import Server, ceph, moto  # noqa: F401

SERVER = Path(__file__).with_name("snapshot_kill_server.py")
PROCESSES = 4


def kills(where, seed, commits, life, environment):
    """(acknowledgements, number of kills) of one process with its writers."""
    done = subprocess.run(
        [sys.executable, str(SERVER), str(where), str(seed), str(commits), str(life)],
        stdout=subprocess.PIPE,
        env=os.environ
        | {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        | environment,
        check=False,
        timeout=3000,
    )
    assert done.returncode == 0
    acknowledged, killed = [], 0
    for line in done.stdout.splitlines():
        if line == b"# killed":
            killed += 1
        elif line.startswith(b"# failed"):
            pytest.fail("a writer failed:\n" + json.loads(line.removeprefix(b"# failed ")))
        else:
            acknowledged.append(json.loads(line))
    return acknowledged, killed


def check_line(history):
    ids = [s.id for s in history]
    assert ids == sorted(ids, key=int, reverse=True)
    parents = [s.manifest.parent_snapshot_id for s in history]
    assert parents == ([*ids[1:], ""] if ids else [])  # no writer of its kind may have lived


def check_present(repo, facts):
    for name in ("rows", "days", "blobs"):
        ds = Dataset(name, repo.store, sink=repo.ledger)
        mine = {f["id"]: f for f in facts if (f["model"], f["name"]) == ("dataset", name)}
        history = list(ds.history())
        check_line(history)
        assert mine.keys() <= {s.id for s in history}
        commits = repo.ledger.commits(model="dataset", name=name)
        assert [s.id for s in history] == [record.id for _, record in commits]
        if name == "rows" and mine:
            tags = {row["tag"] for row in ds.read()}
            assert {f["tag"] for f in mine.values()} <= tags
        for snapshot in history:
            fact = mine.get(snapshot.id)
            if fact is None:
                continue
            assert snapshot.row_count == fact["rows"]
            if name == "days":
                assert {row["tag"] for row in snapshot.read()} == {fact["tag"]}
            if name == "blobs":
                assert snapshot.metadata["tag"] == fact["tag"]
    written = [f for f in facts if f["model"] == "volume"]
    if written:
        volume = Volume("disk", repo.store, sink=repo.ledger)
        history = list(volume.history())
        check_line(history)
        assert {f["id"] for f in written} <= {s.id for s in history}
        for fact in written:
            tag = fact["tag"].encode()
            assert volume.read_at(fact["offset"], len(tag)) == tag


def kill_loop(where, commits, environment=None, *, life=2.0):
    """Commits in all, from four processes whose writers are killed; the number of kills."""
    holdfast.init(where).close()
    with ThreadPoolExecutor(PROCESSES) as pool:
        running = [
            pool.submit(kills, where, seed, commits // PROCESSES, life, environment or {})
            for seed in range(PROCESSES)
        ]
        results = [r.result() for r in running]
    facts = [fact for found, _ in results for fact in found]
    assert len(facts) >= commits
    with holdfast.open(where) as repo:
        repaired = repo.fsck(repair=True)
        assert repaired.ok, repaired.left
        findings = repo.verify().findings
        assert [f for f in findings if f.severity is not Severity.INFO] == []
        check_present(repo, facts)
    return sum(number for _, number in results)


def test_nothing_acknowledged_is_lost_on_a_file_system(tmp_path):
    assert kill_loop(tmp_path / "repo", 300) >= 20


def s3_loop(server, commits, monkeypatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    # A writer asks the server a dozen times before its first commit.
    return kill_loop(server.url(), commits, server.environment(), life=12.0)


def test_nothing_acknowledged_is_lost_on_an_object_store(moto: Server, monkeypatch):  # noqa: F811
    assert s3_loop(moto, 24, monkeypatch) >= 4


@pytest.mark.s3
@pytest.mark.timeout(1200)
def test_nothing_acknowledged_is_lost_on_a_real_object_store(
    ceph: Server,  # noqa: F811
    monkeypatch,
):
    commits = 4000 if os.environ.get("HOLDFAST_SOAK") == "1" else 60
    assert s3_loop(ceph, commits, monkeypatch) >= 4


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.environ.get("HOLDFAST_SOAK") != "1", reason="`make soak` runs it")
def test_nothing_acknowledged_is_lost_over_4000_commits(tmp_path):
    assert kill_loop(tmp_path / "repo", 4000) >= 200
