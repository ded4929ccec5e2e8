"""Several processes append to one log of files."""

from __future__ import annotations

import subprocess
import sys

from holdfast.ledger.file_log import FileLog
from holdfast.store.filesystem import FileSystemStore
from ledger_logs import holds, inline, pin, problems

PROCESSES = 4
APPENDS = 60

WORKER = """
import sys
from holdfast.ledger.file_log import FileLog
from holdfast.store.filesystem import FileSystemStore
from ledger_logs import inline, pin

root, number, appends = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
log = FileLog(FileSystemStore(root), file_size=8000)
for i in range(appends):
    first, last = log.append(lambda head: [inline(b"%d-%d" % (number, i)), pin(i)])
    if i % 20 == 7:
        log.rotate()
    print(first, last, i, flush=True)
log.close()
"""


def test_four_processes_lose_nothing_and_leave_no_gap(tmp_path):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(number), str(APPENDS)],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
        )
        for number in range(PROCESSES)
    ]
    facts = []
    for number, worker in enumerate(workers):
        out, _ = worker.communicate(timeout=120)
        assert worker.returncode == 0
        for line in out.decode().splitlines():
            first, last, i = map(int, line.split())
            facts.append((first, last, (inline(b"%d-%d" % (number, i)), pin(i))))
    total = PROCESSES * APPENDS
    assert sorted(first for first, _, _ in facts) == list(range(1, 2 * total + 1, 2))
    log = FileLog(FileSystemStore(tmp_path))
    records = {r.logseq: r for r in log.records()}
    assert sorted(records) == list(range(1, 2 * total + 1))
    assert all(holds(log, fact, records) for fact in facts)
    assert problems(log) == []
