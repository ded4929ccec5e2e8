"""The original's pools: read, validated and migrated as recorded, where that was right."""

from __future__ import annotations

import json
from functools import cache

import pytest

from functions.fixtures import OUVERTURE, expected, needs_ouverture
from functions.pools import errors, fixture_pool, tree
from holdfast.errors import HoldfastError
from holdfast.functions import FunctionPool
from holdfast.functions.layout import Schema, parse_path
from holdfast.records import Severity
from holdfast.store.filesystem import FileSystemStore

pytestmark = needs_ouverture

DAMAGED_V0 = {
    "11": "Unterminated string",
    "22": "name_mappings",
    "33": "code with the hash",
    "44": "normalized_code",
    "55": "code with the hash",
    "66": "version 7",
    "77": "never closed",
    "88": "JSON list",
    "99": "code with the hash",
    "aa": "not UTF-8",
}
DAMAGED_V1 = {
    "11": ("manifest_invalid", "Unterminated string"),
    "22": ("manifest_invalid", "normalized_code"),
    "33": ("unsupported", "schema_version 2"),
    "44": ("no_mapping", "no mapping"),
    "55": ("no_mapping", "no mapping"),
    "66": ("manifest_invalid", "mapping.json"),
    "77": ("manifest_invalid", "docstring"),
    "88": ("digest_mismatch", "the code has the hash"),
    "99": ("manifest_invalid", "content with the hash"),
    "aa": ("unsupported", "encoding 'gzip'"),
    "bb": ("manifest_invalid", "the function 'ffff"),
    "cc": ("missing", "the object is gone"),
    "dd": ("manifest_invalid", "an unknown field 'extra'"),
}


def opened(name):
    return FunctionPool(FileSystemStore(OUVERTURE / name, read_only=True), "", read_only=True)


@cache
def recorded_cli():
    return json.loads((OUVERTURE / "expected_cli.json").read_text("utf-8"))


@pytest.mark.parametrize("name", ["pool_v0", "pool_v1"])
def test_every_read_gives_what_was_recorded(name):
    pool = opened(name)
    count = 0
    for read in expected()["reads"]:
        if read["pool"] != name or read["argv"][0] != "show":
            continue
        try:
            text = pool.show(read["argv"][1], "ouverture.py show").text
        except HoldfastError:
            text = None
        assert text == (None if read["exit"] else read["stdout"]), read["argv"]
        count += 1
    assert count >= 100


@pytest.mark.parametrize("name", ["pool_v0", "pool_v1"])
def test_a_sound_pool_validates(name):
    validation = opened(name).validate()
    assert (validation.checked, validation.unsound) == (90, [])
    assert {(f.severity, f.code) for f in validation.findings} == {
        (Severity.WARNING, "missing_dependency")
    }
    assert validation.ok


@pytest.mark.parametrize(
    "hash", ["b4f52910fb4b02ce1d65269bd404a5fcf66451f79d28e0094303f9e66f1e6faf"]
)
def test_one_function_validates(hash):
    for name in ("pool_v0", "pool_v1"):
        assert opened(name).validate(hash[:9]).ok


@pytest.mark.parametrize("two", DAMAGED_V1)
def test_each_damage_of_v1_is_a_named_finding(two):
    pool = opened("pool_damaged_v1")
    code, message = DAMAGED_V1[two]
    validation = pool.validate(two + "0" * 62)
    assert not validation.ok
    found = [f for f in validation.findings if f.code == code and message in f.message + f.path]
    assert found
    assert all(f.path.startswith(f"objects/sha256/{two}/") for f in found)


@pytest.mark.parametrize("two", DAMAGED_V1)
def test_each_damage_of_v1_is_a_typed_error_when_shown(two):
    pool = opened("pool_damaged_v1")
    for language in ("eng", "fra"):
        with pytest.raises(HoldfastError):
            pool.load(f"{two}{'0' * 62}@{language}")


def test_the_whole_damaged_pools_are_told():
    validation = opened("pool_damaged_v1").validate()
    assert {hash[:2] for hash in validation.unsound} == set(DAMAGED_V1)
    validation = opened("pool_damaged_v0").validate()
    assert {hash[:2] for hash in validation.unsound} == set(DAMAGED_V0)
    strays = {f.path for f in validation.findings if f.code == "unexpected_file"}
    assert strays == {
        "objects/README.txt",
        "objects/ab/note.txt",
        "objects/zz/not-a-hash.json",
    }


def test_the_cases_are_those_recorded():
    assert {h[:2] for h in recorded_cli()["damaged_v0"]["cases"]} == set(DAMAGED_V0)
    assert {h[:2] for h in recorded_cli()["damaged_v1"]["cases"]} == set(DAMAGED_V1)


