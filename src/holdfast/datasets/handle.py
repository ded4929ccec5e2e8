"""What a dataset's methods stand on: its options, its line of snapshots, its files."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from holdfast.clock import Clock, Ids
from holdfast.datasets.compressors import compressor_of
from holdfast.datasets.finding import find_layout
from holdfast.datasets.form import DatasetForm, DatasetPlaces
from holdfast.datasets.layout import DEFAULT, HIVE, Layout, layout_of
from holdfast.datasets.options import (
    Options,
    keys_of,
    reading_codec,
    stored_keys,
    with_layout,
)
from holdfast.datasets.source import FileSource
from holdfast.digests import Digest
from holdfast.errors import Integrity, InvalidPath, ManifestInvalid, Unsupported
from holdfast.records import CommitSink
from holdfast.snapshotting.chain import DEAD_AFTER, Chain
from holdfast.snapshotting.verified_file import VerifiedFile
from holdfast.store.paths import check_path

if TYPE_CHECKING:
    from holdfast.datasets.codecs.protocol import Codec
    from holdfast.datasets.compressors import Compressor
    from holdfast.datasets.manifest import DatasetManifest, FileRef
    from holdfast.datasets.options import Form
    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.store.protocol import Store

Verify = Literal["on", "off"]


class DatasetHandle:
    """A dataset that is opened; arguments as `Dataset`, which adds what one does with it."""

    def __init__(
        self,
        id: str,
        store: Store,
        *,
        layout: Layout | str | None = None,
        partition_by: Sequence[str] | str | None = None,
        codec: Codec | str | None = None,
        schema: Any = None,
        compressor: Compressor | str | None = None,
        checksum: str | None = None,
        verify: Verify = "on",
        sink: CommitSink | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        author: str = "",
        read_only: bool = False,
        dead_after: float = DEAD_AFTER,
    ) -> None:
        chosen = layout_of(layout) if isinstance(layout, str) else layout
        keys = keys_of(partition_by)
        if chosen is None and keys:
            chosen = HIVE
        if chosen is not None and chosen.name == HIVE.name and keys is None:
            keys = None  # those of the stored files, as long as there are some
        self.id = id
        self.store = store
        self.verify_reads: Verify = verify
        self._options = Options(
            chosen, keys, codec if schema is None or codec is not None else "parquet",
            schema, compressor, checksum,
        )  # fmt: skip
        self._options.check(id)
        self.kept_form: Form | None = None
        self._lock = threading.Lock()
        self._made: Chain[DatasetManifest] | None = None
        self._settings: dict[str, Any] = {
            "sink": sink,
            "clock": clock,
            "ids": ids,
            "author": author,
            "read_only": read_only,
            "dead_after": dead_after,
        }
        if "/" in id:
            raise InvalidPath("opening the dataset", repr(id), found="a slash in its name")
        check_path((chosen or DEFAULT).pointer(id))

    @property
    def chain(self) -> Chain[DatasetManifest]:
        """The line of snapshots; the layout is found out at first use."""
        with self._lock:
            if self._made is None:
                layout = self._options.layout or find_layout(self.store, self.id) or DEFAULT
                chain = Chain(
                    self.store,
                    self._places(layout),
                    DatasetForm(layout, self.id),
                    **self._settings,
                )
                if self._options.layout is not None or _is_there(chain):
                    # Of a dataset that is not there yet somebody else may choose the layout.
                    self._options = with_layout(self._options, layout)
                    self._made = chain
                return chain
            return self._made

    @property
    def options(self) -> Options:
        """What the owner said."""
        return self._options

    def settle(self, chain: Chain[DatasetManifest]) -> None:
        """A snapshot was committed to `chain`: its layout is that of the dataset now."""
        with self._lock:
            if self._made is None:
                assert isinstance(chain.places, DatasetPlaces)
                self._options = with_layout(self._options, chain.places.layout)
                self._made = chain

    @property
    def layout(self) -> Layout:
        """The layout, as given or as found."""
        places = self.chain.places
        assert isinstance(places, DatasetPlaces)
        return places.layout

    @property
    def read_only(self) -> bool:
        """Whether writing is refused."""
        return self.chain.read_only

    @property
    def partition_keys(self) -> tuple[str, ...]:
        """The keys of the hive layout, as given or as stored."""
        if self._options.keys is not None:
            return self._options.keys
        stored = self.chain.latest()
        return () if stored is None else stored_keys(stored.manifest)

    def codec_of(self, snapshot: DatasetSnapshot) -> Codec | None:
        """The codec to read a snapshot with; None: raw bytes."""
        return reading_codec(self._options, snapshot.manifest, self.id)

    def verified(self, file: FileRef, algorithm: str) -> VerifiedFile:
        """A data file as it is stored."""
        return VerifiedFile(
            self.store,
            file.path,
            size=file.size_bytes,
            checksum=Digest(algorithm, file.checksum) if file.checksum else None,
            blocks_sha256=file.blocks_sha256,
            verify=self.verify_reads,
        )

    def source(self, file: FileRef, manifest: DatasetManifest) -> FileSource:
        """A data file for its codec."""
        verified = self.verified(file, manifest.checksum_algorithm)
        return FileSource(verified, compressor_of(manifest.compressor))

    def _places(self, layout: Layout) -> DatasetPlaces:
        return DatasetPlaces(layout, self.id)


def _is_there(chain: Chain[DatasetManifest]) -> bool:
    """Whether there is a snapshot; one that is damaged is there too."""
    try:
        return chain.newest() is not None
    except (Integrity, ManifestInvalid, Unsupported):
        return True
