"""The log of files: what readers see, what opening for writing keeps, what verify finds."""

from __future__ import annotations

import io
import os
import struct
import threading

import pytest

from holdfast.errors import Integrity, Invalid, NotFound, Unsupported
from holdfast.ledger.artifact import Reference, artifact_bytes, reference_of
from holdfast.ledger.file_log import FileLog
from holdfast.ledger.head import Slot, encode_head
from holdfast.ledger.log import EMPTY, GENESIS, Entry, Head, open_log
from holdfast.ledger.log_export import read_log
from holdfast.ledger.payload import Batch, InlinePut, RecordType, entry_of, payload_of
from holdfast.ledger.record import LOG_HEADER, chain_records, decode_chain
from holdfast.ledger.sidecar import encode_erased
from holdfast.records import Checked, Finding, Severity
from holdfast.store.filesystem import FileSystemStore
from ledger.independent_decoder import decode_commit, read_ledger_log
from ledger_logs import append, batch, commit, holds, inline, pin, problems, tombstone


@pytest.fixture
def store(tmp_path):
    return FileSystemStore(tmp_path / "r")


@pytest.fixture
def log(store):
    with FileLog(store) as log:
        yield log


def folder(store):
    return f"{store.root}/ledger/log"


def name(first, suffix=".asl"):
    return f"{first:020d}{suffix}"


def change(path, at, xor=0xFF):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ xor]))


def content(path):
    with open(path, "rb") as file:
        return file.read()


def size(path):
    return os.path.getsize(path)


def three_files(store, **options):
    """A log of three files: records 1-4, 5-7, 8-9."""
    log = FileLog(store, **options)
    facts = [append(log, [commit("a"), inline(b"one")]), append(log, [pin(1), tombstone(b"one")])]
    log.rotate()
    facts.append(append(log, batch(inline(b"two" * 100), pin(2))))
    log.rotate()
    facts.append(append(log, [pin(3), commit("b")]))
    log.close()
    return facts


def test_an_empty_log_has_no_records_and_makes_no_files(store, log):
    assert log.head() == EMPTY
    assert list(log.records()) == []
    assert list(log.records_backwards()) == []
    assert list(log.verify()) == []
    assert log.append(lambda head: []) == (1, 0)
    assert not os.path.exists(store.root + "/ledger")


def test_what_is_appended_is_read_back_in_both_directions(log):
    fact = append(log, [inline(b"one"), commit("c"), pin(7), Entry(0x77, b"later kind")])
    assert fact[:2] == (1, 4)
    assert holds(log, fact)
    assert [r.logseq for r in log.records_backwards()] == [4, 3, 2, 1]
    assert [r.logseq for r in log.records_backwards(before=3)] == [2, 1]
    assert [r.logseq for r in log.records(2, stop=3)] == [2, 3]
    assert log.head().record_hash == next(log.records_backwards()).record_hash


def test_the_builder_gets_the_true_head(store, log):
    append(FileLog(store), [pin(1)])
    seen = []
    log.append(lambda head: seen.append(head) or [pin(2)])
    record = next(log.records())
    assert seen == [Head(1, record.record_hash)]


def test_the_files_decode_with_a_decoder_written_from_the_format(store):
    three_files(store)
    records, frames = read_ledger_log(folder(store))
    assert [kind for _, kind, _, _ in records] == [
        0x1000, 0x1001, 0x22, 0x10, 0x03, 0x1001, 0x22, 0x22, 0x1000,
    ]  # fmt: skip
    assert frames[reference_of(b"one").text] == artifact_bytes(b"one")
    assert len(frames) == 4
    assert [decode_commit(f)["name"] for f in frames.values() if f[:1] == b"{"] == ["a", "b"]


def test_the_export_is_one_header_and_all_records(store):
    three_files(store)
    log = FileLog(store)
    out = io.BytesIO()
    assert log.export(out) == len(out.getvalue())
    files = [content(f"{folder(store)}/{name(n)}") for n in (1, 5, 8)]
    assert out.getvalue() == LOG_HEADER + b"".join(file[24:] for file in files)
    out.seek(0)
    assert list(read_log(out)) == list(log.records())


