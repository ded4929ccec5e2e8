"""The file of a Zarr commit, and the rules of conflicts, as pure functions."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import HoldfastError, Integrity, Invalid, ManifestInvalid, Unsupported
from holdfast.interop.zarr_conflicts import clash
from holdfast.interop.zarr_pack import (
    FOOTER,
    MAGIC,
    Layer,
    Placed,
    decode_index,
    encode_index,
    index_range,
    merge,
    resolve,
)

SHA = hashlib.sha256(b"x").hexdigest()


def test_the_bytes_of_an_index_are_those_of_its_page():
    keys = {"t/c/0": Placed("", 8, 4, SHA), "t/c/1": Placed("d/a", 9, 2, SHA), "t/c/2": None}
    data = encode_index([Layer("d/b", {})], keys)
    index = (
        f'{{"format":1,"keys":{{"t/c/0":[0,8,4,"{SHA}"],"t/c/1":[1,9,2,"{SHA}"],"t/c/2":null}},'
        '"layers":["d/b"],"packs":["d/a"]}'
    ).encode()
    assert data == (
        index + len(index).to_bytes(8, "little") + hashlib.sha256(index).digest() + b"HFZARR1\n"
    )
    offset, length, digest = index_range(data[-FOOTER.size :], 8 + len(data), "d/me")
    assert (offset, length) == (8, len(index))
    below, found = decode_index(index, digest, "d/me")
    assert below == ["d/b"]
    assert found == keys | {"t/c/0": Placed("d/me", 8, 4, SHA)}


CHANGES = st.dictionaries(st.sampled_from("abcdefghij"), st.one_of(st.none(), st.integers(0, 9)))


@given(st.lists(CHANGES, max_size=40))
def test_layers_give_what_the_changes_gave_one_after_the_other(history):
    layers: list[Layer] = []
    expected: dict[str, Placed] = {}
    for number, changes in enumerate(history):
        placed = {
            k: None if v is None else Placed(f"p{number}", v, 1, SHA) for k, v in changes.items()
        }
        below, keys = merge(layers, placed)
        layers = [*below, Layer(f"p{number}", keys)]
        expected = {k: v for k, v in {**expected, **placed}.items() if v is not None}
        assert resolve(layers) == expected
        sizes = [len(layer.keys) for layer in layers]
        assert all(one > 2 * other for one, other in pairwise(sizes))


def wrong(change):
    index = {"format": 1, "keys": {"k": [0, 8, 4, SHA]}, "layers": [], "packs": []}
    change(index)
    return json.dumps(index).encode()


HOSTILE = {
    "pack": (lambda i: i["keys"].update(k=[1, 8, 4, SHA]), ManifestInvalid),
    "negative": (lambda i: i["keys"].update(k=[0, -8, 4, SHA]), ManifestInvalid),
    "short": (lambda i: i["keys"].update(k=[0, 8]), ManifestInvalid),
    "digest": (lambda i: i["keys"].update(k=[0, 8, 4, "x"]), ManifestInvalid),
    "keys": (lambda i: i.update(keys=[]), ManifestInvalid),
    "layers": (lambda i: i.update(layers=[1]), ManifestInvalid),
    "many layers": (lambda i: i.update(layers=["a"] * 65), ManifestInvalid),
    "format": (lambda i: i.update(format=2), Unsupported),
}


@pytest.mark.parametrize(("change", "kind"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_index_is_refused(change, kind):
    data = wrong(change)
    with pytest.raises(kind):
        decode_index(data, hashlib.sha256(data).hexdigest(), "d/me")


@given(st.binary(max_size=200))
def test_any_bytes_are_an_index_or_a_typed_error(data):
    try:
        decode_index(data, hashlib.sha256(data).hexdigest(), "d/me")
        index_range(data[-FOOTER.size :], len(data), "d/me")
    except HoldfastError:
        pass


def test_a_footer_that_cannot_be_is_damage_and_another_file_is_invalid():
    with pytest.raises(Integrity):
        index_range(FOOTER.pack(10, bytes(32), MAGIC), 57, "d/me")
    with pytest.raises(Invalid):
        index_range(b"x" * FOOTER.size, 1000, "d/me")


def at(value):
    return Placed("p", 0, 1, hashlib.sha256(repr(value).encode()).hexdigest())


STATES = st.dictionaries(
    st.sampled_from(["zarr.json", "v/zarr.json", "v/c/0", "v/c/1", "w/zarr.json", "w/c/0"]),
    st.integers(0, 2),
)


@given(STATES, STATES, STATES)
def test_a_commit_that_is_let_through_loses_no_change_and_reads_like_one_after_the_other(
    base, theirs, ours
):
    before = {k: at(v) for k, v in base.items()}
    latest = before | {k: at(v) for k, v in theirs.items()}
    changes = {k: at(v) for k, v in ours.items()}
    found = clash(before, latest, changes, (), lambda p: True)
    if found is not None:
        assert latest != before
        return
    for key in changes:
        changed = latest.get(key) != before.get(key)
        assert not changed or (key.endswith("zarr.json") and latest[key] == changes[key])
    for key in changes:
        if "/c/" in key:
            document = f"{key.split('/')[0]}/zarr.json"
            assert latest.get(document) == before.get(document) or (
                changes.get(document) == latest.get(document)
            )


@given(STATES, STATES)
def test_nothing_conflicts_where_nobody_else_committed(base, ours):
    before = {k: at(v) for k, v in base.items()}
    changes = {k: at(v) for k, v in ours.items()}
    assert clash(before, dict(before), changes, ("", "v/"), lambda p: True) is None
