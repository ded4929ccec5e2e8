"""put, get, tombstone, lift, snapshot, export-log."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cli.conftest import Command
from holdfast.errors import ExitCode
from holdfast.ledger.artifact import artifact_bytes, reference_of


def test_put_prints_the_reference_and_nothing_else(holdfast: Command, made: Path) -> None:
    Path("f").write_bytes(b"bytes")
    answer = holdfast("put", "f")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == reference_of(b"bytes").text + "\n"


def test_put_takes_standard_input(holdfast: Command, made: Path) -> None:
    answer = holdfast("put", "-", stdin=b"\x00\xff")
    assert answer.out == reference_of(b"\x00\xff").text + "\n"
    assert holdfast("get", answer.out.strip()).raw == b"\x00\xff"


@pytest.mark.parametrize(("text", "tag"), [("7", 7), ("0x10", 16), ("4294967295", 2**32 - 1)])
def test_a_type_tag_is_part_of_the_reference(
    holdfast: Command, made: Path, text: str, tag: int
) -> None:
    answer = holdfast("put", "-", "--type-tag", text, "--json", stdin=b"a")
    assert answer.json == {"reference": reference_of(b"a", tag).text, "size": 1, "type_tag": tag}


@pytest.mark.parametrize("tag", ["-1", "4294967296", "x", ""])
def test_a_type_tag_that_is_no_u32_is_refused(holdfast: Command, made: Path, tag: str) -> None:
    assert holdfast("put", "-", f"--type-tag={tag}", stdin=b"a").code == ExitCode.USAGE


def test_putting_the_same_bytes_again_gives_the_same_reference(
    holdfast: Command, made: Path
) -> None:
    first = holdfast("put", "-", stdin=b"a").out
    assert holdfast("put", "-", stdin=b"a").out == first


def test_an_empty_artifact_comes_back_empty(holdfast: Command, made: Path) -> None:
    reference = holdfast("put", "-").out.strip()
    answer = holdfast("get", reference)
    assert (answer.code, answer.raw) == (0, b"")


@pytest.mark.parametrize(("name", "code"), [("missing", ExitCode.NOT_FOUND), (".", ExitCode.USAGE)])
def test_put_of_what_cannot_be_read_names_it(
    holdfast: Command, made: Path, name: str, code: int
) -> None:
    answer = holdfast("put", name)
    assert answer.code == code
    assert answer.err.startswith(f"holdfast: reading {name}: ")


def test_get_takes_a_digest_prefix_of_eight_digits(holdfast: Command, made: Path) -> None:
    reference = holdfast("put", "-", stdin=b"a").out.strip()
    digest = reference.rpartition(":")[2]
    for text in (digest, digest[:8], digest[:9].upper(), f"asl1:0001:{digest[:8]}"):
        assert holdfast("get", text).raw == b"a", text


def test_a_prefix_shorter_than_eight_digits_is_no_reference(holdfast: Command, made: Path) -> None:
    digest = holdfast("put", "-", stdin=b"a").out.strip().rpartition(":")[2]
    assert holdfast("tombstone", digest[:7]).code == ExitCode.USAGE


TWINS = (b"twin 81905", b"twin 185939")
"""Two artifacts whose digests begin with the same eight hex digits (found by search)."""


def test_an_ambiguous_prefix_lists_the_candidates(holdfast: Command, made: Path) -> None:
    references = sorted(holdfast("put", "-", stdin=data).out.strip() for data in TWINS)
    prefix = "8f61a1fa"
    answer = holdfast("get", prefix)
    assert answer.code == ExitCode.USAGE
    assert all(reference in answer.err for reference in references)
    error = holdfast("show", prefix, "--json").error
    assert sorted(error["details"]["candidates"]) == references
    assert holdfast("get", references[0]).code == 0


def test_a_reference_that_is_not_there_is_not_found(holdfast: Command, made: Path) -> None:
    for text in (reference_of(b"nowhere").text, "deadbeef", "sha256:" + "0" * 64):
        answer = holdfast("get", text)
        assert answer.code == ExitCode.NOT_FOUND, text
        assert answer.err.count("\n") == 1


@pytest.mark.parametrize("text", ["asl1:0001:zz", "asl1:0001:" + "0" * 66, "sha256:12", "md5:12"])
def test_a_malformed_reference_is_refused(holdfast: Command, made: Path, text: str) -> None:
    assert holdfast("get", text).code in (ExitCode.USAGE, ExitCode.NOT_FOUND)
    assert holdfast("tombstone", text).code == ExitCode.USAGE


def test_get_into_a_file_writes_it_whole_and_says_so(holdfast: Command, made: Path) -> None:
    reference = holdfast("put", "-", stdin=b"bytes").out.strip()
    answer = holdfast("get", reference, "-o", "out", "--json")
    assert answer.json == {"id": reference, "size": 5, "output": "out"}
    assert Path("out").read_bytes() == b"bytes"
    assert sorted(p.name for p in Path().iterdir()) == [".holdfast", "out"]


def test_get_never_overwrites(holdfast: Command, made: Path) -> None:
    reference = holdfast("put", "-", stdin=b"bytes").out.strip()
    Path("out").write_text("mine")
    answer = holdfast("get", reference, "-o", "out")
    assert answer.code == ExitCode.CONFLICT
    assert Path("out").read_text() == "mine"
    Path("dangling").symlink_to("nowhere")
    assert holdfast("get", reference, "-o", "dangling").code == ExitCode.CONFLICT


def test_get_into_a_missing_folder_is_not_found(holdfast: Command, made: Path) -> None:
    reference = holdfast("put", "-", stdin=b"bytes").out.strip()
    assert holdfast("get", reference, "-o", "no/out").code == ExitCode.NOT_FOUND


def test_get_with_json_needs_a_file(holdfast: Command, made: Path) -> None:
    reference = holdfast("put", "-", stdin=b"bytes").out.strip()
    answer = holdfast("get", reference, "--json")
    assert answer.code == ExitCode.USAGE
    assert answer.raw == b""


def test_get_finds_files_by_digest_and_by_path(holdfast: Command, filled: Path) -> None:
    data = bytes(range(256)) * 16
    digest = hashlib.sha256(data).hexdigest()
    for name in (
        f"sha256:{digest}",
        f"sha256:{digest[:8]}",
        f"SHA256:{digest.upper()}",
        digest[:12],
    ):
        assert holdfast("get", name).raw == data, name
        assert holdfast("show", name, "--json").json["file"]["path"] == "data/b.bin"
    assert holdfast("get", "trips/data/b.bin").raw == data
    assert holdfast("get", "trips/data/none").raw == b""


def test_a_digest_that_is_an_artifact_s_and_a_file_s_is_not_guessed(
    holdfast: Command, made: Path, tmp_path: Path
) -> None:
    reference = holdfast("put", "-", stdin=b"bytes").out.strip()
    (tmp_path / "odd").write_bytes(artifact_bytes(b"bytes"))  # with the artifact's very digest
    assert holdfast("ingest", "odd").code == 0
    digits = reference[10:]
    for line in (("get", digits), ("get", digits[:8]), ("show", digits[:8])):
        answer = holdfast(*line)
        assert answer.code == ExitCode.USAGE
        assert reference in answer.err
        assert f"sha256:{digits}" in answer.err
    assert holdfast("get", reference).raw == b"bytes"
    assert holdfast("get", f"sha256:{digits[:8]}").raw == artifact_bytes(b"bytes")


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("trips", ExitCode.NOT_FOUND),
        ("trips/data", ExitCode.NOT_FOUND),
        ("trips/nothing", ExitCode.NOT_FOUND),
        ("other/notes.txt", ExitCode.NOT_FOUND),
        ("trips/link", ExitCode.USAGE),
        ("trips/empty", ExitCode.USAGE),
    ],
)
def test_get_of_what_has_no_bytes_says_so(
    holdfast: Command, filled: Path, what: str, code: int
) -> None:
    answer = holdfast("get", what)
    assert (answer.code, answer.raw) == (code, b"")
    assert answer.err.count("\n") == 1


def test_damaged_bytes_are_exit_5_and_leave_no_file(
    holdfast: Command, filled: Path, project: Path
) -> None:
    stored = holdfast("show", "trips/data/b.bin", "--json").json["file"]["stored"]
    path = filled / stored
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    answer = holdfast("get", "trips/data/b.bin", "-o", "out")
    assert answer.code == ExitCode.INTEGRITY
    assert stored in answer.err
    assert sorted(p.name for p in Path().iterdir()) == [".holdfast", "trips"]
    assert holdfast("restore", "trips", "-o", "back").code == ExitCode.INTEGRITY


def test_a_tombstone_hides_and_its_lift_brings_back(holdfast: Command, made: Path) -> None:
    reference = holdfast("put", "-", stdin=b"a").out.strip()
    answer = holdfast("tombstone", reference, "--scope", "1", "--reason", "2")
    assert (answer.code, answer.err) == (0, "")
    logseq = int(answer.out)
    hidden = holdfast("get", reference)
    assert hidden.code == ExitCode.NOT_FOUND
    assert "tombstone" in hidden.err
    assert holdfast("show", reference, "--json").json["artifact"]["tombstoned"] is True
    assert int(holdfast("lift", reference, str(logseq)).out) == logseq + 1
    assert holdfast("get", reference).raw == b"a"


def test_tombstone_and_lift_with_json(holdfast: Command, made: Path) -> None:
    reference = holdfast("put", "-", stdin=b"a").out.strip()
    first = holdfast("tombstone", reference, "--json").json
    assert first == {"reference": reference, "logseq": first["logseq"]}
    lifted = holdfast("lift", reference, str(first["logseq"]), "--json").json
    assert lifted["tombstone"] == first["logseq"]
    assert lifted["reference"] == reference
    assert lifted["logseq"] > first["logseq"]


def test_lifting_what_is_no_tombstone_is_refused(holdfast: Command, made: Path) -> None:
    reference = holdfast("put", "-", stdin=b"a").out.strip()
    answer = holdfast("lift", reference, "1")
    assert answer.code in (ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.CONFLICT)
    assert answer.err.count("\n") == 1


def test_a_snapshot_has_a_number_that_rises(holdfast: Command, made: Path) -> None:
    assert holdfast("snapshot").out == "1\n"
    found = holdfast("snapshot", "--json").json
    assert found["snapshot"] == 2
    assert found["logseq"] > 0


def test_export_log_writes_the_canonical_log(holdfast: Command, made: Path) -> None:
    holdfast("put", "-", stdin=b"a")
    answer = holdfast("export-log", "-o", "log.asl", "--json")
    found = answer.json
    data = Path("log.asl").read_bytes()
    assert data[:8] == b"ASLLOG01"
    assert found == {"output": "log.asl", "size": len(data)}
    assert holdfast("export-log", "-o", "log.asl").code == ExitCode.CONFLICT
