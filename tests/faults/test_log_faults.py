"""The log of files with an error on the n-th system call, for every n."""

from __future__ import annotations

import errno

import pytest

from holdfast.errors import Denied, HoldfastError, NoSpace, StorageFailure
from holdfast.ledger.artifact import reference_of
from holdfast.ledger.file_log import FileLog
from holdfast.ledger.log import Entry
from holdfast.store.calls import OsCalls
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls
from holdfast.testing.faults import Fault, FaultyCalls
from ledger_logs import append, batch, commit, holds, inline, open_batches, pin, problems


def rotated(log):
    log.rotate()
    return append(log, [inline(b"r")])


STEPS = {
    "a record": lambda log: append(log, [pin(1)]),
    "a frame": lambda log: append(log, [inline(b"x" * 300)]),
    "a batch": lambda log: append(log, batch(commit("b"), pin(2), inline(b"y"))),
    "a new file": rotated,
    "a full file": lambda log: append(log, batch(*[pin(i) for i in range(20)])),
}


def open_log(root, calls):
    return FileLog(FileSystemStore(root, calls=calls), file_size=900)


def begun(calls, fresh):
    """A log, with a little in it unless `fresh`, and what was acknowledged."""
    log = open_log("/r", calls)
    facts = [] if fresh else [append(log, [pin(1), commit("first")])]
    calls.reset()
    return log, facts


def check(calls, log, facts):
    """The log that met the error goes on; who opens it anew finds the same, whole."""
    facts.append(append(log, batch(inline(b"after"), pin(9))))
    for opened in (log, open_log("/r", calls)):
        records = list(opened.records())
        assert [r.logseq for r in records] == list(range(1, len(records) + 1))
        assert open_batches(records) == []
        by_logseq = {r.logseq: r for r in records}
        for fact in facts:
            assert holds(opened, fact, by_logseq), (fact, calls.log)
        assert problems(opened) == [], calls.log
    facts.append(append(opened, [pin(10)]))
    assert holds(log, facts[-1]), calls.log
    assert next(log.records_backwards()).logseq == facts[-1][1]


