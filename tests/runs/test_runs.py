from __future__ import annotations

import io
import os

import pytest

from holdfast.errors import Busy, Conflict, Denied, Integrity, Invalid, NotFound
from holdfast.runs import FileEntry, Runs, Source, WalkedRoots
from holdfast.store.filesystem import FileSystemStore
from runs_support import Commits, NoLeases, Ticks, ingest, problems, sha256, take

SOURCE = Source("folder", "/data")


def stored_files(store):
    return [e.path for e in store.list("runs") if "/raw_source/" in e.path]


def test_a_run_takes_files_in_and_gives_them_back(runs):
    info, answers = ingest(runs, {b"a": b"1", b"d/b": b"2"})
    assert info.status == "completed"
    assert {a.status for a in answers.values()} == {"new_file"}
    files = list(runs.files_of(info.run_id))
    assert [(f.path, runs.open_file(f).read()) for f in files] == [(b"a", b"1"), (b"d/b", b"2")]
    assert problems(runs) == []


def test_the_same_bytes_again_are_duplicates_that_store_nothing(runs, store):
    first, _ = ingest(runs, {b"a": b"1"})
    before = stored_files(store)
    second, answers = ingest(runs, {b"a": b"1"})
    assert answers[b"a"].status == "duplicate"
    assert answers[b"a"].skip_processing
    assert answers[b"a"].existing_run_id == first.run_id
    assert stored_files(store) == before
    assert [f.path for f in runs.files_of(second.run_id)] == [b"a"]


def test_a_prediction_spares_the_staging(runs):
    ingest(runs, {b"a": b"1"})
    writer = runs.begin("p", "again")
    assert writer.predict(b"a", 1).sha256 == sha256(b"1")
    assert writer.predict(b"b", 1).sha256 is None
    writer.register(FileEntry(path=b"a", size=1, sha256=sha256(b"1")))
    assert writer.flush()[0].status == "duplicate"


def test_a_then_b_then_a_refers_to_the_stored_bytes(runs, store):
    ingest(runs, {b"a": b"A"})
    ingest(runs, {b"a": b"B"})
    info, answers = ingest(runs, {b"a": b"A"})
    assert answers[b"a"].status == "new_version"
    assert answers[b"a"].superseded_previous
    assert len(stored_files(store)) == 2
    (current,) = runs.current_files("p")
    assert current.run_id == info.run_id
    assert runs.open_file(current).read() == b"A"
    history = runs.get_file_history("p", b"a")
    assert [(v.sha256, v.superseded_by is None) for v in history] == [
        (sha256(b"A"), True),
        (sha256(b"B"), False),
        (sha256(b"A"), False),
    ]
    assert history[1].superseded_by == info.run_id


def test_a_path_twice_in_one_run_is_two_versions(runs):
    writer = runs.begin("p", "a")
    take(writer, b"x", b"1")
    take(writer, b"x", b"2")
    answers = writer.flush()
    info = writer.complete()
    assert [a.status for a in answers] == ["new_file", "new_version"]
    assert [runs.open_file(f).read() for f in runs.files_of(info.run_id)] == [b"2"]
    assert [runs.open_file(v).read() for v in runs.get_file_history("p", "x")] == [b"2", b"1"]
    assert problems(runs) == []


def test_a_path_three_times_in_one_flush_shares_the_first_bytes(runs, store):
    writer = runs.begin("p", "a")
    for data in (b"1", b"2", b"1", b"1"):
        take(writer, b"x", data)
    answers = writer.flush()
    writer.complete()
    assert [a.status for a in answers] == ["new_file", "new_version", "new_version", "duplicate"]
    assert answers[2].stored == answers[0].stored
    assert len(stored_files(store)) == 2
    assert problems(runs) == []


