"""The store contract: create-only files under relative paths.

Paths are relative, ``/``-separated and normalised (see `holdfast.store.paths`). A store never
lists temporary files (``.hf-<16 hex>``) or its lock files.

"Durable" means: on return, the bytes and every directory entry that leads to them survive a power
loss, as far as the store below can promise it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.leases import Leases


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored file: its path and its size in bytes."""

    path: str
    size: int


class Writer(Protocol):
    """A stream into one new file, invisible until `close` returns.

    As a context manager it closes on success and aborts on an exception. After a failed `write`
    or `close` nothing is visible and the writer only aborts. `abort` after `close` does nothing.
    """

    def write(self, data: Buffer) -> None:
        """Append `data`."""

    def close(self) -> None:
        """Publish the file, create-only and durable. Raises `PathExists` when it lost the race."""

    def abort(self) -> None:
        """Drop what was written."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Staged(Protocol):
    """A new file whose name is decided last; invisible until it is published.

    After an error it can only be closed. As a context manager it closes.
    """

    def write(self, data: Buffer) -> None:
        """Append `data`."""

    def prepare(self) -> None:
        """Nothing is written after this. Where syncs are not shared, what was written is durable
        on return; it is at the latest when it was published, or was `along` with what was."""

    def publish(self, path: str) -> None:
        """Give the file its name, create-only and durable. Raises `PathExists`.

        On stores without leases it may be published again, under another name, until it is
        closed."""

    def close(self) -> None:
        """Drop what is not published; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Batch(Protocol):
    """Many new files that share their syncs.

    Until `commit` returns, the files may be visible, and after a crash absent or torn: only a
    caller whose manifest names the files it trusts may use a batch. All methods may be called from
    several threads. As a context manager it aborts unless `commit` was called.
    """

    def put(self, path: str, data: Buffer) -> None:
        """Create `path`. Raises `PathExists`."""

    def open_writer(self, path: str, *, staging: str | None = None) -> Writer:
        """As `Store.open_writer`; its `close` leaves the sync to `commit`."""

    def commit(self) -> None:
        """Make every file put since the last `commit` durable; the batch can be used on."""

    def abort(self) -> None:
        """Remove the files put since the last `commit`, as far as that can be done."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class Store(Protocol):
    """Where bytes live. Every method raises `InvalidPath` on a path that breaks the rules, and
    `StorageFailure`, `NoSpace` or `Denied` when the system refuses; after such an error nothing is
    half-visible. Safe to use from several threads."""

    @property
    def url(self) -> str:
        """What to call it in messages: a path or a URL without secrets."""

    @property
    def leases(self) -> Leases | None:
        """Leases on this store, or None where it has none (object stores)."""

    def put(self, path: str, data: Buffer) -> None:
        """Create `path` with `data`, durable on return. Raises `PathExists`, under a race too."""

    def put_many(self, items: Iterable[tuple[str, Buffer]]) -> None:
        """As `put` for each item, sharing syncs; each file is whole or absent, all durable on
        return. On an error some of the files may exist, each whole."""

    def get(self, path: str) -> bytes:
        """All bytes. Raises `NotFound`."""

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, at most `length`; short at the end of the file, empty
        beyond it. Only these bytes are read. Raises `NotFound`; `Invalid` on a negative number."""

    def size(self, path: str) -> int:
        """Size in bytes. Raises `NotFound`."""

    def exists(self, path: str) -> bool:
        """Whether a file is at `path`."""

    def list(self, folder: str = "") -> Iterator[Entry]:
        """Every file below `folder` at any depth, ascending by path bytes; "" is the root. A
        folder that is not there has no files."""

    def children(self, folder: str = "") -> tuple[Sequence[str], Sequence[Entry]]:
        """The names of the folders directly below `folder`, and the files directly in it, both
        ascending. Entry paths are full paths."""

    def delete(self, path: str) -> None:
        """Remove the file, durable on return; nothing happens when it is not there."""

    def compare_and_swap(self, path: str, expected: bytes | None, replacement: bytes) -> None:
        """Replace the content of `path`, if it is `expected` (None: absent), by `replacement`,
        durable on return. Raises `Conflict` otherwise. For small files."""

    def swap_staged(self, path: str, expected: bytes | None, staged: Staged) -> None:
        """As `compare_and_swap`, with what was staged, which may be durable already. On stores
        with leases the caller holds one that everybody holds who replaces or deletes this file."""

    def open_writer(self, path: str, *, staging: str | None = None) -> Writer:
        """A stream into a new file. An existing path raises `PathExists` here or at `close`.

        `staging` is a folder for the temporary file, where the store has such files (default: the
        folder of `path`); a store without them ignores it."""

    def stage(self, folder: str) -> Staged:
        """A new file that gets its name last. `folder` is where the temporary file lies, where
        the store has such files."""

    def publish_many(
        self,
        items: Sequence[tuple[Staged, str]],
        *,
        along: Sequence[Staged] = (),
        whole: bool = False,
    ) -> None:
        """Publish each staged file under its path, and prepare those of `along`, sharing syncs;
        all durable on return. On an error, and after a crash before the return, some of them may
        exist, and without `whole` they may be torn then: only a caller whose manifest names the
        files it trusts may do without. Raises `PathExists`."""

    def batch(self) -> Batch:
        """A batch of new files that share their syncs."""

    def close(self) -> None:
        """Release what the store holds; idempotent."""
