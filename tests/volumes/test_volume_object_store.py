"""Volumes on an object store, over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.errors import Conflict, OverlappingBlocks, RangeMissing
from holdfast.records import Finding
from holdfast.volumes.importing import import_into
from holdfast.volumes.volume import Volume
from s3_servers import Server, moto  # noqa: F401
from volumes_support import MIB, TOTAL, patterned

PART = 5 << 20


@pytest.fixture
def store(moto: Server):  # noqa: F811
    with moto.store(part_size=PART) as store:
        yield store


def test_blocks_small_and_large_are_staged_committed_and_read_in_ranges(store):
    volume = Volume("disk", store, total_length=TOTAL)
    data = patterned(6 * MIB)
    small = volume.stage_write_at(0, b"small")
    large = volume.stage_write_at(MIB, (data[at : at + MIB] for at in range(0, len(data), MIB)))
    volume.commit([small, large])
    again = Volume("disk", store)
    assert again.read_at(0, 5) == b"small"
    assert again.read_at(3 * MIB, 4096) == data[2 * MIB : 2 * MIB + 4096]
    with pytest.raises(RangeMissing):
        again.read_at(0, MIB)
    assert not [f for f in again.verify() if isinstance(f, Finding)]


def test_leftovers_are_adopted_or_a_conflict(store):
    data = patterned(6 * MIB)
    for staged in (b"hello", data):
        left = Volume("disk", store, total_length=TOTAL).stage_write_at(0, staged)
        volume = Volume("disk", store, total_length=TOTAL)
        assert volume.stage_write_at(0, staged) == left
        with pytest.raises(Conflict, match=left.path):
            volume.stage_write_at(0, bytes(len(staged)))
    volume.commit([left])
    with pytest.raises(OverlappingBlocks):
        volume.stage_write_at(0, data)


def test_writers_at_the_same_time_all_come_through(store):
    def write(number):
        volume = Volume("disk", store, total_length=TOTAL)
        for step in range(3):
            at = (number * 3 + step) * 10
            volume.commit([volume.stage_write_at(at, bytes([number]) * 10)])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    volume = Volume("disk", store)
    assert len(list(volume.history())) == 9
    assert volume.read_at(0, 90) == b"".join(bytes([n]) * 30 for n in range(3))


def test_an_import_goes_on_with_what_is_missing(store, tmp_path):
    file = tmp_path / "source"
    file.write_bytes(patterned(10_000))
    volume = Volume("disk", store, total_length=10_000)
    volume.commit([volume.stage_write_at(0, patterned(4000))])
    assert import_into(volume, file, piece=1000).bytes_read == 6000
    assert volume.read_at(0, 10_000) == patterned(10_000)
