import pytest

from functions.pools import ENGLISH, FRENCH, Ledger, caller_of, memory_pool, tree
from holdfast.errors import Invalid, NotFound
from holdfast.functions.imports import dependencies_of, replace_dependencies

BETTER = "def average(numbers):\n    return 0 if not numbers else sum(numbers) / len(numbers)\n"


def build(pool, form):
    """old, new, and a caller of old in two languages, its caller, and that one's."""
    (old,) = pool.add(ENGLISH, "eng", normal_form=form)
    number = 0
    while True:
        # In normal form 1 a hash that begins with a digit cannot be imported.
        (new,) = pool.add(BETTER.replace("0 if", f"{number} if"), "eng", normal_form=form)
        if form == 2 or new.hash[0] in "abcdef":
            break
        number += 1
    return old, new


def test_all_callers_get_new_hashes_and_keep_their_names():
    pool = memory_pool(sink=Ledger())
    old, new = build(pool, 2)
    (first,) = pool.add(caller_of(old.hash, "average"), "eng", "why")
    pool.translate(
        f"{first.hash}@eng",
        "fra",
        {"caller": "appelant", "value": "valeur"},
        docstring="Appelle.",
        aliases={old.hash: "moyenne"},
    )
    (second,) = pool.add(caller_of(first.hash, "call_it", "upper"), "eng")
    (third,) = pool.add(
        f"from holdfast.pool import object_{first.hash} as a, object_{second.hash} as b\n\n"
        "def top(x):\n    return a(x) + b(x)\n",
        "eng",
    )
    (other,) = pool.add(caller_of(old.hash, "average", "another") + "    # other\n", "eng", "same")
    assert other.hash == first.hash
    before = tree(pool.store)
    done = pool.refactor(first.hash, old.hash, new.hash)
    assert set(done.replaced) == {first.hash, second.hash, third.hash}
    assert done.hash == done.replaced[first.hash]
    assert pool.dependencies(done.hash) == [new.hash]
    assert pool.dependencies(done.replaced[second.hash]) == [done.hash]
    assert pool.dependencies(done.replaced[third.hash]) == sorted(
        [done.hash, done.replaced[second.hash]]
    )
    shown = pool.show(f"{done.hash}@fra").text
    assert shown == pool.show(f"{first.hash}@fra").text.replace(old.hash, new.hash)
    assert "as moyenne" in shown
    assert {m.comment for m in pool.mappings(done.hash, "eng")} == {"why", "same"}
    # The old ones stay as they were.
    assert {path: tree(pool.store)[path] for path in before} == before
    assert pool.validate().ok
    assert pool.anchor.sink.records[-1].message == f"refactor {first.hash} {old.hash} {new.hash}"


def test_functions_in_normal_form_1_are_refactored_too():
    pool = memory_pool()
    old = None
    for number in range(40):
        (added,) = pool.add(f"def f(x):\n    return x + {number}\n", "eng", normal_form=1)
        if added.hash[0] in "abcdef":
            if old is not None:
                break
            old = added
    source = f"from ouverture.pool import {old.hash} as g\n\ndef f(x):\n    return g(x)\n"
    (caller,) = pool.add(source, "eng", normal_form=1)
    done = pool.refactor(caller.hash, old.hash, added.hash)
    assert pool.show(f"{done.hash}@eng").text == source.replace(old.hash, added.hash)
    assert pool.object(done.hash).normal_form == 1


def test_a_dry_run_writes_nothing():
    pool = memory_pool()
    old, new = build(pool, 2)
    (caller,) = pool.add(caller_of(old.hash), "eng")
    before = tree(pool.store)
    dry = pool.refactor(caller.hash, old.hash, new.hash, dry_run=True)
    assert tree(pool.store) == before
    assert pool.refactor(caller.hash, old.hash, new.hash).replaced == dry.replaced


def test_what_does_not_call_the_old_one_is_refused():
    pool = memory_pool()
    old, new = build(pool, 2)
    (caller,) = pool.add(caller_of(old.hash), "eng")
    (above,) = pool.add(caller_of(caller.hash), "eng")
    before = tree(pool.store)
    for what, a, b, error in (
        (old.hash, new.hash, caller.hash, Invalid),
        (caller.hash, new.hash, old.hash, Invalid),
        (caller.hash, old.hash, old.hash, Invalid),
        (caller.hash, old.hash, above.hash, Invalid),
        (caller.hash, old.hash, caller.hash, Invalid),
        (caller.hash, old.hash, "0" * 64, NotFound),
    ):
        with pytest.raises(error):
            pool.refactor(what, a, b)
    assert tree(pool.store) == before


def test_only_pool_imports_are_replaced():
    a, b, c = "aa" * 32, "bb" * 32, "cc" * 32
    source = (
        f"from holdfast.pool import object_{a} as é, object_{b} as g\n"
        f"from other import object_{a}\n"
        f"def f():\n    '{a}'\n    from ouverture.pool import {a} as h  # {a}\n"
        f"    return object_{a}\n"
    )
    changed = replace_dependencies(source, {a: b, b: c})
    assert changed == (
        f"from holdfast.pool import object_{b} as é, object_{c} as g\n"
        f"from other import object_{a}\n"
        f"def f():\n    '{a}'\n    from ouverture.pool import {b} as h  # {a}\n"
        f"    return object_{a}\n"
    )
    assert dependencies_of(source) == [a, b]
    with pytest.raises(Invalid):
        replace_dependencies(source, {c: a})


def test_a_review_sets_languages_side_by_side():
    pool = memory_pool()
    (added,) = pool.add(ENGLISH, "eng")
    pool.add(FRENCH, "fra")
    lines = pool.review(added.hash[:9]).text().splitlines()
    assert lines[0].split() == [
        f"eng@{added.mapping_hash[:12]}",
        "│",
        f"fra@{pool.mappings(added.hash, 'fra')[0].hash[:12]}",
    ]
    for line, english, french in zip(
        lines[2:], ENGLISH.splitlines(), FRENCH.splitlines(), strict=True
    ):
        left, _, right = line.partition("│")
        assert (left.rstrip(), right[2:].rstrip()) == (english, french)
    only = pool.review(added.hash, ["fra"])
    assert [c.language for c in only.columns] == ["fra"]
    with pytest.raises(NotFound):
        pool.review(added.hash, ["deu"])
