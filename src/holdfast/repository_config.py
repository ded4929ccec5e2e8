"""`holdfast.json`: what a repository is, and what must be known to open it.

The format is on docs/spec/repository.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from holdfast import canonical_json
from holdfast.clock import parse_rfc3339
from holdfast.errors import Integrity, Invalid, NotFound, Unsupported
from holdfast.store.protocol import Store

CONFIG = "holdfast.json"
SCHEMA = "holdfast.repository/1"
FORMAT_VERSION = 1
KNOWN_FEATURES: frozenset[str] = frozenset()
"""Features of `holdfast.json` that this version knows, for reading and for writing."""

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_CONFIG_FIELDS = {"schema", "format_version", "repository_id", "domain", "created", "features"}


@dataclass(frozen=True, slots=True)
class RepositoryConfig:
    """What `holdfast.json` says. `domain` is a random non-zero u32; `created` is RFC 3339."""

    repository_id: str
    domain: int
    created: str
    features_read: tuple[str, ...] = ()
    features_write: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The file's canonical bytes."""
        return canonical_json.dumps(
            {
                "schema": SCHEMA,
                "format_version": FORMAT_VERSION,
                "repository_id": self.repository_id,
                "domain": self.domain,
                "created": self.created,
                "features": {"read": self.features_read, "write": self.features_write},
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, path: str = CONFIG) -> RepositoryConfig:
        """The configuration that `data` holds.

        Raises:
            Integrity: not what a Holdfast wrote.
            Unsupported: a later format, or an unknown feature that reading needs.
        """
        try:
            value = canonical_json.loads_canonical(data)
        except Invalid as error:
            raise Integrity("reading", path, found=error.found) from None
        return _config_from_json(value, path)


def _config_from_json(value: Any, path: str) -> RepositoryConfig:
    def bad(field: str) -> Integrity:
        return Integrity("reading", path, found=f"field {field} is missing or malformed")

    if not isinstance(value, dict):
        raise bad("(all)")
    schema, version = value.get("schema"), value.get("format_version")
    if not isinstance(schema, str) or not schema.startswith("holdfast.repository/"):
        raise bad("schema")
    if type(version) is not int:
        raise bad("format_version")
    if schema != SCHEMA or version > FORMAT_VERSION:
        raise Unsupported(
            "opening a repository with",
            path,
            found=f"format {schema} version {version}",
            expected=f"{SCHEMA} version {FORMAT_VERSION}",
            hint="open it with a newer Holdfast",
        )
    if version < 1:
        raise bad("format_version")
    if value.keys() != _CONFIG_FIELDS:
        raise bad(", ".join(sorted(value.keys() ^ _CONFIG_FIELDS)))
    if not isinstance(value["repository_id"], str) or not _UUID4.match(value["repository_id"]):
        raise bad("repository_id")
    if type(value["domain"]) is not int or not 0 < value["domain"] < 2**32:
        raise bad("domain")
    try:
        parse_rfc3339(value["created"] if isinstance(value["created"], str) else "")
    except Invalid:
        raise bad("created") from None
    features = value["features"]
    if not isinstance(features, dict) or features.keys() != {"read", "write"}:
        raise bad("features")
    for names in features.values():
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise bad("features")
    unknown = sorted(set(features["read"]) - KNOWN_FEATURES)
    if unknown:
        raise Unsupported(
            "opening a repository with",
            path,
            found=f"unknown features {', '.join(unknown)}",
            hint="open it with a newer Holdfast",
        )
    return RepositoryConfig(
        value["repository_id"],
        value["domain"],
        value["created"],
        tuple(features["read"]),
        tuple(features["write"]),
    )


def read_config(store: Store) -> RepositoryConfig:
    """The repository's `holdfast.json`. Raises `NotFound`, `Integrity`, `Unsupported`."""
    try:
        data = store.read_range(CONFIG, 0, 1 << 20)
    except NotFound:
        raise NotFound(
            "opening the repository",
            store.url,
            found="no holdfast.json there",
            hint="make one with `holdfast init`, or name another with -R",
        ) from None
    return RepositoryConfig.from_bytes(data)
