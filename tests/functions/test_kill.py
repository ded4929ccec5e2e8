"""SIGKILL at random moments of adding and migrating, several processes on one pool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from functions.pools import errors, file_pool
from functions.test_migrate import v0_file
from holdfast.functions.layout import Schema

SERVER = Path(__file__).with_name("kill_worker.py")
PROCESSES = 3


def kill_round(where, seed, kills):
    done = subprocess.run(
        [sys.executable, str(SERVER), str(where), str(seed), str(kills)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0
    facts, killed = {}, 0
    for line in done.stdout.splitlines():
        if line == b"# killed":
            killed += 1
        elif line.startswith(b"# failed"):
            pytest.fail("a worker failed:\n" + json.loads(line.removeprefix(b"# failed ")))
        else:
            facts.update(json.loads(line))
    return facts, killed


def kill_loop(tmp_path, rounds, kills):
    where = tmp_path / "pool"
    pool = file_pool(where)
    total, facts, old = 0, {}, {}
    for number in range(rounds):
        for i in range(30):
            source = f"def old(x):\n    return x * {number} - {i}\n"
            path, data, hash = v0_file({"eng": source, "a/b": source})
            pool.store.put(path, data)
            old |= {f"{hash}@eng": source, f"{hash}@a/b": source}
        with ThreadPoolExecutor(PROCESSES) as threads:
            for known, killed in threads.map(
                lambda i, n=number: kill_round(where, n * PROCESSES + i, kills), range(PROCESSES)
            ):
                facts.update(known)
                total += killed
        pool = file_pool(where)
        for what, source in (facts | old).items():
            assert pool.show(what).text == source
        assert errors(pool.verify()) == []
    assert pool.migrate().ok
    pool.collect(dry_run=False)
    assert all(pool.reader.schemas(h) == [Schema.V1] for h in pool.list())
    for what, source in (facts | old).items():
        assert pool.show(what).text == source
    validation = pool.validate()
    assert validation.findings == []
    assert total >= rounds * kills
    assert len(facts) > 10


def test_no_function_is_lost_over_90_kills(tmp_path):
    kill_loop(tmp_path, 2, 15)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.environ.get("HOLDFAST_SOAK") != "1", reason="`make soak` runs it")
def test_no_function_is_lost_over_1500_kills(tmp_path):
    kill_loop(tmp_path, 10, 50)