def test_a_version_that_was_never_processed_is_processed_again(runs):
    ingest(runs, {b"a": b"1"}, processed=False)
    _, again = ingest(runs, {b"a": b"1"}, processed=False)
    assert again[b"a"].status == "processed_again"
    assert not again[b"a"].skip_processing
    runs.mark_file_processed(again[b"a"].file_id)
    _, third = ingest(runs, {b"a": b"1"}, processed=False)
    assert third[b"a"].status == "duplicate"
    assert runs.get_latest_file("p", "a").processed is not None
    assert problems(runs) == []


def test_a_mark_in_an_open_run_stands_in_its_record(runs):
    info = runs.create_run("p", "upload")
    answer = runs.register_file(info.run_id, "a", b"1")
    runs.mark_file_processed(answer.file_id)
    runs.complete_run(info.run_id)
    assert len(runs.list_runs()) == 1
    (file,) = runs.files_of(info.run_id)
    assert file.processed is not None
    with pytest.raises(NotFound):
        runs.mark_file_processed("no such file")


def test_absent_paths_of_the_same_source_are_removed(runs):
    ingest(runs, {b"a": b"1", b"b": b"2", b"d/c": b"3"}, source=SOURCE)
    ingest(runs, {b"other": b"4"}, source=Source("folder", "/elsewhere"))
    info, _ = ingest(runs, {b"a": b"1"}, source=SOURCE, walked=WalkedRoots(unread=(b"d",)))
    assert [f.path for f in runs.current_files("p")] == [b"a", b"d/c", b"other"]
    assert info.counts == {"duplicate": 1, "removed": 1}
    assert [f.path for f in runs.files_of(info.run_id)] == [b"a"]
    gone = [f for f in runs.files_of(info.run_id, removed=True) if f.outcome == "removed"]
    assert [f.path for f in gone] == [b"b"]
    assert runs.get_file_history("p", "b")[0].superseded_by == info.run_id
    assert problems(runs) == []


@pytest.mark.parametrize("walked", [None, WalkedRoots(whole=False)])
def test_a_run_that_did_not_walk_the_source_whole_removes_nothing(runs, walked):
    ingest(runs, {b"a": b"1", b"b": b"2"}, source=SOURCE)
    ingest(runs, {b"a": b"1"}, source=SOURCE, walked=walked)
    assert len(runs.current_files("p")) == 2


def test_a_path_that_another_run_saw_meanwhile_is_not_removed(runs):
    slow = runs.begin("p", "slow", source=SOURCE)
    ingest(runs, {b"new": b"1"}, source=SOURCE)
    slow.complete(walked=WalkedRoots())
    assert [f.path for f in runs.current_files("p")] == [b"new"]


def test_a_removed_path_that_comes_back_refers_to_its_stored_bytes(runs, store):
    ingest(runs, {b"a": b"1"}, source=SOURCE)
    ingest(runs, {}, source=SOURCE, walked=WalkedRoots())
    _, answers = ingest(runs, {b"a": b"1"}, source=SOURCE)
    assert answers[b"a"].status == "new_version"
    assert not answers[b"a"].superseded_previous
    assert len(stored_files(store)) == 1


def test_symlinks_and_empty_folders_have_versions_without_bytes(runs):
    def run(target):
        writer = runs.begin("p", "a")
        writer.register(FileEntry(path=b"l", kind="symlink", target=target))
        writer.register(FileEntry(path=b"d", kind="directory", mode=0o700))
        return [a.status for a in writer.flush()], writer.complete()

    assert run(b"x")[0] == ["new_file", "new_file"]
    assert run(b"x")[0] == ["duplicate", "duplicate"]
    statuses, info = run(b"\xff")
    assert statuses == ["new_version", "duplicate"]
    assert {f.path: f.target for f in runs.files_of(info.run_id)} == {b"d": None, b"l": b"\xff"}
    with pytest.raises(Invalid):
        runs.open_file(next(iter(runs.files_of(info.run_id))))


