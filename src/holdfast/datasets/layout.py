"""Where the files of a dataset lie (spec/datasets.md §1): the layouts default, hive and flat.

A path is put together from names as they are; the store refuses one that leaves its root.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from holdfast.datasets.partition import partition_of
from holdfast.errors import Invalid, Unsupported
from holdfast.snapshotting.snapshot_id import is_readable, order

if TYPE_CHECKING:
    from holdfast.store.protocol import Store

MANIFEST = "manifest.json"
LATEST = "latest"
DATASETS = "datasets"
_EXTENSIONS = {"noop": "", "gzip": ".gz", "zstd": ".zst"}
_DATA_FOLDER = re.compile(r"/segments/([^/]+)/data/[^/]+\Z")


class ManifestPath(NamedTuple):
    """What the path of a manifest says; `partition` is "" but for the copies of hive."""

    dataset: str
    snapshot: str
    partition: str = ""


class Layout(Protocol):
    """The paths of one layout. Methods that take a store list it; the others are pure."""

    @property
    def name(self) -> str:
        """``default``, ``hive`` or ``flat``."""

    def dataset_folder(self, dataset: str) -> str:
        """The folder of everything that belongs to a dataset."""

    def pointer(self, dataset: str) -> str:
        """The pointer to the latest snapshot."""

    def snapshots_folder(self, dataset: str) -> str:
        """The folder that holds a folder for each snapshot, with the canonical manifest in it."""

    def manifest(self, dataset: str, snapshot: str) -> str:
        """The canonical manifest of a snapshot."""

    def data_file(self, dataset: str, snapshot: str, partition: str, file_name: str) -> str:
        """A data file. Raises `Invalid` for a partition where the layout has none."""

    def copies(self, dataset: str, snapshot: str, partitions: Sequence[str]) -> list[str]:
        """The copies of the manifest, one for each partition that has files of the snapshot."""

    def parse_manifest(self, path: str) -> ManifestPath | None:
        """What the path says, None where it is no manifest of this layout."""

    def datasets(self, store: Store) -> list[str]:
        """The datasets with at least one canonical manifest, sorted. Raises `Unsupported` where
        the layout does not tell them from other folders."""

    def ids(self, store: Store, dataset: str) -> list[str]:
        """The snapshots with a canonical manifest: decimal ids by number, after others."""

    def partitions(self, store: Store, dataset: str) -> list[str]:
        """The partitions with files of a committed snapshot, sorted; none where the layout has
        none."""


class _Folders:
    """Layouts whose snapshots lie in one folder of the dataset; "" is the dataset's own folder."""

    def __init__(self, name: str, root: str, snapshots: str) -> None:
        self.name = name
        self._root = f"{root}/" if root else ""
        self._snapshots = f"/{snapshots}" if snapshots else ""
        self._shape = re.compile(
            rf"{re.escape(self._root)}([^/]+){self._snapshots}/([^/]+)/{MANIFEST}\Z"
        )

    def __repr__(self) -> str:
        return f"<layout {self.name}>"

    def dataset_folder(self, dataset: str) -> str:
        return f"{self._root}{dataset}"

    def pointer(self, dataset: str) -> str:
        return f"{self._root}{dataset}/{LATEST}"

    def snapshots_folder(self, dataset: str) -> str:
        return f"{self._root}{dataset}{self._snapshots}"

    def manifest(self, dataset: str, snapshot: str) -> str:
        return f"{self._root}{dataset}{self._snapshots}/{snapshot}/{MANIFEST}"

    def data_file(self, dataset: str, snapshot: str, partition: str, file_name: str) -> str:
        if partition:
            raise Invalid(
                "placing a file of",
                dataset,
                found=f"partition {partition!r} in the {self.name} layout",
                hint="only the hive layout has partitions",
            )
        return f"{self.snapshots_folder(dataset)}/{snapshot}/data/{file_name}"

    def copies(self, dataset: str, snapshot: str, partitions: Sequence[str]) -> list[str]:
        return []

    def parse_manifest(self, path: str) -> ManifestPath | None:
        match = self._shape.match(path)
        return None if match is None else ManifestPath(*match.groups())

    def datasets(self, store: Store) -> list[str]:
        folders, _ = store.children(self._root.rstrip("/"))
        return [name for name in folders if next(self._committed(store, name), None) is not None]

    def ids(self, store: Store, dataset: str) -> list[str]:
        return sorted(self._committed(store, dataset), key=order)

    def partitions(self, store: Store, dataset: str) -> list[str]:
        return []

    def _committed(self, store: Store, dataset: str) -> Iterator[str]:
        # One listing: a question for each snapshot would be a call for each.
        for entry in store.list(self.snapshots_folder(dataset)):
            match = self._shape.match(entry.path)
            if match is not None and is_readable(match[2]):
                yield match[2]


