"""docs/spec/ledger_index.md: its dumps are what the program writes, and an independent decoder
written from the page reads a ledger.

To write the dumps anew after a change of the format: ``python tests/ledger/test_spec_index.py``.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from holdfast.ledger.artifact import reference_of
from holdfast.ledger.ledger import Ledger
from holdfast.store.filesystem import FileSystemStore
from ledger.segment_cases import FIRST, golden_old

PAGE = Path(__file__).parents[2] / "docs" / "spec" / "ledger_index.md"
DUMP = re.compile(r"(<!-- dump (\S+) -->\n```text\n)(.*?)(```)", re.DOTALL)


class FixedClock:
    def now_ns(self):
        return 1_767_323_045_000_000_006

    def monotonic(self):
        return 0.0


class FixedIds:
    def u64(self):
        return 0x0123456789ABCDEF

    def token(self, size):
        return "ab" * size

    def uuid4(self):
        return "00000000-0000-4000-8000-000000000000"


def example(folder) -> FileSystemStore:
    """The ledger that the page shows."""
    store = FileSystemStore(folder)
    with Ledger(store, clock=FixedClock(), ids=FixedIds(), domain=7) as ledger:
        ledger.put_many([b"hello", b""], 7)
        inline = ledger.put(b"inline")
        ledger.tombstone(inline, 1, 2)
        ledger.snapshot()
    return store


def hexdump(data: bytes) -> str:
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append(f"{at:04x}  {row.hex(' '):<47}  {text}\n")
    return "".join(lines)


def dumps(store) -> dict[str, str]:
    """What stands in the page: what the program writes, and the old versions that it only reads."""
    old = {
        "segment-of-version-2": hexdump(golden_old(2)),
        "header-of-version-1": hexdump(golden_old(1)[:104]),
    }
    return old | {
        entry.path.removeprefix("ledger/"): hexdump(store.get(entry.path))
        for entry in store.list("ledger")
        if "/log/" not in entry.path
    }


def test_the_dumps_are_what_is_written(tmp_path):
    shown = {path: text for _, path, text, _ in DUMP.findall(PAGE.read_text())}
    assert shown == dumps(example(tmp_path))
    assert len(shown) == 5


def test_a_decoder_written_from_the_page_reads_a_ledger(tmp_path):
    from ledger import independent_index_decoder as independent

    store = FileSystemStore(tmp_path)
    items = [b"%d" % n * 7 for n in range(400)]
    with Ledger(store) as ledger:
        ledger.put_many(items, 5)
        large = ledger.put(b"L" * 70_000)
        inline = ledger.put(b"inline")
        tombstone = ledger.tombstone(inline, 3, 4)
        ledger.snapshot()

    def read(path):
        return store.get(f"ledger/{path}")

    seals, anchors = independent.seals_and_anchors(read(f"log/{1:020d}.asl"))
    found = {}
    for number, sha256 in seals:
        data = read(f"index/shard-000/segment-{number:020d}.idx")
        assert hashlib.sha256(data).hexdigest() == sha256
        for record in independent.decode_segment(data):
            found[record["digest"]] = independent.read_artifact(record, read)
    assert found == {
        **{reference_of(item, 5).digest: item for item in items},
        large.digest: b"L" * 70_000,
    }
    ((logseq, number, sha256),) = anchors
    data = read(f"snapshots/{number:020d}.json")
    assert hashlib.sha256(data).hexdigest() == sha256
    snapshot = independent.decode_snapshot(data)
    assert snapshot["logseq"] == logseq
    assert snapshot["segments"] == seals
    assert snapshot["inline"] == [(inline.text, 3)]
    assert [t["logseq"] for t in snapshot["tombstones"]] == [tombstone]


def test_the_independent_decoder_reads_older_versions():
    from ledger import independent_index_decoder as independent

    for version in (1, 2):
        record = independent.decode_segment(golden_old(version))[0]
        assert (record["digest"], record["type_tag"], record["length"]) == (FIRST.digest, 7, 120)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        made = dumps(example(scratch))
    PAGE.write_text(
        DUMP.sub(lambda m: m[1] + made[m[2]] + m[4] if m[2] in made else m[0], PAGE.read_text())
    )
