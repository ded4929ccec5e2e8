"""The end of a run: the sealed record, its COMMIT, and the runs that died (spec/runs.md §3, §4).

Everything here is a function of the journal, so that any process can finish what another left.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.clock import rfc3339
from holdfast.errors import Integrity, NotFound, PathExists, one_line
from holdfast.records import NullSink, ObjectRef
from holdfast.runs.artifacts import gather
from holdfast.runs.journal import parse
from holdfast.runs.lines import Counts, EndLine
from holdfast.runs.naming import is_uuid
from holdfast.runs.run_record import Sealed, commit_of, info_of, seal

if TYPE_CHECKING:
    from holdfast.clock import Clock
    from holdfast.records import CommitSink
    from holdfast.runs.history import ProjectHistory, TakenRun
    from holdfast.runs.journal import Batch
    from holdfast.runs.journals import Journals
    from holdfast.runs.liveness import Liveness
    from holdfast.runs.model import RunInfo
    from holdfast.store.protocol import Store

RUN_JSON = "run.json"
CLAIM = "claim"
INSTRUCTIONS = "instructions.md"
ERROR_LENGTH = 2000
DIED = "the process that wrote this run ended without completing it"


@dataclass(frozen=True, slots=True)
class Finisher:
    """What finishing a run needs."""

    store: Store
    journals: Journals
    sink: CommitSink
    clock: Clock
    liveness: Liveness

    def end_line(
        self, history: ProjectHistory, status: str, error: str | None, counts: Counts, size: int
    ) -> EndLine:
        """The end line of a run that is finished now."""
        return EndLine(
            bytes=size,
            completed=rfc3339(self.clock.now_ns()),
            counts=counts,
            error=None if error is None else one_line(error)[:ERROR_LENGTH],
            parent=history.state.last_finished,
            status=status,
        )

    def seal_and_commit(self, history: ProjectHistory, run: TakenRun, since: int = 0) -> RunInfo:
        """Write ``run.json`` of a run whose journal has ended, and announce it; both idempotent.

        The caller holds the project's lease, so that a parent is announced before its child.
        """
        sealed = self.sealed(run.run_dir, run)
        run.written = None
        self._write(run.run_dir, sealed)
        self._anchor_parents(history, sealed)
        objects = objects_of(run.run_dir, sealed)
        self.sink.commit(commit_of(sealed.record, run.run_dir, objects), since=since)
        return self.info(run.run_dir)

    def info(self, run_dir: str) -> RunInfo:
        """The run from its journal's first and last line."""
        begin, end = self.journals.peek(run_dir)
        return info_of(begin, end, run_dir)

    def sealed(self, run_dir: str, run: TakenRun | None = None) -> Sealed:
        """The record that the journal on the store stands for.

        The journal is read in any case; only when it has the very bytes that this process wrote
        (`TakenRun.written` of `run`) they need not be decoded again.

        Raises:
            Integrity: the journal is damaged, or has no end.
        """
        data = self.journals.whole(run_dir)
        if run is not None and run.written is not None:
            digest = hashlib.sha256(data).hexdigest()
            if digest == run.written.hash.hexdigest():
                return seal(run.written.batches, run.position, digest)
        parsed = parse(data, name=run_dir)
        if parsed.torn:
            raise Integrity(
                "reading the journal",
                run_dir,
                found=f"{parsed.torn} bytes after the end",
                offset=parsed.position.size,
            )
        return seal(parsed.batches, parsed.position, hashlib.sha256(data).hexdigest())

    def _write(self, run_dir: str, sealed: Sealed) -> None:
        for name, data in sealed.files:
            key = f"{run_dir}/{name}"
            try:
                self.store.put(key, data)
            except PathExists:
                if self.store.get(key) != data:
                    raise Integrity(
                        "sealing the run", key, found="other bytes than the journal stands for"
                    ) from None

    def _anchor_parents(self, history: ProjectHistory, sealed: Sealed) -> None:
        if isinstance(self.sink, NullSink):
            return
        by_id = {run.begin.run_id: run for run in history.runs.values() if run.begin is not None}
        waiting: list[tuple[str, Sealed]] = []
        parent = sealed.record.parent
        folder = sealed.record.project.folder
        # A forged journal may name itself, or a later run, as the one before it.
        while parent is not None and self.sink.find_commit("run", folder, parent) is None:
            run = by_id.pop(parent, None)
            if run is None:
                break
            found = self.sealed(run.run_dir)
            waiting.append((run.run_dir, found))
            parent = found.record.parent
        for run_dir, found in reversed(waiting):
            self._write(run_dir, found)
            self.sink.commit(commit_of(found.record, run_dir, objects_of(run_dir, found)))

    def anchor(self, history: ProjectHistory, run: TakenRun) -> None:
        """Announce a finished run that has no COMMIT (and those before it)."""
        with history.locked():
            self.seal_and_commit(history, run)

    def dead_runs(self, history: ProjectHistory) -> list[RunInfo]:
        """End every run of the project whose process died; returns them."""
        ended = []
        for name in history.store_names():
            run_dir = f"{history.folder}/{name}"
            if run_dir in history.sealed_runs:
                continue
            if self.store.exists(f"{run_dir}/{RUN_JSON}"):
                history.sealed_runs.add(run_dir)
                continue
            run_id = read_claim(self.store, run_dir)
            if run_id is None:
                continue
            held = self.liveness.take_over(run_id)
            if held is None:
                continue
            with held:
                info = self._end_dead(history, name, run_dir, run_id)
            if info is not None:
                ended.append(info)
        return ended

    def _end_dead(
        self, history: ProjectHistory, name: str, run_dir: str, run_id: str
    ) -> RunInfo | None:
        if self.store.exists(f"{run_dir}/{RUN_JSON}"):
            return None
        if not self.journals.exists(run_dir) or not self._mend_tail(run_dir):
            # Claimed and no more: nobody was told of this run.
            self.journals.drop(run_dir)
            self.store.delete(f"{run_dir}/{INSTRUCTIONS}")
            self.store.delete(f"{run_dir}/{CLAIM}")
            remove_empty(self.store, run_dir)
            return None
        with history.locked():
            run = history.runs[name]
            if run.begin is None or run.begin.run_id != run_id:
                # A damaged claim: the lease that was taken is another's, this run may be alive.
                return None
            if not run.ended:
                self._fail(history, run)
            return self.seal_and_commit(history, run)

    def _mend_tail(self, run_dir: str) -> bool:
        """Cut a torn tail; whether anything whole is left."""
        parsed = self.journals.read(run_dir)
        if parsed.torn and parsed.batches:
            self.journals.cut(run_dir, parsed.position.size)
        return bool(parsed.batches)

    def _fail(self, history: ProjectHistory, run: TakenRun) -> None:
        batches = self.journals.read(run.run_dir).batches
        counts, size = tally(batches, run.run_dir)
        history.append(
            run,
            artifacts=gather(self.store, run.run_dir),
            end=self.end_line(history, "failed", DIED, counts, size),
        )


