"""The datasets and volumes of a repository, as what looks after it sees them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from holdfast.records import Maintainable
    from holdfast.repository import Repository


class Folder(NamedTuple):
    """A dataset or volume: its folder, its model's name, and what looks after it."""

    path: str
    kind: str
    model: Maintainable


def folders_of(repository: Repository) -> Iterator[Folder]:
    """Every dataset and volume, also one in which nothing was committed yet: a writer may have
    died in it."""
    from holdfast.repository import DATASETS, VOLUMES, is_name

    store = repository.store
    for name in filter(is_name, store.children(DATASETS)[0]):
        yield Folder(f"{DATASETS}/{name}", "dataset", repository.dataset(name))
    for name in filter(is_name, store.children(VOLUMES)[0]):
        yield Folder(f"{VOLUMES}/{name}", "volume", repository.volume(name))
