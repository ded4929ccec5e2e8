"""The derived index in DuckDB (spec/runs.md §2): for SQL over runs and versions.

It is never part of an acknowledgement and no answer of `Runs` depends on it. It is brought up to
date when it is opened, and built again when it is missing, damaged, of another version, or says
something that the journals do not.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from holdfast.errors import Busy, HoldfastError, NotFound, StorageFailure
from holdfast.runs.finish import RUN_JSON
from holdfast.runs.history import ProjectHistory, TakenRun
from holdfast.runs.index_rows import Rows
from holdfast.runs.journal import Batch, Position
from holdfast.runs.journals import seam_of

if TYPE_CHECKING:
    from holdfast.clock import Clock
    from holdfast.records import CommitSink
    from holdfast.runs.catalog import RunCatalog
    from holdfast.runs.journals import Journals
    from holdfast.runs.model import Project
    from holdfast.runs.projects import Projects
    from holdfast.store.protocol import Store

LEASE = "index/runs"
WAIT = 30.0
"""Seconds to wait for another process that uses the index, before `Busy`."""
NAME = "metadata.duckdb"
IN_MEMORY = ":memory:"


class _OutOfDate(Exception):
    """The index says what the journals do not; it must be built again."""


@dataclass(frozen=True, slots=True)
class RunIndex:
    """The index of one store.

    Args:
        cache: absolute local folder of the index where the store is no file system; None keeps it
            in memory, as does `read_only`.
    """

    store: Store
    journals: Journals
    projects: Projects
    catalog: RunCatalog
    clock: Clock
    sink: CommitSink
    prefix: str
    cache: str | None
    read_only: bool = False

    @property
    def path(self) -> str:
        """Absolute path of the database, or ``:memory:``."""
        calls, root = seam_of(self.store)
        if self.read_only:
            return IN_MEMORY
        if calls is not None:
            return f"{root}/{self.prefix}/{NAME}"
        return IN_MEMORY if self.cache is None else f"{self.cache}/{NAME}"

    @contextlib.contextmanager
    def session(self) -> Iterator[Any]:
        """A DuckDB connection to the index, up to date; other processes wait meanwhile.

        Raises:
            Busy: another process uses it for more than 30 s.
            Integrity: a journal is damaged.
        """
        with self._leased():
            connection = self._open()
            try:
                yield connection
            finally:
                connection.close()

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement. As `session`; DuckDB's own errors for bad SQL."""
        with self.session() as connection:
            # By way of Arrow: DuckDB's own rows want pytz for times with a zone.
            found = connection.sql(sql, params=list(parameters))
            if found is None:
                return []
            table = found.to_arrow_table()
            columns = [column.to_pylist() for column in table.columns]
            return list(zip(*columns, strict=True))

    def rebuild(self) -> None:
        """Throw the index away and build it again."""
        with self._leased():
            self._remove()
            self._open().close()

    @contextlib.contextmanager
    def _leased(self) -> Iterator[None]:
        leases = self.store.leases
        if leases is None or self.path == IN_MEMORY:
            yield
            return
        with leases.acquire(LEASE, timeout=WAIT):
            yield

    def _open(self) -> Any:
        import duckdb

        try:
            return self._open_once()
        except (duckdb.Error, _OutOfDate, UnicodeDecodeError) as error:
            if isinstance(error, duckdb.IOException) and "lock on file" in str(error):
                raise Busy("opening the index", self.path, found=str(error)) from None
            # Damaged, of another version, or not ours: nothing in it is needed.
            self._remove()
        try:
            return self._open_once()
        except duckdb.Error as error:
            raise StorageFailure("building the index", self.path, found=str(error)) from error
        except _OutOfDate:
            # A writer that needs no lease of ours changed what was read meanwhile.
            raise Busy("building the index", self.path, found="runs that change") from None

    def _open_once(self) -> Any:
        import duckdb

        if self.path != IN_MEMORY:
            self._clear_the_way()
        connection = duckdb.connect(
            self.path,
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                # A view in a repository that somebody sent must not read other files.
                "enable_external_access": "false",
            },
        )
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("BEGIN")
            self._prepare(connection)
            self._take_in(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _clear_the_way(self) -> None:
        """DuckDB follows symlinks, and waits for the writer of a pipe: only files may be there."""
        from holdfast.store.filesystem import FileSystemStore

        folder = os.path.dirname(self.path)
        if isinstance(self.store, FileSystemStore):
            self.store.folders.check(folder)
        os.makedirs(folder, exist_ok=True)
        for name in (self.path, f"{self.path}.wal", f"{self.path}.tmp"):
            with contextlib.suppress(FileNotFoundError):
                found = os.lstat(name).st_mode
                if not stat.S_ISREG(found) and not stat.S_ISDIR(found):
                    os.unlink(name)

    def _remove(self) -> None:
        if self.path == IN_MEMORY:
            return
        for name in (self.path, f"{self.path}.wal", f"{self.path}.tmp"):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(name)

    def _prepare(self, connection: Any) -> None:
        """Bring the schema to this version, whatever it was."""
        migrations = _scripts("migrations")
        tables = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
        version = 0
        if "holdfast_schema" in tables:
            found = connection.execute("SELECT max(version) FROM holdfast_schema").fetchone()
            version = found[0] or 0
        elif tables:
            raise _OutOfDate
        if version > len(migrations):
            raise _OutOfDate
        if version == len(migrations):
            return
        for number, (_, script) in enumerate(migrations[version:], version + 1):
            connection.execute(script)
            connection.execute("INSERT INTO holdfast_schema VALUES (?, now())", [number])
        # A macro that changes comes with a migration that counts it.
        for _, script in _scripts("macros"):
            connection.execute(script)

    def _take_in(self, connection: Any) -> None:
        known = {row[0] for row in connection.execute("SELECT id FROM projects").fetchall()}
        taken = {
            row[0]: row[1:]
            for row in connection.execute(
                "SELECT run_dir, bytes, batches, lines, hash, sealed FROM holdfast_taken"
            ).fetchall()
        }
        rows = Rows()
        raced = self.store.leases is None
        found_dirs: set[str] = set()
        ids: set[str] = set()
        for project in self.projects.list():
            ids.add(project.id)
            if project.id not in known:
                rows.project(project)
            dirs = self.catalog.run_dirs(project)
            found_dirs.update(dirs)
            if raced:
                self._take_raced(rows, project, taken)
            else:
                self._take_project(rows, project, dirs, taken)
        if known - ids or taken.keys() - found_dirs:
            raise _OutOfDate
        for statement, view, table in rows.tables():
            connection.register(view, table)
            connection.execute(_script(f"statements/{statement}.sql"))
            connection.unregister(view)

    def _take_project(
        self, rows: Rows, project: Project, dirs: list[str], taken: dict[str, tuple[Any, ...]]
    ) -> None:
        new: list[tuple[int, TakenRun, Batch]] = []
        touched: list[tuple[TakenRun, int]] = []
        for run_dir in dirs:
            before = taken.get(run_dir)
            if before is not None and before[4]:
                continue
            run = TakenRun(run_dir)
            lines = 0
            if before is not None:
                run.position = Position(before[0], before[1], bytes.fromhex(before[3]))
                lines = before[2]
                self._check_still(run)
            try:
                parsed = self.journals.read(run_dir, run.position)
            except NotFound:
                if before is not None:
                    raise _OutOfDate from None
                continue
            except HoldfastError:
                if before is not None:
                    raise _OutOfDate from None
                raise
            if not parsed.position.batches:
                continue
            run.begin = self.journals.peek(run_dir)[0]
            run.position = parsed.position
            # A run that ended may have been taken in before its run.json was there.
            run.ended = self.journals.peek(run_dir)[1] is not None
            for batch in parsed.batches:
                new.append((batch.order, run, batch))
                lines += len(batch.files)
            touched.append((run, lines))
        for _, run, batch in sorted(new, key=lambda item: item[0]):
            rows.batch(run, batch, project.id)
        for run, lines in touched:
            rows.position(run, project.id, lines, self._run_json(run))

    def _take_raced(self, rows: Rows, project: Project, taken: dict[str, tuple[Any, ...]]) -> None:
        """Without leases runs may overlap: what supersedes what is the fold's to say, so an index
        that is behind is built again."""

        def committed(run_id: str) -> int | None:
            return self.sink.find_commit("run", project.folder, run_id)

        history = ProjectHistory(
            self.store, self.journals, f"{self.prefix}/{project.folder}", self.clock, committed
        )
        history.refresh()
        now = {run.run_dir: run.position.batches for run in history.runs.values()}
        before = {d: t[1] for d, t in taken.items() if d.startswith(f"{history.folder}/")}
        if before == now and all(taken[d][4] for d in before):
            return
        if before:
            raise _OutOfDate
        for run in sorted(history.runs.values(), key=lambda r: r.first):
            lines = 0
            for batch in self.journals.read(run.run_dir).batches:
                rows.batch(run, batch, project.id)
                lines += len(batch.files)
            rows.position(run, project.id, lines, self._run_json(run))
        superseded: dict[str, str | None] = {}
        for versions in history.state.older.values():
            for version in versions:
                if version.line.file_id is not None:
                    superseded[version.line.file_id] = version.by
        rows.fates(project.id, superseded)

    def _check_still(self, run: TakenRun) -> None:
        """What was taken in of an unfinished run may have been lost in a crash since."""
        try:
            end = self.journals.closing_hash(run.run_dir, run.position)
        except HoldfastError:
            raise _OutOfDate from None
        if end != run.position.hash.hex():
            raise _OutOfDate

    def _run_json(self, run: TakenRun) -> str | None:
        try:
            return hashlib.sha256(self.store.get(f"{run.run_dir}/{RUN_JSON}")).hexdigest()
        except NotFound:
            return None


def _scripts(folder: str) -> list[tuple[str, str]]:
    """(name, text) of each SQL file of a folder, by name."""
    base = resources.files("holdfast.runs") / "sql" / folder
    return sorted(
        (item.name, item.read_text("utf-8")) for item in base.iterdir() if item.name[-4:] == ".sql"
    )


def _script(path: str) -> str:
    return (resources.files("holdfast.runs") / "sql" / path).read_text("utf-8")
