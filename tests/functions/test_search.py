import pytest

from functions.pools import ENGLISH, FRENCH, Ledger, file_pool, memory_pool
from holdfast.errors import Invalid
from holdfast.functions import Source


@pytest.fixture(params=["memory", "file", "ledger", "ledger and file"])
def pool(request, tmp_path):
    options = {}
    if "file" in request.param:
        options["cache"] = str(tmp_path / "cache")
    if "ledger" in request.param:
        options["sink"] = Ledger()
    return file_pool(tmp_path / "pool", **options)


def names(hits):
    return {(h.name, h.language) for h in hits}


def test_names_docstrings_comments_and_code_of_all_languages_are_found(pool):
    pool.add(ENGLISH, "eng", "elementary statistics")
    pool.add(FRENCH, "fra")
    assert names(pool.search("average")) == {("average", "eng")}
    assert names(pool.search("moyenne")) == {("moyenne", "fra")}
    assert names(pool.search("nombres")) == {("moyenne", "fra")}
    assert names(pool.search("the mean")) == {("average", "eng")}
    assert names(pool.search("statistics")) == {("average", "eng")}
    assert names(pool.search("sum len")) == {("average", "eng"), ("moyenne", "fra")}
    assert names(pool.search("sum len", language="fra")) == {("moyenne", "fra")}
    assert names(pool.search("average moyenne")) == set()
    assert names(pool.search("aver")) == {("average", "eng")}
    (hit,) = pool.search("average")
    assert (hit.summary, hit.comment) == ("The mean of numbers.", "elementary statistics")
    assert pool.show(f"{hit.hash}@{hit.language}@{hit.mapping_hash}").text == ENGLISH


def test_what_is_added_after_a_search_is_found(pool):
    assert pool.search("average") == []
    pool.add(ENGLISH, "eng")
    assert names(pool.search("average")) == {("average", "eng")}
    (hash,) = pool.list()
    pool.translate(f"{hash}@eng", "fra", {"average": "moyenne"})
    assert names(pool.search("moyenne")) == {("moyenne", "fra")}
    assert len(pool.search("numbers")) == 2


def test_words_are_found_without_accents_and_in_compound_names(pool):
    pool.add("def calculateSumUp(élève):\n    return snake_case_name(élève)\n", "fra")
    for query in ("eleve", "snake", "case", "sum", "ELEVE", "snake_case", "calculateSumUp"):
        assert len(pool.search(query)) == 1, query


@pytest.mark.parametrize(
    "query",
    ['"', "a OR b", "NEAR(a b)", "name:a", "* ^a", "a AND", "(", "-a", "a'; DROP TABLE rows; --"],
)
def test_nothing_in_a_query_is_an_operator(pool, query):
    pool.add("def f(a, b):\n    return a\n", "eng")
    try:
        found = pool.search(query)
    except Invalid:
        assert not any(c.isalnum() for c in query)
    else:
        assert len(found) <= 1
    assert len(pool.search("a")) == 1


@pytest.mark.parametrize("query", ["", "  ", "!?", "x" * 1001])
def test_a_query_without_words_is_refused(pool, query):
    with pytest.raises(Invalid):
        pool.search(query)


def test_the_name_counts_most(pool):
    pool.add("def other(x):\n    '''sorting'''\n    return sorting(sorting(x))\n", "eng")
    pool.add("def sorting(x):\n    return x\n", "eng")
    assert pool.search("sorting")[0].name == "sorting"
    assert len(pool.search("sorting", limit=1)) == 1


def test_another_process_sees_what_this_one_adds(tmp_path):
    cache = str(tmp_path / "cache")
    one = file_pool(tmp_path / "pool", cache=cache)
    other = file_pool(tmp_path / "pool", cache=cache)
    assert one.search("average") == other.search("average") == []
    one.add(ENGLISH, "eng")
    assert len(other.search("average")) == 1
    assert len(one.search("average")) == 1


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 100, None])
def test_a_lost_or_damaged_index_is_made_anew(tmp_path, damage):
    cache = tmp_path / "cache"
    pool = file_pool(tmp_path / "pool", cache=str(cache))
    pool.add(ENGLISH, "eng")
    assert len(pool.search("average")) == 1
    pool.close()
    index = cache / "functions.sqlite"
    if damage is None:
        index.unlink()
    else:
        index.write_bytes(damage)
    assert len(pool.search("average")) == 1


def test_a_half_overwritten_index_is_made_anew(tmp_path):
    cache = tmp_path / "cache"
    pool = file_pool(tmp_path / "pool", cache=str(cache))
    pool.add_many(Source(f"def f_{i}(x):\n    return x + {i}\n", "eng") for i in range(40))
    assert len(pool.search("return", limit=100)) == 40
    pool.close()
    index = cache / "functions.sqlite"
    data = bytearray(index.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    index.write_bytes(data)
    assert len(pool.search("return", limit=100)) == 40


def test_damaged_functions_do_not_stop_a_search():
    pool = memory_pool()
    pool.add(ENGLISH, "eng")
    pool.store.put(pool.layout.object("ab" * 32), b"{")
    assert len(pool.search("average")) == 1


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    pool = file_pool(tmp_path / "pool", cache=str(blocked / "cache"))
    pool.add(ENGLISH, "eng")
    assert len(pool.search("average")) == 1
    pool.add(FRENCH, "fra")
    assert len(pool.search("moyenne")) == 1
