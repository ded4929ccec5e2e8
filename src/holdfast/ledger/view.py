"""The ledger as it was at one logseq, for reading (spec/ledger.md §5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from holdfast.ledger.index import Index, state_at
from holdfast.ledger.read import ArtifactReader

if TYPE_CHECKING:
    from holdfast.ledger.artifact import Reference
    from holdfast.ledger.opened import Opened
    from holdfast.ledger.read import ArtifactInfo, ArtifactStream


class LedgerView:
    """A read-only view at `position`. It shares the files of the ledger that made it.

    Raises:
        NotFound: a position above head, or below the horizon of the last collection.
    """

    def __init__(self, opened: Opened, position: int) -> None:
        state = state_at(opened.store, opened.prefix, opened.log, position)
        self._position = position
        self._reader = ArtifactReader(
            Index(state, opened.log, opened.segments, fixed=True),
            opened.files,
            opened.log,
            opened.commits,
            prefix=opened.prefix,
            limit=position,
        )

    def position(self) -> int:
        """The logseq that this is the state of."""
        return self._position

    def get(self, reference: Reference, *, verify: bool = True) -> bytes:
        """As `Ledger.get`."""
        return self._reader.get(reference, verify=verify)

    def get_many(self, references: Iterable[Reference]) -> Iterator[bytes]:
        """As `Ledger.get_many`."""
        return self._reader.get_many(references)

    def open_artifact(self, reference: Reference) -> ArtifactStream:
        """As `Ledger.open_artifact`."""
        return self._reader.open(reference)

    def stat(self, reference: Reference) -> ArtifactInfo:
        """As `Ledger.stat`."""
        return self._reader.stat(reference)

    def exists(self, reference: Reference) -> bool:
        """As `Ledger.exists`."""
        return self._reader.exists(reference)

    def find(self, prefix: str) -> list[Reference]:
        """As `Ledger.find`."""
        return self._reader.find(prefix)
