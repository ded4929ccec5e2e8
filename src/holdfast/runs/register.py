"""Registering: queued entries, decided against the project's state, become journal lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.errors import Invalid, one_line
from holdfast.runs.decide import Content, Decision, Known, becomes_removed, decide
from holdfast.runs.lines import KINDS, Counts, FileLine, text_and_b64
from holdfast.runs.model import Outcome, Registered
from holdfast.runs.naming import check_source_path
from holdfast.runs.state import content_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from holdfast.clock import Ids
    from holdfast.runs.history import ProjectHistory
    from holdfast.runs.model import FileEntry, WalkedRoots
    from holdfast.runs.stage import Stage

_ERROR_LENGTH = 1000
_MESSAGES = {
    Outcome.NEW_FILE: "New file registered",
    Outcome.NEW_VERSION: "New file version registered",
    Outcome.DUPLICATE: "File content unchanged from previous version",
    Outcome.PROCESSED_AGAIN: "File content unchanged, but never processed successfully",
    Outcome.FAILED: "File could not be taken in",
}
_TEXTS = {outcome: outcome.value for outcome in Outcome}
_FAILED = Decision(Outcome.FAILED)
_NEW = Decision(Outcome.NEW_FILE)


@dataclass(slots=True)
class Decided:
    """What a batch of entries became: journal lines, answers, staged keys nobody needs, and how
    many of each outcome."""

    lines: list[FileLine] = field(default_factory=list)
    answers: list[Registered] = field(default_factory=list)
    unneeded: list[str] = field(default_factory=list)
    failures: int = 0
    counts: dict[str, int] = field(default_factory=dict)


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

    def decide(self, entries: Sequence[FileEntry], now: str, *, answers: bool = True) -> Decided:
        """Decide each entry in turn; a later one sees what the earlier became.

        The caller holds the project's lease and has taken in every journal.

        Args:
            answers: whether they are wanted; they cost as much as the rest.

        Raises:
            Invalid: bytes that are neither staged nor stored.
        """
        state = self._history.state
        sights, superseded = state.current, state.older
        out = Decided()
        lines = out.lines
        # Most paths come once and are new: no list for those.
        pending: dict[bytes, FileLine] = {}
        more: dict[bytes, list[FileLine]] = {}
        for entry in entries:
            path = entry.path
            current = older = None
            if entry.error is not None:
                decision = _FAILED
            elif path not in sights and path not in pending and path not in superseded:
                decision = _NEW
            else:
                content = Content(entry.kind, entry.sha256, entry.target)
                earlier = more.get(path) or ([pending[path]] if path in pending else None)
                sight = sights.get(path)
                current = earlier[-1] if earlier else None if sight is None else sight.line
                older = self._older(path, content, earlier)
                decision = decide(
                    content,
                    None if current is None else self._known(current),
                    None if older is None else self._known(older),
                    seen=True,
                )
            line = self._line(entry, decision, current, older, now)
            lines.append(line)
            if answers:
                out.answers.append(self._answer(entry, decision, line, current))
            if decision.outcome is Outcome.FAILED:
                out.failures += 1
            elif path in pending:
                more.setdefault(path, [pending[path]]).append(line)
            else:
                pending[path] = line
            if entry.stored is not None and line.stored != entry.stored:
                out.unneeded.append(entry.stored)
        self._count(lines, out.counts)
        for outcome, number in out.counts.items():
            self._counts[outcome] = self._counts.get(outcome, 0) + number
        return out

    def absent(
        self,
        walked: WalkedRoots | None,
        *,
        source: str | None,
        seen: AbstractSet[bytes],
        begin_order: int,
        now: str,
    ) -> list[FileLine]:
        """Lines for the current paths that a whole walk of `source` did not meet."""
        if walked is None or source is None or not walked.whole:
            return []
        unread = frozenset(path.rstrip(b"/") for path in walked.unread)
        unmet = [item for item in self._history.state.current.items() if item[0] not in seen]
        return [
            self._removed(sight.line, now)
            for path, sight in sorted(unmet)
            if becomes_removed(
                path,
                last_source=sight.source,
                source=source,
                last_order=sight.order,
                begin_order=begin_order,
                unread=unread,
            )
        ]

    def _removed(self, line: FileLine, now: str) -> FileLine:
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

    def counted(self, *, removed: int) -> tuple[Counts, int]:
        """(files by outcome, bytes stored anew) of what was decided; `removed` come on top."""
        return Counts(**self._counts, removed=removed), self._bytes

    def _count(self, lines: list[FileLine], counts: dict[str, int]) -> None:
        own = self._own
        for line in lines:
            outcome = line.outcome
            counts[outcome] = counts.get(outcome, 0) + 1
            if (
                line.stored is not None
                and outcome in ("new_file", "new_version")
                and line.stored.startswith(own)
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
            outcome=_TEXTS[outcome],
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
            status=_TEXTS[outcome],
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
