"""Which file systems a power loss may leave behind, from what `CrashCalls` recorded."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.testing.crash_model import CrashCalls
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

_MOST_CUTS = 12
_LEAST_PER_POINT = 6


def frozen_copy(folder: Folder) -> Folder:
    """A copy of a tree as it is now, without what is volatile; contents are shared. Hard links
    stay links."""
    files: dict[int, File] = {}

    def copy(source: Folder) -> Folder:
        out = Folder(source.inode)
        out.changed = source.changed
        for name, node in source.entries.items():
            if node.volatile:
                continue
            if isinstance(node, Folder):
                out.entries[name] = copy(node)
                continue
            new = files.get(node.inode)
            if new is None:
                new = files[node.inode] = File(node.inode, bytes(node.data))
                new.changed = node.changed
            new.links += 1
            out.entries[name] = new
        return out

    return copy(folder)


class _Unsynced:
    """A file's bytes on the disk, and what was written since; the contents it may have."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pending: list[Write | Truncate] = []
        self._known: list[bytes] | None = None

    def add(self, operation: Write | Truncate) -> None:
        self.pending.append(operation)
        self._known = None

    def sync(self) -> None:
        if self.pending:
            self.data = self._applied(self.pending)
            self.pending = []
        self._known = None

    def contents(self) -> list[bytes]:
        """Contents after a crash: first all kept, then all lost, then what lies between."""
        if self._known is None:
            self._known = list(dict.fromkeys(self._possible())) if self.pending else [self.data]
        return self._known

    def _possible(self) -> Iterator[bytes]:
        pending = self.pending
        whole = self._applied(pending)
        yield whole
        yield self.data
        # The size may be there before the bytes: zeros, or what the blocks held before.
        if len(whole) > len(self.data):
            grown = len(whole) - len(self.data)
            yield self.data + bytes(grown)
            yield self.data + (b"\xa5GARBAGE" * (grown // 8 + 1))[:grown]
        last = pending[-1]
        if isinstance(last, Write):
            before = self._applied(pending[:-1])
            for cut in _cuts(last):
                yield _with_write(before, last.offset, last.data[:cut])
            for cut in _cuts(last)[:4]:
                yield _with_write(before, last.offset + cut, last.data[cut:])
        if len(pending) > 1:
            for at in _spread(len(pending), _MOST_CUTS):
                yield self._applied(pending[:at])
                yield self._applied([*pending[:at], *pending[at + 1 :]])

    def _applied(self, operations: Sequence[Write | Truncate]) -> bytes:
        data = bytearray(self.data)
        for op in operations:
            if isinstance(op, Write):
                apply_write(data, op.offset, op.data)
            elif op.size <= len(data):
                del data[op.size :]
            else:
                data += bytes(op.size - len(data))
        return bytes(data)


def _with_write(before: bytes, offset: int, data: bytes) -> bytes:
    out = bytearray(before)
    if data:
        apply_write(out, offset, data)
    return bytes(out)


def _cuts(write: Write) -> list[int]:
    """Where a write may be torn: at sectors and pages of the file, and at odd bytes."""
    size = len(write.data)
    cuts = {1, size // 2, size // 2 + 1, size - 1}
    for unit in (512, 4096):
        first = -write.offset % unit or unit
        at = range(first, size, unit)
        cuts.update(at[:2])
        cuts.update(at[-2:])
    return sorted(cut for cut in cuts if 0 < cut < size)[:_MOST_CUTS]


def _spread(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return sorted({i * (count - 1) // (most - 1) for i in range(most)})


class _Disk:
    """What is durable after the operations so far, and what is not."""

    def __init__(self, base: Folder) -> None:
        self.root = base.inode
        self.files: dict[int, _Unsynced] = {}
        self.folders: dict[int, dict[str, File | Folder]] = {}
        self.nodes: dict[int, File | Folder] = {}
        self.dirty: dict[int, None] = {}
        self.entries: list[Entries] = []
        self._take_in(base)

    def apply(self, op: Operation) -> None:
        if isinstance(op, (Write, Truncate)):
            self.files[op.inode].add(op)
            self.dirty[op.inode] = None
        elif isinstance(op, Entries):
            for change in op.changes:
                node = change.node
                if isinstance(node, File):
                    self.files.setdefault(node.inode, _Unsynced(b""))
                elif isinstance(node, Folder):
                    self.folders.setdefault(node.inode, {})
                if node is not None:
                    self.nodes[node.inode] = node
            self.entries.append(op)
        elif isinstance(op, Sync):
            self._sync(op.inode)

    def choices(self) -> list[int]:
        """How many ways each unsynced thing may have gone: first the entries, then the files."""
        return [2] * len(self.entries) + [len(self.files[i].contents()) for i in self.dirty]

    def build(self, chosen: Sequence[int]) -> tuple[Folder, list[str]]:
        """The tree for one choice each (0: kept), and what it lacks, in words."""
        lost: list[str] = []
        folders: dict[int, dict[str, File | Folder]] = {}
        for choice, entries in zip(chosen, self.entries, strict=False):
            if choice:
                lost.append(f"lost: {entries.what}")
            else:
                _apply_changes(self.folders, folders, entries.changes)
        contents: dict[int, bytes] = {}
        for choice, inode in zip(chosen[len(self.entries) :], self.dirty, strict=True):
            unsynced = self.files[inode]
            contents[inode] = unsynced.contents()[choice]
            if choice:
                lost.append(
                    f"inode {inode} has {len(contents[inode])} bytes (choice {choice}), "
                    f"not {len(unsynced.contents()[0])} as written"
                )
        return self._tree(folders, contents), lost

    def _tree(
        self, folders: dict[int, dict[str, File | Folder]], contents: dict[int, bytes]
    ) -> Folder:
        made: dict[int, File] = {}

        def grow(inode: int) -> Folder:
            out = Folder(inode)
            out.changed = self.nodes[inode].changed
            entries = folders.get(inode)
            for name, node in (self.folders[inode] if entries is None else entries).items():
                if isinstance(node, Folder):
                    out.entries[name] = grow(node.inode)
                    continue
                file = made.get(node.inode)
                if file is None:
                    data = contents.get(node.inode)
                    if data is None:
                        data = self.files[node.inode].data
                    file = made[node.inode] = File(node.inode, data)
                    file.changed = node.changed
                file.links += 1
                out.entries[name] = file
            return out

        return grow(self.root)

    def _sync(self, inode: int) -> None:
        if inode == 0:
            for dirty in self.dirty:
                self.files[dirty].sync()
            self.dirty = {}
            for entries in self.entries:
                _apply_changes(None, self.folders, entries.changes)
            self.entries = []
        elif inode in self.files:
            self.files[inode].sync()
            self.dirty.pop(inode, None)
        else:
            left = []
            for entries in self.entries:
                here = [c for c in entries.changes if c.folder == inode]
                if any(c.node is None for c in here):
                    # The old name of a rename goes only when the new one has come.
                    here = list(entries.changes)
                _apply_changes(None, self.folders, here)
                rest = tuple(c for c in entries.changes if c not in here)
                if rest:
                    left.append(Entries(entries.what, rest))
            self.entries = left

    def _take_in(self, folder: Folder) -> None:
        self.nodes[folder.inode] = folder
        self.folders[folder.inode] = dict(folder.entries)
        for node in folder.entries.values():
            if isinstance(node, Folder):
                self._take_in(node)
            else:
                self.nodes[node.inode] = node
                self.files[node.inode] = _Unsynced(bytes(node.data))


def _apply_changes(
    durable: dict[int, dict[str, File | Folder]] | None,
    folders: dict[int, dict[str, File | Folder]],
    changes: Sequence[Change],
) -> None:
    """Apply to `folders`; with `durable`, a folder is copied from there when first changed."""
    for change in changes:
        if durable is not None and change.folder not in folders:
            folders[change.folder] = dict(durable[change.folder])
        entries = folders[change.folder]
        if change.node is None:
            entries.pop(change.name, None)
        else:
            entries[change.name] = change.node


def _combinations(choices: list[int], budget: int, rng: random.Random) -> Iterator[tuple[int, ...]]:
    """Index tuples into `choices`: all if at most `budget`, else the telling ones and a sample."""
    total = 1
    for count in choices:
        total *= count
        if total > budget:
            break
    else:
        yield from itertools.product(*(range(count) for count in choices))
        return
    kept = (0,) * len(choices)
    lost = tuple(min(1, count - 1) for count in choices)
    yield kept
    yield lost
    telling = [(i, c) for i, count in enumerate(choices) for c in range(1, count)]
    alone = list(range(len(choices)))
    for given in range(budget - 2):
        # In turn: one thing lost, one thing kept, any combination.
        if given % 3 == 0 and telling:
            i, c = telling.pop(rng.randrange(len(telling)))
            yield (*kept[:i], c, *kept[i + 1 :])
        elif given % 3 == 1 and alone:
            i = alone.pop(rng.randrange(len(alone)))
            yield (*lost[:i], 0, *lost[i + 1 :])
        else:
            yield tuple(rng.randrange(count) for count in choices)


def _moments(operations: list[Operation]) -> set[int]:
    """Before each sync, if anything changed since the one before it, and at the end."""
    moments = {len(operations)}
    changed = False
    for at, op in enumerate(operations):
        if isinstance(op, Sync):
            if changed:
                moments.add(at)
            changed = False
        elif not isinstance(op, Acknowledged):
            changed = True
    return moments


def _fingerprint(folder: Folder) -> Any:
    return frozenset(
        (name, _fingerprint(node) if isinstance(node, Folder) else bytes(node.data))
        for name, node in folder.entries.items()
    )


def crash_states(
    model: CrashCalls, base: Folder, operations: list[Operation], *, limit: int, seed: int
) -> Iterator[CrashCalls]:
    """See `CrashCalls.crashes`.

    What may be lost just before a sync contains what may be lost at any moment since the sync
    before it, so only those moments (and the end) get their full share of `limit`; the others get
    the two extremes.
    """
    rng = random.Random(seed)  # noqa: S311
    disk = _Disk(base)
    facts = model.acknowledged
    last = len(operations)
    full = _moments(operations)
    budget = max(_LEAST_PER_POINT, (limit - 2 * (last + 1 - len(full))) // len(full))
    seen: set[Any] = set()
    for at in range(last + 1):
        if at:
            done = operations[at - 1]
            if isinstance(done, Acknowledged):
                facts = (*facts, done.fact)
            else:
                disk.apply(done)
        choices = disk.choices()
        for chosen in _combinations(choices, budget if at in full else 2, rng):
            root, lost = disk.build(chosen)
            key = (len(facts), _fingerprint(root))
            if key in seen:
                continue
            seen.add(key)
            state = CrashCalls(
                syncfs=model.syncfs,
                volatile=model.volatile,
                root=root,
                first_inode=model.next_inode,
            )
            state.acknowledged = facts
            state.story = f"crash after {at} of {last} operations; " + (
                "; ".join(lost) or "nothing lost"
            )
            yield state