class _Flat(_Folders):
    def __init__(self) -> None:
        super().__init__("flat", "", "")

    def datasets(self, store: Store) -> list[str]:
        raise Unsupported(
            "listing the datasets of",
            store.url,
            found="the flat layout, which does not tell datasets from other folders",
            hint="name the dataset, or use the default or hive layout",
        )


class _Hive(_Folders):
    def __init__(self) -> None:
        super().__init__("hive", DATASETS, "segments")
        self._copy = re.compile(
            rf"{DATASETS}/([^/]+)/partitions/(.+)/segments/([^/]+)/{MANIFEST}\Z", re.DOTALL
        )

    def data_file(self, dataset: str, snapshot: str, partition: str, file_name: str) -> str:
        if not partition:
            raise Invalid(
                "placing a file of",
                dataset,
                found="no partition in the hive layout",
                hint="name the keys with partition_by=",
            )
        folder = self._partition_folder(dataset, partition)
        return f"{folder}/segments/{snapshot}/data/{file_name}"

    def copies(self, dataset: str, snapshot: str, partitions: Sequence[str]) -> list[str]:
        return [
            f"{self._partition_folder(dataset, partition)}/segments/{snapshot}/{MANIFEST}"
            for partition in partitions
        ]

    def parse_manifest(self, path: str) -> ManifestPath | None:
        match = self._copy.match(path)
        if match is not None:
            dataset, partition, snapshot = match.groups()
            return ManifestPath(dataset, snapshot, partition)
        return super().parse_manifest(path)

    def partitions(self, store: Store, dataset: str) -> list[str]:
        committed = set(self._committed(store, dataset))
        found = set()
        # The files count, not the copies of manifests: a writer may have died before those.
        for entry in store.list(f"{self.dataset_folder(dataset)}/partitions"):
            match = _DATA_FOLDER.search(entry.path)
            if match is not None and match[1] in committed:
                found.add(partition_of(entry.path))
        return sorted(found)

    def _partition_folder(self, dataset: str, partition: str) -> str:
        return f"{self.dataset_folder(dataset)}/partitions/{partition}"


DEFAULT: Layout = _Folders("default", DATASETS, "snapshots")
HIVE: Layout = _Hive()
FLAT: Layout = _Flat()
_LAYOUTS = {layout.name: layout for layout in (DEFAULT, HIVE, FLAT)}


def layout_of(name: str) -> Layout:
    """The layout of that name.

    Raises:
        Invalid: there is none.
    """
    try:
        return _LAYOUTS[name]
    except KeyError:
        raise Invalid("choosing the layout", repr(name), expected=", ".join(_LAYOUTS)) from None


def file_name(codec: str | None, compressor: str, index: int | None = None) -> str:
    """The name of a data file: ``data`` with a codec, ``blob`` without, the compressor's
    extension, and for the files of a snapshot with several the number: ``data-00003.zst``.

    Raises:
        Unsupported: an unknown compressor.
    """
    try:
        extension = _EXTENSIONS[compressor or "noop"]
    except KeyError:
        raise Unsupported(
            "naming a data file",
            found=f"compressor {compressor!r}",
            expected=", ".join(_EXTENSIONS),
        ) from None
    number = "" if index is None else f"-{index:05d}"
    return f"{'data' if codec else 'blob'}{number}{extension}"