def read_claim(store: Store, run_dir: str) -> str | None:
    """The run id that the folder's claim names; None when there is none, or it is damaged."""
    try:
        text = store.read_range(f"{run_dir}/{CLAIM}", 0, 64).decode("ascii", "replace")
    except NotFound:
        return None
    run_id = text.removesuffix("\n")
    return run_id if run_id != text and is_uuid(run_id) else None


def remove_empty(store: Store, run_dir: str) -> None:
    """Remove an empty run folder, where folders are more than names."""
    from holdfast.store.filesystem import FileSystemStore

    if isinstance(store, FileSystemStore):
        with contextlib.suppress(OSError):
            store.calls.remove_folder(f"{store.root}/{run_dir}")
            store.folders.forget(f"{store.root}/{run_dir}")


def tally(batches: list[Batch], run_dir: str) -> tuple[Counts, int]:
    """(files by outcome, bytes stored anew) of what is journalled."""
    found: dict[str, int] = {}
    size = 0
    own = "/".join(run_dir.split("/")[-2:]) + "/"
    for batch in batches:
        for line in batch.files:
            found[line.outcome] = found.get(line.outcome, 0) + 1
            if line.outcome in ("new_file", "new_version") and (line.stored or "").startswith(own):
                size += line.size
    return Counts(**found), size


def objects_of(run_dir: str, sealed: Sealed) -> tuple[ObjectRef, ...]:
    """What the COMMIT fixes: ``run.json`` first, then the file lists."""
    refs = [
        ObjectRef(f"{run_dir}/{name}", len(data), hashlib.sha256(data).hexdigest())
        for name, data in sealed.files
    ]
    return (refs[-1], *refs[:-1])
