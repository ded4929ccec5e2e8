import pytest

from functions.pools import ENGLISH, FRENCH, Ledger, caller_of, memory_pool, tree
from holdfast.errors import StorageFailure
from holdfast.records import Checked, Finding, Severity


def findings(steps):
    return [(f.severity, f.code, f.path) for f in steps if isinstance(f, Finding)]


class Refusing(Ledger):
    """A ledger that does not take commits."""

    def commit(self, record, *, since=0):
        raise StorageFailure("appending")


def test_a_sound_pool_is_read_to_the_last_byte():
    pool = memory_pool(sink=Ledger())
    pool.add(ENGLISH, "eng")
    pool.add(FRENCH, "é" * 256)
    steps = list(pool.verify())
    assert findings(steps) == []
    files = tree(pool.store)
    assert sum(s.files for s in steps if isinstance(s, Checked)) == len(files)
    assert sum(s.bytes for s in steps if isinstance(s, Checked)) == sum(map(len, files.values()))
    assert findings(pool.verify(deep=False)) == []


@pytest.mark.parametrize("deep", [True, False])
def test_what_was_not_announced_is_found_and_announced(deep):
    ledger = Ledger()
    pool = memory_pool(sink=Refusing())
    with pytest.raises(StorageFailure):
        pool.add(ENGLISH, "é" * 256)
    pool.anchor.sink = ledger
    files = sorted(tree(pool.store))
    assert len(files) == 3
    found = findings(pool.verify(deep=deep))
    assert sorted(found) == [(Severity.WARNING, "unanchored", path) for path in files]
    mended = findings(pool.repair())
    assert sorted(mended) == [(Severity.INFO, "unanchored", path) for path in files]
    assert findings(pool.verify(deep=deep)) == []
    assert [o.path for o in ledger.records[0].objects] == files
    assert findings(pool.repair()) == []


def test_a_damaged_function_is_not_announced():
    pool = memory_pool(sink=Refusing())
    with pytest.raises(StorageFailure):
        pool.add(ENGLISH, "eng")
    pool.anchor.sink = Ledger()
    (hash,) = pool.list()
    path = pool.layout.object(hash)
    data = pool.store.get(path)
    pool.store.compare_and_swap(path, data, data.replace(b"sum(", b"max("))
    assert findings(pool.repair()) == []
    assert (Severity.ERROR, "digest_mismatch", path) in findings(pool.verify())


def test_what_a_crash_left_below_no_function_is_collected():
    pool = memory_pool(sink=Ledger())
    (kept,) = pool.add(ENGLISH, "eng")
    before = tree(pool.store)
    (left,) = memory_pool().add(caller_of(kept.hash), "eng")
    path = pool.layout.mapping(left.hash, "eng", left.mapping_hash)
    pool.store.put(path, b"torn")
    assert (Severity.WARNING, "unfinished", pool.layout.object(left.hash)) in findings(
        pool.verify()
    )
    assert pool.collect(dry_run=True).removed == [(path, 4)]
    assert path in tree(pool.store)
    assert pool.collect(dry_run=False).removed == [(path, 4)]
    assert tree(pool.store) == before
    assert findings(pool.verify()) == []


def test_the_mappings_of_a_lost_object_are_not_collected():
    pool = memory_pool(sink=Ledger())
    (added,) = pool.add(ENGLISH, "eng")
    pool.store.delete(pool.layout.object(added.hash))
    assert pool.collect(dry_run=False).removed == []
    assert pool.store.exists(pool.layout.mapping(added.hash, "eng", added.mapping_hash))


def test_a_missing_dependency_is_told():
    pool = memory_pool()
    pool.add(caller_of("ab" * 32), "eng")
    (found,) = findings(pool.verify())
    assert found[:2] == (Severity.WARNING, "missing_dependency")
