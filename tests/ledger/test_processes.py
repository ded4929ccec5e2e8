"""Several processes on one ledger at once."""

from __future__ import annotations

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
