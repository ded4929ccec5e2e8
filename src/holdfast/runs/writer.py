"""A run that is being written: stage bytes, register entries, flush, complete (spec/runs.md §3)."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from holdfast.clock import rfc3339
from holdfast.errors import Conflict, HoldfastError, Invalid, StorageFailure
from holdfast.runs import artifacts
from holdfast.runs.direct import Direct, lease_descriptor
from holdfast.runs.lines import MarkLine
from holdfast.runs.model import Prediction, Status
from holdfast.runs.register import Registrar
from holdfast.runs.stage import Stage
from holdfast.runs.syncing import Syncing

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from holdfast.clock import Clock, Ids
    from holdfast.runs.finish import Finisher
    from holdfast.runs.history import ProjectHistory, TakenRun
    from holdfast.runs.liveness import Held
    from holdfast.runs.model import FileEntry, Project, Registered, RunInfo, WalkedRoots
    from holdfast.runs.register import Decided
    from holdfast.runs.stage import StageWriter
    from holdfast.store.protocol import Store


class Desk(NamedTuple):
    """What a writer works with."""

    store: Store
    prefix: str
    clock: Clock
    ids: Ids
    finisher: Finisher


class RunWriter:
    """An open run. `stage`, `open_stage` and `predict` may be called from several threads;
    `register`, `flush` and `complete` from one at a time.

    As a context manager: completes on success, ends as `failed` with the message on an exception.

    Attributes:
        run_id: UUID.
        run_dir: key of the run's folder from the repository's root, ``runs/<Project>/<run>``.
        project: the `Project`.
    """

    def __init__(
        self,
        desk: Desk,
        project: Project,
        history: ProjectHistory,
        run: TakenRun,
        *,
        held: Held,
        since: int,
    ) -> None:
        assert run.begin is not None
        self._desk = desk
        self._history = history
        self._run = run
        self._held = held
        self._since = since
        self._begin_order = run.first
        self._queue: list[FileEntry] = []
        self._marks: list[str] = []
        self._lock = threading.RLock()
        self._seen: set[bytes] = set()
        self._failures = 0
        self._syncing: Syncing | None = None
        self.project = project
        self.run_id = run.begin.run_id
        self.run_dir = run.run_dir
        self._open = True
        self._pid = os.getpid()
        self._stage = Stage(desk.store, desk.prefix, run.run_dir, history)
        self._registrar = Registrar(history, run.run_dir, desk.prefix, self.run_id, desk.ids)

    @property
    def open(self) -> bool:
        """Whether the run can still be written, here: not in a process forked from its own."""
        return self._open and self._pid == os.getpid()

    @property
    def info(self) -> RunInfo:
        """The run as it stands."""
        return self._desk.finisher.info(self.run_dir)

    @property
    def history(self) -> ProjectHistory:
        """The project's history, as far as this run took it in."""
        return self._history

    def predict(self, path: bytes, size: int) -> Prediction:
        """What is known of `path`, from the newest known state, without a lock.

        When the bytes read hash to `Prediction.sha256` nothing need be staged: register the entry
        with ``stored=None``."""
        state = self._history.state
        sight = state.current.get(path)
        if sight is None or sight.line.kind != "file":
            return Prediction(None)
        line = sight.line
        return Prediction(
            line.sha256,
            line.size,
            line.file_id in state.processed,
            None if line.mtime_ns is None else int(line.mtime_ns),
        )

    def stage(self, path: bytes, data: Buffer, sha256: str) -> str:
        """Write `data` as the raw_source file of `path`; returns its key below ``runs/``.

        Durable with the next `flush`. Bytes that are stored already under this path are not
        written again: their key is the answer.

        Raises:
            InvalidPath: a path that is empty, absolute, or has a ``..`` component.
            Conflict: the run has ended.
        """
        if not self.open:
            raise self._ended()
        return self._stage.put(path, data, sha256)

    def open_stage(self, path: bytes) -> StageWriter:
        """As `stage`, for a stream: hash and copy in one pass, constant memory."""
        if not self.open:
            raise self._ended()
        return self._stage.open(path)

    def direct(self) -> Direct | None:
        """What other processes need to create staged files themselves; None where the store cannot
        have that."""
        if not self.open:
            raise self._ended()
        return Direct.of(self._stage, self._history, lease_descriptor(self._held))

    def register(self, entry: FileEntry) -> None:
        """Queue `entry` for the next `flush`.

        Raises:
            Invalid: an entry that cannot be one, or whose `stored` key was not staged with these
                bytes.
        """
        if not self.open:
            raise self._ended()
        self._registrar.check(entry, self._stage)
        with self._lock:
            self._queue.append(entry)

    def mark_processed(self, file_id: str) -> None:
        """Queue the mark that `file_id` was processed successfully (any file of the project)."""
        if not self.open:
            raise self._ended()
        with self._lock:
            self._marks.append(file_id)

    def flush(self) -> list[Registered]:
        """Make everything staged durable, decide each queued entry and journal it.

        On return each answer is acknowledged: it survives a power loss.

        Raises:
            StorageFailure, NoSpace, Denied: nothing of this flush is acknowledged, and the run can
                only be left: the next writer of the project ends it as `failed`.
        """
        decided = self._flush(answers=True)
        return [] if decided is None else decided.answers

    def acknowledge(self) -> dict[str, int]:
        """As `flush`, and says only how many of each outcome there were."""
        decided = self._flush(answers=False)
        return {} if decided is None else decided.counts

    def begin_flush(self) -> None:
        """Begin to flush what is queued now: in a thread, so that more can be staged and registered
        meanwhile. `end_flush`, `flush` and `complete` end it; one at a time."""
        if not self.open:
            raise self._ended()
        self.end_flush()
        entries, marks = self._take_queue()
        if entries or marks:
            self._syncing = Syncing(self._stage.commit, entries, marks)

    @property
    def flushing(self) -> bool:
        """Whether a flush that was begun would be waited for."""
        return self._syncing is not None and self._syncing.going_on

    def end_flush(self) -> dict[str, int]:
        """End what `begin_flush` began, if anything: as `acknowledge`."""
        syncing, self._syncing = self._syncing, None
        if syncing is None:
            return {}
        with self._breaking():
            syncing.wait()
            return self._journal(syncing.entries, syncing.marks, answers=False).counts

    def _flush(self, *, answers: bool) -> Decided | None:
        if not self.open:
            raise self._ended()
        self.end_flush()
        entries, marks = self._take_queue()
        if not entries and not marks:
            return None
        with self._breaking():
            self._stage.commit()
            return self._journal(entries, marks, answers=answers)

    def _take_queue(self) -> tuple[list[FileEntry], list[str]]:
        with self._lock:
            entries, self._queue = self._queue, []
            marks, self._marks = self._marks, []
        return entries, marks

    def _journal(self, entries: list[FileEntry], marks: list[str], *, answers: bool) -> Decided:
        """Decide and journal entries whose bytes are durable."""
        with self._history.locked():
            self._check_held()
            now = rfc3339(self._desk.clock.now_ns())
            decided = self._registrar.decide(entries, now, answers=answers)
            self._history.append(
                self._run,
                files=decided.lines,
                marks=[MarkLine(file_id=file_id, processed=now) for file_id in marks],
            )
        unneeded = self._stage.waiting(decided)
        self._stage.settle(entry.stored for entry in entries if entry.stored is not None)
        self._stage.discard(unneeded)
        self._failures += decided.failures
        if self._run.source is not None:
            self._seen.update(entry.path for entry in entries)
        return decided

    def artifact_path(self, artifact_type: str) -> str:
        """The folder where the caller writes artifacts of `artifact_type` (``[a-z0-9_]{1,64}``):
        an absolute path on a file system (made if missing), a key elsewhere."""
        if not self.open:
            raise self._ended()
        return artifacts.artifact_folder(self._desk.store, self.run_dir, artifact_type)

    def put_artifact(self, artifact_type: str, name: str, data: Buffer) -> str:
        """Write one artifact file, on any store, durable; returns its key from the root.

        Raises:
            Invalid: a type or name that would leave the run's folder.
            PathExists: written before.
        """
        if not self.open:
            raise self._ended()
        key = artifacts.artifact_key(self.run_dir, artifact_type, name)
        self._desk.store.put(key, data)
        return key

    def complete(
        self,
        status: str | None = None,
        error: str | None = None,
        *,
        walked: WalkedRoots | None = None,
    ) -> RunInfo:
        """Flush, mark removed paths (only with `walked`), seal ``run.json``, announce the COMMIT.

        Args:
            status: completed, completed_with_errors or failed; by default `completed`, or
                `completed_with_errors` when an entry was registered with an error.
            error: message for a run that failed.
            walked: what of the source was walked; None removes nothing.

        Raises:
            Invalid: another status.
            Conflict: the run has ended.
        """
        if status is not None and (status not in set(Status) or status == Status.IN_PROGRESS):
            raise Invalid(
                "completing the run",
                self.run_id,
                found=f"status {status!r}",
                expected="completed, completed_with_errors or failed",
            )
        self.acknowledge()
        if status is None:
            status = Status.COMPLETED_WITH_ERRORS if self._failures else Status.COMPLETED
        return self._end(str(status), error, walked)

    def fail(self, message: str) -> RunInfo:
        """End the run as `failed`; what was flushed before stays valid, the rest is dropped."""
        if not self.open:
            raise self._ended()
        self._take_queue()
        self._drop_syncing()
        return self._end(str(Status.FAILED), message or "failed without a message", None)

    def _end(self, status: str, error: str | None, walked: WalkedRoots | None) -> RunInfo:
        finisher = self._desk.finisher
        with self._breaking():
            self._stage.abort()
            put_out = artifacts.gather(self._desk.store, self.run_dir)
            with self._history.locked():
                self._check_held()
                removed = self._registrar.absent(
                    walked,
                    source=self._run.source,
                    seen=self._seen,
                    begin_order=self._begin_order,
                    now=rfc3339(self._desk.clock.now_ns()),
                )
                counts, size = self._registrar.counted(removed=len(removed))
                self._history.append(
                    self._run,
                    files=removed,
                    artifacts=put_out,
                    end=finisher.end_line(self._history, status, error, counts, size),
                )
                info = finisher.seal_and_commit(self._history, self._run, self._since)
        self._release()
        return info

    def _check_held(self) -> None:
        """The project is locked: is the run still ours? Raises `Conflict`."""
        self._held.check()
        # A fold from the beginning makes new objects.
        self._run = self._history.runs.get(self.run_dir.rpartition("/")[2], self._run)
        if self._run.ended:
            raise Conflict(
                "writing the run",
                self.run_id,
                found="a run that another process ended: it counted this one as dead",
                hint="begin a new run",
            )

    @contextlib.contextmanager
    def _breaking(self) -> Iterator[None]:
        """After an error inside nothing more is written: what lies on the store is not known."""
        try:
            yield
        except BaseException:
            self._history.usable = False
            self.leave()
            raise

    def _drop_syncing(self) -> None:
        """Wait for a flush that was begun, and forget it: nothing of it is journalled."""
        syncing, self._syncing = self._syncing, None
        if syncing is not None:
            with contextlib.suppress(HoldfastError, OSError):
                syncing.wait()

    def leave(self) -> None:
        """Let go of the run without ending it; idempotent. The next writer of the project ends it
        as `failed`, with what was journalled."""
        if self._pid != os.getpid():
            return
        self._open = False
        with contextlib.suppress(HoldfastError, OSError):
            self._stage.leave()
        self._release()

    def _release(self) -> None:
        self._open = False
        self._held.close()

    def _ended(self) -> Conflict:
        return Conflict(
            "writing the run",
            self.run_id,
            found="a run that has ended",
            hint="begin a new run",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            if self.open:
                self.complete()
        elif self.open:
            message = str(error) or type(error).__name__
            with contextlib.suppress(StorageFailure):
                self.fail(message)
