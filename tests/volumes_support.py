"""Shared by the tests of volumes."""

from __future__ import annotations

import pytest

from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from holdfast.volumes.volume import Volume
from runs_support import NoLeases, Ticks

TOTAL = 10 << 20
MIB = 1 << 20


def make_store(kind, folder):
    return {
        "memory": MemoryStore,
        "no leases": NoLeases,
        "files": lambda: FileSystemStore(folder),
    }[kind]()


on_every_store = pytest.mark.parametrize("kind", ["memory", "no leases", "files"])


def new_volume(store, **options):
    options.setdefault("total_length", TOTAL)
    options.setdefault("clock", Ticks())
    return Volume("disk", store, **options)


def patterned(size, seed=0):
    return (bytes((n * 7 + seed) % 251 for n in range(251)) * (size // 251 + 1))[:size]


def damage(store, path, at):
    """Flip a bit, behind the store's back."""
    data = bytearray(store.get(path))
    data[at] ^= 1
    if isinstance(store, FileSystemStore):
        with open(f"{store.root}/{path}", "wb") as file:
            file.write(data)
    else:
        store._files[path] = bytes(data)
