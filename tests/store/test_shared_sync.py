"""When one sync of the file system stands for those of a few files."""

from __future__ import annotations

from holdfast.store.shared_sync import AVOIDED, FEW, SLOW, SharedSync


class Calls:
    def __init__(self):
        self.seconds = 0.0
        self.takes = 0.0

    def now(self):
        return self.seconds

    def sync_file_system(self, fd):
        self.seconds += self.takes
        return True


def test_a_slow_sync_of_the_file_system_is_avoided_for_a_while_by_small_groups():
    calls = Calls()
    syncs = SharedSync(calls, "/r", clock=calls.now)
    assert syncs.is_worth(1)
    assert syncs.run(3)
    assert syncs.is_worth(1)
    calls.takes = 2 * SLOW
    assert syncs.run(3)
    assert not syncs.is_worth(1)
    assert not syncs.is_worth(FEW - 1)
    assert syncs.is_worth(FEW)
    calls.seconds += AVOIDED
    assert syncs.is_worth(1)
