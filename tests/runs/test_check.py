from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from holdfast.errors import Conflict
from holdfast.records import Finding
from holdfast.runs import FileEntry, Runs, Source, WalkedRoots
from holdfast.store.filesystem import FileSystemStore
from runs_support import Commits, NoLeases, Ticks, ingest, problems, take

SOURCE = Source("folder", "/x")


@pytest.fixture
def small(tmp_path):
    """A small repository with every kind of file: (root, sink)."""
    root, sink = str(tmp_path / "small"), Commits()
    runs = Runs(FileSystemStore(root), sink=sink, clock=Ticks())
    ingest(runs, {b"a": b"1", b"b": b""}, source=SOURCE)
    writer = runs.begin("p", "b", source=SOURCE, instructions="read\n")
    take(writer, b"a", b"2")
    writer.register(FileEntry(path=b"l", kind="symlink", target=b"a"))
    writer.put_artifact("embeddings", "e", b"[1]")
    writer.complete(walked=WalkedRoots())
    return root, sink


def everything(root):
    return sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(f"{root}/runs") for name in names
    )


def test_a_sound_repository_has_no_findings(small):
    root, sink = small
    assert problems(Runs(FileSystemStore(root), sink=sink)) == []


def test_every_flipped_byte_of_every_file_is_found_and_the_file_named(small):
    root, sink = small
    runs = Runs(FileSystemStore(root), sink=sink)
    for number, path in enumerate(everything(root)):
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            # Every byte in turn is the acceptance suite's; here each has its turn by its offset.
            for at in range(number % 5, len(data), 5 if len(data) > 300 else 1):
                flipped = bytearray(data)
                flipped[at] ^= 1 << (at % 8)
                file.seek(0)
                file.write(flipped)
                file.flush()
                fresh = Runs(runs.store, sink=sink)
                found = [where for _, where in problems(fresh)]
                key = path[len(root) + 1 :]
                assert any(where in (key, os.path.dirname(key)) for where in found), (path, at)
            file.seek(0)
            file.write(data)
    assert problems(Runs(runs.store, sink=sink)) == []


def test_every_missing_file_is_found_and_named(small, tmp_path):
    root, sink = small
    for number, path in enumerate(everything(root)):
        copy = str(tmp_path / f"copy{number}")
        shutil.copytree(root, copy)
        key = path[len(root) + 1 :]
        os.unlink(f"{copy}/{key}")
        found = problems(Runs(FileSystemStore(copy), sink=sink))
        assert any(where in (key, os.path.dirname(key)) for _, where in found), key


def test_a_quick_check_sees_a_changed_size_but_reads_no_contents(small):
    root, sink = small
    (path,) = [p for p in everything(root) if p.endswith("002_b/raw_source/a")]
    with open(path, "r+b") as file:
        file.write(b"x")
    assert problems(Runs(FileSystemStore(root), sink=sink), deep=False) == []
    with open(path, "ab") as file:
        file.write(b"x")
    found = problems(Runs(FileSystemStore(root), sink=sink), deep=False)
    assert [code for code, _ in found] == ["size_mismatch"]


def test_files_that_nobody_registered_are_named_and_only_staged_ones_removed(small):
    root, sink = small
    runs = Runs(FileSystemStore(root), sink=sink)
    run_dir = runs.list_runs()[0].run_dir
    strays = {
        f"{run_dir}/raw_source/stray": ("litter", "warning"),
        f"{run_dir}/embeddings/late": ("unexpected_file", "warning"),
        f"{run_dir}/notes": ("unexpected_file", "info"),
        "runs/no_project/readme": ("unexpected_file", "info"),
        "runs/no_project/deep/er": ("unexpected_file", "info"),
        "runs/p/odd/one": ("unexpected_file", "info"),
        "runs/p/readme": ("unexpected_file", "info"),
        "runs/readme": ("unexpected_file", "info"),
    }
    for path in strays:
        runs.store.put(path, b"x")
    found = [f for f in runs.verify() if isinstance(f, Finding)]
    assert {f.path: (f.code, str(f.severity)) for f in found} == strays
    assert runs.collect(dry_run=True).removed == [(f"{run_dir}/raw_source/stray", 1)]
    assert runs.store.exists(f"{run_dir}/raw_source/stray")
    assert [f.path for f in runs.repair()] == [f"{run_dir}/raw_source/stray"]
    assert "litter" not in dict(problems(runs))


def abandon(runs, project="p"):
    """A run whose process died: files flushed, one staged, the lease let go."""
    writer = runs.begin(project, "died")
    take(writer, b"kept", b"k")
    writer.flush()
    take(writer, b"staged", b"s")
    writer.put_artifact("embeddings", "e", b"[]")
    writer._held.close()
    return writer


def test_the_first_run_that_is_begun_ends_the_dead_runs_of_every_project(folder, caplog):
    sink = Commits()
    runs = Runs(folder, sink=sink, clock=Ticks())
    dead = abandon(runs, "p")
    later = Runs(folder, sink=sink, clock=Ticks())
    mine = later.begin("q", "kept")
    later.begin("r", "another").complete()
    assert later.find_run(dead.run_id).status == "failed"
    assert later.find_run(mine.run_id).status == "in_progress"
    assert f"run {dead.run_id} of p had died: the process" in caplog.text
    mine.complete()
    assert problems(later) == [("litter", f"{dead.run_dir}/raw_source/staged")]


