"""The log of objects: races, lost replies, merged objects, what verify finds."""

from __future__ import annotations

import io
import threading

import pytest

from holdfast.errors import (
    Conflict,
    Denied,
    HoldfastError,
    Integrity,
    Invalid,
    NotFound,
    StorageFailure,
    Unsupported,
)
from holdfast.ledger.artifact import artifact_bytes, reference_of
from holdfast.ledger.log import EMPTY, GENESIS, Entry, open_log
from holdfast.ledger.log_export import read_log
from holdfast.ledger.object_log import ObjectLog
from holdfast.ledger.object_names import decode_hint, merged_name, sidecar_name, single_name
from holdfast.ledger.record import LOG_HEADER
from holdfast.ledger.sidecar import encode_erased
from holdfast.records import Checked
from holdfast.store.memory import MemoryStore
from ledger.independent_decoder import decode_log, decode_sidecar
from ledger_logs import append, batch, commit, holds, inline, pin, problems

LOG = "ledger/log/"


@pytest.fixture
def store():
    return MemoryStore()


def three(store):
    """Batches of records 1-2, 3-5, 6."""
    with ObjectLog(store) as log:
        return [
            append(log, [commit("a"), inline(b"one")]),
            append(log, batch(inline(b"two" * 100), pin(2))),
            append(log, [pin(3)]),
        ]


def replace(store, path, data):
    if store.exists(path):
        store.delete(path)
    if data is not None:
        store.put(path, data)


def merge(store, first, last):
    """Merge the batches from `first` to `last` as a collection would."""
    data = b""
    for logseq in range(first, last + 1):
        path = LOG + single_name(logseq)
        if store.exists(path):
            data += store.get(path)[24:]
            store.delete(path)
    store.put(LOG + merged_name(first, last), LOG_HEADER + data)


def test_an_empty_log_has_no_objects(store):
    log = ObjectLog(store)
    assert log.head() == EMPTY
    assert list(log.records()) == []
    assert list(log.verify()) == []
    assert log.append(lambda head: []) == (1, 0)
    assert list(store.list()) == []


def test_a_batch_is_one_object_named_by_its_first_logseq_with_its_frames_beside_it(store):
    three(store)
    names = [entry.path.removeprefix(LOG) for entry in store.list("ledger/log")]
    objects = {first: store.get(LOG + single_name(first)) for first in (1, 3, 6)}
    assert sorted(names) == sorted(
        [
            "head",
            *map(single_name, objects),
            sidecar_name(1, objects[1][-32:]),
            sidecar_name(3, objects[3][-32:]),
        ]
    )
    records = decode_log(objects[1])
    records += decode_log(objects[3], 3, records[-1][3])
    records += decode_log(objects[6], 6, records[-1][3])
    assert [kind for _, kind, _, _ in records] == [0x1000, 0x1001, 0x03, 0x1001, 0x22, 0x22]
    frames = decode_sidecar(store.get(LOG + sidecar_name(3, objects[3][-32:])))
    assert frames == [(4, artifact_bytes(b"two" * 100))]


def test_what_is_appended_is_read_back_in_both_directions(store):
    facts = three(store)
    for log in (ObjectLog(store), ObjectLog(store, read_only=True)):
        assert log.head().logseq == 6
        assert all(holds(log, fact) for fact in facts)
        assert [r.logseq for r in log.records()] == [1, 2, 3, 4, 5, 6]
        assert [r.logseq for r in log.records_backwards()] == [6, 5, 4, 3, 2, 1]
        assert [r.logseq for r in log.records_backwards(before=5)] == [4, 3, 2, 1]
        assert [r.logseq for r in log.records(4, stop=5)] == [4, 5]
        assert problems(log) == []


def test_reading_from_a_known_hash_checks_that_the_log_goes_on_from_it(store):
    three(store)
    records = list(ObjectLog(store).records())
    for start in range(1, 7):
        previous = records[start - 2].record_hash if start > 1 else GENESIS
        assert list(ObjectLog(store).records(start, previous=previous)) == records[start - 1 :]
        assert list(ObjectLog(store).records(start)) == records[start - 1 :]
        with pytest.raises(Integrity):
            list(ObjectLog(store).records(start, previous=b"x" * 32))
    with pytest.raises(Integrity):
        list(ObjectLog(store).records(7, previous=b"x" * 32))
    with pytest.raises(Invalid):
        ObjectLog(store).records(0)


