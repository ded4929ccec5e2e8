"""Whether the data files of snapshots are what their manifests say; each file is read once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.datasets.form import MODEL
from holdfast.digests import Digest, sha256_hex
from holdfast.errors import HoldfastError, Integrity, NotFound
from holdfast.records import Checked, Finding, Severity
from holdfast.snapshotting.block_hashes import HASH, block_count, sidecar_path
from holdfast.snapshotting.verified_file import VerifiedFile

if TYPE_CHECKING:
    from holdfast.datasets.manifest import DatasetManifest, FileRef
    from holdfast.store.protocol import Store

_PIECE = 8 << 20


class FileCheck:
    """Checks files; `deep` reads every byte, else sizes. It remembers a number for each file."""

    def __init__(self, store: Store, *, deep: bool) -> None:
        self._store = store
        self._deep = deep
        self._seen: set[int] = set()

    def files(self, manifest: DatasetManifest) -> Iterator[Finding | Checked]:
        """What is wrong with the files that a manifest names and that were not looked at yet."""
        algorithm = manifest.checksum_algorithm
        for file in manifest.files:
            number = hash((file.path, file.size_bytes, file.checksum, file.blocks_sha256))
            if number not in self._seen:
                self._seen.add(number)
                yield from self._file(file, algorithm)

    def _file(self, file: FileRef, algorithm: str) -> Iterator[Finding | Checked]:
        try:
            size = self._store.size(file.path)
            if size != file.size_bytes:
                raise Integrity(
                    "reading", file.path, found=f"{size} bytes", expected=f"{file.size_bytes}"
                )
            if self._deep:
                # Without the block hashes: the checksum is what the manifest fixes first.
                checksum = Digest(algorithm, file.checksum) if file.checksum else None
                whole = VerifiedFile(self._store, file.path, size=size, checksum=checksum)
                for _ in whole.stream(_PIECE):
                    pass
            yield Checked(1, size if self._deep else 0)
        except NotFound:
            message = "the file is gone"
            yield Finding(Severity.ERROR, "missing", file.path, message, MODEL)
            return
        except HoldfastError as error:
            yield Finding.of(error, file.path, MODEL)
            return
        if file.blocks_sha256:
            yield from self._block_hashes(file)

    def _block_hashes(self, file: FileRef) -> Iterator[Finding | Checked]:
        path = sidecar_path(file.path)
        expected = block_count(file.size_bytes) * HASH
        try:
            data = self._store.read_range(path, 0, expected + 1)
        except NotFound:
            message = "block hashes that are lost; the file's checksum stands in for them"
            yield Finding(Severity.WARNING, "missing", path, message, MODEL, repairable=True)
            return
        except HoldfastError as error:
            yield Finding.of(error, path, MODEL)
            return
        yield Checked(1, len(data))
        if sha256_hex(data) != file.blocks_sha256:
            message = f"block hashes with sha256 {sha256_hex(data)}, not {file.blocks_sha256}"
            yield Finding(Severity.ERROR, "digest_mismatch", path, message, MODEL)
