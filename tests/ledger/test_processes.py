"""Several processes on one ledger at once."""

from __future__ import annotations

import os
import subprocess
import sys

from holdfast.ledger.artifact import reference_of
from holdfast.ledger.ledger import Ledger
from holdfast.records import Checked
from holdfast.store.filesystem import FileSystemStore

PROGRAM = """
import sys
from holdfast.ledger.ledger import Ledger
from holdfast.store.filesystem import FileSystemStore

folder, number = sys.argv[1:]
with Ledger(FileSystemStore(folder), cache=folder + "/cache") as ledger:
    for n in range(12):
        data = f"{number}-{n}".encode()
        ledger.put(data)
        ledger.put_many([data + b"a", data + b"b", b"shared"])
        if n % 4 == 0:
            ledger.snapshot()
        if n % 5 == 0:
            ledger.collect(dry_run=False)
        print(data.decode(), flush=True)
"""


def test_nothing_acknowledged_by_any_of_four_processes_is_lost(tmp_path):
    folder = str(tmp_path)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, folder, str(number)], stdout=subprocess.PIPE
        )
        for number in range(4)
    ]
    acknowledged = []
    for worker in workers:
        out, _ = worker.communicate()
        assert worker.returncode == 0
        acknowledged += out.split()
    assert len(acknowledged) == 48
    with Ledger(FileSystemStore(folder)) as ledger:
        for data in acknowledged:
            assert ledger.get(reference_of(data)) == data
            for suffix in (b"a", b"b"):
                assert ledger.get(reference_of(data + suffix)) == data + suffix
        assert ledger.opened.index.state.snapshot_id == 12
        assert not [f for f in ledger.verify() if not isinstance(f, Checked)]


def test_a_batch_that_a_forked_child_leaves_is_still_whole_in_its_parent(tmp_path):
    """The child leaves by an exception, through every context manager on the way."""
    me = os.getpid()

    def items():
        yield b"a" * 5_000_000
        child = os.fork()
        if child == 0:
            raise KeyboardInterrupt
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        yield b"b" * 5_000_000

    with Ledger(FileSystemStore(tmp_path)) as ledger:
        try:
            first, second = ledger.put_many(items())
        except KeyboardInterrupt:
            os._exit(0 if os.getpid() != me else 1)
        assert ledger.get(first) == b"a" * 5_000_000
        assert ledger.get(second) == b"b" * 5_000_000
        assert not [f for f in ledger.verify() if not isinstance(f, Checked)]
