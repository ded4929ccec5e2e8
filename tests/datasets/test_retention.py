"""Which snapshots a retention rule keeps, and what applying it does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_support import DAY, START, STORES, dataset, store_of, write_days
from holdfast.datasets.retention import Item, Rule, choose
from holdfast.errors import Denied, Invalid, Unsupported


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return store_of(request.param, tmp_path)


def items(*days, tags=()):
    """Newest first: one item for each day since the start, named after it."""
    found = [Item(f"{d:g}", START + int(d * DAY)) for d in days]
    return [Item(i.id, i.time_ns, ("t",)) if i.id in tags else i for i in found]


def test_the_newest_are_kept():
    assert list(choose(items(3, 2, 1, 0), Rule(last=2))) == ["3", "2"]


def test_the_newest_of_each_day_is_kept():
    kept = choose(items(3.9, 3.1, 2.5, 2.4, 0.9, 0.1), Rule(daily=3))
    assert list(kept) == ["3.9", "2.5", "0.9"]


def test_days_without_snapshots_do_not_count():
    assert list(choose(items(40, 10, 3), Rule(daily=3))) == ["40", "10", "3"]


def test_the_newest_of_each_week_is_kept():
    # 2026-01-01 is a Thursday: day 4 begins another ISO week.
    assert list(choose(items(11, 10.9, 4, 3.9, 0), Rule(weekly=3))) == ["11", "10.9", "3.9"]


def test_the_newest_of_each_month_is_kept():
    assert list(choose(items(60, 32, 31, 30, 1), Rule(monthly=2))) == ["60", "32"]


def test_tagged_ones_and_the_latest_are_always_kept():
    kept = choose(items(3, 2, 1, 0, tags="1"), Rule(daily=1))
    assert kept == {"3": ("latest", "daily"), "1": ("tag:t",)}


@pytest.mark.parametrize("rule", [Rule(), Rule(last=-1), Rule(last=1, daily=-1)])
def test_a_rule_that_keeps_nothing_is_refused(rule):
    with pytest.raises(Invalid):
        choose(items(1), rule)


days = st.lists(st.integers(0, 400 * 24), unique=True, max_size=40).map(
    lambda hours: items(*[h / 24 for h in sorted(hours, reverse=True)])
)
rules = st.builds(Rule, *[st.integers(0, 6)] * 4).filter(
    lambda r: r.last or r.daily or r.weekly or r.monthly
)


@given(days, rules)
def test_a_larger_rule_keeps_no_less(found, rule):
    more = Rule(rule.last + 1, rule.daily + 1, rule.weekly + 1, rule.monthly + 1)
    assert set(choose(found, rule)) <= set(choose(found, more))


@given(days, rules)
def test_applied_twice_a_rule_keeps_what_it_kept(found, rule):
    kept = set(choose(found, rule))
    left = [item for item in found if item.id in kept]
    assert set(choose(left, rule)) == kept


@given(days, rules)
def test_no_more_is_kept_than_was_asked_for(found, rule):
    kept = choose(found, rule)
    assert len(kept) <= rule.last + rule.daily + rule.weekly + rule.monthly + 1
    assert not found or found[0].id in kept


def test_applying_a_rule_expires_the_others(store):
    ds, clock = dataset(store)
    snapshots = write_days(ds, clock, 6)
    ids = [s.id for s in snapshots]
    ds.tag("keep", snapshots[0])
    report = ds.apply_retention(keep_last=2)
    assert report.kept == (ids[5], ids[4], ids[0])
    assert report.expired == (ids[3], ids[2], ids[1])
    assert report.reasons[ids[0]] == ("tag:keep",)
    assert [s.id for s in ds.snapshots()] == [ids[0], ids[4], ids[5]]
    assert ds.apply_retention(keep_last=2).expired == ()


def test_a_dry_run_only_says_what_would_happen(store):
    ds, clock = dataset(store)
    write_days(ds, clock, 3)
    position = ds.chain.sink.position()
    report = ds.apply_retention(keep_last=1, dry_run=True)
    assert report.dry_run
    assert len(report.expired) == 2
    assert len(list(ds.snapshots())) == 3
    assert ds.chain.sink.position() == position


def test_tags_that_do_not_count_are_taken_away(store):
    ds, clock = dataset(store)
    one, two, three = write_days(ds, clock, 3)
    ds.tag("old", one)
    ds.tag("new", three)
    assert ds.apply_retention(keep_last=1, tags=False).expired == (two.id, one.id)
    assert list(ds.tags()) == ["new"]


def test_without_a_ledger_there_are_only_dry_runs(store):
    ds, clock = dataset(store, ledger=False)
    write_days(ds, clock, 2)
    assert len(ds.apply_retention(keep_last=1, dry_run=True).expired) == 1
    with pytest.raises(Unsupported):
        ds.apply_retention(keep_last=1)
    reader, _ = dataset(store, ledger=False, read_only=True)
    with pytest.raises(Denied):
        reader.apply_retention(keep_last=1)