def test_a_file_that_could_not_be_read_is_named_and_supersedes_nothing(runs):
    ingest(runs, {b"a": b"1"}, source=SOURCE)
    writer = runs.begin("p", "a", source=SOURCE)
    writer.register(FileEntry(path=b"a", error="permission denied"))
    assert writer.flush()[0].status == "failed"
    info = writer.complete(walked=WalkedRoots())
    assert info.status == "completed_with_errors"
    assert [f.path for f in runs.current_files("p")] == [b"a"]
    assert [f.error for f in runs.files_of(info.run_id)] == ["permission denied"]


def test_an_exception_ends_the_run_as_failed_and_keeps_what_was_flushed(runs, store):
    with pytest.raises(RuntimeError), runs.run("a", project="p") as writer:  # noqa: PT012
        take(writer, b"kept", b"1")
        writer.flush()
        take(writer, b"dropped", b"2")
        raise RuntimeError("boom: línea 3\nsecond line")
    (info,) = runs.list_runs("p")
    assert (info.status, info.error) == ("failed", "boom: línea 3\\nsecond line")
    assert [f.path for f in runs.current_files("p")] == [b"kept"]
    assert len(stored_files(store)) == 1
    assert problems(runs) == []


def test_a_run_that_ended_takes_no_more(runs):
    info = runs.create_run("p", "a")
    writer = runs.writer(info.run_id)
    runs.complete_run(info.run_id, "completed_with_errors", "1 files failed")
    for call in (
        writer.flush,
        lambda: writer.stage(b"a", b"", sha256(b"")),
        writer.complete,
        lambda: runs.complete_run(info.run_id),
        lambda: runs.register_file(info.run_id, "a", b""),
    ):
        with pytest.raises(Conflict):
            call()
    assert runs.find_run(info.run_id).error == "1 files failed"


@pytest.mark.parametrize("status", ["weird_status", "in_progress", ""])
def test_another_status_is_refused(runs, status):
    info = runs.create_run("p", "a")
    with pytest.raises(Invalid):
        runs.complete_run(info.run_id, status)


def test_an_unknown_run_is_not_found(runs):
    unknown = "00000000-0000-4000-8000-000000000000"
    for call in (runs.complete_run, runs.get_run_metadata, runs.find_run):
        with pytest.raises(NotFound):
            call(unknown)
    with pytest.raises(NotFound):
        list(runs.files_of(unknown))


def test_an_unknown_project_id_is_not_found_and_an_unknown_name_is_made(runs):
    with pytest.raises(NotFound):
        runs.begin("00000000-0000-4000-8000-000000000000", "a")
    made = runs.begin("new", "a").project
    assert runs.begin(made.id, "b").project == made
    assert [p.name for p in runs.projects()] == ["new"]


def test_two_projects_never_share_a_folder(runs):
    one = runs.begin("Adventure Works (LT)", "a").project
    two = runs.begin("Adventure_Works__LT_", "a").project
    assert (one.folder, two.folder) == ("Adventure_Works_LT", "Adventure_Works_LT_2")
    assert runs.project("Adventure_Works__LT_") == two


def test_runs_of_one_second_are_numbered_across_actions(store):
    clock = Ticks()
    clock.now_ns = lambda: 1_767_323_045_000_000_000
    with Runs(store, clock=clock) as runs:
        names = [runs.create_run("p", action).name for action in ("a", "b", "a")]
    assert names == ["20260102_030405_001_a", "20260102_030405_002_b", "20260102_030405_003_a"]


def test_a_big_file_is_streamed(runs, tmp_path):
    data = os.urandom(3 << 20)
    local = tmp_path / "big"
    local.write_bytes(data)
    info = runs.create_run("p", "upload")
    answer = runs.register_file(info.run_id, "sub/big", str(local))
    again = runs.register_file(info.run_id, "sub/big", io.BytesIO(data), processed=True)
    runs.complete_run(info.run_id)
    assert (answer.file_hash, answer.file_size_bytes) == (sha256(data), len(data))
    assert (again.status, again.stored) == ("processed_again", answer.stored)
    with runs.open_file(runs.get_latest_file("p", "sub/big")) as stream:
        assert b"".join(iter(lambda: stream.read(100_000), b"")) == data


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_stored_file_with_other_bytes_is_not_given_out_whole(folder, size):
    runs = Runs(folder, clock=Ticks())
    ingest(runs, {b"a": b"x" * size})
    version = runs.get_latest_file("p", b"a")
    path = f"{folder.root}/runs/{version.stored}"
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.seek(size - 1)
        file.write(b"y")
    with pytest.raises(Integrity, match="raw_source"), runs.open_file(version) as s:  # noqa: PT012
        while s.read(1 << 16):
            pass


