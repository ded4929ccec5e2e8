import pytest

from functions.pools import (
    ENGLISH,
    FRENCH,
    SPANISH,
    Ledger,
    caller_of,
    errors,
    file_pool,
    memory_pool,
    tree,
)
from holdfast.errors import Denied, HoldfastError, Integrity, Invalid, NotFound
from holdfast.functions import FunctionPool, Source, normalize
from holdfast.functions.layout import Schema
from runs_support import NoLeases, Ticks

HOSTILE = [
    "..",
    "../..",
    "/etc",
    "a/b",
    ".",
    "~" + "0" * 64,
    "e\nx\0",
    "\\",
    "object.json",
    "é" * 256,
]


@pytest.fixture(params=["memory", "files", "no leases"])
def pool(request, tmp_path):
    if request.param == "files":
        return file_pool(tmp_path / "pool", "functions")
    if request.param == "no leases":
        return FunctionPool(NoLeases(), clock=Ticks(), author="ada")
    return memory_pool()


def only(added):
    (one,) = added
    return one


def test_one_function_in_three_languages_has_one_hash(pool):
    added = [
        only(pool.add(source, language))
        for source, language in ((ENGLISH, "eng"), (FRENCH, "fra"), (SPANISH, "spa"))
    ]
    assert len({a.hash for a in added}) == 1
    assert [(a.name, a.new, a.new_mapping) for a in added] == [
        ("average", True, True),
        ("moyenne", False, True),
        ("promedio", False, True),
    ]
    assert pool.languages(added[0].hash) == ["eng", "fra", "spa"]
    assert list(pool.list()) == [added[0].hash]
    for source, language in ((ENGLISH, "eng"), (FRENCH, "fra"), (SPANISH, "spa")):
        assert pool.show(f"{added[0].hash}@{language}").text == source


def test_an_object_never_changes_and_a_language_adds_a_file(pool):
    pool.add(ENGLISH, "eng", tags=["b", "a", "b"])
    before = tree(pool.store)
    pool.add(FRENCH, "fra", author="somebody else", tags=["c"])
    after = tree(pool.store)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 1
    (hash,) = pool.list()
    assert pool.object(hash).author == "ada"
    assert pool.object(hash).tags == ("a", "b")


def test_adding_the_same_again_changes_nothing(pool):
    pool.add(ENGLISH, "eng", "first")
    before = tree(pool.store)
    again = only(pool.add(ENGLISH, "eng", "first"))
    assert (again.new, again.new_mapping) == (False, False)
    assert tree(pool.store) == before


def test_a_language_has_any_number_of_mappings(pool):
    first = only(pool.add(ENGLISH, "eng", "formal"))
    second = only(pool.add(ENGLISH.replace("total", "sum_"), "eng", "casual"))
    third = only(pool.add(ENGLISH, "eng"))
    assert first.hash == second.hash == third.hash
    found = pool.mappings(first.hash, "eng")
    assert {m.comment for m in found} == {"formal", "casual", ""}
    assert len({first.mapping_hash, second.mapping_hash, third.mapping_hash}) == 3


@pytest.mark.parametrize("language", HOSTILE)
def test_a_hostile_language_is_kept_inside_the_folder(pool, language):
    added = only(pool.add(ENGLISH, language))
    folder = pool.layout.folder(added.hash)
    assert all(path.startswith(folder + "/") for path in tree(pool.store))
    assert pool.languages(added.hash) == [language]
    assert pool.show(f"{added.hash}@{language}").text == ENGLISH
    assert pool.validate().ok


@pytest.mark.parametrize("language", ["", "x" * 257, "\ud800"])
def test_what_is_no_language_is_refused_and_nothing_is_written(pool, language):
    with pytest.raises(Invalid):
        pool.add(ENGLISH, language)
    assert tree(pool.store) == {}


@pytest.mark.parametrize(
    "what", ["../../../etc/passwd@eng", "..@eng", "", "@eng", "ABCD@eng", "zz", "\0"]
)
def test_a_hostile_hash_is_refused(pool, what):
    pool.add(ENGLISH, "eng")
    with pytest.raises((Invalid, NotFound)):
        pool.show(what)


