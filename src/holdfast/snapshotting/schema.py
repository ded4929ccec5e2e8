"""What the manifests of datasets and volumes have in common: schema, version, identity (§3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.errors import Invalid, ManifestInvalid, Unsupported
from holdfast.snapshotting.fields import Fields
from holdfast.snapshotting.manifest_json import MAX_BYTES, Ordered
from holdfast.snapshotting.snapshot_id import is_readable

if TYPE_CHECKING:
    from holdfast.store.protocol import Store

FORMAT_VERSION = "1.0.0"
_MAJOR = FORMAT_VERSION.split(".", maxsplit=1)[0]
T = TypeVar("T")


def read_manifest(store: Store, path: str) -> bytes:
    """The bytes of a manifest; of one that is too large as many as show it. Raises `NotFound`."""
    return store.read_range(path, 0, MAX_BYTES + 1)


def check_schema(fields: Fields, name: str, path: str) -> None:
    """Refuse what is no manifest of schema `name` that this version can read.

    Raises:
        ManifestInvalid: no schema or no version.
        Unsupported: another schema, or another major version.
    """
    schema = fields.text("schema_name", required=True)
    version = fields.text("format_version", required=True)
    if schema != name:
        raise Unsupported(
            "reading the manifest", path, found=f"schema_name {schema[:60]!r}", expected=name
        )
    if version.split(".", maxsplit=1)[0] != _MAJOR:
        raise Unsupported(
            "reading the manifest",
            path,
            found=f"format_version {version[:60]!r}",
            expected=f"{_MAJOR}.x",
            hint="a newer program wrote it; upgrade",
        )


def check_id(fields: Fields, name: str, *, required: bool = False) -> str:
    """A snapshot id: one component of a path, of any shape; "" where it is absent.

    Raises:
        ManifestInvalid: it is no such component.
    """
    value = fields.text(name, required=required)
    if value and not is_readable(value):
        raise fields.wrong(name, f"{value[:80]!r} is no snapshot id")
    return value


def check_place(path: str, name: str, found: str, expected: str) -> None:
    """Refuse a manifest that says in the field `name` that it belongs elsewhere: it was moved or
    copied to this path, and would pass for what was committed here.

    Raises:
        ManifestInvalid: `found` is not `expected`.
    """
    if found != expected:
        raise ManifestInvalid(
            "reading the manifest",
            path,
            found=f"field {name}: {found[:80]!r}",
            expected=f"{expected[:80]!r}, where it lies",
            hint="it is the manifest of another one",
        )


def present(pairs: Iterable[tuple[str, Any]]) -> Ordered:
    """The fields of a struct; those whose name ends with ``?`` are left out where they are empty,
    as Go's omitempty does."""
    return Ordered(
        (name.removesuffix("?"), value) for name, value in pairs if value or not name.endswith("?")
    )


def check_writable(read: Callable[[dict[str, Any], str], T], fields: Ordered, target: str) -> None:
    """Refuse to write what `read` would refuse to read.

    Raises:
        Invalid: it does, and why.
    """
    try:
        read(fields, target)
    except (ManifestInvalid, Unsupported) as error:
        raise Invalid("writing the manifest of", target, found=error.found) from None