def test_migrating_v0_moves_every_function_and_a_second_run_does_nothing(tmp_path):
    pool = fixture_pool("pool_v0", tmp_path)
    reads = [r for r in expected()["reads"] if r["pool"] == "pool_v0" and r["argv"][0] == "show"]
    before = {path: parse_path(path) for path in tree(pool.store)}
    report = pool.migrate()
    assert report.ok
    assert sorted(report.migrated) == sorted(p.hash for p in before.values())
    assert (len(report.migrated), report.deleted) == (90, 90)
    after = tree(pool.store)
    assert all(parse_path(path).schema is Schema.V1 for path in after)
    assert pool.validate().ok
    for read in reads:
        if not read["exit"]:
            assert pool.show(read["argv"][1], "ouverture.py show").text == read["stdout"]
    again = pool.migrate()
    assert (again.migrated, again.finished, again.kept, again.failed) == ([], [], [], [])
    assert tree(pool.store) == after


def test_migrating_v0_gives_the_recorded_mappings(tmp_path):
    pool = fixture_pool("pool_v0", tmp_path)
    pool.migrate()
    (run,) = [
        m
        for m in expected()["migrate"]
        if m["argv"] == ["migrate"] and m["pool"] == "pool_v0_migrated"
    ]
    recorded = set()
    for line in run["stdout"].splitlines():
        if line.startswith("Mapping saved (v1): "):
            path = line.partition("/")[2]
            place = parse_path(path)
            recorded.add((place.hash, place.language, place.mapping))
    ours = {
        (hash, place.language, place.hash)
        for hash in pool.list()
        for place in pool.reader.mapping_places(hash)
    }
    assert ours == recorded
    assert len(ours) == 104


def test_the_original_layout_is_migrated_with_its_metadata(tmp_path):
    pool = fixture_pool("pool_v1", tmp_path)
    before = {hash: pool.reader.object(hash)[0] for hash in pool.list()}
    places = {h: [(p.language, p.hash) for p in pool.reader.mapping_places(h)] for h in before}
    report = pool.migrate()
    assert report.ok
    assert (len(report.migrated), report.deleted) == (90, 211)
    for hash, old in before.items():
        found, schema = pool.reader.object(hash)
        assert schema is Schema.V1
        assert (found.normalized_code, found.created, found.author) == (
            old.normalized_code,
            old.created,
            old.author,
        )
        assert [(p.language, p.hash) for p in pool.reader.mapping_places(hash)] == places[hash]
    assert pool.validate().ok
    assert not any("sha256" in path for path in tree(pool.store))


@pytest.mark.parametrize("keep", [False, True])
def test_damaged_v0_functions_are_kept_and_named(tmp_path, keep):
    pool = fixture_pool("pool_damaged_v0", tmp_path)
    before = tree(pool.store)
    report = pool.migrate(keep_v0=keep)
    assert tree(pool.store) == before
    assert {
        f.hash[:2]: DAMAGED_V0[f.hash[:2]] in str(f.error) for f in report.failed
    } == dict.fromkeys(DAMAGED_V0, True)
    assert all(pool.store.exists(f.path) for f in report.failed)
    assert sorted(report.strays) == [
        "objects/README.txt",
        "objects/ab/note.txt",
        "objects/zz/not-a-hash.json",
    ]


def test_damaged_functions_of_the_original_layout_are_kept(tmp_path):
    pool = fixture_pool("pool_damaged_v1", tmp_path)
    before = tree(pool.store)
    report = pool.migrate()
    assert {f.hash[:2] for f in report.failed} == set(DAMAGED_V1)
    assert tree(pool.store) == before


def test_damaged_functions_harm_no_sound_one(tmp_path):
    pool = fixture_pool("pool_v0", tmp_path)
    for path in (OUVERTURE / "pool_damaged_v0").rglob("*"):
        if path.is_file():
            name = str(path.relative_to(OUVERTURE / "pool_damaged_v0"))
            pool.store.put(name, path.read_bytes())
    report = pool.migrate()
    assert len(report.migrated) == 90
    assert len(report.failed) == len(DAMAGED_V0)
    assert len(errors(pool.validate().findings)) >= len(DAMAGED_V0)


def test_a_translation_joins_a_function_of_the_original(tmp_path):
    pool = fixture_pool("pool_v0", tmp_path)
    hash = "b4f52910fb4b02ce1d65269bd404a5fcf66451f79d28e0094303f9e66f1e6faf"
    source = (
        "def rechne_summe(erste, zweite):\n"
        '    """Rechne."""\n'
        "    summe = erste + zweite\n"
        "    return summe\n"
    )
    (added,) = pool.add(source, "deu")
    assert (added.hash, added.normal_form) == (hash, 1)
    assert pool.languages(hash) == ["a/b", "deu", "eng", "fra", "spa", "é1x"]
    pool.migrate()
    assert pool.languages(hash) == ["a/b", "deu", "eng", "fra", "spa", "é1x"]
    assert pool.show(f"{hash}@deu").text == source


def test_translating_a_v0_function_migrates_it_first(tmp_path):
    pool = fixture_pool("pool_v0", tmp_path)
    hash = "b4f52910fb4b02ce1d65269bd404a5fcf66451f79d28e0094303f9e66f1e6faf"
    assert pool.show(f"{hash}@eng").schema is Schema.V0
    pool.translate(f"{hash}@eng", "deu", {"calculate_sum": "rechne"}, docstring="Rechne.")
    assert pool.reader.schemas(hash) == [Schema.V1]
    assert pool.languages(hash) == ["a/b", "deu", "eng", "fra", "spa", "é1x"]
