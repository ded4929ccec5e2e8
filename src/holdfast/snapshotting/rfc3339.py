"""Times as Go prints them (spec/datasets.md §3): RFC 3339, up to nine fraction digits without
trailing zeros, ``Z`` for UTC."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

from holdfast.errors import Invalid

_DOING = "writing the time"
_DAY = 86_400
_SECOND = 1_000_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
# Attoseconds in one step of a numpy.datetime64 of that unit.
_STEPS = {
    "W": 7 * _DAY * 10**18,
    "D": _DAY * 10**18,
    "h": 3600 * 10**18,
    "m": 60 * 10**18,
    "s": 10**18,
    "ms": 10**15,
    "us": 10**12,
    "ns": 10**9,
    "ps": 10**6,
    "fs": 10**3,
    "as": 1,
}


def rfc3339_go(ns: int, offset_minutes: int = 0) -> str:
    """The time `ns` nanoseconds after the Unix epoch, in the zone that is `offset_minutes` ahead
    of UTC.

    Raises:
        Invalid: a year outside 1 to 9999, or an offset of a day or more.
    """
    if not -24 * 60 < offset_minutes < 24 * 60:
        raise Invalid(_DOING, found=f"an offset of {offset_minutes} minutes")
    seconds, fraction = divmod(ns, _SECOND)
    days, second = divmod(seconds + offset_minutes * 60, _DAY)
    try:
        day = date.fromordinal(days + _EPOCH_DAY)
    except (ValueError, OverflowError):
        raise Invalid(_DOING, found="a year outside 1 to 9999") from None
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return _text(day, hour, minute, second, fraction, offset_minutes)


def is_time(value: Any) -> bool:
    """Whether `time_text` takes it: a `date`, a `datetime` or a `numpy.datetime64`."""
    if isinstance(value, date):
        return True
    # A value of numpy's cannot be there where numpy was never imported.
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.datetime64)


def time_text(value: Any) -> str:
    """RFC 3339 text of a time. A `date` gives ``YYYY-MM-DD``; a naive time and a
    `numpy.datetime64` count as UTC; an offset with seconds is written as UTC. The attribute
    `nanosecond` of `pandas.Timestamp` is kept.

    Raises:
        Invalid: not a time (NaT), or a year outside 1 to 9999.
    """
    if not isinstance(value, date):
        return _numpy_text(value)
    if not isinstance(value, datetime):
        return value.isoformat()
    if value != value:  # pandas.NaT, a datetime that equals nothing
        raise Invalid(_DOING, found="NaT")
    below = int(getattr(value, "nanosecond", 0))
    offset = value.utcoffset() or timedelta()
    minutes, rest = divmod(offset, timedelta(minutes=1))
    if rest:
        try:
            value, minutes = value.astimezone(UTC), 0
        except OverflowError:
            raise Invalid(_DOING, found="a year outside 1 to 9999") from None
    fraction = value.microsecond * 1000 + below
    return _text(value, value.hour, value.minute, value.second, fraction, minutes)


def _numpy_text(value: Any) -> str:
    import numpy as np

    if np.isnat(value):
        raise Invalid(_DOING, found="NaT")
    unit, count = np.datetime_data(value.dtype)
    if unit not in _STEPS:  # years and months
        value, unit, count = value.astype("datetime64[D]"), "D", 1
    return rfc3339_go(int(value.astype(np.int64)) * count * _STEPS[unit] // 10**9)


def _text(day: date, hour: int, minute: int, second: int, fraction: int, offset: int) -> str:
    text = f"{day.year:04d}-{day.month:02d}-{day.day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    if offset == 0:
        return text + "Z"
    hours, minutes = divmod(abs(offset), 60)
    return f"{text}{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"