def test_an_exported_log_that_was_changed_or_cut_is_corrupt(store):
    three_files(store)
    out = io.BytesIO()
    FileLog(store).export(out)
    data = out.getvalue()
    for bad in (data[:-1], data[:30], data[:10], data[:100] + b"x" + data[101:]):
        with pytest.raises(Integrity):
            list(read_log(io.BytesIO(bad)))
    assert list(read_log(io.BytesIO(LOG_HEADER))) == []


def test_reading_from_a_known_hash_checks_that_the_log_goes_on_from_it(store):
    three_files(store)
    log = FileLog(store)
    records = list(log.records())
    for start in range(1, 10):
        previous = records[start - 2].record_hash if start > 1 else GENESIS
        assert list(FileLog(store).records(start, previous=previous)) == records[start - 1 :]
        assert list(FileLog(store).records(start)) == records[start - 1 :]
        with pytest.raises(Integrity) as caught:
            list(FileLog(store).records(start, previous=b"x" * 32))
        assert caught.value.details["logseq"] == start
    assert list(log.records(10, previous=records[-1].record_hash)) == []
    with pytest.raises(Integrity, match="another record 9"):
        list(log.records(10, previous=b"x" * 32))
    with pytest.raises(Invalid):
        log.records(0)


def test_a_reader_sees_what_others_append_later(store, log):
    reader = FileLog(store)
    seen = 0
    previous = GENESIS
    for i in range(40):
        append(log, [inline(b"%d" % i)] + [pin(j) for j in range(i % 3)])
        if i % 7 == 3:
            log.rotate()
        for record in reader.records(seen + 1, previous=previous):
            seen, previous = record.logseq, record.record_hash
        assert seen == log.head().logseq
        assert reader.frame(seen - i % 3, reference_of(b"%d" % i)) == artifact_bytes(b"%d" % i)


def test_two_writers_in_turn_continue_one_chain(store):
    logs = [FileLog(store, file_size=700) for _ in range(3)]
    facts = []
    for i in range(60):
        facts.append(append(logs[i % 3], [inline(b"%d" % i), pin(i)]))
        if i % 11 == 0:
            logs[(i + 1) % 3].rotate()
    for log in (*logs, FileLog(store)):
        assert [r.logseq for r in log.records()] == list(range(1, 121))
        assert all(holds(log, fact) for fact in facts)
        assert [r.logseq for r in log.records_backwards()] == list(range(120, 0, -1))
        assert problems(log) == []


def test_threads_of_one_log_lose_nothing(store):
    log = FileLog(store, file_size=3000)
    facts = []

    def work(number):
        for i in range(25):
            facts.append(append(log, [inline(b"%d-%d" % (number, i)), pin(i)]))
            assert holds(log, facts[-1])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(first for first, _, _ in facts) == list(range(1, 201, 2))
    assert all(holds(log, fact) for fact in facts)
    assert problems(log) == []


def test_a_new_file_begins_at_the_size_that_was_set(store):
    log = FileLog(store, file_size=1000)
    for i in range(100):
        append(log, [pin(i)])
    names = sorted(n for n in os.listdir(folder(store)) if n.endswith(".asl"))
    assert len(names) > 5
    assert all(size(f"{folder(store)}/{n}") <= 1000 for n in names)
    assert problems(log) == []


def test_a_sidecar_of_that_size_ends_its_file_too(store):
    log = FileLog(store, file_size=1000)
    for i in range(10):
        append(log, [inline(bytes([i]) * 400)])
    assert len([n for n in os.listdir(folder(store)) if n.endswith(".asl")]) == 5
    assert problems(log) == []


def test_rotate_puts_the_next_record_at_the_beginning_of_a_file(store, log):
    append(log, [pin(1)])
    log.rotate()
    log.rotate()
    first, _, _ = append(log, [pin(2), pin(3)])
    append(log, [pin(4)])
    assert sorted(n for n in os.listdir(folder(store)) if n.endswith(".asl")) == [
        name(1),
        name(first),
    ]


