"""COMMITs of functions: what was added is fixed by the ledger (spec/functions.md §5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from holdfast.clock import rfc3339
from holdfast.digests import sha256_hex
from holdfast.records import CommitRecord, NullSink, ObjectRef

if TYPE_CHECKING:
    from holdfast.clock import Clock, Ids
    from holdfast.functions.writing import Written
    from holdfast.records import CommitSink

MODEL = "function"
BATCH = "batch"
"""Name of a COMMIT that fixes several functions; that of a single one is its hash."""


class Anchor:
    """Announces what was written to the sink. The same addition is announced once."""

    def __init__(self, sink: CommitSink, clock: Clock, ids: Ids, author: str) -> None:
        self.sink = sink
        self._clock = clock
        self._ids = ids
        self._author = author

    @property
    def works(self) -> bool:
        """Whether there is a ledger."""
        return not isinstance(self.sink, NullSink)

    @property
    def shows(self) -> bool:
        """Whether the sink can show its COMMITs."""
        return hasattr(self.sink, "commits")

    def commit(
        self, written: Sequence[Written], message: str, *, author: str | None = None
    ) -> int | None:
        """Append the COMMIT that fixes every file of `written`; its logseq, None without a ledger.
        A crash before it is mended by the next `commit` of the same, or by `repair`."""
        if not written or not self.works:
            return None
        files = dict(file for w in written for file in w.files)
        objects = tuple(ObjectRef(p, len(d), sha256_hex(d)) for p, d in sorted(files.items()))
        record = CommitRecord(
            model=MODEL,
            name=written[0].hash if len(written) == 1 else BATCH,
            id=sha256_hex("".join(f"{o.sha256} {o.path}\n" for o in objects).encode()),
            objects=objects,
            time=rfc3339(self._clock.now_ns()),
            nonce=self._ids.token(16),
            author=self._author if author is None else author,
            message=message,
        )
        return self.sink.commit(record)

    def commits(self) -> Iterator[tuple[int, CommitRecord]] | None:
        """The COMMITs of functions with their logseqs, newest first; None where the sink cannot
        show them."""
        show = getattr(self.sink, "commits", None)
        if show is None:
            return None
        found: Iterator[tuple[int, CommitRecord]] = show(model=MODEL)
        return found

    def anchored(self) -> dict[str, str] | None:
        """SHA-256 by path of all files that a COMMIT fixes; None where nobody can tell."""
        commits = self.commits()
        if commits is None:
            return None
        out: dict[str, str] = {}
        for _, record in commits:
            for fixed in record.objects:
                out.setdefault(fixed.path, fixed.sha256)
        return out
