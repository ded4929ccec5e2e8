"""A verified source as the file that Arrow reads, row groups in parallel."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, TypeVar

from holdfast.snapshotting.block_hashes import BLOCK

MOST_AT_ONCE = 64 << 20
"""Stored bytes of the largest row group that is fetched in one piece."""

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


class Opened:
    """A source's file, read from several threads; remembers why a read failed, which Arrow might
    tell in words of its own."""

    def __init__(self, opened: IO[bytes]) -> None:
        # A buffer between would copy all that is large.
        self._opened = opened.raw if isinstance(opened, io.BufferedReader) else opened
        self._lock = threading.Lock()
        self.size = opened.seek(0, io.SEEK_END)
        self.error: BaseException | None = None

    def fetch(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; fewer at the end."""
        try:
            with self._lock:
                self._opened.seek(offset)
                data = self._opened.read(size) or b""
                while 0 < len(data) < min(size, self.size - offset):
                    more = self._opened.read(size - len(data))
                    if not more:
                        break
                    data += more
                return data
        except BaseException as error:
            self.error = error
            raise


class SourceFile:
    """A view of an opened source that Arrow reads from. What lies in the range `start` to `end` is
    fetched at once, when it is made, and given out without a copy."""

    def __init__(self, opened: Opened, start: int = 0, end: int = 0) -> None:
        self._opened = opened
        self._at = 0
        # A range from metadata that lies.
        sound = 0 <= start < end <= opened.size and end - start <= MOST_AT_ONCE
        # Whole blocks: those are what is verified, and nothing is cut off and copied.
        self._start = start = start // BLOCK * BLOCK
        end = min(opened.size, -(-end // BLOCK) * BLOCK)
        self._window = memoryview(opened.fetch(start, end - start) if sound else b"")
        self.closed = False

    def read(self, size: int = -1) -> bytes | memoryview:
        if size < 0:
            size = max(0, self._opened.size - self._at)
        start = self._at - self._start
        out: bytes | memoryview
        if start >= 0 and size <= len(self._window) - start:
            out = self._window[start : start + size]
        else:
            out = self._opened.fetch(self._at, size)
        self._at += len(out)
        return out

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._opened.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return True


def group_range(group: Any) -> tuple[int, int]:
    """(start, end) of a row group's bytes in the file, from its metadata, which may lie."""
    start, end = 2**63, 0
    for at in range(group.num_columns):
        column = group.column(at)
        first = column.data_page_offset
        if column.has_dictionary_page and column.dictionary_page_offset:
            first = min(first, column.dictionary_page_offset)
        start = min(start, first)
        end = max(end, first + column.total_compressed_size)
    return start, end


def in_order(
    work: Callable[[_Item], _Done], items: Sequence[_Item], ahead: int = 2
) -> Iterator[_Done]:
    """The results of `work` for each item in order, `ahead` of them in the making: one is read
    and its digest checked while another is decoded, and none of that holds Python's lock."""
    if len(items) < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(ahead, thread_name_prefix="holdfast-parquet") as pool:
        coming: deque[Future[_Done]] = deque()
        try:
            for item in items:
                coming.append(pool.submit(work, item))
                if len(coming) > ahead:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()
