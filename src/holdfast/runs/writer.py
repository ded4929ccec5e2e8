"""A run that is being written: stage bytes, register entries, flush, complete (spec/runs.md §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer, Self

    from holdfast.runs.model import (
        FileEntry,
        Prediction,
        Project,
        Registered,
        RunInfo,
        WalkedRoots,
    )


class StageWriter(Protocol):
    """A stream into one raw_source file: hash and copy in one pass, constant memory.

    As a context manager it aborts unless `finish` was called.
    """

    def write(self, data: Buffer) -> None:
        """Append `data`."""

    def finish(self) -> tuple[int, str, str]:
        """(size, sha256 hex, stored key); durable with the run's next `flush`."""

    def abort(self) -> None:
        """Drop what was written."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class RunWriter:
    """An open run. `stage`, `open_stage` and `predict` may be called from several threads;
    `register`, `flush` and `complete` from one at a time.

    As a context manager: completes on success, ends as `failed` with the message on an exception.

    Attributes:
        run_id: UUID.
        run_dir: key of the run's folder from the repository's root, ``runs/<Project>/<run>``.
        project: the `Project`.
        instructions: text given at the beginning, or None.
    """

    run_id: str
    run_dir: str
    project: Project

    def predict(self, path: bytes, size: int) -> Prediction:
        """What is known of `path`, from the newest known state, without a lock.

        When the bytes read hash to `Prediction.sha256` nothing need be staged: register the entry
        with ``stored=None``."""
        raise NotImplementedError

    def stage(self, path: bytes, data: Buffer, sha256: str) -> str:
        """Write `data` as the raw_source file of `path`; returns its key below ``runs/``.

        Durable with the next `flush`. Bytes that are stored already under this path are not
        written again: their key is the answer.

        Raises:
            InvalidPath: a path that is empty, absolute, or has a ``..`` component.
        """
        raise NotImplementedError

    def open_stage(self, path: bytes) -> StageWriter:
        """As `stage`, for a stream."""
        raise NotImplementedError

    def register(self, entry: FileEntry) -> None:
        """Queue `entry` for the next `flush`."""
        raise NotImplementedError

    def flush(self) -> list[Registered]:
        """Make everything staged durable, decide each queued entry and journal it.

        On return each answer is acknowledged: it survives a power loss."""
        raise NotImplementedError

    def mark_processed(self, file_id: str) -> None:
        """Queue the mark that `file_id` was processed successfully (any file of the project)."""
        raise NotImplementedError

    def artifact_path(self, artifact_type: str) -> str:
        """The folder where the caller writes artifacts of `artifact_type` (``[a-z0-9_]{1,64}``):
        an absolute path on a file system (made if missing), a key prefix elsewhere."""
        raise NotImplementedError

    def put_artifact(self, artifact_type: str, name: str, data: Buffer) -> str:
        """Write one artifact file on any store; returns its key below ``runs/``."""
        raise NotImplementedError

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
        """
        raise NotImplementedError

    def fail(self, message: str) -> RunInfo:
        """End the run as `failed`; what was flushed before stays valid, the rest is dropped."""
        raise NotImplementedError
