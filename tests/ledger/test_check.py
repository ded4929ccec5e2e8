"""Verification finds every damage and names the file; litter goes, and nothing else."""

from __future__ import annotations

import random

import pytest

from holdfast.errors import HoldfastError
from holdfast.ledger.artifact import reference_of
from holdfast.ledger.block import block_path
from holdfast.ledger.ledger import Ledger
from holdfast.ledger.write import writers_lease
from holdfast.records import Checked, Severity
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore

LARGE = random.Random(2).randbytes(70_000)


@pytest.fixture(params=["files", "memory"])
def store(request, tmp_path):
    return FileSystemStore(tmp_path / "repository") if request.param == "files" else MemoryStore()


@pytest.fixture
def ledger(store):
    with Ledger(store) as opened:
        yield opened


def findings(ledger, *, deep=True):
    return [f for f in ledger.verify(deep=deep) if not isinstance(f, Checked)]


def replace(store, path, data):
    store.delete(path)
    store.put(path, data)


def filled(ledger):
    ledger.put(b"inline")
    ledger.put_many([b"a" * 90, b"b" * 70, b""], 3)
    ledger.tombstone(reference_of(b"inline"), 1, 2)
    ledger.snapshot()
    ledger.put_many([b"c" * 40])
    return ledger


def test_a_sound_ledger_has_no_findings_and_progress_is_told(ledger):
    filled(ledger)
    ledger.put_many([b"%d" % n for n in range(6000)])
    ledger.put(LARGE)
    assert findings(ledger) == []
    assert findings(ledger, deep=False) == []
    progress = [f for f in ledger.verify() if isinstance(f, Checked)]
    assert sum(f.bytes for f in progress) > 70_000
    assert sum(f.files for f in progress) >= 8


def test_every_flipped_byte_is_found_and_its_file_named(tmp_path):
    store = FileSystemStore(tmp_path)
    with Ledger(store) as ledger:
        filled(ledger)
    for entry in list(store.list("ledger")):
        path = f"{store.root}/{entry.path}"
        with open(path, "rb") as file:
            data = file.read()
        for place in range(len(data)):
            with open(path, "r+b") as file:
                file.seek(place)
                file.write(bytes([data[place] ^ 0x41]))
            with Ledger(store, read_only=True) as ledger:
                try:
                    named = [f.path for f in findings(ledger)]
                except HoldfastError as error:
                    named = [str(error.target)]
            assert any(entry.path in name for name in named), (entry.path, place, named)
            with open(path, "r+b") as file:
                file.seek(place)
                file.write(data[place : place + 1])
    with Ledger(store) as ledger:
        assert findings(ledger) == []


@pytest.mark.parametrize("kind", ["blocks", "index", "snapshots"])
@pytest.mark.parametrize("deep", [True, False])
def test_a_missing_file_is_an_error_that_names_it(ledger, kind, deep):
    filled(ledger)
    path = next(ledger.store.list(f"ledger/{kind}")).path
    ledger.store.delete(path)
    found = findings(ledger, deep=deep)
    assert ("missing", path) in [(f.code, f.path) for f in found]
    assert all(f.severity is Severity.ERROR for f in found if f.path == path)


@pytest.mark.parametrize("deep", [True, False])
def test_a_short_block_is_found_without_reading_it(ledger, deep):
    filled(ledger)
    for entry in list(ledger.store.list("ledger/blocks")):
        replace(ledger.store, entry.path, ledger.store.get(entry.path)[:-1])
        assert entry.path in [f.path for f in findings(ledger, deep=deep)]


def test_bytes_that_no_segment_covers_are_told(ledger):
    filled(ledger)
    path = next(ledger.store.list("ledger/blocks")).path
    size = ledger.store.size(path)
    replace(ledger.store, path, ledger.store.get(path) + b"more")
    (found,) = findings(ledger)
    assert (found.path, found.offset) == (path, size)


def test_the_quick_check_reads_no_artifact(ledger):
    filled(ledger)
    path = next(ledger.store.list("ledger/blocks")).path
    data = bytearray(ledger.store.get(path))
    data[0] ^= 1
    replace(ledger.store, path, bytes(data))
    assert findings(ledger, deep=False) == []
    (found,) = findings(ledger)
    assert (found.code, found.path, found.offset) == ("digest_mismatch", path, 0)