def test_the_same_bytes_under_another_path_are_shared_from_64_kib_up(folder):
    runs = Runs(folder, clock=Ticks())
    small, big = b"s" * 1000, b"b" * 65536
    _, answers = ingest(runs, {b"a": small, b"b": small, b"c": big, b"d": big})
    _, later = ingest(runs, {b"e": big, b"f": small})
    assert later[b"e"].status == "new_file"
    inodes = {
        path: os.stat(f"{folder.root}/runs/{a.stored}").st_ino
        for path, a in (answers | later).items()
    }
    assert inodes[b"c"] == inodes[b"d"] == inodes[b"e"]
    assert len(set(inodes.values())) == 4
    assert os.stat(f"{folder.root}/runs/{answers[b'c'].stored}").st_mode & 0o777 == 0o444
    assert problems(runs) == []


def test_artifacts_are_listed_with_size_and_digest(runs, store):
    info = runs.create_run("p", "upload")
    runs.put_artifact(info.run_id, "embeddings", "sub/all.jsonl", b"[]")
    where = runs.get_artifact_path(info.run_id, "sql_embeddings")
    if isinstance(store, FileSystemStore):
        with open(f"{where}/x.json", "w") as file:
            file.write("{}")
    runs.complete_run(info.run_id)
    found = runs.get_run_metadata(info.run_id).artifacts
    assert found["embeddings"] == 1
    assert found.get("sql_embeddings", 0) == (1 if isinstance(store, FileSystemStore) else 0)
    reference = f"{info.name}/embeddings/sub/all.jsonl"
    assert runs.resolve_artifact_path(reference) == f"{info.run_dir}/embeddings/sub/all.jsonl"
    assert runs.resolve_artifact_path("../../etc/passwd") is None
    assert problems(runs) == []


@pytest.mark.parametrize("name", ["../x", "/x", "", "a/../../x", ".hf-0123456789abcdef"])
def test_an_artifact_name_cannot_leave_its_folder(runs, name):
    info = runs.create_run("p", "a")
    with pytest.raises(Invalid):
        runs.put_artifact(info.run_id, "embeddings", name, b"")


def test_a_legacy_artifact_is_found_with_a_warning(runs, store, caplog):
    store.put("runs/archive/20260101/sql_embeddings.json", b"{}")
    found = runs.resolve_artifact_path("sql_embeddings.json")
    assert found == "runs/archive/20260101/sql_embeddings.json"
    assert "legacy" in caplog.text


def test_runs_are_listed_newest_first_and_by_page(runs):
    ids = [ingest(runs, {b"a": b"%d" % i}, project=f"p{i % 2}")[0].run_id for i in range(4)]
    assert [r.run_id for r in runs.list_runs()] == ids[::-1]
    assert [r.run_id for r in runs.list_runs("p1")] == [ids[3], ids[1]]
    assert [r.run_id for r in runs.list_runs(limit=2)] == ids[:1:-1]
    assert [r.run_id for r in runs.list_runs(before=ids[2])] == ids[1::-1]
    assert runs.list_runs(status="failed") == runs.list_runs(action="other") == []


def test_a_run_is_found_by_a_part_of_its_id_or_by_its_folder(runs):
    info, _ = ingest(runs, {b"a": b"1"})
    for text in (info.run_id[:8], info.name, f"p/{info.name}", info.run_dir, info.run_id):
        assert runs.find_run(text).run_id == info.run_id
    with pytest.raises(NotFound):
        runs.find_run("zzzz")
    with pytest.raises(NotFound):
        runs.find_run(info.run_id[:3])


