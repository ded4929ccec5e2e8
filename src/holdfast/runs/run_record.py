"""``run.json``: the whole run, sealed (spec/runs.md §4). Pure.

It is a function of the journal: whoever finishes a run (its own process, or the one that finds it
dead) writes the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from holdfast.clock import parse_rfc3339
from holdfast.errors import Integrity, Invalid, ManifestInvalid, Unsupported
from holdfast.records import CommitRecord, ObjectRef
from holdfast.runs.journal import Batch, Position, begin_of
from holdfast.runs.lines import (
    STATUSES,
    BeginLine,
    EndLine,
    FileLine,
    MarkLine,
    ProjectLine,
    SourceLine,
    check_file,
    decode_file,
    encode,
    safe_key,
)
from holdfast.runs.model import Project, RunInfo, Source

RUN_SCHEMA = "holdfast.run/1"
INLINE_ENTRIES = 100_000
"""Above this number the entries move to ``files-0001.jsonl``, … of as many entries each."""


class ArtifactRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that the run put out."""

    name: str
    sha256: str
    size: int
    type: str


class ListRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ``files-NNNN.jsonl`` beside ``run.json``."""

    entries: int
    name: str
    sha256: str
    size: int


class JournalRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The journal's bytes; `order` is that of its last batch."""

    batches: int
    order: str
    sha256: str
    size: int


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``run.json``. `files` is empty when `file_lists` is not."""

    action: str
    artifacts: list[ArtifactRecord]
    author: str
    bytes: int
    completed: str
    counts: dict[str, int]
    created: str
    error: str | None
    file_lists: list[ListRecord]
    files: list[FileLine]
    inputs: list[str]
    instructions: str | None
    journal: JournalRecord
    marks: list[MarkLine]
    nonce: str
    parent: str | None
    project: ProjectLine
    run_id: str
    schema: str
    sequence: int
    source: SourceLine | None
    status: str
    timestamp: str


_decoder = msgspec.json.Decoder(RunRecord)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished run's files: (name, bytes), lists first, ``run.json`` last."""

    record: RunRecord
    files: tuple[tuple[str, bytes], ...]

    @property
    def run_json(self) -> bytes:
        """The bytes of ``run.json``."""
        return self.files[-1][1]


def in_path_order(batches: Iterable[Batch]) -> list[FileLine]:
    """Every entry by path bytes, then as registered; marks of this run are taken in."""
    lines: list[FileLine] = []
    marks: dict[str, str] = {}
    for batch in batches:
        lines += batch.files
        for mark in batch.marks:
            marks.setdefault(mark.file_id, mark.processed)
    if marks:
        lines = [
            msgspec.structs.replace(line, processed=marks[line.file_id])
            if line.processed is None and line.file_id in marks
            else line
            for line in lines
        ]
    lines.sort(key=_path)
    return lines


def _path(line: FileLine) -> bytes:
    return line.path.encode() if line.path_b64 is None else line.raw_path


def seal(
    batches: list[Batch],
    position: Position,
    journal_sha256: str,
    *,
    inline: int = INLINE_ENTRIES,
) -> Sealed:
    """The files of a run whose journal ends with an end line.

    Raises:
        Integrity: the journal has no begin or no end line.
    """
    begin, end = begin_of(batches), batches[-1].end
    if end is None:
        raise Integrity("sealing the run", begin.run_id, found="a journal without an end")
    entries = in_path_order(batches)
    lists: list[ListRecord] = []
    files: list[tuple[str, bytes]] = []
    if len(entries) > inline:
        encoder = msgspec.json.Encoder()
        for start in range(0, len(entries), inline):
            part = entries[start : start + inline]
            data = encoder.encode_lines(part)
            name = f"files-{len(lists) + 1:04d}.jsonl"
            lists.append(
                ListRecord(
                    entries=len(part),
                    name=name,
                    sha256=hashlib.sha256(data).hexdigest(),
                    size=len(data),
                )
            )
            files.append((name, data))
        entries = []
    record = RunRecord(
        action=begin.action,
        artifacts=[
            ArtifactRecord(name=a.name, sha256=a.sha256, size=a.size, type=a.artifact)
            for batch in batches
            for a in batch.artifacts
        ],
        author=begin.author,
        bytes=end.bytes,
        completed=end.completed,
        counts=msgspec.structs.asdict(end.counts),
        created=begin.created,
        error=end.error,
        file_lists=lists,
        files=entries,
        inputs=begin.inputs,
        instructions=begin.instructions,
        journal=JournalRecord(
            batches=position.batches,
            order=str(batches[-1].order),
            sha256=journal_sha256,
            size=position.size,
        ),
        marks=[mark for batch in batches for mark in batch.marks],
        nonce=begin.nonce,
        parent=end.parent,
        project=begin.project,
        run_id=begin.run_id,
        schema=RUN_SCHEMA,
        sequence=begin.sequence,
        source=begin.source,
        status=end.status,
        timestamp=begin.timestamp,
    )
    files.append(("run.json", encode(record)))
    return Sealed(record, tuple(files))