def test_a_reader_sees_what_others_append_later(store):
    writers = [ObjectLog(store) for _ in range(2)]
    reader = ObjectLog(store)
    seen, previous = 0, GENESIS
    for i in range(50):
        append(writers[i % 2], [inline(b"%d" % i), pin(i)])
        for record in reader.records(seen + 1, previous=previous):
            seen, previous = record.logseq, record.record_hash
        assert seen == 2 * (i + 1)
        assert reader.frame(seen - 1, reference_of(b"%d" % i)) == artifact_bytes(b"%d" % i)


def test_two_logs_that_race_take_every_logseq_once(store):
    facts = []
    told = []

    def work(number):
        log = ObjectLog(store)
        for i in range(40):

            def build(head, i=i):
                told.append(head.logseq)
                return [inline(b"%d-%d" % (number, i)), pin(1000 * number + i)]

            first, last = log.append(build)
            facts.append((first, last, tuple(build(log.head()))))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = ObjectLog(store)
    assert sorted(first for first, _, _ in facts) == list(range(1, 321, 2))
    assert log.head().logseq == 320
    assert all(holds(log, fact) for fact in facts)
    assert problems(log) == []
    # The frames of lost races were taken away.
    assert [f for f in log.verify() if not isinstance(f, Checked)] == []


def test_a_lost_race_calls_the_builder_again_with_the_new_head(store):
    log, other = ObjectLog(store), ObjectLog(store)
    heads = []

    def build(head):
        heads.append(head.logseq)
        if len(heads) < 4:
            append(other, [pin(len(heads))])
        return [inline(b"mine")]

    assert log.append(build) == (4, 4)
    assert heads == [0, 1, 2, 3]
    assert holds(log, (4, 4, (inline(b"mine"),)))
    assert [f for f in log.verify() if not isinstance(f, Checked)] == []


def test_races_lost_again_and_again_end_in_a_conflict(store):
    log, other = ObjectLog(store), ObjectLog(store)

    def build(head):
        append(other, [pin(head.logseq)])
        return [pin(5_000_000)]

    with pytest.raises(Conflict):
        log.append(build)


class LosesReplies(MemoryStore):
    """Stores and then says that it failed, or fails at once."""

    stored = True
    lose = ""

    def put(self, path, data):
        if self.lose and path.endswith(self.lose):
            suffix, self.lose = self.lose, ""
            if self.stored:
                super().put(path, data)
            raise StorageFailure("writing", path, found=f"no reply for {suffix}")
        super().put(path, data)


def test_a_lost_reply_is_settled_by_comparing_bytes():
    store = LosesReplies()
    log = ObjectLog(store)
    append(log, [pin(1)])
    store.lose = ".asl"
    fact = append(log, [inline(b"x")])
    assert fact[:2] == (2, 2)
    assert holds(ObjectLog(store), fact)
    assert append(log, [pin(2)])[0] == 3


def test_a_lost_reply_to_a_race_that_another_won_is_a_lost_race():
    store = LosesReplies()
    log, other = ObjectLog(store), ObjectLog(store)
    append(log, [pin(1)])

    def build(head):
        if head.logseq == 1:
            append(other, [pin(2)])
            store.lose, store.stored = ".asl", False
        return [inline(b"mine")]

    assert log.append(build) == (3, 3)


@pytest.mark.parametrize("suffix", [".asl", ".commits"])
def test_a_put_that_failed_is_an_error_and_the_next_one_works(suffix):
    store = LosesReplies()
    log = ObjectLog(store)
    store.lose, store.stored = suffix, False
    with pytest.raises(StorageFailure):
        append(log, [inline(b"x")])
    assert log.head() == EMPTY
    fact = append(log, [inline(b"x")])
    assert fact[0] == 1
    assert holds(log, fact)