def test_a_payload_beyond_one_mebibyte_is_refused_and_nothing_is_written(store, log):
    append(log, [pin(1)])
    with pytest.raises(Invalid):
        append(log, [pin(2), Entry(7, bytes(2**20 + 1))])
    append(log, [Entry(7, bytes(2**20)), Entry(8, bytes(2**20))])
    assert [r.logseq for r in log.records_backwards()] == [3, 2, 1]
    assert len(list(FileLog(store).records(2))) == 2
    assert problems(log) == []


def test_a_batch_that_claims_more_records_than_come_with_it_is_refused(log):
    with pytest.raises(Invalid, match="BATCH of 3"):
        append(log, [entry_of(Batch(3)), pin(1), pin(2)])
    assert log.head() == EMPTY


def test_open_log_picks_the_log_of_files_for_a_store_of_files(store):
    with open_log(store) as log:
        assert isinstance(log, FileLog)


# Opening for writing


def torn_tail(store, data, *, frames=b"", first=1):
    with open(f"{folder(store)}/{name(first)}", "ab") as file:
        file.write(data)
    if frames:
        with open(f"{folder(store)}/{name(first, '.commits')}", "ab") as file:
            file.write(frames)


def records_of(store, first=1):
    return content(f"{folder(store)}/{name(first)}")


def next_records(store, entries, first=1):
    """The bytes that a writer would append after what is there."""
    data = records_of(store, first)
    found = []
    end = decode_chain(data, GENESIS, 1, offset=24, into=found)
    return chain_records(end.record_hash, end.logseq + 1, entries)


def test_whole_records_above_head_are_kept(store, log):
    append(log, [pin(1)])
    torn_tail(store, next_records(store, [pin(2), *batch(pin(3), pin(4))]))
    for reader in (FileLog(store), FileLog(FileSystemStore(store.root), read_only=True)):
        assert reader.head().logseq == 5
    assert append(FileLog(store), [pin(5)])[0] == 6
    assert [r.logseq for r in log.records()] == [1, 2, 3, 4, 5, 6]
    assert problems(log) == []


def test_the_first_incomplete_batch_is_cut_with_its_frames_and_reported(store, log):
    fact = append(log, [inline(b"one")])
    late = [pin(2), *batch(inline(b"lost"), pin(4))]
    data = next_records(store, late)
    frame = struct.pack("<QI", 4, 13) + artifact_bytes(b"lost")
    torn_tail(store, data[:-10], frames=frame)
    assert FileLog(store).head().logseq == 2  # readers see what is whole, and cut nothing
    assert not os.path.exists(folder(store) + "/cut")
    other = FileLog(store)
    assert append(other, [pin(9)])[0] == 3
    cut = sorted(os.listdir(folder(store) + "/cut"))
    assert [n[:21] for n in cut] == [f"{3:020d}-"] * 2
    contents = {content(f"{folder(store)}/cut/{n}") for n in cut}
    assert contents == {data[56:-10], frame}
    assert sorted(f.path for f in other.recovered) == [f"ledger/log/cut/{n}" for n in cut]
    assert holds(other, fact)
    assert problems(other) == []
    # Named by verify until they are collected, and taken for what they are.
    named = {f.path for f in other.verify() if not isinstance(f, Checked)}
    assert named == {f"ledger/log/cut/{n}" for n in cut}
    assert len(other.collect(dry_run=True).removed) == 2
    assert len(other.collect(dry_run=False).removed) == 2
    assert [f for f in other.verify() if not isinstance(f, Checked)] == []


def test_verify_names_what_lies_above_head_and_repair_brings_it_in_order(store, log):
    append(log, [inline(b"one")])
    torn_tail(store, b"torn", frames=b"torn too")
    found = problems(log)
    assert {f.path for f in found} == {f"ledger/log/{name(1)}", f"ledger/log/{name(1, '.commits')}"}
    assert {f.code for f in found} == {"torn_tail"}
    assert all(f.repairable and f.severity == Severity.WARNING for f in found)
    mended = list(FileLog(store).repair())
    assert [f.severity for f in mended] == [Severity.INFO] * 2
    assert problems(log) == []
    assert append(log, [pin(1)])[0] == 2


