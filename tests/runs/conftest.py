from __future__ import annotations

import pytest

from holdfast.runs import Runs
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from runs_support import NoLeases, Ticks
from s3_servers import moto

__all__ = ["moto"]


@pytest.fixture(params=["filesystem", "memory", "no_leases", "objects"])
def store(request, tmp_path):
    if request.param == "filesystem":
        made = FileSystemStore(tmp_path / "repository")
    elif request.param == "objects":
        made = request.getfixturevalue("moto").store()
    else:
        made = MemoryStore() if request.param == "memory" else NoLeases()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path):
    return FileSystemStore(tmp_path / "repository")


@pytest.fixture
def runs(store):
    with Runs(store, author="tester", clock=Ticks()) as found:
        yield found
