"""A project's history: its journals, taken in and folded, and the lease to add to it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.clock import Clock
from holdfast.errors import Integrity, NotFound
from holdfast.runs.journal import Batch, Parsed, Position, encode_batch
from holdfast.runs.lines import ArtifactLine, BeginLine, EndLine, FileLine, MarkLine
from holdfast.runs.naming import parse_run_folder
from holdfast.runs.state import ProjectState

if TYPE_CHECKING:
    from holdfast.runs.journals import Journals
    from holdfast.store.protocol import Store

_LAST = 2**64


class Written:
    """What this process journalled of a run, from its first batch on.

    It holds lines that the project's state holds anyway, and spares the end of the run from reading
    them all again."""

    __slots__ = ("batches", "hash")

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.hash = hashlib.sha256()

    def add(self, data: bytes, batch: Batch) -> None:
        """One more batch, and its bytes."""
        self.hash.update(data)
        self.batches.append(batch)


@dataclass(slots=True)
class TakenRun:
    """How far one run's journal was taken in. `written` is set while this process writes it."""

    run_dir: str
    begin: BeginLine | None = None
    position: Position = field(default_factory=Position)
    ended: bool = False
    first: int = 0
    last: int = 0
    written: Written | None = None

    @property
    def source(self) -> str | None:
        """The key of the run's source."""
        source = None if self.begin is None else self.begin.source
        return None if source is None else f"{source.kind}\n{source.url}"


