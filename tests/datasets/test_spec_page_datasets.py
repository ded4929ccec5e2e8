"""docs/spec/datasets.md and volumes.md: the bytes that they show are those that are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import Dataset, MemoryStore, Volume
from holdfast.datasets.partition import partition_segment
from holdfast.snapshotting.block_hashes import BlockHasher

PAGES = Path(__file__).resolve().parents[2] / "docs/spec"


class FixedClock:
    """A second later at each look, from the beginning of 2026 on."""

    def __init__(self):
        self.now = 1_767_225_599_000_000_000

    def now_ns(self):
        self.now += 1_000_000_000
        return self.now

    def monotonic(self):
        return self.now / 1e9


class FixedIds:
    """Random numbers that count upwards."""

    def __init__(self):
        self.count = 0

    def token(self, size):
        self.count += 1
        return f"{self.count:0{2 * size}x}"

    def u64(self):
        return 0

    def uuid4(self):
        return "00000000-0000-4000-8000-000000000000"


def wired():
    return {"clock": FixedClock(), "ids": FixedIds(), "author": "ana"}


def dataset_manifests():
    store = MemoryStore()
    dataset = Dataset("readings", store, codec="jsonl", **wired())
    first = dataset.write([{"n": 1, "at": "a<b"}], {"source": "s4"}, message="the first")
    second = dataset.append([{"n": 2.5, "at": None}])
    return [store.get(snapshot.manifest_path).decode() for snapshot in (first, second)]


def volume_manifest():
    store = MemoryStore()
    volume = Volume("disk", store, total_length=16, **wired())
    snapshot = volume.commit([volume.stage_write_at(4, b"abcd")], {"part": 2})
    return store.get(snapshot.manifest_path).decode()


def sidecar_dump():
    hasher = BlockHasher()
    hasher.update(bytes((1 << 20) + 1))
    data = hasher.sidecar()
    return "\n".join(data[at : at + 32].hex() for at in range(0, len(data), 32))


@pytest.mark.parametrize("number", [0, 1])
def test_the_manifests_on_the_page_of_datasets_are_those_that_are_written(number):
    page = (PAGES / "datasets.md").read_text()
    assert f"```json\n{dataset_manifests()[number]}\n```" in page


def test_the_manifest_on_the_page_of_volumes_is_the_one_that_is_written():
    assert f"```json\n{volume_manifest()}\n```" in (PAGES / "volumes.md").read_text()


def test_the_block_hashes_on_the_page_are_those_that_are_written():
    assert f"```text\n{sidecar_dump()}\n```" in (PAGES / "datasets.md").read_text()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (999999.5, "999999.5"),
        (1e6, "1e+06"),
        (0.0001, "0.0001"),
        (1e-5, "1e-05"),
        (None, "%3Cnil%3E"),
    ],
)
def test_partition_values_have_the_text_of_the_page(value, text):
    assert partition_segment("k", value) == f"k={text}"
