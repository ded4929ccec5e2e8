"""Tags: create-only names for snapshots, told to the ledger."""

from __future__ import annotations

import json

import pytest

from care_support import STORES, dataset, store_of, write_days
from holdfast.datasets.layout import DEFAULT, FLAT, HIVE
from holdfast.datasets.tags import decode_tag
from holdfast.errors import AlreadyExists, Denied, Invalid, ManifestInvalid, NotFound


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return store_of(request.param, tmp_path)


@pytest.fixture(params=[True, False], ids=["ledger", "alone"])
def ledger(request):
    return request.param


def test_a_tag_names_the_latest_snapshot_or_another(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    one, two = write_days(ds, clock, 2)
    ds.tag("newest")
    ds.tag("first", one, message="the first one")
    assert {name: tag.snapshot_id for name, tag in ds.tags().items()} == {
        "first": one.id,
        "newest": two.id,
    }
    first = ds.tags()["first"]
    assert (first.author, first.message) == ("tester", "the first one")
    assert first.manifest_sha256 == one.manifest_sha256
    again, _ = dataset(store, ledger=ledger)
    assert again.at("first") == one


def test_a_tag_is_never_moved_by_accident(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    one, two = write_days(ds, clock, 2)
    ds.tag("release", one)
    with pytest.raises(AlreadyExists, match="move=True"):
        ds.tag("release", two)
    assert ds.at("release") == one
    ds.tag("release", two, move=True)
    assert ds.at("release") == two
    ds.tag("new", one, move=True)
    assert ds.at("new") == one


def test_a_tag_that_is_taken_away_is_gone(store, ledger):
    ds, clock = dataset(store, ledger=ledger)
    write_days(ds, clock, 1)
    ds.tag("release")
    assert ds.untag("release").name == "release"
    assert ds.tags() == {}
    with pytest.raises(NotFound):
        ds.untag("release")
    with pytest.raises(NotFound):
        ds.at("release")


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "ä", "x" * 129, "a b", "a\n"])
def test_a_name_that_is_none_is_refused(store, name):
    ds, clock = dataset(store)
    write_days(ds, clock, 1)
    with pytest.raises(Invalid):
        ds.tag(name)


@pytest.mark.parametrize("layout", ["default", "hive", "flat"])
@pytest.mark.parametrize("id", ["d", "segments", "snapshots"])
@pytest.mark.parametrize("name", ["manifest.json", "latest", "data", "manifest"])
def test_no_tag_is_taken_for_a_manifest_a_dataset_or_a_partition(store, layout, id, name):
    options = {"partition_by": "n"} if layout == "hive" else {"layout": layout}
    ds, clock = dataset(store, name=id, ledger=False, **options)
    (one,) = write_days(ds, clock, 1)
    ds.tag(name)
    for other in (DEFAULT, HIVE, FLAT):
        tags = [e.path for e in store.list(ds.chain.places.folder) if "/tags/" in e.path]
        assert len(tags) == 1
        assert [other.parse_manifest(path) for path in tags] == [None]
    assert ds.chain.ids() == [one.id]
    if layout != "flat":
        assert ds.layout.datasets(store) == [id]
    assert len(ds.layout.partitions(store, id)) == (layout == "hive")
    assert ds.at(name) == one


def test_the_ledger_is_told_and_the_newest_snapshot_stays_the_newest_commit(store):
    ds, clock = dataset(store)
    (one,) = write_days(ds, clock, 1)
    ds.tag("release", message="out")
    ds.untag("release")
    sink = ds.chain.sink
    told = [r for _, r in sink.commits(name="d/tags")]
    assert [r.id.partition("#")[0] for r in told] == ["release@", f"release@{one.id}"]
    assert told[1].message == "out"
    assert sink.last_commit("dataset", "d")[1] == one.id
    assert ds.latest() == one


def test_a_tag_of_nothing_is_refused(store):
    ds, clock = dataset(store)
    write_days(ds, clock, 1)
    with pytest.raises(NotFound):
        ds.tag("release", "17")
    assert ds.tags() == {}


def test_an_expired_snapshot_cannot_be_tagged(store):
    ds, clock = dataset(store)
    one, _ = write_days(ds, clock, 2)
    ds.expire(one)
    with pytest.raises(NotFound, match="expired"):
        ds.tag("release", one)
    assert ds.tags() == {}


def test_reading_only_sets_no_tag(store):
    ds, clock = dataset(store, ledger=False)
    write_days(ds, clock, 1)
    reader, _ = dataset(store, ledger=False, read_only=True)
    with pytest.raises(Denied):
        reader.tag("release")
    with pytest.raises(Denied):
        reader.untag("release")


def test_a_tag_is_canonical_json_with_these_fields(store):
    ds, clock = dataset(store)
    (one,) = write_days(ds, clock, 1)
    tag = ds.tag("release")
    data = store.get("datasets/d/tags/release.tag")
    assert (
        data
        == (
            f'{{"author":"tester","manifest_sha256":"{one.manifest_sha256}","message":null,'
            f'"name":"release","nonce":"{tag.nonce}","schema":"holdfast.tag/1",'
            f'"snapshot_id":"{one.id}","time":"{tag.time}"}}'
        ).encode()
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.pop("time"),
        lambda v: v.update(name="other"),
        lambda v: v.update(name=3),
        lambda v: v.update(snapshot_id="../x"),
        lambda v: v.update(time="yesterday"),
        lambda v: v.update(schema="holdfast.tag/2"),
        lambda v: v.update(message=[]),
    ],
)
def test_a_damaged_tag_is_named(store, change):
    ds, clock = dataset(store)
    write_days(ds, clock, 1)
    value = json.loads(ds.tag("release").to_bytes())
    change(value)
    data = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    with pytest.raises(ManifestInvalid, match=r"release\.tag"):
        decode_tag(data, "datasets/d/tags/release.tag")
    for garbage in (b"", b"[]", b"\xff", data[:-1], b"[" * 1000):
        with pytest.raises(ManifestInvalid):
            decode_tag(garbage, "datasets/d/tags/release.tag")
