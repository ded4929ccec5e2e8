"""Holdfast keeps what data pipelines produce: immutable, deduplicated, crash-safe, provable.

    import holdfast

    repo = holdfast.init("archive")
    report = repo.ingest("results")
    repo.verify()

Every public name is here; the modules below are private but for `holdfast.testing`,
`holdfast.interop` and `holdfast.volumes.importing`.
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
    Erased,
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
    from holdfast.datasets.codecs.jsonl import Jsonl
    from holdfast.datasets.codecs.parquet import Field, Parquet
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.manifest import DatasetManifest
    from holdfast.datasets.reader import DatasetReader, ManifestRef
    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.ledger.artifact import Reference
    from holdfast.ledger.ledger import Ledger
    from holdfast.opening import init, open
    from holdfast.records import CommitRecord, Finding, ObjectRef
    from holdfast.repository import Repository
    from holdfast.runs import ArtifactManager, Runs
    from holdfast.store.filesystem import FileSystemStore
    from holdfast.store.memory import MemoryStore
    from holdfast.store.object_store import ObjectStore
    from holdfast.store.protocol import Store
    from holdfast.volumes.manifest import BlockRef, VolumeManifest
    from holdfast.volumes.protocol import VolumeReader, VolumeWriter
    from holdfast.volumes.snapshot import VolumeSnapshot
    from holdfast.volumes.volume import Volume

# Loaded at first use, so that `holdfast --help` does not pay for what it does not show.
_HOMES = {
    "ArtifactManager": "holdfast.runs",
    "BlockRef": "holdfast.volumes.manifest",
    "CommitRecord": "holdfast.records",
    "Dataset": "holdfast.datasets.dataset",
    "DatasetManifest": "holdfast.datasets.manifest",
    "DatasetReader": "holdfast.datasets.reader",
    "DatasetSnapshot": "holdfast.datasets.snapshot",
    "Field": "holdfast.datasets.codecs.parquet",
    "FileSystemStore": "holdfast.store.filesystem",
    "Finding": "holdfast.records",
    "Jsonl": "holdfast.datasets.codecs.jsonl",
    "Ledger": "holdfast.ledger.ledger",
    "ManifestRef": "holdfast.datasets.reader",
    "MemoryStore": "holdfast.store.memory",
    "ObjectRef": "holdfast.records",
    "ObjectStore": "holdfast.store.object_store",
    "Parquet": "holdfast.datasets.codecs.parquet",
    "Reference": "holdfast.ledger.artifact",
    "Repository": "holdfast.repository",
    "Runs": "holdfast.runs",
    "Store": "holdfast.store.protocol",
    "Volume": "holdfast.volumes.volume",
    "VolumeManifest": "holdfast.volumes.manifest",
    "VolumeReader": "holdfast.volumes.protocol",
    "VolumeSnapshot": "holdfast.volumes.snapshot",
    "VolumeWriter": "holdfast.volumes.protocol",
    "init": "holdfast.opening",
    "open": "holdfast.opening",
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
    "BlockRef",
    "Busy",
    "CommitRecord",
    "Conflict",
    "Dataset",
    "DatasetManifest",
    "DatasetReader",
    "DatasetSnapshot",
    "Denied",
    "Erased",
    "ExitCode",
    "Field",
    "FileSystemStore",
    "Finding",
    "HoldfastError",
    "Integrity",
    "Invalid",
    "InvalidFormat",
    "InvalidPath",
    "Jsonl",
    "Ledger",
    "ManifestInvalid",
    "ManifestRef",
    "MemoryStore",
    "NoSnapshots",
    "NoSpace",
    "NotFound",
    "ObjectRef",
    "ObjectStore",
    "OverlappingBlocks",
    "Parquet",
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
    "Volume",
    "VolumeManifest",
    "VolumeReader",
    "VolumeSnapshot",
    "VolumeWriter",
    "__version__",
    "init",
    "open",
]