def test_a_newest_file_without_a_whole_record_is_removed_with_its_frames(store, log):
    append(log, [inline(b"one")])
    with open(f"{folder(store)}/{name(2)}", "wb") as file:
        file.write(LOG_HEADER)
    with open(f"{folder(store)}/{name(2, '.commits')}", "wb") as file:
        file.write(b"frames of nothing")
    other = FileLog(store)
    assert other.head().logseq == 1
    fact = append(other, [inline(b"two")])
    assert holds(log, fact)
    assert fact[0] == 2
    (cut,) = os.listdir(folder(store) + "/cut")
    assert cut.startswith(f"{2:020d}-")
    assert content(f"{folder(store)}/cut/{cut}") == b"frames of nothing"
    assert [f.path for f in other.recovered] == [f"ledger/log/cut/{cut}"]
    assert problems(log) == []


def test_frames_whose_log_file_was_never_made_are_moved_away(store, log):
    append(log, [pin(1)])
    log.close()
    with open(f"{folder(store)}/{name(2, '.commits')}", "wb") as file:
        file.write(b"frames of nothing")
    assert [f.code for f in problems(log)] == ["litter"]
    log.rotate()
    fact = append(log, [inline(b"two")])
    assert holds(FileLog(store), fact)
    assert problems(log) == []


@pytest.mark.parametrize("at", [24, 40, 60, 100, 200, -100, -1])
def test_a_bad_record_at_or_below_head_refuses_writing_and_reading_works_up_to_it(store, at):
    facts = [append(FileLog(store), [pin(i)]) for i in range(6)]
    path = f"{folder(store)}/{name(1)}"
    at = at % size(path)
    change(path, at)
    bad = (at - 24) // 56
    reader = FileLog(store)
    good = [record.logseq for record in reader.records(stop=bad)]
    with pytest.raises(Integrity) as caught:
        list(reader.records())
    assert good == list(range(1, bad + 1))
    assert all(holds(reader, fact) for fact in facts[:bad])
    for _ in range(2):
        with pytest.raises(Integrity) as refused:
            append(reader, [pin(9)])
        for error in (caught.value, refused.value):
            assert error.target == path
            assert error.offset == 24 + 56 * bad
            assert error.details["logseq"] == bad + 1
    assert size(path) == 24 + 56 * 6
    (found,) = problems(FileLog(store))
    assert (found.path, found.offset) == (f"ledger/log/{name(1)}", 24 + 56 * bad)


def test_a_log_that_lost_its_end_refuses_writing(store):
    append(FileLog(store), [pin(i) for i in range(3)])
    path = f"{folder(store)}/{name(1)}"
    os.truncate(path, size(path) - 56)
    log = FileLog(store)
    assert log.head().logseq == 3
    with pytest.raises(Integrity, match="ends before record 3"):
        list(log.records())
    with pytest.raises(Integrity, match="ends before record 3"):
        append(log, [pin(9)])
    assert [f.path for f in problems(log)] == [f"ledger/log/{name(1)}"]


@pytest.mark.parametrize("lost", [1, 5, 8])
def test_a_missing_file_is_corruption(store, lost):
    three_files(store)
    os.unlink(f"{folder(store)}/{name(lost)}")
    log = FileLog(store)
    with pytest.raises(Integrity) as caught:
        list(log.records())
    assert caught.value.details["logseq"] == lost
    with pytest.raises(Integrity):
        append(log, [pin(9)])
    assert any(f.severity == Severity.ERROR for f in problems(log))
    assert len(os.listdir(folder(store))) == 6


def test_a_log_without_files_and_a_head_that_knows_records_is_corruption(store):
    append(FileLog(store), [pin(1)])
    os.unlink(f"{folder(store)}/{name(1)}")
    log = FileLog(store)
    for use in (lambda: list(log.records()), lambda: append(log, [pin(2)])):
        with pytest.raises(Integrity, match="no file that holds record 1"):
            use()


