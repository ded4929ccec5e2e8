"""Bounded retries with growing pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from holdfast.clock import Ids
from holdfast.store.object_reply import Meaning, Reply, read_reply

T = TypeVar("T")

WORTH_ANOTHER_TRY = frozenset({Meaning.TRANSIENT, Meaning.UNREACHABLE})


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long: `count` tries after the first; pauses in seconds, doubling from
    `first` to `longest`, each shortened at random by up to a half so that rivals part."""

    count: int = 5
    first: float = 0.1
    longest: float = 5.0
    sleep: Callable[[float], None] = time.sleep

    def pause(self, tried: int, ids: Ids) -> None:
        """Wait after the try number `tried` (from 1)."""
        longest = min(self.longest, self.first * 2 ** min(tried - 1, 30))
        self.sleep(longest * (0.5 + ids.u64() / 2**65))


def obstore_errors() -> tuple[type[Exception], ...]:
    """What a request of obstore raises when it fails."""
    from obstore.exceptions import BaseError

    # FileNotFoundError: no such object; OSError: a broken body; ValueError: a name it cannot parse
    return BaseError, OSError, ValueError


class Refused(Exception):
    """A request that failed for good, or too often; never leaves the object store."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


def ask(retries: Retries, ids: Ids, request: Callable[[], T]) -> T:
    """The answer of `request`, which may be sent again without harm.

    Raises:
        Refused: it failed for good, or `retries` are used up.
    """
    tried = 0
    while True:
        try:
            return request()
        except obstore_errors() as error:
            reply = read_reply(error)
        tried += 1
        if reply.meaning not in WORTH_ANOTHER_TRY or tried > retries.count:
            raise Refused(reply)
        retries.pause(tried, ids)


def attempt(request: Callable[[], object]) -> Reply | None:
    """Send `request` once; its failure, or None when it succeeded."""
    try:
        request()
    except obstore_errors() as error:
        return read_reply(error)
    return None