class ProjectHistory:
    """The journals of the project in `folder` (a key from the store's root).

    Args:
        committed: the logseq of a run's COMMIT, or None; asked only for runs that overlap, which
            happens on stores without leases (§2: the later in ledger order supersedes).
    """

    def __init__(
        self,
        store: Store,
        journals: Journals,
        folder: str,
        clock: Clock,
        committed: Callable[[str], int | None],
    ) -> None:
        self._store = store
        self._journals = journals
        self._clock = clock
        self._committed = committed
        self._mutex = threading.RLock()
        self.folder = folder
        self.state = ProjectState()
        self.runs: dict[str, TakenRun] = {}
        self.usable = True
        self.sealed_runs: set[str] = set()
        """Run folders known to have their ``run.json``."""

    @property
    def name(self) -> str:
        """The project's folder below ``runs/``."""
        return self.folder.rpartition("/")[2]

    @contextlib.contextmanager
    def locked(self, timeout: float | None = 120.0) -> Iterator[None]:
        """Hold the project's lease, with every journal taken in.

        Raises:
            Busy: another process holds it for longer than `timeout` seconds.
        """
        leases = self._store.leases
        with contextlib.ExitStack() as stack:
            if leases is not None:
                stack.enter_context(leases.acquire(f"projects/{self.name}", timeout=timeout))
            stack.enter_context(self._mutex)
            self.refresh()
            yield

    def refresh(self) -> None:
        """Take in what journals say anew."""
        with self._mutex:
            new = self._read_new()
            if not new:
                return
            alone = self._store.leases is not None
            rising = min(order for order, _, _ in new) > self.state.order
            if not self.state.order:
                self._fold(new)
            elif rising and (alone or not self.runs_overlap()):
                self._take(new)
            else:
                # Something older than what was taken in has appeared.
                self.state = ProjectState()
                self.runs = {}
                self._fold(self._read_new())

    def version(self, file_id: str) -> FileLine | None:
        """The version of that id, current or not, or None."""
        for sight in self.state.current.values():
            if sight.line.file_id == file_id:
                return sight.line
        for versions in self.state.older.values():
            for version in versions:
                if version.line.file_id == file_id:
                    return version.line
        return None

    def store_names(self) -> list[str]:
        """The names of the project's run folders, ascending."""
        return [n for n in self._store.children(self.folder)[0] if parse_run_folder(n) is not None]

    def runs_overlap(self) -> bool:
        """Whether two runs wrote in turns."""
        spans = sorted((run.first, run.last) for run in self.runs.values() if run.first)
        return any(a[1] > b[0] for a, b in itertools.pairwise(spans))

    def append(
        self,
        run: TakenRun,
        *,
        begin: BeginLine | None = None,
        files: Sequence[FileLine] = (),
        marks: Sequence[MarkLine] = (),
        artifacts: Sequence[ArtifactLine] = (),
        end: EndLine | None = None,
    ) -> int:
        """Journal one batch of `run`, durable on return, and take it in; returns its order.

        The caller holds `locked`. After an error this history must not be used again: what lies
        on the store is not known.
        """
        order = max(self.state.order + 1, self._clock.now_ns())
        data, position = encode_batch(
            run.position, order, begin=begin, files=files, marks=marks, artifacts=artifacts, end=end
        )
        try:
            self._journals.append(run.run_dir, run.position, data)
        except BaseException:
            self.usable = False
            raise
        run.position = position
        run.first = run.first or order
        run.last = order
        batch = Batch(
            position.batches, order, begin, list(files), list(marks), list(artifacts), end
        )
        if begin is not None:
            run.begin = begin
            run.written = Written()
            self.runs[run.run_dir.rpartition("/")[2]] = run
        if run.written is not None:
            run.written.add(data, batch)
        self._apply(run, batch)
        return order

    def _read_new(self) -> list[tuple[int, TakenRun, Batch]]:
        new: list[tuple[int, TakenRun, Batch]] = []
        for name in self._store.children(self.folder)[0]:
            run = self.runs.get(name)
            if run is not None and run.ended:
                continue
            if run is None:
                if parse_run_folder(name) is None:
                    continue
                run = TakenRun(f"{self.folder}/{name}")
            try:
                parsed = self._journals.read(run.run_dir, run.position)
            except NotFound:
                continue
            if parsed.torn and self._store.exists(f"{run.run_dir}/run.json"):
                # The writer may have been in the midst of its last append.
                parsed = self._journals.read(run.run_dir, run.position)
                if not parsed.torn:
                    new += self._note(name, run, parsed)
                    continue
                raise Integrity(
                    "reading the journal",
                    run.run_dir,
                    found=f"{parsed.torn} bytes that are no whole batch, in a finished run",
                    offset=parsed.position.size,
                )
            new += self._note(name, run, parsed)
        return new

    def _note(self, name: str, run: TakenRun, parsed: Parsed) -> list[tuple[int, TakenRun, Batch]]:
        """Note how far a run was read; its new batches by order."""
        if parsed.batches:
            self.runs[name] = run
        run.position = parsed.position
        for batch in parsed.batches:
            if batch.begin is not None:
                run.begin = batch.begin
            run.first = run.first or batch.order
            run.last = batch.order
            run.ended = run.ended or batch.end is not None
        return [(batch.order, run, batch) for batch in parsed.batches]

    def _apply(self, run: TakenRun, batch: Batch) -> None:
        if run.begin is None:
            raise Integrity("reading the journal", run.run_dir, found="no begin line")
        if batch.end is not None:
            run.ended = True
        self.state.apply(batch, run.begin.run_id, run.source)

    def _take(self, new: list[tuple[int, TakenRun, Batch]]) -> None:
        for _, run, batch in sorted(new, key=lambda item: item[0]):
            self._apply(run, batch)

    def _fold(self, new: list[tuple[int, TakenRun, Batch]]) -> None:
        if self._store.leases is None:
            self._fold_races(new)
        else:
            self._take(new)

    def _fold_races(self, new: list[tuple[int, TakenRun, Batch]]) -> None:
        """Without leases runs may overlap: each is taken in whole, by its place in the ledger."""
        groups: list[list[TakenRun]] = []
        end = -1
        for run in sorted(self.runs.values(), key=lambda r: r.first):
            if run.first > end:
                groups.append([])
            groups[-1].append(run)
            end = max(end, run.last)
        place: dict[str, tuple[int, int, int]] = {}
        for number, group in enumerate(groups):
            for run in group:
                logseq = _LAST
                if len(group) > 1 and run.ended and run.begin is not None:
                    found = self._committed(run.begin.run_id)
                    logseq = _LAST if found is None else found
                place[run.run_dir] = (number, logseq, run.first)
        for _, run, batch in sorted(new, key=lambda item: (place[item[1].run_dir], item[0])):
            self._apply(run, batch)
