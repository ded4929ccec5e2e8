"""Shared by the tests of runs."""

from __future__ import annotations

import hashlib

from holdfast.runs import FileEntry
from holdfast.store.memory import MemoryStore


class Ticks:
    """A clock that goes on by a millisecond whenever it is read."""

    def __init__(self, start=1_767_323_045_000_000_000):
        self.ns = start

    def now_ns(self):
        self.ns += 1_000_000
        return self.ns

    def monotonic(self):
        return self.ns / 1e9


class NoLeases(MemoryStore):
    """A store without leases, as an object store."""

    @property
    def leases(self):
        return None


class Commits:
    """A sink that remembers, as the ledger does."""

    def __init__(self):
        self.records = []

    def position(self):
        return len(self.records)

    def commit(self, record, *, since=0):
        for logseq, known in enumerate(self.records[since:], since + 1):
            if (known.model, known.name, known.id) == (record.model, record.name, record.id):
                return logseq
        self.records.append(record)
        return len(self.records)

    def find_object(self, model, name, id):
        logseq = self.find_commit(model, name, id)
        return None if logseq is None else self.records[logseq - 1].objects[0]

    def last_commit(self, model, name):
        for logseq in range(len(self.records), 0, -1):
            known = self.records[logseq - 1]
            if (known.model, known.name) == (model, name):
                return logseq, known.id
        return None

    def find_commit(self, model, name, id):
        for logseq, known in enumerate(self.records, 1):
            if (known.model, known.name, known.id) == (model, name, id):
                return logseq
        return None

    def commit_record(self, logseq):
        return self.records[logseq - 1]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def take(writer, path, data, **more):
    """Stage and register one file."""
    stored = writer.stage(path, data, sha256(data))
    writer.register(
        FileEntry(path=path, size=len(data), sha256=sha256(data), stored=stored, **more)
    )


def ingest(runs, files, project="p", *, source=None, walked=None, action="ingest", **more):
    """One run that takes in `files` (path → bytes) and completes: (info, answers by path)."""
    writer = runs.begin(project, action, source=source)
    for path, data in files.items():
        take(writer, path, data, **more)
    answers = {a.path: a for a in writer.flush()}
    return writer.complete(walked=walked), answers


def problems(runs, *, deep=True):
    """(code, path) of every finding of verify."""
    from holdfast.records import Finding

    return [(f.code, f.path) for f in runs.verify(deep=deep) if isinstance(f, Finding)]
