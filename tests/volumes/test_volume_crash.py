"""Volumes under a power loss at every moment, and beside writers that are killed.

After it, every acknowledged block and snapshot is there, nothing is half there, and an import goes
on with what is missing.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from holdfast.errors import NoSnapshots
from holdfast.ledger.ledger import Ledger
from holdfast.records import Finding, Severity
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls
from holdfast.volumes.volume import Volume
from runs_support import Ticks
from volumes_support import MIB, patterned

TOTAL = MIB + 300
DATA = patterned(TOTAL)


def opened(calls, *, ledger, start=1_700_000_000_000_000_000):
    store = FileSystemStore("/repository", calls=calls)
    clock = Ticks(start)
    sink = Ledger(store, clock=clock) if ledger else None
    return Volume("disk", store, total_length=TOTAL, sink=sink, clock=clock, author="a"), sink


def said(volume):
    try:
        return volume.latest().map().runs
    except NoSnapshots:
        return ()


@pytest.mark.parametrize("ledger", [True, False], ids=["ledger", "alone"])
def test_a_crash_leaves_what_was_acknowledged_and_the_rest_can_be_made_up_for(ledger):
    model = CrashCalls()
    volume, sink = opened(model, ledger=ledger)
    expected = [((), ())]  # (runs that are committed, blocks that are staged) after each step
    blocks = []

    def note():
        model.acknowledge(len(expected))
        expected.append((said(volume), tuple(blocks)))

    for offset, length in ((0, 100), (100, MIB), (MIB + 200, 50)):
        blocks.append(volume.stage_write_at(offset, DATA[offset : offset + length]))
        note()
    volume.commit(blocks[:2])
    note()
    volume.commit(blocks[2:])
    note()
    states = lost = 0
    for state in model.crashes(limit=300):
        states += 1
        done = len(state.acknowledged)
        later = 1_800_000_000_000_000_000 + states * 1_000_000_000
        again, sink = opened(state, ledger=ledger, start=later)
        runs = said(again)
        assert runs in [runs for runs, _ in expected[done : done + 2]], state.story
        for block in expected[done][1]:
            found = again.store.get(block.path)
            assert found == DATA[block.offset : block.end], state.story
        for run in runs:
            assert again.read_at(*run) == DATA[run.offset : run.offset + run.length]
        lost += done + 1 < len(expected) and runs == expected[done][0]
        if states % 3 == 0:
            with again.transaction() as tx:
                for gap in again.missing_ranges():
                    tx.stage_write_at(gap.offset, DATA[gap.offset : gap.offset + gap.length])
            assert again.read_at(0, TOTAL) == DATA, state.story
            again.collect()
            wrong = [f for f in again.verify() if isinstance(f, Finding)]
            assert [f for f in wrong if f.severity is not Severity.INFO] == [], state.story
            if sink is not None:
                anchored = [r.id for _, r in sink.commits(model="volume")]
                assert anchored == [s.id for s in again.history()]
        if sink is not None:
            sink.close()
    assert states > 30
    assert lost > 0


WRITER = """
import os, signal, sys
from holdfast.store.calls import OsCalls
from holdfast.store.filesystem import FileSystemStore
from holdfast.volumes.volume import Volume

class Killed(OsCalls):
    left = int(sys.argv[3])
    def count(self):
        Killed.left -= 1
        if Killed.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def link(self, source, target):
        self.count()
        super().link(source, target)
        self.count()
    def rename(self, source, target):
        self.count()
        super().rename(source, target)
        self.count()

number = int(sys.argv[2])
volume = Volume("disk", FileSystemStore(sys.argv[1], calls=Killed()), total_length=100_000)
for step in range(8):
    offset = number * 10_000 + step * 1000
    if not volume.missing_ranges(offset, 1000):
        continue
    volume.commit([volume.stage_write_at(offset, bytes([number + 1]) * 1000)])
    print(offset, flush=True)
"""


def test_writers_that_are_killed_lose_nothing_that_they_acknowledged(tmp_path):
    def start(number, kill_at):
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(number), str(kill_at)],
            stdout=subprocess.PIPE,
        )

    acknowledged = set()
    for kills in ((7, 12, 0), (16, 0, 5), (0, 0, 0)):
        running = [start(number, kill_at) for number, kill_at in enumerate(kills)]
        for process, kill_at in zip(running, kills, strict=True):
            out, _ = process.communicate()
            acknowledged.update(int(line) for line in out.split())
            assert process.returncode in ({-signal.SIGKILL, 0} if kill_at else {0})
        volume = Volume("disk", FileSystemStore(tmp_path))
        for offset in acknowledged:
            assert volume.read_at(offset, 1000) == bytes([offset // 10_000 + 1]) * 1000
    for number in range(3):
        assert volume.read_at(number * 10_000, 8000) == bytes([number + 1]) * 8000
    history = list(volume.history())
    assert len([s for s in history if not s.mark]) == 24
    assert {s.id for s in history} == set(volume.chain.ids())
    volume.collect()
    findings = [f for f in volume.verify() if isinstance(f, Finding)]
    assert [f for f in findings if f.severity is not Severity.INFO] == []
