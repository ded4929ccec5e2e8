"""Where journals lie: one growing file on a file system, one object per batch elsewhere
(spec/runs.md §1). Reading takes in what is new; appending is durable on return."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from holdfast.errors import Conflict, Integrity, NotFound, PathExists, from_oserror
from holdfast.runs.journal import Parsed, Position, begin_line, closing_hash, end_line, parse

if TYPE_CHECKING:
    from holdfast.runs.lines import BeginLine, EndLine
    from holdfast.store.calls import SystemCalls
    from holdfast.store.protocol import Store

FILE = "journal.jsonl"
FOLDER = "journal"
_CLOSING = 256
"""More bytes than a closing line has."""
_TAIL = 16 * 1024
"""Bytes that hold the end line and the closing line: the error text is bounded."""


class Journals:
    """The journals of one store. `run_dir` are keys of run folders from the store's root."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._calls, self._root = seam_of(store)

    @property
    def grows(self) -> bool:
        """Whether a journal is one growing file here."""
        return self._calls is not None

    def read(self, run_dir: str, position: Position | None = None) -> Parsed:
        """What was added after `position`.

        Raises:
            NotFound: no journal (and `position` is the beginning).
            Integrity: damaged.
        """
        start = position or Position()
        name = f"{run_dir}/{FILE}"
        if self._calls is not None:
            try:
                size = self._store.size(name)
            except NotFound:
                pass
            else:
                if size < start.size:
                    raise Integrity(
                        "reading the journal", name, found=f"{size} bytes", expected=f"{start.size}"
                    )
                data = self._store.read_range(name, start.size, size - start.size)
                return parse(data, start, name=name)
        return self._read_folder(run_dir, start)

    def _read_folder(self, run_dir: str, start: Position) -> Parsed:
        batches = []
        position = start
        while True:
            key = batch_key(run_dir, position.batches + 1)
            try:
                data = self._store.get(key)
            except NotFound:
                break
            parsed = parse(data, position, name=key)
            if parsed.torn or len(parsed.batches) != 1:
                raise Integrity("reading the journal", key, found="not one whole batch")
            batches += parsed.batches
            position = parsed.position
        if not position.batches:
            raise NotFound("reading the journal", run_dir)
        return Parsed(batches, position, 0)

    def whole(self, run_dir: str) -> bytes:
        """All bytes of the journal, torn tail and all, batches in order. NotFound."""
        if self._calls is not None:
            try:
                return self._store.get(f"{run_dir}/{FILE}")
            except NotFound:
                pass
        parts: list[bytes] = []
        while True:
            try:
                parts.append(self._store.get(batch_key(run_dir, len(parts) + 1)))
            except NotFound:
                break
        if not parts:
            raise NotFound("reading the journal", run_dir)
        return b"".join(parts)

    def exists(self, run_dir: str) -> bool:
        """Whether the run has a journal."""
        return (
            self._calls is not None and self._store.exists(f"{run_dir}/{FILE}")
        ) or self._store.exists(batch_key(run_dir, 1))

    def append(self, run_dir: str, position: Position, data: bytes) -> None:
        """Add one batch after `position`, durable on return.

        Raises:
            Conflict: the journal does not end at `position`; nothing was written.
            StorageFailure, NoSpace: it may be there in part; the run must not be written on.
        """
        if self._calls is None:
            try:
                self._store.put(batch_key(run_dir, position.batches + 1), data)
            except PathExists:
                raise Conflict(
                    "appending to the journal", run_dir, found="another writer's batch"
                ) from None
            return
        from holdfast.store.durable import create_file

        path = f"{self._root}/{run_dir}/{FILE}"
        if position.size:
            self._write(self._calls, path, position.size, data)
            return
        try:
            # Whole or absent: readers take a journal without its begin line for a damaged one.
            create_file(self._calls, path, data)
        except PathExists:
            raise Conflict(
                "appending to the journal", path, found="a journal of another writer"
            ) from None

    def _write(self, calls: SystemCalls, path: str, size: int, data: bytes) -> None:
        from holdfast.store.durable import write_all

        doing = "appending to the journal"
        try:
            fd = calls.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                found = calls.stat_open(fd).size
                if found != size:
                    raise Conflict(doing, path, found=f"{found} bytes", expected=f"{size}")
                try:
                    write_all(calls, fd, data)
                    calls.fsync(fd)
                except OSError:
                    # After a failed fsync the system may hold bytes that are not on the disk, and
                    # call the next fsync a success: nobody may build on them.
                    with contextlib.suppress(OSError):
                        calls.truncate(fd, size)
                        calls.fsync(fd)
                    raise
            finally:
                calls.close(fd)
        except OSError as error:
            raise from_oserror(error, doing, path) from error

    def peek(self, run_dir: str) -> tuple[BeginLine, EndLine | None]:
        """The first and the last line, without reading those between.

        Raises:
            NotFound: no journal.
            Integrity: the first batch has no begin line.
        """
        if self._calls is not None:
            name = f"{run_dir}/{FILE}"
            try:
                size = self._store.size(name)
            except NotFound:
                pass
            else:
                head = self._head(name, size)
                tail = self._store.read_range(name, max(0, size - _TAIL), _TAIL)
                return begin_line(head, name), end_line(tail)
        objects = self._store.children(f"{run_dir}/{FOLDER}")[1]
        if not objects:
            raise NotFound("reading the journal", run_dir)
        first, last = objects[0].path, objects[-1]
        return (
            begin_line(self._store.get(first), first),
            end_line(self._store.read_range(last.path, max(0, last.size - _TAIL), _TAIL)),
        )

    def _head(self, name: str, size: int) -> bytes:
        length = 4096
        while True:
            head = self._store.read_range(name, 0, length)
            if b"\n" in head or length >= size:
                return head
            length *= 8

    def closing_hash(self, run_dir: str, position: Position) -> str | None:
        """The hash in the closing line that ends at `position`, unchecked; None when there is
        none. NotFound."""
        if not position.batches:
            return position.hash.hex()
        name = f"{run_dir}/{FILE}"
        if self._calls is not None and self._store.exists(name):
            data = self._store.read_range(name, max(0, position.size - _CLOSING), _CLOSING)
            return closing_hash(data[: min(position.size, _CLOSING)])
        return closing_hash(self._store.get(batch_key(run_dir, position.batches)))

    def drop(self, run_dir: str) -> None:
        """Remove the journal of a run that was never begun. Only for a run that nobody writes."""
        if self._calls is not None:
            self._store.delete(f"{run_dir}/{FILE}")

    def cut(self, run_dir: str, size: int) -> None:
        """Cut a torn tail off at `size` bytes, durable. Only for a run that nobody writes."""
        if self._calls is None:
            return
        path = f"{self._root}/{run_dir}/{FILE}"
        try:
            fd = self._calls.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                self._calls.truncate(fd, size)
                self._calls.fsync(fd)
            finally:
                self._calls.close(fd)
        except OSError as error:
            raise from_oserror(error, "cutting the torn tail of", path) from error


def batch_key(run_dir: str, number: int) -> str:
    """The object of batch `number`."""
    return f"{run_dir}/{FOLDER}/{number:020d}.jsonl"


def seam_of(store: Store) -> tuple[SystemCalls | None, str]:
    """(system calls, absolute root) of a file-system store; (None, "") of any other."""
    from holdfast.store.filesystem import FileSystemStore

    if isinstance(store, FileSystemStore):
        return store.calls, store.root
    return None, ""
