"""Datasets on an S3 server: lost replies, errors at every request, races, a slow writer."""

from __future__ import annotations

import threading

import pytest

from holdfast.datasets.dataset import Dataset
from holdfast.errors import PathExists, StorageFailure
from s3_proxy import FaultProxy, answer_500, answer_503, drop_reply, drop_request
from s3_servers import Server, moto  # noqa: F401

PART = 5 * 2**20
LARGE = bytes(range(256)) * 24_000


@pytest.fixture
def proxy(moto: Server):  # noqa: F811
    with FaultProxy(moto.address) as running:
        yield running


def nth(number):
    seen = []

    def matches(request):
        seen.append(request)
        return len(seen) == number

    return matches


def rows_of(ds):
    return sorted(row["n"] for row in ds.read())


def check(store, sure):
    """Everything acknowledged is there once, in one line."""
    ds = Dataset("d", store, dead_after=0.0)
    ids = [s.id for s in ds.history()]
    assert ids == sorted(ids, key=int, reverse=True)
    assert set(sure) <= set(ids)
    for id, rows in sure.items():
        assert sorted(r["n"] for r in ds.snapshot(id).read()) == rows
    ds.append([{"n": 99}])
    assert rows_of(ds)[-1] == 99


@pytest.mark.parametrize("fail", [drop_reply, drop_request, answer_500, answer_503])
def test_one_failing_request_is_nothing_that_a_writer_notices(
    moto: Server,  # noqa: F811
    proxy,
    fail,
):
    url = moto.url()
    with moto.store(url, endpoint=proxy.endpoint) as store:
        abilities = store.abilities()
        ds = Dataset("d", store, codec="jsonl", dead_after=0.0)
        sure = {ds.append([{"n": 0}]).id: [0]}
        proxy.forget()
        sure[ds.append([{"n": 1}]).id] = [0, 1]
        requests = len(proxy.requests)
    assert requests < 12
    for number in range(1, requests + 1):
        with moto.store(url, endpoint=proxy.endpoint, abilities=abilities) as store:
            ds = Dataset("d", store, dead_after=0.0)
            ds.latest()
            before = rows_of(ds)
            proxy.rule(nth(number), fail, times=1)
            sure[ds.append([{"n": number + 1}]).id] = sorted([*before, number + 1])
    with moto.store(url) as store:
        check(store, sure)


@pytest.mark.parametrize("fail", [drop_reply, answer_500])
def test_a_server_that_goes_down_in_the_middle_is_a_typed_error_and_a_line_that_goes_on(
    moto: Server,  # noqa: F811
    proxy,
    fail,
):
    url = moto.url()
    with moto.store(url) as store:
        sure = {Dataset("d", store, codec="jsonl").append([{"n": 0}]).id: [0]}
        abilities = store.abilities()
    failed = 0
    for number in range(1, 10):
        # From the n-th request on nothing gets through, until the next writer comes.
        with (
            FaultProxy(moto.address) as broken,
            moto.store(url, endpoint=broken.endpoint, abilities=abilities) as store,
        ):
            count = []
            broken.rule(
                lambda r, count=count, number=number: count.append(r) or len(count) >= number, fail
            )
            ds = Dataset("d", store, dead_after=0.0)
            try:
                ds.append([{"n": number}])
            except StorageFailure:
                failed += 1
        with moto.store(url, abilities=abilities) as store:
            check(store, sure)
    assert failed >= 5


def test_writers_race_and_lose_nothing(moto: Server):  # noqa: F811
    url = moto.url()
    done: list[str] = []

    def work(number):
        with moto.store(url) as store:
            ds = Dataset("d", store, codec="jsonl")
            for i in range(5):
                done.append(ds.append([{"n": number * 10 + i}]).id)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with moto.store(url) as store:
        ds = Dataset("d", store)
        assert rows_of(ds) == sorted(n * 10 + i for n in range(3) for i in range(5))
        assert [s.id for s in ds.history()] == sorted(done, key=int, reverse=True)
        # What the losers of a swap had published is gone.
        files = {e.path for e in store.list("datasets/d/snapshots")}
        assert len(files) == 2 * len(done)


def test_a_large_object_is_never_overwritten_not_even_in_a_race(moto: Server):  # noqa: F811
    url = moto.url()
    results: list[object] = []

    def work(fill):
        with moto.store(url, part_size=PART) as store, store.stage("a") as staged:
            staged.write(LARGE + fill)
            try:
                staged.publish("a/large")
            except PathExists as error:
                results.append(error)
            else:
                results.append(fill)

    threads = [threading.Thread(target=work, args=(b"%d" % n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [r for r in results if isinstance(r, bytes)]
    assert len(winners) == 1
    with moto.store(url) as store:
        assert store.get("a/large") == LARGE + winners[0]


def test_a_large_stream_is_committed_once_more_when_another_writer_was_faster(
    moto: Server,  # noqa: F811
):
    url = moto.url()
    with moto.store(url, part_size=PART) as store, moto.store(url) as other:
        ds, fast = Dataset("d", store), Dataset("d", other)
        first = ds.write(b"first")
        swap = store.compare_and_swap

        def overtaken(path, expected, replacement):
            store.compare_and_swap = swap
            fast.write(b"faster")
            swap(path, expected, replacement)

        with ds.stream_write() as out:
            out.write(LARGE)
            store.compare_and_swap = overtaken
        assert out.snapshot.read() == LARGE
        history = [s.id for s in Dataset("d", other).history()]
        assert history[0] == out.snapshot.id
        assert history[2] == first.id
        assert [e.path for e in other.list() if "/.hf-" in e.path] == []
