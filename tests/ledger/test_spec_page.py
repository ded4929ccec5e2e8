"""docs/spec/ledger.md: its dumps are what the program writes.

To write them anew after a change of the format: ``python tests/ledger/test_spec_page.py``.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from holdfast.ledger.artifact import artifact_bytes, encode_ref, encode_reference, reference_of
from holdfast.ledger.file_log import FileLog
from holdfast.ledger.head import decode_slot
from holdfast.ledger.ledger import Ledger
from holdfast.ledger.object_names import Hint
from holdfast.ledger.payload import (
    Batch,
    Commit,
    Erase,
    GcFence,
    InlinePut,
    Pin,
    Publish,
    RecordType,
    SegmentRetire,
    SegmentSeal,
    SnapshotAnchor,
    SnapshotDrop,
    Tombstone,
    TombstoneLift,
    Unpin,
    Unpublish,
    entry_of,
)
from holdfast.ledger.sidecar import encode_erased
from holdfast.records import COMMIT_TYPE_TAG, CommitRecord, ObjectRef
from holdfast.store.filesystem import FileSystemStore
from ledger import independent_decoder as independent

PAGE = Path(__file__).parents[2] / "docs" / "spec" / "ledger.md"
DUMP = re.compile(r"(```hex name=(\S+)\n)(.*?)(```)", re.DOTALL)
TEXT = re.compile(r"asl1:0001:[0-9a-f]{64}")


def hexdump(data: bytes) -> str:
    """Rows of 16 bytes; rows of zeros are left out."""
    rows = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        if any(row):
            text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
            rows.append(f"{at:04x}  {row.hex(' '):<47}  {text}\n")
    return "".join(rows)


def commit_record() -> bytes:
    return CommitRecord(
        model="run",
        name="Demo/ingest",
        id="run-1",
        objects=(ObjectRef("runs/Demo/run-1/run.json", 2, "ab" * 32),),
        time="2026-01-02T03:04:05.000000006Z",
        nonce="00112233445566778899aabbccddeeff",
        author="somebody",
    ).to_bytes()


def example(root) -> FileSystemStore:
    """The log that the page shows: two appends, four records."""
    store = FileSystemStore(root)
    record = commit_record()
    hello = reference_of(b"hello")
    with FileLog(store) as log:
        log.append(
            lambda head: [
                entry_of(Commit(4, reference_of(record, COMMIT_TYPE_TAG)), record),
            ]
        )
        log.append(
            lambda head: [
                entry_of(Batch(2)),
                entry_of(InlinePut(hello), artifact_bytes(b"hello")),
                entry_of(Tombstone(hello, 1, 2)),
            ]
        )
    return store


def other_records(root) -> bytes:
    """A log with one record of each type that `example` does not have."""
    store = FileSystemStore(root)
    hello = reference_of(b"hello")
    payloads = (
        SegmentSeal(1, b"\xab" * 32),
        SegmentRetire(1, 2),
        TombstoneLift(hello, 4),
        Erase(hello, 1),
        SnapshotAnchor(1, b"\xab" * 32),
        SnapshotDrop(1),
        Pin(4),
        Unpin(4),
        Publish(hello),
        Unpublish(hello),
        GcFence(3),
    )
    with FileLog(store) as log:
        log.append(lambda head: [entry_of(payload) for payload in payloads])
    return store.get("ledger/log/00000000000000000001.asl")


def dumps(root) -> dict[str, bytes]:
    """What stands in the page, by name."""
    store = example(root)
    log = store.get("ledger/log/00000000000000000001.asl")
    hello = reference_of(b"hello")
    return {
        "artifact": artifact_bytes(b"hello"),
        "tagged-artifact": artifact_bytes(b"hello", 7),
        "reference-bytes": encode_reference(hello),
        "encoded-ref": encode_ref(hello),
        "log": log,
        "other-records": other_records(f"{root}-others"),
        "erased-frame": encode_erased(3),
        "sidecar": store.get("ledger/log/00000000000000000001.commits"),
        "head": store.get("ledger/log/head"),
        "hint": Hint(2, 4, log[-32:]).encode(),
        "commit-record": commit_record(),
    }


def regenerated(page: str, root) -> str:
    """`page` with every dump as the program writes it."""
    known = {name: hexdump(data) for name, data in dumps(root).items()}
    page = DUMP.sub(lambda match: match[1] + known[match[2]] + match[4], page)
    return TEXT.sub(reference_of(b"hello").text, page)


def test_every_dump_of_the_page_is_what_the_program_writes(tmp_path):
    page = PAGE.read_text(encoding="utf-8")
    assert sorted(match[2] for match in DUMP.finditer(page)) == sorted(dumps(tmp_path / "a"))
    assert regenerated(page, tmp_path / "b") == page


def test_the_example_is_what_the_page_says_of_it(tmp_path):
    shown = dumps(tmp_path)
    assert decode_slot(shown["head"], 0)[:2] == (1, 24 + 48 + 38)
    assert decode_slot(shown["head"], 512)[:2] == (4, len(shown["log"]))


def test_the_page_shows_a_record_of_every_type(tmp_path):
    shown = dumps(tmp_path / "a")
    kinds: dict[str, dict] = {}
    for name in ("log", "other-records"):
        for _, kind, payload, _ in independent.decode_log(shown[name]):
            found = independent.decode_payload(kind, payload)
            assert kinds.setdefault(found.pop("record"), found) is found
    assert kinds.keys() == {record.name for record in RecordType}
    hello = reference_of(b"hello").text
    assert kinds["SEGMENT_RETIRE"] == {"segment_id": 1, "replaced_by": 2}
    assert kinds["TOMBSTONE_LIFT"] == {"ref": hello, "logseq": 4}
    assert kinds["ERASE"] == {"ref": hello, "logseq": 1}
    assert kinds["GC_FENCE"] == {"horizon": 3}
    assert independent.decode_sidecar(shown["erased-frame"]) == [(3, None)]


def test_a_ledger_in_use_decodes_with_the_decoder_written_from_the_page(tmp_path):
    store = FileSystemStore(tmp_path)
    with Ledger(store) as ledger:
        small = ledger.put(b"small")
        ledger.put_many([b"%d" % i for i in range(50)])
        logseq = ledger.tombstone(small)
        ledger.snapshot()
        ledger.lift(small, logseq)
        last = ledger.commit(CommitRecord.from_bytes(commit_record()))
    records, frames = independent.read_ledger_log(f"{tmp_path}/ledger/log")
    assert len(records) == last
    kinds = [independent.decode_payload(kind, data)["record"] for _, kind, data, _ in records]
    assert kinds == [
        "INLINE_PUT", "SEGMENT_SEAL", "TOMBSTONE", "SNAPSHOT_ANCHOR", "TOMBSTONE_LIFT", "COMMIT",
    ]  # fmt: skip
    assert independent.decode_artifact(frames[small.text]) == (b"small", None)
    lift = independent.decode_payload(*records[4][1:3])
    assert (lift["ref"], lift["logseq"]) == (small.text, logseq)
    assert independent.decode_commit(list(frames.values())[-1])["id"] == "run-1"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        scratch = f"{folder}/scratch"
        PAGE.write_text(regenerated(PAGE.read_text(encoding="utf-8"), scratch), encoding="utf-8")
