"""Checking one run folder: claim, journal, ``run.json``, COMMIT, files, artifacts, litter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import HoldfastError, NotFound
from holdfast.records import Checked, Finding, NullSink, Severity
from holdfast.runs import journals as places
from holdfast.runs.artifacts import hash_stored
from holdfast.runs.finish import CLAIM, INSTRUCTIONS, RUN_JSON, read_claim
from holdfast.runs.journal import Parsed, begin_of
from holdfast.runs.journals import seam_of
from holdfast.runs.lines import check_file
from holdfast.runs.naming import run_folder, sanitise_action
from holdfast.runs.run_record import Sealed, decode, decode_list, seal
from holdfast.runs.stage import RAW_SOURCE

if TYPE_CHECKING:
    from holdfast.runs.finish import Finisher
    from holdfast.runs.journals import Journals
    from holdfast.runs.lines import BeginLine, FileLine
    from holdfast.runs.model import Project
    from holdfast.store.protocol import Store

MODEL = "run"
THREADS = 2
GROUP_FILES = 64
GROUP_BYTES = 8 * 1024 * 1024


class Expected(NamedTuple):
    """A file that a run names: key from the store's root, size in bytes, SHA-256."""

    key: str
    size: int
    sha256: str


class RunCheck:
    """Checks one run folder of `project` (None: its file is damaged)."""

    def __init__(
        self,
        store: Store,
        prefix: str,
        journals: Journals,
        finisher: Finisher,
        project: Project | None,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._journals = journals
        self._finisher = finisher
        self._project = project
        self._calls, self._root = seam_of(store)

    def run(self, run_dir: str, *, deep: bool) -> Iterator[Finding | Checked]:
        """Findings, and what was read between them."""
        alive = self._alive(run_dir)
        files = {e.path[len(run_dir) + 1 :]: e.size for e in self._store.list(run_dir)}
        if not files or (alive and not self._journals.exists(run_dir)):
            return
        expected = {CLAIM, RUN_JSON, INSTRUCTIONS, places.FILE}
        try:
            parsed = self._journals.read(run_dir)
            lines = [line for batch in parsed.batches for line in batch.files]
            artifacts = [a for batch in parsed.batches for a in batch.artifacts]
        except NotFound:
            if set(files) <= {CLAIM, INSTRUCTIONS}:
                yield _unfinished(run_dir, "a run that was claimed and never begun")
            else:
                yield _error("missing", self._journal(run_dir), "the run's journal is gone")
            return
        except HoldfastError as error:
            yield Finding.of(error, error.target or self._journal(run_dir), MODEL)
            yield from self._run_json_alone(run_dir, deep)
            return
        size = sum(s for n, s in files.items() if n.startswith(places.FOLDER + "/"))
        yield Checked(1, files.get(places.FILE, size))
        yield from self._begin(run_dir, parsed, files)
        yield from self._end(run_dir, parsed, files, alive)
        wanted: list[Expected] = []
        for line in lines:
            try:
                check_file(line)
            except HoldfastError as error:
                yield Finding.of(error, self._journal(run_dir), MODEL)
                continue
            if line.stored is None or line.sha256 is None:
                continue
            key = f"{self._prefix}/{line.stored}"
            if key.startswith(f"{run_dir}/"):
                expected.add(key[len(run_dir) + 1 :])
                if line.outcome in ("new_file", "new_version"):
                    wanted.append(Expected(key, line.size, line.sha256))
            else:
                yield from self._reference(key, line)
        for artifact in artifacts:
            name = f"{artifact.artifact}/{artifact.name}"
            expected.add(name)
            wanted.append(Expected(f"{run_dir}/{name}", artifact.size, artifact.sha256))
        yield from self._contents(wanted, deep)
        for name in sorted(files.keys() - expected):
            if name.startswith((f"{places.FOLDER}/", "files-")) or alive:
                continue
            yield self._leftover(run_dir, name)

    def _alive(self, run_dir: str) -> bool:
        """Whether a process may be writing this run."""
        if self._store.exists(f"{run_dir}/{RUN_JSON}"):
            return False
        run_id = read_claim(self._store, run_dir)
        return run_id is not None and self._finisher.liveness.alive(run_id)

    def _journal(self, run_dir: str) -> str:
        return f"{run_dir}/{places.FILE if self._journals.grows else places.FOLDER}"

    def _begin(
        self, run_dir: str, parsed: Parsed, files: dict[str, int]
    ) -> Iterator[Finding | Checked]:
        begin = begin_of(parsed.batches)
        yield from self._same(run_dir, CLAIM, f"{begin.run_id}\n".encode(), files)
        if begin.instructions is not None:
            yield from self._same(run_dir, INSTRUCTIONS, begin.instructions.encode(), files)
        elif INSTRUCTIONS in files:
            yield self._leftover(run_dir, INSTRUCTIONS)
        wanted = run_folder(begin.timestamp, begin.sequence, sanitise_action(begin.action))
        if run_dir.rpartition("/")[2] != wanted or not self._is_of(begin, run_dir):
            yield _error(
                "malformed", self._journal(run_dir), f"the run of {begin.project.name!r}, {wanted}"
            )

    def _is_of(self, begin: BeginLine, run_dir: str) -> bool:
        if begin.project.folder != run_dir.split("/")[-2]:
            return False
        known = self._project
        return known is None or (known.id, known.name) == (begin.project.id, begin.project.name)

    def _same(
        self, run_dir: str, name: str, wanted: bytes, files: dict[str, int]
    ) -> Iterator[Finding | Checked]:
        key = f"{run_dir}/{name}"
        if name not in files:
            yield _error("missing", key, "the file is gone")
            return
        # One byte more than there should be: what is longer is not read whole.
        found = self._store.read_range(key, 0, len(wanted) + 1)
        yield Checked(1, len(found))
        if found != wanted:
            yield _error(
                "digest_mismatch",
                key,
                "other bytes than the journal stands for",
                _at(found, wanted),
            )

    def _end(
        self, run_dir: str, parsed: Parsed, files: dict[str, int], alive: bool
    ) -> Iterator[Finding | Checked]:
        ended = parsed.batches[-1].end is not None
        if parsed.torn and (ended or RUN_JSON in files):
            yield _error(
                "malformed",
                self._journal(run_dir),
                f"{parsed.torn} bytes that are no whole batch, in a run that is finished",
                parsed.position.size,
            )
        elif parsed.torn and not alive:
            yield Finding(
                Severity.WARNING,
                "torn_tail",
                self._journal(run_dir),
                f"{parsed.torn} bytes of an interrupted append, never acknowledged",
                MODEL,
                parsed.position.size,
                repairable=True,
            )
        if not ended:
            if RUN_JSON in files and not parsed.torn:
                yield _error("malformed", self._journal(run_dir), "it has no end line")
            elif RUN_JSON not in files and not alive:
                yield _unfinished(run_dir, "its process ended without completing it")
            return
        if parsed.torn:
            return
        digest = hashlib.sha256(self._journals.whole(run_dir)).hexdigest()
        sealed = seal(parsed.batches, parsed.position, digest)
        if RUN_JSON not in files:
            if not alive:
                yield _unfinished(run_dir, "it ended, and its run.json was not written")
            return
        names = {name for name, _ in sealed.files}
        for name, data in sealed.files:
            yield from self._same(run_dir, name, data, files)
        for name in files:
            if name.startswith("files-") and name not in names:
                yield self._leftover(run_dir, name)
        yield from self._anchored(run_dir, sealed)

    def _anchored(self, run_dir: str, sealed: Sealed) -> Iterator[Finding | Checked]:
        sink = self._finisher.sink
        if isinstance(sink, NullSink):
            return
        record = sealed.record
        if sink.find_commit(MODEL, record.project.folder, record.run_id) is None:
            yield Finding(
                Severity.WARNING,
                "unanchored",
                f"{run_dir}/{RUN_JSON}",
                "finished, but no COMMIT fixes it",
                MODEL,
                repairable=True,
            )

    def _run_json_alone(self, run_dir: str, deep: bool) -> Iterator[Finding | Checked]:
        """The journal is damaged: what ``run.json`` names is checked all the same."""
        key = f"{run_dir}/{RUN_JSON}"
        try:
            record = decode(self._store.get(key), key)
            lines = list(record.files)
            for part in record.file_lists:
                lines += decode_list(self._store.get(f"{run_dir}/{part.name}"), part)
        except NotFound:
            return
        except HoldfastError as error:
            yield Finding.of(error, error.target or key, MODEL)
            return
        own = f"{run_dir[len(self._prefix) + 1 :]}/"
        wanted = [
            Expected(f"{self._prefix}/{line.stored}", line.size, line.sha256)
            for line in lines
            if line.stored and line.sha256 and line.stored.startswith(own)
        ]
        wanted += [
            Expected(f"{run_dir}/{a.type}/{a.name}", a.size, a.sha256) for a in record.artifacts
        ]
        yield from self._contents(wanted, deep)

    def _reference(self, key: str, line: FileLine) -> Iterator[Finding | Checked]:
        """Bytes of another run are read there; here they must exist."""
        try:
            size = self._store.size(key)
        except HoldfastError as error:
            code = "missing" if isinstance(error, NotFound) else error.code
            yield _error(code, key, f"{line.path!r} refers to it: {error.found or 'gone'}")
            return
        if size != line.size:
            yield _error("size_mismatch", key, f"{size} bytes, expected {line.size}")

    def _leftover(self, run_dir: str, name: str) -> Finding:
        if name.startswith(f"{RAW_SOURCE}/"):
            return Finding(
                Severity.WARNING,
                "litter",
                f"{run_dir}/{name}",
                "staged, and never registered",
                MODEL,
                repairable=True,
            )
        # A file beside the run's own is read by nobody; one at a place where the run's own could
        # stand would be taken for the run's.
        posing = "/" in name or name == INSTRUCTIONS or name.startswith("files-")
        return Finding(
            Severity.WARNING if posing else Severity.INFO,
            "unexpected_file",
            f"{run_dir}/{name}",
            "the run does not name it" + ("; move it away" if posing else ""),
            MODEL,
        )

    def _contents(self, wanted: list[Expected], deep: bool) -> Iterator[Finding | Checked]:
        unique = list(dict.fromkeys(wanted))
        if not deep:
            for item in unique:
                yield from self._one(item, deep=False, seen={})
            yield Checked(len(unique), 0)
            return
        groups = _groups(unique)
        seen: dict[tuple[int, int], tuple[int, str]] = {}
        if len(unique) <= 2:
            for item in unique:
                yield from self._one(item, deep=True, seen=seen)
                yield Checked(1, item.size)
            return
        with ThreadPoolExecutor(THREADS) as pool:
            waiting: list[tuple[Future[list[Finding]], int, int]] = []
            for group in groups:
                task = pool.submit(self._group, group, seen)
                waiting.append((task, len(group), sum(item.size for item in group)))
                if len(waiting) > 2 * THREADS:
                    yield from _gather(waiting.pop(0))
            for task_and_sizes in waiting:
                yield from _gather(task_and_sizes)

    def _group(
        self, group: list[Expected], seen: dict[tuple[int, int], tuple[int, str]]
    ) -> list[Finding]:
        return [finding for item in group for finding in self._one(item, deep=True, seen=seen)]

    def _one(
        self, item: Expected, *, deep: bool, seen: dict[tuple[int, int], tuple[int, str]]
    ) -> Iterator[Finding]:
        try:
            size = self._store.size(item.key)
            if size != item.size:
                yield _error("size_mismatch", item.key, f"{size} bytes, expected {item.size}")
            elif deep:
                found = self._digest(item.key, seen)
                if found != item.sha256:
                    yield _error(
                        "digest_mismatch", item.key, f"sha256 is {found}, expected {item.sha256}"
                    )
        except NotFound:
            yield _error("missing", item.key, "the file is gone")
        except HoldfastError as error:
            yield Finding.of(error, item.key, MODEL)

    def _digest(self, key: str, seen: dict[tuple[int, int], tuple[int, str]]) -> str:
        """A file with several names (hard links) is read once."""
        if self._calls is None:
            return hash_stored(self._store, key)[1]
        try:
            status = self._calls.stat(f"{self._root}/{key}")
        except OSError:
            return hash_stored(self._store, key)[1]
        if status.links < 2:
            return hash_stored(self._store, key)[1]
        inode = status.device, status.inode
        known = seen.get(inode)
        if known is None:
            known = seen.setdefault(inode, hash_stored(self._store, key))
        return known[1]


def _groups(items: list[Expected]) -> Iterator[list[Expected]]:
    group: list[Expected] = []
    size = 0
    for item in items:
        group.append(item)
        size += item.size
        if len(group) >= GROUP_FILES or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _gather(item: tuple[Future[list[Finding]], int, int]) -> Iterator[Finding | Checked]:
    task, files, size = item
    yield from task.result()
    yield Checked(files, size)


def _at(found: bytes, wanted: bytes) -> int:
    """The first offset at which two byte strings differ."""
    for at, (a, b) in enumerate(zip(found, wanted, strict=False)):
        if a != b:
            return at
    return min(len(found), len(wanted))


def _error(code: str, path: str, message: str, offset: int | None = None) -> Finding:
    return Finding(Severity.ERROR, code, path, message, MODEL, offset)


def _unfinished(run_dir: str, message: str) -> Finding:
    return Finding(Severity.WARNING, "dead_run", run_dir, message, MODEL, repairable=True)
