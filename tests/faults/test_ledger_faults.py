"""The ledger with an error on the n-th system call of every operation; how few calls it makes."""

from __future__ import annotations

import errno
import io

import pytest

from holdfast.errors import NotFound, StorageFailure
from holdfast.ledger.artifact import reference_of
from holdfast.ledger.ledger import Ledger
from holdfast.records import Checked, Severity
from holdfast.store.calls import OsCalls
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls
from holdfast.testing.faults import DISK_ERRORS, Fault, FaultyCalls

LONG = bytes(range(256)) * 300
OLD = [b"old", b"older" * 20_000]
ITEMS = [b"%d" % n * 40 for n in range(300)]

OPERATIONS = {
    "put": (lambda ledger: ledger.put(b"new"), [b"new"]),
    "large put": (lambda ledger: ledger.put(LONG), [LONG]),
    "put_stream": (lambda ledger: ledger.put_stream(io.BytesIO(LONG)), [LONG]),
    "put_many": (lambda ledger: ledger.put_many(ITEMS[:5]), ITEMS[:5]),
    "tombstone": (lambda ledger: ledger.tombstone(reference_of(OLD[0])), []),
    "snapshot": (lambda ledger: ledger.snapshot(), []),
}


def prepared(folder, *, warm=True, inner=None):
    inner = inner or OsCalls()
    with Ledger(FileSystemStore(folder, calls=inner)) as ledger:
        ledger.put(OLD[0])
        ledger.put_many(OLD)
    calls = FaultyCalls(inner)
    ledger = Ledger(FileSystemStore(folder, calls=calls))
    if warm:
        ledger.get(reference_of(OLD[1]))
    calls.reset()
    return ledger, calls


def there(ledger, items):
    found = []
    for data in items:
        try:
            found.append(ledger.get(reference_of(data)) == data)
        except NotFound:
            found.append(False)
    return found


@pytest.mark.parametrize("number", DISK_ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_error_on_any_call_is_typed_and_all_or_nothing_is_there(name, number):
    operation, items = OPERATIONS[name]
    ledger, calls = prepared("/repository", warm=False, inner=CrashCalls())
    operation(ledger)
    total = calls.total
    step = 1 if number == errno.EIO else 7
    failed = 0
    for nth in range(1, total + 1, step):
        inner = CrashCalls()
        ledger, calls = prepared("/repository", warm=False, inner=inner)
        calls.fail(Fault(number, nth=nth))
        try:
            operation(ledger)
            done = True
        except StorageFailure:
            done = False
            failed += 1
        except OSError as error:
            pytest.fail(f"untyped {error!r} at call {nth}: {calls.log[-1]}")
        calls.fail()
        for opened in (ledger, Ledger(FileSystemStore("/repository", calls=inner))):
            found = there(opened, items)
            assert all(found) or (not done and not any(found)), (nth, calls.log)
            if name != "tombstone":
                assert all(there(opened, OLD)), (nth, calls.log)
        # The repository goes on: repaired, the same work is done and nothing is wrong.
        ledger.close()
        with Ledger(FileSystemStore("/repository", calls=inner)) as again:
            list(again.repair())
            operation(again)
            assert all(there(again, items))
            wrong = [f for f in again.verify() if not isinstance(f, Checked)]
            assert not [f for f in wrong if f.severity is not Severity.INFO], (nth, wrong)
    assert failed > 0


def syncs(calls):
    return calls.counts["fsync"] + calls.counts["sync_file_system"]


def test_an_inline_put_costs_two_syncs(tmp_path):
    ledger, calls = prepared(tmp_path)
    ledger.put(b"first new")
    calls.reset()
    for n in range(5):
        ledger.put(b"%d" % n)
    assert syncs(calls) == 10


@pytest.mark.parametrize("count", [2, 300])
def test_a_batch_costs_as_many_syncs_whatever_its_size(tmp_path, count):
    ledger, calls = prepared(tmp_path)
    ledger.put_many([b"warm"])
    calls.reset()
    ledger.put_many(ITEMS[:count])
    # One for block and segment, one for the log.
    assert (calls.counts["sync_file_system"], calls.counts["fsync"]) == (1, 1)


def test_a_put_of_what_is_there_syncs_nothing(tmp_path):
    ledger, calls = prepared(tmp_path)
    ledger.put(OLD[0])
    ledger.put_many(OLD)
    assert syncs(calls) == 0


def test_a_warm_get_opens_nothing(tmp_path):
    ledger, calls = prepared(tmp_path)
    references = ledger.put_many(ITEMS)
    list(ledger.get_many(references))
    calls.reset()
    for reference in references:
        ledger.get(reference)
    assert calls.total == 0


def test_asking_again_for_what_is_missing_reads_one_head(tmp_path):
    ledger, calls = prepared(tmp_path)
    ledger.exists(reference_of(b"never"))
    calls.reset()
    assert not ledger.exists(reference_of(b"never"))
    assert set(calls.counts) <= {"read_at"}


def test_opening_reads_no_segment_and_no_block(tmp_path):
    ledger, calls = prepared(tmp_path, warm=False)
    assert ledger.opened.index.state.segments
    touched = [call.path for call in calls.log if call.op in ("open", "read_at", "map")]
    assert not [path for path in touched if "/index/" in path or "/blocks/" in path]
