"""verify, fsck and gc."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Command
from holdfast.errors import ExitCode


def flip(path: Path, offset: int = 0) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


@pytest.fixture
def stored(holdfast: Command, filled: Path) -> Path:
    """The stored file of trips/data/b.bin."""
    key: str = holdfast("show", "trips/data/b.bin", "--json").json["file"]["stored"]
    return filled / key


def test_a_sound_repository_verifies(holdfast: Command, filled: Path) -> None:
    for words in ([], ["--deep"], ["--quick"]):
        answer = holdfast("verify", *words)
        assert (answer.code, answer.err) == (0, ""), answer.err
    found = holdfast("verify", "--json").json
    assert (found["ok"], found["deep"], found["findings"]) == (True, True, [])
    assert found["bytes"] > 4110


def test_quick_says_last_that_contents_were_not_read(holdfast: Command, filled: Path) -> None:
    answer = holdfast("verify", "--quick")
    assert "not read" in answer.out.splitlines()[-1]
    assert "not read" not in holdfast("verify").out
    assert holdfast("verify", "--quick", "--json").json["contents_read"] is False


def test_quick_and_deep_exclude_each_other(holdfast: Command, made: Path) -> None:
    assert holdfast("verify", "--quick", "--deep").code == ExitCode.USAGE


def test_one_flipped_bit_is_exit_5_and_named(holdfast: Command, filled: Path, stored: Path) -> None:
    flip(stored, 100)
    name = str(stored.relative_to(filled))
    answer = holdfast("verify")
    assert answer.code == ExitCode.INTEGRITY
    assert name in answer.out
    assert name in answer.err
    assert answer.err.count("\n") == 1
    as_json = holdfast("verify", "--json")
    assert as_json.code == ExitCode.INTEGRITY
    assert {f["path"] for f in as_json.json["findings"]} == {name}
    assert as_json.error["code"] == "integrity"
    flip(stored, 100)
    assert holdfast("verify").code == 0


def test_quick_finds_a_file_that_is_shorter_or_gone(
    holdfast: Command, filled: Path, stored: Path
) -> None:
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1])
    assert holdfast("verify", "--quick").code == ExitCode.INTEGRITY
    stored.unlink()
    assert holdfast("verify", "--quick").code == ExitCode.INTEGRITY


def test_a_damaged_log_is_exit_5_and_named(holdfast: Command, filled: Path) -> None:
    log = next((filled / "ledger" / "log").glob("*.asl"))
    flip(log, 40)
    answer = holdfast("verify")
    assert answer.code == ExitCode.INTEGRITY
    assert log.name in answer.err + answer.out
    for line in ("log", "status", "put -", "snapshot"):
        damaged = holdfast(*line.split())
        assert damaged.code in (0, ExitCode.INTEGRITY)
        assert damaged.err.count("\n") == (damaged.code != 0)


def test_fsck_of_a_sound_repository_finds_nothing(holdfast: Command, filled: Path) -> None:
    for words in ([], ["--repair"]):
        found = holdfast("fsck", *words, "--json").json
        assert (found["ok"], found["found"], found["left"]) == (True, [], [])
        assert holdfast("fsck", *words).code == 0


@pytest.fixture
def litter(filled: Path) -> Path:
    """A temporary file that a dead process left."""
    path = filled / "runs" / ".hf-0123456789abcdef"
    path.write_bytes(b"half")
    return path


def test_fsck_names_litter_with_exit_10_and_repair_removes_it(
    holdfast: Command, litter: Path
) -> None:
    answer = holdfast("fsck")
    assert answer.code == ExitCode.NAMED_FAILURES
    assert litter.name in answer.out
    assert "--repair" in answer.err
    mended = holdfast("fsck", "--repair")
    assert mended.code == 0
    assert litter.name in mended.out
    assert not litter.exists()


def test_gc_removes_litter_and_a_dry_run_only_names_it(holdfast: Command, litter: Path) -> None:
    dry = holdfast("gc", "--dry-run", "--json").json
    assert dry["dry_run"] is True
    assert [Path(f["path"]).name for f in dry["removed"]] == [litter.name]
    assert litter.exists()
    answer = holdfast("gc")
    assert answer.code == 0
    assert "1 file, 4 B removed" in answer.out
    assert not litter.exists()
    assert holdfast("verify").code == 0


def test_lost_bytes_are_beyond_repair(holdfast: Command, stored: Path) -> None:
    stored.unlink()
    answer = holdfast("fsck", "--repair")
    assert answer.code == ExitCode.INTEGRITY
    assert answer.err.count("\n") == 1
