"""The files of a log and how they are read (spec/ledger.md §2, "File system").

Nothing here writes. A log file ends where the next one's name begins: bytes behind that are a cut
tail. Reads go in chunks, never through a memory map: a failing disk is then an error, not a signal.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import Integrity, NotFound, from_oserror
from holdfast.ledger.head import READ_SIZE
from holdfast.ledger.log import GENESIS, Record
from holdfast.ledger.record import (
    HEADER_SIZE,
    MAX_LOGSEQ,
    MAX_PAYLOAD,
    OVERHEAD,
    Chain,
    Fault,
    check_header,
    decode_backwards,
    decode_chain,
    skip_chain,
    verify_chain,
)
from holdfast.store.durable import close_quietly, open_file, read_all_at

if TYPE_CHECKING:
    from types import TracebackType

    from holdfast.store.calls import SystemCalls

CHUNK = 2 * MAX_PAYLOAD
"""Bytes read at once; more than the longest record has."""

_FIRST_WINDOW = 2**15
_LOG = re.compile(r"(\d{20})\.asl\Z", re.ASCII)
_SIDECAR = re.compile(r"(\d{20})\.commits\Z", re.ASCII)


class Mark(NamedTuple):
    """A place in the log: behind record `logseq`, in the file named `first`, at `offset`."""

    logseq: int
    first: int
    offset: int
    record_hash: bytes


class Listing(NamedTuple):
    """What lies in the folder: first logseqs of log files and sidecars, ascending; the rest."""

    logs: list[int]
    sidecars: list[int]
    others: list[str]


class Opened:
    """A file open for reading, with its size; `OSError` within becomes an error that names it."""

    __slots__ = ("_calls", "_fd", "_path")

    def __init__(self, calls: SystemCalls, path: str) -> None:
        self._calls = calls
        self._path = path
        self._fd = -1

    def __enter__(self) -> tuple[int, int]:
        self._fd, size = open_file(self._calls, self._path)
        return self._fd, size

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        close_quietly(self._calls, self._fd)
        if isinstance(error, OSError):
            raise from_oserror(error, "reading", self._path) from error


class LogFolder:
    """The folder ``<root>/<prefix>/log``."""

    def __init__(self, calls: SystemCalls, root: str, prefix: str) -> None:
        self.calls = calls
        self.path = f"{root}/{prefix}/log"
        self.head_path = f"{self.path}/head"
        self.cut_path = f"{self.path}/cut"
        self._shown = f"{prefix}/log"

    def log_path(self, first: int) -> str:
        """Absolute path of the log file named `first`."""
        return f"{self.path}/{first:020d}.asl"

    def sidecar_path(self, first: int) -> str:
        """Absolute path of the sidecar of the log file named `first`."""
        return f"{self.path}/{first:020d}.commits"

    def shown(self, path: str) -> str:
        """`path` relative to the repository root, for findings."""
        return self._shown + path.removeprefix(self.path)

    def listing(self) -> Listing:
        """What lies in the folder now; a folder that is not there is empty."""
        logs: list[int] = []
        sidecars: list[int] = []
        others: list[str] = []
        try:
            names = self.calls.list_folder(self.path)
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise from_oserror(error, "listing", self.path) from error
        for name, is_folder in names:
            if not is_folder and (match := _LOG.match(name)):
                logs.append(int(match[1]))
            elif not is_folder and (match := _SIDECAR.match(name)):
                sidecars.append(int(match[1]))
            else:
                others.append(name)
        return Listing(sorted(logs), sorted(sidecars), sorted(others))

    def opened(self, path: str) -> Opened:
        """(descriptor, size) of a file, closed at the end."""
        return Opened(self.calls, path)

    def size(self, path: str) -> int:
        """Size in bytes, or -1 when nothing is there."""
        try:
            return self.calls.stat(path).size
        except (FileNotFoundError, NotADirectoryError):
            return -1
        except OSError as error:
            raise from_oserror(error, "looking at", path) from error

    def read_head(self) -> bytes | None:
        """The part of the head file that holds the slots; None when there is no file."""
        try:
            with self.opened(self.head_path) as (fd, _):
                return read_all_at(self.calls, fd, READ_SIZE, 0)
        except NotFound:
            return None

    def broken(self, first: int, fault: Fault) -> Integrity:
        """The error for a bad record of the log file named `first`."""
        return Integrity(
            "reading the log",
            self.log_path(first),
            found=f"record {fault.logseq}: {fault.found}",
            expected=fault.expected,
            offset=fault.offset,
            logseq=fault.logseq,
        )

    def ended(self, first: int, offset: int, logseq: int) -> Integrity:
        """The error for a log file that ends before record `logseq`."""
        return Integrity(
            "reading the log",
            self.log_path(first),
            found=f"the file ends before record {logseq}",
            expected="the record here, or a file that begins with it",
            offset=offset,
            logseq=logseq,
        )

    def missing(self, logseq: int) -> Integrity:
        """The error for a log that has no file for record `logseq`."""
        return Integrity(
            "reading the log",
            self.log_path(logseq),
            found=f"no file that holds record {logseq}",
            logseq=logseq,
        )

    def scan(
        self,
        start: Mark,
        *,
        stop: int = MAX_LOGSEQ,
        limit: int | None = None,
        records: bool = True,
        chain: bool = True,
        plain: Mapping[int, tuple[int, bytes]] | None = None,
    ) -> Iterator[tuple[list[Record], Chain]]:
        """Chunks of the records that follow `start` in its file, up to logseq `stop`.

        `limit` is an offset behind which nothing is read. Each chunk comes with how far the chain
        goes, in offsets of the file; only the last may have a fault. `records=False`: the lists
        stay empty; `chain=False`: hashes are not checked either; `plain`: the lists leave out the
        records that `verify_chain` does with it. A file that ends early just ends.
        """
        path = self.log_path(start.first)
        with self.opened(path) as (fd, size):
            if limit is not None:
                size = min(size, limit)
            if start.offset <= HEADER_SIZE:
                check_header(read_all_at(self.calls, fd, HEADER_SIZE, 0), path)
            position, logseq, previous = start.offset, start.logseq + 1, start.record_hash
            while position < size and logseq <= stop:
                buffer = read_all_at(self.calls, fd, min(CHUNK, size - position), position)
                if not buffer:
                    return
                found: list[Record] = []
                if records and plain is not None:
                    end = verify_chain(buffer, previous, logseq, stop=stop, plain=plain, into=found)
                elif records:
                    end = decode_chain(buffer, previous, logseq, stop=stop, into=found)
                elif chain:
                    end = verify_chain(buffer, previous, logseq, stop=stop)
                else:
                    end = skip_chain(buffer, logseq, stop=stop)
                fault = end.fault
                if fault is not None and fault.incomplete and position + len(buffer) < size:
                    fault = None
                if fault is not None:
                    fault = fault._replace(offset=position + fault.offset)
                position += end.offset
                yield found, Chain(position, end.logseq, end.record_hash, fault)
                if fault is not None:
                    return
                logseq, previous = end.logseq + 1, end.record_hash or previous

    def walk_to(
        self, start: Mark, logseq: int, *, limit: int | None = None, chain: bool = True
    ) -> Mark:
        """The place behind record `logseq` of the file in which `start` is.

        Raises:
            Integrity: a bad record before it, or the file ends.
        """
        mark = start
        for _, end in self.scan(start, stop=logseq, limit=limit, records=False, chain=chain):
            if end.fault is not None:
                raise self.broken(start.first, end.fault)
            if end.logseq > mark.logseq:
                mark = Mark(end.logseq, start.first, end.offset, end.record_hash)
        if mark.logseq < logseq:
            raise self.ended(start.first, mark.offset, mark.logseq + 1)
        return mark

    def first_mark(self, logs: list[int], i: int) -> Mark:
        """The place before the first record of the file ``logs[i]``, with the hash before it."""
        first = logs[i]
        if first == 1:
            return Mark(0, 1, HEADER_SIZE, GENESIS)
        if i == 0:
            raise self.missing(1)
        return Mark(first - 1, first, HEADER_SIZE, self.hash_before(logs, i))

    def hash_before(self, logs: list[int], i: int) -> bytes:
        """The hash of the last record before the file ``logs[i]``, from the file before it.

        Where no cut tail lies behind that file, its last 32 bytes are the hash, and the first
        record of ``logs[i]`` proves it; else the file is walked by its headers.
        """
        if self.is_linked(logs, i):
            return self._last_bytes(logs[i - 1])
        first, before = logs[i], logs[i - 1]
        start = Mark(before - 1, before, HEADER_SIZE, GENESIS)
        return self.walk_to(start, first - 1, chain=False).record_hash

    def is_linked(self, logs: list[int], i: int) -> bool:
        """Whether the first record of ``logs[i]`` continues what the file before it ends with."""
        guess = self._last_bytes(logs[i - 1])
        record = self._first_record(logs[i])
        return (
            len(guess) == 32
            and record is not None
            and hashlib.sha256(guess + record[:-32]).digest() == record[-32:]
        )

    def _last_bytes(self, first: int) -> bytes:
        with self.opened(self.log_path(first)) as (fd, size):
            return read_all_at(self.calls, fd, 32, max(HEADER_SIZE, size - 32))

    def _first_record(self, first: int) -> bytes | None:
        with self.opened(self.log_path(first)) as (fd, _):
            head = read_all_at(self.calls, fd, 4096, HEADER_SIZE)
            if len(head) < OVERHEAD:
                return None
            length = int.from_bytes(head[12:16], "little")
            if length > MAX_PAYLOAD:
                return None
            if OVERHEAD + length > len(head):
                head = read_all_at(self.calls, fd, OVERHEAD + length, HEADER_SIZE)
            return head[: OVERHEAD + length]

    def find(self, logs: list[int], logseq: int) -> int:
        """The index in `logs` of the file that holds record `logseq`. Raises `Integrity`."""
        i = bisect_right(logs, logseq) - 1
        if i < 0:
            raise self.missing(logseq)
        return i

    def backwards(self, logs: list[int], mark: Mark) -> Iterator[Record]:
        """The records before `mark`, which is trusted, newest first, chain-checked."""
        i = self.find(logs, mark.logseq)
        logseq, record_hash, end = mark.logseq, mark.record_hash, mark.offset
        while True:
            with self.opened(self.log_path(logs[i])) as (fd, _):
                window = _FIRST_WINDOW
                while end > HEADER_SIZE:
                    start = max(HEADER_SIZE, end - window)
                    buffer = read_all_at(self.calls, fd, end - start, start)
                    base = start
                    if start == HEADER_SIZE:
                        before = self.first_mark(logs, i).record_hash
                        buffer, base = before + buffer, start - 32
                    found: list[Record] = []
                    chain = decode_backwards(buffer, logseq, record_hash, found)
                    yield from found
                    if not found and (start == HEADER_SIZE or window > CHUNK):
                        fault = chain.fault or Fault(0, logseq, "no record", "the chain", False)
                        raise self.broken(logs[i], fault._replace(offset=end))
                    end = base + chain.offset
                    logseq, record_hash = chain.logseq, chain.record_hash
                    window *= 1 if found else 16
            if logseq == 0:
                return
            if logseq != logs[i] - 1:
                raise self.ended(logs[i], HEADER_SIZE, logseq)
            i -= 1
            if i < 0:
                raise self.missing(logseq)
            end = self._end_of(logs[i], logseq, record_hash)

    def _end_of(self, first: int, logseq: int, record_hash: bytes) -> int:
        with self.opened(self.log_path(first)) as (_, size):
            pass
        if self._last_bytes(first) == record_hash:
            return size
        start = Mark(first - 1, first, HEADER_SIZE, GENESIS)
        return self.walk_to(start, logseq, chain=False).offset
