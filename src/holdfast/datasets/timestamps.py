"""Times of records: exact to the nanosecond, with the zone that they were given in (§3, §7).

A record has a time of its own when its class has a method ``timestamp()``, as the Go interface
Timestamped; plain dicts have none. The earliest and the latest of them become the manifest's
`min_timestamp` and `max_timestamp`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from holdfast.clock import parse_rfc3339
from holdfast.errors import Invalid
from holdfast.snapshotting.rfc3339 import rfc3339_go

if TYPE_CHECKING:
    from typing import Self

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000_000
INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1


class NanoTime(datetime):
    """A time with digits below the microsecond, which a plain `datetime` would lose.

    `nanosecond` holds those digits (0 to 999). Compares, hashes and prints with them; arithmetic
    and `replace` give plain datetimes.
    """

    nanosecond: int

    @classmethod
    def of(cls, ns: int, zone: tzinfo | None = UTC) -> NanoTime:
        """The time `ns` nanoseconds after the Unix epoch; `zone` None: a naive one."""
        micros, rest = divmod(ns, 1000)
        moment = _EPOCH + micros * _MICROSECOND
        moment = moment.astimezone(zone) if zone is not None else moment.replace(tzinfo=None)
        out = cls(
            moment.year,
            moment.month,
            moment.day,
            moment.hour,
            moment.minute,
            moment.second,
            moment.microsecond,
            moment.tzinfo,
            fold=moment.fold,
        )
        out.nanosecond = rest
        return out

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        if timespec != "auto":
            return super().isoformat(sep, timespec)
        text = super().isoformat(sep, "microseconds")
        return text[:26] + f"{self._below():03d}" + text[26:]

    def __str__(self) -> str:
        return self.isoformat(" ")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, datetime):
            return NotImplemented
        return super().__eq__(other) and self._below() == getattr(other, "nanosecond", 0)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        below = self._below()
        return hash((super().__hash__(), below)) if below else super().__hash__()

    def __lt__(self, other: datetime) -> bool:  # type: ignore[override]
        if super().__eq__(other):
            return self._below() < int(getattr(other, "nanosecond", 0))
        return super().__lt__(other)

    def __le__(self, other: datetime) -> bool:  # type: ignore[override]
        return self == other or self < other

    def __gt__(self, other: datetime) -> bool:  # type: ignore[override]
        return not self <= other

    def __ge__(self, other: datetime) -> bool:  # type: ignore[override]
        return not self < other

    def _below(self) -> int:
        return getattr(self, "nanosecond", 0)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuild, (datetime_ns(self), self.tzinfo)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self


def _rebuild(ns: int, zone: tzinfo | None) -> NanoTime:
    return NanoTime.of(ns, zone)


def datetime_ns(value: datetime) -> int:
    """Nanoseconds since the Unix epoch; a naive time is taken as UTC. Uses the attribute
    `nanosecond` of `NanoTime` and `pandas.Timestamp`."""
    plain = value if type(value) is datetime else _plain(value)
    if plain.tzinfo is None:
        plain = plain.replace(tzinfo=UTC)
    span = plain - _EPOCH
    micros = (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
    return micros * 1000 + int(getattr(value, "nanosecond", 0))


def _plain(value: datetime) -> datetime:
    return datetime(
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        value.tzinfo,
        fold=value.fold,
    )


def offset_minutes(value: datetime) -> int | None:
    """Its offset from UTC, minutes; None where that is no whole number of minutes."""
    offset = value.utcoffset()
    if offset is None:
        return 0
    minutes, rest = divmod(offset, timedelta(minutes=1))
    return None if rest else minutes


def instant(value: Any) -> tuple[int, int]:
    """Nanoseconds since the Unix epoch and the zone's offset in minutes, of RFC 3339 text, an
    aware `datetime`, a `pandas.Timestamp` or a `numpy.datetime64` (which counts as UTC).

    Raises:
        Invalid: bad text, no time zone, or no time at all.
    """
    if isinstance(value, str):
        ns = parse_rfc3339(value)
        if value.endswith("Z"):
            return ns, 0
        hours, minutes = int(value[-5:-3]), int(value[-2:])
        if hours > 23 or minutes > 59:
            raise Invalid("reading the time", repr(value), found="an impossible zone")
        return ns, (hours * 60 + minutes) * (-1 if value[-6] == "-" else 1)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise Invalid("reading the time", repr(value), found="no time zone")
        return datetime_ns(value), offset_minutes(value) or 0
    if type(value).__name__ == "datetime64" and type(value).__module__ == "numpy":
        return _datetime64_ns(value), 0
    raise Invalid("reading the time", found=f"a {type(value).__name__}", expected="a datetime")


def _datetime64_ns(value: Any) -> int:
    import numpy as np

    unit, step = np.datetime_data(value.dtype)
    count = int(value.astype("i8"))
    per_unit = {"D": 86_400 * _SECOND, "h": 3600 * _SECOND, "m": 60 * _SECOND, "s": _SECOND}
    per_unit |= {"ms": 1_000_000, "us": 1000, "ns": 1}
    if count == INT64_MIN or unit not in per_unit:
        raise Invalid("reading the time", repr(value), found="not a time")
    return count * step * per_unit[unit]


def rfc3339_short(ns: int, offset: int = 0) -> str | None:
    """RFC 3339 text, fraction without trailing zeros, in the zone `offset` minutes from UTC;
    ``Z`` for UTC. None outside the years 1 to 9999."""
    try:
        return rfc3339_go(ns, offset)
    except Invalid:
        return None


def has_timestamp(cls: type) -> bool:
    """Whether records of the class have a time of their own: a method ``timestamp()``."""
    return callable(getattr(cls, "timestamp", None))


class TimeRange:
    """The earliest and the latest of the times that it saw; of equal ones the first."""

    def __init__(self) -> None:
        self._low: tuple[int, int] | None = None
        self._high: tuple[int, int] | None = None

    def add(self, value: Any) -> None:
        """Take in one time, see `instant`. Raises `Invalid`."""
        at = instant(value)
        if self._low is None or at[0] < self._low[0]:
            self._low = at
        if self._high is None or at[0] > self._high[0]:
            self._high = at

    @property
    def min_timestamp(self) -> str:
        """RFC 3339 in the record's own zone, or ""."""
        return (self._low and rfc3339_short(*self._low)) or ""

    @property
    def max_timestamp(self) -> str:
        """RFC 3339 in the record's own zone, or ""."""
        return (self._high and rfc3339_short(*self._high)) or ""
