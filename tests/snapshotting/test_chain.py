"""The line of snapshots: commits, conflicts, healing, anchoring, on every kind of store."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, replace

import pytest

from holdfast.errors import Denied, Integrity, NotFound, SnapshotConflict
from holdfast.snapshotting.anchor import anchor_missing
from holdfast.snapshotting.chain import Chain
from holdfast.snapshotting.commit import Committer, Expected
from holdfast.snapshotting.lineage import Lineage
from holdfast.snapshotting.snapshot_id import next_id, order
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from runs_support import Commits


@dataclass(frozen=True)
class Small:
    snapshot_id: str
    created_at: str
    parent_snapshot_id: str
    content: str
    lineage: Lineage
    mark: str = ""


class SmallForm:
    def encode(self, manifest):
        return json.dumps(asdict(manifest)).encode()

    def decode(self, data, path):
        value = json.loads(data)
        lineage = value.pop("lineage")
        lineage["inputs"] = tuple(lineage["inputs"])
        return Small(**value, lineage=Lineage(**lineage))

    def repeat(self, base, *, id, parent, created_at, mark, lineage):
        content = "" if base is None else base.content
        return Small(id, created_at, parent, content, lineage, mark)

    def copies(self, manifest):
        return ()

    def unfixed(self, store, manifest):
        return ()


class SmallPlaces:
    model = "dataset"
    name = "d"
    lease = "datasets/d"
    folder = "datasets/d"
    pointer = "datasets/d/latest"

    def manifest(self, id):
        return f"datasets/d/snapshots/{id}/manifest.json"

    def check_gap(self, store, id):
        pass

    def ids(self, store):
        folders, _ = store.children("datasets/d/snapshots")
        return sorted((f for f in folders if store.exists(self.manifest(f))), key=order)


class Text:
    """A draft with one file."""

    def __init__(self, store, text, *, appends=False):
        self.store = store
        self.text = text
        self.appends = appends
        self.staged = store.stage("datasets/d")
        self.staged.write(text.encode())

    def paths(self, id):
        return [f"datasets/d/snapshots/{id}/data/data"]

    def publish(self, id, along=()):
        self.store.publish_many([(self.staged, self.paths(id)[0])], along=along)

    def manifest(self, id, base, created_at, lineage):
        before = base.manifest.content if self.appends and base is not None else ""
        parent = "" if base is None else base.id
        return Small(id, created_at, parent, before + self.text, lineage)


class Unleased:
    """A store as an object store is one: without leases. Staged files can be published again."""

    def __init__(self):
        self.inner = MemoryStore()
        self.leases = None
        self.before_swap = lambda: None
        self.before_put = lambda: None

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def publish_many(self, items, *, along=()):
        for staged, path in items:
            staged.publish(path)

    def stage(self, folder):
        return Again(self.inner)

    def compare_and_swap(self, path, expected, replacement):
        hook, self.before_swap = self.before_swap, lambda: None
        hook()
        self.inner.compare_and_swap(path, expected, replacement)

    def put(self, path, data):
        if path.endswith("manifest.json"):
            hook, self.before_put = self.before_put, lambda: None
            hook()
        self.inner.put(path, data)


class Again:
    def __init__(self, store):
        self.store = store
        self.data = b""

    def write(self, data):
        self.data += bytes(data)

    def prepare(self):
        pass

    def publish(self, path):
        self.store.put(path, self.data)

    def close(self):
        pass


class SlowClock:
    """A clock that stands still, and goes on by what is slept."""

    def __init__(self, now=1_000):
        self.now = now
        self.seconds = 0.0

    def now_ns(self):
        return self.now

    def monotonic(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


@pytest.fixture(params=["memory", "files", "unleased"])
def store(request, tmp_path):
    return {
        "memory": MemoryStore,
        "files": lambda: FileSystemStore(tmp_path / "store"),
        "unleased": Unleased,
    }[request.param]()


def chain_of(store, **options):
    return Chain(store, SmallPlaces(), SmallForm(), author="tester", **options)


def commit(chain, text, *, appends=False, expected=None):
    draft = Text(chain.store, text, appends=appends)
    return Committer(chain, draft, lineage=Lineage(), expected=expected).run()


def line(chain):
    return [(s.id, s.manifest.content, s.manifest.mark) for s in chain.history()]


def test_commits_form_one_line(store):
    chain = chain_of(store)
    assert chain.latest() is None
    ids = [commit(chain, text, appends=True).id for text in ("a", "b", "c")]
    assert [(id, content) for id, content, _ in line(chain_of(store))] == [
        (ids[2], "abc"),
        (ids[1], "ab"),
        (ids[0], "a"),
    ]
    assert chain_of(store).latest().id == ids[2]
    assert store.get("datasets/d/latest") == ids[2].encode()
    assert chain.ids() == ids


def test_an_id_is_above_its_parents_whatever_the_clock_says(store):
    ids = [commit(chain_of(store, clock=SlowClock(now)), "x").id for now in (500, 400, 500, 600)]
    assert [int(id) for id in ids] == sorted({int(id) for id in ids})
    assert ids[0] == "500"


def test_an_expectation_that_does_not_hold_commits_nothing(store):
    chain = chain_of(store)
    first = commit(chain, "a", expected=Expected(None))
    with pytest.raises(SnapshotConflict):
        commit(chain, "b", expected=Expected(None))
    with pytest.raises(SnapshotConflict):
        commit(chain, "b", expected=Expected("1"))
    assert [s for _, s, _ in line(chain)] == ["a"]
    commit(chain, "c", expected=Expected(first.id))


def test_threads_commit_side_by_side_and_lose_nothing(store):
    def work(n):
        chain = chain_of(store)
        for i in range(8):
            commit(chain, f"[{n}.{i}]", appends=True)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = line(chain_of(store))
    assert len(history) == 32
    assert all(history[0][1].count(f"[{n}.{i}]") == 1 for n in range(4) for i in range(8))


def dead_pointer(store, id):
    store.compare_and_swap("datasets/d/latest", store.get("datasets/d/latest"), id.encode())


def test_the_next_writer_heals_what_a_dead_one_left(store):
    clock = SlowClock(2_000)
    chain = chain_of(store, clock=clock, sleep=clock.sleep)
    first = commit(chain, "a")
    dead_pointer(store, "9000")
    assert chain_of(store, sleep=clock.sleep).latest().id == first.id
    second = commit(chain, "b", appends=True)
    assert int(second.id) > 9000
    assert line(chain) == [(second.id, "ab", ""), ("9000", "a", "healed"), (first.id, "a", "")]
    assert second.manifest.parent_snapshot_id == "9000"
    dead_pointer(store, "10000")
    third = chain_of(store, clock=clock, sleep=clock.sleep)
    assert third.latest().id == second.id


def test_readers_pass_over_a_marked_snapshot_that_is_the_newest(store):
    clock = SlowClock(2_000)
    chain = chain_of(store, clock=clock, sleep=clock.sleep)
    first = commit(chain, "a")
    dead_pointer(store, "9000")
    with pytest.raises(SnapshotConflict):
        commit(chain, "b", expected=Expected("none"))
    assert chain.newest().id == "9000"
    assert chain.latest().id == first.id
    commit(chain, "c", expected=Expected(first.id))


def test_a_dead_first_writer_is_healed_as_nothing(store):
    clock = SlowClock(2_000)
    store.put("datasets/d/latest", b"5000")
    chain = chain_of(store, clock=clock, sleep=clock.sleep)
    assert chain.latest() is None
    done = commit(chain, "a", appends=True)
    assert line(chain) == [(done.id, "a", ""), ("5000", "", "healed")]


@pytest.mark.parametrize("pointer", [b"", b"  \n", b"rubbish", b"../..", b"\xff", b"7"])
def test_a_pointer_to_nothing_is_tolerated(store, pointer):
    chain = chain_of(store, clock=SlowClock(2_000))
    first = commit(chain, "a")
    store.compare_and_swap("datasets/d/latest", first.id.encode(), pointer)
    fresh = chain_of(store, sleep=lambda s: None)
    assert fresh.latest().id == first.id
    second = commit(fresh, "b")
    assert [id for id, _, _ in line(fresh)] == [second.id, first.id]
    assert store.get("datasets/d/latest") == second.id.encode()


def test_a_reader_opened_read_only_changes_nothing(store):
    commit(chain_of(store), "a")
    before = {e.path: store.get(e.path) for e in store.list()}
    chain = chain_of(store, read_only=True)
    assert chain.latest().manifest.content == "a"
    with pytest.raises(Denied):
        commit(chain, "b")
    assert {e.path: store.get(e.path) for e in store.list()} == before


def test_the_ledger_is_told_of_each_commit_parents_first(store):
    sink = Commits()
    first = commit(chain_of(store), "a")  # nobody was told
    second = commit(chain_of(store), "b")
    third = commit(chain_of(store, sink=sink), "c")
    assert [(r.id, r.parent) for r in sink.records] == [
        (first.id, None),
        (second.id, first.id),
        (third.id, second.id),
    ]
    assert sink.records[2].objects[0].sha256 == third.sha256
    assert sink.records[2].nonce == third.manifest.lineage.nonce
    assert anchor_missing(chain_of(store, sink=sink), third) == []


def test_a_manifest_that_is_not_what_the_ledger_fixes_is_refused(store):
    sink = Commits()
    stored = commit(chain_of(store, sink=sink), "a")
    changed = replace(stored.manifest, content="b")
    store.delete(stored.path)
    store.put(stored.path, SmallForm().encode(changed))
    with pytest.raises(Integrity, match="ledger"):
        chain_of(store, sink=sink).latest()
    assert chain_of(store).latest().manifest.content == "b"


def test_the_last_commit_overrules_an_older_pointer(store):
    sink = Commits()
    first = commit(chain_of(store, sink=sink), "a")
    second = commit(chain_of(store, sink=sink), "b")
    store.compare_and_swap("datasets/d/latest", second.id.encode(), first.id.encode())
    assert chain_of(store).latest().id == first.id
    chain = chain_of(store, sink=sink)
    assert chain.latest().id == second.id
    third = commit(chain, "c")
    assert [id for id, _, _ in line(chain)] == [third.id, second.id, first.id]


def test_a_lost_manifest_that_the_ledger_fixes_is_named_and_never_healed(store):
    sink = Commits()
    first = commit(chain_of(store, sink=sink), "a")
    store.delete(first.path)
    for action in (lambda c: c.latest(), lambda c: commit(c, "b")):
        chain = chain_of(store, sink=sink, sleep=lambda s: None)
        with pytest.raises((Integrity, NotFound), match="manifest"):
            action(chain)
    assert not store.exists(first.path)


# What only happens where there are no leases


def test_a_writer_that_is_overtaken_commits_on_top():
    store = Unleased()
    chain, other = chain_of(store, sleep=lambda s: None), chain_of(store)
    store.before_swap = lambda: commit(other, "b", appends=True)
    commit(chain, "a", appends=True)
    assert [content for _, content, _ in line(chain)] == ["ba", "b"]
    files = [e.path for e in store.list("datasets/d/snapshots")]
    assert len(files) == 4, "what the first try published is gone"


def test_a_lost_reply_of_the_swap_is_settled_by_reading_the_pointer():
    store = Unleased()
    chain = chain_of(store)
    swap = store.compare_and_swap

    def lossy(path, expected, replacement):
        swap(path, expected, replacement)
        raise SnapshotConflict("replacing", path)

    store.compare_and_swap = lossy
    commit(chain, "a")
    assert [content for _, content, _ in line(chain)] == ["a"]


def test_a_slow_writer_is_fenced_by_whoever_healed_its_gap():
    store = Unleased()
    clock = SlowClock(2_000)
    slow = chain_of(store, clock=clock, sleep=clock.sleep)
    other = chain_of(store, clock=clock, sleep=clock.sleep, dead_after=1.0)
    commit(slow, "a")
    store.before_put = lambda: commit(other, "b", appends=True)
    commit(slow, "c", appends=True)
    contents = [(content, mark) for _, content, mark in line(slow)]
    assert contents == [("abc", ""), ("ab", ""), ("a", "healed"), ("a", "")]


def test_a_pointer_without_manifest_is_left_alone_while_its_writer_may_live():
    store = Unleased()
    clock = SlowClock(2_000)
    commit(chain_of(store, clock=clock), "a")
    dead_pointer(store, "9000")
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        clock.sleep(seconds)
        if len(waits) == 20:
            store.put(
                "datasets/d/snapshots/9000/manifest.json",
                SmallForm().encode(Small("9000", "", "2000", "slow", Lineage())),
            )

    chain = chain_of(store, clock=clock, sleep=sleep)
    done = commit(chain, "b", appends=True)
    assert [content for _, content, _ in line(chain)] == ["slowb", "slow", "a"]
    assert done.manifest.parent_snapshot_id == "9000"
    assert sum(waits) < 30


def test_ids_of_two_hosts_never_collide():
    class Fixed:
        def u64(self):
            return 5

    assert next_id(10, None, Fixed()) == "10"
    assert next_id(10, "9", Fixed()) == "10"
    assert next_id(10, "10", Fixed()) == "16"
    assert next_id(10, "not a number", Fixed()) == "10"
