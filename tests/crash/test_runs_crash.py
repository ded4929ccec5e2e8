"""A run under a power loss at every moment.

Each acknowledged answer is there with its bytes; what was not acknowledged is whole or absent; the
dead run is ended as failed; nothing is found damaged; the index is taken as lost.
"""

from __future__ import annotations

import pytest

from holdfast.runs import FileEntry, Runs, Source, WalkedRoots
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls
from runs_support import Ticks, problems, sha256, take

SOURCE = Source("folder", "/x")
FIRST = {b"a": b"1" * 600, b"d/b": b"2"}
SECOND = {b"a": b"3" * 600, b"c": b"", b"e": b"2"}
NEXT = {b"a": b"1" * 600, b"n": b"new"}


def open_runs(calls):
    return Runs(FileSystemStore("/r/repository", calls=calls), clock=Ticks())


def current(runs):
    if not runs.projects():
        return {}
    files = [v for v in runs.current_files("p") if v.kind == "file"]
    return {v.path: runs.open_file(v).read() for v in files}


def write_history(model):
    """One run to its end, then a second one with two flushes; what is vouched for after each."""
    runs = open_runs(model)
    sure = [{}]

    def vouch(writer, facts):
        sure.append({**sure[-1], **facts})
        model.acknowledge((len(sure) - 1, writer.run_id))

    for files in (FIRST, SECOND):
        writer = runs.begin("p", "a", source=SOURCE)
        items = list(files.items())
        for path, data in items[:1]:
            take(writer, path, data)
        writer.flush()
        vouch(writer, dict(items[:1]))
        for path, data in items[1:]:
            take(writer, path, data)
        writer.put_artifact("embeddings", "e", b"[]")
        writer.register(FileEntry(path=b"l", kind="symlink", target=b"a"))
        writer.flush()
        vouch(writer, dict(items[1:]))
        writer.complete()
        model.acknowledge(("completed", writer.run_id))
    return sure


@pytest.mark.parametrize("syncfs", [True, False], ids=["syncfs", "fsync"])
def test_acknowledged_files_survive_and_a_dead_run_is_ended(syncfs):
    model = CrashCalls(syncfs=syncfs)
    sure = write_history(model)
    states = 0
    for state in model.crashes(limit=1500):
        states += 1
        done = max((n for n, _ in state.acknowledged if n != "completed"), default=0)
        completed = {run_id for what, run_id in state.acknowledged if what == "completed"}
        begun = {run_id for _, run_id in state.acknowledged}
        runs = open_runs(state)
        ended = runs.recover()
        assert completed.isdisjoint(i.run_id for i in ended), state.story
        infos = {i.run_id: i for i in runs.list_runs()}
        assert begun <= infos.keys(), state.story
        assert all(infos[run_id].status == "completed" for run_id in completed), state.story
        assert all(i.status in ("completed", "failed") for i in infos.values()), state.story
        found = _files(runs)
        for path, data in sure[done].items():
            assert data in found.get(path, ()), (path, state.story)
        for path, versions in found.items():
            assert set(versions) <= {FIRST.get(path), SECOND.get(path)}, (path, state.story)
        assert [p for p in problems(runs) if p[0] != "litter"] == [], state.story
        list(runs.repair())
        assert problems(runs) == [], state.story
    assert states > 100


def _files(runs):
    """path → the contents of all its versions."""
    if not runs.projects():
        return {}
    out = {}
    for path in (*FIRST, *SECOND):
        versions = runs.get_file_history("p", path)
        if versions:
            out[path] = [runs.open_file(v).read() for v in versions]
    return out


def test_after_any_crash_the_next_run_goes_on_as_if_nothing_had_been():
    model = CrashCalls()
    write_history(model)
    for state in model.crashes(limit=60, seed=3):
        runs = open_runs(state)
        before = current(runs)
        writer = runs.begin("p", "next", source=SOURCE)
        for path, data in NEXT.items():
            take(writer, path, data)
        answers = {a.path: a.status for a in writer.flush()}
        writer.complete(walked=WalkedRoots())
        assert current(runs) == NEXT, state.story
        for path, data in NEXT.items():
            same = before.get(path) == data
            assert (answers[path] == "duplicate") == same, (path, state.story)
        assert [p for p in problems(runs) if p[0] != "litter"] == [], state.story


def test_ending_a_dead_run_survives_a_crash_of_its_own():
    model = CrashCalls()
    runs = open_runs(model)
    writer = runs.begin("p", "died")
    take(writer, b"a", b"1" * 600)
    writer.flush()
    take(writer, b"b", b"2")
    model.settle()
    (left,) = list(model.crashes(limit=1))[:1]
    open_runs(left).recover()
    checked = 0
    for again in left.crashes(limit=150):
        checked += 1
        later = open_runs(again)
        later.recover()
        (info,) = later.list_runs()
        assert info.status == "failed", again.story
        assert current(later) == {b"a": b"1" * 600}, again.story
        assert [p for p in problems(later) if p[0] != "litter"] == [], again.story
    assert checked > 10


def test_shared_bytes_survive_as_those_that_were_written():
    model = CrashCalls()
    runs = open_runs(model)
    big = bytes(range(256)) * 256
    writer = runs.begin("p", "a")
    for path in (b"a", b"x/b"):
        take(writer, path, big)
    writer.flush()
    model.acknowledge(sha256(big))
    for state in model.crashes(limit=60):
        later = open_runs(state)
        later.recover()
        if state.acknowledged:
            assert current(later) == {b"a": big, b"x/b": big}, state.story
