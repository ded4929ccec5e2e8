"""The one door: making and opening repositories, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast
from holdfast import canonical_json
from holdfast.clock import rfc3339
from holdfast.errors import (
    AlreadyExists,
    Denied,
    HoldfastError,
    Integrity,
    Invalid,
    NotFound,
    Unsupported,
)
from holdfast.repository_config import RepositoryConfig
from holdfast.store.calls import OsCalls

GOLDEN = (
    b'{"created":"1970-01-01T00:00:00.000000001Z","domain":7,"features":{"read":[],"write":[]},'
    b'"format_version":1,"repository_id":"00000000-0000-4000-8000-000000000000",'
    b'"schema":"holdfast.repository/1"}'
)


def changed(**fields: object) -> bytes:
    return canonical_json.dumps(json.loads(GOLDEN) | fields)


def test_the_configuration_has_the_documented_bytes() -> None:
    config = RepositoryConfig("00000000-0000-4000-8000-000000000000", 7, rfc3339(1))
    assert config.to_bytes() == GOLDEN
    assert RepositoryConfig.from_bytes(GOLDEN) == config


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        changed(domain=0),
        changed(domain=2**32),
        changed(domain=True),
        changed(repository_id="x"),
        changed(created="now"),
        changed(features=[]),
        changed(features={"read": [1], "write": []}),
        changed(format_version="1"),
        changed(format_version=0),
        changed(more=1),
        GOLDEN + b"\n",
    ],
)
def test_a_damaged_configuration_is_an_integrity_error(data: bytes) -> None:
    with pytest.raises(Integrity, match=r"holdfast\.json"):
        RepositoryConfig.from_bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        changed(format_version=2),
        changed(schema="holdfast.repository/2"),
        changed(features={"read": ["quantum"], "write": []}),
    ],
)
def test_a_configuration_from_the_future_is_unsupported(data: bytes) -> None:
    with pytest.raises(Unsupported, match="newer Holdfast"):
        RepositoryConfig.from_bytes(data)


@given(st.integers(0, len(GOLDEN) - 1), st.integers(1, 255))
def test_a_mutated_configuration_is_another_one_or_a_typed_error(at: int, flip: int) -> None:
    data = bytearray(GOLDEN)
    data[at] ^= flip
    try:
        config = RepositoryConfig.from_bytes(bytes(data))
    except HoldfastError:
        return
    assert config.to_bytes() == bytes(data)


def test_a_new_repository_opens_again_with_the_same_identity(tmp_path: Path) -> None:
    with holdfast.init(tmp_path / "repo") as made:
        identity = made.id, made.domain
    with holdfast.open(tmp_path / "repo") as opened:
        assert (opened.id, opened.domain) == identity


def test_the_first_record_fixes_the_configuration_file(tmp_path: Path) -> None:
    with holdfast.init(tmp_path / "repo") as repo:
        record = repo.ledger.commit_record(1)
        data = (tmp_path / "repo" / "holdfast.json").read_bytes()
    assert record.model == "repository"
    assert record.objects[0].path == "holdfast.json"
    assert record.objects[0].size == len(data)
    assert record.objects[0].sha256 == hashlib.sha256(data).hexdigest()


def test_a_repository_is_made_in_an_empty_folder_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    holdfast.init(tmp_path / "repo").close()
    assert (tmp_path / "repo" / "holdfast.json").exists()


def test_a_folder_that_holds_something_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(AlreadyExists, match="not empty"):
        holdfast.init(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_second_init_is_refused(tmp_path: Path) -> None:
    holdfast.init(tmp_path / "repo").close()
    with pytest.raises(AlreadyExists, match="already"):
        holdfast.init(tmp_path / "repo")


@pytest.mark.parametrize("where", ["missing", "empty", "file"])
def test_what_is_no_repository_does_not_open_and_nothing_is_made(
    tmp_path: Path, where: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises((NotFound, Invalid)):
        holdfast.open(tmp_path / where)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_an_init_that_was_cut_before_its_commit_is_finished_by_the_next_open(
    tmp_path: Path,
) -> None:
    holdfast.init(tmp_path / "whole").close()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "holdfast.json").write_bytes(
        (tmp_path / "whole" / "holdfast.json").read_bytes()
    )
    with holdfast.open(tmp_path / "cut") as repo:
        assert repo.ledger.commit_record(1).model == "repository"
        assert repo.verify().ok


def test_a_lost_log_is_damage_and_not_an_unfinished_init(tmp_path: Path) -> None:
    with holdfast.init(tmp_path / "r") as repository:
        references = repository.ledger.put_many([b"%d" % i for i in range(3)])
    shutil.rmtree(tmp_path / "r" / "ledger" / "log")
    with pytest.raises(Integrity, match="ledger/log"):
        holdfast.open(tmp_path / "r")
    with holdfast.open(tmp_path / "r", read_only=True) as repository:
        report = repository.verify()
        assert [(f.code, f.path) for f in report.errors] == [("missing", "ledger/log")]
        with pytest.raises(Integrity, match="ledger/log"):
            repository.ledger.get(references[0])


def test_runs_can_be_restored_when_the_log_is_lost(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"content")
    with holdfast.init(tmp_path / "r") as repository:
        repository.ingest(tmp_path / "tree", project="P")
    shutil.rmtree(tmp_path / "r" / "ledger")
    with pytest.raises(Integrity, match="ledger/log"):
        holdfast.open(tmp_path / "r")
    with holdfast.open(tmp_path / "r", read_only=True) as repository:
        assert not repository.verify().ok
        repository.restore("P", tmp_path / "out")
    assert (tmp_path / "out" / "file").read_bytes() == b"content"


def test_unknown_features_for_writing_still_let_it_be_read(tmp_path: Path) -> None:
    holdfast.init(tmp_path / "repo").close()
    path = tmp_path / "repo" / "holdfast.json"
    value = json.loads(path.read_bytes())
    path.write_bytes(canonical_json.dumps(value | {"features": {"read": [], "write": ["new"]}}))
    with pytest.raises(Unsupported, match="read-only"):
        holdfast.open(tmp_path / "repo")
    holdfast.open(tmp_path / "repo", read_only=True).close()


def test_a_read_only_repository_refuses_writes_and_leaves_no_trace(tmp_path: Path) -> None:
    with holdfast.init(tmp_path / "repo") as repo:
        reference = repo.ledger.put(b"kept")
    before = sorted(str(p) for p in (tmp_path / "repo").rglob("*"))
    with holdfast.open(tmp_path / "repo", read_only=True) as repo:
        assert repo.ledger.get(reference) == b"kept"
        with pytest.raises(Denied):
            repo.ledger.put(b"more")
    assert sorted(str(p) for p in (tmp_path / "repo").rglob("*")) == before


def test_a_repository_lives_in_memory_too() -> None:
    with holdfast.init(holdfast.MemoryStore()) as repo:
        reference = repo.ledger.put(b"x" * 100_000)
        assert repo.ledger.get(reference) == b"x" * 100_000
        assert repo.verify().ok


def test_every_public_name_is_there_and_nothing_heavy_is_loaded_by_the_import() -> None:
    script = (
        "import sys, holdfast;"
        "heavy = {'numpy', 'pyarrow', 'duckdb', 'obstore', 'rich', 'typer'} & set(sys.modules);"
        "assert not heavy, heavy;"
        "missing = [n for n in holdfast.__all__ if not hasattr(holdfast, n)];"
        "assert not missing, missing"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_files_of_a_repository_obey_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        holdfast.init(tmp_path / "repo").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "repo" / "holdfast.json").stat().st_mode) & 0o027 == 0


def test_a_network_file_system_is_refused_unless_it_is_declared_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OsCalls, "file_system", lambda self, path: "nfs")
    with pytest.raises(Unsupported, match="nfs"):
        holdfast.init(tmp_path / "repo")
    monkeypatch.setenv("HOLDFAST_NETWORK_FILE_SYSTEM", "safe")
    holdfast.init(tmp_path / "repo").close()
