from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import canonical_json
from holdfast.errors import HoldfastError, Integrity
from holdfast.runs import journal
from holdfast.runs.journal import Position, encode_batch, parse
from holdfast.runs.lines import (
    ArtifactLine,
    BeginLine,
    Counts,
    EndLine,
    FileLine,
    MarkLine,
    ProjectLine,
    SourceLine,
    encode,
    text_and_b64,
)

words = st.text(max_size=20).filter(lambda s: not any(0xD800 <= ord(c) <= 0xDFFF for c in s))
BEGIN = BeginLine(
    action="a",
    author="me",
    created="2026-01-02T03:04:05.000000000Z",
    inputs=["commit:1"],
    instructions="é\n",
    nonce="0" * 32,
    project=ProjectLine(folder="p", id="i", name="P"),
    run_id="r",
    schema="holdfast.journal/1",
    sequence=1,
    source=SourceLine(commit=None, kind="folder", url="/x"),
    timestamp="20260102_030405",
)
END = EndLine(
    bytes=1,
    completed=BEGIN.created,
    counts=Counts(new_file=2),
    error=None,
    parent=None,
    status="completed",
)
MARK = MarkLine(file_id="f", processed=BEGIN.created)
ARTIFACT = ArtifactLine(artifact="embeddings", name="x", sha256="a" * 64, size=1)


def file_line(path=b"a", **changed):
    text, b64 = text_and_b64(path)
    facts = {
        "created": BEGIN.created,
        "error": None,
        "file_id": "f",
        "kind": "file",
        "mode": 420,
        "mtime_ns": "1767323045000000001",
        "outcome": "new_file",
        "path": text,
        "path_b64": b64,
        "processed": None,
        "run_id": "r",
        "sha256": "a" * 64,
        "size": 3,
        "stored": "p/r/a",
        "target": None,
    }
    return FileLine(**{**facts, **changed})


def journal_of(*batches):
    data, position = b"", Position()
    for order, batch in enumerate(batches, 1):
        added, position = encode_batch(position, order, **batch)
        data += added
    return data, position


WHOLE = [
    {"begin": BEGIN},
    {"files": [file_line(), file_line(b"\xff", supersedes="g")], "marks": [MARK]},
    {"files": [file_line(b"b")], "artifacts": [ARTIFACT], "end": END},
]


@pytest.mark.parametrize("line", [BEGIN, END, MARK, ARTIFACT, file_line(), file_line(b"\xfe")])
def test_each_line_is_canonical_json(line):
    data = encode(line)
    assert canonical_json.dumps(canonical_json.loads(data)) == data


@given(words, words)
def test_any_text_in_a_line_is_canonical_json(path, error):
    data = encode(file_line(path=path.encode() or b"x", error=error))
    assert canonical_json.dumps(canonical_json.loads(data)) == data


def test_a_journal_reads_back_as_it_was_written():
    data, position = journal_of(*WHOLE)
    parsed = parse(data)
    assert (parsed.position, parsed.torn) == (position, 0)
    assert [b.order for b in parsed.batches] == [1, 2, 3]
    assert parsed.batches[0].begin == BEGIN
    assert parsed.batches[1].files == WHOLE[1]["files"]
    assert parsed.batches[1].marks == [MARK]
    assert (parsed.batches[2].artifacts, parsed.batches[2].end) == ([ARTIFACT], END)


def test_a_journal_can_be_read_on_from_any_batch():
    data, position = journal_of(*WHOLE)
    _, first = encode_batch(Position(), 1, begin=BEGIN)
    parsed = parse(data[first.size :], first)
    assert [b.number for b in parsed.batches] == [2, 3]
    assert parsed.position == position


def test_every_cut_leaves_whole_batches_and_a_torn_tail():
    data, _ = journal_of(*WHOLE)
    ends = [0]
    for count in range(1, 4):
        ends.append(journal_of(*WHOLE[:count])[1].size)
    for cut in range(len(data)):
        parsed = parse(data[:cut])
        whole = sum(end <= cut for end in ends) - 1
        assert len(parsed.batches) == whole
        assert parsed.torn == cut - ends[whole]


def test_every_flipped_byte_is_found_as_damage_or_as_a_torn_last_batch():
    data, _ = journal_of(*WHOLE)
    last = journal_of(*WHOLE[:2])[1].size
    for at in range(len(data)):
        bad = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        if at < last:
            with pytest.raises(Integrity):
                parse(bad)
            continue
        try:
            parsed = parse(bad)
        except Integrity:
            continue
        assert len(parsed.batches) == 2
        assert parsed.torn == len(data) - last


@pytest.mark.parametrize("filler", [b"\0", b"x", b"\n", b"{"])
def test_a_hole_in_the_last_batch_is_a_torn_tail(filler):
    data, _ = journal_of(*WHOLE)
    last = journal_of(*WHOLE[:2])[1].size
    torn = data[:last] + filler * 300 + data[last + 300 :]
    parsed = parse(torn)
    assert len(parsed.batches) == 2
    assert parsed.torn == len(data) - last


def test_a_batch_taken_out_of_the_middle_is_damage():
    data, _ = journal_of(*WHOLE)
    one, two = journal_of(*WHOLE[:1])[1].size, journal_of(*WHOLE[:2])[1].size
    with pytest.raises(Integrity):
        parse(data[:one] + data[two:])


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_journal_gives_typed_errors_only(data):
    good = bytearray(journal_of(*WHOLE)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(good) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "double"]))
        if how == "flip":
            good[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del good[at : at + data.draw(st.integers(1, 40))]
        elif how == "insert":
            good[at:at] = data.draw(st.binary(max_size=20))
        else:
            good[at:at] = good[at : at + 200]
        if not good:
            return
    try:
        parse(bytes(good))
    except HoldfastError:
        pass


@given(st.binary(max_size=400))
def test_any_bytes_give_typed_errors_only(data):
    try:
        parse(data)
    except HoldfastError:
        pass


def test_the_first_and_the_last_line_can_be_read_alone():
    data, _ = journal_of(*WHOLE)
    assert journal.begin_line(data[:600], "j") == BEGIN
    assert journal.end_line(data[-600:]) == END
    assert journal.end_line(journal_of(*WHOLE[:2])[0]) is None


@pytest.mark.parametrize(
    "values",
    [
        {"outcome": "stolen"},
        {"kind": "device"},
        {"size": -1},
        {"mtime_ns": "now"},
        {"file_id": None},
    ],
)
def test_a_last_batch_whose_hash_is_right_is_never_a_torn_tail(values):
    data, _ = journal_of({"begin": BEGIN}, {"files": [file_line(**values)]})
    with pytest.raises(Integrity, match="field"):
        parse(data)
