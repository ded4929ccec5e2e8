"""``holdfast dataset``: rows and bytes in and out, as snapshots."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import holdfast as hf
from cli.conftest import Answer, Command
from holdfast.cli import delivery
from holdfast.errors import ExitCode

CSV = b'day,n,name\n2024-01-01,1,ana\n2024-01-02,2,"b,o"\n2024-01-02,7,cy\n'
ROWS = [
    {"day": "2024-01-01", "n": 1, "name": "ana"},
    {"day": "2024-01-02", "n": 2, "name": "b,o"},
    {"day": "2024-01-02", "n": 7, "name": "cy"},
]


@pytest.fixture
def trips(holdfast: Command, made: Path) -> Path:
    """A repository whose dataset `trips` has one snapshot: the rows of `CSV`."""
    assert holdfast("dataset", "write", "trips", "-", "--format", "csv", stdin=CSV).code == 0
    return made


def lines(answer: Answer) -> list[Any]:
    assert answer.code == 0, answer.err
    return [json.loads(line) for line in answer.out.splitlines()]


def ids(holdfast: Command, name: str) -> list[str]:
    """Snapshots, newest first."""
    answer = holdfast("dataset", "log", name, "--json").json
    return [snapshot["snapshot"] for snapshot in answer["snapshots"]]


# In


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "arrow"])
def test_what_is_exported_in_a_format_comes_in_again_as_the_same_rows(
    holdfast: Command, trips: Path, kind: str
) -> None:
    assert holdfast("dataset", "export", "trips", "-o", f"out.{kind}").code == 0
    answer = holdfast("dataset", "write", "copy", f"out.{kind}", "--json")
    assert answer.json["format"] == kind
    assert answer.json["rows"] == 3
    assert lines(holdfast("dataset", "read", "copy")) == ROWS


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "arrow"])
def test_what_is_read_in_a_pipe_comes_in_from_a_pipe(
    holdfast: Command, trips: Path, kind: str
) -> None:
    data = holdfast("dataset", "read", "trips", "--format", kind).raw
    answer = holdfast("dataset", "write", "copy", "-", "--format", kind, stdin=data)
    assert answer.code == 0, answer.err
    assert lines(holdfast("dataset", "read", "copy")) == ROWS


def test_a_write_says_that_it_does_not_append(holdfast: Command, trips: Path) -> None:
    answer = holdfast("dataset", "write", "trips", "-", stdin=b'{"n":4}\n')
    assert "exactly these rows; nothing was appended" in answer.out
    assert lines(holdfast("dataset", "read", "trips")) == [{"n": 4}]


def test_append_keeps_what_was_there(holdfast: Command, trips: Path) -> None:
    answer = holdfast("dataset", "write", "trips", "-", "--append", "--json", stdin=b'{"n":4}\n')
    assert answer.json["appended"] is True
    assert answer.json["rows"] == 4
    assert [row["n"] for row in lines(holdfast("dataset", "read", "trips"))] == [1, 2, 7, 4]


def test_metadata_and_a_message_are_kept(holdfast: Command, made: Path) -> None:
    words = ["--metadata", "source=a=b", "-m", "first"]
    assert holdfast("dataset", "write", "t", "-", *words, stdin=b'{"n":4}\n').code == 0
    snapshot = holdfast("dataset", "log", "t", "--json").json["snapshots"][0]
    assert snapshot["metadata"] == {"source": "a=b"}
    assert snapshot["message"] == "first"
    assert snapshot["author"] == "ana"


@pytest.mark.parametrize("words", [["x"], ["=x"], ["a=1", "a=2"]])
def test_metadata_of_another_form_are_refused(
    holdfast: Command, made: Path, words: list[str]
) -> None:
    options = [text for word in words for text in ("--metadata", word)]
    assert holdfast("dataset", "write", "t", "-", *options, stdin=b"{}").code == ExitCode.USAGE


def test_a_parent_that_is_not_the_newest_is_a_conflict(holdfast: Command, trips: Path) -> None:
    [old] = ids(holdfast, "trips")
    assert holdfast("dataset", "write", "trips", "-", "--parent", old, stdin=b'{"n":1}').code == 0
    again = holdfast("dataset", "write", "trips", "-", "--parent", old, stdin=b'{"n":1}')
    assert again.code == ExitCode.CONFLICT
    assert len(ids(holdfast, "trips")) == 2


def test_text_keeps_csv_values_as_they_stand(holdfast: Command, made: Path) -> None:
    data = b"\xef\xbb\xbfcode,n\n007,1.50\n"
    holdfast("dataset", "write", "t", "-", "--format", "csv", "--text", stdin=data)
    assert lines(holdfast("dataset", "read", "t")) == [{"code": "007", "n": "1.50"}]


def test_csv_with_another_delimiter_and_line_breaks_in_values(
    holdfast: Command, made: Path
) -> None:
    data = b'a;b\n"x\ny";2\n'
    holdfast("dataset", "write", "t", "-", "--format", "csv", "--delimiter", ";", stdin=data)
    assert lines(holdfast("dataset", "read", "t")) == [{"a": "x\ny", "b": 2}]


def test_compressed_text_is_decompressed(holdfast: Command, made: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(CSV))
    assert holdfast("dataset", "write", "t", "in.csv.gz").code == 0
    assert lines(holdfast("dataset", "read", "t")) == ROWS


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"a,b\n1\n", "csv"),
        (b"", "csv"),
        (b'{"a":1}\n{"a":\n', "jsonl"),
        (b"PAR1 no parquet", "parquet"),
        (b"ARROW1 no arrow", "arrow"),
        (b"\xff\xff\xff\xff no arrow", "arrow"),
    ],
)
def test_a_broken_file_is_bad_input_and_nothing_is_visible(
    holdfast: Command, made: Path, data: bytes, kind: str
) -> None:
    answer = holdfast("dataset", "write", "t", "-", "--format", kind, stdin=data)
    assert answer.code == ExitCode.USAGE
    assert "standard input" in answer.err
    assert holdfast("dataset", "list", "--json").json == {"datasets": []}


def test_a_csv_value_that_does_not_fit_the_types_found_first_is_refused(
    holdfast: Command, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "late.csv").write_bytes(b"a\n" + b"1\n" * 3_000_000 + b"x\n")
    answer = holdfast("dataset", "write", "t", "late.csv")
    assert answer.code == ExitCode.USAGE
    assert "--schema" in answer.err
    assert "--text" in answer.err


def test_a_format_that_nobody_tells_is_not_guessed(
    holdfast: Command, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "data.bin").write_bytes(b"1,2\n")
    for words in (["data.bin"], ["-"]):
        answer = holdfast("dataset", "write", "t", *words, stdin=b"1,2\n")
        assert answer.code == ExitCode.USAGE
        assert "--format" in answer.err


def test_bytes_and_rows_do_not_mix(holdfast: Command, trips: Path, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(CSV)
    assert holdfast("dataset", "write", "trips", "b.csv", "--format", "raw").code == 2
    assert holdfast("dataset", "write", "blob", "b.csv", "--format", "raw").code == 0
    assert holdfast("dataset", "write", "blob", "b.csv", "--format", "csv").code == 2
    # A raw dataset takes a file as it is, whatever its name.
    assert holdfast("dataset", "write", "blob", "b.csv").code == 0
    assert holdfast("dataset", "read", "blob").raw == CSV


# create


def test_create_keeps_partition_keys_for_every_later_write(
    holdfast: Command, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(CSV)
    assert holdfast("dataset", "create", "h", "--partition-by", "day").code == 0
    assert lines(holdfast("dataset", "read", "h")) == []
    for data in ("a.csv", "empty.csv", "a.csv"):
        (tmp_path / "empty.csv").write_bytes(b"day,n,name\n")
        assert holdfast("dataset", "write", "h", data).code == 0
    assert holdfast("dataset", "export", "h", "-o", "out/").code == 0
    names = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.p*"))
    assert names == ["day=2024-01-01/00000.parquet", "day=2024-01-02/00001.parquet"]
    assert pq.read_table(tmp_path / "out" / names[1]).num_rows == 2


def test_create_keeps_columns_for_every_later_write(
    holdfast: Command, made: Path, tmp_path: Path
) -> None:
    fields = [{"name": "n", "type": "string"}, {"name": "x", "type": "float64", "nullable": True}]
    (tmp_path / "s.json").write_text(json.dumps(fields))
    assert holdfast("dataset", "create", "t", "--schema", "s.json").code == 0
    assert holdfast("dataset", "write", "t", "-", "--format", "csv", stdin=b"n,x\n01,2\n").code == 0
    assert lines(holdfast("dataset", "read", "t")) == [{"n": "01", "x": 2.0}]
    refused = holdfast("dataset", "write", "t", "-", stdin=b'{"n":"a"}\n{"n":2}\n')
    assert refused.code == ExitCode.USAGE
    assert "record 1, field 'n'" in refused.err


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"name":"a","type":"odd"}]', "[", "[[" * 5_000])
def test_a_schema_of_another_form_is_refused(
    holdfast: Command, made: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "s.json").write_text(text)
    answer = holdfast("dataset", "create", "t", "--schema", "s.json")
    assert answer.code == ExitCode.USAGE


def test_create_refuses_a_dataset_that_is_there(holdfast: Command, trips: Path) -> None:
    assert holdfast("dataset", "create", "trips").code == ExitCode.CONFLICT
    assert holdfast("dataset", "create", "h", "--layout", "hive").code == ExitCode.USAGE
    assert holdfast("dataset", "create", "f", "--layout", "flat").code == ExitCode.UNSUPPORTED


@pytest.mark.parametrize("codec", ["jsonl", "raw", "parquet"])
def test_create_fixes_codec_and_compressor(holdfast: Command, made: Path, codec: str) -> None:
    words = ["--codec", codec, "--compressor", "gzip"]
    assert holdfast("dataset", "create", "t", *words).code == 0
    data = b'{"n":1}\n'
    answer = holdfast("dataset", "write", "t", "-", "--json", stdin=data).json
    assert (answer["codec"], answer["compressor"]) == (codec, "gzip")
    assert holdfast("dataset", "read", "t").raw == data


# Out


def test_read_takes_columns_a_limit_and_a_moment(holdfast: Command, trips: Path) -> None:
    [old] = ids(holdfast, "trips")
    holdfast("dataset", "write", "trips", "-", stdin=b'{"n":4}\n')
    found = lines(
        holdfast("dataset", "read", "trips", "--at", old, "--columns", "n,day", "-n", "2")
    )
    assert found == [{"n": 1, "day": "2024-01-01"}, {"n": 2, "day": "2024-01-02"}]


def test_records_of_json_lines_come_back_as_they_are(holdfast: Command, made: Path) -> None:
    data = b'{"a":[1,{"b":null}]}\n{"c":"\xc3\xa9"}\n5\n'
    holdfast("dataset", "write", "t", "-", "--format", "jsonl", stdin=data)
    assert holdfast("dataset", "read", "t").raw == data
    assert holdfast("dataset", "read", "t", "-n", "1").raw == data.splitlines(keepends=True)[0]


def test_a_table_is_shown_on_request(holdfast: Command, trips: Path) -> None:
    answer = holdfast("dataset", "read", "trips", "--format", "table", "-n", "2")
    assert answer.out.splitlines()[:2] == ["day         n  name", "2024-01-01  1  ana"]


def test_nothing_is_overwritten(holdfast: Command, trips: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    for command in ("read", "scan", "export"):
        answer = holdfast("dataset", command, "trips", "-o", "x.csv")
        assert answer.code == ExitCode.CONFLICT
    assert holdfast("dataset", "export", "trips", "-o", "full").code == ExitCode.CONFLICT
    assert (tmp_path / "x.csv").read_text() == "mine"
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["x"]


def test_a_failing_export_leaves_nothing(
    holdfast: Command, trips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(delivery, "to_file", interrupted)
    assert holdfast("dataset", "export", "trips", "-o", "out/").code == ExitCode.INTERRUPTED
    assert holdfast("dataset", "export", "trips", "-o", "out.csv").code == ExitCode.INTERRUPTED
    assert sorted(tmp_path.iterdir()) == before


def test_files_of_different_columns_are_joined_in_one_table(
    holdfast: Command, trips: Path, tmp_path: Path
) -> None:
    holdfast("dataset", "write", "trips", "-", "--append", stdin=b'{"n":4.5,"new":true}\n')
    assert holdfast("dataset", "export", "trips", "-o", "all.parquet").code == 0
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.column_names == ["day", "n", "name", "new"]
    assert table["n"].to_pylist() == [1, 2, 7, 4.5]
    assert table["new"].to_pylist() == [None, None, None, True]


def test_columns_without_a_common_type_are_refused_but_can_be_had_as_rows(
    holdfast: Command, trips: Path
) -> None:
    holdfast("dataset", "write", "trips", "-", "--append", stdin=b'{"n":"four"}\n')
    answer = holdfast("dataset", "export", "trips", "-o", "all.parquet")
    assert answer.code == ExitCode.USAGE
    assert [row["n"] for row in lines(holdfast("dataset", "read", "trips"))] == [1, 2, 7, "four"]


def test_csv_has_no_form_for_nested_columns(holdfast: Command, made: Path) -> None:
    holdfast("dataset", "write", "t", "-", stdin=b'{"a":[1]}\n')
    answer = holdfast("dataset", "read", "t", "--format", "csv")
    assert answer.code == ExitCode.USAGE
    assert "column 'a'" in answer.err


def test_json_answers_of_reading_need_a_file(holdfast: Command, trips: Path) -> None:
    for command in ("read", "scan"):
        answer = holdfast("dataset", command, "trips", "--json")
        assert answer.error["code"] == "invalid"
        assert answer.raw == b""


def test_damage_is_exit_5_and_no_file(holdfast: Command, trips: Path, tmp_path: Path) -> None:
    [data] = [p for p in (trips / "datasets").rglob("data") if p.is_file()]
    data.chmod(0o644)
    data.write_bytes(bytes(byte ^ 1 for byte in data.read_bytes()))
    assert holdfast("dataset", "read", "trips").code == ExitCode.INTEGRITY
    assert holdfast("dataset", "export", "trips", "-o", "x.csv").code == ExitCode.INTEGRITY
    assert not (tmp_path / "x.csv").exists()


# scan


def test_scan_gives_the_rows_for_which_a_condition_holds(holdfast: Command, trips: Path) -> None:
    where = "day >= date '2024-01-02' and (n > 5 or name in ('x'))"
    found = lines(holdfast("dataset", "scan", "trips", "--where", where, "--columns", "name"))
    assert found == [{"name": "cy"}]
    assert lines(holdfast("dataset", "scan", "trips", "--limit", "1")) == ROWS[:1]


@pytest.mark.parametrize("words", [("--where", "nn > 5"), ("--columns", "n,nn")])
def test_a_column_that_no_file_has_is_refused_by_name(
    holdfast: Command, trips: Path, words: tuple[str, str]
) -> None:
    answer = holdfast("dataset", "scan", "trips", *words)
    assert answer.code == ExitCode.USAGE
    assert "no column 'nn' (expected one of day, n, name)" in answer.err


def test_explain_reads_nothing_and_names_what_is_pruned(holdfast: Command, trips: Path) -> None:
    words = ["dataset", "scan", "trips", "--where", "n > 100", "--explain"]
    answer = holdfast(*words, "--json").json
    assert answer["kept"]["files"] == 0
    assert answer["pruned"]["files"] == 1
    assert "pruned: 1 files, 3 rows" in holdfast(*words).out


def test_an_empty_selection_still_has_columns(
    holdfast: Command, trips: Path, tmp_path: Path
) -> None:
    words = ["--where", "n > 100", "-o", "none.parquet", "--json"]
    assert holdfast("dataset", "scan", "trips", *words).json["rows"] == 0
    assert pq.read_table(tmp_path / "none.parquet").schema.field("n").type == pa.int64()


def test_a_condition_that_does_not_fit_is_exit_2(holdfast: Command, trips: Path) -> None:
    for where in ("n >", "n = 'a'"):
        answer = holdfast("dataset", "scan", "trips", "--where", where)
        assert answer.code == ExitCode.USAGE


# The line of snapshots


def test_diff_tells_files_rows_and_columns(holdfast: Command, trips: Path) -> None:
    changed = b'{"day":"2024-01-01","n":9,"name":"ana"}\n{"day":"2024-01-02","n":2,"name":"b,o"}\n'
    holdfast("dataset", "write", "trips", "-", stdin=changed)
    new, old = ids(holdfast, "trips")
    words = ["dataset", "diff", "trips", old, new, "--rows", "--key", "name"]
    answer = holdfast(*words, "--json").json
    assert (answer["rows_before"], answer["rows_after"]) == (3, 2)
    assert answer["rows"]["removed"] == [ROWS[2]]
    assert answer["rows"]["changed"][0] == [ROWS[0], {**ROWS[0], "n": 9}]
    assert '- {"day":"2024-01-02","n":7,"name":"cy"}' in holdfast(*words).out


def test_tags_are_set_moved_shown_and_taken_away(holdfast: Command, trips: Path) -> None:
    assert holdfast("dataset", "tag", "trips", "good", "-m", "checked").code == 0
    holdfast("dataset", "write", "trips", "-", stdin=b'{"n":4}\n')
    assert lines(holdfast("dataset", "read", "trips", "--at", "good")) == ROWS
    refused = holdfast("dataset", "tag", "trips", "good")
    assert refused.code == ExitCode.CONFLICT
    assert "--move" in refused.err
    assert holdfast("dataset", "tag", "trips", "good", "--move").code == 0
    [tag] = holdfast("dataset", "tag", "trips", "--json").json["tags"]
    assert tag["snapshot"] == ids(holdfast, "trips")[0]
    assert holdfast("dataset", "tag", "trips", "good", "--delete").code == 0
    assert holdfast("dataset", "tag", "trips").out == "No tags\n"
    assert holdfast("dataset", "tag", "trips", "good", "--delete").code == ExitCode.NOT_FOUND
    assert holdfast("dataset", "tag", "trips", "--delete").code == ExitCode.USAGE


def test_snapshots_expire_by_name_and_by_rule(holdfast: Command, trips: Path) -> None:
    for n in range(3):
        holdfast("dataset", "write", "trips", "-", stdin=b'{"n":%d}\n' % n)
    *_, oldest = ids(holdfast, "trips")
    words = ["dataset", "expire", "trips", oldest, "--reason", "old", "--json"]
    assert holdfast(*words).json["expired"] == [oldest]
    assert holdfast("dataset", "read", "trips", "--at", oldest).code == ExitCode.NOT_FOUND
    rule = ["dataset", "retention", "trips", "--keep-last", "1", "--json"]
    assert len(holdfast(*rule, "--dry-run").json["expired"]) == 2
    assert len(ids(holdfast, "trips")) == 3
    assert len(holdfast(*rule).json["expired"]) == 2
    assert len(ids(holdfast, "trips")) == 1
    assert holdfast("dataset", "retention", "trips").code == ExitCode.USAGE


def test_rows_are_erased_only_when_somebody_is_sure(holdfast: Command, trips: Path) -> None:
    words = ["dataset", "erase-rows", "trips", "--where", "name = 'ana'", "--reason", "asked"]
    refused = holdfast(*words)
    assert refused.code == ExitCode.USAGE
    assert "1 row of the latest snapshot" in refused.err
    assert lines(holdfast("dataset", "read", "trips")) == ROWS
    assert holdfast(*words, "--yes", "--json").json["rows"] == 1
    assert lines(holdfast("dataset", "read", "trips")) == ROWS[1:]


def test_a_name_that_is_not_there_lists_those_that_are(holdfast: Command, trips: Path) -> None:
    for words in (["read"], ["scan"], ["log"], ["tag"], ["export", "-o", "x.csv"]):
        answer = holdfast("dataset", words[0], "nope", *words[1:])
        assert answer.code == ExitCode.NOT_FOUND
        assert "trips" in answer.err


def test_the_list_goes_on_past_a_damaged_dataset(holdfast: Command, trips: Path) -> None:
    holdfast("dataset", "write", "fine", "-", stdin=b"{}\n")
    [manifest] = (trips / "datasets" / "trips").rglob("manifest.json")
    manifest.chmod(0o644)
    manifest.write_bytes(b"{")
    fine, broken = holdfast("dataset", "list", "--json").json["datasets"]
    assert (fine["dataset"], fine["error"]) == ("fine", None)
    assert broken["error"]
    assert broken["latest"] is None
    assert holdfast("dataset", "list").code == 0


def test_commits_of_datasets_are_in_the_log_and_can_be_shown(
    holdfast: Command, trips: Path
) -> None:
    [commit] = holdfast("log", "--model", "dataset", "--json").json["commits"]
    assert (commit["name"], commit["author"]) == ("trips", "ana")
    assert "trips" in holdfast("show", f"commit:{commit['logseq']}").out


def test_the_python_interface_sees_what_the_command_line_wrote(
    holdfast: Command, trips: Path
) -> None:
    with hf.open(trips, read_only=True) as repo:
        assert repo.dataset("trips").to_arrow()["n"].to_pylist() == [1, 2, 7]


def test_the_shared_options_may_stand_before_the_name_of_the_command(
    holdfast: Command, trips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    expected = holdfast("-R", trips, "dataset", "list", "--json").json
    assert holdfast("dataset", "-R", trips, "--json", "list").json == expected
    assert holdfast("dataset", "list", "-R", trips, "--json").json == expected
    assert holdfast("--json", "-R", "nowhere", "dataset", "-R", trips, "list").json == expected
    missing = holdfast("-R", "nowhere", "dataset", "list")
    assert missing.code == ExitCode.NOT_FOUND


def test_a_group_alone_shows_its_help(holdfast: Command) -> None:
    for name in ("dataset", "volume"):
        assert holdfast(name).out == holdfast(name, "--help").out
        assert holdfast(name, "bogus").code == ExitCode.USAGE