@pytest.mark.parametrize(
    "source",
    [
        "def f(:\n",
        b"\xff\xfe",
        "def f():\n    return '\x00'\n",
        "",
        "x = 1\n",
        "def f():\n    return " + "(" * 10_000 + "1" + ")" * 10_000 + "\n",
        "def f():\n    '\\ud800'\n    return 1\n",
    ],
    ids=["syntax", "encoding", "nul", "empty", "no function", "deep", "surrogate in docstring"],
)
def test_a_source_that_cannot_be_kept_is_refused_and_nothing_is_written(pool, source):
    with pytest.raises(HoldfastError):
        pool.add(source, "eng")
    assert tree(pool.store) == {}


def test_nothing_is_executed(pool, tmp_path):
    mark = tmp_path / "executed"
    source = f"def f(a=open({str(mark)!r}, 'w')):\n    return a\n"
    (added,) = pool.add(source, "eng")
    pool.show(f"{added.hash}@eng")
    pool.validate()
    pool.search("f")
    assert not mark.exists()


def test_several_functions_of_a_file_are_several(pool):
    source = "def double(x):\n    return x * 2\n\n\ndef four(x):\n    return double(double(x))\n"
    double, four = pool.add(source, "eng")
    assert (double.name, four.name) == ("double", "four")
    assert pool.dependencies(four.hash) == [double.hash]
    assert pool.callers(double.hash) == [four.hash]
    assert pool.object(four.hash).dependencies == (double.hash,)


def test_prefixes_that_name_one_function_are_accepted(pool):
    added = only(pool.add(ENGLISH, "eng"))
    assert pool.find(added.hash[:6]) == added.hash
    assert pool.show(f"{added.hash[:6]}@eng").text == ENGLISH
    assert pool.show(f"{added.hash[:6]}@eng@{added.mapping_hash[:6]}").text == ENGLISH
    with pytest.raises(NotFound):
        pool.find(("0" if added.hash[0] != "0" else "1") * 8)


def test_an_ambiguous_prefix_is_refused_with_what_it_may_mean(pool):
    hashes = {}
    for number in range(40):
        hash = only(pool.add(f"def f():\n    return {number}\n", "eng")).hash
        if hash[0] in hashes:
            with pytest.raises(Invalid, match=f"{min(hash, hashes[hash[0]])}"):
                pool.find(hash[0])
            return
        hashes[hash[0]] = hash
    pytest.fail("forty hashes begin with different digits")


def test_many_are_added_at_once_in_order(pool):
    sources = [Source(f"def f_{i}(x):\n    return x + {i}\n", "eng") for i in range(60)]
    added = pool.add_many([*sources, sources[0]])
    assert [a.name for a in added] == [f"f_{i}" for i in range(60)] + ["f_0"]
    assert [a.new for a in added] == [True] * 60 + [False]
    assert sorted({a.hash for a in added}) == list(pool.list())
    assert pool.validate().ok


def test_a_bad_source_among_many_is_named_and_loses_no_other(pool):
    sources = [Source(f"def f(x):\n    return x + {i}\n", "eng") for i in range(600)]
    sources.append(Source("def broken(:\n", "eng", filename="broken.py"))
    with pytest.raises(Invalid, match=r"broken\.py"):
        pool.add_many(sources)
    assert len(list(pool.list())) >= 500
    assert pool.validate().ok


def test_the_same_function_in_normal_form_1_is_joined(pool):
    old = only(pool.add(ENGLISH, "eng", normal_form=1))
    joined = only(pool.add(FRENCH, "fra"))
    assert (joined.hash, joined.normal_form, joined.new) == (old.hash, 1, False)
    assert pool.show(f"{old.hash}@fra").text.strip() == FRENCH.strip()


