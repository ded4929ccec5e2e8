"""Time and identity, injectable so that tests and golden files are deterministic."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from holdfast.errors import Invalid

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z", re.ASCII
)


class Clock(Protocol):
    """Where time comes from."""

    def now_ns(self) -> int:
        """Wall time, nanoseconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back."""


class Ids(Protocol):
    """Where identity and randomness come from."""

    def uuid4(self) -> str:
        """A random UUID, lowercase with hyphens."""

    def token(self, size: int) -> str:
        """`size` random bytes as lowercase hex."""

    def u64(self) -> int:
        """A random integer in [1, 2**64)."""


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()


_FETCHED = 256
_CLEARED = int("ffffffffffff0fff3fffffffffffffff" * _FETCHED, 16)
_SET = int("00000000000040008000000000000000" * _FETCHED, 16)


class SystemIds:
    """The system's random source. Bytes for UUIDs are fetched many at a time: one call of the
    system for each would be a third of the cost of taking in a small file."""

    def __init__(self) -> None:
        self._owner = 0
        self._waiting: list[str] = []

    def uuid4(self) -> str:
        try:
            if self._owner != os.getpid():
                # A forked child must not give out what its parent will give out.
                raise IndexError
            digits = self._waiting.pop()
        except IndexError:
            digits = self._fetch()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _fetch(self) -> str:
        # Version 4 and the variant's two bits, in all of them at once.
        random = int.from_bytes(os.urandom(16 * _FETCHED), "big") & _CLEARED | _SET
        data = f"{random:0{32 * _FETCHED}x}"
        fresh = [data[at : at + 32] for at in range(0, len(data), 32)]
        digits = fresh.pop()
        self._waiting = fresh
        self._owner = os.getpid()
        return digits

    def token(self, size: int) -> str:
        return os.urandom(size).hex()

    def u64(self) -> int:
        while True:
            value = int.from_bytes(os.urandom(8), "little")
            if value:
                return value


def rfc3339(ns: int) -> str:
    """UTC time with nine fraction digits: ``2026-01-02T03:04:05.000000006Z``."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.isoformat()[:19]}.{fraction:09d}Z"


@lru_cache(maxsize=256)  # one commit checks the same times again and again
def parse_rfc3339(text: str) -> int:
    """Nanoseconds since the Unix epoch.

    Raises:
        Invalid: not an RFC 3339 time.
    """
    match = _RFC3339.match(text)
    if match is None:
        raise Invalid("reading the time", repr(text), expected="RFC 3339, as 2026-01-02T03:04:05Z")
    *parts, fraction, zone = match.groups()
    try:
        moment = datetime(*(int(p) for p in parts), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError as error:
        raise Invalid("reading the time", repr(text), found=str(error)) from None
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    span = moment - epoch
    seconds = span.days * 86_400 + span.seconds
    if zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        seconds -= sign * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
    return seconds * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
