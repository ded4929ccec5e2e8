"""Zarr in a dataset: each transaction makes one snapshot, which holds every key (spec §9.8).

A snapshot's files are the packs of its history (see `zarr_pack`), the newest with an index that
leads to the others. Readers see one snapshot and never a part of a transaction.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from holdfast.datasets.compressors import NOOP
from holdfast.datasets.dataset import Dataset
from holdfast.datasets.layout import file_name
from holdfast.datasets.timestamps import TimeRange
from holdfast.digests import sha256_hex
from holdfast.errors import (
    Integrity,
    Invalid,
    ManifestInvalid,
    NoSnapshots,
    NotFound,
    Unsupported,
)
from holdfast.interop.zarr_pack import (
    FOOTER,
    MAGIC,
    Keys,
    Layer,
    Placed,
    decode_index,
    encode_index,
    index_range,
    merge,
    resolve,
)
from holdfast.snapshotting.commit import Expected
from holdfast.snapshotting.lineage import Lineage, lineage_of

if TYPE_CHECKING:
    from holdfast.datasets.output import Output, Part
    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.interop.zarr_snapshots import SnapshotStore
    from holdfast.interop.zarr_transaction import ZarrTransaction
    from holdfast.snapshotting.verified_file import VerifiedFile

OPEN_PACKS = 16
"""Packs that are kept open, each with up to 4 MiB of verified bytes."""


@dataclass(frozen=True, slots=True)
class State:
    """What the keys are in one snapshot; `snapshot` None: before the first."""

    snapshot: DatasetSnapshot | None
    layers: Sequence[Layer]
    keys: Mapping[str, Placed]


class ZarrDataset:
    """A Zarr 3 hierarchy in `dataset`, which holds nothing else. Safe to use from several threads.

    ::

        zarr = ZarrDataset(repo.dataset("era"))
        with zarr.transaction(message="first day") as tx:
            data.to_zarr(tx.store)
        xarray.open_zarr(zarr.store(), consolidated=False)

    Raises, at first use:
        Invalid: the dataset holds something else.
        Unsupported: its files are compressed: ranges of them cannot be read.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._lock = threading.Lock()
        self._files: OrderedDict[str, VerifiedFile] = OrderedDict()
        self._layers: dict[str, Layer] = {}

    def store(self, snapshot: DatasetSnapshot | str | None = None) -> SnapshotStore:
        """A read-only store of zarr-python over one snapshot; None: over the newest.

        Raises:
            NotFound: no such snapshot; the dataset has none (code ``no_snapshots``).
        """
        from holdfast.interop.xarray import import_xarray

        import_xarray()
        from holdfast.interop.zarr_snapshots import SnapshotStore

        if snapshot is None:
            snapshot = self.dataset.latest()
        elif isinstance(snapshot, str):
            snapshot = self.dataset.snapshot(snapshot)
        return SnapshotStore(self, self.state(snapshot))

    def transaction(
        self,
        metadata: Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
        inputs: Sequence[str] = (),
        run: str | None = None,
        on_conflict: Literal["retry", "raise"] = "retry",
    ) -> ZarrTransaction:
        """A writable view of the newest snapshot, which `commit` makes into one new snapshot.

        Args:
            metadata, message, inputs, run: as for `Dataset.write`.
            on_conflict: what to do about snapshots that others committed since: ``"retry"``
                commits on top of them where they changed other chunks, and else raises
                `SnapshotConflict`; ``"raise"`` always raises it.
        """
        from holdfast.interop.xarray import import_xarray

        import_xarray()
        if on_conflict not in ("retry", "raise"):
            raise Invalid(
                "beginning a transaction", self.dataset, found=f"on_conflict={on_conflict!r}"
            )
        from holdfast.interop.zarr_transaction import ZarrTransaction

        self.dataset.chain.check_writable()
        lineage = lineage_of(message, inputs, run)
        return ZarrTransaction(self, self.latest(), metadata, lineage, on_conflict == "retry")

    def repack(self, *, message: str | None = None) -> DatasetSnapshot:
        """Commit a snapshot that holds the newest one's keys in one file of its own.

        What was overwritten is left behind: once the older snapshots expire, it can be collected.

        Raises:
            SnapshotConflict: somebody committed meanwhile.
            NotFound: there is no snapshot.
        """
        state = self.state(self.dataset.latest())
        values = ((key, self.value(state, key)) for key in sorted(state.keys))
        return self.commit(
            State(state.snapshot, (), {}), values, (), None, Lineage(message=message), appends=False
        )

    def latest(self) -> State:
        """The newest snapshot's keys; none where there is no snapshot."""
        try:
            return self.state(self.dataset.latest())
        except NoSnapshots:
            return State(None, (), {})

    def state(self, snapshot: DatasetSnapshot) -> State:
        """The keys of `snapshot`.

        Raises:
            Integrity, ManifestInvalid, Unsupported, Invalid: an index that cannot be read.
        """
        if snapshot.manifest.codec or snapshot.manifest.compressor not in ("", "noop"):
            raise Unsupported(
                "reading Zarr from",
                snapshot,
                found=f"codec {snapshot.manifest.codec or 'none'}, "
                f"compressor {snapshot.manifest.compressor}",
                expected="raw files that are not compressed",
            )
        path = self._own_pack(snapshot.id)
        below, keys = self._index(snapshot, path)
        layers = [self._layer(snapshot, pack) for pack in below]
        layers.append(Layer(path, keys))
        with self._lock:
            self._layers = {layer.pack: layer for layer in layers}
        return State(snapshot, layers, resolve(layers))

    def value(self, state: State, key: str) -> bytes:
        """The value of a key that is there, checked against its digest.

        Raises:
            Integrity: it is not what was written.
        """
        placed = state.keys[key]
        data = self.range(state, placed, 0, placed.length)
        if self.dataset.verify_reads == "on":
            found = sha256_hex(data)
            if found != placed.sha256:
                raise Integrity(
                    f"reading {key} from", placed.pack, offset=placed.offset,
                    found=f"{len(data)} bytes with SHA-256 {found}", expected=placed.sha256,
                )  # fmt: skip
        return data

    def range(self, state: State, placed: Placed, start: int, length: int) -> bytes:
        """Bytes of a value, by the blocks of its pack checked."""
        assert state.snapshot is not None
        return self._file(state.snapshot, placed.pack).read_at(placed.offset + start, length)

    def commit(
        self,
        state: State,
        values: Iterator[tuple[str, bytes]],
        removed: Sequence[str],
        metadata: Mapping[str, Any] | None,
        lineage: Lineage,
        *,
        appends: bool = True,
    ) -> DatasetSnapshot:
        """Commit `values` and removals on top of `state`; used by transactions.

        Raises:
            SnapshotConflict: the newest snapshot is not that of `state`.
        """
        dataset = self.dataset
        writer = dataset.writer
        form = writer.form("raw")
        if form.codec is not None or form.compressor.name != NOOP.name:
            raise Unsupported(
                "writing Zarr to",
                dataset,
                found="a codec or a compressor",
                expected="raw files that are not compressed",
            )
        output = writer.output(form)
        try:
            part = self._pack(output, state, values, removed)
        except BaseException:
            output.abort()
            raise
        expected = Expected(None if state.snapshot is None else state.snapshot.id)
        return writer.commit(
            form, [part], TimeRange(), metadata, lineage, expected, appends=appends
        )

    def _pack(
        self,
        output: Output,
        state: State,
        values: Iterator[tuple[str, bytes]],
        removed: Sequence[str],
    ) -> Part:
        changes: Keys = {key: None for key in removed if key in state.keys}
        output.write(MAGIC)
        offset = len(MAGIC)
        for key, value in values:
            output.write(value)
            changes[key] = Placed("", offset, len(value), sha256_hex(value))
            offset += len(value)
        below, keys = merge(state.layers, changes)
        output.write(encode_index(below, keys))
        # A blob counts as one row, in the original too.
        return output.finish("", None, 1)

    def _own_pack(self, snapshot: str) -> str:
        layout = self.dataset.layout
        return layout.data_file(self.dataset.id, snapshot, "", file_name("", "noop"))

    def _layer(self, snapshot: DatasetSnapshot, pack: str) -> Layer:
        known = self._layers.get(pack)
        return known if known is not None else Layer(pack, self._index(snapshot, pack)[1])

    def _index(self, snapshot: DatasetSnapshot, pack: str) -> tuple[list[str], Keys]:
        file = self._file(snapshot, pack)
        start = max(0, file.size - FOOTER.size)
        offset, length, digest = index_range(file.read_at(start, FOOTER.size), file.size, pack)
        return decode_index(file.read_at(offset, length), digest, pack)

    def _file(self, snapshot: DatasetSnapshot, pack: str) -> VerifiedFile:
        with self._lock:
            file = self._files.get(pack)
            if file is None:
                try:
                    file = snapshot.open_object(pack)
                except NotFound:
                    raise ManifestInvalid(
                        "reading Zarr from", snapshot, found=f"no file {pack}, which an index names"
                    ) from None
                self._files[pack] = file
                if len(self._files) > OPEN_PACKS:
                    self._files.popitem(last=False)
            self._files.move_to_end(pack)
            return file