def test_bytes_are_found_by_their_digest(runs):
    ingest(runs, {b"a": b"1"}, project="one")
    ingest(runs, {b"b": b"2"}, project="two")
    assert runs.find_sha256(sha256(b"2")).path == b"b"
    assert runs.find_sha256(sha256(b"3")) is None


def test_diff_names_what_differs(runs):
    one, _ = ingest(runs, {b"same": b"1", b"gone": b"2", b"changed": b"3"})
    two, _ = ingest(runs, {b"same": b"1", b"new": b"4", b"changed": b"5"})
    diff = runs.diff(one.run_id, two.run_id)
    assert [v.path for v in diff.added] == [b"new"]
    assert [v.path for v in diff.removed] == [b"gone"]
    assert [(a.size, b.sha256) for a, b in diff.changed] == [(1, sha256(b"5"))]


def test_current_files_below_a_prefix(runs):
    ingest(runs, {b"d/a": b"1", b"d/e/b": b"2", b"dd": b"3"})
    assert [v.path for v in runs.current_files("p", b"d")] == [b"d/a", b"d/e/b"]
    assert [v.path for v in runs.current_files("p", "dd")] == [b"dd"]


def test_each_finished_run_appends_one_commit_that_fixes_run_json(store):
    sink = Commits()
    runs = Runs(store, sink=sink, author="me", clock=Ticks())
    one, _ = ingest(runs, {b"a": b"1"})
    two = runs.begin("p", "b", inputs=["commit:1"]).fail("no")
    assert [r.id for r in sink.records] == [one.run_id, two.run_id]
    assert [r.parent for r in sink.records] == [None, one.run_id]
    assert sink.records[1].inputs == ("commit:1",)
    assert runs.anchored(one.run_id) == sink.records[0].objects
    (ref,) = sink.records[0].objects
    assert ref.sha256 == sha256(store.get(ref.path))


def test_a_run_without_its_commit_is_named_and_anchored(store):
    runs = Runs(store, clock=Ticks())
    infos = [ingest(runs, {b"a": b"%d" % i})[0] for i in range(3)]
    sink = Commits()
    late = Runs(store, sink=sink, clock=Ticks())
    assert [code for code, _ in problems(late)] == ["unanchored"] * 3
    assert [f.code for f in late.repair()] == ["unanchored"] * 3
    assert [r.id for r in sink.records] == [i.run_id for i in infos]
    assert [r.parent for r in sink.records] == [None, infos[0].run_id, infos[1].run_id]
    assert problems(late) == []


def test_the_next_run_anchors_those_before_it_first(store):
    infos = [ingest(Runs(store, clock=Ticks()), {b"a": b"%d" % i})[0] for i in range(2)]
    sink = Commits()
    last, _ = ingest(Runs(store, sink=sink, clock=Ticks()), {b"a": b"x"})
    assert [r.id for r in sink.records] == [*(i.run_id for i in infos), last.run_id]


def test_a_repository_open_for_reading_only_begins_no_run(store):
    ingest(Runs(store, clock=Ticks()), {b"a": b"1"})
    reader = Runs(store, read_only=True)
    assert [v.path for v in reader.current_files("p")] == [b"a"]
    assert reader.index.query("SELECT count(*) FROM files") == [(1,)]
    for call in (lambda: reader.begin("p", "a"), reader.recover):
        with pytest.raises(Denied):
            call()


def test_closing_ends_open_runs_as_failed(store):
    with Runs(store, clock=Ticks()) as runs:
        info = runs.create_run("p", "a")
    assert Runs(store).find_run(info.run_id).status == "failed"


def test_a_run_that_another_holds_is_busy(folder):
    one, two = Runs(folder, clock=Ticks()), Runs(folder, clock=Ticks())
    info = one.create_run("p", "a")
    assert two.recover() == []
    with pytest.raises(Busy):
        two.complete_run(info.run_id)
    one.complete_run(info.run_id)


