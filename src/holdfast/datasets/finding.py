"""Which layout a dataset has that is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.datasets.layout import DEFAULT, FLAT, HIVE, Layout
from holdfast.errors import InvalidPath
from holdfast.snapshotting.pointer import read_pointer

if TYPE_CHECKING:
    from holdfast.store.protocol import Store


def find_layout(store: Store, dataset: str) -> Layout | None:
    """The layout of a stored dataset, None where nothing is stored. One pointer and one manifest
    are looked at; a folder is listed only where there is no pointer."""
    pointer = read_pointer(store, DEFAULT.pointer(dataset))
    if pointer.id is not None:
        for layout in (DEFAULT, HIVE):
            if store.exists(layout.manifest(dataset, pointer.id)):
                return layout
    folders, _ = store.children(DEFAULT.dataset_folder(dataset))
    if {"segments", "partitions"} & set(folders):
        return HIVE
    if "snapshots" in folders:
        return DEFAULT
    try:
        if FLAT.ids(store, dataset):
            return FLAT
    except InvalidPath:
        return None
    return None
