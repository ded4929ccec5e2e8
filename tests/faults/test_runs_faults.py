"""Every call of a run's commit path fails once, with each errno: a typed error, nothing
acknowledged is lost, and after a repair no litter is left."""

from __future__ import annotations

import errno

import pytest

from holdfast.errors import HoldfastError, NoSpace, StorageFailure
from holdfast.runs import Runs
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls
from holdfast.testing.faults import Fault, FaultyCalls
from runs_support import Ticks, problems, take

NUMBERS = [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE]
BASE = {b"base": b"0"}


def open_runs(calls):
    return Runs(FileSystemStore("/r", calls=calls), clock=Ticks())


def prepared():
    disk = CrashCalls()
    runs = open_runs(disk)
    with runs.run("base", project="p") as writer:
        for path, data in BASE.items():
            take(writer, path, data)
    return disk


def script(runs, sure):
    """A run with two flushes; `sure` gets what was acknowledged."""
    writer = runs.begin("p", "a")
    for part in ({b"a": b"1" * 70000, b"base": b"00"}, {b"b": b"1" * 70000, b"c/d": b"2"}):
        for path, data in part.items():
            take(writer, path, data)
        writer.flush()
        sure.update(part)
    writer.put_artifact("embeddings", "e", b"[]")
    writer.complete()


def calls_of_the_script():
    faulty = FaultyCalls(prepared())
    script(open_runs(faulty), {})
    return faulty.total


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_a_failing_call_loses_nothing_and_leaves_nothing(number):
    total = calls_of_the_script()
    failed, kinds = 0, set()
    for nth in range(1 + NUMBERS.index(number) % 2, total + 1, 2):
        disk = prepared()
        faulty = FaultyCalls(disk, Fault(number, nth=nth))
        runs, sure = open_runs(faulty), dict(BASE)
        try:
            script(runs, sure)
        except HoldfastError as error:
            failed += 1
            kinds.add(type(error))
        faulty.fail()
        runs.close()
        after = open_runs(disk)
        list(after.repair())
        for path, data in sure.items():
            versions = after.get_file_history("p", path)
            assert data in [after.open_file(v).read() for v in versions], (nth, path)
        assert problems(after) == [], (nth, faulty.log[nth - 2 : nth + 1])
        after.store.remove_stale_temps()
        named = {p for p in disk.tree() if "/.hf-" in p}
        assert named == set(), nth
    assert failed > total // 4
    assert kinds <= {StorageFailure, NoSpace}
