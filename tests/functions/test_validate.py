import pytest

from functions.pools import ENGLISH, FRENCH, caller_of, file_pool, memory_pool
from holdfast.errors import NotFound
from holdfast.functions import Mapping, Source
from holdfast.functions.validate import check_part
from holdfast.records import Severity


def replace(pool, path, change):
    data = pool.store.get(path)
    changed = change(data)
    assert changed != data
    pool.store.compare_and_swap(path, data, changed)


def codes(validation):
    return {(f.code, f.path) for f in validation.findings}


@pytest.fixture
def pool():
    return memory_pool()


@pytest.fixture
def added(pool):
    (added,) = pool.add(ENGLISH, "eng", "comment")
    return added


def test_a_sound_pool_has_no_findings(pool, added):
    pool.add(FRENCH, "é" * 256)
    pool.add(caller_of(added.hash), "eng")
    pool.add(ENGLISH.replace("sum", "max"), "eng", normal_form=1)
    validation = pool.validate()
    assert (validation.checked, validation.findings, validation.ok) == (3, [], True)


def test_tampered_code_is_found(pool, added):
    path = pool.layout.object(added.hash)
    replace(pool, path, lambda data: data.replace(b"sum(", b"max("))
    assert codes(pool.validate()) == {("digest_mismatch", path)}
    assert pool.validate(added.hash).unsound == [added.hash]


def test_code_that_is_not_python_is_found(pool, added):
    path = pool.layout.object(added.hash)
    replace(pool, path, lambda data: data.replace(b"sum(", b"sum(("))
    assert codes(pool.validate()) == {("malformed", path)}


def test_another_normal_form_is_found(pool, added):
    path = pool.layout.object(added.hash)
    replace(pool, path, lambda data: data.replace(b'"normal_form": 2', b'"normal_form": 1'))
    assert ("digest_mismatch", path) in codes(pool.validate())


def test_dependencies_that_the_code_does_not_have_are_found(pool, added):
    path = pool.layout.object(added.hash)
    hashes = b'"dependencies": ["' + b"ab" * 32 + b'"]'
    replace(pool, path, lambda data: data.replace(b'"dependencies": []', hashes))
    assert codes(pool.validate()) == {("wrong_dependencies", path)}


@pytest.mark.parametrize("part", [b"comment", b"The mean", b"average"])
def test_a_changed_mapping_is_found(pool, added, part):
    path = pool.layout.mapping(added.hash, "eng", added.mapping_hash)
    replace(pool, path, lambda data: data.replace(part, part[::-1]))
    assert codes(pool.validate()) == {("manifest_invalid", path)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda names: {**names, "_holdfast_v_1": "class"}, "not a name"),
        (lambda names: {**names, "_holdfast_v_1": "average"}, "stands for"),
        (lambda names: {**names, "_holdfast_v_99": "extra"}, "not in the code"),
        (lambda names: {k: v for k, v in names.items() if k != "_holdfast_v_1"}, "has no name"),
    ],
)
def test_names_that_cannot_be_given_are_found(pool, added, change, message):
    known = pool.mappings(added.hash, "eng")[0].mapping
    mapping = Mapping("", change(known.name_mapping))
    path = pool.layout.mapping(added.hash, "fra", mapping.hash)
    pool.store.put(path, mapping.to_bytes())
    (finding,) = pool.validate().findings
    assert (finding.code, finding.path) == ("bad_name", path)
    assert message in finding.message


def test_the_alias_of_something_else_is_found(pool, added):
    known = pool.mappings(added.hash, "eng")[0].mapping
    mapping = Mapping("", known.name_mapping, {"ab" * 32: "helper", "x": "other"})
    path = pool.layout.mapping(added.hash, "fra", mapping.hash)
    pool.store.put(path, mapping.to_bytes())
    messages = " ".join(f.message for f in pool.validate().findings)
    assert "not imported" in messages
    assert "not of a hash" in messages


def test_a_folder_of_no_language_is_found(pool, added):
    known = pool.mappings(added.hash, "eng")[0].mapping
    folder = pool.layout.folder(added.hash)
    tail = f"{known.hash[:2]}/{known.hash[2:]}/mapping.json"
    pool.store.put(f"{folder}/%2f/{tail}", known.to_bytes())
    pool.store.put(f"{folder}/~{'0' * 64}/{tail}", known.to_bytes())
    found = codes(pool.validate())
    assert ("bad_language", f"{folder}/%2f") in found
    assert ("missing", f"{folder}/~{'0' * 64}/language.json") in found


def test_a_function_without_mappings_is_found(pool, added):
    pool.store.delete(pool.layout.mapping(added.hash, "eng", added.mapping_hash))
    path = pool.layout.object(added.hash)
    assert codes(pool.validate()) == {("no_mapping", path)}


def test_mappings_without_a_function_are_a_warning(pool, added):
    pool.store.delete(pool.layout.object(added.hash))
    validation = pool.validate()
    assert [(f.severity, f.code) for f in validation.findings] == [(Severity.WARNING, "unfinished")]
    assert (validation.checked, validation.ok) == (0, True)


def test_strange_files_are_a_warning(pool, added):
    strange = [
        "functions/objects/note.txt",
        f"functions/objects/{added.hash[:2]}/note.txt",
        f"{pool.layout.folder(added.hash)}/note.txt",
        "functions/objects/zz/x/object.json",
    ]
    for path in strange:
        pool.store.put(path, b"?")
    validation = pool.validate()
    assert {f.path for f in validation.findings} == set(strange)
    assert validation.ok


def test_a_missing_dependency_is_a_warning(pool):
    (added,) = pool.add(caller_of("ab" * 32), "eng")
    for validation in (pool.validate(), pool.validate(added.hash[:10])):
        assert [(f.severity, f.code) for f in validation.findings] == [
            (Severity.WARNING, "missing_dependency")
        ]
        assert validation.ok


def test_what_is_not_there_cannot_be_validated(pool, added):
    with pytest.raises(NotFound):
        pool.validate("0" * 64)


def test_processes_find_what_one_process_finds(tmp_path):
    pool = file_pool(tmp_path, "functions")
    pool.add_many(Source(f"def f(x):\n    return x + {i}\n", "eng") for i in range(700))
    hashes = list(pool.list())
    for hash in hashes[::100]:
        path = pool.layout.object(hash)
        replace(pool, path, lambda data: data.replace(b"return", b"assert"))
    pool.add(caller_of("ab" * 32), "eng")
    alone = pool.validate(jobs=1)

    from holdfast.functions.processes import check_in_processes

    names = sorted({hash[:2] for hash in pool.list()})
    parts = list(check_in_processes(pool.store, pool.layout, names, 2))
    assert sum(p.checked for p in parts) == alone.checked == 701
    assert sorted(h for p in parts for h in p.unsound) == alone.unsound == hashes[::100]
    assert {d for p in parts for d in p.dependencies} == {"ab" * 32}
    one = check_part(pool.store, pool.layout, names[0])
    assert one in parts
