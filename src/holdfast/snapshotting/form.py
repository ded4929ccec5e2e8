"""What the commit protocol needs to know of a manifest, and of where its files lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from holdfast.snapshotting.lineage import Lineage

if TYPE_CHECKING:
    from holdfast.records import ObjectRef
    from holdfast.store.protocol import Staged, Store

HEALED = "healed"
"""Mark of a snapshot that stands in for one whose writer died."""
COLLECTED = "gc"
"""Mark of a snapshot that a collection committed."""
REPLACEMENT = "replacement"
"""Mark of a snapshot that stands in for an older one, some rows of which were erased. Unlike the
other marked ones it does not repeat the newest snapshot's content."""


class Manifest(Protocol):
    """What dataset and volume manifests have in common."""

    @property
    def snapshot_id(self) -> str: ...
    @property
    def created_at(self) -> str: ...
    @property
    def metadata(self) -> dict[str, Any]: ...
    @property
    def parent_snapshot_id(self) -> str: ...
    @property
    def lineage(self) -> Lineage | None: ...
    @property
    def mark(self) -> str: ...


M = TypeVar("M", bound=Manifest)


@dataclass(frozen=True, slots=True)
class Stored(Generic[M]):
    """A snapshot that is there: its manifest, and the facts of the manifest's file."""

    id: str
    manifest: M
    path: str
    size: int
    sha256: str


class Places(Protocol):
    """Where the files of one dataset or volume lie; paths are relative to the store."""

    model: str
    """Model of its COMMITs: ``dataset`` or ``volume``."""
    name: str
    """Name of its COMMITs: its id."""
    lease: str
    """Name of the lease under which it is committed."""
    folder: str
    """Where staged files wait."""
    pointer: str

    def manifest(self, id: str) -> str:
        """Path of the canonical manifest of a snapshot."""

    def check_gap(self, store: Store, id: str) -> None:
        """Called where the pointer names `id` and its manifest is not there. Raises `Invalid`
        where it lies in another layout: what is written in this one would fork the history."""

    def ids(self, store: Store) -> Sequence[str]:
        """The ids that have a manifest, in `snapshot_id.order`. Lists: not for hot paths."""


class Form(Protocol[M]):
    """How manifests of one kind are written, read and repeated."""

    def encode(self, manifest: M) -> bytes:
        """The manifest's bytes."""

    def decode(self, data: bytes, path: str) -> M:
        """The manifest. Raises `ManifestInvalid`, `Unsupported`."""

    def repeat(
        self, base: M | None, *, id: str, parent: str, created_at: str, mark: str, lineage: Lineage
    ) -> M:
        """A marked manifest with the content of `base` (None: with none)."""

    def copies(self, manifest: M) -> Sequence[str]:
        """Paths of the identical copies of the manifest."""

    def unfixed(self, store: Store, manifest: M) -> Sequence[ObjectRef]:
        """The files whose SHA-256 the manifest does not give."""


class Draft(Protocol[M]):
    """A snapshot on its way. Where there are no leases it is asked again, with another id, when
    another writer was faster."""

    def paths(self, id: str) -> Sequence[str]:
        """The paths of the files that `publish` creates."""

    def publish(self, id: str, along: Sequence[Staged] = ()) -> None:
        """Create the files of snapshot `id`, and prepare those of `along`, durable on return.
        Raises `PathExists`."""

    def manifest(self, id: str, base: Stored[M] | None, created_at: str, lineage: Lineage) -> M:
        """The manifest on top of `base`, the newest snapshot (it may be a marked one: it repeats
        what lies below)."""
