"""Datasets under a power loss at every moment of a collection and of an erasure.

After it every snapshot that is kept reads as before, nothing is damaged, and doing it again ends
what was cut off.
"""

from __future__ import annotations

import pytest

from holdfast.datasets.dataset import Dataset
from holdfast.ledger.ledger import Ledger
from holdfast.records import Finding, Severity
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls

SECRET = "XyzzySecretPerson"
LAYOUTS = {
    "default": {"codec": "jsonl"},
    "hive": {"codec": "jsonl", "partition_by": "n"},
}


class Clock:
    def __init__(self, now):
        self.now = now

    def now_ns(self):
        self.now += 1_000_000
        return self.now

    def monotonic(self):
        return self.now / 1e9


class CountedIds:
    def __init__(self, last):
        self.last = last

    def u64(self):
        self.last += 1
        return self.last

    def token(self, size):
        return self.u64().to_bytes(size, "big").hex()

    def uuid4(self):
        return "00000000-0000-4000-8000-000000000000"


def opened(calls, layout, *, ledger, start=0):
    store = FileSystemStore("/repository", calls=calls)
    clock, ids = Clock(1_700_000_000_000_000_000 + start), CountedIds(start)
    sink = Ledger(store, clock=clock, ids=ids) if ledger else None
    return Dataset("d", store, sink=sink, clock=clock, ids=ids, author="tester", **LAYOUTS[layout])


def close(ds):
    if isinstance(ds.chain.sink, Ledger):
        ds.chain.sink.close()


def said(ds):
    out = [sorted(row["who"] for row in s.read()) for s in ds.snapshots()]
    assert sorted(row["who"] for row in ds.latest().read()) == out[-1]
    return out


def findings(ds):
    return [f for f in ds.verify() if isinstance(f, Finding)]


def complaints(ds):
    """What is wrong for good."""
    return [f for f in findings(ds) if f.severity is not Severity.INFO and not f.repairable]


def files(folder, prefix=""):
    """Every file of the model's file system, temporary ones too, by path."""
    out = {}
    for name, entry in folder.entries.items():
        if hasattr(entry, "entries"):
            out.update(files(entry, f"{prefix}/{name}"))
        else:
            out[f"{prefix}/{name}"] = bytes(entry.data)
    return out


def holders(calls):
    return [p for p, data in files(calls.root).items() if SECRET.encode() in data]


def rows(*names):
    return [{"n": n % 2, "who": name} for n, name in enumerate(names)]


@pytest.mark.parametrize("syncfs", [True, False], ids=["syncfs", "fsync"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_crash_in_a_collection_leaves_every_kept_snapshot_whole(layout, syncfs):
    model = CrashCalls(syncfs=syncfs)
    ds = opened(model, layout, ledger=True)
    snapshots = [ds.write(rows(f"a{n}", f"b{n}")) for n in range(4)]
    ds.append(rows("c"))
    ds.tag("release", snapshots[1])
    ds.apply_retention(keep_last=2)
    partition = "n=0" if layout == "hive" else ""
    ds.store.put(ds.layout.data_file("d", "9", partition, "data"), b"left")
    before = said(ds)
    dry = sorted(ds.collect(dry_run=True).removed)
    assert len(dry) >= 5
    close(ds)
    model.settle()
    ds = opened(model, layout, ledger=True, start=10**10)
    assert sorted(ds.collect().removed) == dry
    model.acknowledge("collected")
    end = {p for p in files(model.root) if p.endswith("/data")}
    close(ds)
    states = unfinished = 0
    for state in model.crashes(limit=400):
        states += 1
        again = opened(state, layout, ledger=True, start=2 * 10**10 + states)
        assert said(again) == before, state.story
        assert again.at("release").id == snapshots[1].id
        assert complaints(again) == [], state.story
        left = again.collect(dry_run=True).removed
        assert not (left and state.acknowledged), state.story
        unfinished += bool(left)
        if states % 3 == 0:
            list(again.repair())
            again.collect()
            assert said(again) == before, state.story
            assert findings(again) == [], state.story
            assert {p for p in files(state.root) if p.endswith("/data")} == end, state.story
        close(again)
    assert states > 20
    assert unfinished > 0


@pytest.mark.parametrize("ledger", [True, False], ids=["ledger", "alone"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_crash_in_an_erasure_loses_nothing_else_and_it_is_finished_later(layout, ledger):
    model = CrashCalls(syncfs=True)
    ds = opened(model, layout, ledger=ledger)
    ds.write(rows("Ada", SECRET, "Grace"))
    ds.append(rows("Edsger"))
    ds.write(rows("Barbara"))
    ds.append(rows(SECRET))
    ds.tag("release", next(iter(ds.snapshots())))
    before = said(ds)
    after = [[name for name in names if name != SECRET] for names in before]
    close(ds)
    model.settle()

    def erase(dataset):
        dataset.erase_rows(lambda row: row["who"] == SECRET, "law")

    ds = opened(model, layout, ledger=ledger, start=10**10)
    erase(ds)
    model.acknowledge("erased")
    assert said(ds) == after
    assert holders(model) == []
    close(ds)
    states = recorded = unrecorded = 0
    for state in model.crashes(limit=500):
        states += 1
        again = opened(state, layout, ledger=ledger, start=2 * 10**10 + states)
        found = said(again)
        assert [[n for n in names if n != SECRET] for names in found][: len(after) - 1] == after[
            :-1
        ]
        assert [n for n in found[-1] if n != SECRET] == after[-1], state.story
        assert complaints(again) == [], state.story
        if state.acknowledged:
            assert holders(state) == [], state.story
        if states % 4 == 0 or state.acknowledged:
            record = any(e.path for e in again.store.list("datasets/d/erasures"))
            recorded += record
            unrecorded += not record
            list(again.repair())
            assert [f for f in findings(again) if f.severity is not Severity.INFO] == []
            if record:
                assert said(again) == after, state.story
                again.collect()
                again.store.remove_stale_temps("")
                assert holders(state) == [], state.story
            erase(again)
            assert said(again)[-1] == after[-1], state.story
            assert said(again)[: len(after) - 1] == after[:-1], state.story
            assert holders(state) == [], state.story
            assert again.at("release").read(), state.story
            assert [f for f in findings(again) if f.severity is not Severity.INFO] == []
        close(again)
    assert states > 40
    assert recorded > 0
    assert unrecorded > 0
