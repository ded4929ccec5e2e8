"""Run artifacts: files that a run put out, in folders of its own (spec/runs.md §1, §4)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.errors import Invalid, from_oserror
from holdfast.runs.journals import seam_of
from holdfast.runs.lines import ArtifactLine, safe_key
from holdfast.runs.naming import check_artifact_type

if TYPE_CHECKING:
    from holdfast.store.calls import SystemCalls
    from holdfast.store.protocol import Store

CHUNK = 4 * 1024 * 1024
"""Bytes read at once."""


def artifact_key(run_dir: str, artifact_type: str, name: str) -> str:
    """The key of an artifact file.

    Raises:
        Invalid: a type or a name that would leave its folder.
    """
    check_artifact_type(artifact_type)
    if not safe_key(name) or name.startswith("."):
        raise Invalid("naming the artifact", repr(name), expected="a relative path")
    return f"{run_dir}/{artifact_type}/{name}"


def artifact_folder(store: Store, run_dir: str, artifact_type: str) -> str:
    """Where the caller writes: an absolute path on a file system, made if missing; else a key."""
    check_artifact_type(artifact_type)
    calls, root = seam_of(store)
    if calls is None:
        return f"{run_dir}/{artifact_type}"
    from holdfast.store.filesystem import FileSystemStore

    path = f"{root}/{run_dir}/{artifact_type}"
    if isinstance(store, FileSystemStore):
        store.folders.ensure(path)
    return path


def types_in(store: Store, run_dir: str) -> list[str]:
    """The artifact types that have a folder in the run."""
    out = []
    for name in store.children(run_dir)[0]:
        try:
            out.append(check_artifact_type(name))
        except Invalid:
            continue
    return out


def gather(store: Store, run_dir: str) -> list[ArtifactLine]:
    """Every artifact file of a run, made durable and hashed, by type and name.

    Raises:
        StorageFailure: a file could not be read or synced.
    """
    calls, root = seam_of(store)
    lines: list[ArtifactLine] = []
    folders: dict[str, None] = {}
    for artifact_type in types_in(store, run_dir):
        base = f"{run_dir}/{artifact_type}"
        folders[base] = None
        for entry in store.list(base):
            if calls is not None:
                _sync(calls, f"{root}/{entry.path}")
                folder = os.path.dirname(entry.path)
                while len(folder) > len(run_dir):
                    folders[folder] = None
                    folder = os.path.dirname(folder)
            size, digest = hash_stored(store, entry.path)
            lines.append(
                ArtifactLine(
                    artifact=artifact_type,
                    name=entry.path[len(base) + 1 :],
                    sha256=digest,
                    size=size,
                )
            )
    if calls is not None and folders:
        from holdfast.store.durable import sync_folder

        for folder in folders:
            sync_folder(calls, f"{root}/{folder}")
        sync_folder(calls, f"{root}/{run_dir}")
    return lines


def _sync(calls: SystemCalls, path: str) -> None:
    try:
        fd = calls.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            calls.fsync(fd)
        finally:
            calls.close(fd)
    except OSError as error:
        raise from_oserror(error, "syncing the artifact", path) from error


def hash_stored(store: Store, key: str) -> tuple[int, str]:
    """(size in bytes, SHA-256 hex) of a stored file, read in chunks. Raises `NotFound`."""
    state = hashlib.sha256()
    size = 0
    for chunk in chunks(store, key):
        state.update(chunk)
        size += len(chunk)
    return size, state.hexdigest()


def chunks(store: Store, key: str) -> Iterator[bytes]:
    """The bytes of a stored file, `CHUNK` at a time. Raises `NotFound`."""
    offset = 0
    while True:
        chunk = store.read_range(key, offset, CHUNK)
        if chunk:
            yield chunk
        offset += len(chunk)
        if len(chunk) < CHUNK:
            return
