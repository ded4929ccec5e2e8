"""Mutated golden files: only typed errors, bounded memory, and nothing is taken for sound."""

from __future__ import annotations

import functools
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import HoldfastError, Integrity, NotFound, Unsupported
from holdfast.ledger.artifact import reference_of
from holdfast.ledger.file_log import FileLog
from holdfast.ledger.object_log import ObjectLog
from holdfast.ledger.payload import payload_of
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from holdfast.testing.crash_model import CrashCalls
from ledger_logs import append, batch, commit, inline, pin, tombstone

# Changed bytes, a range cut out, a range put in; positions relative to the file's size.
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "put"]),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from([b"\0", b"\xff", b"\xff" * 4, b"\xff" * 8, b"\0" * 40, b"\1\0\0\0"])
        | st.binary(min_size=1, max_size=12),
    ),
    min_size=1,
    max_size=4,
)


def mutate(data, mutations):
    for kind, where, piece in mutations:
        at = int(where * len(data))
        rest = data[at:] if kind == "put" else data[at + len(piece) :]
        data = data[:at] + (b"" if kind == "cut" else piece) + rest
    return data


def fill(log):
    append(log, [commit("a"), inline(b"one" * 30)])
    append(log, batch(tombstone(b"one"), inline(b"two")))
    log.rotate()
    append(log, [pin(1), inline(b"three")])
    log.close()


@functools.cache
def golden_files():
    calls = CrashCalls()
    fill(FileLog(FileSystemStore("/r", calls=calls)))
    return {path: data for path, data in calls.tree().items() if "/log/" in path}


@functools.cache
def golden_objects():
    store = MemoryStore()
    fill(ObjectLog(store))
    return {entry.path: store.get(entry.path) for entry in store.list()}


def files(changed):
    calls = CrashCalls()
    for folder in ("/r", "/r/ledger", "/r/ledger/log"):
        calls.make_folder(folder)
    for path, data in changed.items():
        fd = calls.open(path, 0o102)
        calls.write_at(fd, data, 0)
        calls.close(fd)
    return lambda: FileLog(FileSystemStore("/r", calls=calls))


def objects(changed):
    store = MemoryStore()
    for path, data in changed.items():
        store.put(path, data)
    return lambda: ObjectLog(store)


USES = [
    lambda log: log.head(),
    lambda log: [payload_of(record) for record in log.records()],
    lambda log: list(log.records_backwards()),
    lambda log: list(log.records(4)),
    lambda log: log.frame(2, reference_of(b"one" * 30)),
    lambda log: log.frame(6, reference_of(b"three")),
    lambda log: list(log.verify()),
    lambda log: list(log.verify(deep=False)),
    lambda log: append(log, [inline(b"more")]),
    lambda log: list(log.repair()),
    lambda log: log.collect(dry_run=False),
    lambda log: list(log.verify()),
]


def check(opened, golden):
    """Whatever is done with a damaged log, it ends well or in an error that says what is wrong."""
    read = []
    try:
        read.extend(opened().records())
    except HoldfastError:
        pass
    assert read == list(golden().records(stop=len(read)))
    tracemalloc.start()
    try:
        for use in USES:
            log = opened()
            try:
                use(log)
            except (Integrity, NotFound, Unsupported):
                pass
            log.close()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * 2**20


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(sorted(golden_files())), MUTATIONS)
def test_a_mutated_log_of_files_ends_in_typed_errors(path, mutations):
    changed = dict(golden_files())
    changed[path] = mutate(changed[path], mutations)
    check(files(changed), files(golden_files()))


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(sorted(golden_objects())), MUTATIONS)
def test_a_mutated_log_of_objects_ends_in_typed_errors(path, mutations):
    changed = dict(golden_objects())
    changed[path] = mutate(changed[path], mutations)
    check(objects(changed), objects(golden_objects()))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(golden_files())), MUTATIONS)
def test_verify_says_something_about_every_mutated_file(path, mutations):
    changed = dict(golden_files())
    changed[path] = mutate(changed[path], mutations)
    if changed[path] == golden_files()[path]:
        return
    try:
        found = {getattr(finding, "path", "") for finding in files(changed)().verify()}
    except HoldfastError as error:
        found = {str(error.target).removeprefix("/r/")}
    assert path.removeprefix("/r/") in found
