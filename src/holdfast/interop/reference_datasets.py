"""Reference sets of what a repository holds, kept as snapshots themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from holdfast.datasets.compressors import NOOP
from holdfast.datasets.snapshot import DatasetSnapshot
from holdfast.digests import Digest
from holdfast.errors import Invalid, Unsupported
from holdfast.interop.references import Readable, ReferenceSet, SourceFile
from holdfast.volumes.snapshot import VolumeSnapshot

if TYPE_CHECKING:
    from holdfast.datasets.dataset import Dataset

_DOING = "making references to"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MOST_USER_BLOCK = 1 << 20


class VolumeSource:
    """A volume snapshot as one file, verified as it is read."""

    def __init__(self, volume: str, snapshot: VolumeSnapshot) -> None:
        self._snapshot = snapshot
        self.path = snapshot.manifest_path
        self.size = snapshot.total_length
        self.checksum: Digest | None = None
        self.blocks_sha256 = ""
        self.source = SourceFile(
            self.path,
            self.size,
            snapshot.manifest_sha256,
            volume=volume,
            snapshot=snapshot.id,
        )

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, at most `length`; as `VerifiedFile.read_at`."""
        length = min(length, self.size - offset)
        return self._snapshot.read_at(offset, length) if length > 0 else b""

    def stream(self, piece: int = 1 << 20) -> Iterator[bytes]:
        """All bytes in order."""
        for offset in range(0, self.size, piece):
            yield self.read_at(offset, piece)


def make_references(
    source: DatasetSnapshot | VolumeSnapshot | Readable,
    *,
    file: str | None = None,
    variables: Collection[str] | None = None,
    skip: Collection[str] = (),
) -> ReferenceSet:
    """References to the arrays in a file that is kept: HDF5, NetCDF 4 or GRIB 2.

    Every byte that a reference names is read once, for its digest.

    Args:
        source: a raw snapshot of a dataset, a volume snapshot, or a verified file.
        file: which file of the snapshot, by path; None: its only one.
        variables: the variables to take; None: all.
        skip: variables to leave out (HDF5).

    Raises:
        Unsupported: another format; a variable that Zarr has no words for; a compressed snapshot.
        Invalid: a file that is damaged, or not of the format that it begins like.
        NotFound: a name in `variables` that is not there.
        RangeMissing: a part of a volume that is needed and not committed.
    """
    readable = _readable(source, file)
    if readable.read_at(0, 4) == b"GRIB":
        from holdfast.interop.grib_references import grib_references

        return grib_references(readable, variables=variables)
    if _is_hdf5(readable):
        from holdfast.interop.hdf5_references import hdf5_references

        return hdf5_references(readable, variables=variables, skip=skip)
    head = readable.read_at(0, 8)
    found = "NetCDF 3" if head[:3] == b"CDF" else f"a file that begins with {head!r}"
    raise Unsupported(_DOING, readable.path, found=found, expected="HDF5, NetCDF 4 or GRIB 2")


def write_references(
    dataset: Dataset, references: ReferenceSet, *, message: str | None = None, **options: Any
) -> DatasetSnapshot:
    """Commit `references` as a raw snapshot of `dataset`, with the files that they point into as
    its inputs.

    Args:
        **options: further arguments of `Dataset.write`.

    Raises:
        as `Dataset.write`.
    """
    inputs = [f"sha256:{file.sha256}" for _, file in sorted(references.files.items())]
    options.setdefault("inputs", inputs)
    return dataset.write(references.to_json(), message=message, **options)


def read_references(snapshot: DatasetSnapshot) -> ReferenceSet:
    """The set that `write_references` committed.

    Raises:
        ManifestInvalid, Unsupported: not such a set.
        Integrity: damaged.
    """
    data = snapshot.read()
    if not isinstance(data, bytes):
        raise Invalid("reading references from", snapshot, found="records, not a raw file")
    return ReferenceSet.from_json(data, snapshot.files[0].path)


def _readable(source: DatasetSnapshot | VolumeSnapshot | Readable, file: str | None) -> Readable:
    if isinstance(source, VolumeSnapshot):
        return VolumeSource(source.manifest.volume_id, source)
    if not isinstance(source, DatasetSnapshot):
        return source
    if source.manifest.compressor not in ("", NOOP.name):
        raise Unsupported(
            _DOING,
            source,
            found=f"files compressed with {source.manifest.compressor}",
            expected="files that are not: they are read in ranges",
        )
    return source.open_object(file)


def _is_hdf5(file: Readable) -> bool:
    """Whether the signature is at 0, or behind a user block."""
    at = 0
    while at < file.size and at <= _MOST_USER_BLOCK:
        if file.read_at(at, len(_HDF5)) == _HDF5:
            return True
        at = max(512, at * 2)
    return False
