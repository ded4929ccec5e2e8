"""S3 servers on loopback for tests: `moto_server`, and the one of ``make s3-up``.

Fixtures: take them into a conftest with ``from s3_servers import moto``.
"""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from holdfast.store.object_retry import Retries
from holdfast.store.object_store import ObjectStore

QUICK = Retries(count=4, first=0.001, longest=0.01)
"""Retries without waits worth mention."""


@dataclass(frozen=True)
class Server:
    """A running S3 server with a bucket."""

    name: str
    endpoint: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    bucket: str = "holdfast-test"

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.endpoint.removeprefix("http://").split(":")
        return host, int(port)

    def url(self) -> str:
        """A URL with a prefix that nobody used before."""
        return f"s3://{self.bucket}/{secrets.token_hex(6)}"

    def store(self, url: str = "", *, endpoint: str = "", **options: Any) -> ObjectStore:
        """A store at `url`, below a new prefix by default."""
        options.setdefault("retries", QUICK)
        return ObjectStore(
            url or self.url(),
            endpoint=endpoint or self.endpoint,
            region="us-east-1",
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            **options,
        )

    def environment(self) -> dict[str, str]:
        """What a user would export."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": "us-east-1",
        }


# moto looks whether an object is there and then writes it, in as many threads as there are
# requests: one at a time makes its conditions as firm as those of a real server.
_MOTO = """
import sys, threading
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

moto = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()

def one_at_a_time(environ, start_response):
    with turn:
        return list(moto(environ, start_response))

run_simple("127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_moto() -> tuple[Server, subprocess.Popen[bytes]]:
    """A moto server of its own process, with the bucket made."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _MOTO, str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server("moto", f"http://127.0.0.1:{port}", "key", "secret")
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("PUT", f"/{server.bucket}")
            answer = connection.getresponse()
            answer.read()
            connection.close()
            assert answer.status == 200, answer.status
            return server, process
        except ConnectionError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise
            time.sleep(0.05)


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    """`moto_server`: every conditional right, nothing checked of credentials."""
    server, process = start_moto()
    yield server
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="session")
def ceph() -> Server:
    """The server of ``make s3-up``, from the environment that ``make test-s3`` sets."""
    if "HOLDFAST_TEST_S3_URL" not in os.environ:
        pytest.skip("no S3 server: make s3-up, then make test-s3")
    return Server(
        "ceph",
        os.environ["AWS_ENDPOINT_URL"],
        os.environ["AWS_ACCESS_KEY_ID"],
        os.environ["AWS_SECRET_ACCESS_KEY"],
        os.environ["HOLDFAST_TEST_S3_URL"].removeprefix("s3://"),
    )
