"""``holdfast volume``: ranges staged, committed and imported by different processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast as hf
from cli.conftest import Command
from holdfast.cli.quantity import parse_bytes
from holdfast.cli.volume_read import PLAIN, WIDTH, picture
from holdfast.errors import ExitCode, Invalid

LENGTH = 4096


@pytest.fixture
def scan(holdfast: Command, made: Path, tmp_path: Path) -> Path:
    """A repository with the volume `scan`, empty, and the file `a` of 1,000 bytes."""
    (tmp_path / "a").write_bytes(bytes(range(250)) * 4)
    answer = holdfast("volume", "create", "scan", "--length", "4KiB")
    assert answer.code == 0, answer.err
    return made


def test_a_volume_is_made_before_it_has_a_block(holdfast: Command, scan: Path) -> None:
    answer = holdfast("volume", "map", "scan", "--json").json
    assert answer["missing"] == [{"offset": 0, "length": LENGTH}]
    assert answer["snapshot"] is None
    assert "Nothing was committed" in holdfast("volume", "log", "scan").out
    assert holdfast("verify").code == 0
    assert holdfast("fsck").code == 0


def test_a_volume_is_made_once(holdfast: Command, scan: Path) -> None:
    for length in ("4KiB", "8KiB"):
        answer = holdfast("volume", "create", "scan", "--length", length)
        assert answer.code == ExitCode.CONFLICT
    for name, length in (("x", "0"), ("x", "1.5"), ("x", "many"), ("x/y", "1"), (".x", "1")):
        answer = holdfast("volume", "create", name, "--length", length)
        assert answer.code == ExitCode.USAGE


def test_what_is_staged_is_invisible_until_another_process_commits_it(
    holdfast: Command, scan: Path, tmp_path: Path
) -> None:
    staged = holdfast("volume", "stage", "scan", "1KiB", "a", "--json").json
    assert (staged["offset"], staged["length"], staged["snapshot"]) == (1024, 1000, None)
    assert holdfast("volume", "read", "scan", "1024", "10").code == ExitCode.NOT_FOUND
    shown = holdfast("volume", "map", "scan", "--json").json
    assert shown["covered"] == 0
    assert shown["staged"] == [{"offset": 1024, "length": 1000}]
    committed = holdfast("volume", "commit", "scan", "-m", "first", "--json").json
    assert committed["new"] == [{"offset": 1024, "length": 1000}]
    assert committed["snapshot"]["message"] == "first"
    assert holdfast("volume", "read", "scan", "1024", "1000").raw == (tmp_path / "a").read_bytes()
    assert holdfast("verify").code == 0


def test_commit_takes_the_blocks_that_are_named_only(holdfast: Command, scan: Path) -> None:
    holdfast("volume", "stage", "scan", "0", "a")
    holdfast("volume", "stage", "scan", "2000", "a")
    tried = holdfast("volume", "commit", "scan", "--dry-run").out.splitlines()
    assert tried[:2] == ["0-1000", "2000-1000"]
    assert holdfast("volume", "commit", "scan", "2000-1000").code == 0
    shown = holdfast("volume", "map", "scan", "--json").json
    assert shown["ranges"] == [{"offset": 2000, "length": 1000}]
    assert shown["staged"] == [{"offset": 0, "length": 1000}]
    for block in ("5-5", "2000-1000", "9" * 50 + "-1"):
        assert holdfast("volume", "commit", "scan", block).code == ExitCode.NOT_FOUND
    assert holdfast("volume", "commit", "scan", "x").code == ExitCode.USAGE


def test_nothing_to_commit_is_exit_3(holdfast: Command, scan: Path) -> None:
    assert holdfast("volume", "commit", "scan").code == ExitCode.NOT_FOUND


def test_blocks_of_a_process_at_work_are_left_to_it_unless_they_are_named(
    holdfast: Command, scan: Path
) -> None:
    with hf.open(scan) as repo, repo.volume("scan", LENGTH) as volume:
        block = volume.stage_write_at(0, b"theirs")
        answer = holdfast("volume", "commit", "scan")
        assert answer.code == ExitCode.BUSY
        assert "name the blocks" in answer.err
        assert holdfast("volume", "commit", "scan", "0-6").code == 0
        with pytest.raises(hf.OverlappingBlocks):
            volume.commit([block])


def test_bytes_are_written_once(holdfast: Command, scan: Path) -> None:
    assert holdfast("volume", "stage", "scan", "0", "a", "--commit").code == 0
    assert holdfast("volume", "stage", "scan", "0", "a").code == ExitCode.USAGE
    holdfast("volume", "stage", "scan", "500", "a")
    assert holdfast("volume", "commit", "scan").code == ExitCode.USAGE
    assert len(holdfast("volume", "log", "scan", "--json").json["snapshots"]) == 1


def test_a_block_comes_through_a_pipe_and_stays_within_the_volume(
    holdfast: Command, scan: Path
) -> None:
    words = ["volume", "stage", "scan", "4000", "-"]
    assert holdfast(*words, stdin=b"x" * 97).code == ExitCode.USAGE
    assert holdfast(*words, stdin=b"").code == ExitCode.USAGE
    assert holdfast(*words, "--commit", "-m", "end", stdin=b"x" * 96).code == 0
    assert holdfast(*words, "-m", "no commit", stdin=b"x").code == ExitCode.USAGE


def test_a_gap_is_an_error_and_never_zeros(holdfast: Command, scan: Path, tmp_path: Path) -> None:
    holdfast("volume", "stage", "scan", "0", "a", "--commit")
    for words in (["999", "2"], ["999", "2", "-o", "out"]):
        answer = holdfast("volume", "read", "scan", *words)
        assert answer.code == ExitCode.NOT_FOUND
        assert answer.raw == b""
    assert not (tmp_path / "out").exists()


def test_read_takes_a_moment_and_never_overwrites(
    holdfast: Command, scan: Path, tmp_path: Path
) -> None:
    holdfast("volume", "stage", "scan", "0", "a", "--commit")
    holdfast("volume", "stage", "scan", "1000", "a", "--commit")
    old = holdfast("volume", "log", "scan", "--json").json["snapshots"][1]["snapshot"]
    words = ["volume", "read", "scan", "1000", "10"]
    assert holdfast(*words, "--at", old).code == ExitCode.NOT_FOUND
    assert holdfast(*words, "-o", "out", "--json").json["size"] == 10
    assert (tmp_path / "out").read_bytes() == (tmp_path / "a").read_bytes()[:10]
    assert holdfast(*words, "-o", "out").code == ExitCode.CONFLICT
    assert holdfast(*words, "--json").error["code"] == "invalid"


def test_an_import_goes_on_with_what_is_missing(
    holdfast: Command, scan: Path, tmp_path: Path
) -> None:
    whole = bytes(reversed((tmp_path / "a").read_bytes())) * 4
    (tmp_path / "whole").write_bytes(whole)
    holdfast("volume", "stage", "scan", "500", "-", "--commit", stdin=whole[500:600])
    first = holdfast("volume", "resume", "scan", "whole", "--json").json
    assert (first["bytes_read"], first["bytes_kept"]) == (3900, 100)
    again = holdfast("volume", "resume", "scan", "whole", "--json").json
    assert (again["bytes_read"], again["snapshots"]) == (0, [])
    assert holdfast("volume", "read", "scan", "0", "4000").raw == whole


def test_an_import_that_does_not_fit_or_is_not_there_is_refused(
    holdfast: Command, scan: Path
) -> None:
    assert holdfast("volume", "resume", "scan", "a", "--at", "4000").code == ExitCode.USAGE
    assert holdfast("volume", "resume", "scan", "nope").code == ExitCode.NOT_FOUND
    assert holdfast("volume", "resume", "scan", "ftp://x/y").code == ExitCode.USAGE


def test_gc_removes_what_nobody_committed(holdfast: Command, scan: Path) -> None:
    holdfast("volume", "stage", "scan", "0", "a")
    assert holdfast("gc").code == 0
    assert holdfast("volume", "commit", "scan").code == ExitCode.NOT_FOUND


def test_a_volume_that_is_not_there_lists_those_that_are(holdfast: Command, scan: Path) -> None:
    holdfast("volume", "stage", "scan", "0", "a", "--commit")
    for words in (["map"], ["log"], ["commit"], ["read", "0", "1"], ["stage", "0", "a"]):
        answer = holdfast("volume", words[0], "nope", *words[1:])
        assert answer.code == ExitCode.NOT_FOUND
        assert "scan" in answer.err


def test_the_list_shows_what_is_there(holdfast: Command, scan: Path) -> None:
    assert holdfast("volume", "list", "--json").json == {"volumes": []}
    holdfast("volume", "stage", "scan", "0", "a")
    assert "nothing yet" in holdfast("volume", "list").out
    holdfast("volume", "commit", "scan")
    [volume] = holdfast("volume", "list", "--json").json["volumes"]
    assert volume["total_length"] == LENGTH
    assert volume["latest"]["bytes"] == 1000


def test_the_map_is_plain_characters_in_a_pipe(holdfast: Command, scan: Path) -> None:
    holdfast("volume", "stage", "scan", "0", "a", "--commit")
    answer = holdfast("volume", "map", "scan")
    assert answer.raw.isascii()
    first = answer.out.splitlines()[0]
    assert first == f"    0 |{'#' * WIDTH}|"
    assert "missing: 1 range, 3.0 KiB" in answer.out


@given(st.lists(st.sampled_from([0.0, 0.001, 0.5, 0.999, 1.0]), min_size=1, max_size=600))
def test_only_a_whole_part_is_dark_and_only_an_empty_one_is_light(cells: list[float]) -> None:
    drawn = "".join(line.split("|")[1] for line in picture(cells, 10_000))
    assert len(drawn) == len(cells)
    for part, sign in zip(cells, drawn, strict=True):
        assert (sign == PLAIN[-1]) == (part == 1)
        assert (sign == PLAIN[0]) == (part == 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("4096", 4096),
        ("4096 B", 4096),
        ("64KiB", 65536),
        ("64 kib", 65536),
        ("1.5GiB", 3 * 2**29),
        ("1MB", 1_000_000),
        ("7EiB", 7 * 2**60),
    ],
)
def test_bytes_are_written_as_people_write_them(text: str, expected: int) -> None:
    assert parse_bytes(text, "N") == expected


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1.0001KiB", "8EiB", "1 k", "KiB", "1e3", "٣"])
def test_what_is_no_number_of_bytes_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_bytes(text, "N")
