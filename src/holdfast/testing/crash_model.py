"""A file system in memory that records what is done to it and can lose power at any moment.

`CrashCalls` stands in for the operating system behind `SystemCalls`. It keeps what a program sees
(every call takes effect at once) apart from what is on the disk: written bytes are there for sure
only after an fsync of the file, a directory entry only after an fsync of the directory, everything
after a `syncfs`. `crashes` gives the file systems that a power loss may leave behind; each is a
`CrashCalls` again, on which the program opens and is checked::

    model = CrashCalls()
    store = FileSystemStore("/repository", calls=model)
    store.put("a", b"1")
    model.acknowledge("a")
    for state in model.crashes():
        reopened = FileSystemStore("/repository", calls=state)
        assert reopened.exists("a") or "a" not in state.acknowledged, state.story

The model promises less than any file system in use: entries of one directory may become durable in
any order, a file's entry before its bytes and its size before its content. A rename is one unit,
but across directories the new name may come before the old one goes.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from holdfast.store.calls import Status
from holdfast.testing.crash_record import (
    Acknowledged,
    Change,
    Entries,
    File,
    Folder,
    Operation,
    Sync,
    Truncate,
    Write,
    apply_write,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _Open:
    __slots__ = ("append", "node", "position", "readable", "writable")

    def __init__(self, node: File | Folder, flags: int) -> None:
        self.node = node
        self.position = 0
        access = flags & os.O_ACCMODE
        self.readable = access != os.O_WRONLY
        self.writable = access != os.O_RDONLY
        self.append = bool(flags & os.O_APPEND)


def _fail(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


class CrashCalls:
    """`SystemCalls` on a file system in memory; thread-safe.

    Args:
        syncfs: whether the system has a `syncfs` that reports errors.
        volatile: names of folders that are not followed by the model and are gone after a crash:
            lock files.

    Attributes:
        acknowledged: the facts acknowledged before the crash that led to this state.
        story: what happened to lead to this state, for messages.
        operations: what was recorded since the beginning, or since `settle`.
    """

    def __init__(
        self,
        *,
        syncfs: bool = True,
        volatile: frozenset[str] = frozenset({"locks"}),
        root: Folder | None = None,
        first_inode: int = 2,
    ) -> None:
        self.root = root or Folder(1)
        self.operations: list[Operation] = []
        self.acknowledged: tuple[Any, ...] = ()
        self.story = "the beginning"
        self.volatile = volatile
        self.syncfs = syncfs
        self.next_inode = first_inode
        self._base: Folder | None = None
        self._open: dict[int, _Open] = {}
        self._next_fd = 1000
        self._locks: dict[int, dict[int, bool]] = {}
        self._time = 0
        self._mutex = threading.RLock()
        self.settle()

    # The model

    def acknowledge(self, fact: Any) -> None:
        """Record that the program now vouches for `fact`."""
        with self._mutex:
            self.operations.append(Acknowledged(fact))

    def settle(self) -> None:
        """Take all that is there as durable and forget how it came about; facts acknowledged so
        far stay acknowledged."""
        from holdfast.testing.crash_states import frozen_copy

        with self._mutex:
            facts = [op.fact for op in self.operations if isinstance(op, Acknowledged)]
            self.acknowledged += tuple(facts)
            self.operations = []
            self._base = frozen_copy(self.root)

    def crashes(self, *, limit: int = 2000, seed: int = 0) -> Iterator[CrashCalls]:
        """File systems that a power loss may leave, at any moment since `settle`.

        At every moment at which the most is unsynced, all combinations of what may be lost are
        given if they are few; else everything lost, everything kept, each thing alone lost, each
        thing alone kept, and a sample drawn with `seed`. The last write of a file may be torn at
        any byte, its unwritten range may hold zeros or garbage. States that are alike are given
        once for each set of acknowledged facts.

        Args:
            limit: about how many states to give.
        """
        from holdfast.testing.crash_states import crash_states

        with self._mutex:
            operations = list(self.operations)
        assert self._base is not None
        return crash_states(self, self._base, operations, limit=limit, seed=seed)

    def tree(self) -> dict[str, bytes]:
        """Every file as the program sees it, by absolute path; lock files left out."""
        found: dict[str, bytes] = {}
        waiting: list[tuple[str, Folder]] = [("", self.root)]
        while waiting:
            path, folder = waiting.pop()
            for name, node in folder.entries.items():
                if node.volatile:
                    continue
                if isinstance(node, Folder):
                    waiting.append((f"{path}/{name}", node))
                else:
                    found[f"{path}/{name}"] = bytes(node.data)
        return found

    # System calls

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        with self._mutex:
            node: File | Folder | None
            if flags & os.O_CREAT:
                folder, name = self._parent(path)
                node = folder.entries.get(name)
                if node is None:
                    node = File(self._inode(), volatile=folder.volatile)
                    node.changed = self._tick()
                    node.links = 1
                    self._set("create", folder, name, node, path)
                elif flags & os.O_EXCL:
                    raise _fail(errno.EEXIST, path)
            else:
                node = self._find(path)
            if isinstance(node, Folder):
                if flags & os.O_ACCMODE != os.O_RDONLY:
                    raise _fail(errno.EISDIR, path)
            elif flags & os.O_DIRECTORY:
                raise _fail(errno.ENOTDIR, path)
            fd = self._next_fd
            self._next_fd += 1
            self._open[fd] = _Open(node, flags)
            if flags & os.O_TRUNC and isinstance(node, File) and node.data:
                self._truncate(node, 0)
            return fd

    def close(self, fd: int) -> None:
        with self._mutex:
            opened = self._fd(fd)
            self._locks.get(opened.node.inode, {}).pop(fd, None)
            del self._open[fd]

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        with self._mutex:
            opened = self._fd(fd)
            if not opened.readable:
                raise _fail(errno.EBADF)
            return bytes(memoryview(self._file(opened).data)[offset : offset + size])

    def write(self, fd: int, data: Buffer) -> int:
        with self._mutex:
            opened = self._fd(fd)
            file = self._file(opened)
            if opened.append:
                opened.position = len(file.data)
            size = self._write(opened, file, data, opened.position)
            opened.position += size
            return size

    def write_at(self, fd: int, data: Buffer, offset: int) -> int:
        with self._mutex:
            opened = self._fd(fd)
            return self._write(opened, self._file(opened), data, offset)

    def truncate(self, fd: int, size: int) -> None:
        with self._mutex:
            opened = self._fd(fd)
            if not opened.writable:
                raise _fail(errno.EINVAL)
            self._truncate(self._file(opened), size)

    def fsync(self, fd: int) -> None:
        with self._mutex:
            node = self._fd(fd).node
            if not node.volatile:
                self.operations.append(Sync(node.inode))

    def sync_file_system(self, fd: int) -> bool:
        with self._mutex:
            self._fd(fd)
            if self.syncfs:
                self.operations.append(Sync(0))
            return self.syncfs

    def can_sync_file_system(self, fd: int) -> bool:
        with self._mutex:
            self._fd(fd)
            return self.syncfs

    def link(self, source: str, target: str) -> None:
        with self._mutex:
            node = self._find(source)
            if isinstance(node, Folder):
                raise _fail(errno.EPERM, source)
            folder, name = self._parent(target)
            if name in folder.entries:
                raise _fail(errno.EEXIST, target)
            node.links += 1
            self._set("link", folder, name, node, target)

    def rename(self, source: str, target: str) -> None:
        with self._mutex:
            node = self._find(source)
            old, old_name = self._parent(source)
            new, new_name = self._parent(target)
            there = new.entries.get(new_name)
            if there is node:
                return
            if isinstance(there, Folder):
                if isinstance(node, File):
                    raise _fail(errno.EISDIR, target)
                if there.entries:
                    raise _fail(errno.ENOTEMPTY, target)
            elif isinstance(there, File):
                if isinstance(node, Folder):
                    raise _fail(errno.ENOTDIR, target)
                there.links -= 1
            del old.entries[old_name]
            new.entries[new_name] = node
            old.changed = new.changed = self._tick()
            if not (old.volatile or new.volatile):
                gone = Change(old.inode, old_name, None)
                came = Change(new.inode, new_name, node)
                self.operations.append(Entries(f"rename {source} {target}", (came, gone)))

    def unlink(self, path: str) -> None:
        with self._mutex:
            node = self._find(path)
            if isinstance(node, Folder):
                raise _fail(errno.EISDIR, path)
            node.links -= 1
            self._remove("unlink", path)

    def make_folder(self, path: str) -> None:
        with self._mutex:
            folder, name = self._parent(path)
            if not name or name in folder.entries:
                raise _fail(errno.EEXIST, path)
            new = Folder(self._inode(), folder.volatile or name in self.volatile)
            self._set("mkdir", folder, name, new, path)

    def remove_folder(self, path: str) -> None:
        with self._mutex:
            node = self._find(path)
            if isinstance(node, File):
                raise _fail(errno.ENOTDIR, path)
            if node.entries:
                raise _fail(errno.ENOTEMPTY, path)
            self._remove("rmdir", path)

    def list_folder(self, path: str) -> list[tuple[str, bool]]:
        with self._mutex:
            node = self._find(path)
            if isinstance(node, File):
                raise _fail(errno.ENOTDIR, path)
            return [(name, isinstance(n, Folder)) for name, n in node.entries.items()]

    def stat(self, path: str) -> Status:
        with self._mutex:
            return self._status(self._find(path))

    def stat_open(self, fd: int) -> Status:
        with self._mutex:
            return self._status(self._fd(fd).node)

    def map(self, fd: int, size: int) -> memoryview:
        with self._mutex:
            data = self._file(self._fd(fd)).data
            if size > len(data):
                raise _fail(errno.EINVAL)
            return memoryview(bytes(data[:size]))

    def lock(self, fd: int, exclusive: bool) -> bool:
        with self._mutex:
            holders = self._locks.setdefault(self._fd(fd).node.inode, {})
            others = [mode for holder, mode in holders.items() if holder != fd]
            if any(others) or (exclusive and others):
                return False
            holders[fd] = exclusive
            return True

    def unlock(self, fd: int) -> None:
        with self._mutex:
            self._locks.get(self._fd(fd).node.inode, {}).pop(fd, None)

    def file_system(self, path: str) -> str:
        with self._mutex:
            self._find(path)
            return "ext4"

    # Inside

    def _inode(self) -> int:
        self.next_inode += 1
        return self.next_inode

    def _tick(self) -> int:
        self._time += 1
        return self._time

    def _fd(self, fd: int) -> _Open:
        try:
            return self._open[fd]
        except KeyError:
            raise _fail(errno.EBADF) from None

    def _file(self, opened: _Open) -> File:
        if isinstance(opened.node, Folder):
            raise _fail(errno.EISDIR)
        return opened.node

    def _find(self, path: str) -> File | Folder:
        node: File | Folder = self.root
        for name in path.split("/"):
            if name:
                if isinstance(node, File):
                    raise _fail(errno.ENOTDIR, path)
                found = node.entries.get(name)
                if found is None:
                    raise _fail(errno.ENOENT, path)
                node = found
        return node

    def _parent(self, path: str) -> tuple[Folder, str]:
        above, _, name = path.rpartition("/")
        if len(name.encode()) > 255:
            raise _fail(errno.ENAMETOOLONG, path)
        folder = self._find(above)
        if isinstance(folder, File):
            raise _fail(errno.ENOTDIR, path)
        return folder, name

    def _set(self, what: str, folder: Folder, name: str, node: File | Folder, path: str) -> None:
        folder.entries[name] = node
        folder.changed = self._tick()
        if not folder.volatile and not node.volatile:
            change = Change(folder.inode, name, node)
            self.operations.append(Entries(f"{what} {path}", (change,)))

    def _remove(self, what: str, path: str) -> None:
        folder, name = self._parent(path)
        del folder.entries[name]
        folder.changed = self._tick()
        if not folder.volatile:
            change = Change(folder.inode, name, None)
            self.operations.append(Entries(f"{what} {path}", (change,)))

    def _write(self, opened: _Open, file: File, data: Buffer, offset: int) -> int:
        if not opened.writable:
            raise _fail(errno.EBADF)
        written = bytes(data)
        if not written:
            return 0
        if isinstance(file.data, bytes):
            file.data = bytearray(file.data)
        apply_write(file.data, offset, written)
        file.changed = self._tick()
        if not file.volatile:
            self.operations.append(Write(file.inode, offset, written))
        return len(written)

    def _truncate(self, file: File, size: int) -> None:
        data = bytes(file.data[:size])
        file.data = data + bytes(size - len(data))
        file.changed = self._tick()
        if not file.volatile:
            self.operations.append(Truncate(file.inode, size))

    def _status(self, node: File | Folder) -> Status:
        if isinstance(node, Folder):
            return Status(
                stat_module.S_IFDIR | 0o755, node.inode, 1, 2, 0, node.changed, node.changed
            )
        return Status(
            stat_module.S_IFREG | 0o644,
            node.inode,
            1,
            node.links,
            len(node.data),
            node.changed,
            node.changed,
        )
