"""Which snapshots a retention rule keeps (spec/datasets.md §9.7): pure, without a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from holdfast.errors import Invalid


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept: the newest `last` snapshots, and the newest one of each of the last `daily`
    days, `weekly` ISO weeks and `monthly` months that have one (UTC). The newest is always kept."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    def check(self) -> None:
        """Raises `Invalid` for negative numbers, or where nothing is asked for."""
        numbers = (self.last, self.daily, self.weekly, self.monthly)
        if any(n < 0 for n in numbers):
            raise Invalid("applying retention", found=f"{self}", expected="numbers of 0 and more")
        if not any(numbers):
            raise Invalid(
                "applying retention",
                found="a rule that keeps nothing",
                expected="at least one of keep_last, daily, weekly, monthly",
            )


@dataclass(frozen=True, slots=True)
class Item:
    """A snapshot: its id, when it was made (ns since the epoch), and the names of its tags."""

    id: str
    time_ns: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What a rule keeps and expires, both newest first. `reasons` says of each id that is kept why:
    ``latest``, ``last``, ``daily``, ``weekly``, ``monthly``, ``tag:<name>``."""

    kept: tuple[str, ...]
    expired: tuple[str, ...]
    reasons: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dry_run: bool = False


def choose(items: Sequence[Item], rule: Rule) -> dict[str, tuple[str, ...]]:
    """The ids that are kept, each with the reasons. `items` are newest first.

    Raises:
        Invalid: see `Rule.check`.
    """
    rule.check()
    kept: dict[str, list[str]] = {}
    for item in items[:1]:
        kept.setdefault(item.id, []).append("latest")
    for item in items[: rule.last]:
        kept.setdefault(item.id, []).append("last")
    for name, number, period in (
        ("daily", rule.daily, _day),
        ("weekly", rule.weekly, _week),
        ("monthly", rule.monthly, _month),
    ):
        for id in _newest_of_each(items, number, period):
            kept.setdefault(id, []).append(name)
    for item in items:
        for tag in item.tags:
            kept.setdefault(item.id, []).append(f"tag:{tag}")
    return {id: tuple(reasons) for id, reasons in kept.items()}


Period = tuple[int, ...]


def _newest_of_each(
    items: Iterable[Item], number: int, period: Callable[[int], Period]
) -> list[str]:
    """The newest snapshot of each of the last `number` periods that have one."""
    found: dict[Period, Item] = {}
    for item in items:
        key = period(item.time_ns)
        if key not in found or item.time_ns > found[key].time_ns:
            found[key] = item
    chosen = sorted(found, reverse=True)[:number]
    return [found[key].id for key in chosen]


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC)


def _day(ns: int) -> Period:
    return (ns // 86_400_000_000_000,)


def _week(ns: int) -> Period:
    year, week, _ = _moment(ns).isocalendar()
    return year, week


def _month(ns: int) -> Period:
    moment = _moment(ns)
    return moment.year, moment.month
