"""Several parts in one snapshot, staged from any number of threads (spec/datasets.md §9.5)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from holdfast.datasets.timestamps import TimeRange
from holdfast.datasets.writer import SnapshotWriter, check_metadata, default_codec
from holdfast.errors import Invalid

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from holdfast.datasets.options import Form
    from holdfast.datasets.output import Part
    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.snapshotting.commit import Expected
    from holdfast.snapshotting.lineage import Lineage


class Transaction:
    """Made by `Dataset.transaction`. Parts keep the order in which their `stage` was called."""

    def __init__(
        self,
        writer: SnapshotWriter,
        metadata: Mapping[str, Any] | None,
        lineage: Lineage,
        expected: Expected | None,
        *,
        appends: bool,
    ) -> None:
        self._writer = writer
        self._metadata = check_metadata(metadata)
        self._lineage = lineage
        self._expected = expected
        self._appends = appends
        self._lock = threading.Lock()
        self._form: Form | None = None
        self._parts: dict[int, list[Part]] = {}
        self._times = TimeRange()
        self._staged = 0
        self._good = 0  # staged, or on the way
        self._ended = False
        self._snapshot: DatasetSnapshot | None = None

    @property
    def snapshot(self) -> DatasetSnapshot:
        """The snapshot, once it is committed. Raises `Invalid` before."""
        if self._snapshot is None:
            raise Invalid("asking for the snapshot of a transaction", found="it is not committed")
        return self._snapshot

    def stage(self, data: Any) -> None:
        """Add data as for `Dataset.write`: a file of its own (hive: one for each partition).

        Raises:
            SchemaViolation, Invalid: data that does not fit; nothing of it is staged.
        """
        with self._lock:
            self._check_open()
            if self._form is None:
                self._form = self._writer.form(default_codec(data))
            form = self._form
            if form.codec is None and self._good:
                raise Invalid(
                    "staging", self._writer.dataset, found="a second blob for one raw snapshot"
                )
            number, self._staged = self._staged, self._staged + 1
            self._good += 1
        times = TimeRange()
        try:
            if form.codec is None:
                parts = [self._writer.raw_part(form, data)]
            else:
                parts = self._writer.encode(form, self._writer.chunks(data, times))
        except BaseException:
            with self._lock:
                self._good -= 1
                if not self._good:
                    self._form = None  # what was refused does not decide on the codec
            raise
        with self._lock:
            if self._ended:
                _close(parts)
                self._check_open()
            self._parts[number] = parts
            for time in filter(None, (times.min_timestamp, times.max_timestamp)):
                self._times.add(time)

    def commit(self) -> DatasetSnapshot:
        """Commit what was staged, durable on return. Raises as `Dataset.write`."""
        with self._lock:
            self._check_open()
            self._ended = True
            staged, self._parts = self._parts, {}
        parts = [part for number in sorted(staged) for part in staged[number]]
        try:
            form = self._form or self._writer.form("jsonl")
        except BaseException:
            _close(parts)
            raise
        self._snapshot = self._writer.commit(
            form, parts, self._times, self._metadata, self._lineage, self._expected,
            appends=self._appends,
        )  # fmt: skip
        return self._snapshot

    def abort(self) -> None:
        """Drop what was staged; idempotent, and nothing happens after `commit`."""
        with self._lock:
            self._ended = True
            staged, self._parts = self._parts, {}
        for parts in staged.values():
            _close(parts)

    def _check_open(self) -> None:
        if self._ended:
            raise Invalid("using a transaction", self._writer.dataset, found="one that has ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.abort()
        elif not self._ended:
            self.commit()


def _close(parts: list[Part]) -> None:
    for part in parts:
        part.close()
