"""Volumes: staging, commits, reading (spec/datasets.md §8)."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.clock import parse_rfc3339
from holdfast.errors import (
    Conflict,
    Denied,
    Integrity,
    Invalid,
    NoSnapshots,
    NotFound,
    OverlappingBlocks,
    RangeMissing,
    SnapshotConflict,
    Unsupported,
)
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from holdfast.volumes.blocks import Range
from holdfast.volumes.manifest import BlockRef
from holdfast.volumes.volume import Volume
from runs_support import Commits, Ticks
from volumes_support import MIB, TOTAL, damage, make_store, new_volume, on_every_store, patterned


@on_every_store
def test_what_is_staged_is_invisible_until_it_is_committed(kind, tmp_path):
    volume = new_volume(make_store(kind, tmp_path))
    block = volume.stage_write_at(100, b"hello")
    with pytest.raises(NoSnapshots):
        volume.read_at(100, 5)
    assert volume.missing_ranges() == [Range(0, TOTAL)]
    snapshot = volume.commit([block], {"step": 1}, message="first")
    assert volume.read_at(100, 5) == b"hello"
    assert volume.latest() == snapshot
    assert (snapshot.metadata, snapshot.message) == ({"step": 1}, "first")
    assert volume.missing_ranges() == [Range(0, 100), Range(105, TOTAL - 105)]


@on_every_store
def test_snapshots_are_cumulative_and_older_ones_stay_as_they_were(kind, tmp_path):
    store = make_store(kind, tmp_path)
    volume = new_volume(store)
    first = volume.commit([volume.stage_write_at(0, b"one")])
    second = volume.commit([volume.stage_write_at(3, b"two")])
    assert second.parent == first.id
    assert volume.read_at(0, 6) == b"onetwo"
    with pytest.raises(RangeMissing):
        volume.read_at(0, 6, snapshot=first.id)
    assert volume.read_at(1, 2, snapshot=first) == b"ne"
    reopened = Volume("disk", store)
    assert [s.id for s in reopened.snapshots()] == [first.id, second.id]
    assert [s.id for s in reopened.history()] == [second.id, first.id]
    assert reopened.total_length == TOTAL


def test_nothing_is_ever_filled_with_zeros():
    volume = new_volume(MemoryStore())
    volume.commit([volume.stage_write_at(0, b"one"), volume.stage_write_at(4, b"two")])
    for offset, length in ((0, 4), (3, 1), (2, 3), (0, TOTAL), (TOTAL - 1, 1)):
        with pytest.raises(RangeMissing):
            volume.read_at(offset, length)
    for offset, length in ((0, 0), (0, -1), (-1, 2), (TOTAL, 1), (0, TOTAL + 1)):
        with pytest.raises(Invalid):
            volume.read_at(offset, length)


@given(
    cuts=st.sets(st.integers(0, 3000), min_size=2, max_size=12),
    keep=st.lists(st.booleans(), min_size=12, max_size=12),
    reads=st.lists(st.tuples(st.integers(0, 2999), st.integers(1, 3000)), max_size=8),
)
@settings(deadline=None, max_examples=60)
def test_what_was_written_is_read_and_the_rest_is_missing(cuts, keep, reads):
    data = patterned(3000)
    volume = new_volume(MemoryStore(), total_length=3000)
    edges = sorted(cuts)
    spans = [(a, b) for (a, b), k in zip(zip(edges, edges[1:]), keep) if k]  # noqa: B905, RUF007
    there = {at for a, b in spans for at in range(a, b)}
    for a, b in reversed(spans):
        volume.commit([volume.stage_write_at(a, data[a:b])])
    if not spans:
        return
    for offset, length in reads:
        length = min(length, 3000 - offset)
        if there.issuperset(range(offset, offset + length)):
            assert volume.read_at(offset, length) == data[offset : offset + length]
        else:
            with pytest.raises(RangeMissing):
                volume.read_at(offset, length)


@on_every_store
def test_a_large_block_has_block_hashes_and_is_read_in_parts(kind, tmp_path):
    store = make_store(kind, tmp_path)
    volume = new_volume(store)
    data = patterned(3 * MIB + 5)
    block = volume.stage_write_at(
        MIB, (data[at : at + 70_001] for at in range(0, len(data), 70_001))
    )
    assert block.length == len(data)
    assert store.size(block.path + ".blk") == 4 * 32
    assert len(block.blocks_sha256) == 64
    volume.commit([block])
    assert volume.read_at(MIB + 5, 2 * MIB) == data[5 : 2 * MIB + 5]
    damage(store, block.path, 2 * MIB + 1)
    again = Volume("disk", store)
    assert again.read_at(MIB, MIB) == data[:MIB]
    with pytest.raises(Integrity, match=r"1048576-3145733\.bin"):
        again.read_at(3 * MIB, 10)
    assert len(Volume("disk", store, verify="off").read_at(3 * MIB, 10)) == 10


@pytest.mark.parametrize("checksum", ["sha256", "md5", "blake2b-16", "none"])
def test_damage_to_a_small_block_is_found_by_its_checksum(checksum):
    store = MemoryStore()
    volume = new_volume(store, checksum=checksum)
    block = volume.stage_write_at(0, b"hello")
    volume.commit([block])
    damage(store, block.path, 1)
    again = Volume("disk", store)
    assert again.checksum == ("" if checksum == "none" else checksum)
    if checksum == "none":
        assert len(again.read_at(0, 5)) == 5
    else:
        with pytest.raises(Integrity, match=checksum):
            again.read_at(0, 5)


def test_blocks_that_cannot_be_staged_are_refused_before_anything_is_there():
    store = MemoryStore()
    volume = new_volume(store)
    for offset, data in (
        (-1, b"x"),
        (0, b""),
        (0, []),
        (TOTAL, b"x"),
        (TOTAL - 1, b"xy"),
        (0, "x"),
    ):
        with pytest.raises(Invalid):
            volume.stage_write_at(offset, data)
    with pytest.raises(Invalid):
        volume.stage_write_at(TOTAL - 2, iter([b"x", b"x", b"x"]))
    assert list(store.list()) == []


def test_commits_that_make_no_sense_are_refused():
    volume = new_volume(MemoryStore())
    block = volume.stage_write_at(0, b"hello")
    with pytest.raises(Invalid, match="no blocks"):
        volume.commit([])
    with pytest.raises(Invalid, match="path"):
        volume.commit([BlockRef(0, 5, "elsewhere", block.checksum)])
    with pytest.raises(Invalid, match="stage_write_at"):
        volume.commit([block.path])
    for offset, length in ((-1, 5), (0, 0), (TOTAL, 1)):
        with pytest.raises(Invalid):
            volume.commit([BlockRef(offset, length, f"volumes/disk/data/{offset}-{length}.bin")])
    with pytest.raises(Invalid, match="checksum"):
        volume.commit([BlockRef(0, 5, block.path, "abc")])
    with pytest.raises(Invalid, match="blocks_sha256"):
        volume.commit([BlockRef(0, 5, block.path, block.checksum, "ab" * 32)])
    with pytest.raises(Invalid):
        volume.commit([block], {"bad": object()})
    with pytest.raises(OverlappingBlocks):
        volume.commit([block, block])
    with pytest.raises(NoSnapshots):
        volume.latest()
    assert volume.commit([block]).blocks == (block,)


def test_a_block_whose_file_is_gone_or_torn_is_not_committed():
    store = MemoryStore()
    volume = new_volume(store)
    block = volume.stage_write_at(0, b"hello")
    store._files[block.path] = b"hell"
    with pytest.raises(Integrity):
        volume.commit([block])
    store.delete(block.path)
    with pytest.raises(NotFound, match="stage it again"):
        volume.commit([block])
    large = volume.stage_write_at(MIB, bytes(MIB))
    store.delete(large.path + ".blk")
    with pytest.raises(NotFound, match="blk"):
        volume.commit([large])


@on_every_store
def test_committed_bytes_are_never_written_again(kind, tmp_path):
    volume = new_volume(make_store(kind, tmp_path))
    block = volume.stage_write_at(10, b"hello")
    volume.commit([block])
    with pytest.raises(OverlappingBlocks):
        volume.stage_write_at(10, b"hello")
    with pytest.raises(OverlappingBlocks):
        volume.stage_write_at(10, b"other")
    for offset, data in ((9, b"xx"), (14, b"x"), (0, bytes(100))):
        with pytest.raises(OverlappingBlocks):
            volume.commit([volume.stage_write_at(offset, data)])
    with pytest.raises(OverlappingBlocks):
        volume.commit([block])
    assert volume.read_at(10, 5) == b"hello"


# Leftovers


@on_every_store
def test_equal_bytes_that_a_dead_stager_left_are_adopted(kind, tmp_path):
    store = make_store(kind, tmp_path)
    for data in (b"hello", patterned(MIB + 3)):
        left = new_volume(store)
        block = left.stage_write_at(0, data)
        left.close()
        volume = new_volume(store)
        assert volume.stage_write_at(0, [data[:3], data[3:]]) == block
    volume.commit([block])
    assert volume.read_at(0, MIB + 3) == patterned(MIB + 3)


def test_the_block_hashes_that_a_dead_stager_did_not_come_to_are_written():
    store = MemoryStore()
    store.put(f"volumes/disk/data/0-{MIB}.bin", bytes(MIB))
    volume = new_volume(store)
    volume.commit([volume.stage_write_at(0, bytes(MIB))])
    assert store.size(f"volumes/disk/data/0-{MIB}.bin.blk") == 32


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_other_bytes_of_a_living_stager_are_a_conflict_and_of_a_dead_one_are_replaced(
    kind, tmp_path
):
    store = make_store(kind, tmp_path)
    for size in (5, MIB + 5):
        alive = new_volume(store)
        block = alive.stage_write_at(0, patterned(size, seed=1))
        volume = new_volume(store)
        with pytest.raises(Conflict, match=f"0-{size}.bin"):
            volume.stage_write_at(0, patterned(size))
        assert store.get(block.path) == patterned(size, seed=1)
        alive.close()
        staged = volume.stage_write_at(0, patterned(size))
        assert store.get(block.path) == patterned(size)
        volume.close()
    volume.commit([staged])
    assert volume.read_at(0, size) == patterned(size)


def test_leftovers_are_replaced_by_several_threads_beside_what_they_staged():
    store = MemoryStore()
    for n in range(20):
        store.put(f"volumes/disk/data/{n * 10}-10.bin", b"other data")
    volume = new_volume(store)
    with volume.transaction() as tx, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: tx.stage_write_at(n * 10, bytes([n]) * 10), range(20)))
    assert volume.read_at(0, 200) == b"".join(bytes([n]) * 10 for n in range(20))
    store.leases.acquire("volumes/disk/stagers", timeout=0).close()


def test_a_block_that_was_collected_while_leftovers_were_removed_is_named():
    store = MemoryStore()
    store.put("volumes/disk/data/0-5.bin", b"other")
    volume = new_volume(store)
    gone = volume.stage_write_at(100, b"mine")
    store.delete(gone.path)
    with pytest.raises(Conflict, match=gone.path):
        volume.stage_write_at(0, b"hello")
    volume.commit([volume.stage_write_at(0, b"hello"), volume.stage_write_at(100, b"mine")])
    assert volume.read_at(100, 4) == b"mine"


def test_without_leases_other_bytes_stay_a_conflict(tmp_path):
    store = make_store("no leases", tmp_path)
    store.put("volumes/disk/data/0-5.bin", b"other")
    with pytest.raises(Conflict, match=r"0-5\.bin"):
        new_volume(store).stage_write_at(0, b"hello")
    assert store.get("volumes/disk/data/0-5.bin") == b"other"


def test_without_leases_no_block_is_committed_that_was_staged_over_a_day_ago(tmp_path):
    clock = Ticks()
    volume = new_volume(make_store("no leases", tmp_path), clock=clock)
    block = volume.stage_write_at(0, b"hello")
    clock.ns += 86_401 * 1_000_000_000
    with pytest.raises(Conflict, match="stage it again"):
        volume.commit([block])
    volume.commit([volume.stage_write_at(0, b"hello")])


def test_a_volume_that_is_dropped_gives_up_its_lease(tmp_path):
    store = FileSystemStore(tmp_path)
    volume = new_volume(store)
    volume.stage_write_at(0, b"hello")
    del volume
    import gc

    gc.collect()
    store.leases.acquire("volumes/disk/stagers", timeout=0).close()


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_the_lease_is_held_from_the_first_stage_until_all_is_committed(kind, tmp_path):
    from holdfast.errors import Busy

    store = make_store(kind, tmp_path)
    volume = new_volume(store)
    one, two = volume.stage_write_at(0, b"one"), volume.stage_write_at(3, b"two")
    volume.commit([one])
    with pytest.raises(Busy):
        store.leases.acquire("volumes/disk/stagers", timeout=0)
    volume.commit([two])
    store.leases.acquire("volumes/disk/stagers", timeout=0).close()


# Several writers


@on_every_store
def test_writers_of_different_ranges_all_come_through_in_one_line(kind, tmp_path):
    store = make_store(kind, tmp_path)

    def write(number):
        volume = Volume("disk", store, total_length=TOTAL)
        for step in range(4):
            offset = (number * 4 + step) * 100
            volume.commit([volume.stage_write_at(offset, bytes([number]) * 100)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    volume = Volume("disk", store)
    assert len(list(volume.history())) == 16
    assert volume.read_at(0, 1600) == b"".join(bytes([n]) * 400 for n in range(4))


@on_every_store
def test_of_writers_of_the_same_range_one_wins(kind, tmp_path):
    store = make_store(kind, tmp_path)
    one, other = new_volume(store), new_volume(store)
    blocks = one.stage_write_at(0, b"hello"), other.stage_write_at(3, b"lower")
    one.commit([blocks[0]])
    with pytest.raises(OverlappingBlocks):
        other.commit([blocks[1]])
    assert len(list(one.snapshots())) == 1


@on_every_store
def test_a_parent_that_is_not_the_newest_is_a_conflict(kind, tmp_path):
    store = make_store(kind, tmp_path)
    volume = new_volume(store)
    first = volume.commit([volume.stage_write_at(0, b"one")])
    block = volume.stage_write_at(3, b"two")
    other = new_volume(store)
    tx = volume.transaction(on_conflict="raise")
    tx.stage_write_at(6, b"six")
    other.commit([other.stage_write_at(9, b"nine")])
    with pytest.raises(SnapshotConflict):
        tx.commit()
    with pytest.raises(SnapshotConflict):
        volume.commit([block], parent=first.id)
    newest = other.latest()
    assert volume.commit([block], on_conflict="raise").parent == newest.id
    with pytest.raises(Invalid):
        volume.commit([block], on_conflict="ignore")


@on_every_store
def test_a_writer_that_died_between_pointer_and_manifest_is_passed_over(kind, tmp_path):
    store = make_store(kind, tmp_path)
    volume = new_volume(store, dead_after=0)
    first = volume.commit([volume.stage_write_at(0, b"one")])
    dead = str(int(first.id) + 1)
    store.compare_and_swap("volumes/disk/latest", first.id.encode(), dead.encode())
    assert Volume("disk", store).latest().id == first.id
    second = volume.commit([volume.stage_write_at(3, b"two")])
    assert [s.id for s in volume.snapshots()] == [first.id, second.id]
    assert [s.mark for s in volume.history()] == ["", "healed", ""]
    assert volume.read_at(0, 6) == b"onetwo"


@on_every_store
def test_a_first_writer_that_died_leaves_a_volume_that_can_be_written(kind, tmp_path):
    store = make_store(kind, tmp_path)
    store.put("volumes/disk/latest", b"1700000000000000000")
    volume = new_volume(store, dead_after=0)
    volume.commit([volume.stage_write_at(0, b"one")])
    assert Volume("disk", store).read_at(0, 3) == b"one"
    assert [s.mark for s in volume.history()] == ["", "healed"]


# Transactions


@on_every_store
def test_a_transaction_takes_blocks_from_several_threads_into_one_snapshot(kind, tmp_path):
    volume = new_volume(make_store(kind, tmp_path))
    with volume.transaction({"by": "threads"}) as tx, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: tx.stage_write_at(n * 10, bytes([n]) * 10), range(20)))
    assert tx.snapshot.metadata == {"by": "threads"}
    assert len(list(volume.snapshots())) == 1
    assert volume.read_at(0, 200) == b"".join(bytes([n]) * 10 for n in range(20))
    with pytest.raises(Invalid):
        tx.stage_write_at(500, b"late")


def test_a_transaction_that_fails_leaves_nothing_visible_and_nothing_held():
    store = MemoryStore()
    volume = new_volume(store)
    tx = volume.transaction()
    with pytest.raises(ZeroDivisionError), tx:
        _ = tx.stage_write_at(0, b"hello").length / 0
    with pytest.raises(NoSnapshots):
        volume.latest()
    with pytest.raises(Invalid):
        _ = tx.snapshot
    store.leases.acquire("volumes/disk/stagers", timeout=0).close()


# Opening


def test_another_length_or_checksum_than_is_stored_is_refused():
    store = MemoryStore()
    volume = new_volume(store)
    volume.commit([volume.stage_write_at(0, b"one")])
    for wrong in (Volume("disk", store, TOTAL + 1), Volume("disk", store, TOTAL, "md5")):
        for use in (
            wrong.latest,
            lambda w=wrong: list(w.snapshots()),
            lambda w=wrong: w.read_at(0, 1),
            lambda w=wrong: w.stage_write_at(5, b"x"),
        ):
            with pytest.raises(Invalid):
                use()


def test_a_volume_that_another_writer_made_differently_meanwhile_is_a_conflict():
    store = MemoryStore()
    slow, fast = new_volume(store), new_volume(store, total_length=TOTAL + 1)
    block = slow.stage_write_at(0, b"slow")
    fast.commit([fast.stage_write_at(10, b"fast")])
    with pytest.raises(Conflict, match="total length"):
        slow.commit([block])


def test_a_new_volume_needs_a_length_and_a_name():
    with pytest.raises(Invalid, match="total_length"):
        Volume("disk", MemoryStore()).stage_write_at(0, b"x")
    with pytest.raises(NoSnapshots):
        Volume("disk", MemoryStore()).latest()
    for wrong in (0, -1, 1 << 63):
        with pytest.raises(Invalid):
            Volume("disk", MemoryStore(), wrong)
    for wrong in ("", "a/b", "..", "x\0", None):
        with pytest.raises(Invalid):
            Volume(wrong, MemoryStore(), 1)
    with pytest.raises(Unsupported):
        Volume("disk", MemoryStore(), 1, "crc32")


def test_a_volume_opened_for_reading_is_not_written():
    store = MemoryStore()
    new_volume(store).commit([new_volume(store).stage_write_at(0, b"one")])
    volume = Volume("disk", store, read_only=True)
    assert volume.read_at(0, 3) == b"one"
    for write in (
        lambda: volume.stage_write_at(5, b"x"),
        lambda: volume.commit([]),
        volume.transaction,
    ):
        with pytest.raises(Denied):
            write()


# Time travel, map, file


def test_a_snapshot_is_found_by_its_id_and_by_a_time():
    volume = new_volume(MemoryStore())
    first = volume.commit([volume.stage_write_at(0, b"one")])
    second = volume.commit([volume.stage_write_at(3, b"two")])
    assert volume.at(first.id) == volume.at(first) == first
    assert volume.at(second.created_at) == second
    assert volume.at(first.created_at) == first
    moment = datetime.fromtimestamp(parse_rfc3339(second.created_at) / 1e9, UTC)
    assert volume.at(moment + timedelta(seconds=1)) == second
    with pytest.raises(NotFound):
        volume.at(moment - timedelta(days=1))
    with pytest.raises(NotFound):
        volume.at("12345")
    with pytest.raises(Invalid):
        volume.at(datetime(2030, 1, 1))
    with pytest.raises(NotFound):
        volume.snapshot("../../x")


def test_the_map_shows_runs_and_gaps():
    volume = new_volume(MemoryStore(), total_length=100)
    assert volume.map().picture(10) == " " * 10
    volume.commit(
        [volume.stage_write_at(*b) for b in ((0, bytes(10)), (10, bytes(15)), (99, b"x"))]
    )
    drawn = volume.map()
    assert drawn.runs == (Range(0, 25), Range(99, 1))
    assert drawn.gaps == (Range(25, 74),)
    assert (drawn.covered, drawn.complete) == (26, False)
    assert drawn.cells(4) == [1.0, 0.0, 0.0, 0.04]
    assert drawn.picture(10) == "██▒      ░"
    volume.commit([volume.stage_write_at(25, bytes(74))])
    assert volume.map().complete


def test_a_volume_opens_as_a_file_that_ends_reads_before_gaps():
    volume = new_volume(MemoryStore(), total_length=20)
    volume.commit([volume.stage_write_at(0, b"hello"), volume.stage_write_at(15, b"world")])
    with volume.open() as file:
        assert file.read(3) == b"hel"
        assert file.read(10) == b"lo"
        with pytest.raises(RangeMissing):
            file.read(1)
        assert file.seek(-5, io.SEEK_END) == 15
        assert file.read() == b"world"
        assert file.read(1) == b""
        file.seek(0)
        with pytest.raises(RangeMissing):
            file.readall()
        with pytest.raises(Invalid):
            file.seek(-1)
    with pytest.raises(Invalid):
        file.read(1)
    with io.BufferedReader(volume.open()) as buffered:
        assert buffered.read(5) == b"hello"


def test_a_file_stays_with_its_snapshot():
    volume = new_volume(MemoryStore(), total_length=10)
    volume.commit([volume.stage_write_at(0, b"hello")])
    file = volume.open()
    volume.commit([volume.stage_write_at(5, b"world")])
    with pytest.raises(RangeMissing):
        file.readall()
    assert volume.open().readall() == b"helloworld"


# What it costs


class Counting(MemoryStore):
    def __init__(self):
        super().__init__()
        self.calls = []

    def __getattribute__(self, name):
        if name in ("get", "read_range", "size", "exists", "list", "children", "put", "delete",
                    "compare_and_swap", "stage"):  # fmt: skip
            object.__getattribute__(self, "calls").append(name)
        return super().__getattribute__(name)


def test_the_store_calls_of_a_commit_and_a_read_do_not_grow():
    costs = []
    for snapshots in (2, 40):
        store = Counting()
        volume = new_volume(store)
        for n in range(snapshots):
            volume.commit([volume.stage_write_at(n * 10, b"0123456789")])
        store.calls.clear()
        volume.commit([volume.stage_write_at(5000, b"x")])
        volume.latest()
        Volume("disk", store).read_at(0, 10)
        assert "list" not in store.calls
        assert "children" not in store.calls
        costs.append(len(store.calls))
    assert costs[0] == costs[1]


def test_a_block_that_was_read_is_not_read_again():
    store = Counting()
    volume = new_volume(store)
    volume.commit([volume.stage_write_at(0, bytes(3 * MIB))])
    volume.read_at(0, 4096)
    store.calls.clear()
    for offset in range(0, MIB, 65536):
        volume.read_at(offset, 4096)
    assert store.calls == []


def test_what_another_process_committed_is_seen_at_the_next_read():
    store = MemoryStore()
    volume, other = new_volume(store), new_volume(store)
    volume.commit([volume.stage_write_at(0, b"one")])
    assert volume.read_at(0, 3) == b"one"
    other.commit([other.stage_write_at(3, b"two")])
    assert volume.read_at(0, 6) == b"onetwo"


# The ledger


def test_commits_are_announced_with_their_manifest_and_lineage():
    sink = Commits()
    volume = new_volume(MemoryStore(), sink=sink, author="ada")
    first = volume.commit([volume.stage_write_at(0, b"one")], message="m", inputs=["commit:7"])
    second = volume.commit([volume.stage_write_at(3, b"two")], run="P/r")
    records = sink.records
    assert [(r.model, r.name, r.id, r.parent) for r in records] == [
        ("volume", "disk", first.id, None),
        ("volume", "disk", second.id, first.id),
    ]
    assert (records[0].message, records[0].inputs, records[0].author) == ("m", ("commit:7",), "ada")
    assert records[1].run == "P/r"
    assert [o.path for o in records[1].objects] == [second.manifest_path]
    assert records[1].objects[0].sha256 == second.manifest_sha256


def test_new_blocks_without_sha256_are_fixed_by_their_commit():
    sink = Commits()
    volume = new_volume(MemoryStore(), sink=sink, checksum="md5")
    volume.commit([volume.stage_write_at(0, b"one")])
    block = volume.stage_write_at(3, b"two")
    volume.commit([block])
    assert [o.path for o in sink.records[1].objects][1:] == [block.path]