def test_the_hint_saves_asking_for_every_batch_and_need_not_be_right(store):
    log = ObjectLog(store)
    for i in range(40):
        append(log, [pin(i)])
    hint = decode_hint(store.get(LOG + "head"))
    assert 24 < hint.first <= 40
    log.close()
    assert decode_hint(store.get(LOG + "head")).last == 40
    asked = []
    get = store.get
    store.get = lambda path: asked.append(path) or get(path)
    assert ObjectLog(store).head().logseq == 40
    assert len(asked) == 3
    for wrong in (None, b"", b"rubbish", store.get(LOG + "head").replace(b"40", b"39")):
        replace(store, LOG + "head", wrong)
        again = ObjectLog(store)
        assert again.head().logseq == 40
        assert len(list(again.records())) == 40
        (found,) = problems(again) if wrong is not None else [None]
        if found:
            assert found.path == LOG + "head"
        list(again.repair())
        assert problems(again) == []
        assert decode_hint(store.get(LOG + "head")).last == 40


def test_readers_prefer_the_longest_merged_object(store):
    facts = three(store)
    log = ObjectLog(store)
    before_merge = list(log.records())
    merge(store, 1, 5)
    merged = LOG + merged_name(1, 5)
    asked = []
    get = store.get
    store.get = lambda path: asked.append(path) or get(path)
    fresh = ObjectLog(store)
    assert list(fresh.records()) == before_merge
    assert asked.count(merged) == 1
    assert all(holds(fresh, fact) for fact in facts)
    assert [r.logseq for r in fresh.records_backwards()] == [6, 5, 4, 3, 2, 1]
    assert problems(fresh) == []
    assert fresh.collect(dry_run=True).removed == []
    # A reader that knew the single objects finds the merged one in their place.
    late = ObjectLog(store)
    late.head()
    assert list(log.records()) == before_merge
    assert all(holds(log, fact) for fact in facts)


def test_a_writer_does_not_take_a_name_that_became_free_by_merging(store):
    stale = ObjectLog(store)
    append(stale, [pin(0)])
    with ObjectLog(store, hint_every=1) as other:
        for i in range(5):
            append(other, [pin(i)])
    merge(store, 1, 5)
    assert append(stale, [pin(9)])[0] == 7
    assert len(list(ObjectLog(store).records())) == 7
    assert problems(stale) == []


def test_every_changed_byte_is_found_and_its_object_named(store):
    three(store)
    merge(store, 3, 5)
    for entry in list(store.list("ledger/log")):
        data = store.get(entry.path)
        for at in range(len(data)):
            bad = bytearray(data)
            bad[at] ^= 0x55
            replace(store, entry.path, bytes(bad))
            found = problems(ObjectLog(store))
            assert entry.path in {f.path for f in found}, (entry.path, at, found)
        replace(store, entry.path, data)
    assert problems(ObjectLog(store)) == []


@pytest.mark.parametrize("first", [1, 3, 6])
@pytest.mark.parametrize("at", [0, 30, 60, -1])
def test_reading_works_up_to_a_damaged_record_and_names_it(store, first, at):
    three(store)
    records = list(ObjectLog(store).records())
    path = LOG + single_name(first)
    bad = bytearray(store.get(path))
    bad[at] ^= 0xFF
    replace(store, path, bytes(bad))
    log = ObjectLog(store)
    read = []
    with pytest.raises(Integrity, match=single_name(first)):
        read.extend(log.records())
    assert first - 1 <= len(read) < first + 3
    assert read == records[: len(read)]
    assert path in {f.path for f in problems(log)}


@pytest.mark.parametrize("hinted", [True, False])
@pytest.mark.parametrize("at", [0, 8, 24, 40, 60, -1])
def test_a_newest_batch_that_is_damaged_refuses_writing(store, at, hinted):
    three(store)
    path = LOG + single_name(6)
    bad = bytearray(store.get(path))
    bad[at] ^= 0xFF
    replace(store, path, bytes(bad))
    if not hinted:
        store.delete(LOG + "head")
    before = {e.path: store.get(e.path) for e in store.list()}
    log = ObjectLog(store)
    for _ in range(2):
        with pytest.raises(HoldfastError, match=single_name(6)) as caught:
            append(log, [pin(9)])
        assert caught.type in (Integrity, Unsupported)
    assert {e.path: store.get(e.path) for e in store.list()} == before


