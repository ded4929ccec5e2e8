"""SIGKILL at random moments of ingest and put, four processes on one repository.

What was acknowledged before the kill is there afterwards, and after `fsck --repair` the repository
is clean.
"""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import holdfast
from holdfast.ledger.artifact import Reference
from holdfast.records import Severity

SERVER = Path(__file__).with_name("kill_server.py")
PROCESSES = 4
ROUNDS = 4


def kill_round(where, scratch, seed, kills):
    """(acknowledgements, number of kills) of one server."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, str(SERVER), str(where), str(scratch), str(seed), str(kills)],
        stdout=subprocess.PIPE,
        env=environment,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0
    acknowledged, killed = [], 0
    for line in done.stdout.splitlines():
        if line == b"# killed":
            killed += 1
        elif line.startswith(b"# failed"):
            pytest.fail("a worker failed:\n" + json.loads(line.removeprefix(b"# failed ")))
        else:
            acknowledged.append(json.loads(line))
    return acknowledged, killed


def check_present(repo, acknowledged):
    seen = {}

    def files_of(run):
        if run not in seen:
            seen[run] = {v.path.decode(): v for v in repo.runs.files_of(run)}
        return seen[run]

    for fact in acknowledged:
        if fact["kind"] == "put":
            data = repo.ledger.get(Reference.parse(fact["reference"]))
            assert hashlib.sha256(data).hexdigest() == fact["sha256"]
            continue
        if fact["kind"] == "run":
            assert repo.runs.find_run(fact["run"]).status == fact["status"] == "completed"
        for name, sha256 in fact["files"].items():
            version = files_of(fact["run"])[name]
            assert version.sha256 == sha256
            with repo.runs.open_file(version) as file:
                assert hashlib.sha256(file.read()).hexdigest() == sha256


def kill_loop(tmp_path, kills):
    where = tmp_path / "repo"
    holdfast.init(where).close()
    total, acknowledged = 0, []
    for number in range(ROUNDS):
        with ThreadPoolExecutor(PROCESSES) as pool:
            waiting = []
            for process in range(PROCESSES):
                scratch = tmp_path / f"scratch{process}"
                scratch.mkdir(exist_ok=True)
                seed = number * PROCESSES + process
                waiting.append(
                    pool.submit(kill_round, where, scratch, seed, kills // ROUNDS // PROCESSES + 1)
                )
            for result in waiting:
                facts, killed = result.result()
                acknowledged += facts
                total += killed
        with holdfast.open(where) as repo:
            repaired = repo.fsck(repair=True)
            assert repaired.ok, repaired.left
            # What stays is named as INFO (tails that were cut off); `gc` takes it away.
            assert [f for f in repo.verify().findings if f.severity is not Severity.INFO] == []
            repo.gc()
            assert repo.verify().findings == []
            check_present(repo, acknowledged)
    assert total >= kills
    assert {fact["kind"] for fact in acknowledged} == {"put", "run", "files"}
    return total, len(acknowledged)


def test_nothing_acknowledged_is_lost_over_200_kills(tmp_path):
    kill_loop(tmp_path, 200)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.environ.get("HOLDFAST_SOAK") != "1", reason="`make soak` runs it")
def test_nothing_acknowledged_is_lost_over_2000_kills(tmp_path):
    kill_loop(tmp_path, 2000)
