"""What the store finds out about endpoints, and what it refuses: `moto_server` behind a proxy that
makes it as bad as servers come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest

from holdfast.errors import (
    Denied,
    HoldfastError,
    NoSpace,
    NotFound,
    PathExists,
    StorageFailure,
    Unsupported,
)
from holdfast.store.object_probe import Abilities, Match, Publish
from holdfast.store.object_store import ObjectStore
from object_store_behaviour import BIG, PART, creates, drop_reply, gets, no_temps, swaps
from s3_proxy import Exchange, FaultProxy, Request, answer_500, drop_request
from s3_servers import QUICK, Server, moto  # noqa: F401


@pytest.fixture
def proxy(moto: Server) -> Iterator[FaultProxy]:  # noqa: F811
    with FaultProxy(moto.address) as proxy:
        yield proxy


@pytest.fixture
def store(moto: Server, proxy: FaultProxy) -> Iterator[ObjectStore]:  # noqa: F811
    """A store behind the proxy that has made no probe yet."""
    with moto.store(endpoint=proxy.endpoint, part_size=PART) as store:
        yield store


def is_copy(request: Request) -> bool:
    return request.method == "PUT" and "x-amz-copy-source" in request.headers


def is_completion(request: Request) -> bool:
    return request.method == "POST" and "uploadId" in request.path


def anything(request: Request) -> bool:
    return True


def ignoring(*headers: str) -> Callable[[Exchange], None]:
    """The server behaves as if these headers were not there."""

    def do(exchange: Exchange) -> None:
        exchange.forward(exchange.request.without(*headers))

    return do


def refusing(status: int, code: str) -> Callable[[Exchange], None]:
    def do(exchange: Exchange) -> None:
        exchange.refuse(status, code)

    return do


def minding_conditional_copies(exchange: Exchange) -> None:
    """CopyObject with If-None-Match as Amazon S3 has it."""
    request = exchange.request
    looked = exchange.forward(
        replace(request.without("if-none-match", "x-amz-copy-source"), method="HEAD")
    )
    if looked.status == 200:
        exchange.refuse(412, "PreconditionFailed")
    else:
        exchange.forward(request.without("if-none-match"))


def test_moto_minds_conditions_on_completion_but_not_on_copies(store: ObjectStore) -> None:
    assert store.abilities() == Abilities(Match.QUOTED, Publish.PARTS)
    assert no_temps(store)
    assert list(store.list()) == []


def test_no_probe_is_made_before_the_first_conditional_write(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    assert not store.exists("a")
    assert list(store.list()) == []
    store.delete("a")
    assert [r.method for r in proxy.requests] == ["HEAD", "GET", "DELETE"]


def test_each_ability_is_probed_once(store: ObjectStore, proxy: FaultProxy) -> None:
    store.put("a", b"1")
    first = len(proxy.requests)
    assert first == 5  # put, conditional put, get, delete; and the put itself
    store.put("b", b"1")
    assert len(proxy.requests) == first + 1
    store.compare_and_swap("a", b"1", b"2")
    proxy.forget()
    store.compare_and_swap("a", b"2", b"3")
    assert len(proxy.requests) == 2


def test_known_abilities_are_not_probed(moto: Server, proxy: FaultProxy) -> None:  # noqa: F811
    known = Abilities(Match.QUOTED, Publish.PARTS)
    with moto.store(endpoint=proxy.endpoint, abilities=known) as store:
        store.put("a", b"1")
        store.compare_and_swap("a", b"1", b"2")
    assert len(proxy.requests) == 3


def test_an_endpoint_that_ignores_if_none_match_is_refused(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    proxy.rule(creates, ignoring("if-none-match"))
    for write in (
        lambda: store.put("a", b""),
        lambda: store.compare_and_swap("a", None, b""),
        lambda: store.open_writer("a").close(),
        store.abilities,
    ):
        with pytest.raises(Unsupported, match="If-None-Match on PUT"):
            write()
    assert not store.exists("a")
    assert no_temps(store)


def test_an_endpoint_that_does_not_know_conditions_is_refused(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    proxy.rule(creates, refusing(501, "NotImplemented"))
    with pytest.raises(Unsupported, match="If-None-Match on PUT"):
        store.put("a", b"")


def test_a_passing_failure_is_not_taken_for_a_refusal(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    proxy.rule(creates, ignoring("if-none-match"))
    proxy.rule(creates, answer_500, times=2)
    with pytest.raises(Unsupported):
        store.put("a", b"")


def test_an_endpoint_that_answers_only_500_is_a_failure_not_an_inability(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    proxy.rule(creates, answer_500)
    with pytest.raises(StorageFailure):
        store.put("a", b"")
    assert sum(map(creates, proxy.requests)) == 1 + QUICK.count


def test_probes_live_through_lost_requests_and_replies(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    requests, puts = count(), count()
    proxy.rule(lambda request: next(requests) % 6 == 1, drop_request)
    proxy.rule(lambda request: request.method == "PUT" and next(puts) % 5 == 1, drop_reply)
    assert store.abilities() == Abilities(Match.QUOTED, Publish.PARTS)


def test_an_endpoint_that_loses_metadata_is_refused(store: ObjectStore, proxy: FaultProxy) -> None:
    proxy.rule(lambda request: request.method == "PUT", ignoring("x-amz-meta-"))
    with pytest.raises(Unsupported, match="metadata"):
        store.put("a", b"")


def test_an_endpoint_that_ignores_if_match_has_no_compare_and_swap(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    proxy.rule(swaps, ignoring("if-match"))
    store.put("a", b"1")
    with pytest.raises(Unsupported, match="If-Match on PUT"):
        store.compare_and_swap("a", b"1", b"2")
    assert store.get("a") == b"1"
    store.compare_and_swap("b", None, b"1")
    assert store.abilities().match is Match.NONE


def test_an_endpoint_that_wants_bare_tags_gets_bare_tags(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    def quoted(request: Request) -> bool:
        return swaps(request) and '"' in request.headers["if-match"]

    proxy.rule(quoted, refusing(412, "PreconditionFailed"))
    store.put("a", b"1")
    store.compare_and_swap("a", b"1", b"2")
    assert store.get("a") == b"2"
    assert store.abilities().match is Match.UNQUOTED


def test_large_bodies_are_published_by_a_conditional_copy_where_there_is_one(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    proxy.rule(
        lambda request: is_copy(request) and "if-none-match" in request.headers,
        minding_conditional_copies,
    )
    assert store.abilities().publish is Publish.COPY
    with store.open_writer("a") as writer:
        writer.write(BIG)
    assert store.get("a") == BIG
    with pytest.raises(PathExists):
        store.put("a", b"")
    assert no_temps(store)


def test_a_lost_reply_to_a_conditional_copy_is_settled_by_the_token(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    def copies(request: Request) -> bool:
        return is_copy(request) and "if-none-match" in request.headers

    def lost(exchange: Exchange) -> None:
        minding_conditional_copies(exchange)
        exchange.drop()

    proxy.rule(copies, minding_conditional_copies)
    assert store.abilities().publish is Publish.COPY
    writer = store.open_writer("a")
    writer.write(BIG)
    proxy.rule(copies, lost, times=1)
    writer.close()
    assert store.get("a") == BIG
    assert no_temps(store)


def test_large_bodies_are_one_put_where_only_that_is_conditional(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    proxy.rule(is_completion, ignoring("if-none-match"))
    assert store.abilities().publish is Publish.SPOOL
    proxy.forget()
    writer = store.open_writer("a")
    writer.write(BIG)
    proxy.rule(creates, drop_reply, times=1)
    writer.close()
    assert [r.method for r in proxy.requests] == ["HEAD", "PUT", "HEAD"]
    assert store.get("a") == BIG


def test_a_large_body_of_another_size_is_another_s(
    moto: Server,  # noqa: F811
    store: ObjectStore,
    proxy: FaultProxy,
) -> None:
    other = moto.store(store.url)
    writer = store.open_writer("a")
    writer.write(BIG)

    def overtaken(exchange: Exchange) -> None:
        other.put("a", b"theirs")
        exchange.forward()
        exchange.drop()

    proxy.rule(lambda r: is_completion(r) and "/a?" in r.path, overtaken, times=1)
    with pytest.raises(PathExists):
        writer.close()
    assert store.get("a") == b"theirs"


def test_an_upload_that_fails_leaves_nothing_visible(store: ObjectStore, proxy: FaultProxy) -> None:
    store.abilities()
    proxy.rule(lambda request: "partNumber" in request.path, answer_500)
    writer = store.open_writer("a")
    with pytest.raises(StorageFailure):
        writer.write(BIG * 6)
    writer.abort()
    assert list(store.list()) == []
    assert no_temps(store)


def test_an_endpoint_that_lists_out_of_order_is_refused(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    store.put_many([("a", b""), ("b", b"")])

    def swapped(exchange: Exchange) -> None:
        exchange.forward()
        assert exchange.answer is not None
        body = exchange.answer.body
        body = body.replace(b"/a<", b"/?<").replace(b"/b<", b"/a<").replace(b"/?<", b"/b<")
        exchange.answer = type(exchange.answer)(200, exchange.answer.headers, body)

    proxy.rule(lambda request: "list-type=2" in request.path, swapped)
    with pytest.raises(Unsupported, match="out of order"):
        list(store.list())


def test_pages_of_a_listing_follow_each_other(store: ObjectStore, proxy: FaultProxy) -> None:
    store.put_many((f"{i:02}", b"") for i in range(20))

    def small_page(exchange: Exchange) -> None:
        request = exchange.request
        path = request.path + "&max-keys=3"
        exchange.forward(Request(request.method, path, request.headers, request.body))

    proxy.rule(lambda request: "list-type=2" in request.path, small_page)
    assert [e.path for e in store.list()] == [f"{i:02}" for i in range(20)]
    assert len(store.children()[1]) == 20


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "AccessDenied", Denied, "AccessDenied"),
        (403, "SignatureDoesNotMatch", Denied, "credentials"),
        (403, "QuotaExceeded", NoSpace, "QuotaExceeded"),
        (507, "InsufficientCapacity", NoSpace, "507"),
        (400, "InvalidRequest", StorageFailure, "400 InvalidRequest"),
        (404, "NoSuchBucket", NotFound, "create the bucket"),
    ],
)
def test_refusals_are_told_as_what_they_are_and_not_tried_again(
    store: ObjectStore,
    proxy: FaultProxy,
    status: int,
    code: str,
    kind: type[HoldfastError],
    words: str,
) -> None:
    store.put("a", b"1")
    proxy.forget()
    proxy.rule(anything, refusing(status, code))
    for call in (
        lambda: store.put("b", b""),
        lambda: store.get("a"),
        lambda: store.read_range("a", 0, 1),
        lambda: list(store.list()),
        store.children,
    ):
        proxy.forget()
        with pytest.raises(kind, match=words) as caught:
            call()
        assert type(caught.value) is kind
        assert caught.value.details["status"] == status
        # obstore itself repeats the requests of listings
        assert len(proxy.requests) == 1 or (status == 507 and proxy.count("GET", "list-type"))


def test_a_bucket_that_is_not_there_is_named(moto: Server) -> None:  # noqa: F811
    store = moto.store("s3://no-such-bucket/prefix")
    for call in (
        lambda: store.put("a", b""),
        lambda: store.get("a"),
        lambda: store.compare_and_swap("a", None, b""),
        lambda: store.compare_and_swap("a", b"", b""),
        lambda: list(store.list()),
    ):
        with pytest.raises(NotFound, match="bucket is not there"):
            call()


def test_temporary_objects_of_dead_writers_are_found_by_the_server_s_clock(
    store: ObjectStore, proxy: FaultProxy
) -> None:
    old, new = ".hf-00000000000000aa", ".hf-00000000000000bb"
    for name in (old, new):
        store._requests.create(store._location.temporary(name), b"123")
    assert list(store.stale_temps()) == []

    def dated(exchange: Exchange) -> None:
        """As if the first object had been written long ago."""
        answer = exchange.forward()
        head, _, tail = answer.body.partition(b"<LastModified>")
        body = head + b"<LastModified>2001" + tail[4:]
        exchange.answer = type(answer)(200, answer.headers, body)

    proxy.rule(lambda request: gets(request) and "list-type=2" in request.path, dated)
    assert [e.path for e in store.stale_temps()] == [old]
    assert store.remove_stale_temps(dry_run=True).removed == [(old, 3)]
    assert store.remove_stale_temps().removed == [(old, 3)]
    assert not no_temps(store)
    assert list(store.stale_temps("folder")) == []


def test_settings_come_from_the_environment(
    moto: Server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with ObjectStore(moto.url(), retries=QUICK) as store:
        store.put("a", b"1")
        assert store.get("a") == b"1"


def test_secrets_are_never_shown(moto: Server, proxy: FaultProxy) -> None:  # noqa: F811
    secret = "hush-hush-hush"
    store = ObjectStore(
        moto.url(),
        endpoint=proxy.endpoint,
        access_key_id="AKIDKEY",
        secret_access_key=secret,
        session_token=secret,
        retries=QUICK,
    )
    proxy.rule(anything, refusing(403, "AccessDenied"))
    shown = [repr(store), store.url, repr(store._requests.settings)]
    for call in (lambda: store.put("a", b""), lambda: store.get("a"), lambda: list(store.list())):
        with pytest.raises(Denied) as caught:
            call()
        shown += [str(caught.value), repr(caught.value), str(caught.value.to_json())]
        assert caught.value.__cause__ is None
    with pytest.raises(HoldfastError) as failed:
        ObjectStore("s3://bucket", config={"no_such_setting": secret})
    shown.append(str(failed.value))
    assert not [text for text in shown if secret in text]