def test_a_damaged_journal_of_another_project_keeps_nobody_from_working(folder, caplog):
    sink = Commits()
    runs = Runs(folder, sink=sink, clock=Ticks())
    dead = abandon(runs, "p")
    path = Path(folder.root, dead.run_dir, "journal.jsonl")
    path.write_bytes(path.read_bytes().replace(b"died", b"dead"))  # in its first batch
    later = Runs(folder, sink=sink, clock=Ticks())
    ingest(later, {b"a": b"1"}, "q")
    assert "dead runs of p are not ended" in caplog.text


def test_a_run_that_ended_and_was_not_sealed_is_told_with_its_reason(folder, caplog):
    sink = Commits()
    runs = Runs(folder, sink=sink, clock=Ticks())
    info, _ = ingest(runs, {b"a": b"1"})
    os.unlink(f"{folder.root}/{info.run_dir}/run.json")
    Runs(folder, sink=sink, clock=Ticks()).begin("p", "next").complete()
    assert f"run {info.run_id} of p had died: it had ended as completed and was not" in caplog.text


def test_a_dead_run_is_named_and_ended_as_failed(folder):
    sink = Commits()
    runs = Runs(folder, sink=sink, clock=Ticks())
    dead = abandon(runs)
    later = Runs(folder, sink=sink, clock=Ticks())
    assert ("dead_run", dead.run_dir) in problems(later)
    assert [f.code for f in later.repair()] == ["dead_run", "litter"]
    info = later.find_run(dead.run_id)
    assert info.status == "failed"
    assert "ended without completing" in info.error
    assert [v.path for v in later.current_files("p")] == [b"kept"]
    assert later.get_run_metadata(dead.run_id).artifacts == {"embeddings": 1}
    assert problems(later) == []
    assert [r.id for r in sink.records] == [dead.run_id]


def test_the_next_run_of_the_project_ends_a_dead_one(folder):
    dead = abandon(Runs(folder, clock=Ticks()))
    later = Runs(folder, clock=Ticks())
    _, answers = ingest(later, {b"kept": b"k"})
    assert answers[b"kept"].status == "duplicate"
    assert later.find_run(dead.run_id).status == "failed"


def test_a_torn_tail_of_a_dead_run_is_cut(folder):
    dead = abandon(Runs(folder, clock=Ticks()))
    with open(f"{folder.root}/{dead.run_dir}/journal.jsonl", "ab") as file:
        file.write(b'{"created":"2026-01')
    later = Runs(folder, clock=Ticks())
    assert "torn_tail" in dict(problems(later))
    assert [i.run_id for i in later.recover()] == [dead.run_id]
    assert [code for code, _ in problems(later)] == ["litter"]


def test_a_run_that_was_claimed_and_never_begun_leaves_nothing(folder):
    runs = Runs(folder, clock=Ticks())
    ingest(runs, {b"a": b"1"})
    folder.put("runs/p/20260102_030405_009_x/claim", b"00000000-0000-4000-8000-000000000000\n")
    assert problems(runs) == [("dead_run", "runs/p/20260102_030405_009_x")]
    list(runs.repair())
    assert problems(runs) == []
    assert not os.path.exists(f"{folder.root}/runs/p/20260102_030405_009_x")


def test_a_run_in_progress_is_sound(store):
    runs = Runs(store, clock=Ticks())
    writer = runs.begin("p", "a")
    take(writer, b"a", b"1")
    assert problems(Runs(store)) == []
    writer.flush()
    take(writer, b"b", b"1")
    assert problems(Runs(store)) == []


def test_a_finished_run_whose_last_batch_is_damaged_is_never_ended_anew(small):
    root, sink = small
    runs = Runs(FileSystemStore(root), sink=sink, clock=Ticks())
    path = f"{root}/{runs.list_runs()[0].run_dir}/journal.jsonl"
    with open(path, "r+b") as file:
        file.seek(-20, os.SEEK_END)
        file.write(b"!")
    before = {p: Path(p).read_bytes() for p in everything(root)}
    fresh = Runs(FileSystemStore(root), sink=sink, clock=Ticks())
    list(fresh.repair())
    assert {p: Path(p).read_bytes() for p in everything(root)} == before
    assert ("malformed", path[len(root) + 1 :]) in problems(fresh)


def test_without_leases_a_run_is_dead_when_its_heartbeat_stands_still():
    store, clock = NoLeases(), Ticks()
    writer = Runs(store, clock=Ticks()).begin("p", "a")
    take(writer, b"a", b"1")
    writer.flush()
    watcher = Runs(store, clock=clock)
    assert watcher.recover() == []
    clock.ns += 301 * 10**9
    assert [i.run_id for i in watcher.recover()] == [writer.run_id]
    assert [v.path for v in watcher.current_files("p")] == [b"a"]
    take(writer, b"b", b"2")
    with pytest.raises(Conflict):
        writer.flush()
    assert problems(watcher) in ([], [("litter", f"{writer.run_dir}/raw_source/b")])
