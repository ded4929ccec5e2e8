"""What tests of the log share: entries, and what a log must hold."""

from __future__ import annotations

from holdfast.ledger.artifact import artifact_bytes, reference_of
from holdfast.ledger.log import Entry
from holdfast.ledger.payload import (
    Batch,
    Commit,
    InlinePut,
    Pin,
    Tombstone,
    entry_of,
    payload_of,
)
from holdfast.records import COMMIT_TYPE_TAG, CommitRecord, Severity


def inline(data: bytes) -> Entry:
    return entry_of(InlinePut(reference_of(data)), artifact_bytes(data))


def commit(name: str, size: int = 0) -> Entry:
    record = CommitRecord(
        model="run",
        name=name,
        id=name,
        objects=(),
        time="2026-01-02T03:04:05.000000006Z",
        nonce="0" * 32,
        author="tester",
        message="x" * size,
    ).to_bytes()
    return entry_of(Commit(4, reference_of(record, COMMIT_TYPE_TAG)), record)


def pin(logseq: int) -> Entry:
    return entry_of(Pin(logseq))


def tombstone(data: bytes) -> Entry:
    return entry_of(Tombstone(reference_of(data), 7, 9))


def batch(*entries: Entry) -> list[Entry]:
    return [entry_of(Batch(len(entries))), *entries]


def append(log, entries):
    """Append `entries`; the (first, last) logseq and the entries, to be checked later."""
    first, last = log.append(lambda head: entries)
    return first, last, tuple(entries)


def holds(log, fact, records=None) -> bool:
    """Whether `log` has exactly the records and frames of `fact`, as `append` gave it."""
    first, last, entries = fact
    if records is None:
        records = {r.logseq: r for r in log.records(first, stop=last)}
    for logseq, entry in enumerate(entries, first):
        record = records.get(logseq)
        if record is None or (record.type, record.payload) != (entry.type, entry.payload):
            return False
        if entry.frame is not None:
            reference = payload_of(record).reference
            if log.frame(logseq, reference) != entry.frame:
                return False
    return True


def problems(log, *, deep=True):
    """The findings that tell of damage or of something unfinished."""
    return [
        found
        for found in log.verify(deep=deep)
        if getattr(found, "severity", Severity.INFO) != Severity.INFO
    ]


def open_batches(records) -> list[int]:
    """Logseqs of BATCH records whose records do not all follow."""
    last = records[-1].logseq if records else 0
    return [
        r.logseq
        for r in records
        if isinstance(p := payload_of(r), Batch) and r.logseq + p.count > last
    ]
