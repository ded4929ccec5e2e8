import json

import pytest

from functions.pools import ENGLISH, FRENCH, Ledger, file_pool, memory_pool, tree
from holdfast.errors import HoldfastError, Integrity, NotFound
from holdfast.functions import normalize
from holdfast.functions.layout import Schema


def v0_file(sources, **change):
    """(path, bytes) of a v0 function with these sources by language."""
    functions = {language: normalize(source, 1)[0] for language, source in sources.items()}
    first = next(iter(functions.values()))
    value = {
        "version": 0,
        "hash": first.hash,
        "normalized_code": first.normalized_code,
        "docstrings": {k: f.docstring for k, f in functions.items()},
        "name_mappings": {k: f.name_mapping for k, f in functions.items()},
        "alias_mappings": {k: f.alias_mapping for k, f in functions.items()},
        **change,
    }
    data = json.dumps(value, ensure_ascii=False, indent=2).encode()
    return f"objects/{first.hash[:2]}/{first.hash[2:]}.json", data, first.hash


def put_v0(pool, sources, **change):
    path, data, hash = v0_file(sources, **change)
    pool.store.put(pool.layout.base + path, data)
    return hash


def fill(pool, count):
    return [put_v0(pool, {"eng": f"def f(x):\n    return x + {i}\n"}) for i in range(count)]


def test_a_dry_run_changes_nothing_for_all_and_for_one():
    pool = memory_pool()
    hashes = fill(pool, 3)
    before = tree(pool.store)
    assert sorted(pool.migrate(dry_run=True).migrated) == sorted(hashes)
    assert pool.migrate(hashes[0], dry_run=True).migrated == [hashes[0]]
    assert tree(pool.store) == before


def test_one_function_is_migrated_and_the_others_left():
    pool = memory_pool()
    hashes = fill(pool, 3)
    assert pool.migrate(hashes[1][:12]).migrated == [hashes[1]]
    assert [pool.reader.schemas(h) for h in hashes] == [[Schema.V0], [Schema.V1], [Schema.V0]]
    with pytest.raises(NotFound):
        pool.migrate("0" * 64)


def test_a_function_in_v1_has_nothing_to_migrate():
    pool = memory_pool()
    (added,) = pool.add(ENGLISH, "eng")
    report = pool.migrate(added.hash)
    assert (report.migrated, report.finished, report.kept, report.failed) == ([], [], [], [])


def test_with_keep_v0_later_additions_are_merged():
    pool = memory_pool()
    hash = put_v0(pool, {"eng": ENGLISH})
    assert pool.migrate(keep_v0=True).migrated == [hash]
    assert pool.reader.schemas(hash) == [Schema.V1, Schema.V0]
    path, data, _ = v0_file({"eng": ENGLISH, "fra": FRENCH})
    old = pool.store.get(pool.layout.base + path)
    pool.store.compare_and_swap(pool.layout.base + path, old, data)
    assert pool.languages(hash) == ["eng", "fra"]
    report = pool.migrate(keep_v0=True)
    assert (report.migrated, report.kept) == ([hash], [])
    report = pool.migrate(keep_v0=True)
    assert (report.migrated, report.kept) == ([], [hash])
    report = pool.migrate()
    assert (report.migrated, report.finished, report.deleted) == ([], [hash], 1)
    assert pool.reader.schemas(hash) == [Schema.V1]
    assert pool.languages(hash) == ["eng", "fra"]


def test_what_was_there_in_v1_is_merged_with_v0():
    pool = memory_pool()
    (added,) = pool.add(FRENCH, "fra", normal_form=1)
    before = pool.store.get(pool.layout.object(added.hash))
    hash = put_v0(pool, {"eng": ENGLISH})
    assert hash == added.hash
    assert pool.languages(hash) == ["eng", "fra"]
    pool.migrate()
    assert pool.languages(hash) == ["eng", "fra"]
    assert pool.store.get(pool.layout.object(hash)) == before


def test_a_damaged_v1_object_keeps_the_v0_file():
    pool = memory_pool()
    (added,) = pool.add(FRENCH, "fra", normal_form=1)
    path = pool.layout.object(added.hash)
    data = pool.store.get(path)
    pool.store.compare_and_swap(path, data, data.replace(b"sum(", b"max("))
    hash = put_v0(pool, {"eng": ENGLISH})
    report = pool.migrate()
    assert [f.hash for f in report.failed] == [hash]
    with pytest.raises(Integrity):
        report.raise_failed()
    assert pool.store.exists(pool.layout.object(hash, Schema.V0))


def test_a_function_that_cannot_be_written_harms_no_other(tmp_path):
    pool = file_pool(tmp_path)
    hashes = fill(pool, 12)
    # A file where the folder of one function must be.
    pool.store.put(pool.layout.folder(hashes[4]), b"in the way")
    report = pool.migrate()
    assert [f.hash for f in report.failed] == [hashes[4]]
    assert sorted(report.migrated) == sorted(set(hashes) - {hashes[4]})
    assert pool.store.exists(pool.layout.object(hashes[4], Schema.V0))


def test_dependencies_are_filled():
    pool = memory_pool()
    needed = "ab" * 32
    source = f"from ouverture.pool import {needed} as g\n\ndef f(x):\n    return g(x)\n"
    hash = put_v0(pool, {"eng": source})
    pool.migrate()
    assert pool.object(hash).dependencies == (needed,)
    assert pool.dependencies(hash) == [needed]


def test_a_function_without_any_language_is_kept():
    pool = memory_pool()
    hash = put_v0(pool, {"eng": ENGLISH}, name_mappings={}, docstrings={}, alias_mappings={})
    report = pool.migrate()
    assert [f.hash for f in report.failed] == [hash]
    assert pool.reader.schemas(hash) == [Schema.V0]


def test_the_hostile_languages_of_v0_stay_inside():
    pool = memory_pool()
    names = normalize(ENGLISH, 1)[0].name_mapping
    hash = put_v0(
        pool,
        {"eng": ENGLISH},
        name_mappings={"../../x": names, "/": names, "\0": names},
        docstrings={},
        alias_mappings={},
    )
    pool.migrate()
    assert pool.languages(hash) == ["\0", "../../x", "/"]
    assert all(path.startswith(pool.layout.folder(hash)) for path in tree(pool.store))


def test_a_v0_file_with_the_hash_of_another_function_is_kept():
    pool = memory_pool()
    _, data, _ = v0_file({"eng": ENGLISH})
    pool.store.put("functions/objects/ab/" + "c" * 62 + ".json", data)
    report = pool.migrate()
    assert isinstance(report.failed[0].error, HoldfastError)
    assert pool.store.exists("functions/objects/ab/" + "c" * 62 + ".json")


def test_progress_is_told_and_each_part_is_announced():
    ledger, seen = Ledger(), []
    pool = memory_pool(sink=ledger)
    fill(pool, 230)
    pool.migrate(progress=seen.append)
    assert seen == [100, 200, 230]
    assert [(r.message, len(r.objects)) for r in ledger.records] == [
        ("migrate", 200),
        ("migrate", 200),
        ("migrate", 60),
    ]
    assert pool.validate().ok
