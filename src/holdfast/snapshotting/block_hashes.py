"""The hashes of a file's blocks, for reads that verify what they touch (spec/datasets.md §9.2).

A file of 1 MiB and more has a sidecar ``<path>.blk``: the SHA-256 of each block of 1 MiB, the last
one shorter, 32 bytes each. The manifest names the SHA-256 of the sidecar, ``blocks_sha256``, so
that it needs no trust of its own.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING

from holdfast.digests import DEFAULT_ALGORITHM, Digest, hasher, sha256_hex
from holdfast.errors import Invalid

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

BLOCK = 1 << 20
"""Bytes of a block; the last one of a file may be shorter."""

HASH = 32
"""Bytes of a block's hash."""

SUFFIX = ".blk"
"""What the sidecar's path adds to that of its file."""

_IN_FLIGHT = 8  # blocks that wait for the hashing thread
_THREADS = 2
_WORTH_THREADS = 4  # blocks from which on threads pay


def sidecar_path(path: str) -> str:
    """The path of the sidecar of the file at `path`."""
    return path + SUFFIX


def has_sidecar(size: int) -> bool:
    """Whether a file of `size` stored bytes gets a sidecar."""
    return size >= BLOCK


def block_count(size: int) -> int:
    """How many blocks a file of `size` bytes has."""
    return -(-size // BLOCK)


def hash_blocks(data: Buffer) -> list[bytes]:
    """The SHA-256 of each block of `data`, which begins at a block's start; large data on two
    threads."""
    view = _flat(data)
    pieces = [view[at : at + BLOCK] for at in range(0, len(view), BLOCK)]
    if len(pieces) < _WORTH_THREADS:
        return [hashlib.sha256(piece).digest() for piece in pieces]
    shares = [pieces[n::_THREADS] for n in range(_THREADS)]
    out = [b""] * len(pieces)
    with ThreadPoolExecutor(_THREADS) as pool:
        for n, hashes in enumerate(pool.map(_hash_each, shares)):
            out[n::_THREADS] = hashes
    return out


def _flat(data: Buffer) -> memoryview:
    view = memoryview(data)
    # An empty view with several dimensions cannot be cast.
    return view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())


def _hash_each(pieces: Iterable[memoryview]) -> list[bytes]:
    return [hashlib.sha256(piece).digest() for piece in pieces]


class BlockHasher:
    """Takes the bytes of a file in order; gives its size, digests and block hashes.

    Args:
        algorithms: digests of the whole file to make, beside the block hashes.
        background: hash on a thread of its own, so that the caller goes on encoding. At most
            8 MiB wait for it. Then `close` it, or use it in a ``with``.

    Not for several threads at once.
    """

    def __init__(
        self, algorithms: Sequence[str] = (DEFAULT_ALGORITHM,), *, background: bool = False
    ) -> None:
        self._whole = {name: hasher(name) for name in algorithms}
        self._hashes = bytearray()
        self._rest = bytearray()
        self._size = 0
        self._ended = False
        self._worker = _Worker(self._take) if background else None

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._size

    @property
    def sha256_hex(self) -> str:
        """SHA-256 of the whole file; ends the hasher."""
        return self.checksum("sha256").hex

    @property
    def blocks_sha256(self) -> str:
        """SHA-256 hex of the sidecar, "" for a file that gets none; ends the hasher."""
        return sha256_hex(self.sidecar()) if has_sidecar(self._size) else ""

    def update(self, data: Buffer) -> None:
        """Take the next bytes. Raises `Invalid` after the end."""
        if self._ended:
            raise Invalid("hashing", found="a hasher that has ended")
        view = _flat(data)
        self._size += len(view)
        at = 0
        if self._rest:
            at = BLOCK - len(self._rest)
            self._rest += view[:at]
            if len(self._rest) < BLOCK:
                return
            full, self._rest = self._rest, bytearray()
            self._give(full)
        while at + BLOCK <= len(view):
            piece = view[at : at + BLOCK]
            # The thread outlives the call, and the caller may use its buffer again.
            self._give(piece if self._worker is None else bytes(piece))
            at += BLOCK
        self._rest += view[at:]

    def checksum(self, algorithm: str = DEFAULT_ALGORITHM) -> Digest:
        """The digest of the whole file; ends the hasher.

        Raises:
            Invalid: an algorithm that was not asked for.
        """
        self._finish()
        try:
            return Digest(algorithm, self._whole[algorithm].hexdigest())
        except KeyError:
            raise Invalid(
                "asking for the digest", algorithm, expected=", ".join(self._whole) or "none"
            ) from None

    def sidecar(self) -> bytes:
        """The block hashes, one after the other; ends the hasher."""
        self._finish()
        return bytes(self._hashes)

    def close(self) -> None:
        """End the thread; idempotent."""
        self._ended = True
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _finish(self) -> None:
        worker = self._worker
        self.close()
        if worker is not None:
            worker.check()
        rest, self._rest = self._rest, bytearray()
        if rest:
            self._take(rest)

    def _give(self, block: Buffer) -> None:
        if self._worker is None:
            self._take(block)
        else:
            self._worker.give(block)

    def _take(self, block: Buffer) -> None:
        for state in self._whole.values():
            state.update(block)
        self._hashes += hashlib.sha256(block).digest()


class _Worker:
    """A thread that hands blocks on in order."""

    def __init__(self, take: Callable[[Buffer], None]) -> None:
        self._take = take
        self._queue: SimpleQueue[Buffer | None] = SimpleQueue()
        self._free = threading.Semaphore(_IN_FLIGHT)
        self._error: BaseException | None = None
        self._pid = os.getpid()
        # A daemon: a hasher that was dropped must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="holdfast-hash", daemon=True)
        self._thread.start()

    def give(self, block: Buffer) -> None:
        self.check()
        self._free.acquire()
        self._queue.put(block)

    def check(self) -> None:
        """Raise what stopped the thread: the hashes are not those of the file then."""
        if self._pid != os.getpid():
            raise Invalid("hashing", found="a hasher that another process began")
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Wait until all was taken."""
        if self._pid == os.getpid():  # a forked child has no such thread
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while True:
            block = self._queue.get()
            if block is None:
                return
            try:
                if self._error is None:
                    self._take(block)
            except BaseException as error:
                self._error = error
            self._free.release()
