"""Every `--json` answer has exactly the fields that docs/guide/cli.md documents for it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Answer, Command

GUIDE = Path(__file__).resolve().parents[2] / "docs/guide/cli.md"
OPTIONAL = re.compile(r"_b64$|\.target$|findings\[\]|errors\[\]|skipped\[\]|failed\[\]|removed\[\]")
"""Fields that only some answers have, or that stand in lists that may be empty."""


def tables() -> dict[str, dict[str, str]]:
    """Command → documented field → what it says."""
    found: dict[str, dict[str, str]] = {}
    command = ""
    for line in GUIDE.read_text().splitlines():
        if line.startswith("### "):
            command = line[4:]
        elif match := re.match(r"\| field of (\S+) \|", line):
            command = match[1]
        elif match := re.match(r"\| (`.+`) \| (.*) \|$", line):
            for name in re.findall(r"`([^`]+)`", match[1]):
                found.setdefault(command, {})[name] = match[2]
    return found


def documented(command: str) -> dict[str, str]:
    """The fields of one command, with references to other tables resolved."""
    all_tables = tables()
    out: dict[str, str] = {}
    for name, text in all_tables[command].items():
        match = re.match(r"as `(.*)…` of (\S+)", text)
        if match is None:
            out[name] = text
            continue
        for other, meaning in all_tables[match[2]].items():
            if other.startswith(match[1]):
                out[name.replace("…", other.removeprefix(match[1]))] = meaning
    return out


def fields(value: Any, known: dict[str, str], at: str = "") -> set[str]:
    """The field names of an answer; a documented map or list is one field."""
    if at in known and re.match(r"(map|list):", known[at]):
        return {at}
    if isinstance(value, dict):
        inner = [fields(v, known, f"{at}.{k}" if at else k) for k, v in value.items()]
        return set().union(*inner) if inner else set()
    if isinstance(value, list):
        inner = [fields(v, known, f"{at}[]") for v in value]
        return set().union(*inner) if inner else set()
    return {at}


@pytest.fixture
def answers(holdfast: Command, filled: Path, project: Path) -> dict[str, list[Answer]]:
    """Answers of every command that together show every field."""
    reference = holdfast("put", "-", stdin=b"a").out.strip()
    os.mkfifo(project / "pipe")
    Path(os.fsdecode(bytes(project) + b"/caf\xff")).symlink_to(os.fsdecode(b"x\xff"))
    ingested = holdfast("ingest", "trips", "--json")
    run = ingested.json["sources"][0]["run_id"]
    tombstoned = holdfast("tombstone", reference, "--json")
    logseq = tombstoned.json["logseq"]
    restored = holdfast("restore", "trips", "-o", "back", "--json")
    stray = filled / "runs" / ".hf-0123456789abcdef"
    stray.write_bytes(b"x")
    return {
        "init": [holdfast("init", "other", "--json")],
        "ingest": [ingested],
        "status": [holdfast("status", "--json")],
        "log": [holdfast("log", "--json"), holdfast("log", "trips/notes.txt", "--json")],
        "show": [
            holdfast("show", what, "--json")
            for what in (reference, run, "commit:1", "trips", "trips/link")
        ],
        "ls": [holdfast("ls", "--json"), holdfast("ls", "trips", "--json")],
        "restore": [restored],
        "put": [holdfast("put", "-", "--json", stdin=b"b")],
        "get": [holdfast("get", "trips/notes.txt", "-o", "out", "--json")],
        "tombstone": [tombstoned],
        "lift": [holdfast("lift", reference, str(logseq), "--json")],
        "snapshot": [holdfast("snapshot", "--json")],
        "verify": [holdfast("verify", "--json")],
        "fsck": [holdfast("fsck", "--repair", "--json")],
        "gc": [holdfast("gc", "--json")],
        "export-log": [holdfast("export-log", "-o", "log.asl", "--json")],
    }


@pytest.fixture
def dataset_answers(holdfast: Command, made: Path, tmp_path: Path) -> dict[str, list[Answer]]:
    """Answers of every `dataset` command."""
    (tmp_path / "a.csv").write_bytes(b"n,kind\n1,a\n2,b\n")
    created = holdfast("dataset", "create", "days", "--json")
    written = holdfast("dataset", "write", "days", "a.csv", "--json")
    old = written.json["snapshot"]
    tagged = holdfast("dataset", "tag", "days", "first", "--json")
    more = holdfast("dataset", "write", "days", "-", "--json", stdin=b'{"n":1,"kind":"c"}\n')
    new = more.json["snapshot"]
    where = ["--where", "n = 1"]
    return {
        "dataset create": [created],
        "dataset write": [written, more],
        "dataset read": [holdfast("dataset", "read", "days", "-o", "r.csv", "--json")],
        "dataset scan": [
            holdfast("dataset", "scan", "days", *where, "-o", "s.csv", "--json"),
            holdfast("dataset", "scan", "days", *where, "--explain", "--json"),
        ],
        "dataset export": [holdfast("dataset", "export", "days", "-o", "out/", "--json")],
        "dataset log": [holdfast("dataset", "log", "days", "--json")],
        "dataset diff": [holdfast("dataset", "diff", "days", old, new, "--rows", "--json")],
        "dataset tag": [tagged],
        "dataset list": [holdfast("dataset", "list", "--json")],
        "dataset retention": [
            holdfast("dataset", "retention", "days", "--keep-last", "1", "--dry-run", "--json")
        ],
        "dataset expire": [
            holdfast("dataset", "expire", "days", created.json["snapshot"], "--json")
        ],
        "dataset erase-rows": [
            holdfast(
                "dataset", "erase-rows", "days", *where, "--reason", "asked", "--yes", "--json"
            )
        ],
    }


@pytest.fixture
def volume_answers(holdfast: Command, made: Path, tmp_path: Path) -> dict[str, list[Answer]]:
    """Answers of every `volume` command."""
    (tmp_path / "whole").write_bytes(b"0123456789")
    created = holdfast("volume", "create", "disk", "--length", "100", "--json")
    staged = holdfast("volume", "stage", "disk", "50", "-", "--json", stdin=b"x")
    committed = holdfast("volume", "commit", "disk", "--json")
    holdfast("volume", "stage", "disk", "70", "-", stdin=b"y")
    return {
        "volume create": [created],
        "volume stage": [staged],
        "volume commit": [committed],
        "volume read": [holdfast("volume", "read", "disk", "50", "1", "-o", "x", "--json")],
        "volume map": [holdfast("volume", "map", "disk", "--json")],
        "volume resume": [holdfast("volume", "resume", "disk", "whole", "--json")],
        "volume log": [holdfast("volume", "log", "disk", "--json")],
        "volume list": [holdfast("volume", "list", "--json")],
    }


def test_every_field_of_datasets_and_volumes_is_documented(
    dataset_answers: dict[str, list[Answer]], volume_answers: dict[str, list[Answer]]
) -> None:
    check(dataset_answers | volume_answers)


def test_every_field_is_documented_and_every_documented_field_is_there(
    answers: dict[str, list[Answer]],
) -> None:
    check(answers)


def check(answers: dict[str, list[Answer]]) -> None:
    """The answers have the documented fields, and no others."""
    for command, given in answers.items():
        known = documented(command)
        found: set[str] = set()
        for answer in given:
            assert answer.code == 0, f"{command}: {answer.err}"
            found |= fields(answer.json, known)
        assert found <= known.keys(), f"{command}: not documented: {found - known.keys()}"
        missing = {name for name in known.keys() - found if not OPTIONAL.search(name)}
        absent = {n for n in missing if n.partition("[]")[0] not in ("found", "mended", "left")}
        absent = {n for n in absent if n.partition("[]")[0] not in ("damaged", "unset", "missing")}
        assert not absent, f"{command}: documented but not there: {absent}"


def test_every_command_has_a_table() -> None:
    from cli.test_main import COMMANDS, GROUPS

    leaves = {name for name in COMMANDS if name not in GROUPS}
    leaves |= {f"{group} {name}" for group, names in GROUPS.items() for name in names}
    assert leaves <= tables().keys()
