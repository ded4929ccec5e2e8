"""What was there at a time, under an id, under a tag."""

from __future__ import annotations

from datetime import datetime

import pytest

from care_support import DAY, START, STORES, dataset, moment, store_of, write_days
from holdfast.errors import Invalid, NotFound


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return store_of(request.param, tmp_path)


@pytest.fixture(params=[True, False], ids=["ledger", "alone"])
def ledger(request):
    return request.param


def test_a_snapshot_is_found_by_its_id(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    snapshots = write_days(ds, clock, 3)
    assert [ds.at(s.id).read() for s in snapshots] == [[{"n": 0}], [{"n": 1}], [{"n": 2}]]
    assert ds.at(snapshots[1]) == snapshots[1]


def test_a_time_finds_the_newest_snapshot_that_was_there(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    snapshots = write_days(ds, clock, 3)
    for n, snapshot in enumerate(snapshots):
        assert ds.at(moment(START + n * DAY + DAY * 3 // 4)) == snapshot
        assert ds.at(snapshot.created_at) == snapshot
    assert ds.at("2026-01-02T23:00:00+09:00") == snapshots[1]
    assert ds.at("2027-01-01T00:00:00Z") == snapshots[2]


def test_before_the_first_snapshot_there_was_none(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    with pytest.raises(NotFound, match="it has no snapshots"):
        ds.at("2026-01-02T00:00:00Z")
    write_days(ds, clock, 1)
    with pytest.raises(NotFound, match="none was there yet"):
        ds.at(moment(START))


def test_text_is_an_id_before_it_is_a_tag(store):
    ds, clock = dataset(store)
    one, two = write_days(ds, clock, 2)
    ds.tag(one.id, two)
    ds.tag("release", one)
    assert ds.at(one.id) == one
    assert ds.at("release") == one


def test_text_is_a_tag_before_it_is_a_time(store):
    ds, clock = dataset(store)
    one, two = write_days(ds, clock, 2)
    ds.tag("2027", one)
    assert ds.at("2027") == one
    assert ds.at("2027-01-01T00:00:00Z") == two


@pytest.mark.parametrize("text", ["nothing", "", "a/b", "../..", "2026-01-01", "x" * 300, "1"])
def test_text_that_is_nothing_is_not_found(store, text):
    ds, clock = dataset(store)
    write_days(ds, clock, 1)
    with pytest.raises(NotFound):
        ds.at(text)


def test_a_time_without_a_zone_is_refused(store):
    ds, _ = dataset(store)
    with pytest.raises(Invalid, match="without a zone"):
        ds.at(datetime(2026, 1, 1))
    with pytest.raises(Invalid):
        ds.at(17)


def test_time_passes_over_what_healing_marked(store):
    ds, clock = dataset(store, ledger=False)
    (one,) = write_days(ds, clock, 1)
    pointer = ds.chain.places.pointer
    store.compare_and_swap(pointer, one.id.encode(), str(int(one.id) + DAY).encode())
    clock.now = START + 4 * DAY
    two = ds.write([{"n": 9}])
    assert [bool(s.manifest.mark) for s in ds.history()] == [False, True, False]
    assert ds.at(moment(START + 4 * DAY)) == one
    assert ds.at(moment(START + 5 * DAY)) == two


def test_a_time_whose_snapshot_is_expired_is_not_answered_with_an_older_one(store):
    ds, clock = dataset(store)
    one, two, three = write_days(ds, clock, 3)
    ds.expire(two)
    with pytest.raises(NotFound, match="expired"):
        ds.at(moment(START + 2 * DAY))
    assert ds.at(moment(START + DAY)) == one
    assert ds.at(moment(START + 3 * DAY)) == three
