from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import canonical_json
from holdfast.errors import HoldfastError, Integrity, ManifestInvalid, Unsupported
from holdfast.runs import FileEntry, Runs
from holdfast.runs.journal import parse
from holdfast.runs.run_record import decode, decode_list, seal
from holdfast.store.memory import MemoryStore
from runs_support import Ticks, ingest


def sealed_run():
    store = MemoryStore()
    runs = Runs(store, clock=Ticks())
    writer = runs.begin("p", "a", inputs=["commit:7"], instructions="read me")
    writer.register(FileEntry(path=b"link", kind="symlink", target=b"\xff/x"))
    writer.register(FileEntry(path=b"\xfe", kind="directory", mode=0o755, mtime_ns=2**62))
    writer.register(FileEntry(path=b"bad", error="no\nluck"))
    writer.put_artifact("embeddings", "e.json", b"{}")
    info = writer.complete()
    return store.get(f"{info.run_dir}/run.json")


GOLDEN = sealed_run()


def test_run_json_is_canonical_json_with_the_fields_of_the_spec():
    value = canonical_json.loads_canonical(GOLDEN)
    assert value["schema"] == "holdfast.run/1"
    assert {
        "schema",
        "run_id",
        "project",
        "timestamp",
        "sequence",
        "action",
        "status",
        "created",
        "completed",
        "error",
        "source",
        "instructions",
        "files",
        "artifacts",
    } <= value.keys()
    bad, link, folder = value["files"]
    assert (bad["path"], bad["outcome"], bad["error"]) == ("bad", "failed", "no\\nluck")
    assert (link["kind"], link["target"], link["target_b64"]) == ("symlink", "�/x", "/y94")
    assert (folder["path_b64"], folder["mtime_ns"]) == ("/g==", str(2**62))
    assert value["status"] == "completed_with_errors"
    assert value["inputs"] == ["commit:7"]
    assert value["artifacts"] == [
        {
            "name": "e.json",
            "sha256": hashlib.sha256(b"{}").hexdigest(),
            "size": 2,
            "type": "embeddings",
        }
    ]


def test_run_json_decodes_to_what_was_encoded():
    record = decode(GOLDEN)
    assert record.status == "completed_with_errors"
    assert [line.raw_path for line in record.files] == [b"bad", b"link", b"\xfe"]
    assert record.files[1].raw_target == b"\xff/x"


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_run_json_is_refused_with_a_typed_error(data):
    bad = bytearray(GOLDEN)
    at = data.draw(st.integers(0, len(bad) - 1))
    bad[at : at + data.draw(st.integers(1, 5))] = data.draw(st.binary(max_size=8))
    try:
        decode(bytes(bad))
    except HoldfastError:
        pass


@pytest.mark.parametrize(
    "change",
    [
        (b'"kind":"symlink"', b'"kind":"pipe___"'),
        (b'"status":"completed_with_errors"', b'"status":"weird_status"'),
        (b'"size":0', b'"size":-1'),
        (b'"path":"bad"', b'"path":"../"'),
        (b'"name":"e.json"', b'"name":"../e.j"'),
        (b'{"action"', b'{ "action"'),
        (b'"sequence":1', b'"sequence":1.0'),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused(change):
    assert change[0] in GOLDEN
    with pytest.raises(ManifestInvalid):
        decode(GOLDEN.replace(*change))


def test_a_schema_of_a_later_version_is_unsupported():
    with pytest.raises(Unsupported):
        decode(GOLDEN.replace(b"holdfast.run/1", b"holdfast.run/2"))


def test_above_the_limit_the_entries_move_to_lists_that_run_json_names():
    store = MemoryStore()
    runs = Runs(store, clock=Ticks())
    info, _ = ingest(runs, {b"%d" % i: b"%d" % i for i in range(7)})
    data = b"".join(store.get(e.path) for e in store.children(f"{info.run_dir}/journal")[1])
    parsed = parse(data)
    sealed = seal(parsed.batches, parsed.position, hashlib.sha256(data).hexdigest(), inline=3)
    assert [name for name, _ in sealed.files] == [
        "files-0001.jsonl",
        "files-0002.jsonl",
        "files-0003.jsonl",
        "run.json",
    ]
    record = decode(sealed.run_json)
    assert record.files == []
    lines = [
        line
        for part, (_, part_data) in zip(record.file_lists, sealed.files, strict=False)
        for line in decode_list(part_data, part)
    ]
    assert [line.raw_path for line in lines] == [b"%d" % i for i in range(7)]
    with pytest.raises(Integrity):
        list(decode_list(sealed.files[0][1][:-1], record.file_lists[0]))


def test_a_journal_without_an_end_cannot_be_sealed():
    store = MemoryStore()
    writer = Runs(store, clock=Ticks()).begin("p", "a")
    data = store.get(f"{writer.run_dir}/journal/{1:020d}.jsonl")
    parsed = parse(data)
    with pytest.raises(Integrity):
        seal(parsed.batches, parsed.position, "0" * 64)