def test_a_function_that_only_shares_its_normal_form_1_is_not_joined(pool):
    sine = "from math import *\n\ndef f(x):\n    return sin(x)\n"
    cosine = sine.replace("sin", "cos")
    (one,), (other,) = normalize(sine, 1), normalize(cosine, 1)
    assert one.hash == other.hash, "the flaw of normal form 1 that this is about"
    old = only(pool.add("def f(x):\n    return free(x)\n", "eng", normal_form=1))
    new = only(pool.add("def f(x):\n    return other(x)\n", "eng"))
    assert normalize("def f(x):\n    return other(x)\n", 1)[0].hash == old.hash
    assert (new.normal_form, new.new) == (2, True)


def test_translating_adds_a_mapping(pool):
    added = only(pool.add(ENGLISH, "eng"))
    names = {"average": "moyenne", "numbers": "nombres", "total": "somme"}
    translated = pool.translate(
        f"{added.hash}@eng", "fra", names, docstring="La moyenne des nombres.", comment="c"
    )
    assert (translated.name, translated.new, translated.new_mapping) == ("moyenne", False, True)
    assert pool.show(f"{added.hash}@fra").text == FRENCH
    # As if the French source had been added.
    assert only(pool.add(FRENCH, "fra", "c")).mapping_hash == translated.mapping_hash


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({"average": "not valid"}, "not a name"),
        ({"average": "class"}, "not a name"),
        ({"average": "numbers"}, "stands for"),
        ({"average": "ﬁ"}, "not a name"),
        ({"nothing": "x"}, "no name"),
        ({"total": "sum"}, "captures"),
        ({"numbers": "len"}, "captures"),
    ],
)
def test_names_that_cannot_be_given_are_refused(pool, names, why):
    added = only(pool.add(ENGLISH, "eng"))
    before = tree(pool.store)
    with pytest.raises(Invalid, match=why):
        pool.translate(f"{added.hash}@eng", "fra", names)
    assert tree(pool.store) == before


def test_the_alias_of_a_dependency_is_translated(pool):
    added = only(pool.add(ENGLISH, "eng"))
    caller = only(pool.add(caller_of(added.hash), "eng"))
    with pytest.raises(Invalid, match="no dependency"):
        pool.translate(f"{caller.hash}@eng", "fra", {}, aliases={"0" * 64: "x"})
    pool.translate(
        f"{caller.hash}@eng", "fra", {"value": "valeur"}, aliases={added.hash: "moyenne"}
    )
    assert "return moyenne([valeur, valeur + 1])" in pool.show(f"{caller.hash}@fra").text


def test_loading_gives_all_that_is_known(pool):
    added = only(pool.add(ENGLISH, "eng", "why"))
    loaded = pool.load(f"{added.hash}@eng")
    assert (loaded.source.strip(), loaded.mapping.comment) == (ENGLISH.strip(), "why")
    assert loaded.schema is Schema.V1
    with pytest.raises(Invalid, match="no language"):
        pool.load(added.hash)
    with pytest.raises(NotFound, match="eng"):
        pool.load(f"{added.hash}@deu")
    pool.add(ENGLISH, "eng", "other")
    with pytest.raises(Invalid, match="2 mappings"):
        pool.load(f"{added.hash}@eng")


def test_a_damaged_object_is_not_shown(pool):
    added = only(pool.add(ENGLISH, "eng"))
    path = pool.layout.object(added.hash)
    data = pool.store.get(path)
    pool.store.compare_and_swap(path, data, data.replace(b"sum(", b"max("))
    with pytest.raises(Integrity):
        pool.show(f"{added.hash}@eng")


def test_a_read_only_pool_refuses_to_write_and_reads(tmp_path):
    added = only(file_pool(tmp_path).add(ENGLISH, "eng"))
    pool = file_pool(tmp_path, read_only=True)
    for write in (
        lambda: pool.add(FRENCH, "fra"),
        lambda: pool.translate(f"{added.hash}@eng", "fra", {}),
        pool.migrate,
        pool.repair,
        lambda: pool.collect(dry_run=False),
    ):
        with pytest.raises(Denied):
            write()
    assert pool.show(f"{added.hash}@eng").text == ENGLISH
    assert pool.migrate(dry_run=True).ok


