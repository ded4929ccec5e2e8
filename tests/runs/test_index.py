from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import Busy
from holdfast.runs import FileEntry, Runs, Source, WalkedRoots
from holdfast.store.memory import MemoryStore
from runs_support import Commits, NoLeases, Ticks, ingest, take

SOURCE = Source("folder", "/x")
TABLES = ["projects", "sources", "runs", "files", "run_files", "migration_log"]


def contents(runs):
    with runs.index.session() as connection:
        return {
            t: connection.sql(f"SELECT * FROM {t} ORDER BY ALL").to_arrow_table().to_pylist()
            for t in TABLES
        }


def database(store):
    return f"{store.root}/runs/metadata.duckdb"


def fill(runs):
    ingest(runs, {b"a": b"1", b"b": b"2", b"\xff": b"3"}, source=SOURCE)
    ingest(runs, {b"a": b"2"}, source=SOURCE, walked=WalkedRoots(), processed=False)
    ingest(runs, {b"a": b"1"}, project="q")
    ingest(runs, {b"a": b"1"}, source=SOURCE)


def test_the_tables_have_the_columns_of_the_spec(runs):
    columns = {
        t: [
            c[0]
            for c in runs.index.query(
                "SELECT column_name FROM information_schema.columns WHERE table_name = ? "
                "ORDER BY ordinal_position",
                [t],
            )
        ]
        for t in TABLES
    }
    assert columns == {
        "projects": ["id", "name", "folder", "description", "created_at", "updated_at"],
        "sources": ["id", "project_id", "kind", "url"],
        "runs": [
            "id",
            "project_id",
            "timestamp",
            "sequence",
            "action",
            "status",
            "created_at",
            "completed_at",
            "error_message",
            "source_id",
        ],
        "files": [
            "id",
            "project_id",
            "run_id",
            "filename",
            "file_path",
            "file_hash",
            "file_size_bytes",
            "is_superseded",
            "superseded_by",
            "created_at",
            "processed_at",
        ],
        "run_files": ["run_id", "file_id", "outcome"],
        "migration_log": ["id", "at", "action", "source", "target", "sha256", "outcome"],
    }


def test_the_index_says_what_the_journals_say(runs):
    fill(runs)
    for version in [v for p in ("p", "q") for v in runs.get_file_history(p, b"a")]:
        (row,) = runs.index.query(
            "SELECT run_id, file_path, file_hash, file_size_bytes, is_superseded, superseded_by, "
            "processed_at IS NOT NULL FROM files WHERE id = ?",
            [version.file_id],
        )
        assert row == (
            version.run_id,
            version.stored,
            version.sha256,
            version.size,
            version.superseded_by is not None,
            version.superseded_by,
            version.processed is not None,
        )
    assert runs.index.query("SELECT count(*) FROM files") == [(6,)]
    assert runs.index.query("SELECT outcome, count(*) FROM run_files GROUP BY ALL ORDER BY 1") == [
        ("new_file", 4),
        ("new_version", 2),
        ("removed", 2),
    ]
    assert runs.index.query("SELECT DISTINCT status FROM runs") == [("completed",)]


def test_taking_in_step_by_step_gives_the_same_as_building_anew(runs):
    contents(runs)
    ingest(runs, {b"a": b"1"}, source=SOURCE)
    contents(runs)
    writer = runs.begin("p", "x", source=SOURCE)
    take(writer, b"a", b"2", processed=False)
    (answer,) = writer.flush()
    contents(runs)
    writer.register(FileEntry(path=b"l", kind="symlink", target=b"t"))
    writer.mark_processed(answer.file_id)
    writer.flush()
    contents(runs)
    writer.complete(walked=WalkedRoots())
    fill(runs)
    stepwise = contents(runs)
    runs.rebuild_index()
    assert contents(runs) == stepwise


