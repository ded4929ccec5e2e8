"""Blobs and records of any length, in constant memory (spec/datasets.md §9.6).

A stream builds a whole object before it commits: it is in a snapshot, or nowhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from holdfast.datasets.timestamps import TimeRange
from holdfast.datasets.writer import SnapshotWriter, check_metadata, default_codec
from holdfast.errors import Invalid

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.datasets.options import Form
    from holdfast.datasets.output import Part
    from holdfast.datasets.recording import Recorder
    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.snapshotting.commit import Expected
    from holdfast.snapshotting.lineage import Lineage


class _Stream(ABC):
    """What both kinds share: they end once, by `commit` or by `abort`."""

    def __init__(
        self,
        writer: SnapshotWriter,
        metadata: Mapping[str, Any] | None,
        lineage: Lineage,
        expected: Expected | None,
    ) -> None:
        self._writer = writer
        self._metadata = check_metadata(metadata)
        self._lineage = lineage
        self._expected = expected
        self._times = TimeRange()
        self._ended = False
        self._failed = False
        self._snapshot: DatasetSnapshot | None = None

    @property
    def snapshot(self) -> DatasetSnapshot:
        """The snapshot, once it is committed. Raises `Invalid` before."""
        if self._snapshot is None:
            raise Invalid("asking for the snapshot of a stream", found="it is not committed")
        return self._snapshot

    def commit(self) -> DatasetSnapshot:
        """Commit, durable on return. Raises as `Dataset.write`; nothing is visible then."""
        self._check_open()
        self._ended = True
        try:
            form, parts = self._finish()
        except BaseException:
            self._drop()
            raise
        self._snapshot = self._writer.commit(
            form, parts, self._times, self._metadata, self._lineage, self._expected
        )
        return self._snapshot

    def abort(self) -> None:
        """Drop what was written; idempotent, and nothing happens after `commit`."""
        self._failed = False
        if not self._ended:
            self._ended = True
            self._drop()

    def _fail(self) -> None:
        self.abort()
        self._failed = True

    @abstractmethod
    def _finish(self) -> tuple[Form, list[Part]]:
        """End what was written."""

    @abstractmethod
    def _drop(self) -> None:
        """Forget what was written; idempotent."""

    def _check_open(self) -> None:
        if self._ended:
            raise Invalid("using a stream", self._writer.dataset, found="one that has ended")

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
        elif self._failed:
            raise Invalid(
                "committing a stream into",
                f"dataset {self._writer.dataset.id}",
                found="one of which a write failed",
                hint="nothing of it is visible; begin a new one, or call abort() to end in peace",
            )
        elif not self._ended:
            self.commit()


class BlobStream(_Stream):
    """Made by `Dataset.stream_write`. Not for several threads."""

    def __init__(
        self,
        writer: SnapshotWriter,
        metadata: Mapping[str, Any] | None,
        lineage: Lineage,
        expected: Expected | None,
    ) -> None:
        super().__init__(writer, metadata, lineage, expected)
        self._form = writer.form("raw")
        if self._form.codec is not None:
            raise Invalid(
                "streaming bytes into",
                f"dataset {writer.dataset.id}",
                found=f"the codec {self._form.codec.name}",
                expected="raw",
                hint="use stream_write_records",
            )
        self._output = writer.output(self._form)

    def write(self, data: Buffer) -> int:
        """Append bytes; how many. After an error the stream is aborted."""
        self._check_open()
        try:
            self._output.write(data)
        except BaseException:
            self._fail()
            raise
        return memoryview(data).nbytes

    def _finish(self) -> tuple[Form, list[Part]]:
        return self._form, [self._output.finish("", None, 1)]

    def _drop(self) -> None:
        self._output.abort()


class RecordStream(_Stream):
    """Made by `Dataset.stream_write_records`. Not for several threads."""

    def __init__(
        self,
        writer: SnapshotWriter,
        metadata: Mapping[str, Any] | None,
        lineage: Lineage,
        expected: Expected | None,
    ) -> None:
        super().__init__(writer, metadata, lineage, expected)
        self._form: Form | None = None
        self._recorder: Recorder | None = None

    def write(self, data: Any) -> None:
        """Append records as for `Dataset.write`. After an error the stream is aborted.

        Raises:
            SchemaViolation: a record that does not fit, by its index in the stream.
        """
        self._check_open()
        try:
            recorder = self._started(default_codec(data))
            for chunk in self._writer.chunks(data, self._times):
                recorder.write(chunk)
        except BaseException:
            self._fail()
            raise

    def _started(self, default: str) -> Recorder:
        if self._recorder is None:
            form = self._writer.form(default)
            if form.codec is None or form.keys:
                raise Invalid(
                    "streaming records into",
                    f"dataset {self._writer.dataset.id}",
                    found="raw bytes" if form.codec is None else "the hive layout",
                    hint="use stream_write" if form.codec is None else "use a transaction",
                )
            self._form = form
            self._recorder = self._writer.recorder(form)
        return self._recorder

    def _finish(self) -> tuple[Form, list[Part]]:
        recorder = self._started("jsonl")
        assert self._form is not None
        # A stream of no records is a file all the same, as in the original.
        recorder.begin()
        return self._form, recorder.finish()

    def _drop(self) -> None:
        if self._recorder is not None:
            self._recorder.abort()