def test_each_addition_is_announced_once():
    ledger = Ledger()
    pool = memory_pool(sink=ledger)
    added = only(pool.add(ENGLISH, "eng", author="eve"))
    assert added.logseq == 1
    assert only(pool.add(ENGLISH, "eng")).logseq == 1
    assert only(pool.add(FRENCH, "fra")).logseq == 2
    pool.add_many([Source(f"def f(x):\n    return x + {i}\n", "eng") for i in range(50)])
    assert [(r.model, r.name, r.author) for r in ledger.records] == [
        ("function", added.hash, "eve"),
        ("function", added.hash, "ada"),
        ("function", "batch", "ada"),
    ]
    for record in ledger.records:
        for fixed in record.objects:
            assert len(pool.store.get(fixed.path)) == fixed.size
    assert len(ledger.records[2].objects) == 100
    assert [f for f in pool.verify() if hasattr(f, "code")] == []


def test_the_log_tells_what_was_added():
    pool = memory_pool(sink=Ledger())
    added = only(pool.add(ENGLISH, "eng"))
    other = only(pool.add("def g():\n    return 1\n", "eng"))
    pool.translate(f"{added.hash}@eng", "é" * 256, {"total": "somme"})
    events = [(e.hash, e.message, e.languages, e.logseq) for e in pool.log()]
    assert events == [
        (added.hash, "translate", ("é" * 256,), 3),
        (other.hash, "add", ("eng",), 2),
        (added.hash, "add", ("eng",), 1),
    ]
    assert [e.logseq for e in pool.log(added.hash[:8])] == [3, 1]
    assert len(list(pool.log(limit=1))) == 1


def test_without_a_ledger_the_log_tells_when_objects_were_made():
    pool = memory_pool()
    first = only(pool.add(ENGLISH, "eng"))
    second = only(pool.add("def g():\n    return 1\n", "eng"))
    assert [(e.hash, e.message) for e in pool.log()] == [
        (second.hash, "created"),
        (first.hash, "created"),
    ]


def test_a_torn_mapping_that_a_dead_process_left_is_made_good(pool):
    (function,) = normalize(ENGLISH)
    reference = memory_pool()
    added = only(reference.add(ENGLISH, "eng"))
    path = pool.layout.mapping(added.hash, "eng", added.mapping_hash)
    pool.store.put(path, b'{"docs')
    assert list(pool.list()) == []
    assert [f.code for f in pool.validate().findings] == ["unfinished"]
    pool.add(ENGLISH, "eng")
    assert pool.show(f"{function.hash}@eng").text == ENGLISH
    assert pool.validate().ok


@pytest.mark.parametrize("torn", ["mapping.json", "language.json"])
def test_what_a_dead_process_left_in_other_languages_does_no_harm(tmp_path, torn):
    pool, reference = file_pool(tmp_path), memory_pool(prefix="")
    whole = only(reference.add(FRENCH, "fra"))
    reference.add(SPANISH, "é" * 256)
    for path, data in tree(reference.store).items():
        if not path.endswith("object.json"):
            is_torn = "/~" in path and path.endswith(torn)
            pool.store.put(path, b"{" if is_torn else data)
    pool.add(ENGLISH, "eng")
    assert pool.languages(whole.hash) == ["eng", "fra"]
    assert pool.show(f"{whole.hash}@fra").text == FRENCH
    assert errors(pool.validate().findings) == []
    pool.add(SPANISH, "é" * 256)
    assert pool.show(f"{whole.hash}@{'é' * 256}").text == SPANISH


def test_a_damaged_mapping_is_never_written_over(pool):
    added = only(pool.add(ENGLISH, "eng"))
    path = pool.layout.mapping(added.hash, "eng", added.mapping_hash)
    data = pool.store.get(path)
    pool.store.compare_and_swap(path, data, b"{}")
    with pytest.raises(HoldfastError):
        pool.add(ENGLISH, "eng")
    assert pool.store.get(path) == b"{}"