def test_two_writers_of_one_project_see_each_other(folder):
    one, two = Runs(folder, clock=Ticks()), Runs(folder, clock=Ticks())
    first, second = one.begin("p", "a"), two.begin("p", "b")
    take(first, b"x", b"1")
    take(second, b"x", b"1")
    assert first.flush()[0].status == "new_file"
    assert second.flush()[0].status == "duplicate"
    take(first, b"x", b"2")
    assert first.flush()[0].status == "new_version"
    second.complete()
    first.complete()
    assert len(stored_files(folder)) == 2
    assert problems(one) == problems(two) == []


def test_without_leases_the_later_in_ledger_order_supersedes_and_nothing_is_lost():
    store, sink = NoLeases(), Commits()
    one, two = (Runs(store, sink=sink, clock=Ticks()) for _ in range(2))
    first, second = one.begin("p", "a"), two.begin("p", "b")
    assert first.run_dir != second.run_dir
    take(second, b"x", b"2")
    take(first, b"x", b"1")
    assert second.flush()[0].status == "new_file"
    first._history.refresh = lambda: None
    assert first.flush()[0].status == "new_file"
    second.complete()
    first.complete()
    fresh = Runs(store, sink=sink)
    assert [fresh.open_file(v).read() for v in fresh.get_file_history("p", b"x")] == [b"1", b"2"]
    assert fresh.index.query("SELECT count(*) FROM files WHERE NOT is_superseded") == [(1,)]
    assert problems(fresh) == []


def test_threads_stage_into_one_run(runs):
    import threading

    writer = runs.begin("p", "a")

    def work(number):
        for i in range(50):
            take(writer, b"%d/%d" % (number, i), b"%d %d" % (number, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(writer.flush()) == 200
    info = writer.complete()
    assert all(
        runs.open_file(f).read() == f.path.replace(b"/", b" ") for f in runs.files_of(info.run_id)
    )


HOSTILE = [
    b"new\nline",
    b"\xff\xfe",
    b"x" * 255,
    b"\xff" * 255,
    b"A",
    b"a",
    b"%41",
    b"back\\slash",
    b".hf-0123456789abcdef",
    b"/".join([b"d" * 50] * 60),
    b"/".join([b"e" * 250] * 20),
]


def test_hostile_names_are_stored_and_come_back(runs):
    info, _ = ingest(runs, {name: name for name in HOSTILE})
    found = {f.path: runs.open_file(f).read() for f in runs.files_of(info.run_id)}
    assert found == {name: name for name in HOSTILE}
    assert problems(runs) == []


def test_a_file_and_a_folder_of_the_same_name_fit_into_one_run(runs):
    writer = runs.begin("p", "a")
    for path in (b"a", b"a/b", b"c/d", b"c"):
        take(writer, path, path)
        with writer.open_stage(path + b"/deep") as stream:
            stream.write(b"s" + path)
            size, digest, stored = stream.finish()
        writer.register(FileEntry(path=path + b"/deep", size=size, sha256=digest, stored=stored))
    writer.flush()
    info = writer.complete()
    found = {f.path: runs.open_file(f).read() for f in runs.files_of(info.run_id)}
    assert {p: d for p, d in found.items() if not p.endswith(b"deep")} == {
        p: p for p in (b"a", b"a/b", b"c/d", b"c")
    }
    assert problems(runs) == []


def test_bytes_that_were_not_staged_cannot_be_registered(runs):
    writer = runs.begin("p", "a")
    take(writer, b"a", b"1")
    with pytest.raises(Invalid):
        writer.register(
            FileEntry(
                path=b"a",
                size=1,
                sha256=sha256(b"2"),
                stored=writer.stage(b"a", b"1", sha256(b"1")),
            )
        )
    writer.register(FileEntry(path=b"b", size=1, sha256=sha256(b"9")))
    with pytest.raises(Invalid):
        writer.flush()
