"""Datasets to be looked after: with a ledger and without, under a clock that tests set."""

from __future__ import annotations

from datetime import UTC, datetime

from holdfast.clock import SystemIds
from holdfast.datasets.dataset import Dataset
from holdfast.ledger.ledger import Ledger
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from runs_support import NoLeases

START = 1_767_225_600 * 10**9  # 2026-01-01T00:00:00Z
DAY = 86_400 * 10**9


class SetClock:
    """A clock that moves a millisecond at each look, and to where a test sets it."""

    def __init__(self, now=START):
        self.now = now

    def now_ns(self):
        self.now += 1_000_000
        return self.now

    def monotonic(self):
        return self.now / 1e9


STORES = ("memory", "files", "no leases")


def store_of(kind, tmp_path):
    return {
        "memory": MemoryStore,
        "files": lambda: FileSystemStore(tmp_path / "store"),
        "no leases": NoLeases,
    }[kind]()


def dataset(store, *, ledger=True, name="d", clock=None, **options):
    """A dataset and its clock; the ledger, if any, is `ds.chain.sink`."""
    clock = clock or SetClock()
    sink = Ledger(store, clock=clock, ids=SystemIds()) if ledger else None
    options.setdefault("dead_after", 0.0)
    return Dataset(name, store, sink=sink, clock=clock, author="tester", **options), clock


def moment(ns):
    return datetime.fromtimestamp(ns / 10**9, UTC)


def data_files(store, folder="datasets"):
    return [e.path for e in store.list(folder) if "/data/" in e.path]


def write_days(ds, clock, number, *, rows=lambda n: [{"n": n}]):
    """A snapshot on each of `number` days, at noon."""
    out = []
    for n in range(number):
        clock.now = START + n * DAY + DAY // 2
        out.append(ds.write(rows(n)))
    return out
