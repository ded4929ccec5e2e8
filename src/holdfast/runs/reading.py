"""Reading runs and versions: from journals and ``run.json``, never from the index."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.errors import Integrity, Invalid, NotFound
from holdfast.runs.artifacts import chunks
from holdfast.runs.finish import RUN_JSON
from holdfast.runs.lines import FileLine
from holdfast.runs.model import FileVersion
from holdfast.runs.run_record import RunRecord, decode, decode_list, in_path_order

if TYPE_CHECKING:
    from holdfast.records import CommitSink
    from holdfast.runs.journals import Journals
    from holdfast.runs.state import ProjectState
    from holdfast.store.protocol import Store

WHOLE = 1024 * 1024
"""Files up to this size in bytes are checked whole before any byte is given out."""


def read_record(store: Store, sink: CommitSink, run_dir: str) -> RunRecord:
    """The run's sealed record, checked against its COMMIT where the sink can show it.

    Raises:
        NotFound: the run is not finished.
        Integrity: not the bytes that were announced.
        ManifestInvalid: not a well-formed record.
    """
    key = f"{run_dir}/{RUN_JSON}"
    data = store.get(key)
    record = decode(data, key)
    show = getattr(sink, "commit_record", None)
    logseq = sink.find_commit("run", record.project.folder, record.run_id)
    if show is not None and logseq:
        for ref in show(logseq).objects:
            if ref.path == key and ref.sha256 != hashlib.sha256(data).hexdigest():
                raise Integrity("reading the run", key, found="other bytes than were announced")
    return record


def entries_of(
    store: Store, journals: Journals, sink: CommitSink, run_dir: str
) -> Iterator[FileLine]:
    """Every entry of a run by path bytes, a path met twice twice, in order."""
    try:
        record = read_record(store, sink, run_dir)
    except NotFound:
        yield from in_path_order(journals.read(run_dir).batches)
        return
    yield from record.files
    for part in record.file_lists:
        yield from decode_list(store.get(f"{run_dir}/{part.name}"), part)


def last_of_each(lines: Iterator[FileLine]) -> Iterator[FileLine]:
    """Of lines in path order the last of each path."""
    held: FileLine | None = None
    for line in lines:
        if held is not None and (held.path, held.path_b64) != (line.path, line.path_b64):
            yield held
        held = line
    if held is not None:
        yield held


def version_of(
    line: FileLine, state: ProjectState, project: str, superseded_by: str | None = None
) -> FileVersion:
    """The version that `line` names, with what the project knows of it by now."""
    processed = line.processed
    if processed is None and line.file_id is not None:
        processed = state.processed.get(line.file_id)
    return FileVersion(
        path=line.raw_path,
        kind=line.kind,
        size=line.size,
        sha256=line.sha256,
        mode=line.mode,
        mtime_ns=None if line.mtime_ns is None else int(line.mtime_ns),
        target=line.raw_target,
        outcome=line.outcome,
        file_id=line.file_id,
        run_id=line.run_id,
        project=project,
        stored=line.stored,
        processed=processed,
        superseded_by=superseded_by,
        created=line.created,
        error=line.error,
    )


def open_verified(store: Store, prefix: str, version: FileVersion) -> io.BufferedIOBase:
    """The bytes of `version` as a stream that checks them; see `Runs.open_file`."""
    if version.stored is None or version.sha256 is None:
        raise Invalid("opening", version.name, found=f"a {version.kind} without stored bytes")
    key = f"{prefix}/{version.stored}"
    if version.size <= WHOLE:
        try:
            data = store.read_range(key, 0, version.size + 1)
        except NotFound:
            raise _missing(key, version) from None
        _check(key, version, len(data), hashlib.sha256(data).hexdigest())
        return io.BytesIO(data)
    return io.BufferedReader(_Verified(store, key, version), WHOLE)


def _missing(key: str, version: FileVersion) -> Integrity:
    return Integrity("reading", key, found="no file", expected=f"{version.size} bytes")


def _check(key: str, version: FileVersion, size: int, digest: str) -> None:
    if size != version.size:
        raise Integrity("reading", key, found=f"{size} bytes or more", expected=f"{version.size}")
    if digest != version.sha256:
        raise Integrity(
            "reading", key, found=f"sha256:{digest}", expected=f"sha256:{version.sha256}"
        )


class _Verified(io.RawIOBase):
    """A raw stream of one stored file; the read that meets its end checks size and SHA-256."""

    def __init__(self, store: Store, key: str, version: FileVersion) -> None:
        super().__init__()
        self._key = key
        self._version = version
        self._hash = hashlib.sha256()
        self._size = 0
        self._chunks = chunks(store, key)
        self._rest = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest and not self._ended:
            try:
                chunk = next(self._chunks, b"")
            except NotFound:
                raise _missing(self._key, self._version) from None
            self._hash.update(chunk)
            self._size += len(chunk)
            self._rest = memoryview(chunk)
            # The check comes before the last bytes are given out.
            if self._size >= self._version.size or not chunk:
                chunk = next(self._chunks, b"")
                self._size += len(chunk)
                self._ended = True
                _check(self._key, self._version, self._size, self._hash.hexdigest())
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def find_in_journal(data: bytes, prefix: str) -> bool:
    """Whether a journal may name contents whose SHA-256 begins so: a search, not a parse."""
    return f'"sha256":"{prefix}'.encode() in data
