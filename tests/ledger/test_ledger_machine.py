"""Any order of operations, against a dict: what was acknowledged is there, and nothing else."""

from __future__ import annotations

import shutil
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.errors import NotFound
from holdfast.ledger import lookup
from holdfast.ledger.artifact import reference_of
from holdfast.ledger.ledger import Ledger
from holdfast.records import Checked
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore

contents = st.one_of(
    st.integers(0, 30).map(lambda n: b"%d" % n),
    st.integers(0, 3).map(lambda n: b"%d" % n * 70_000),
    st.just(b""),
)
tags = st.sampled_from([None, 0, 9])


class LedgerMachine(RuleBasedStateMachine):
    """The model: bytes by reference, standing tombstones, and states seen at positions."""

    def open_store(self):
        return MemoryStore()

    @initialize()
    def start(self):
        self.store = self.open_store()
        self.ledger = Ledger(self.store)
        self.other = Ledger(self.store)
        self.held: dict = {}
        self.hidden: dict = {}
        self.seen: dict[int, set] = {}

    def visible(self):
        return self.held.keys() - self.hidden.keys()

    @rule(data=contents, tag=tags)
    def put(self, data, tag):
        reference = reference_of(data, tag)
        done = self.ledger.put_artifact(data, tag)
        assert done.reference == reference
        assert done.stored == (reference not in self.held)
        assert done.tombstoned == (reference in self.hidden)
        self.held[reference] = data

    @rule(items=st.lists(contents, max_size=6), tag=tags)
    def put_many(self, items, tag):
        references = self.ledger.put_many(items, tag)
        assert references == [reference_of(data, tag) for data in items]
        self.held.update(zip(references, items, strict=True))

    @rule(items=st.lists(contents, min_size=1, max_size=3), tag=tags)
    def put_by_another(self, items, tag):
        references = self.other.put_many(items, tag)
        self.held.update(zip(references, items, strict=True))
        self.ledger.refresh()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def tombstone(self, data):
        reference = data.draw(st.sampled_from(sorted(self.held)))
        logseq = self.ledger.tombstone(reference)
        self.hidden.setdefault(reference, []).append(logseq)

    @precondition(lambda self: self.hidden)
    @rule(data=st.data())
    def lift(self, data):
        reference = data.draw(st.sampled_from(sorted(self.hidden)))
        logseq = data.draw(st.sampled_from(self.hidden[reference]))
        self.ledger.lift(reference, logseq)
        self.hidden[reference].remove(logseq)
        if not self.hidden[reference]:
            del self.hidden[reference]

    @rule()
    def snapshot(self):
        self.ledger.snapshot()

    @rule()
    def reopen(self):
        self.ledger.close()
        self.ledger = Ledger(self.store)

    @rule()
    def remember(self):
        self.seen[self.ledger.position()] = set(self.visible())

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def look_back(self, data):
        position = data.draw(st.sampled_from(sorted(self.seen)))
        view = self.ledger.at(position)
        for reference, content in self.held.items():
            if reference in self.seen[position]:
                assert view.get(reference) == content
            else:
                assert not view.exists(reference)

    @rule()
    def verify(self):
        assert not [f for f in self.ledger.verify() if not isinstance(f, Checked)]

    @rule()
    def collect(self):
        assert self.ledger.collect(dry_run=False).removed == []

    @invariant()
    def what_was_put_is_there_and_what_was_hidden_is_not(self):
        if not hasattr(self, "ledger"):
            return
        for reference in self.visible():
            assert self.ledger.get(reference) == self.held[reference]
        for reference in self.hidden:
            with pytest.raises(NotFound):
                self.ledger.get(reference)
        assert list(self.ledger.get_many(sorted(self.visible()))) == [
            self.held[reference] for reference in sorted(self.visible())
        ]

    def teardown(self):
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.other.close()


class FileLedgerMachine(LedgerMachine):
    """The same on a file system, with segments merged early."""

    def open_store(self):
        self.folder = tempfile.mkdtemp()
        return FileSystemStore(self.folder)

    def teardown(self):
        super().teardown()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)


@pytest.fixture(autouse=True)
def early_merges(monkeypatch):
    monkeypatch.setattr(lookup, "MERGE_LOOKUPS", 1)
    monkeypatch.setattr(lookup, "MERGE_SEGMENTS", 2)


sizes = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestInMemory = LedgerMachine.TestCase
TestInMemory.settings = sizes
TestInFiles = FileLedgerMachine.TestCase
TestInFiles.settings = sizes
