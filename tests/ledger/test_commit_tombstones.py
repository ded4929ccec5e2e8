"""Tombstones on COMMITs: what expires snapshots (spec/datasets.md §9.1)."""

from __future__ import annotations

import pytest

from holdfast.clock import rfc3339
from holdfast.errors import NotFound
from holdfast.ledger.artifact import reference_of
from holdfast.ledger.ledger import Ledger
from holdfast.records import COMMIT_TYPE_TAG, Checked, CommitRecord, Severity
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore


@pytest.fixture(params=["memory", "files"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else FileSystemStore(str(tmp_path))


def record(id, name="trips"):
    return CommitRecord("dataset", name, id, (), rfc3339(0), "0" * 32, "tester")


def reference(id):
    return reference_of(record(id).to_bytes(), COMMIT_TYPE_TAG)


def test_a_tombstone_is_told_of_the_commit_that_it_hides_and_of_no_other(store):
    with Ledger(store) as ledger:
        for id in "123":
            ledger.commit(record(id))
        assert ledger.tombstone_commits("dataset", "trips", ["1", "3"]) == ["1", "3"]
        found = [ledger.tombstone_of("dataset", "trips", id) for id in "1234"]
        assert found == [4, None, 5, None]


def test_a_fresh_process_finds_it_too(store):
    with Ledger(store) as ledger:
        ledger.commit(record("1"))
        ledger.commit(record("2"))
        ledger.tombstone_commits("dataset", "trips", ["1"])
    with Ledger(store, read_only=True) as again:
        assert again.tombstone_of("dataset", "trips", "2") is None
        assert again.tombstone_of("dataset", "trips", "1") == 3


def test_one_that_has_a_tombstone_gets_no_other(store):
    with Ledger(store) as ledger:
        ledger.commit(record("1"))
        assert ledger.tombstone_commits("dataset", "trips", ["1"]) == ["1"]
        assert ledger.tombstone_commits("dataset", "trips", ["1"]) == []
        assert ledger.position() == 2


def test_a_lift_brings_the_commit_back(store):
    with Ledger(store) as ledger:
        ledger.commit(record("1"))
        ledger.tombstone(reference("1"))
        assert ledger.tombstone_of("dataset", "trips", "1") == 2
        ledger.log.append(lambda head: [_lift(reference("1"), 2)])
        assert ledger.tombstone_of("dataset", "trips", "1") is None
    with Ledger(store) as again:
        assert again.tombstone_of("dataset", "trips", "1") is None


def _lift(what, logseq):
    from holdfast.ledger import payload

    return payload.entry_of(payload.TombstoneLift(what, logseq))


def test_the_whole_history_stays_readable_and_sound(store):
    with Ledger(store) as ledger:
        ledger.commit(record("1"))
        ledger.tombstone_commits("dataset", "trips", ["1"])
        ledger.commit(record("2"))
        assert [r.id for _, r in ledger.commits()] == ["2", "1"]
        assert ledger.last_commit("dataset", "trips") == (3, "2")
        findings = [f for f in ledger.verify() if not isinstance(f, Checked)]
        assert not [f for f in findings if f.severity is Severity.ERROR]


def test_what_was_never_committed_cannot_be_tombstoned(store):
    with Ledger(store) as ledger:
        ledger.commit(record("1"))
        with pytest.raises(NotFound):
            ledger.tombstone_commits("dataset", "trips", ["1", "9"])
        assert ledger.tombstone_of("dataset", "trips", "1") is None
