"""What an `ObjectStore` does on any sound S3 server, reachable only through a faulty network.

Subclasses give the fixture `server`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.errors import (
    Conflict,
    Invalid,
    InvalidPath,
    NotFound,
    PathExists,
    StorageFailure,
    Unsupported,
)
from holdfast.store.object_probe import Abilities, Publish
from holdfast.store.object_store import ObjectStore
from holdfast.store.object_writer import ObjectStaged, ObjectWriter
from holdfast.store.protocol import Entry, Store
from holdfast.testing.store_contract import StoreContract
from s3_proxy import (
    Exchange,
    FaultProxy,
    Request,
    answer_500,
    answer_503,
    cut_body,
    drop_reply,
    drop_request,
    hide_reply,
)
from s3_servers import QUICK, Server, free_port

PART = 5 * 1024 * 1024
"""The smallest part that S3 takes."""

BIG = bytes(range(256)) * (12 * 1024 * 4)
"""12 MiB: three parts."""


def creates(request: Request) -> bool:
    """A conditional create of a path that is not temporary."""
    return request.method == "PUT" and "if-none-match" in request.headers


def swaps(request: Request) -> bool:
    return request.method == "PUT" and "if-match" in request.headers


def looks(request: Request) -> bool:
    return request.method == "HEAD"


def gets(request: Request) -> bool:
    return request.method == "GET"


def after(action: Callable[[], object], then: Callable[[Exchange], object]) -> object:
    """Do `action`, then `then` with the exchange."""

    def do(exchange: Exchange) -> None:
        action()
        then(exchange)

    return do


def no_temps(store: ObjectStore) -> bool:
    """Whether no temporary object, of whatever age, is left."""
    location, client = store._location, store._requests.once
    found = client.list_with_delimiter(location.folder())
    return not any("/.hf-" in meta["path"] for meta in found["objects"])


class ObjectStoreContract(StoreContract):
    """The contract of every store. Inherit as ``TestContract…`` and give the fixture `server`."""

    takes_control_characters = False

    @pytest.fixture(scope="class")
    @classmethod
    def abilities(cls, server: Server) -> Abilities:
        with server.store() as store:
            return store.abilities()

    @pytest.fixture
    def store(self, server: Server, abilities: Abilities) -> Iterator[ObjectStore]:
        with server.store(part_size=PART, abilities=abilities) as store:
            yield store


class ObjectStoreBehaviour:
    """Inherit as ``TestObjectStore…`` and give the fixture `server`."""

    @pytest.fixture
    def proxy(self, server: Server) -> Iterator[FaultProxy]:
        with FaultProxy(server.address) as proxy:
            yield proxy

    @pytest.fixture(scope="class")
    @classmethod
    def abilities(cls, server: Server) -> Abilities:
        with server.store() as store:
            return store.abilities()

    @pytest.fixture
    def store(
        self, server: Server, proxy: FaultProxy, abilities: Abilities
    ) -> Iterator[ObjectStore]:
        """A store behind the proxy that has made its probes."""
        with server.store(endpoint=proxy.endpoint, part_size=PART, abilities=abilities) as store:
            yield store

    @pytest.fixture
    def other(self, server: Server, store: ObjectStore) -> Iterator[ObjectStore]:
        """Another writer at the same place, on a good network."""
        with server.store(store.url, part_size=PART, abilities=store.abilities()) as other:
            yield other

    def test_is_a_store(self, store: ObjectStore) -> None:
        assert isinstance(store, Store)
        assert store.leases is None

    # conditional creates

    def test_a_put_is_one_conditional_request(self, store: ObjectStore, proxy: FaultProxy) -> None:
        store.put("a/b", b"one")
        assert [(r.method, r.headers.get("if-none-match")) for r in proxy.requests] == [
            ("PUT", "*")
        ]
        assert store.get("a/b") == b"one"

    def test_a_put_never_overwrites(self, store: ObjectStore, other: ObjectStore) -> None:
        other.put("a", b"theirs")
        with pytest.raises(PathExists):
            store.put("a", b"mine")
        assert store.get("a") == b"theirs"

    @pytest.mark.parametrize("lose", [drop_reply, hide_reply])
    def test_a_create_whose_reply_is_lost_has_succeeded(
        self, store: ObjectStore, proxy: FaultProxy, lose: Callable[[Exchange], object]
    ) -> None:
        proxy.rule(creates, lose, times=1)
        store.put("a", b"mine")
        assert proxy.count("PUT") == 1
        assert store.get("a") == b"mine"

    def test_a_create_sent_twice_on_the_way_has_succeeded(
        self, store: ObjectStore, proxy: FaultProxy
    ) -> None:
        def twice(exchange: Exchange) -> None:
            exchange.forward()
            assert exchange.forward().status in (412, 500)

        proxy.rule(creates, twice, times=1)
        store.put("a", b"mine")
        assert store.get("a") == b"mine"

    def test_a_create_that_never_arrived_is_sent_again(
        self, store: ObjectStore, proxy: FaultProxy
    ) -> None:
        proxy.rule(creates, drop_request, times=2)
        store.put("a", b"mine")
        assert proxy.count("PUT") == 3
        assert store.get("a") == b"mine"

    @pytest.mark.parametrize("lose", [drop_reply, drop_request, hide_reply, answer_503])
    def test_a_lost_reply_to_a_lost_race_is_a_lost_race(
        self,
        store: ObjectStore,
        other: ObjectStore,
        proxy: FaultProxy,
        lose: Callable[[Exchange], object],
    ) -> None:
        # the same bytes: whose they are is told by the token, not by the content
        proxy.rule(creates, after(lambda: other.put("a", b"same"), lose), times=1)
        with pytest.raises(PathExists):
            store.put("a", b"same")

    @pytest.mark.parametrize("fail", [answer_500, answer_503, drop_request])
    def test_retries_of_a_create_are_bounded(
        self, store: ObjectStore, proxy: FaultProxy, fail: Callable[[Exchange], object]
    ) -> None:
        proxy.rule(creates, fail)
        with pytest.raises(StorageFailure):
            store.put("a", b"mine")
        assert proxy.count("PUT") == 1 + QUICK.count
        assert not store.exists("a")

    def test_an_outcome_that_cannot_be_looked_up_is_a_failure_that_says_so(
        self, store: ObjectStore, proxy: FaultProxy
    ) -> None:
        proxy.rule(creates, drop_reply)
        proxy.rule(looks, answer_503)
        with pytest.raises(StorageFailure, match="not known") as caught:
            store.put("a", b"mine")
        assert caught.value.details["unclear"] is True
        assert proxy.count("HEAD") == 1 + QUICK.count

    def test_a_server_that_is_not_there_is_a_failure(self, server: Server) -> None:
        store = server.store(endpoint=f"http://127.0.0.1:{free_port()}")
        with pytest.raises(StorageFailure, match="no connection"):
            store.put("a", b"")
        with pytest.raises(StorageFailure, match="no connection"):
            store.get("a")

    def test_one_of_many_creators_wins(self, server: Server, store: ObjectStore) -> None:
        barrier = threading.Barrier(12)
        known = store.abilities()
        rivals = [server.store(store.url, abilities=known) for _ in range(12)]

        def race(number: int) -> bool:
            barrier.wait()
            try:
                rivals[number].put("a", b"%d" % number)
            except PathExists:
                return False
            return True

        with ThreadPoolExecutor(12) as pool:
            won = list(pool.map(race, range(12)))
        assert won.count(True) == 1
        assert store.get("a") == b"%d" % won.index(True)

    # compare-and-swap

    def test_a_swap_is_one_read_and_one_conditional_put(
        self, store: ObjectStore, proxy: FaultProxy
    ) -> None:
        store.put("a", b"1")
        proxy.forget()
        store.compare_and_swap("a", b"1", b"2")
        assert [r.method for r in proxy.requests] == ["GET", "PUT"]
        assert "if-match" in proxy.requests[1].headers
        assert store.get("a") == b"2"

    def test_a_swap_of_another_content_is_a_conflict_and_writes_nothing(
        self, store: ObjectStore, proxy: FaultProxy
    ) -> None:
        store.put("a", b"1")
        proxy.forget()
        for expected in (b"2", None):
            with pytest.raises(Conflict):
                store.compare_and_swap("a", expected, b"3")
        with pytest.raises(Conflict):
            store.compare_and_swap("absent", b"", b"3")
        assert store.get("a") == b"1"
        assert not store.exists("absent")

    def test_a_swap_from_nothing_creates(self, store: ObjectStore) -> None:
        store.compare_and_swap("a", None, b"1")
        assert store.get("a") == b"1"

    @pytest.mark.parametrize("lose", [drop_reply, hide_reply])
    def test_a_swap_whose_reply_is_lost_has_succeeded(
        self, store: ObjectStore, proxy: FaultProxy, lose: Callable[[Exchange], object]
    ) -> None:
        store.put("a", b"1")
        proxy.rule(swaps, lose, times=1)
        store.compare_and_swap("a", b"1", b"2")
        assert store.get("a") == b"2"

    def test_a_swap_that_others_built_upon_before_its_lost_reply_was_settled_has_succeeded(
        self, store: ObjectStore, other: ObjectStore, proxy: FaultProxy
    ) -> None:
        store.put("a", b"1")

        def overtaken(exchange: Exchange) -> None:
            exchange.forward()
            other.compare_and_swap("a", b"2", b"3")
            other.compare_and_swap("a", b"3", b"4")
            exchange.drop()

        proxy.rule(swaps, overtaken, times=1)
        store.compare_and_swap("a", b"1", b"2")
        assert store.get("a") == b"4"

    @pytest.mark.parametrize("lose", [drop_reply, drop_request, hide_reply])
    def test_a_lost_reply_to_a_lost_swap_is_a_conflict(
        self,
        store: ObjectStore,
        other: ObjectStore,
        proxy: FaultProxy,
        lose: Callable[[Exchange], object],
    ) -> None:
        store.put("a", b"1")
        proxy.rule(swaps, after(lambda: other.compare_and_swap("a", b"1", b"2"), lose), times=1)
        with pytest.raises(Conflict):
            store.compare_and_swap("a", b"1", b"2")

    def test_a_swap_whose_base_was_replaced_from_outside_is_a_failure_not_a_conflict(
        self, store: ObjectStore, other: ObjectStore, proxy: FaultProxy
    ) -> None:
        store.put("a", b"1")

        def replaced(exchange: Exchange) -> None:
            other.delete("a")
            other.put("a", b"foreign")
            exchange.drop()

        proxy.rule(swaps, replaced, times=1)
        with pytest.raises(StorageFailure, match="not known"):
            store.compare_and_swap("a", b"1", b"2")

    def test_retries_of_a_swap_are_bounded(self, store: ObjectStore, proxy: FaultProxy) -> None:
        store.put("a", b"1")
        proxy.forget()
        proxy.rule(swaps, answer_500)
        with pytest.raises(StorageFailure):
            store.compare_and_swap("a", b"1", b"2")
        assert proxy.count("PUT") == 1 + QUICK.count
        assert store.get("a") == b"1"

    def test_a_counter_that_many_threads_swap_counts_exactly(
        self, server: Server, store: ObjectStore
    ) -> None:
        store.put("counter", b"0")

        def add(_: int) -> None:
            rival = server.store(store.url, abilities=store.abilities())
            for _ in range(8):
                while True:
                    now = rival.get("counter")
                    try:
                        rival.compare_and_swap("counter", now, b"%d" % (int(now) + 1))
                        break
                    except Conflict:
                        continue

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(add, range(6)))
        assert store.get("counter") == b"48"

    def test_a_counter_counts_exactly_while_replies_are_lost(
        self, server: Server, store: ObjectStore, proxy: FaultProxy
    ) -> None:
        store.put("counter", b"0")
        seen = iter(range(1_000_000))
        proxy.rule(lambda request: swaps(request) and next(seen) % 3 == 0, drop_reply)
        failed: list[Exception] = []

        def add(_: int) -> None:
            rival = server.store(store.url, endpoint=proxy.endpoint, abilities=store.abilities())
            for _ in range(6):
                while True:
                    now = rival.get("counter")
                    try:
                        rival.compare_and_swap("counter", now, b"%d" % (int(now) + 1))
                        break
                    except Conflict:
                        continue
                    except StorageFailure as error:
                        failed.append(error)
                        break

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, range(4)))
        assert not failed
        assert store.get("counter") == b"24"

    # reads

    def test_a_body_that_breaks_off_is_read_again(
        self, store: ObjectStore, proxy: FaultProxy
    ) -> None:
        store.put("a", b"0123456789" * 1000)
        proxy.rule(gets, cut_body, times=2)
        assert store.get("a") == b"0123456789" * 1000
        proxy.rule(gets, cut_body, times=2)
        assert store.read_range("a", 5, 5000) == (b"0123456789" * 1000)[5:5005]

    def test_a_body_that_always_breaks_off_is_a_failure(
        self, store: ObjectStore, proxy: FaultProxy
    ) -> None:
        store.put("a", b"0123456789" * 1000)
        proxy.forget()
        proxy.rule(gets, cut_body)
        with pytest.raises(StorageFailure):
            store.get("a")
        assert proxy.count("GET") == 1 + QUICK.count

    def test_a_range_asks_for_these_bytes_only(self, store: ObjectStore, proxy: FaultProxy) -> None:
        store.put("a", b"0123456789")
        proxy.forget()
        assert store.read_range("a", 2, 3) == b"234"
        assert [r.headers["range"] for r in proxy.requests] == ["bytes=2-4"]

    def test_a_range_is_short_at_the_end_and_empty_beyond(self, store: ObjectStore) -> None:
        store.put("a", b"0123456789")
        store.put("empty", b"")
        assert store.read_range("a", 8, 10) == b"89"
        assert store.read_range("a", 10, 10) == b""
        assert store.read_range("a", 10**15, 10) == b""
        assert store.read_range("a", 3, 0) == b""
        assert store.read_range("empty", 0, 1) == b""
        with pytest.raises(NotFound):
            store.read_range("absent", 0, 0)
        with pytest.raises(NotFound):
            store.read_range("absent", 0, 1)
        with pytest.raises(Invalid):
            store.read_range("a", -1, 1)

    def test_size_and_existence_are_one_head(self, store: ObjectStore, proxy: FaultProxy) -> None:
        store.put("a", b"0123456789")
        proxy.forget()
        assert (store.size("a"), store.exists("a"), store.exists("b")) == (10, True, False)
        assert [r.method for r in proxy.requests] == ["HEAD"] * 3
        with pytest.raises(NotFound):
            store.size("b")

    def test_listings_ascend_by_path_bytes_and_hide_temporary_objects(
        self, store: ObjectStore
    ) -> None:
        names = ["a/b", "a.b", "a/ü", "a/z", "a b", "a%20b", "a+b", "Z", "a/b0/c", "😀", "ﬀ"]
        store.put_many((name, name.encode()) for name in names)
        key = store._location.temporary(".hf-0123456789abcdef")
        store._requests.create(key, b"")
        expected = [Entry(n, len(n.encode())) for n in sorted(names, key=str.encode)]
        assert list(store.list()) == expected
        assert [e.path for e in store.list("a")] == ["a/b", "a/b0/c", "a/z", "a/ü"]
        assert list(store.list("nowhere")) == []
        assert store.children("a") == (
            ["b0"],
            [Entry("a/b", 3), Entry("a/z", 3), Entry("a/ü", 4)],
        )
        assert store.children()[0] == ["a"]
        for name in names:
            assert store.get(name) == name.encode()

    def test_another_prefix_with_the_same_beginning_is_not_listed(
        self, server: Server, store: ObjectStore
    ) -> None:
        near = server.store(store.url + "x")
        near.put("a", b"")
        store.put("b", b"")
        assert [e.path for e in store.list()] == ["b"]

    def test_deletion_happens_twice_without_harm(self, store: ObjectStore) -> None:
        store.put("a", b"")
        store.delete("a")
        store.delete("a")
        assert not store.exists("a")
        store.put("a", b"again")
        assert store.get("a") == b"again"

    @pytest.mark.parametrize(
        "path",
        ["", "/a", "a/../b", "a\\b", "a\0b", "a\nb", "x/" * 510 + "yyyyy", ".hf-" + "0" * 16],
    )
    def test_a_bad_path_is_refused_without_a_request(
        self, store: ObjectStore, proxy: FaultProxy, path: str
    ) -> None:
        for call in (
            lambda: store.put(path, b""),
            lambda: store.get(path),
            lambda: store.open_writer(path),
            lambda: store.batch().put(path, b""),
            lambda: store.compare_and_swap(path, None, b""),
        ):
            with pytest.raises(InvalidPath):
                call()
        assert proxy.requests == []

    # many at once

    def test_put_many_writes_all(self, store: ObjectStore) -> None:
        store.put_many((f"m/{i:03}", b"%d" % i) for i in range(60))
        assert [store.get(e.path) for e in store.list("m")] == [b"%d" % i for i in range(60)]

    def test_put_many_tells_of_an_existing_path(self, store: ObjectStore) -> None:
        store.put("m/7", b"old")
        with pytest.raises(PathExists):
            store.put_many((f"m/{i}", b"new") for i in range(10))
        assert store.get("m/7") == b"old"

    def test_an_aborted_batch_removes_what_it_created_and_nothing_else(
        self, store: ObjectStore
    ) -> None:
        store.put("b/theirs", b"theirs")
        with store.batch() as batch:
            batch.put("b/committed", b"")
            batch.commit()
            batch.put("b/mine", b"")
            with pytest.raises(PathExists):
                batch.put("b/theirs", b"mine")
        assert [e.path for e in store.list("b")] == ["b/committed", "b/theirs"]
        assert store.get("b/theirs") == b"theirs"

    # streams

    def test_a_small_stream_is_one_conditional_put(
        self, store: ObjectStore, proxy: FaultProxy
    ) -> None:
        with store.open_writer("s") as writer:
            writer.write(b"abc")
            writer.write(memoryview(b"defg")[::2])
            assert proxy.requests == []
        assert [r.method for r in proxy.requests] == ["PUT"]
        assert store.get("s") == b"abcdf"

    def test_a_large_stream_is_invisible_until_closed(
        self, store: ObjectStore, other: ObjectStore
    ) -> None:
        writer = store.open_writer("s/large")
        for start in range(0, len(BIG), 1_000_003):
            writer.write(BIG[start : start + 1_000_003])
        assert list(other.list()) == []
        assert not other.exists("s/large")
        writer.close()
        assert other.get("s/large") == BIG
        assert [e.path for e in other.list()] == ["s/large"]
        assert no_temps(store)

    def test_a_large_stream_never_overwrites(self, store: ObjectStore, other: ObjectStore) -> None:
        writer = store.open_writer("s")
        writer.write(BIG)
        other.put("s", b"theirs")
        with pytest.raises(PathExists):
            writer.close()
        assert store.get("s") == b"theirs"
        assert no_temps(store)

    def test_a_large_stream_into_an_existing_path_is_refused_before_it_is_sent(
        self, store: ObjectStore, other: ObjectStore, proxy: FaultProxy
    ) -> None:
        other.put("s", b"theirs")
        with pytest.raises(PathExists), store.open_writer("s") as writer:
            writer.write(BIG)
        assert {r.method for r in proxy.requests} == {"HEAD"}

    def test_one_of_several_large_streams_wins(self, server: Server, store: ObjectStore) -> None:
        barrier = threading.Barrier(4)

        def race(number: int) -> bool:
            rival = server.store(store.url, part_size=PART, abilities=store.abilities())
            writer = rival.open_writer("s")
            writer.write(bytes([number]) * (PART + 1))
            barrier.wait()
            try:
                writer.close()
            except PathExists:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(race, range(4)))
        assert won.count(True) == 1
        assert store.get("s") == bytes([won.index(True)]) * (PART + 1)
        assert no_temps(store)

    def test_an_aborted_stream_leaves_nothing(self, store: ObjectStore) -> None:
        writer = store.open_writer("s")
        writer.write(BIG)
        writer.abort()
        assert list(store.list()) == []
        assert no_temps(store)

    def test_a_large_stream_whose_publishing_reply_is_lost_is_settled_or_told(
        self, store: ObjectStore, proxy: FaultProxy
    ) -> None:
        writer = store.open_writer("s")
        writer.write(BIG)

        def publishes(request: Request) -> bool:
            return request.path.partition("?")[0].endswith("/s") and (
                creates(request) or (request.method == "POST" and "uploadId" in request.path)
            )

        proxy.rule(publishes, drop_reply, times=1)
        if store.abilities().publish is Publish.PARTS:  # the object cannot carry a token
            with pytest.raises(StorageFailure, match="not known"):
                writer.close()
        else:
            writer.close()
        assert store.get("s") == BIG
        assert no_temps(store)

    def test_a_stream_beyond_the_largest_size_is_refused(self, store: ObjectStore) -> None:
        staged = ObjectStaged(
            create=store.put,
            stage=lambda: store._stage("s"),
            key=lambda path: path,
            name="s",
            part=PART,
            largest=len(BIG),
        )
        writer = ObjectWriter("s", staged, done=lambda path: None)
        writer.write(BIG)
        with pytest.raises(Unsupported, match="at most"):
            writer.write(b"!")
        assert list(store.list()) == []
        assert no_temps(store)

    def test_memory_stays_below_the_size_of_a_stream(self, other: ObjectStore) -> None:
        block = bytes(1024 * 1024)
        before = _anonymous_memory()
        most = 0
        with other.open_writer("s") as writer:
            for _ in range(96):
                writer.write(block)
                most = max(most, _anonymous_memory())
        assert other.size("s") == 96 * len(block)
        assert most - before < 48 * 1024 * 1024


def _anonymous_memory() -> int:
    """Bytes of this process's memory that no file backs (Linux)."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    raise AssertionError