def decode(data: bytes, name: str = "run.json") -> RunRecord:
    """The record that `data` holds, strictly.

    Raises:
        ManifestInvalid: not canonical, or a field breaks a rule; the message names it.
        Unsupported: a schema of a later version.
    """
    try:
        record = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _check_schema(data, name)
        raise ManifestInvalid("reading the run", name, found=str(error)) from None
    if record.schema != RUN_SCHEMA:
        _check_schema(data, name)
        raise ManifestInvalid("reading the run", name, found=f"schema {record.schema!r:.60}")
    if encode(record) != data:
        raise ManifestInvalid("reading the run", name, found="bytes not in canonical form")
    if record.status not in STATUSES or not record.journal.order.isdigit():
        raise ManifestInvalid("reading the run", name, found=f"status {record.status!r:.60}")
    try:
        for line in record.files:
            check_file(line)
        parse_rfc3339(record.created)
        parse_rfc3339(record.completed)
    except Invalid as error:
        raise ManifestInvalid("reading the run", name, found=error.found) from None
    for key in (
        *(item.name for item in record.file_lists),
        *(f"{item.type}/{item.name}" for item in record.artifacts),
    ):
        if not safe_key(key):
            raise ManifestInvalid("reading the run", name, found=f"the name {key!r:.60}")
    return record


class _Schema(msgspec.Struct):
    schema: str


def _check_schema(data: bytes, name: str) -> None:
    try:
        schema = msgspec.json.decode(data, type=_Schema).schema
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if schema.startswith("holdfast.run/") and schema != RUN_SCHEMA:
        raise Unsupported("reading the run", name, found=schema, expected=RUN_SCHEMA)


def decode_list(data: bytes, record: ListRecord) -> Iterator[FileLine]:
    """The entries of a file list.

    Raises:
        Integrity: not the bytes that ``run.json`` names.
        ManifestInvalid: an entry breaks a rule.
    """
    if len(data) != record.size or hashlib.sha256(data).hexdigest() != record.sha256:
        raise Integrity("reading the file list", record.name, found="other bytes")
    for line in data.splitlines():
        yield decode_file(line)


def commit_of(record: RunRecord, run_dir: str, objects: tuple[ObjectRef, ...]) -> CommitRecord:
    """The COMMIT of a finished run, the same whoever anchors it."""
    return CommitRecord(
        model="run",
        name=record.project.folder,
        id=record.run_id,
        objects=objects,
        time=record.completed,
        nonce=record.nonce,
        author=record.author,
        parent=record.parent,
        inputs=tuple(record.inputs),
        run=record.run_id,
        message=record.action,
    )


def info_of(
    begin: BeginLine,
    end: EndLine | None,
    run_dir: str,
    *,
    counts: dict[str, int] | None = None,
    size: int = 0,
    artifacts: dict[str, int] | None = None,
) -> RunInfo:
    """The run's `RunInfo` from its first and last line."""
    source = begin.source
    return RunInfo(
        run_id=begin.run_id,
        run_dir=run_dir,
        project=Project(begin.project.id, begin.project.name, begin.project.folder),
        timestamp=begin.timestamp,
        sequence=begin.sequence,
        action=begin.action,
        status="in_progress" if end is None else end.status,
        created=begin.created,
        completed=None if end is None else end.completed,
        error=None if end is None else end.error,
        source=None if source is None else Source(source.kind, source.url, source.commit),
        instructions=begin.instructions,
        inputs=tuple(begin.inputs),
        counts=counts or ({} if end is None else _nonzero(msgspec.structs.asdict(end.counts))),
        bytes=size if end is None else end.bytes,
        artifacts=artifacts or {},
    )


def _nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}
