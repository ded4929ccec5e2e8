"""Every call of a dataset's commit path fails once, with each errno: a typed error, nothing
acknowledged is lost, and after a repair no litter is left."""

from __future__ import annotations

import errno

import pytest

from holdfast.datasets.dataset import Dataset
from holdfast.errors import HoldfastError, NoSpace, StorageFailure
from holdfast.ledger.ledger import Ledger
from holdfast.records import Checked, Severity
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls
from holdfast.testing.faults import Fault, FaultyCalls

NUMBERS = [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE]
BLOB = bytes(range(256)) * 5000


def opened(calls):
    store = FileSystemStore("/r", calls=calls)
    ledger = Ledger(store)
    rows = Dataset("rows", store, codec="jsonl", sink=ledger)
    days = Dataset("days", store, partition_by="day", codec="jsonl", sink=ledger)
    blobs = Dataset("blobs", store, codec="raw", sink=ledger)
    return store, ledger, rows, days, blobs


def prepared():
    disk = CrashCalls()
    _, ledger, rows, days, blobs = opened(disk)
    rows.write([{"n": 0}])
    days.write([{"day": "a", "n": 0}])
    blobs.write(b"base")
    ledger.close()
    return disk


def script(rows, days, blobs, sure):
    """Commits of each kind; `sure` gets the ids that were acknowledged, with what they hold."""
    sure["rows", rows.append([{"n": 1}]).id] = [{"n": 0}, {"n": 1}]
    many = [{"day": "a", "n": 1}, {"day": "b", "n": 2}]
    sure["days", days.write(many).id] = many
    with blobs.stream_write() as out:
        out.write(BLOB)
    sure["blobs", out.snapshot.id] = BLOB


def total_calls():
    faulty = FaultyCalls(prepared())
    _, _, rows, days, blobs = opened(faulty)
    faulty.reset()
    script(rows, days, blobs, {})
    return faulty.total


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_a_failing_call_loses_nothing_and_leaves_nothing(number):
    total = total_calls()
    failed, kinds = 0, set()
    for nth in range(1 + NUMBERS.index(number) % 2, total + 1, 2):
        disk = prepared()
        faulty = FaultyCalls(disk)
        _, ledger, rows, days, blobs = opened(faulty)
        faulty.fail(Fault(number, nth=nth))
        sure = {}
        try:
            script(rows, days, blobs, sure)
        except HoldfastError as error:
            failed += 1
            kinds.add(type(error))
        faulty.fail()
        ledger.close()
        store, ledger, *datasets = opened(disk)
        list(ledger.repair())
        ledger.collect(dry_run=False)
        by_name = {ds.id: ds for ds in datasets}
        for ds in datasets:
            list(ds.repair())
            left = [f for f in ds.verify() if not isinstance(f, Checked)]
            assert [f for f in left if f.severity is not Severity.INFO] == [], (nth, left)
            ids = [s.id for s in ds.history()]
            assert ids == sorted(ids, key=int, reverse=True)
            ds.collect(dry_run=False)
            assert [f for f in ds.verify() if not isinstance(f, Checked)] == [], nth
        for (name, id), content in sure.items():
            found = by_name[name].snapshot(id).read()
            if isinstance(content, list):
                found = sorted(found, key=lambda row: row["n"])
            assert found == content, (nth, name)
        store.remove_stale_temps()
        assert {p for p in disk.tree() if "/.hf-" in p} == set(), nth
    assert failed > total // 4
    assert kinds <= {StorageFailure, NoSpace}
