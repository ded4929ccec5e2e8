"""`restore`: a run's or a project's files as they were, beside what is there, never over it.

Everything is written below one new folder, hidden until it is whole, by steps that are relative to
open folders and follow no symlink; every byte is checked against the SHA-256 that was recorded.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from holdfast.errors import AlreadyExists, Integrity, NotFound, from_oserror
from holdfast.ingest.report import Named, Progress, Progressed
from holdfast.ingest.walk import Folder
from holdfast.restore.report import RestoreReport
from holdfast.restore.tree import Tree, remove_tree
from holdfast.restore.write import TAKEN, Entry, Problem, set_status, unwritable, write_entry
from holdfast.store.calls import OsCalls

if TYPE_CHECKING:
    from holdfast.repository import Repository
    from holdfast.runs.model import FileVersion
    from holdfast.runs.runs import Runs

_UNIT_FILES = 128
_UNIT_FOLDERS = 8
_PENDING_UNITS = 16
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def restore(
    repository: Repository | Runs,
    what: str,
    target: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    jobs: int = 2,
) -> RestoreReport:
    """Write what `what` names to `target`, durable on return.

    Args:
        what: a run (id, beginning of it, or folder), a project (name, folder or id), or
            ``PROJECT/PATH``: the current files at or below a path.
        target: a folder that does not exist yet or is empty, for files below a path too. For one
            file: the new file, or an existing folder to put it in.

    Returns:
        The report; damaged files are named in it and not restored, all others are.

    Raises:
        NotFound: `what` names nothing.
        AlreadyExists: something is at the target.
        Integrity: the one file asked for is damaged; nothing was written.
        NoSpace, StorageFailure, Denied: the target failed; nothing is left there.
    """
    started = time.monotonic()
    runs: Runs = getattr(repository, "runs", repository)  # type: ignore[arg-type]
    prefix, versions = _resolve(runs, what)
    place = os.path.abspath(os.fspath(target))
    report = RestoreReport(place)
    single = len(versions) == 1 and versions[0].path == prefix and versions[0].kind != "directory"
    if single:
        name = os.path.basename(prefix)
        if os.path.isdir(place):
            place = os.path.join(place, os.fsdecode(name))
            report.target = place
        with _typed("restoring to", place):
            _single(runs, versions[0], place, report)
    else:
        with _typed("restoring to", place):
            _Restorer(runs, report, prefix, progress, jobs).run(versions, place)
    report.seconds = time.monotonic() - started
    return report


def _resolve(runs: Runs, what: str) -> tuple[bytes, list[FileVersion]]:
    """(the path restored to the target itself, the versions below it, by path bytes)."""
    known = runs.projects()
    projects = {p.folder: p for p in known} | {p.id: p for p in known} | {p.name: p for p in known}
    if what in projects:
        return b"", runs.current_files(projects[what].id)
    with contextlib.suppress(NotFound):
        run = runs.find_run(what)
        return b"", list(runs.files_of(run.run_id))
    # A project's name may hold slashes; the longest that fits is meant, and a name before a folder.
    for name in sorted(projects, key=len, reverse=True):
        if what.startswith(name + "/"):
            path = os.fsencode(what[len(name) + 1 :].strip("/"))
            found = runs.current_files(projects[name].id, path)
            if found:
                return path, found
            raise NotFound("restoring", repr(what), found="no current file at or below it")
    raise NotFound(
        "restoring",
        repr(what),
        found="neither a run nor a project",
        hint="see `holdfast log` for the runs and `holdfast ls` for the projects",
    )


@contextlib.contextmanager
def _typed(doing: str, place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_oserror(error, doing, place) from error


def _exists(place: str, found: str) -> AlreadyExists:
    return AlreadyExists(
        "restoring to", place, found=found, hint="restore to a new place; nothing is overwritten"
    )


def _hidden() -> bytes:
    return b".hf-" + os.urandom(8).hex().encode()


def _single(runs: Runs, version: FileVersion, place: str, report: RestoreReport) -> None:
    """One file, or one symlink, under the new name `place`."""
    if os.path.lexists(place):
        raise _exists(place, "it exists already")
    parent = os.open(os.path.dirname(place), _OPEN_FOLDER)
    try:
        name, hidden = os.fsencode(os.path.basename(place)), _hidden()
        entry = Entry(version, Folder(parent), hidden)
        try:
            problem = write_entry(runs, entry, sync=True)
            if isinstance(problem, Integrity):
                raise problem
            if isinstance(problem, str):
                report.unset.append(Named(version.path, problem))
            os.link(hidden, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            raise _exists(place, "it exists already") from None
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(hidden, dir_fd=parent)
        OsCalls().fsync(parent)
    finally:
        os.close(parent)
    report.files, report.bytes = 1, version.size


class _Restorer:
    """Many files into one new folder."""

    def __init__(
        self,
        runs: Runs,
        report: RestoreReport,
        prefix: bytes,
        progress: Progress | None,
        jobs: int,
    ) -> None:
        self._runs = runs
        self._report = report
        self._start = len(prefix) + 1 if prefix else 0
        self._leaves: frozenset[bytes] = frozenset()
        self._clean: set[bytes] = set()
        self._progress = progress
        self._jobs = jobs
        self._calls = OsCalls()
        self._shared_sync = False
        self._shown = 0.0

    def run(self, versions: list[FileVersion], place: str) -> None:
        """Write everything into a hidden folder, make it durable, then give it its name."""
        self._leaves = frozenset(v.path for v in versions if v.kind != "directory")
        inside = self._empty_folder(place)
        parent = os.open(place if inside else os.path.dirname(place), _OPEN_FOLDER)
        hidden = _hidden()
        try:
            os.mkdir(hidden, dir_fd=parent)
            try:
                root = os.open(hidden, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=parent)
                try:
                    self._shared_sync = self._calls.sync_file_system(root)
                    self._fill(versions, root)
                    if self._shared_sync and not self._calls.sync_file_system(root):
                        raise OSError(5, "the file system was not synced")
                    if inside:
                        _move_up(root, parent, place)
                finally:
                    os.close(root)
                if inside:
                    os.rmdir(hidden, dir_fd=parent)
                else:
                    _give_name(parent, hidden, place)
                self._calls.fsync(parent)
            except BaseException:
                remove_tree(parent, hidden)
                raise
        finally:
            os.close(parent)
        self._show(now=True)

    @staticmethod
    def _empty_folder(place: str) -> bool:
        """Whether `place` is an empty folder, to be filled; False when nothing is there."""
        try:
            found = os.lstat(place)
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(found.st_mode):
            raise _exists(place, "it exists already")
        if os.listdir(place):
            raise _exists(place, "the folder is not empty")
        return True

    def _fill(self, versions: Iterable[FileVersion], root: int) -> None:
        pending: deque[tuple[list[Entry], Future[list[Problem]]]] = deque()
        tree = Tree(root, remember=not self._shared_sync)
        pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="holdfast-restore")
        unit: list[Entry] = []
        try:
            for version in versions:
                if version.outcome == "failed":
                    self._report.missing.append(Named(version.path, version.error or ""))
                    continue
                entry = self._place(version, tree)
                if entry is None:
                    continue
                unit.append(entry)
                if len(unit) >= _UNIT_FILES or _folders(unit) >= _UNIT_FOLDERS:
                    pending.append((unit, pool.submit(self._write_all, unit)))
                    unit = []
                    while len(pending) >= _PENDING_UNITS:
                        self._settle(*pending.popleft())
            pending.append((unit, pool.submit(self._write_all, unit)))
            unit = []
            while pending:
                self._settle(*pending.popleft())
            if not self._shared_sync:
                tree.sync(self._calls.fsync)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            for left, _ in [*pending, (unit, None)]:
                for entry in left:
                    entry.folder.release()
            tree.close()

    def _place(self, version: FileVersion, tree: Tree) -> Entry | None:
        """The open folder and the name for `version`; None when it was made or named here."""
        path = version.path[self._start :]
        parts = path.split(b"/")
        if not all(parts) or any(p in (b".", b"..") for p in parts) or b"\0" in path:
            self._report.damaged.append(Named(version.path, "a path that leaves its folder"))
            return None
        if self._below_a_leaf(version.path):
            self._report.errors.append(Named(version.path, TAKEN))
            return None
        try:
            folder = tree.folder(tuple(parts[:-1]))
            if version.kind != "directory":
                return Entry(version, folder.retain(), parts[-1])
            os.mkdir(parts[-1], dir_fd=folder.fd)
            self._report.files += 1
            made = os.open(parts[-1], _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=folder.fd)
            try:
                problem = set_status(made, version)
                if not self._shared_sync:
                    self._calls.fsync(made)
            finally:
                os.close(made)
            if problem is not None:
                self._report.unset.append(Named(version.path, problem))
        except OSError as error:
            refused = unwritable(error)
            if refused is None:
                raise
            self._report.errors.append(Named(version.path, str(refused)))
        return None

    def _below_a_leaf(self, path: bytes) -> bool:
        """Whether a folder on the way to `path` is a file or a symlink of another source of the
        project: then that one is restored, whichever thread is faster."""
        folder, new = path.rpartition(b"/")[0], []
        while len(folder) > self._start and folder not in self._clean:
            if folder in self._leaves:
                return True
            new.append(folder)
            folder = folder.rpartition(b"/")[0]
        self._clean.update(new)
        return False

    def _write_all(self, unit: list[Entry]) -> list[Problem]:
        """In a worker."""
        problems: list[Problem] = []
        for entry in unit:
            try:
                problems.append(write_entry(self._runs, entry, sync=not self._shared_sync))
            except OSError as error:
                problem = unwritable(error)
                if problem is None:
                    raise
                problems.append(problem)
        return problems

    def _settle(self, unit: list[Entry], future: Future[list[Problem]]) -> None:
        report = self._report
        try:
            problems = future.result()
        finally:
            for entry in unit:
                entry.folder.release()
            done, unit[:] = list(unit), []
        for entry, problem in zip(done, problems, strict=True):
            version = entry.version
            if isinstance(problem, Integrity):
                report.damaged.append(Named(version.path, str(problem)))
            elif isinstance(problem, Exception):
                report.errors.append(Named(version.path, str(problem)))
            else:
                report.files += 1
                report.bytes += version.size
                if problem is not None:
                    report.unset.append(Named(version.path, problem))
        self._show()

    def _show(self, *, now: bool = False) -> None:
        if self._progress is not None and (now or time.monotonic() >= self._shown + 0.1):
            self._shown = time.monotonic()
            report = self._report
            self._progress(Progressed(report.files, report.bytes, {"damaged": len(report.damaged)}))


def _folders(unit: list[Entry]) -> int:
    return len({id(entry.folder) for entry in unit})


def _give_name(parent: int, hidden: bytes, place: str) -> None:
    name = os.fsencode(os.path.basename(place))
    try:
        # Create-only: a rename alone would replace an empty folder that appeared meanwhile.
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        raise _exists(place, "it appeared while restoring") from None
    try:
        os.rename(hidden, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=parent)
        raise


def _move_up(root: int, parent: int, place: str) -> None:
    """Move each entry of `root` into its parent, the empty folder that was given."""
    for entry in os.listdir(root):
        name = os.fsencode(entry)
        found = os.stat(name, dir_fd=root, follow_symlinks=False)
        try:
            if stat.S_ISDIR(found.st_mode):
                os.mkdir(name, dir_fd=parent)
                os.rename(name, name, src_dir_fd=root, dst_dir_fd=parent)
            else:
                os.link(name, name, src_dir_fd=root, dst_dir_fd=parent, follow_symlinks=False)
                os.unlink(name, dir_fd=root)
        except FileExistsError:
            raise _exists(place, "the folder was filled while restoring") from None
