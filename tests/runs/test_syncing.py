"""A flush that is begun while more is staged and registered, and the end of the run after it."""

import errno
import hashlib
import os

import pytest

from holdfast.errors import Integrity, StorageFailure
from holdfast.runs import Runs
from holdfast.runs.journal import parse
from holdfast.runs.journals import Journals
from holdfast.runs.model import FileEntry
from holdfast.runs.run_record import seal
from holdfast.runs.syncing import Syncing
from holdfast.store.calls import OsCalls
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.faults import Fault, FaultyCalls
from runs_support import Ticks


def queue(run, path, data):
    sha256 = hashlib.sha256(data).hexdigest()
    key = run.stage(path, data, sha256)
    run.register(FileEntry(path=path, size=len(data), sha256=sha256, stored=key))
    return key


def paths(runs, run):
    return {version.path for version in runs.files_of(run.run_id)}


def test_what_is_registered_after_the_beginning_waits_for_the_next_flush(runs):
    run = runs.begin("p", "a")
    queue(run, b"a", b"1")
    run.begin_flush()
    queue(run, b"b", b"2")
    assert run.end_flush() == {"new_file": 1}
    assert paths(runs, run) == {b"a"}
    run.complete()
    assert paths(runs, run) == {b"a", b"b"}


def test_completing_ends_a_flush_that_was_begun(runs):
    run = runs.begin("p", "a")
    queue(run, b"a", b"1")
    run.begin_flush()
    assert run.complete().counts == {"new_file": 1}


def test_a_second_beginning_ends_the_first(runs):
    run = runs.begin("p", "a")
    for path in (b"a", b"b"):
        queue(run, path, path)
        run.begin_flush()
    assert paths(runs, run) == {b"a"}
    run.complete()


def test_a_run_that_fails_journals_nothing_of_a_flush_not_ended(runs):
    run = runs.begin("p", "a")
    queue(run, b"a", b"1")
    run.begin_flush()
    assert run.fail("on purpose").counts == {}
    assert not run.flushing
    assert runs.current_files("p") == []


def test_a_failing_sync_is_raised_at_the_end_and_nothing_is_acknowledged(tmp_path):
    calls = FaultyCalls(OsCalls())
    runs = Runs(FileSystemStore(tmp_path / "r", calls=calls), clock=Ticks())
    run = runs.begin("p", "a")
    key = queue(run, b"a", b"1")
    calls.fail(Fault(errno.EIO, op="sync_file_system"))
    run.begin_flush()
    with pytest.raises(StorageFailure):
        run.end_flush()
    assert not run.open
    assert not (tmp_path / "r" / "runs" / key).exists()
    assert runs.current_files("p") == []


def test_no_flush_going_on_ends_with_nothing(runs):
    run = runs.begin("p", "a")
    run.begin_flush()
    assert not run.flushing
    assert run.end_flush() == {}
    run.complete()


def test_an_error_of_any_kind_reaches_who_waits():
    def commit():
        raise KeyError("x")

    syncing = Syncing(commit, [], [])
    with pytest.raises(KeyError):
        syncing.wait()
    assert not syncing.going_on


def test_a_journal_that_is_not_what_was_written_is_read_again_and_refused(folder):
    runs = Runs(folder, clock=Ticks())
    run = runs.begin("p", "a")
    queue(run, b"a", b"1")
    run.flush()
    path = f"{folder.root}/{run.run_dir}/journal.jsonl"
    with open(path, "r+b") as journal:
        journal.seek(os.path.getsize(path) - 40)
        journal.write(b"0" if journal.read(1) != b"0" else b"1")
    with pytest.raises(Integrity):
        run.complete()


def test_what_is_sealed_is_what_the_journal_stands_for(runs, store):
    run = runs.begin("p", "a")
    for number in range(3):
        queue(run, b"f%d" % number, b"%d" % number)
        run.begin_flush()
    run.complete()
    data = Journals(store).whole(run.run_dir)
    parsed = parse(data)
    sealed = seal(parsed.batches, parsed.position, hashlib.sha256(data).hexdigest())
    assert [(name, store.get(f"{run.run_dir}/{name}")) for name, _ in sealed.files] == [
        *sealed.files
    ]
