"""The ledger under a power loss at every moment of a put, a batch, a tombstone, a snapshot.

After it, the ledger is what it was after some number of whole steps, none of the acknowledged
missing; a repair leaves nothing to complain of, and it can be written to.
"""

from __future__ import annotations

import io

import pytest

from holdfast.clock import rfc3339
from holdfast.errors import NotFound
from holdfast.ledger.artifact import reference_of
from holdfast.ledger.ledger import Ledger
from holdfast.records import Checked, CommitRecord, Severity
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls

LONG = bytes(range(256)) * 300
ITEMS = [b"%d" % n * 40 for n in range(4)]
COMMIT = CommitRecord("dataset", "trips", "1", (), rfc3339(0), "0" * 32, "tester")


class Clock:
    def now_ns(self):
        return 1_700_000_000_000_000_000

    def monotonic(self):
        return 0.0


class CountedIds:
    """Ids from a counter, so that a run can be told again."""

    def __init__(self):
        self.last = 0

    def u64(self):
        self.last += 1
        return self.last

    def token(self, size):
        return self.u64().to_bytes(size, "big").hex()

    def uuid4(self):
        return "00000000-0000-4000-8000-000000000000"


SCRIPTS = {
    "put": [
        lambda ledger: ledger.put(b"one"),
        lambda ledger: ledger.put(b"two", 7),
        lambda ledger: ledger.put(b"one"),
        lambda ledger: ledger.commit(COMMIT),
    ],
    "large put": [
        lambda ledger: ledger.put(LONG),
        lambda ledger: ledger.put_stream(io.BytesIO(LONG + b"x")),
    ],
    "put_many": [
        lambda ledger: ledger.put_many(ITEMS[:2]),
        lambda ledger: ledger.put_many(ITEMS),
        lambda ledger: ledger.put(b"after"),
    ],
    "tombstone": [
        lambda ledger: ledger.put_many(ITEMS[:1]),
        lambda ledger: ledger.tombstone(reference_of(ITEMS[0])),
        lambda ledger: ledger.tombstone(reference_of(ITEMS[0])),
        lambda ledger: ledger.lift(reference_of(ITEMS[0]), 2),
        lambda ledger: ledger.lift(reference_of(ITEMS[0]), 3),
    ],
    "snapshot": [
        lambda ledger: ledger.put(b"one"),
        lambda ledger: ledger.put_many(ITEMS[:2]),
        lambda ledger: ledger.snapshot(),
        lambda ledger: ledger.tombstone(reference_of(b"one")),
        lambda ledger: ledger.snapshot(),
        lambda ledger: ledger.put(b"two", 7),
    ],
}
KNOWN = [
    *(reference_of(data) for data in (b"one", b"after", LONG, LONG + b"x", *ITEMS)),
    reference_of(b"two", 7),
]


def said(ledger):
    """All that can be seen of a ledger."""
    out = {}
    for reference in KNOWN:
        try:
            out[reference] = ledger.get(reference)
        except NotFound:
            try:
                out[reference] = "tombstoned" if ledger.stat(reference).tombstoned else "?"
            except NotFound:
                out[reference] = None
    state = ledger.opened.index.state
    tombstones = {r: sorted(standing) for r, standing in state.tombstones.items()}
    return out, tombstones, len(list(ledger.commits())), ledger.position()


def opened(calls):
    store = FileSystemStore("/repository", calls=calls)
    return Ledger(store, cache="/repository/cache", clock=Clock(), ids=CountedIds())


@pytest.mark.parametrize("syncfs", [True, False], ids=["syncfs", "fsync"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_crash_leaves_whole_steps_and_every_acknowledged_one(name, syncfs):
    model = CrashCalls(syncfs=syncfs)
    store = FileSystemStore("/repository", calls=model)
    ids = CountedIds()
    ledger = Ledger(store, clock=Clock(), ids=ids)
    after = [said(ledger)]
    for step in SCRIPTS[name]:
        step(ledger)
        model.acknowledge(len(after))
        after.append(said(ledger))
    states = lost = 0
    for state in model.crashes(limit=1200):
        states += 1
        done = len(state.acknowledged)
        with opened(state) as again:
            found = said(again)
        allowed = after[done : done + 2]
        assert found in allowed, (name, done, state.story)
        lost += found == after[done] and done + 1 < len(after)
        if states % 4:
            continue
        with opened(state) as again:
            list(again.repair())
            again.collect(dry_run=False)
            state_ids = again.ids
            state_ids.last = 10_000 + states
            again.put_many([b"new" * 30_000, b"x"])
            again.put(b"newer")
            assert again.get(reference_of(b"new" * 30_000)) == b"new" * 30_000
            bad = [f for f in again.verify() if not isinstance(f, Checked)]
            assert not [f for f in bad if f.severity is not Severity.INFO], (bad, state.story)
            assert said(again)[:3] == found[:3], state.story
    assert states > 30
    assert lost > 0
