"""Every store of this project on the suite that third parties inherit too."""

from __future__ import annotations

import pytest

from holdfast.leases import LocalLeases
from holdfast.store.calls import OsCalls
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from holdfast.testing.crash_model import CrashCalls
from holdfast.testing.faults import FaultyCalls
from holdfast.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self):
        return MemoryStore()


class TestFileSystemStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FileSystemStore(tmp_path / "store")


class NoSyncfs(OsCalls):
    """A system as macOS."""

    def can_sync_file_system(self, fd):
        return False

    def sync_file_system(self, fd):
        return False


class TestFileSystemStoreWithoutSyncfs(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FileSystemStore(tmp_path, calls=NoSyncfs(), leases=LocalLeases())


class TestFileSystemStoreWithShortWrites(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FileSystemStore(tmp_path, calls=FaultyCalls(OsCalls(), short_writes=100_001))


class TestFileSystemStoreOnTheCrashModel(StoreContract):
    @pytest.fixture
    def store(self):
        return FileSystemStore("/store", calls=CrashCalls())
