"""An HTTP forwarder on loopback that counts requests and does what bad networks and servers do.

::

    with FaultProxy(server.address) as proxy:
        store = server.store(endpoint=proxy.endpoint)
        proxy.rule(lambda request: request.method == "PUT", drop_reply)
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Request:
    """A request as the client sent it; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def without(self, *names: str) -> Request:
        """The request without the headers that begin with one of `names`."""
        kept = {k: v for k, v in self.headers.items() if not k.startswith(names)}
        return replace(self, headers=kept)

    @property
    def conditional(self) -> bool:
        return "if-none-match" in self.headers or "if-match" in self.headers


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Exchange:
    """One request under way: forward it, answer it, or cut it off."""

    def __init__(self, request: Request, upstream: tuple[str, int]) -> None:
        self.request = request
        self.upstream = upstream
        self.answer: Answer | None = None
        self.sent_bytes: int | None = None
        """How much of the answer's body to send before the connection is cut; None: all."""

    def forward(self, request: Request | None = None) -> Answer:
        """Send the request on, and keep the server's answer as the one to give."""
        sent = request or self.request
        connection = http.client.HTTPConnection(*self.upstream, timeout=60)
        try:
            connection.putrequest(sent.method, sent.path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.headers.items():
                if name not in ("connection", "content-length", "transfer-encoding"):
                    connection.putheader(name, value)
            if sent.body or sent.method in ("PUT", "POST"):
                connection.putheader("content-length", str(len(sent.body)))
            connection.endheaders(sent.body or None)
            reply = connection.getresponse()
            body = reply.read()
            self.answer = Answer(reply.status, tuple(reply.getheaders()), body)
        finally:
            connection.close()
        return self.answer

    def refuse(self, status: int, code: str = "InternalError") -> None:
        """Answer by oneself."""
        body = f"<Error><Code>{code}</Code></Error>".encode()
        self.answer = Answer(status, (("content-type", "application/xml"),), body)

    def drop(self) -> None:
        """Cut the connection without an answer."""
        self.answer = None


Action = Callable[[Exchange], object]


def forward(exchange: Exchange) -> None:
    exchange.forward()


def drop_request(exchange: Exchange) -> None:
    """The request never reaches the server."""
    exchange.drop()


def drop_reply(exchange: Exchange) -> None:
    """The server does what was asked, and nobody hears of it."""
    exchange.forward()
    exchange.drop()


def hide_reply(exchange: Exchange) -> None:
    """The server does what was asked, and something on the way answers 500."""
    exchange.forward()
    exchange.refuse(500)


def answer_500(exchange: Exchange) -> None:
    exchange.refuse(500)


def answer_503(exchange: Exchange) -> None:
    exchange.refuse(503, "SlowDown")


def cut_body(exchange: Exchange) -> None:
    """The answer breaks off in the middle of its body."""
    exchange.forward()
    assert exchange.answer is not None
    exchange.sent_bytes = len(exchange.answer.body) // 2


@dataclass
class Rule:
    when: Callable[[Request], bool]
    do: Action
    times: int


class FaultProxy:
    """The forwarder; `requests` are all requests so far, in order of arrival."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.requests: list[Request] = []
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one write an answer: no waiting for acknowledgements
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                proxy._handle(self, upstream)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815

            def log_message(self, *args: object) -> None:
                """Quiet."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *args: object) -> None:
                """A client that hung up."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def rule(self, when: Callable[[Request], bool], do: Action, times: int = 1_000_000) -> None:
        """Do `do` for the next `times` requests that `when` picks; the newest rule goes first."""
        with self._lock:
            self._rules.insert(0, Rule(when, do, times))

    def count(self, method: str, part: str = "") -> int:
        """Requests of `method` with `part` in their path."""
        with self._lock:
            return sum(r.method == method and part in r.path for r in self.requests)

    def forget(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self.requests.clear()

    def _handle(self, handler: BaseHTTPRequestHandler, upstream: tuple[str, int]) -> None:
        size = int(handler.headers.get("content-length") or 0)
        request = Request(
            handler.command,
            handler.path,
            {name.lower(): value for name, value in handler.headers.items()},
            handler.rfile.read(size),
        )
        exchange = Exchange(request, upstream)
        action: Action = forward
        with self._lock:
            self.requests.append(replace(request, body=b""))
            for rule in self._rules:
                if rule.times > 0 and rule.when(request):
                    rule.times -= 1
                    action = rule.do
                    break
        action(exchange)
        answer = exchange.answer
        if answer is None:
            handler.close_connection = True
            return
        handler.send_response_only(answer.status)
        length = str(len(answer.body))
        for name, value in answer.headers:
            lower = name.lower()
            if lower == "content-length":
                length = value
            elif lower not in ("connection", "transfer-encoding", "keep-alive"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", length)
        handler.end_headers()
        if request.method != "HEAD":
            handler.wfile.write(answer.body[: exchange.sent_bytes])
        if exchange.sent_bytes is not None:
            handler.close_connection = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
