"""The one door: a `Repository` wires every model to the ledger. `opening` makes and opens it.

On disk: `holdfast.json` names the repository and what must be known to open it; the ledger's first
COMMIT (model 0) fixes its bytes. Everything under `REBUILDABLE` can be deleted while no process
has the repository open.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from holdfast.clock import Clock, Ids, SystemClock, SystemIds
from holdfast.errors import (
    Invalid,
    Unsupported,
)
from holdfast.repository_config import (
    RepositoryConfig,
)
from holdfast.repository_location import (
    cache_folder,
    default_author,
)
from holdfast.store.protocol import Store

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from holdfast.datasets.dataset import Dataset
    from holdfast.ingest import IngestReport, Progress
    from holdfast.ledger.ledger import Ledger
    from holdfast.maintenance import FsckReport, Status, VerifyReport
    from holdfast.records import GcReport
    from holdfast.restore import RestoreReport
    from holdfast.runs import Runs
    from holdfast.runs.writer import RunWriter
    from holdfast.volumes.volume import Volume

REBUILDABLE = ("locks/", "cache/", "runs/metadata.duckdb")
"""Path prefixes that hold nothing true: lease files, caches, derived indexes."""

DATASETS = "datasets"
VOLUMES = "volumes"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}\Z")
_CHECKSUM = "sha256"


class Repository:
    """One repository: a ledger and the models, on one store.

    Made by `holdfast.init` and `holdfast.open`. Safe to use from several threads; a handle does
    not survive a fork.
    """

    def __init__(
        self,
        store: Store,
        config: RepositoryConfig,
        *,
        read_only: bool = False,
        clock: Clock | None = None,
        ids: Ids | None = None,
        author: str | None = None,
        cache: str | None = None,
    ) -> None:
        from holdfast.ledger.ledger import Ledger

        self.store = store
        self.config = config
        self.read_only = read_only
        self.clock: Clock = clock or SystemClock()
        self.ids: Ids = ids or SystemIds()
        self.author = author or default_author()
        try:
            self.author.encode()
        except UnicodeEncodeError:
            raise Invalid(
                "naming the author", repr(self.author), found="a lone surrogate"
            ) from None
        self.cache = cache if cache is not None else cache_folder(store, config)
        self._runs: Runs | None = None
        self._lock = threading.Lock()
        self.ledger: Ledger = Ledger(
            store,
            clock=self.clock,
            ids=self.ids,
            cache=self.cache,
            domain=config.domain,
            read_only=read_only,
        )

    @property
    def url(self) -> str:
        """Where it is: a path or a URL without secrets."""
        return self.store.url

    @property
    def id(self) -> str:
        """The repository's UUID."""
        return self.config.repository_id

    @property
    def domain(self) -> int:
        """Its number among federated repositories."""
        return self.config.domain

    @property
    def runs(self) -> Runs:
        """Ingestion runs and file versions."""
        with self._lock:
            if self._runs is None:
                from holdfast.runs import Runs

                self._runs = Runs(
                    self.store,
                    sink=self.ledger,
                    clock=self.clock,
                    ids=self.ids,
                    cache=self.cache,
                    author=self.author,
                    read_only=self.read_only,
                )
            return self._runs

    def run(
        self, action: str, *, project: str, inputs: Sequence[str] = ()
    ) -> AbstractContextManager[RunWriter]:
        """A run as a context manager: completed at the end, `failed` after an exception."""
        return self.runs.run(action, project=project, inputs=inputs)

    def dataset(self, name: str, **options: Any) -> Dataset:
        """The dataset `name`, whose commits the ledger is told; it need not be there yet.

        Args:
            name: 1 to 128 of ``[A-Za-z0-9._-]``, no dot first.
            options: as of `holdfast.datasets.dataset.Dataset`: ``layout``, ``partition_by``,
                ``codec``, ``schema``, ``compressor``, ``verify``.

        Raises:
            Invalid: a name that is none, or options that do not go together.
            Unsupported: the flat layout, which belongs to bare stores.
        """
        from holdfast.datasets.dataset import Dataset

        layout = options.get("layout")
        if getattr(layout, "name", layout) == "flat":
            raise Unsupported(
                "opening the dataset",
                name,
                found="the flat layout in a repository",
                hint="use the default or the hive layout; flat is for bare stores",
            )
        return Dataset(_checked_name("dataset", name), self.store, **self._wired(name, options))

    def volume(self, name: str, total_length: int | None = None, **options: Any) -> Volume:
        """The volume `name`, whose commits the ledger is told; it need not be there yet.

        Args:
            name: as of `dataset`.
            total_length: bytes of its address space; None: that of what is stored.
            options: as of `holdfast.volumes.volume.Volume`: ``verify``, ``verify_ranges``.

        Raises:
            Invalid: a name that is none, or a length below 1.
        """
        from holdfast.volumes.volume import Volume

        checked = _checked_name("volume", name)
        return Volume(checked, self.store, total_length, **self._wired(name, options))

    def datasets(self) -> list[str]:
        """Names of the datasets that have a snapshot, ascending; no contents are read."""
        from holdfast.datasets.finding import find_layout

        def there(name: str) -> bool:
            layout = find_layout(self.store, name)
            return layout is not None and bool(layout.ids(self.store, name))

        return self._named(DATASETS, there)

    def volumes(self) -> list[str]:
        """Names of the volumes that have a snapshot, ascending; no contents are read."""

        def there(name: str) -> bool:
            snapshots = self.store.list(f"{VOLUMES}/{name}/snapshots")
            return any(entry.path.endswith("/manifest.json") for entry in snapshots)

        return self._named(VOLUMES, there)

    def _named(self, folder: str, there: Callable[[str], bool]) -> list[str]:
        names = [name for name in self.store.children(folder)[0] if is_name(name)]
        return [
            name
            for name in names
            # The pointer is enough to know; only what another program left may lack it.
            if self.store.exists(f"{folder}/{name}/latest") or there(name)
        ]

    def _wired(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        """Options of a dataset or volume, and what the repository gives it."""
        checksum = options.get("checksum")
        if checksum not in (None, _CHECKSUM):
            raise Invalid(
                "opening", name, found=f"checksum {checksum!r}",
                expected=f"{_CHECKSUM}, which a repository always has",
            )  # fmt: skip
        given = {
            "sink": self.ledger,
            "clock": self.clock,
            "ids": self.ids,
            "author": self.author,
            "read_only": self.read_only,
        }
        twice = sorted(given.keys() & options.keys())
        if twice:
            raise Invalid("opening", name, found=f"{', '.join(twice)}, which the repository gives")
        return {**options, **given}

    def ingest(
        self,
        *sources: str | os.PathLike[str],
        project: str | None = None,
        action: str = "ingest",
        progress: Progress | None = None,
        jobs: int | None = None,
    ) -> IngestReport:
        """Take folders and files in, one run per source; see `holdfast.ingest.ingest`."""
        from holdfast.ingest import ingest

        return ingest(self, sources, project=project, action=action, progress=progress, jobs=jobs)

    def restore(self, what: str, target: str | os.PathLike[str]) -> RestoreReport:
        """Write a run, a project or a path of it to `target`; see `holdfast.restore.restore`."""
        from holdfast.restore import restore

        return restore(self, what, target)

    def verify(self, *, deep: bool = True, progress: Progress | None = None) -> VerifyReport:
        """Check everything; `deep` reads every byte. See `holdfast.maintenance.verify`."""
        from holdfast.maintenance import verify

        return verify(self, deep=deep, progress=progress)

    def fsck(self, *, repair: bool = False) -> FsckReport:
        """Find, and with `repair` mend, what a crash left. See `holdfast.maintenance.fsck`."""
        from holdfast.maintenance import fsck

        return fsck(self, repair=repair)

    def gc(self, *, dry_run: bool = False) -> GcReport:
        """Remove what nothing needs. See `holdfast.maintenance.gc`."""
        from holdfast.maintenance import gc

        return gc(self, dry_run=dry_run)

    def status(self) -> Status:
        """Counts and sizes, without reading contents. See `holdfast.maintenance.status`."""
        from holdfast.maintenance import status

        return status(self)

    def close(self) -> None:
        """Release files and leases; idempotent."""
        if self._runs is not None:
            self._runs.close()
        self.ledger.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Repository({self.url!r}, id={self.id!r})"


def is_name(name: str) -> bool:
    """Whether a dataset or volume of a repository can be called `name`."""
    return _NAME.match(name) is not None


def _checked_name(what: str, name: str) -> str:
    if not is_name(name):
        raise Invalid(
            f"opening the {what}",
            repr(name),
            expected="1 to 128 of A-Za-z0-9._-, not beginning with a dot",
        )
    return name


def is_rebuildable(path: str) -> bool:
    """Whether `path` (relative to the repository) holds nothing true."""
    return path.startswith(REBUILDABLE)
