"""The same commands on an S3 URL, on both servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Command
from holdfast.errors import ExitCode
from s3_servers import Server, ceph, moto

__all__ = ["ceph", "moto"]


@pytest.fixture(params=["moto", pytest.param("ceph", marks=pytest.mark.s3)])
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Server:
    found: Server = request.getfixturevalue(request.param)
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def test_a_bucket_holds_a_repository_like_a_folder(
    holdfast: Command, server: Server, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url()
    assert holdfast("init", url, "--json").json["url"] == url
    assert holdfast("init", url).code == ExitCode.CONFLICT
    monkeypatch.setenv("HOLDFAST_REPO", url)
    assert holdfast("ingest", "trips", "--json").json["counts"] == {"new_file": 6}
    (project / "notes.txt").write_text("second\n")
    again = holdfast("ingest", "trips", "--json").json
    assert again["counts"] == {"duplicate": 5, "new_version": 1}
    assert [c["model"] for c in holdfast("log", "--json").json["commits"]] == [
        "run",
        "run",
        "repository",
    ]
    assert len(holdfast("ls", "trips", "--json").json["files"]) == 6
    assert len(holdfast("log", "trips/notes.txt", "--json").json["versions"]) == 2
    run = again["sources"][0]
    journal = f"{run['run_dir']}/journal/00000000000000000001.jsonl"
    store = server.store(url)
    assert store.exists(journal)
    assert not store.exists(f"{run['run_dir']}/journal.jsonl")
    for what, kind in (("trips/notes.txt", "file"), (run["run_id"], "run"), ("3", "commit")):
        assert holdfast("show", what, "--json").json["kind"] == kind
    assert holdfast("get", "trips/notes.txt").raw == b"second\n"
    reference = holdfast("put", "-", stdin=b"x" * 100_000).out.strip()
    assert holdfast("get", reference[10:20]).raw == b"x" * 100_000
    logseq = holdfast("tombstone", reference).out.strip()
    assert holdfast("get", reference).code == ExitCode.NOT_FOUND
    assert holdfast("lift", reference, logseq).code == 0
    assert holdfast("snapshot").out == "1\n"
    assert holdfast("restore", "trips", "-o", "back").code == 0
    assert (Path("back") / "data" / "b.bin").read_bytes() == bytes(range(256)) * 16
    assert holdfast("restore", run["run_id"], "-o", "of_run").code == 0
    for line in (
        *("status", "verify", "verify --quick", "fsck", "fsck --repair", "gc --dry-run", "gc"),
        *("export-log -o log.asl", f"show {reference}", "log -n 1 --project trips"),
    ):
        answer = holdfast(*line.split())
        assert (answer.code, answer.err) == (0, ""), line
    stored = f"{run['run_dir']}/raw_source/notes.txt"
    store.delete(stored)
    store.put(stored, b"secund\n")
    store.close()
    answer = holdfast("verify")
    assert answer.code == ExitCode.INTEGRITY
    assert stored in answer.out
    assert holdfast("get", "trips/notes.txt").code == ExitCode.INTEGRITY


def test_a_bucket_that_is_not_there_is_one_line(holdfast: Command, server: Server) -> None:
    answer = holdfast("init", "s3://no-such-bucket/x")
    assert answer.code == ExitCode.NOT_FOUND
    assert "bucket" in answer.err
    assert answer.err.count("\n") == 1


def test_an_empty_prefix_is_no_repository(holdfast: Command, server: Server) -> None:
    answer = holdfast("-R", server.url(), "log")
    assert answer.code == ExitCode.NOT_FOUND
    assert "holdfast init" in answer.err


@pytest.mark.parametrize("url", ["s3://", "s3://B/x", "nothing://x/y"])
def test_a_url_that_is_none_is_refused(holdfast: Command, url: str) -> None:
    for words in (["init", url], ["-R", url, "log"]):
        answer = holdfast(*words)
        assert answer.code in (ExitCode.USAGE, ExitCode.UNSUPPORTED)
        assert answer.err.count("\n") == 1
