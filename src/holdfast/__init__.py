"""Holdfast keeps what data pipelines produce: immutable, deduplicated, crash-safe, provable.

    import holdfast

    repo = holdfast.init("archive")
    report = repo.ingest("results")
    repo.verify()

Every public name is here; the modules below are private but for `holdfast.testing`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from holdfast._version import __version__
from holdfast.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    Denied,
    ExitCode,
    HoldfastError,
    Integrity,
    Invalid,
    InvalidFormat,
    InvalidPath,
    ManifestInvalid,
    NoSnapshots,
    NoSpace,
    NotFound,
    OverlappingBlocks,
    PathExists,
    RangeMissing,
    SchemaViolation,
    SnapshotConflict,
    StorageFailure,
    Unsupported,
)

if sys.platform == "win32":
    raise ImportError("Holdfast runs on Linux and macOS; Windows is not supported (WSL works)")

if TYPE_CHECKING:
    from holdfast.ledger.artifact import Reference
    from holdfast.ledger.ledger import Ledger
    from holdfast.records import CommitRecord, Finding, ObjectRef
    from holdfast.repository import Repository, init, open
    from holdfast.runs import ArtifactManager, Runs
    from holdfast.store.filesystem import FileSystemStore
    from holdfast.store.memory import MemoryStore
    from holdfast.store.object_store import ObjectStore
    from holdfast.store.protocol import Store

# Loaded at first use, so that `holdfast --help` does not pay for what it does not show.
_HOMES = {
    "ArtifactManager": "holdfast.runs",
    "CommitRecord": "holdfast.records",
    "FileSystemStore": "holdfast.store.filesystem",
    "Finding": "holdfast.records",
    "Ledger": "holdfast.ledger.ledger",
    "MemoryStore": "holdfast.store.memory",
    "ObjectRef": "holdfast.records",
    "ObjectStore": "holdfast.store.object_store",
    "Reference": "holdfast.ledger.artifact",
    "Repository": "holdfast.repository",
    "Runs": "holdfast.runs",
    "Store": "holdfast.store.protocol",
    "init": "holdfast.repository",
    "open": "holdfast.repository",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "AlreadyExists",
    "ArtifactManager",
    "Busy",
    "CommitRecord",
    "Conflict",
    "Denied",
    "ExitCode",
    "FileSystemStore",
    "Finding",
    "HoldfastError",
    "Integrity",
    "Invalid",
    "InvalidFormat",
    "InvalidPath",
    "Ledger",
    "ManifestInvalid",
    "MemoryStore",
    "NoSnapshots",
    "NoSpace",
    "NotFound",
    "ObjectRef",
    "ObjectStore",
    "OverlappingBlocks",
    "PathExists",
    "RangeMissing",
    "Reference",
    "Repository",
    "Runs",
    "SchemaViolation",
    "SnapshotConflict",
    "StorageFailure",
    "Store",
    "Unsupported",
    "__version__",
    "init",
    "open",
]
