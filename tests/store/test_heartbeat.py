"""Liveness on stores without leases."""

from __future__ import annotations

import threading

import pytest

from holdfast.clock import SystemIds
from holdfast.errors import Conflict, StorageFailure
from holdfast.store.heartbeat import DEAD_AFTER, GIVE_UP_AFTER, Heartbeat, Observer
from holdfast.store.memory import MemoryStore

PATH = "runs/x/heartbeat"


class HandClock:
    """A clock that moves by hand."""

    def __init__(self, start: float = 0.0) -> None:
        self.time = start

    def now_ns(self) -> int:
        return 1_700_000_000_000_000_000 + int(self.time * 1e9)

    def monotonic(self) -> float:
        return self.time


class FailingStore(MemoryStore):
    """A store whose swaps fail while `failing`, and are told as failed while `lying`; `swapped`
    is released by each that succeeds."""

    def __init__(self) -> None:
        super().__init__()
        self.failing = False
        self.lying = False
        self.swapped = threading.Semaphore(0)

    def compare_and_swap(self, path: str, expected: bytes | None, replacement: bytes) -> None:
        if self.failing:
            raise StorageFailure("replacing", path, found="injected")
        super().compare_and_swap(path, expected, replacement)
        if self.lying:
            raise StorageFailure("replacing", path, found="injected, though it was replaced")
        self.swapped.release()


@pytest.fixture
def store() -> FailingStore:
    return FailingStore()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def heartbeat(store: FailingStore, clock: HandClock, every: float = 3600.0) -> Heartbeat:
    return Heartbeat(store, PATH, clock, SystemIds(), every=every)


def test_a_beating_writer_is_never_dead(store: FailingStore, clock: HandClock) -> None:
    observer_clock = HandClock(1e6)  # another machine: its clock has nothing to do with ours
    observer = Observer(store, observer_clock)
    with heartbeat(store, clock).start() as heart:
        for _ in range(40):
            assert not observer.is_dead(PATH)
            clock.time += 30
            observer_clock.time += DEAD_AFTER - 1
            heart.beat()


def test_a_writer_unchanged_for_five_minutes_of_the_observer_is_dead(
    store: FailingStore, clock: HandClock
) -> None:
    observer = Observer(store, clock)
    heartbeat(store, clock).beat()
    clock.time += 10_000  # before the observer looked: proves nothing
    assert not observer.is_dead(PATH)
    clock.time += DEAD_AFTER - 0.001
    assert not observer.is_dead(PATH)
    clock.time += 0.001
    assert observer.is_dead(PATH)


def test_a_closed_heartbeat_is_dead_at_once(store: FailingStore, clock: HandClock) -> None:
    heart = heartbeat(store, clock).start()
    heart.close()
    heart.close()
    assert Observer(store, clock).is_dead(PATH)
    assert not store.exists(PATH)


def test_a_second_heartbeat_at_the_same_path_is_refused(
    store: FailingStore, clock: HandClock
) -> None:
    with heartbeat(store, clock).start(), pytest.raises(Conflict):
        heartbeat(store, clock).start()
    assert not store.exists(PATH)


def test_a_writer_whose_object_was_taken_learns_it_and_leaves_it_alone(
    store: FailingStore, clock: HandClock
) -> None:
    heart = heartbeat(store, clock).start()
    store.delete(PATH)
    store.put(PATH, b"taken")
    with pytest.raises(Conflict):
        heart.beat()
    with pytest.raises(Conflict, match="others may have taken over"):
        heart.check()
    heart.close()
    assert store.get(PATH) == b"taken"


def test_closing_leaves_a_foreign_object_alone(store: FailingStore, clock: HandClock) -> None:
    heart = heartbeat(store, clock).start()
    store.delete(PATH)
    store.put(PATH, b"taken")
    heart.close()
    assert store.get(PATH) == b"taken"


def test_a_writer_that_cannot_beat_gives_up_before_an_observer_counts_it_as_dead(
    store: FailingStore, clock: HandClock
) -> None:
    heart = heartbeat(store, clock).start()
    observer = Observer(store, clock)
    assert not observer.is_dead(PATH)
    store.failing = True
    clock.time += GIVE_UP_AFTER - 1
    with pytest.raises(StorageFailure):
        heart.beat()
    heart.check()
    clock.time += 1
    with pytest.raises(Conflict, match="no successful beat for 240 s"):
        heart.check()
    assert not observer.is_dead(PATH)
    store.failing = False
    heart.beat()
    heart.check()
    heart.close()


def test_check_before_start_is_refused(store: FailingStore, clock: HandClock) -> None:
    with pytest.raises(Conflict):
        heartbeat(store, clock).check()


def test_the_background_thread_beats_through_failures(
    store: FailingStore, clock: HandClock
) -> None:
    with heartbeat(store, clock, every=0.001).start():
        assert store.swapped.acquire(timeout=60)
        assert store.swapped.acquire(timeout=60)
        store.failing = True
        first = store.get(PATH)
        store.failing = False
        while store.get(PATH) == first:
            assert store.swapped.acquire(timeout=60)


def test_a_beat_that_took_place_though_told_as_failed_is_gone_on_from(
    store: FailingStore, clock: HandClock
) -> None:
    store.lying = True
    heart = heartbeat(store, clock)
    for _ in range(3):  # the first creates, the others replace
        with pytest.raises(StorageFailure):
            heart.beat()
    store.lying = False
    heart.beat()
    heart.check()
    heart.close()
    assert not store.exists(PATH)
