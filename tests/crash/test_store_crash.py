"""Every operation of the file-system store under a power loss at every moment.

An acknowledged step is there, whole, in every state; the step under way has happened or not, for
each file by itself; what was not begun is not there.
"""

from __future__ import annotations

import pytest

from holdfast.errors import NotFound, PathExists
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls

LONG = bytes(range(256)) * 40


def put(store, path, data):
    store.put(path, data)
    return {path: data}


def put_many(store, items):
    store.put_many(items.items())
    return items


def swap(store, path, expected, data):
    store.compare_and_swap(path, expected, data)
    return {path: data}


def stream(store, path, parts, staging=None):
    with store.open_writer(path, staging=staging) as writer:
        for part in parts:
            writer.write(part)
    return {path: b"".join(parts)}


def delete(store, path):
    store.delete(path)
    return {path: None}


def abort(store, path):
    writer = store.open_writer(path)
    writer.write(b"never")
    writer.abort()
    return {}


SCRIPTS = {
    "put": [
        (put, "top", b"1"),
        (put, "new/deep/folder/file", LONG),
        (put, "new/deep/folder/empty", b""),
        (put, "new/other", b"x" * 513),
    ],
    "put_many": [
        (put_many, {f"few/{i}": b"%d" % i * 700 for i in range(3)}),
        (put_many, {f"many/{i % 3}/{i}": b"%d" % i * 300 for i in range(9)}),
    ],
    "compare_and_swap": [
        (swap, "pointers/latest", None, b"one"),
        (swap, "pointers/latest", b"one", b"two" * 300),
        (swap, "pointers/latest", b"two" * 300, b""),
        (swap, "pointers/latest", b"", b"three"),
    ],
    "writer": [
        (stream, "s/a", [b"x" * 5000, b"y" * 5000, b"z"]),
        (stream, "s/b", [LONG, LONG], "staging"),
        (abort, "s/c"),
        (stream, "s/c", []),
    ],
    "delete": [
        (put, "d/a", b"first"),
        (delete, "d/a"),
        (put, "d/a", b"second, longer"),
        (delete, "d/a"),
        (delete, "d/a"),
        (swap, "d/a", None, b"third"),
    ],
    "mixed": [
        (put_many, {f"m/{i}": b"%d" % i * 100 for i in range(8)}),
        (swap, "m/head", None, b"0"),
        (delete, "m/3"),
        (stream, "m/3", [b"again"]),
        (swap, "m/head", b"0", b"1"),
        (put, "m/x/y", b"last"),
    ],
}


def content(store, path):
    try:
        return store.get(path)
    except NotFound:
        return None


def run(script, model):
    """The contents of every path after each number of steps."""
    store = FileSystemStore("/base/repository", calls=model)
    after = [{}]
    for step, *arguments in script:
        after.append(after[-1] | step(store, *arguments))
        model.acknowledge(len(after) - 1)
    return after


