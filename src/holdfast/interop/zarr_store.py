"""Stores of zarr-python over what Holdfast keeps.

This module imports zarr, whose `Store` its classes are; nothing loads it before a store is made.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)

from holdfast.digests import Digest, sha256_hex
from holdfast.errors import Denied, Integrity
from holdfast.interop.references import Range, Readable, ReferenceSet, SourceFile
from holdfast.snapshotting.verified_file import VerifiedFile, Verify, VerifyRanges

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

    from holdfast.store.protocol import Store as FileStore

OpenFile = Callable[[SourceFile], Readable]


class KeyStore(Store):
    """A Zarr store over keys that are known in advance. Read-only; every read runs in a thread.

    Derived classes say which keys there are, sorted, and what they hold.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True
    # The index knows every key already; metadata of all arrays in one document would make every
    # change of one a conflict with every other.
    supports_consolidated_metadata = False

    @abstractmethod
    def _sorted_keys(self) -> Sequence[str]:
        """All keys, ascending."""

    @abstractmethod
    def _has(self, key: str) -> bool:
        """Whether a key is there."""

    @abstractmethod
    def _size(self, key: str) -> int:
        """Bytes of a key that is there."""

    @abstractmethod
    def _read(self, key: str, start: int, length: int) -> bytes:
        """Bytes of a key that is there; a range within its size."""

    def __eq__(self, value: object) -> bool:
        return value is self

    __hash__ = Store.__hash__

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        data = await asyncio.to_thread(self._get, key, byte_range)
        return None if data is None else prototype.buffer.from_bytes(data)

    def _get(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        if not self._has(key):
            return None
        size = self._size(key)
        start, stop = 0, size
        if isinstance(byte_range, RangeByteRequest):
            start, stop = byte_range.start, min(byte_range.end, size)
        elif isinstance(byte_range, OffsetByteRequest):
            start = byte_range.offset
        elif isinstance(byte_range, SuffixByteRequest):
            start = max(0, size - byte_range.suffix)
        return self._read(key, start, stop - start) if start < stop else b""

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return list(
            await asyncio.gather(*(self.get(key, prototype, wanted) for key, wanted in key_ranges))
        )

    async def exists(self, key: str) -> bool:
        return self._has(key)

    async def getsize(self, key: str) -> int:
        if not self._has(key):
            raise FileNotFoundError(key)
        return self._size(key)

    async def set(self, key: str, value: Buffer) -> None:
        raise Denied("writing", key, found="a store that is read-only")

    async def delete(self, key: str) -> None:
        raise Denied("deleting", key, found="a store that is read-only")

    async def list(self) -> AsyncIterator[str]:
        for key in self._sorted_keys():
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        keys = self._sorted_keys()
        for at in range(bisect_left(keys, prefix), len(keys)):
            if not keys[at].startswith(prefix):
                return
            yield keys[at]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        folder = f"{prefix.rstrip('/')}/" if prefix else ""
        keys = self._sorted_keys()
        at = bisect_left(keys, folder)
        while at < len(keys) and keys[at].startswith(folder):
            name, slash, _ = keys[at][len(folder) :].partition("/")
            yield name
            # Over everything below a folder in one step: "0" is the character after "/".
            at = bisect_left(keys, f"{folder}{name}0", at) if slash else at + 1

    def with_read_only(self, read_only: bool = False) -> Store:
        if not read_only:
            raise Denied("writing to", self, found="a store that is read-only")
        return self


class ReferenceStore(KeyStore):
    """The arrays of a reference set. Read-only.

    A chunk that is read whole is checked against its digest, whatever the file below checks.

    Args:
        references: the set.
        files: the store that the set's paths are in; or a function that opens a source file.
        verify, verify_ranges: as for `holdfast.snapshotting.verified_file.VerifiedFile`.
    """

    def __init__(
        self,
        references: ReferenceSet,
        files: FileStore | OpenFile,
        *,
        verify: Verify = "on",
        verify_ranges: VerifyRanges = "whole",
    ) -> None:
        super().__init__(read_only=True)
        self.references = references
        self._keys = sorted(references.refs)
        self._verify = verify == "on"
        self._opened: dict[str, Readable] = {}
        self._lock = threading.Lock()
        if callable(files):
            self._open_file: OpenFile = files
        else:
            store = files
            self._open_file = lambda file: open_source(store, file, verify, verify_ranges)

    def __str__(self) -> str:
        return f"references to {', '.join(sorted(self.references.files))}"

    def _sorted_keys(self) -> Sequence[str]:
        return self._keys

    def _has(self, key: str) -> bool:
        return key in self.references.refs

    def _size(self, key: str) -> int:
        value = self.references.refs[key]
        return value.length if isinstance(value, Range) else len(value)

    def _read(self, key: str, start: int, length: int) -> bytes:
        value = self.references.refs[key]
        if not isinstance(value, Range):
            return value[start : start + length]
        data = self._file(value.path).read_at(value.offset + start, length)
        if self._verify and length == value.length:
            check_range(key, value.path, value.offset, data, value.sha256)
        return data

    def _file(self, path: str) -> Readable:
        with self._lock:
            file = self._opened.get(path)
            if file is None:
                file = self._opened[path] = self._open_file(self.references.files[path])
            return file


def open_source(
    store: FileStore, file: SourceFile, verify: Verify, verify_ranges: VerifyRanges
) -> Readable:
    """The file or volume snapshot that `file` names, in `store`.

    Raises:
        NotFound: it is gone.
        Integrity: a volume snapshot that is another.
    """
    if file.volume:
        from holdfast.interop.reference_datasets import VolumeSource
        from holdfast.volumes.volume import Volume

        volume = Volume(
            file.volume, store, verify=verify, verify_ranges=verify_ranges, read_only=True
        )
        source = VolumeSource(file.volume, volume.snapshot(file.snapshot))
        if source.source.sha256 != file.sha256:
            raise Integrity(
                "reading", file.path, found=f"SHA-256 {source.source.sha256}", expected=file.sha256
            )
        return source
    return VerifiedFile(
        store,
        file.path,
        size=file.size,
        checksum=Digest("sha256", file.sha256),
        blocks_sha256=file.blocks_sha256,
        verify=verify,
        verify_ranges=verify_ranges,
    )


def check_range(key: str, path: str, offset: int, data: bytes, expected: str) -> None:
    """Raises `Integrity` where `data`, read at `offset` of `path` for `key`, is not what it was."""
    found = sha256_hex(data)
    if found != expected:
        raise Integrity(
            f"reading {key} from",
            path,
            offset=offset,
            found=f"{len(data)} bytes with SHA-256 {found}",
            expected=expected,
        )


def to_bytes(value: Any) -> bytes:
    """The bytes of a buffer of zarr."""
    return bytes(value.to_bytes())
