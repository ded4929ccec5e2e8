"""How a snapshot of a dataset is written: encoded, staged, committed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from holdfast.datasets.draft import DatasetDraft
from holdfast.datasets.form import DatasetPlaces
from holdfast.datasets.layout import HIVE
from holdfast.datasets.options import form_for
from holdfast.datasets.output import Output
from holdfast.datasets.recording import Recorder, raw_part
from holdfast.datasets.snapshot import DatasetSnapshot
from holdfast.datasets.timestamps import TimeRange
from holdfast.errors import Invalid
from holdfast.snapshotting.commit import Committer, Expected
from holdfast.snapshotting.manifest_json import decode, encode

if TYPE_CHECKING:
    from holdfast.datasets.codecs.protocol import Chunk
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.options import Form
    from holdfast.datasets.output import Part
    from holdfast.snapshotting.lineage import Lineage

OnConflict = Literal["retry", "raise"]


class SnapshotWriter:
    """Writes snapshots of one dataset; `Dataset`, `Transaction` and the streams use it."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.chain = dataset.chain
        self.store = dataset.store
        assert isinstance(self.chain.places, DatasetPlaces)
        # Not asked for again: somebody may choose another one for a new dataset meanwhile.
        self.layout = self.chain.places.layout
        self.folder = self.layout.dataset_folder(dataset.id)

    def write(
        self,
        data: Any,
        metadata: Mapping[str, Any] | None,
        lineage: Lineage,
        parent: str | None,
        on_conflict: OnConflict,
        *,
        appends: bool,
    ) -> DatasetSnapshot:
        """See `Dataset.write` and `Dataset.append`."""
        metadata = check_metadata(metadata)
        expected = self.expected(parent, on_conflict)
        times = TimeRange()
        form = self.form(default_codec(data))
        if form.codec is None:
            if appends:
                raise Invalid(
                    "appending to",
                    f"dataset {self.dataset.id}",
                    found="a raw dataset: each of its snapshots is one blob",
                    hint="write a new snapshot, or use a volume",
                )
            parts = [self.raw_part(form, data)]
        else:
            parts = self.encode(form, self.chunks(data, times))
        return self.commit(form, parts, times, metadata, lineage, expected, appends=appends)

    def form(self, default: str) -> Form:
        """How to write now; `default` is the codec of a new dataset. What a stored snapshot
        decided is asked for once: snapshots on top of it are written alike."""
        kept = self.dataset.kept_form
        if kept is not None:
            return kept
        stored = self.chain.latest()
        form = form_for(self.dataset.options, None if stored is None else stored.manifest, default)
        if self.layout.name == HIVE.name and not form.keys:
            raise Invalid(
                "writing to",
                f"dataset {self.dataset.id}",
                found="the hive layout without keys",
                hint="open it with partition_by=",
            )
        if stored is not None:
            self.dataset.kept_form = form
        return form

    def expected(self, parent: str | None, on_conflict: OnConflict) -> Expected | None:
        """What the newest snapshot has to be at the commit."""
        if on_conflict not in ("retry", "raise"):
            raise Invalid(
                "writing to",
                f"dataset {self.dataset.id}",
                found=f"on_conflict={on_conflict!r}",
                expected="'retry' or 'raise'",
            )
        if parent is not None:
            return Expected(parent)
        if on_conflict == "retry":
            return None
        latest = self.chain.latest()
        return Expected(None if latest is None else latest.id)

    def commit(
        self,
        form: Form,
        parts: Sequence[Part],
        times: TimeRange,
        metadata: Mapping[str, Any] | None,
        lineage: Lineage,
        expected: Expected | None,
        *,
        appends: bool = False,
    ) -> DatasetSnapshot:
        """Commit finished parts as one snapshot; they are dropped after an error."""
        chain = self.chain
        draft = DatasetDraft(
            self.store, self.layout, self.dataset.id, form.components, metadata or {}, parts, times,
            appends=appends, content=chain.unmarked,
        )  # fmt: skip
        try:
            draft.stage_few()
            stored = Committer(chain, draft, lineage=lineage, expected=expected).run()
        finally:
            draft.close()
        self.dataset.settle(chain)
        return DatasetSnapshot(self.dataset, stored)

    def chunks(self, data: Any, times: TimeRange) -> Iterator[Chunk]:
        """Records in chunks; the times that they bear are taken in."""
        from holdfast.datasets.tables import chunks

        return chunks(data, times)

    def encode(self, form: Form, chunks: Iterable[Chunk]) -> list[Part]:
        """Finished parts that hold the records of `chunks`; none for no records."""
        recorder = self.recorder(form)
        try:
            for chunk in chunks:
                recorder.write(chunk)
            return recorder.finish()
        except BaseException:
            recorder.abort()
            raise

    def recorder(self, form: Form) -> Recorder:
        """What takes records, chunk by chunk."""
        return Recorder(self.store, self.folder, form)

    def output(self, form: Form) -> Output:
        """A data file in the making, for raw bytes."""
        return Output(self.store, self.folder, form.compressor, form.checksum)

    def raw_part(self, form: Form, data: Any) -> Part:
        """A finished part with raw bytes."""
        return raw_part(self.store, self.folder, form, data)


def default_codec(data: Any) -> str:
    """The codec of a new dataset whose first data this is."""
    if isinstance(data, (bytes, bytearray, memoryview)) or hasattr(data, "read"):
        return "raw"
    columnar = ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__")
    return "parquet" if any(hasattr(data, name) for name in columnar) else "jsonl"


def check_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata as they read back: the caller may go on to change their own.

    Raises:
        Invalid: no manifest can hold them. Nothing is written yet.
    """
    return {} if metadata is None else decode(encode(dict(metadata), depth=1), "metadata")