@pytest.mark.parametrize("syncfs", [True, False], ids=["syncfs", "fsync"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_an_acknowledged_step_survives_and_no_file_is_half_there(name, syncfs):
    model = CrashCalls(syncfs=syncfs)
    after = run(SCRIPTS[name], model)
    states = 0
    for state in model.crashes(limit=700):
        states += 1
        done = len(state.acknowledged)
        sure, next_ = after[done], after[min(done + 1, len(after) - 1)]
        store = FileSystemStore("/base/repository", calls=state)
        for path in after[-1]:
            found = content(store, path)
            assert found in (sure.get(path), next_.get(path)), (path, state.story)
        listed = {entry.path for entry in store.list()}
        assert listed <= {p for p in (sure | next_) if (sure | next_)[p] is not None} | {
            p for p, data in sure.items() if data is not None
        }, state.story
    assert states > 20


@pytest.mark.parametrize("name", SCRIPTS)
def test_after_a_crash_a_sweep_leaves_no_temporary_file_and_no_file_is_lost_by_it(name):
    model = CrashCalls()
    run(SCRIPTS[name], model)
    temps = 0
    for state in model.crashes(limit=150, seed=1):
        store = FileSystemStore("/base/repository", calls=state)
        before = {entry.path: store.get(entry.path) for entry in store.list()}
        temps += len(store.remove_stale_temps().removed)
        assert not [path for path in state.tree() if ".hf-" in path], state.story
        assert {e.path: store.get(e.path) for e in store.list()} == before, state.story
    assert temps > 0


def test_a_write_after_a_crash_is_as_durable_as_one_before():
    model = CrashCalls()
    FileSystemStore("/r", calls=model).put("a/b/first", b"1")
    checked = 0
    for state in model.crashes(limit=60):
        store = FileSystemStore("/r", calls=state)
        try:
            store.put("a/b/first", b"1")
        except PathExists:
            pass
        store.put("a/b/second", b"2" * 600)
        state.acknowledge("both")
        for again in state.crashes(limit=60):
            checked += 1
            if "both" in again.acknowledged:
                reopened = FileSystemStore("/r", calls=again)
                assert reopened.get("a/b/first") == b"1", again.story
                assert reopened.get("a/b/second") == b"2" * 600, again.story
    assert checked > 100


@pytest.mark.parametrize("syncfs", [True, False], ids=["syncfs", "fsync"])
def test_a_committed_batch_survives_whole(syncfs):
    model = CrashCalls(syncfs=syncfs)
    store = FileSystemStore("/r", calls=model)
    first = {f"new/{i % 2}/{i}": b"%d" % i * 600 for i in range(6)}
    second = {f"new/1/{i}": b"%d" % i for i in range(10, 14)}
    with store.batch() as batch:
        for path, data in first.items():
            batch.put(path, data)
        batch.commit()
        model.acknowledge(first)
        for path, data in second.items():
            batch.put(path, data)
        with batch.open_writer("new/streamed") as writer:
            writer.write(LONG)
        batch.commit()
        model.acknowledge(second | {"new/streamed": LONG})
    store.put("new/1/after", b"one more")
    model.acknowledge({"new/1/after": b"one more"})
    full = 0
    for state in model.crashes(limit=1500):
        reopened = FileSystemStore("/r", calls=state)
        full += len(state.acknowledged) == 3
        for fact in state.acknowledged:
            for path, data in fact.items():
                assert content(reopened, path) == data, (path, state.story)
    assert full > 0


def test_who_is_told_that_a_file_exists_may_build_on_it():
    """The other writer has linked the file and not yet synced the folder."""

    class Stopped(CrashCalls):
        stop = False

        def fsync(self, fd):
            if self.stop and self.stat_open(fd).is_folder:
                raise KeyboardInterrupt
            super().fsync(fd)

        def unlink(self, path):
            if not self.stop:
                super().unlink(path)

    model = Stopped()
    store = FileSystemStore("/r", calls=model)
    store.put("f/other", b"")
    model.stop = True  # killed between link and sync: no clean-up either
    with pytest.raises(KeyboardInterrupt):
        store.put("f/same", b"content")
    model.stop = False
    with pytest.raises(PathExists):
        FileSystemStore("/r", calls=model).put("f/same", b"content")
    model.acknowledge("exists")
    told = [s for s in model.crashes(limit=300) if s.acknowledged]
    assert told
    for state in told:
        assert FileSystemStore("/r", calls=state).get("f/same") == b"content", state.story


def test_a_folder_that_another_process_made_and_did_not_sync_is_synced_by_who_uses_it():
    model = CrashCalls()
    FileSystemStore("/r", calls=model).put("x", b"")
    model.make_folder("/r/a")
    model.make_folder("/r/a/b")
    FileSystemStore("/r", calls=model).put("a/b/c", b"content")
    model.acknowledge("put")
    told = [s for s in model.crashes(limit=500) if s.acknowledged]
    assert told
    for state in told:
        assert FileSystemStore("/r", calls=state).get("a/b/c") == b"content", state.story
