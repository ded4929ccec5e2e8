"""Appends to the log of files under a power loss at every moment.

An acknowledged append is there whole, for the first reader already; a BATCH is there whole or not
at all; the log can be appended to, and verifies; and the same holds when the power fails again
while the log is brought in order.
"""

from __future__ import annotations

import pytest

from holdfast.ledger.file_log import FileLog
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls
from ledger_logs import append, batch, commit, holds, inline, open_batches, pin, problems


def open_log(calls, **options):
    return FileLog(FileSystemStore("/r", calls=calls), file_size=900, **options)


def plain(calls, log):
    calls.acknowledge(append(log, [pin(1)]))
    calls.acknowledge(append(log, [pin(2), pin(3)]))
    calls.acknowledge(append(log, batch(pin(4), pin(5), pin(6))))


def frames(calls, log):
    calls.acknowledge(append(log, [inline(b"one")]))
    calls.acknowledge(append(log, batch(inline(b"two" * 200), commit("a"), pin(1))))
    calls.acknowledge(append(log, [commit("b")]))


def rotation(calls, log):
    calls.acknowledge(append(log, [commit("a")]))
    log.rotate()
    calls.acknowledge(append(log, [pin(2)]))
    calls.acknowledge(append(log, batch(*[pin(i) for i in range(12)])))
    calls.acknowledge(append(log, batch(inline(b"x" * 50), pin(3))))
    log.rotate()
    calls.acknowledge(append(log, [inline(b"y")]))
    log.close()


def reopened(calls, log):
    calls.acknowledge(append(log, [inline(b"one"), pin(1)]))
    other = open_log(calls)
    calls.acknowledge(append(other, [inline(b"two")]))
    calls.acknowledge(append(log, [pin(2)]))
    calls.acknowledge(append(other, batch(pin(3), inline(b"three"))))
    other.close()


def torn(calls, log):
    """A writer that died in the middle of its writes, and another one after it."""
    calls.acknowledge(append(log, [inline(b"one")]))
    for name in ("00000000000000000001.asl", "00000000000000000001.commits"):
        fd = calls.open(f"/r/ledger/log/{name}", 2)
        calls.write_at(fd, b"torn, half a record", calls.stat_open(fd).size)
        calls.close(fd)
    other = open_log(calls)
    calls.acknowledge(append(other, [inline(b"two")]))
    calls.acknowledge(append(other, [pin(2)]))


SCRIPTS = [plain, frames, rotation, reopened, torn]


class Killed(BaseException):
    """The process is gone."""


class KillableCalls(CrashCalls):
    """Dies at the n-th call that changes something, and does nothing from then on."""

    left = -1

    def _count(self):
        if self.left == 0:
            raise Killed
        self.left -= 1


CHANGES = ["write", "write_at", "truncate", "fsync", "link", "rename", "unlink", "make_folder"]
for name in CHANGES:

    def changing(self, *args, name=name):
        self._count()
        return getattr(CrashCalls, name)(self, *args)

    setattr(KillableCalls, name, changing)


def check(state, story, rotate=False):
    """What must hold in a state after a crash; leaves one more acknowledged append behind."""
    reader = open_log(state)
    facts = state.acknowledged
    if facts:
        assert reader.head().logseq >= facts[-1][1], story
    for fact in facts:
        assert holds(reader, fact), (fact, story)
    seen = [r.logseq for r in reader.records()]
    reader.close()

    log = open_log(state)
    if rotate:
        log.rotate()
    fact = append(log, batch(inline(b"after"), pin(99)))
    state.acknowledge(fact)
    records = list(log.records())
    assert [r.logseq for r in records] == list(range(1, len(records) + 1)), story
    # What a reader saw before is not taken back.
    assert fact[0] > len(seen), story
    assert open_batches(records) == [], story
    by_logseq = {r.logseq: r for r in records}
    for known in (*facts, fact):
        assert holds(log, known, by_logseq), (known, story)
    assert [r.logseq for r in log.records_backwards()] == list(range(len(records), 0, -1)), story
    assert problems(log) == [], story
    log.close()
    return records


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.__name__)
def test_every_acknowledged_batch_survives_a_power_loss_whole(script):
    calls = CrashCalls()
    script(calls, open_log(calls))
    states = 0
    for state in calls.crashes(limit=800):
        states += 1
        check(state, state.story)
    assert states > 50


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.__name__)
def test_a_power_loss_during_recovery_loses_nothing_either(script):
    calls = CrashCalls()
    script(calls, open_log(calls))
    states = 0
    for i, state in enumerate(calls.crashes(limit=700, seed=1)):
        if i % 15:
            continue
        facts = state.acknowledged
        check(state, state.story, rotate=i % 2 == 0)
        for again in state.crashes(limit=25, seed=i):
            states += 1
            assert again.acknowledged[: len(facts)] == facts
            check(again, f"{state.story}; then {again.story}")
    assert states > 50


def kill(script, left):
    """(The file system, the facts acknowledged) after a process that ran `script` was killed
    before its change number `left`; None when it came to its end."""
    calls = KillableCalls()
    calls.left = left
    try:
        script(calls, open_log(calls))
        return None
    except Killed:
        calls.left = -1
        calls._locks.clear()  # the system frees a dead process's locks
        return calls


@pytest.mark.parametrize("what", ["read", "append", "rotate"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.__name__)
def test_what_another_process_builds_on_a_killed_one_survives_a_power_loss(script, what):
    """What a killed process wrote and did not sync is visible to the next one, not yet durable."""
    killed = 0
    while calls := kill(script, killed):
        killed += 1
        log = open_log(calls)
        if what == "read":
            calls.acknowledge(list(log.records()))
        else:
            if what == "rotate":
                log.rotate()
            calls.acknowledge(append(log, [inline(b"other")]))
        for state in calls.crashes(limit=20, seed=killed):
            after = open_log(state)
            records = {r.logseq: r for r in after.records()}
            for known in state.acknowledged:
                if isinstance(known, list):
                    assert [records.get(r.logseq) for r in known] == known, (killed, state.story)
                else:
                    assert holds(after, known, records), (killed, known, state.story)
    assert killed > 15


def test_what_is_cut_lies_in_cut_and_is_collected():
    calls = CrashCalls()
    torn(calls, open_log(calls))
    log = open_log(calls)
    cut = [path for path in calls.tree() if "/cut/" in path]
    assert sorted(path[-8:] == ".commits" for path in cut) == [False, True]
    assert all(calls.tree()[path] == b"torn, half a record" for path in cut)
    assert [r.type for r in log.records()] == [0x1001, 0x1001, 0x22]
    assert sorted(size for _, size in log.collect(dry_run=True).removed) == [19, 19]
    assert sorted(size for _, size in log.collect(dry_run=False).removed) == [19, 19]
    assert [path for path in calls.tree() if "/cut/" in path] == []


def test_a_reader_without_the_right_to_take_leases_sees_what_is_acknowledged():
    calls = CrashCalls()
    frames(calls, open_log(calls))
    told = 0
    for state in calls.crashes(limit=300, seed=2):
        store = FileSystemStore("/r", calls=state, read_only=True)
        log = FileLog(store, read_only=True)
        before = state.tree()
        for fact in state.acknowledged:
            told += 1
            assert holds(log, fact), state.story
        records = list(log.records())
        assert open_batches(records) == []
        assert state.tree() == before
    assert told > 50