@pytest.mark.parametrize("lost", [1, 3])
def test_a_missing_batch_is_corruption(store, lost):
    three(store)
    store.delete(LOG + single_name(lost))
    log = ObjectLog(store)
    with pytest.raises(Integrity):
        list(log.records())
    assert LOG + single_name(lost) in {f.path for f in problems(log)}


def test_frames_that_fit_no_object_are_litter_and_collected_below_head(store):
    three(store)
    old = LOG + sidecar_name(3, b"x" * 32)
    new = LOG + sidecar_name(7, b"x" * 32)
    for path in (old, new):
        store.put(path, b"left by a race that was lost")
    store.put(LOG + "odd", b"")
    log = ObjectLog(store)
    found = {f.path: f.code for f in log.verify() if not isinstance(f, Checked)}
    assert found == {old: "litter", new: "litter", LOG + "odd": "unexpected_file"}
    assert LOG + "odd" not in {f.path for f in problems(log)}
    assert log.collect(dry_run=True).removed == [(old, 28)]
    assert log.collect(dry_run=False).removed == [(old, 28)]
    assert not store.exists(old)
    assert store.exists(new)


def test_an_erased_frame_reads_as_erased_also_when_its_object_was_read_before(store):
    facts = three(store)
    log = ObjectLog(store)
    assert log.frame(2, reference_of(b"one"))
    path = LOG + sidecar_name(1, store.get(LOG + single_name(1))[-32:])
    kept = facts[0][2][0].frame
    data = store.get(path)
    store.compare_and_swap(path, data, data[: 12 + len(kept)] + encode_erased(2))
    with pytest.raises(NotFound, match="erased"):
        log.frame(2, reference_of(b"one"))
    assert problems(log) == []


def test_the_export_is_one_header_and_all_records(store):
    three(store)
    log = ObjectLog(store)
    out = io.BytesIO()
    assert log.export(out) == len(out.getvalue())
    out.seek(0)
    assert list(read_log(out)) == list(log.records())
    assert len(decode_log(out.getvalue())) == 6


def test_a_log_open_for_reading_writes_nothing(store):
    three(store)
    log = ObjectLog(store, read_only=True)
    before = list(store.list())
    for use in (lambda: append(log, [pin(1)]), log.repair, lambda: log.collect(dry_run=False)):
        with pytest.raises(Denied):
            use()
    log.close()
    assert list(store.list()) == before


def test_a_batch_beyond_64_mebibytes_is_refused(store):
    log = ObjectLog(store)
    with pytest.raises(Invalid, match="67108864"):
        append(log, [Entry(7, bytes(2**20))] * 64)
    assert log.head() == EMPTY


def test_open_log_picks_the_log_of_objects_for_any_other_store(store):
    with open_log(store) as log:
        assert isinstance(log, ObjectLog)


def test_verify_of_a_log_that_is_written_to_meanwhile_finds_nothing_wrong(store):
    three(store)
    with ObjectLog(store) as log, ObjectLog(store, hint_every=1) as writer:
        steps = log.verify()
        found = [next(steps)]
        append(writer, [commit("b")])
        append(writer, [inline(b"four"), pin(4)])
        found += steps
    assert [step for step in found if not isinstance(step, Checked)] == []


def test_verify_finds_frames_that_were_put_behind_the_back_of_its_listing(store):
    class Listing(MemoryStore):
        """Passes over sidecars, as a listing that was past their place when they were put."""

        def list(self, folder=""):
            return (e for e in super().list(folder) if not e.path.endswith(".commits"))

    passed_over = Listing()
    for entry in three(store) and store.list():
        passed_over.put(entry.path, store.get(entry.path))
    assert problems(ObjectLog(passed_over)) == []


def test_a_hint_of_a_batch_that_is_not_there_is_found(store):
    three(store)
    path = LOG + "head"
    replace(store, path, b"%020d %020d %s\n" % (7, 9, b"0" * 64))
    with ObjectLog(store, read_only=True) as log:
        assert [finding.path for finding in problems(log)] == [path]
