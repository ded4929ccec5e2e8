"""One immutable file, verified as it is read (spec/datasets.md §9.2).

The manifest gives the size, and mostly a digest; a file of 1 MiB and more that Holdfast wrote has
block hashes too, and a range read checks the blocks that it touches. A smaller file is read and
checked whole, once. What happens to range reads of a large file with a digest and no usable block
hashes is the policy ``verify_ranges``.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from holdfast.digests import Digest, digest, hasher, sha256_hex
from holdfast.errors import Integrity, Invalid, NotFound, Unsupported
from holdfast.snapshotting.block_hashes import (
    BLOCK,
    HASH,
    block_count,
    hash_blocks,
    sidecar_path,
)
from holdfast.snapshotting.seekable import SeekableReader

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.store.protocol import Store

Verify = Literal["on", "off"]
VerifyRanges = Literal["whole", "off", "refuse"]

KEPT_BLOCKS = 4
"""Verified blocks that a file keeps."""

KEPT_WHOLE = 64 << 20
"""Largest file without block hashes that is kept whole after it was verified for a range."""

_CHECK_PIECE = 8 << 20


class VerifiedFile:
    """A file in a store of which the manifest says what it must hold. Safe in several threads.

    Args:
        store: where it lies.
        path: its path there.
        size: stored bytes.
        checksum: digest of the stored bytes; None: none is known, and the size alone is checked.
        blocks_sha256: SHA-256 hex of the sidecar, or "".
        verify: "off" checks sizes only.
        verify_ranges: range reads of files of 1 MiB and more that have a checksum and no usable
            sidecar: "whole" reads and checks the whole file once, "off" checks the size only,
            "refuse" raises `Unsupported`.
        keep_blocks: verified blocks of 1 MiB to keep.

    Every read raises `Integrity` where the bytes are not those of the manifest and `NotFound`
    where the file is gone.
    """

    def __init__(
        self,
        store: Store,
        path: str,
        *,
        size: int,
        checksum: Digest | None = None,
        blocks_sha256: str = "",
        verify: Verify = "on",
        verify_ranges: VerifyRanges = "whole",
        keep_blocks: int = KEPT_BLOCKS,
    ) -> None:
        self.store = store
        self.path = path
        self.size = size
        self.checksum = checksum
        self.blocks_sha256 = blocks_sha256
        self._verify = verify == "on"
        self._ranges: VerifyRanges = verify_ranges
        self._keep = max(1, keep_blocks)
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._whole: bytes | None = None
        self._hashes: bytes | None = None  # b"": there are none to be had
        self._size_seen = False
        self._checked = False

    def read_all(self) -> bytes:
        """All bytes."""
        if self._whole is not None:
            return self._whole
        # One more than there should be: a longer file is found without reading all of it.
        data = self.store.read_range(self.path, 0, self.size + 1)
        self._check_length(len(data), 0, self.size)
        if self._verify:
            hashes = self._block_hashes()
            if hashes:
                self._check_blocks(data, 0, hashes)
            elif self.checksum is not None:
                self._check_digest(digest(data, self.checksum.algorithm))
        self._size_seen = self._checked = True
        return data

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, at most `length`; short at the end of the file, empty
        beyond it. Raises `Invalid` on a negative number, `Unsupported` by policy."""
        if offset < 0 or length < 0:
            raise Invalid("reading", self.path, found=f"offset {offset}, length {length}")
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        if self._whole is not None:
            return self._whole[offset:end]
        if self.size < BLOCK:
            self._whole = self.read_all()
            return self._whole[offset:end]
        first = offset // BLOCK
        if (end - 1) // BLOCK == first:
            block = self._kept(first)
            if block is not None:
                return block[offset - first * BLOCK : end - first * BLOCK]
        self._see_size()
        if self._verify:
            hashes = self._block_hashes()
            if hashes:
                return self._read_blocks(offset, end, hashes)
            if self.checksum is not None and not self._checked:
                whole = self._follow_policy()
                if whole is not None:
                    return whole[offset:end]
        return self._read_plain(offset, end - offset)

    def stream(self, piece: int = BLOCK) -> Iterator[bytes]:
        """All bytes in order, in constant memory, in pieces of about `piece` bytes.

        With block hashes each piece was checked before it is handed out. With a checksum alone
        the last piece is withheld until the digest of all is known.
        """
        if self._whole is not None or self.size < BLOCK:
            data = self.read_all()
            for at in range(0, self.size, max(1, piece)):
                yield data[at : at + piece]
            return
        self._see_size()
        hashes = self._block_hashes() if self._verify else b""
        step = -(-max(1, piece) // BLOCK) * BLOCK
        state = None
        if self._verify and not hashes and self.checksum is not None:
            state = hasher(self.checksum.algorithm)
        for at in range(0, self.size, step):
            data = self._read_plain(at, min(step, self.size - at))
            if hashes:
                self._check_blocks(data, at // BLOCK, hashes)
            elif state is not None and self.checksum is not None:
                state.update(data)
                if at + step >= self.size:
                    self._check_digest(Digest(self.checksum.algorithm, state.hexdigest()))
            yield data

    def open(self) -> VerifiedReader:
        """A seekable file for reading; closing it leaves this object usable."""
        return VerifiedReader(self)

    def _kept(self, number: int) -> bytes | None:
        with self._lock:
            block = self._blocks.get(number)
            if block is not None:
                self._blocks.move_to_end(number)
            return block

    def _read_blocks(self, offset: int, end: int, hashes: bytes) -> bytes:
        first, last = offset // BLOCK, (end - 1) // BLOCK
        out = []
        # Blocks that the read before this one verified are not read again.
        while first <= last and (block := self._kept(first)) is not None:
            out.append(block[max(0, offset - first * BLOCK) : end - first * BLOCK])
            first += 1
        if first <= last:
            start, stop = first * BLOCK, min((last + 1) * BLOCK, self.size)
            data = self._read_plain(start, stop - start)
            self._check_blocks(data, first, hashes)
            self._keep_last(data, first, last)
            if start < offset or stop > end:
                data = data[max(0, offset - start) : end - start]
            out.append(data)
        return out[0] if len(out) == 1 else b"".join(out)

    def _keep_last(self, data: bytes, first: int, last: int) -> None:
        with self._lock:
            for number in range(max(first, last + 1 - self._keep), last + 1):
                at = (number - first) * BLOCK
                self._blocks[number] = data[at : at + BLOCK]
            while len(self._blocks) > self._keep:
                self._blocks.popitem(last=False)

    def _read_plain(self, offset: int, length: int) -> bytes:
        data = self.store.read_range(self.path, offset, length)
        self._check_length(len(data), offset, length)
        return data

    def _follow_policy(self) -> bytes | None:
        """Do what is to be done before a range without block hashes is read; the whole file, if
        that was to be read and can be kept."""
        if self._ranges == "off":
            return None
        if self._ranges == "refuse":
            raise Unsupported(
                "reading a range of",
                self.path,
                found="no block hashes to verify it with",
                hint='read it whole, or allow verify_ranges="whole" or "off"',
            )
        if self.size <= KEPT_WHOLE:
            self._whole = self.read_all()
            return self._whole
        for _ in self.stream(_CHECK_PIECE):
            pass
        self._checked = True
        return None

    def _see_size(self) -> None:
        if not self._size_seen:
            found = self.store.size(self.path)
            if found != self.size:
                raise Integrity(
                    "reading", self.path, found=f"{found} bytes", expected=f"{self.size}"
                )
            self._size_seen = True

    def _block_hashes(self) -> bytes:
        """The sidecar's bytes; empty where there is none, or none that can be believed while the
        checksum can do its work."""
        if self._hashes is not None:
            return self._hashes
        if not self.blocks_sha256:
            self._hashes = b""
            return b""
        path = sidecar_path(self.path)
        expected = block_count(self.size) * HASH
        try:
            data = self.store.read_range(path, 0, expected + 1)
        except NotFound:
            if self.checksum is None:
                raise
            data = b""
        if len(data) != expected or sha256_hex(data) != self.blocks_sha256:
            if self.checksum is None:
                raise Integrity(
                    "reading",
                    path,
                    found=f"{len(data)} bytes with SHA-256 {sha256_hex(data)}",
                    expected=f"{expected} with {self.blocks_sha256}",
                )
            data = b""
        self._hashes = data
        return data

    def _check_blocks(self, data: Buffer, first: int, hashes: bytes) -> None:
        for number, found in enumerate(hash_blocks(data), first):
            expected = hashes[number * HASH : (number + 1) * HASH]
            if found != expected:
                raise Integrity(
                    "reading",
                    self.path,
                    found=f"a block with SHA-256 {found.hex()}",
                    expected=expected.hex(),
                    offset=number * BLOCK,
                )

    def _check_digest(self, found: Digest) -> None:
        if found != self.checksum:
            raise Integrity("reading", self.path, found=str(found), expected=str(self.checksum))

    def _check_length(self, found: int, offset: int, expected: int) -> None:
        if found != expected:
            raise Integrity(
                "reading",
                self.path,
                found=f"{found} bytes" if found < expected else f"more than {expected} bytes",
                expected=f"{expected}",
                offset=offset or None,
            )


class VerifiedReader(SeekableReader):
    """A `VerifiedFile` as a seekable file for reading."""

    def __init__(self, file: VerifiedFile) -> None:
        super().__init__(file.path)
        self._file = file

    @property
    def name(self) -> str:
        return self._file.path

    def size(self) -> int:
        return self._file.size

    def read_some(self, offset: int, length: int) -> bytes:
        return self._file.read_at(offset, length)

    def read_rest(self, offset: int) -> bytes:
        # From the start on: in one go, with all that makes that fast.
        return super().read_rest(offset) if offset else self._file.read_all()
