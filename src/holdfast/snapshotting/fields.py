"""Typed fields of a decoded manifest: each error names the field and the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.clock import parse_rfc3339
from holdfast.errors import Invalid, InvalidPath, ManifestInvalid
from holdfast.store.paths import check_path

_DOING = "reading the manifest"
MAX_INT64 = 2**63 - 1


class Fields:
    """An object inside a manifest. As in the original, a null counts as an absent field; unknown
    fields are ignored.

    Every method raises `ManifestInvalid` on a value of another type.
    """

    __slots__ = ("_path", "_value", "_where")

    def __init__(self, value: dict[str, Any], path: str, where: str = "") -> None:
        """`path` is the manifest's, `where` the place of the object in it: ``files[3].``."""
        self._value = value
        self._path = path
        self._where = where

    def wrong(self, name: str, found: str) -> ManifestInvalid:
        """The error for a field."""
        return ManifestInvalid(_DOING, self._path, found=f"field {self._where}{name}: {found}")

    def text(self, name: str, *, required: bool = False) -> str:
        """A string, "" where it is absent; `required`: neither absent nor empty."""
        value = self._value.get(name)
        if value is None:
            value = ""
        elif not isinstance(value, str):
            raise self._kind(name, value, "a string")
        if required and not value:
            raise self.wrong(name, "required")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, None where it is absent or empty."""
        return self.text(name) or None

    def integer(self, name: str, *, minimum: int = 0) -> int:
        """An integer from `minimum` to 2**63 - 1; 0 where it is absent."""
        value = self._value.get(name)
        if value is None:
            return 0
        if type(value) is not int:
            raise self._kind(name, value, "an integer")
        if not minimum <= value <= MAX_INT64:
            raise self.wrong(name, f"an integer below {minimum} or above 2**63 - 1")
        return value

    def optional_integer(self, name: str) -> int | None:
        """An integer from 0 to 2**63 - 1, None where it is absent."""
        return None if self._value.get(name) is None else self.integer(name)

    def any(self, name: str) -> Any:
        """Any JSON value, None where it is absent."""
        return self._value.get(name)

    def time(self, name: str, *, required: bool = False) -> str:
        """RFC 3339 text, "" where it is absent. `required`: neither absent nor the zero time."""
        if self._value.get(name) is None:
            if required:
                raise self.wrong(name, "required")
            return ""
        value = self.text(name)
        try:
            zero = parse_rfc3339(value) == _ZERO_TIME
        except Invalid:
            raise self.wrong(name, f"{value[:60]!r} is no RFC 3339 time") from None
        if required and zero:
            raise self.wrong(name, "the zero time, which stands for none")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """An object as it is; required."""
        value = self._value.get(name)
        if value is None:
            raise self.wrong(name, "required")
        if not isinstance(value, dict):
            raise self._kind(name, value, "an object")
        return value

    def object(self, name: str) -> Fields | None:
        """An object, None where it is absent."""
        if self._value.get(name) is None:
            return None
        return Fields(self.mapping(name), self._path, f"{self._where}{name}.")

    def items(self, name: str) -> list[Any] | None:
        """An array as it is, None where it is absent."""
        value = self._value.get(name)
        if value is not None and not isinstance(value, list):
            raise self._kind(name, value, "an array")
        return value

    def objects(self, name: str) -> Iterator[Fields]:
        """The objects of an array; none where it is absent."""
        for i, value in enumerate(self.items(name) or ()):
            if not isinstance(value, dict):
                raise self._kind(f"{name}[{i}]", value, "an object")
            yield Fields(value, self._path, f"{self._where}{name}[{i}].")

    def texts(self, name: str) -> tuple[str, ...]:
        """The strings of an array; none where it is absent."""
        values = self.items(name) or []
        for i, value in enumerate(values):
            if not isinstance(value, str):
                raise self._kind(f"{name}[{i}]", value, "a string")
        return tuple(values)

    def store_path(self, name: str) -> str:
        """A path that a store takes; required."""
        value = self.text(name, required=True)
        try:
            return check_path(value)
        except InvalidPath as error:
            raise self.wrong(name, f"{value[:80]!r}, {error.found}") from None

    def _kind(self, name: str, value: Any, expected: str) -> ManifestInvalid:
        return self.wrong(name, f"a JSON {_KINDS.get(type(value), 'value')}, not {expected}")


_KINDS = {
    dict: "object",
    list: "array",
    str: "string",
    int: "integer",
    float: "number with a point or an exponent",
    bool: "boolean",
    type(None): "null",
}
_ZERO_TIME = parse_rfc3339("0001-01-01T00:00:00Z")
