"""Objects as records: dataclasses, msgspec structs and named tuples become dicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from holdfast.datasets.timestamps import TimeRange, has_timestamp
from holdfast.errors import Invalid

_DEPTH = 64
_LEAVES = frozenset({type(None), bool, int, float, str, bytes})

_names: dict[type, tuple[str, ...] | None] = {}


def field_names(cls: type) -> tuple[str, ...] | None:
    """Names of the fields of a dataclass, a msgspec struct or a named tuple; None for others."""
    try:
        return _names[cls]
    except KeyError:
        pass
    names: tuple[str, ...] | None = None
    if dataclasses.is_dataclass(cls):
        names = tuple(field.name for field in dataclasses.fields(cls))
    elif hasattr(cls, "__struct_fields__"):
        names = tuple(cls.__struct_fields__)
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names = tuple(cls._fields)
    _names[cls] = names
    return names


def plain_rows(items: Sequence[Any], times: TimeRange | None) -> Sequence[Any]:
    """The items as records; `items` itself where all are dicts already. Items that are nothing of
    that kind stay as they are: JSONL holds any value."""
    kinds = set(map(type, items))
    if kinds <= {dict} or kinds <= _LEAVES:
        return items
    if times is not None:
        _note_times(items, {kind for kind in kinds if field_names(kind) or _own_time(kind)}, times)
    converters = {kind: _converter(kind) for kind in kinds}
    return [converters[type(item)](item) for item in items]


def _own_time(kind: type) -> bool:
    return has_timestamp(kind) and issubclass(kind, Mapping)


def _note_times(items: Iterable[Any], kinds: set[type], times: TimeRange) -> None:
    timed = {kind for kind in kinds if has_timestamp(kind)}
    if timed:
        for item in items:
            if type(item) in timed:
                times.add(item.timestamp())


def _converter(kind: type) -> Callable[[Any], Any]:
    names = field_names(kind)
    if names is not None:
        return lambda item: {name: _plain(getattr(item, name), 1) for name in names}
    if issubclass(kind, Mapping) and kind is not dict:
        return lambda item: {key: _plain(value, 1) for key, value in item.items()}
    return lambda item: item


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _LEAVES:
        return value
    if depth > _DEPTH:
        raise Invalid("writing records", found=f"values nested deeper than {_DEPTH}")
    names = field_names(kind)
    if names is not None:
        return {name: _plain(getattr(value, name), depth + 1) for name in names}
    if isinstance(value, Mapping):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item, depth + 1) for item in value]
    return value