@pytest.mark.parametrize("fresh", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
@pytest.mark.parametrize("ever_after", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("name", STEPS)
def test_an_error_on_any_call_of_an_append_is_typed_and_loses_nothing(
    name, number, fresh, ever_after
):
    calls = FaultyCalls(CrashCalls())
    log, _ = begun(calls, fresh)
    STEPS[name](log)
    total = calls.total
    failed = 0
    for nth in range(1, total + 1):
        calls = FaultyCalls(CrashCalls())
        log, facts = begun(calls, fresh)
        calls.fail(Fault(number, nth=nth, ever_after=ever_after))
        try:
            facts.append(STEPS[name](log))
        except HoldfastError as error:
            failed += 1
            caught = type(error)
        else:
            caught = None
        calls.fail()
        assert caught in (None, NoSpace if number == errno.ENOSPC else StorageFailure)
        check(calls, log, facts)
    assert failed > total // 2


@pytest.mark.parametrize("op", ["fsync", "write_at", "write"])
@pytest.mark.parametrize("name", STEPS)
def test_after_a_failed_write_or_sync_nobody_appends_to_that_file_again(name, op):
    for nth in range(1, 10):
        calls = FaultyCalls(CrashCalls())
        log, facts = begun(calls, False)
        before = {path for path in calls.inner.tree() if path.endswith(".asl")}
        calls.fail(Fault(errno.EIO, op=op, nth=nth, path="/log/0"))
        try:
            STEPS[name](log)
        except HoldfastError:
            pass
        else:
            assert nth > 1 or op == "write" or name in ("a new file", "a full file")
            break
        calls.fail()
        first, _, _ = fact = append(log, [pin(5)])
        facts.append(fact)
        assert f"/r/ledger/log/{first:020d}.asl" in calls.inner.tree()
        assert f"/r/ledger/log/{first:020d}.asl" not in before
        check(calls, log, facts)


def test_a_record_that_was_not_synced_is_not_taken_up_by_the_process_that_failed():
    calls = FaultyCalls(CrashCalls())
    log, _ = begun(calls, False)
    calls.fail(Fault(errno.EIO, op="fsync", path=".asl"), Fault(errno.EIO, op="truncate"))
    with pytest.raises(StorageFailure):
        append(log, [pin(77)])
    calls.fail()
    assert calls.inner.tree()["/r/ledger/log/00000000000000000001.asl"].count(b"\x4d\0\0\0") == 1
    first, last, _ = append(log, [pin(78)])
    assert (first, last) == (3, 3)
    assert [r.payload[0] for r in log.records()][-1] == 78
    # The bytes that were not acknowledged are a cut tail now, and are cleared away.
    (cut,) = log.collect(dry_run=False).removed
    assert cut == ("ledger/log/00000000000000000001.asl", 56)
    assert problems(log) == []


def test_another_process_keeps_whole_records_above_head_and_writes_them_again():
    """The system may call pages of a failed fsync clean: only a new write makes them durable."""
    calls = FaultyCalls(CrashCalls())
    log, facts = begun(calls, False)
    calls.fail(Fault(errno.EIO, op="fsync", path=".asl"), Fault(errno.EIO, op="truncate"))
    with pytest.raises(StorageFailure):
        append(log, [pin(77)])
    calls.fail()
    calls.reset()
    other = open_log("/r", calls)
    facts.append(append(other, [pin(78)]))
    assert [r.payload[0] for r in other.records()][-2:] == [77, 78]
    ops = [call.op for call in calls.log if call.path.endswith("1.asl")]
    assert ops.index("write_at") < ops.index("fsync")
    check(calls, other, facts)


def test_an_error_while_reading_is_typed():
    calls = FaultyCalls(CrashCalls())
    log, facts = begun(calls, False)
    facts.append(STEPS["a new file"](log))
    reference = reference_of(b"r")
    reads = {
        "records": lambda log: [r.logseq for r in log.records()],
        "backwards": lambda log: [r.logseq for r in log.records_backwards()],
        "frame": lambda log: log.frame(3, reference),
        "head": lambda log: log.head(),
    }
    for read in reads.values():
        fresh = open_log("/r", calls)
        calls.reset()
        expected = read(fresh)
        made = list(calls.log)
        for nth, call in enumerate(made, 1):
            fresh = open_log("/r", calls)
            calls.fail(Fault(errno.EIO, nth=nth))
            if call.op == "close":
                assert read(fresh) == expected
            else:
                with pytest.raises(StorageFailure, match="EIO"):
                    read(fresh)
            calls.fail()
            assert read(fresh) == expected


def test_an_append_costs_one_sync_and_lists_nothing(tmp_path):
    calls = FaultyCalls(OsCalls())
    log = open_log(tmp_path, calls)
    append(log, [inline(b"first")])
    calls.reset()
    append(log, [pin(1)])
    assert calls.counts["fsync"] == 1
    assert calls.counts["list_folder"] == 0
    assert [c.path[-5:] for c in calls.log if c.op == "open"] == [".lock", "/head", "1.asl"]
    calls.reset()
    append(log, [inline(b"frame")])
    assert calls.counts["fsync"] == 2
    assert calls.counts["list_folder"] == 0


def test_a_look_at_an_unchanged_head_costs_one_call(tmp_path):
    calls = FaultyCalls(OsCalls())
    append(open_log(tmp_path, calls), [pin(1)])
    reader = open_log(tmp_path, calls)
    reader.head()
    calls.reset()
    assert reader.head().logseq == 1
    assert calls.log == [("read_at", f"{tmp_path}/ledger/log/head")]


def test_a_frame_is_synced_before_the_record_that_names_it_and_head_comes_last(tmp_path):
    calls = FaultyCalls(OsCalls())
    log = open_log(tmp_path, calls)
    append(log, [inline(b"first")])
    calls.reset()
    append(log, [inline(b"frame")])
    changes = [(c.op, c.path[-5:]) for c in calls.log if c.op in ("write_at", "fsync")]
    assert changes[1:-1] == [
        ("write_at", "mmits"),
        ("fsync", "mmits"),
        ("write_at", "1.asl"),
        ("fsync", "1.asl"),
        ("write_at", "/head"),
    ]


def test_head_is_synced_before_a_new_file_begins_behind_its_first_record_and_at_close(tmp_path):
    calls = FaultyCalls(OsCalls())
    log = open_log(tmp_path, calls)
    append(log, [pin(1)])
    append(log, [pin(2)])
    calls.reset()
    log.rotate()
    append(log, [pin(3)])
    changes = [(c.op, c.path[-5:]) for c in calls.log if c.op in ("link", "write_at", "fsync")]
    head = [change for change in changes if change[1] in ("/head", "3.asl")]
    assert head == [
        ("fsync", "/head"),
        ("link", "3.asl"),
        ("write_at", "/head"),
        ("fsync", "/head"),
    ]
    append(log, [pin(4)])
    calls.reset()
    log.close()
    assert [c.path[-5:] for c in calls.log if c.op == "fsync"] == ["/head"]
    calls.reset()
    log.close()
    assert calls.counts["fsync"] == 0


def test_a_log_open_for_reading_writes_nothing(tmp_path):
    append(open_log(tmp_path, OsCalls()), [pin(1)])
    log = FileLog(FileSystemStore(tmp_path, read_only=True), read_only=True)
    with pytest.raises(Denied):
        log.append(lambda head: [pin(1)])
    with pytest.raises(Denied):
        list(log.repair())
    with pytest.raises(Denied):
        log.collect(dry_run=False)
    assert log.head().logseq == 1


def test_a_builder_that_raises_appends_nothing(tmp_path):
    log = open_log(tmp_path, OsCalls())
    fact = append(log, [pin(1)])

    def build(head) -> list[Entry]:
        raise KeyError("no")

    with pytest.raises(KeyError):
        log.append(build)
    assert log.append(lambda head: []) == (2, 1)
    assert append(log, [pin(2)])[0] == 2
    assert holds(log, fact)
    assert problems(log) == []
