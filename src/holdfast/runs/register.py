"""Registering: queued entries, decided against the project's state, become journal lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.errors import Invalid, one_line
from holdfast.runs.decide import Content, Decision, Known, decide
from holdfast.runs.lines import KINDS, Counts, FileLine, text_and_b64
from holdfast.runs.model import Outcome, Registered
from holdfast.runs.naming import check_source_path
from holdfast.runs.state import content_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.clock import Ids
    from holdfast.runs.history import ProjectHistory
    from holdfast.runs.model import FileEntry
    from holdfast.runs.stage import Stage

_ERROR_LENGTH = 1000
_MESSAGES = {
    Outcome.NEW_FILE: "New file registered",
    Outcome.NEW_VERSION: "New file version registered",
    Outcome.DUPLICATE: "File content unchanged from previous version",
    Outcome.PROCESSED_AGAIN: "File content unchanged, but never processed successfully",
    Outcome.FAILED: "File could not be taken in",
}


@dataclass(slots=True)
class Decided:
    """What a batch of entries became: journal lines, answers, staged keys nobody needs."""

    lines: list[FileLine] = field(default_factory=list)
    answers: list[Registered] = field(default_factory=list)
    unneeded: list[str] = field(default_factory=list)
    failures: int = 0


class Registrar:
    """Decides for one run."""

    def __init__(
        self, history: ProjectHistory, run_dir: str, prefix: str, run_id: str, ids: Ids
    ) -> None:
        self._history = history
        self._own = f"{run_dir[len(prefix) + 1 :]}/"
        self._run_id = run_id
        self._ids = ids
        self._counts: dict[str, int] = {}
        self._bytes = 0

    def check(self, entry: FileEntry, stage: Stage) -> None:
        """Refuse an entry that cannot be registered. Raises `Invalid`."""
        check_source_path(entry.path)
        found = ""
        if entry.kind not in KINDS:
            found = f"kind {entry.kind!r:.40}"
        elif entry.error is not None:
            return
        elif entry.kind == "file":
            staged = None if entry.stored is None else stage.staged(entry.stored)
            if entry.sha256 is None or len(entry.sha256) != 64 or entry.size < 0:
                found = "a file without its size and SHA-256"
            elif staged is not None and staged != (entry.path, entry.sha256, entry.size):
                found = f"other bytes than those staged as {entry.stored}"
        elif entry.stored is not None or entry.sha256 is not None:
            found = f"bytes of a {entry.kind}"
        elif entry.kind == "symlink" and entry.target is None:
            found = "a symlink without a target"
        if found:
            raise Invalid("registering", repr(entry.path)[1:], found=found)

    def decide(self, entries: Sequence[FileEntry], now: str) -> Decided:
        """Decide each entry in turn; a later one sees what the earlier became.

        The caller holds the project's lease and has taken in every journal.

        Raises:
            Invalid: bytes that are neither staged nor stored.
        """
        state = self._history.state
        out = Decided()
        pending: dict[bytes, list[FileLine]] = {}
        for entry in entries:
            path = entry.path
            earlier = pending.get(path)
            if entry.error is not None:
                decision = Decision(Outcome.FAILED)
                current = older = None
            else:
                content = Content(entry.kind, entry.sha256, entry.target)
                sight = state.current.get(path)
                current = earlier[-1] if earlier else None if sight is None else sight.line
                if current is None and path not in state.older:
                    decision = Decision(Outcome.NEW_FILE)
                    older = None
                else:
                    older = self._older(path, content, earlier)
                    decision = decide(
                        content,
                        None if current is None else self._known(current),
                        None if older is None else self._known(older),
                        seen=True,
                    )
            line = self._line(entry, decision, current, older, now)
            out.lines.append(line)
            out.answers.append(self._answer(entry, decision, line, current))
            if decision.outcome is Outcome.FAILED:
                out.failures += 1
            else:
                pending.setdefault(path, []).append(line)
            if entry.stored is not None and line.stored != entry.stored:
                out.unneeded.append(entry.stored)
        for line in out.lines:
            self._count(line)
        return out

    def removed(self, line: FileLine, now: str) -> FileLine:
        """The line that says that the current version `line` is absent now."""
        return FileLine(
            created=now,
            error=None,
            file_id=line.file_id,
            kind=line.kind,
            mode=None,
            mtime_ns=None,
            outcome="removed",
            path=line.path,
            path_b64=line.path_b64,
            processed=None,
            run_id=line.run_id,
            sha256=line.sha256,
            size=line.size,
            stored=None,
            supersedes=line.file_id,
            target=line.target,
            target_b64=line.target_b64,
        )

    def counted(self) -> tuple[Counts, int]:
        """(files by outcome, bytes stored anew) of what was decided."""
        return Counts(**self._counts), self._bytes

    def _count(self, line: FileLine) -> None:
        self._counts[line.outcome] = self._counts.get(line.outcome, 0) + 1
        if (
            line.outcome in ("new_file", "new_version")
            and line.stored is not None
            and line.stored.startswith(self._own)
        ):
            self._bytes += line.size

    def _older(
        self, path: bytes, content: Content, earlier: list[FileLine] | None
    ) -> FileLine | None:
        if earlier:
            sight = self._history.state.current.get(path)
            superseded = ([sight.line] if sight else []) + earlier[:-1]
            for line in reversed(superseded):
                if content_of(line) == content:
                    return line
        return self._history.state.older_with(path, content)

    def _known(self, line: FileLine) -> Known:
        known = self._history.state.known(line)
        return (
            known if known.processed or line.processed is None else known._replace(processed=True)
        )

    def _line(
        self,
        entry: FileEntry,
        decision: Decision,
        current: FileLine | None,
        older: FileLine | None,
        now: str,
    ) -> FileLine:
        outcome = decision.outcome
        try:
            path, path_b64 = entry.path.decode(), None
        except UnicodeDecodeError:
            path, path_b64 = text_and_b64(entry.path)
        target: str | None = None
        target_b64: str | None = None
        if entry.target is not None:
            target, target_b64 = text_and_b64(entry.target)
        processed = now if entry.processed else None
        run_id, created, supersedes = self._run_id, now, None
        file_id: str | None
        if outcome is Outcome.FAILED:
            file_id, stored, processed = None, None, None
        elif decision.same is not None and current is not None:
            file_id, stored = current.file_id, current.stored
            run_id, created = current.run_id, current.created
            processed = (
                current.processed or self._history.state.processed.get(file_id or "") or processed
            )
        else:
            file_id = self._ids.uuid4()
            supersedes = None if decision.supersedes is None else decision.supersedes.file_id
            stored = entry.stored
            if stored is not None and not stored.startswith(self._own):
                stored = None
            if decision.reuse is not None and older is not None:
                stored = older.stored
            if entry.kind == "file" and stored is None:
                raise Invalid(
                    "registering",
                    repr(entry.path)[1:],
                    found="bytes that are neither staged nor stored",
                    hint="stage the bytes first",
                )
        return FileLine(
            created=created,
            error=None if entry.error is None else one_line(entry.error)[:_ERROR_LENGTH],
            file_id=file_id,
            kind=entry.kind,
            mode=entry.mode,
            mtime_ns=None if entry.mtime_ns is None else str(entry.mtime_ns),
            outcome=outcome.value,
            path=path,
            path_b64=path_b64,
            processed=processed,
            run_id=run_id,
            sha256=entry.sha256,
            size=entry.size,
            stored=stored,
            supersedes=supersedes,
            target=target,
            target_b64=target_b64,
        )

    def _answer(
        self, entry: FileEntry, decision: Decision, line: FileLine, current: FileLine | None
    ) -> Registered:
        outcome = decision.outcome
        same = decision.same is not None and current is not None
        return Registered(
            path=entry.path,
            status=outcome.value,
            message=_MESSAGES[outcome],
            file_id=line.file_id,
            file_hash=line.sha256,
            file_size_bytes=line.size,
            superseded_previous=decision.supersedes is not None,
            skip_processing=outcome is Outcome.DUPLICATE,
            existing_run_id=current.run_id if same and current is not None else None,
            existing_file_path=current.stored if same and current is not None else None,
            stored=line.stored,
            error=line.error,
        )
