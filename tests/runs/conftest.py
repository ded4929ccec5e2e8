from __future__ import annotations

import pytest

from holdfast.runs import Runs
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from runs_support import NoLeases, Ticks


@pytest.fixture(params=["filesystem", "memory", "no_leases"])
def store(request, tmp_path):
    if request.param == "filesystem":
        return FileSystemStore(tmp_path / "repository")
    return MemoryStore() if request.param == "memory" else NoLeases()


@pytest.fixture
def folder(tmp_path):
    return FileSystemStore(tmp_path / "repository")


@pytest.fixture
def runs(store):
    with Runs(store, author="tester", clock=Ticks()) as found:
        yield found