def test_an_artifact_over_several_windows_and_blocks_is_checked(ledger, monkeypatch):
    from holdfast.ledger import check, put

    monkeypatch.setattr(check, "WINDOW", 1000)
    defaults = dict(put.BatchPut.__init__.__kwdefaults__) | {"limit": 30_000}
    monkeypatch.setattr(put.BatchPut.__init__, "__kwdefaults__", defaults)
    ledger.put_many([LARGE, LARGE[:500], LARGE[:999]])
    assert findings(ledger) == []
    last = list(ledger.store.list("ledger/blocks"))[-1].path
    data = bytearray(ledger.store.get(last))
    data[-1] ^= 1
    replace(ledger.store, last, bytes(data))
    assert [f.code for f in findings(ledger)] == ["digest_mismatch"]


LITTER = [
    f"ledger/{block_path(77)}",
    "ledger/index/shard-000/segment-00000000000000000009.idx",
    "ledger/snapshots/00000000000000000004.json",
]


def test_litter_is_told_and_collected_and_nothing_else_goes(ledger):
    filled(ledger)
    before = [e for e in ledger.store.list("ledger") if "/log/" not in e.path]
    for path in LITTER:
        ledger.store.put(path, b"left behind")
    ledger.store.put("ledger/index/README", b"what is this?")
    found = findings(ledger)
    assert sorted(f.path for f in found if f.code == "litter") == sorted(LITTER)
    assert all(f.severity is Severity.WARNING and f.repairable for f in found[:3])
    (odd,) = [f for f in found if f.code == "unexpected_file"]
    assert (odd.path, odd.severity) == ("ledger/index/README", Severity.INFO)
    dry = ledger.collect(dry_run=True)
    assert sorted(path for path, _ in dry.removed) == sorted(LITTER)
    assert all(ledger.store.exists(path) for path in LITTER)
    done = ledger.collect(dry_run=False)
    assert sorted(done.removed) == sorted((path, 11) for path in LITTER)
    ledger.store.delete("ledger/index/README")
    assert [e for e in ledger.store.list("ledger") if "/log/" not in e.path] == before
    assert findings(ledger) == []


def test_repair_removes_litter_and_says_so(ledger):
    filled(ledger)
    ledger.store.put(LITTER[0], b"left behind")
    mended = [f for f in ledger.repair() if f.code == "litter"]
    assert [(f.path, f.severity) for f in mended] == [(LITTER[0], Severity.INFO)]
    assert findings(ledger) == []


def test_while_a_writer_is_at_work_nothing_is_litter(ledger):
    filled(ledger)
    ledger.store.put(LITTER[0], b"about to be sealed")
    with writers_lease(ledger.opened, exclusive=False, timeout=0):
        assert findings(ledger) == []
        assert ledger.collect(dry_run=False).removed == []
    assert ledger.store.exists(LITTER[0])


def test_no_block_is_litter_while_a_segment_cannot_be_read(ledger):
    filled(ledger)
    path = next(ledger.store.list("ledger/index")).path
    replace(ledger.store, path, b"damaged")
    assert "litter" not in [f.code for f in findings(ledger)]
    assert ledger.collect(dry_run=False).removed == []


def test_damage_in_the_log_calls_nothing_litter(tmp_path):
    store = FileSystemStore(tmp_path)
    with Ledger(store) as ledger:
        filled(ledger)
    path = next(e.path for e in store.list("ledger/log") if e.path.endswith(".asl"))
    with open(f"{store.root}/{path}", "r+b") as file:
        file.seek(60)
        file.write(b"\xff")
    with Ledger(store) as ledger:
        found = findings(ledger)
        assert path in [f.path for f in found]
        assert "litter" not in [f.code for f in found]
        with pytest.raises(HoldfastError):
            ledger.collect(dry_run=False)


def test_a_log_from_an_older_copy_is_damage_and_what_it_does_not_name_is_no_litter(store):
    with Ledger(store) as ledger:
        ledger.put(b"first")
        older = {entry.path: store.get(entry.path) for entry in store.list("ledger/log")}
        filled(ledger)
    newer = {entry.path for entry in store.list("ledger")}
    for entry in list(store.list("ledger/log")):
        store.delete(entry.path)
    store.put_many(older.items())
    with Ledger(store, read_only=True) as ledger:
        assert [f.path for f in findings(ledger)] == ["ledger/log"]
    with Ledger(store) as ledger:
        errors = [f for f in findings(ledger) if f.severity is Severity.ERROR]
        assert [f.path for f in errors] == ["ledger/log"]
        list(ledger.repair())
        ledger.collect(dry_run=False)
    assert {path for path in newer if "/log/" not in path} <= {e.path for e in store.list("ledger")}
