"""Adding and migrating under a power loss at every moment.

What was acknowledged is there and sound; what was not is there whole or not at all; a function of
the old layout is there in every state, in one layout or the other.
"""

from __future__ import annotations

import pytest

from functions.pools import ENGLISH, FRENCH, SPANISH, errors, tree
from functions.test_migrate import v0_file
from holdfast.functions import FunctionPool, Source
from holdfast.functions.layout import Schema
from holdfast.ledger.ledger import Ledger
from holdfast.records import Finding
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls
from runs_support import Ticks

LONG = "é" * 256
MANY = [Source(f"def f(x):\n    return x + {i}\n", "eng") for i in range(10)]
OLD = [{"eng": ENGLISH, "fra": FRENCH, "a/b": SPANISH}, {"eng": "def g(x):\n    return x\n"}]


def open_pool(calls, *, ledger=False):
    store = FileSystemStore("/r/pool", calls=calls)
    sink = Ledger(store, clock=Ticks()) if ledger else None
    return FunctionPool(store, clock=Ticks(), author="ada", sink=sink)


def add_all(pool, acknowledge):
    """Facts: (HASH@LANGUAGE@MAPPING, its source)."""

    def vouch(added, source):
        what = f"{added.hash}@{added.language}@{added.mapping_hash}"
        acknowledge((what, source, added.logseq))

    vouch(pool.add(ENGLISH, "eng")[0], ENGLISH)
    vouch(pool.add(FRENCH, "fra")[0], FRENCH)
    vouch(pool.add(SPANISH, LONG)[0], SPANISH)
    for added, item in zip(pool.add_many(MANY), MANY, strict=True):
        vouch(added, item.source)


def check_sound(pool, story):
    """Nothing that is there is damaged, and all of it can be shown."""
    assert errors(pool.verify()) == [], story
    for hash in pool.list():
        languages = pool.languages(hash)
        assert languages, story
        for place in pool.reader.mapping_places(hash):
            assert pool.load_place(hash, place).source, story


@pytest.mark.parametrize(
    ("syncfs", "ledger"),
    [(True, False), (False, False), (True, True)],
    ids=["syncfs", "fsync", "ledger"],
)
def test_what_was_acknowledged_survives_and_nothing_is_half(syncfs, ledger):
    model = CrashCalls(syncfs=syncfs)
    add_all(open_pool(model, ledger=ledger), model.acknowledge)
    states = 0
    for state in model.crashes(limit=60 if ledger else 100):
        states += 1
        pool = open_pool(state, ledger=ledger)
        for what, source, logseq in state.acknowledged:
            assert pool.show(what).text == source, state.story
            if ledger:
                assert pool.anchor.sink.position() >= logseq, state.story
        check_sound(pool, state.story)
        list(pool.repair())
        # Whoever tries again gets it all, whatever was left behind.
        facts = []
        add_all(pool, facts.append)
        assert all(pool.show(what).text == source for what, source, _ in facts), state.story
        pool.collect(dry_run=False)
        assert [f for f in pool.verify() if isinstance(f, Finding)] == [], state.story
    assert states > 40


@pytest.mark.parametrize("syncfs", [True, False], ids=["syncfs", "fsync"])
@pytest.mark.parametrize("original", [False, True], ids=["v0", "original"])
def test_migrating_loses_no_function_at_any_moment(syncfs, original):
    model = CrashCalls(syncfs=syncfs)
    pool = open_pool(model)
    sources = {}
    for languages in OLD:
        path, data, hash = v0_file(languages)
        pool.store.put(f"functions/{path}", data)
        sources |= {f"{hash}@{language}": text for language, text in languages.items()}
    if original:
        as_the_original(pool)
    model.settle()
    before = tree(pool.store)
    model.acknowledge("begun")
    assert pool.migrate().ok
    model.acknowledge("done")
    states = 0
    for state in model.crashes(limit=250):
        states += 1
        later = open_pool(state)
        there = tree(later.store)
        for what, source in sources.items():
            assert later.show(what).text == source, state.story
        for path in before.keys() - there.keys():
            # What is gone was written in v1, and is sound there.
            hash = next(h for h in later.list() if h[2:] in path)
            assert later.reader.schemas(hash)[0] is Schema.V1, state.story
        assert errors(later.verify()) == [], state.story
        if "done" in state.acknowledged:
            assert not before.keys() & there.keys(), state.story
        assert later.migrate().ok, state.story
        assert all(later.reader.schemas(h) == [Schema.V1] for h in later.list()), state.story
        for what, source in sources.items():
            assert later.show(what).text == source, state.story
    assert states > 60


def as_the_original(pool):
    """Turn a v0 pool into one of the original's v1 layout."""
    for hash in list(pool.list()):
        found, _ = pool.reader.object(hash)
        places = pool.reader.mapping_places(hash)
        mappings = {p: pool.reader.mapping(hash, p) for p in places}
        data = found.to_bytes().replace(b'"created": ""', b'"created": "2025-01-01T00:00:00Z"')
        pool.store.put(pool.layout.object(hash, Schema.ORIGINAL), data)
        for place, mapping in mappings.items():
            path = pool.layout.mapping(hash, place.language, place.hash, Schema.ORIGINAL)
            pool.store.put(path, mapping.to_bytes())
        pool.store.delete(pool.layout.object(hash, Schema.V0))