def test_a_log_of_a_later_version_is_unsupported_and_left_alone(store):
    append(FileLog(store), [pin(1)])
    path = f"{folder(store)}/{name(1)}"
    with open(path, "r+b") as file:
        file.seek(8)
        file.write(b"\2")
    os.unlink(folder(store) + "/head")
    before = records_of(store)
    for use in (lambda log: list(log.records()), lambda log: append(log, [pin(2)])):
        with pytest.raises(Unsupported, match="version 2"):
            use(FileLog(store))
    assert records_of(store) == before


# Head


def lose_head(path):
    os.unlink(path)


def zero_head(path):
    with open(path, "r+b") as file:
        file.write(bytes(1024))


def spoil_head(path):
    for at in (3, 515):
        change(path, at)


def empty_head(path):
    os.truncate(path, 0)


@pytest.mark.parametrize("harm", [lose_head, zero_head, spoil_head, empty_head])
def test_without_a_valid_head_every_acknowledged_record_is_still_seen(store, harm):
    facts = three_files(store)
    harm(folder(store) + "/head")
    assert problems(FileLog(store)) != []
    read_only = FileLog(FileSystemStore(store.root, read_only=True), read_only=True)
    for log in (read_only, FileLog(store)):
        assert log.head().logseq == 9
        assert all(holds(log, fact) for fact in facts)
    log = FileLog(store)
    assert append(log, [pin(9)])[0] == 10
    list(log.repair())
    assert problems(log) == []
    assert size(folder(store) + "/head") == 1024


def test_without_a_valid_head_damage_before_the_newest_file_is_still_corruption(store):
    three_files(store)
    lose_head(folder(store) + "/head")
    change(f"{folder(store)}/{name(5)}", 100)
    log = FileLog(store)
    with pytest.raises(Integrity) as caught:
        append(log, [pin(9)])
    assert caught.value.target == f"{folder(store)}/{name(5)}"


def test_a_head_that_names_another_record_than_the_log_is_corruption(store):
    append(FileLog(store), [pin(1), pin(2)])
    with open(folder(store) + "/head", "wb") as file:
        file.write(encode_head(Slot(2, 136, b"x" * 32)))
    with pytest.raises(Integrity, match="record 2"):
        append(FileLog(store), [pin(3)])


# Verify


def test_every_changed_byte_below_the_log_is_found_and_its_file_named(store):
    log = FileLog(store)
    append(log, [commit("a"), inline(b"one"), pin(1)])
    append(log, [pin(2)])
    log.rotate()
    append(log, batch(inline(b"two"), Entry(0x99, b"unknown")))
    log.close()
    assert problems(FileLog(store)) == []
    for file in sorted(os.listdir(folder(store))):
        path = f"{folder(store)}/{file}"
        for at in range(size(path)):
            change(path, at)
            found = problems(FileLog(store))
            assert f"ledger/log/{file}" in {f.path for f in found}, (file, at, found)
            change(path, at)
    assert problems(FileLog(store)) == []


def test_verify_counts_what_it_read_and_quick_reads_no_contents(store):
    three_files(store)
    log = FileLog(store)
    files = os.listdir(folder(store))
    read = [f for f in log.verify() if isinstance(f, Checked)]
    assert sum(c.files for c in read) == len(files)
    total = sum(size(f"{folder(store)}/{n}") for n in files)
    assert sum(c.bytes for c in read) == total
    change(f"{folder(store)}/{name(1)}", 50)
    assert problems(log) != []
    assert problems(log, deep=False) == []
    os.truncate(f"{folder(store)}/{name(8)}", 30)
    assert problems(log, deep=False) != []


def test_a_file_that_does_not_belong_is_named(store):
    three_files(store)
    for odd in ("x", name(3) + "~", "00000000000000000001-00000000000000000002.asl"):
        with open(f"{folder(store)}/{odd}", "w"):
            pass
    found = [f for f in FileLog(store).verify() if isinstance(f, Finding)]
    assert {f.severity for f in found} == {Severity.INFO}
    assert sorted(f.path for f in found) == [
        "ledger/log/00000000000000000001-00000000000000000002.asl",
        f"ledger/log/{name(3)}~",
        "ledger/log/x",
    ]