@pytest.mark.parametrize(
    "harm", ["deleted", "emptied", "torn", "garbage", "stale", "foreign", "later version"]
)
def test_a_lost_stale_or_damaged_index_is_built_again(folder, tmp_path, harm):
    runs = Runs(folder, clock=Ticks())
    ingest(runs, {b"a": b"0"})
    contents(runs)
    shutil.copy(database(folder), tmp_path / "old")
    fill(runs)
    good = contents(runs)
    path = database(folder)
    if harm == "deleted":
        os.unlink(path)
    elif harm == "emptied":
        os.truncate(path, 0)
    elif harm == "torn":
        os.truncate(path, os.path.getsize(path) // 2)
    elif harm == "garbage":
        with open(path, "r+b") as file:
            file.write(b"garbage" * 1000)
    elif harm == "stale":
        shutil.copy(tmp_path / "old", path)
    else:
        import duckdb

        with duckdb.connect(path) as connection:
            if harm == "foreign":
                connection.execute("DROP TABLE holdfast_schema")
            else:
                connection.execute("INSERT INTO holdfast_schema VALUES (99, now())")
    assert contents(Runs(folder)) == good


def test_an_index_of_a_run_that_a_crash_took_back_is_built_again(folder):
    runs = Runs(folder, clock=Ticks())
    ingest(runs, {b"a": b"0"})
    writer = runs.begin("p", "x")
    journal = f"{folder.root}/{writer.run_dir}/journal.jsonl"
    begun = Path(journal).read_bytes()
    take(writer, b"lost", b"1")
    writer.flush()
    contents(runs)
    writer._held.close()
    with open(journal, "wb") as file:
        file.write(begun)
    fresh = Runs(folder, clock=Ticks())
    fresh.recover()
    after = contents(fresh)
    fresh.rebuild_index()
    assert contents(fresh) == after
    assert [row["filename"] for row in after["files"]] == ["a"]


def test_the_macros_answer_as_the_originals(runs):
    info, answers = ingest(runs, {b"a": b"1"})
    project = info.project.id
    a = answers[b"a"]

    def ask(sql, *values):
        return runs.index.query(sql, values)

    assert ask("SELECT get_next_sequence(?, ?)", project, info.timestamp) == [(2,)]
    assert ask("SELECT get_next_sequence(?, '20000101_000000')", project) == [(1,)]
    assert ask("SELECT * FROM find_duplicate_file(?, 'a', ?)", project, a.file_hash) == [
        (a.file_id, info.run_id, a.stored)
    ]
    assert ask("SELECT * FROM find_duplicate_file(?, 'a', 'other')", project) == []
    assert ask("SELECT * FROM find_previous_file_version(?, 'a')", project) == [
        (a.file_id, info.run_id, a.file_hash)
    ]
    assert ask("SELECT * FROM find_previous_file_version('other', 'a')") == []


def test_the_index_lies_in_the_cache_where_the_store_is_no_file_system(tmp_path):
    runs = Runs(MemoryStore(), cache=str(tmp_path / "cache"), clock=Ticks())
    fill(runs)
    good = contents(runs)
    assert os.path.exists(tmp_path / "cache" / "metadata.duckdb")
    os.unlink(tmp_path / "cache" / "metadata.duckdb")
    assert contents(runs) == good


def test_without_leases_the_index_follows_the_ledger_too(tmp_path):
    store, sink = NoLeases(), Commits()
    runs = Runs(store, sink=sink, cache=str(tmp_path), clock=Ticks())
    one = runs.begin("p", "a")
    contents(runs)
    ingest(runs, {b"a": b"1"})
    take(one, b"a", b"9")
    one.flush()
    contents(runs)
    one.complete()
    stepwise = contents(runs)
    runs.rebuild_index()
    assert contents(runs) == stepwise


def test_an_index_in_use_elsewhere_is_busy(folder, monkeypatch):
    from holdfast.runs import index

    runs = Runs(folder, clock=Ticks())
    ingest(runs, {b"a": b"1"})
    monkeypatch.setattr(index, "WAIT", 0)
    with runs.index.session(), pytest.raises(Busy):
        Runs(folder).index.query("SELECT 1")


def test_runs_answer_without_the_index_ever_being_made(folder):
    runs = Runs(folder, clock=Ticks())
    fill(runs)
    assert runs.list_runs()
    assert runs.get_latest_file("p", b"a") is not None
    assert not os.path.exists(database(folder))


def test_the_index_reads_no_file_outside_of_itself(tmp_path):
    import duckdb

    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with holdfast.init(tmp_path / "repo") as repo, pytest.raises(duckdb.Error, match="disabled"):
        repo.runs.index.query(f"SELECT * FROM read_csv('{secret}')")
