"""Raw_source files of an open run that other processes create, under their final names
(docs/decisions/0510)."""

from __future__ import annotations

import contextlib
import itertools
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import HoldfastError
from holdfast.runs.naming import stored_path
from holdfast.runs.stage import Staged
from holdfast.store.calls import OsCalls
from holdfast.store.durable import unlink_quietly
from holdfast.store.file_batch import FileBatch

if TYPE_CHECKING:
    from holdfast.runs.history import ProjectHistory
    from holdfast.runs.stage import Stage


class Place(NamedTuple):
    """Where the bytes of `path` may go, and which need not.

    Attributes:
        folder, file: absolute paths; the folder is there, the file is not, as far as is known.
        key: of the file, below the prefix.
        known: the SHA-256s, one after the other, of contents of this path that are stored already.
    """

    path: bytes
    folder: str
    file: str
    key: str
    known: bytes


class Direct:
    """What other processes need to create files of one run. For one thread.

    Only where one sync makes everybody's files durable and no other calls than the system's are
    asked for; see `of`.

    Attributes:
        lease: descriptor of the run's lease. Whoever creates files keeps it open, so that the run
            counts as alive until the last of them has ended.
    """

    def __init__(self, stage: Stage, batch: FileBatch, history: ProjectHistory, lease: int) -> None:
        self._stage = stage
        self._batch = batch
        self._history = history
        self._base = stage.folder
        self._key = stage.base
        self._prepared = ""
        self.lease = lease

    @classmethod
    def of(cls, stage: Stage, history: ProjectHistory, lease: int | None) -> Direct | None:
        """For the run of `stage`; None where its store cannot have other writers.

        Raises:
            StorageFailure, NoSpace, Denied: the batch cannot be opened.
        """
        if lease is None or type(stage.calls) is not OsCalls:
            return None
        batch = stage.batch()
        if not isinstance(batch, FileBatch) or not batch.syncs_others:
            return None
        return cls(stage, batch, history, lease)

    def place(self, path: bytes) -> Place:
        """Where the bytes of `path`, as a walk gives it, may go."""
        state = self._history.state
        known = b""
        sight = state.current.get(path)
        if sight is not None and sight.line.sha256 is not None and sight.line.kind == "file":
            known = bytes.fromhex(sight.line.sha256)
        for version in state.older.get(path, ()):
            if version.line.sha256 is not None and version.line.kind == "file":
                known += bytes.fromhex(version.line.sha256)
        stored = stored_path(path)
        file = self._base + stored
        folder = file[: file.rindex("/")]
        if folder != self._prepared:
            self._prepared = folder
            # Where it cannot be made the file cannot either; staging it in this process tells why.
            with contextlib.suppress(HoldfastError):
                self._batch.prepare(folder)
        return Place(path, folder, file, self._key + stored, known)

    def created(self, place: Place, sha256: str, size: int) -> str:
        """The file of `place` is there, with these bytes; returns its key, to be registered."""
        self._batch.adopt(place.folder, place.file)
        return self._stage.note(place.key, Staged(place.path, sha256, size))

    def stored(self, place: Place, sha256: str) -> str | None:
        """The key to register for bytes that `place.known` has: None when they are current."""
        sight = self._history.state.current.get(place.path)
        if sight is not None and sight.line.sha256 == sha256 and sight.line.kind == "file":
            return None
        return self._stage.known(place.path, sha256)

    def lost(self, places: Iterable[Place], others: Iterable[Place]) -> None:
        """Remove what a process that died may have made of `places`.

        A file that carries an earlier file's name (another spelling of it, where the file system
        holds the two to be one) was not made by that process and is left alone.

        Args:
            others: places of processes that are alive, and of which nothing was heard yet.
        """
        calls = self._stage.calls
        assert calls is not None
        taken = {_spelling(place.key) for place in others}
        taken.update(_spelling(key) for key in self._stage.waiting_keys())
        state = self._history.state
        older = (version.line for versions in state.older.values() for version in versions)
        for line in itertools.chain((sight.line for sight in state.current.values()), older):
            if line.stored is not None and line.stored.startswith(self._key):
                taken.add(_spelling(line.stored))
        for place in places:
            if _spelling(place.key) not in taken:
                unlink_quietly(calls, place.file)


def _spelling(key: str) -> str:
    """The same for names that some file system may hold to be one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", key).casefold())


def lease_descriptor(held: object) -> int | None:
    """The descriptor of the lease that holds a run, where it is a file's."""
    fileno = getattr(getattr(held, "lease", None), "fileno", None)
    return None if fileno is None else int(fileno())