def test_an_erased_frame_is_no_damage_and_reads_as_erased(store, log):
    append(log, [pin(1), inline(b"secret"), inline(b"kept")])
    path = f"{folder(store)}/{name(1, '.commits')}"
    assert log.frame(2, reference_of(b"secret"))
    with open(path, "rb") as file:
        data = file.read()
    with open(path + "new", "wb") as file:
        file.write(encode_erased(2) + data[12 + 9 + 6 :])
    os.replace(path + "new", path)
    with pytest.raises(NotFound, match="erased"):
        log.frame(2, reference_of(b"secret"))
    assert log.frame(3, reference_of(b"kept")) == artifact_bytes(b"kept")
    fact = append(log, [inline(b"more")])
    assert holds(log, fact)
    assert problems(log) == []


def test_a_frame_that_is_gone_or_wrong_is_found_by_verify_and_on_reading(store, log):
    append(log, [inline(b"one"), inline(b"two"), commit("c")])
    path = f"{folder(store)}/{name(1, '.commits')}"
    change(path, 12 + 9)
    with pytest.raises(Integrity, match="another digest"):
        FileLog(store).frame(1, reference_of(b"one"))
    (found,) = problems(log)
    assert (found.code, found.offset) == ("digest_mismatch", 0)
    assert FileLog(store).frame(2, reference_of(b"two"))
    os.unlink(path)
    with pytest.raises(NotFound):
        FileLog(store).frame(1, reference_of(b"one"))
    assert {f.code for f in problems(log)} == {"missing"}
    assert len(problems(log)) == 3


@pytest.mark.parametrize("payload", [b"", bytes(44), bytes(4) + b"\1\0\x20\0" + bytes(36)])
def test_a_chained_tombstone_whose_payload_is_malformed_is_found_by_verify(log, payload):
    log.append(lambda head: [tombstone(b"a"), Entry(RecordType.TOMBSTONE, payload)])
    (found,) = problems(log)
    assert "record 2" in found.message


def test_a_frame_of_a_record_that_is_not_there_is_not_found(log):
    append(log, [pin(1)])
    for logseq in (1, 2):
        with pytest.raises(NotFound):
            log.frame(logseq, reference_of(b""))


def test_a_record_under_an_unknown_hash_is_kept_and_no_damage(log):
    reference = Reference(0x0BEE, b"digest of tomorrow")
    append(log, [entry_of(InlinePut(reference), b"frame")])
    assert payload_of(next(log.records())) == InlinePut(reference)
    with pytest.raises(Unsupported):
        log.frame(1, reference)
    assert problems(log) == []


def test_litter_frames_of_a_logseq_that_was_written_later_are_named_and_harmless(store, log):
    append(log, [inline(b"one")])
    frame = struct.pack("<QI", 1, 13) + artifact_bytes(b"else")
    torn_tail(store, b"", frames=frame)
    infos = [f for f in log.verify() if not isinstance(f, Checked)]
    assert [(f.code, f.severity) for f in infos] == [("litter", Severity.INFO)]
    assert log.frame(1, reference_of(b"one")) == artifact_bytes(b"one")


def test_a_reader_that_met_frames_of_a_writer_that_died_finds_those_that_took_their_place(store):
    with FileLog(store) as log:
        append(log, [inline(b"one")])
    frame = artifact_bytes(b"never acknowledged" * 20)
    torn_tail(store, b"", frames=struct.pack("<QI", 2, len(frame)) + frame)
    with FileLog(store) as reader, FileLog(store) as writer:
        assert reader.frame(1, reference_of(b"one")) == artifact_bytes(b"one")
        later = [b"%d" % i * 30 for i in range(40)]
        for data in later:
            append(writer, [inline(data)])
        for logseq, data in reversed(list(enumerate(later, 2))):
            assert reader.frame(logseq, reference_of(data)) == artifact_bytes(data)
