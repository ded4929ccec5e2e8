"""A store in a folder of a local file system.

Every write is durable on return (`holdfast.store.durable`). Symlinks below the root are not
followed: a folder is checked when this process first uses it, a file whenever it is opened.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.digests import sha256_hex
from holdfast.errors import (
    Conflict,
    Denied,
    Invalid,
    InvalidPath,
    NotFound,
    PathExists,
    Unsupported,
)
from holdfast.leases import FileLeases
from holdfast.store.calls import OsCalls, SystemCalls, is_network_kind
from holdfast.store.durable import (
    TempFile,
    close_quietly,
    create_file,
    open_file,
    publish_durable,
    publish_many,
    random_token,
    read_all_at,
    read_file,
    replace_file,
    sync_folder,
    typed,
)
from holdfast.store.file_batch import FileBatch
from holdfast.store.file_staged import FileStaged, publish_staged
from holdfast.store.file_writer import FileWriter
from holdfast.store.folders import Folders
from holdfast.store.listing import list_children, list_files
from holdfast.store.paths import LOCKS, check_folder, check_path
from holdfast.store.protocol import Entry, Staged
from holdfast.store.shared_sync import FEW, SharedSync
from holdfast.store.stale import remove_stale_temps, stale_temps

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.clock import Ids
    from holdfast.leases import Lease, Leases
    from holdfast.records import GcReport

_AT_ONCE = 128
"""Files that `put_many` holds open at once: each temporary file stays locked until published."""


class FileSystemStore:
    """Files below a folder; see `holdfast.store.protocol.Store` for the methods.

    Args:
        root: the folder; made when first written to.
        calls: the system calls to use (tests inject faults and crashes here).
        leases: default `FileLeases` in ``locks`` below the root.
        ids: names of temporary files; default random.
        read_only: refuse to write, make no lock files.
        network_file_system_is_safe: allow a file system on another machine, where locks and syncs
            may not hold what they promise.

    Raises:
        Unsupported: the root lies on a network file system.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        calls: SystemCalls | None = None,
        leases: Leases | None = None,
        ids: Ids | None = None,
        read_only: bool = False,
        network_file_system_is_safe: bool = False,
    ) -> None:
        if sys.getfilesystemencoding().lower() not in ("utf-8", "utf8"):
            raise Unsupported(
                "opening the store",
                os.fspath(root),
                found=f"file names in {sys.getfilesystemencoding()}",
                expected="UTF-8, whatever the locale",
                hint="start Python with PYTHONUTF8=1",
            )
        if "\0" in os.fspath(root):
            raise InvalidPath("opening the store", repr(root), found="NUL")
        self.root = os.path.abspath(root)
        self.calls: SystemCalls = OsCalls() if calls is None else calls
        self.read_only = read_only
        if not network_file_system_is_safe:
            self._refuse_network()
        self._token = random_token if ids is None else lambda: ids.token(8)
        self.folders = Folders(self.calls, self.root)
        """Folders below the root; `folders.ensure` makes one, durable. Absolute paths."""
        self.syncs = SharedSync(self.calls, self.root)
        """Syncs of the whole file system."""
        self._leases: Leases = leases or FileLeases(
            self._full(LOCKS),
            calls=self.calls,
            read_only=read_only,
            prepare=lambda: self.folders.ensure(self.root),
        )

    @property
    def url(self) -> str:
        return self.root

    @property
    def leases(self) -> Leases:
        return self._leases

    def put(self, path: str, data: Buffer) -> None:
        full, folder = self._for_writing(path)
        try:
            create_file(self.calls, full, data, token=self._token)
        except NotFound:
            self._make_again(folder)
            create_file(self.calls, full, data, token=self._token)

    def put_many(self, items: Iterable[tuple[str, Buffer]]) -> None:
        if self.read_only:
            raise self._denied("writing", "")
        waiting: list[tuple[str, Buffer]] = []
        for item in items:
            waiting.append(item)
            if len(waiting) == _AT_ONCE:
                self._put_together(waiting)
                waiting = []
        if waiting:
            self._put_together(waiting)

    def get(self, path: str) -> bytes:
        full = self._for_reading(path)
        return read_file(self.calls, full)

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        full = self._for_reading(path)
        if offset < 0 or length < 0:
            raise Invalid("reading", path, found=f"offset {offset}, length {length}")
        fd, size = open_file(self.calls, full)
        try:
            if offset >= size or not length:
                return b""
            with typed("reading", full):
                return read_all_at(self.calls, fd, min(length, size - offset), offset)
        finally:
            close_quietly(self.calls, fd)

    def size(self, path: str) -> int:
        full = self._for_reading(path)
        with typed("looking at", full):
            status = self.calls.stat(full)
        if not status.is_file:
            raise NotFound("looking at", full, found="not a file")
        return status.size

    def exists(self, path: str) -> bool:
        full = self._full(check_path(path))
        if not self.folders.check(os.path.dirname(full)):
            return False
        with typed("looking at", full):
            try:
                return self.calls.stat(full).is_file
            except (FileNotFoundError, NotADirectoryError):
                return False

    def list(self, folder: str = "") -> Iterator[Entry]:
        full = self._full(check_folder(folder))
        if folder == LOCKS or not self.folders.check(full):
            return iter(())
        return list_files(self.calls, full, folder)

    def children(self, folder: str = "") -> tuple[builtins.list[str], builtins.list[Entry]]:
        full = self._full(check_folder(folder))
        if folder == LOCKS or not self.folders.check(full):
            return [], []
        return list_children(self.calls, full, folder)

    def delete(self, path: str) -> None:
        full = self._full(check_path(path))
        if self.read_only:
            raise self._denied("deleting", full)
        folder = os.path.dirname(full)
        if not self.folders.check(folder):
            return
        with self._swap_lease(path):
            with typed("deleting", full):
                try:
                    self.calls.unlink(full)
                except FileNotFoundError:
                    pass
                except (IsADirectoryError, PermissionError):
                    if not self.calls.stat(full).is_folder:
                        raise
            # Where it was gone already too: whoever removed it may not have come to its sync.
            try:
                sync_folder(self.calls, folder)
            except NotFound:
                self.folders.forget(folder)

    def compare_and_swap(self, path: str, expected: bytes | None, replacement: bytes) -> None:
        full, folder = self._for_writing(path)
        with self._swap_lease(path):
            try:
                if expected is None:
                    create_file(self.calls, full, replacement, token=self._token)
                    return
                found = read_file(self.calls, full)
            except PathExists:
                raise Conflict("replacing", full, found="a file", expected="none") from None
            except NotFound:
                if expected is None:
                    self._make_again(folder)
                    create_file(self.calls, full, replacement, token=self._token)
                    return
                raise Conflict("replacing", full, found="no file", expected="a file") from None
            if found != expected:
                raise Conflict("replacing", full, found="other bytes than expected")
            replace_file(self.calls, full, replacement, token=self._token)

    def swap_staged(self, path: str, expected: bytes | None, staged: Staged) -> None:
        full, _ = self._for_writing(path)
        if not isinstance(staged, FileStaged):
            raise Invalid("replacing", full, found="a file that another store staged")
        try:
            if expected is None:
                staged.publish(path)
                return
            found = read_file(self.calls, full)
        except PathExists:
            raise Conflict("replacing", full, found="a file", expected="none") from None
        except NotFound:
            if expected is None:
                raise
            raise Conflict("replacing", full, found="no file", expected="a file") from None
        if found != expected:
            raise Conflict("replacing", full, found="other bytes than expected")
        staged.replace(full)

    def open_writer(self, path: str, *, staging: str | None = None) -> FileWriter:
        full, folder = self._for_writing(path)
        if staging:
            folder = self._full(check_path(staging))
            self.folders.create(folder)
        with typed("writing", full):
            try:
                temp = TempFile(self.calls, folder, self._token)
            except FileNotFoundError:
                self._make_again(folder)
                temp = TempFile(self.calls, folder, self._token)
        return FileWriter(temp, full, self._publish)

    def stage(self, folder: str) -> FileStaged:
        full = self._full(check_path(folder))
        if self.read_only:
            raise self._denied("writing", full)
        self.folders.create(full)
        with typed("writing", full):
            try:
                temp = TempFile(self.calls, full, self._token)
            except FileNotFoundError:
                self._make_again(full)
                temp = TempFile(self.calls, full, self._token)
        return FileStaged(self.calls, self.root, self.folders, self.syncs, temp)

    def publish_many(
        self,
        items: Sequence[tuple[Staged, str]],
        *,
        along: Sequence[Staged] = (),
        whole: bool = False,
    ) -> None:
        own = [(item, path) for item, path in items if isinstance(item, FileStaged)]
        also = [item for item in along if isinstance(item, FileStaged)]
        if len(own) != len(items) or len(also) != len(along):
            raise Invalid("publishing", self.root, found="a file that another store staged")
        publish_staged(self.calls, self.root, self.folders, self.syncs, own, also, whole=whole)

    def batch(self) -> FileBatch:
        if self.read_only:
            raise self._denied("writing", "")
        return FileBatch(self.calls, self.root, self.folders, self._token)

    def close(self) -> None:
        """Nothing is held open."""

    def stale_temps(self, folder: str = "") -> Iterator[Entry]:
        """Temporary files below `folder` that nobody writes any more: those whose lock is free."""
        full = self._full(check_folder(folder))
        return stale_temps(self.calls, full, folder)

    def remove_stale_temps(self, folder: str = "", *, dry_run: bool = False) -> GcReport:
        """Remove what `stale_temps` names; paths in the report are relative to the root."""
        if self.read_only and not dry_run:
            raise self._denied("sweeping", folder)
        full = self._full(check_folder(folder))
        return remove_stale_temps(self.calls, full, folder, dry_run=dry_run)

    def _full(self, path: str) -> str:
        if not path:
            return self.root
        return self.root + path if self.root.endswith("/") else f"{self.root}/{path}"

    def _for_reading(self, path: str) -> str:
        full = self._full(check_path(path))
        if not self.folders.check(os.path.dirname(full)):
            raise NotFound("reading", full)
        return full

    def _for_writing(self, path: str) -> tuple[str, str]:
        full = self._full(check_path(path))
        if self.read_only:
            raise self._denied("writing", full)
        folder = os.path.dirname(full)
        self.folders.ensure(folder)
        return full, folder

    def _make_again(self, folder: str) -> None:
        """The folder was known and is gone: somebody removed it."""
        self.folders.forget(folder)
        self.folders.ensure(folder)

    def _denied(self, doing: str, full: str) -> Denied:
        return Denied(doing, full or self.root, found="the store is open for reading only")

    def _swap_lease(self, path: str) -> Lease:
        return self._leases.acquire(f"cas/{sha256_hex(path.encode())[:2]}")

    def _publish(self, temp: TempFile, path: str) -> None:
        temp.sync()
        publish_durable(self.calls, temp, path)

    def _put_together(self, items: Sequence[tuple[str, Buffer]]) -> None:
        places = [self._for_writing(path) for path, _ in items]
        path = places[0][0]
        temps: list[tuple[TempFile, str]] = []
        # Opened before anything is written: `syncfs` reports what failed since then.
        with typed("opening the folder", self.root):
            root = self.calls.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with typed("writing", path):
                shared = len(items) >= FEW and self.calls.can_sync_file_system(root)
            try:
                for (path, folder), (_, data) in zip(places, items, strict=True):
                    with typed("writing", path):
                        temp = TempFile(self.calls, folder, self._token)
                        temps.append((temp, path))
                        temp.write(data)
                        if not shared:
                            temp.sync()
            except BaseException:
                for temp, _ in temps:
                    temp.discard()
                raise

            def sync_all() -> None:
                if shared and not self.calls.sync_file_system(root):
                    for temp, _ in temps:
                        temp.sync()

            publish_many(self.calls, temps, sync_all)
        finally:
            close_quietly(self.calls, root)

    def _refuse_network(self) -> None:
        above = self.root
        while True:
            try:
                kind = self.calls.file_system(above)
                break
            except OSError:
                if above == os.path.dirname(above):
                    return
                above = os.path.dirname(above)
        if is_network_kind(kind):
            raise Unsupported(
                "opening the store",
                self.root,
                found=f"a file system of kind {kind}",
                expected="a local one",
                hint="use a local disk or an object store, or declare this one safe",
            )
