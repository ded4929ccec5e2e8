"""Expired snapshots are not found, their bytes stay, and the line stays readable."""

from __future__ import annotations

import pytest

from care_support import STORES, data_files, dataset, store_of, write_days
from holdfast.errors import Denied, NotFound, Unsupported


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return store_of(request.param, tmp_path)


def test_an_expired_snapshot_is_not_found_in_any_way(store):
    ds, clock = dataset(store)
    one, two, three = write_days(ds, clock, 3)
    assert ds.expire([two.id], "too old") == [two.id]
    for again in (ds, dataset(store)[0]):
        assert [s.id for s in again.snapshots()] == [one.id, three.id]
        assert [s.id for s in again.history()] == [three.id, one.id]
        for look in (again.snapshot, again.at):
            with pytest.raises(NotFound, match="expired"):
                look(two.id)
        assert again.latest() == three


def test_the_bytes_of_an_expired_snapshot_stay(store):
    ds, clock = dataset(store)
    one, _ = write_days(ds, clock, 2)
    before = list(store.list("datasets"))
    ds.expire(one)
    assert list(store.list("datasets")) == before
    assert len(data_files(store)) == 2


def test_expiring_again_changes_nothing(store):
    ds, clock = dataset(store)
    one, two, _ = write_days(ds, clock, 3)
    assert ds.expire([one, two]) == [one.id, two.id]
    position = ds.chain.sink.position()
    assert ds.expire([one, two]) == []
    assert ds.chain.sink.position() == position


def test_the_latest_snapshot_never_expires(store):
    ds, clock = dataset(store)
    one, two = write_days(ds, clock, 2)
    with pytest.raises(Denied, match="the latest one"):
        ds.expire([one, two])
    assert len(list(ds.snapshots())) == 2


def test_a_tagged_snapshot_does_not_expire(store):
    ds, clock = dataset(store)
    one, two, _ = write_days(ds, clock, 3)
    ds.tag("release", one)
    with pytest.raises(Denied, match="the tag 'release'"):
        ds.expire([two, one])
    assert len(list(ds.snapshots())) == 3
    ds.untag("release")
    assert ds.expire([two, one]) == [two.id, one.id]


def test_a_snapshot_that_is_not_there_is_named(store):
    ds, clock = dataset(store)
    one, _ = write_days(ds, clock, 2)
    with pytest.raises(NotFound, match="17"):
        ds.expire([one.id, "17"])
    assert len(list(ds.snapshots())) == 2


def test_the_ledger_says_who_expired_what_and_why(store):
    ds, clock = dataset(store)
    one, _ = write_days(ds, clock, 2)
    ds.expire(one, "too old")
    sink = ds.chain.sink
    ((_, told),) = sink.commits(name="d/expired")
    assert (told.author, told.message) == ("tester", "too old")
    assert told.inputs == (f"commit:{sink.find_commit('dataset', 'd', one.id)}",)


def test_without_a_ledger_nothing_expires(store):
    ds, clock = dataset(store, ledger=False)
    one, _ = write_days(ds, clock, 2)
    with pytest.raises(Unsupported, match="no ledger"):
        ds.expire(one)


def test_reading_only_expires_nothing(store):
    ds, clock = dataset(store)
    one, _ = write_days(ds, clock, 2)
    reader, _ = dataset(store, read_only=True)
    with pytest.raises(Denied):
        reader.expire(one)


def test_writing_goes_on_above_expired_snapshots(store):
    ds, clock = dataset(store, codec="jsonl")
    one, two = write_days(ds, clock, 2)
    ds.expire(one)
    three = ds.append([{"n": 7}])
    assert three.read() == [{"n": 1}, {"n": 7}]
    assert [s.id for s in ds.snapshots()] == [two.id, three.id]
