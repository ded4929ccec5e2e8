"""Rows of the derived index from journal batches: Arrow tables for bulk inserts (spec §2)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from holdfast.clock import parse_rfc3339
from holdfast.errors import Invalid

if TYPE_CHECKING:
    from holdfast.runs.history import TakenRun
    from holdfast.runs.journal import Batch
    from holdfast.runs.lines import BeginLine, EndLine, FileLine
    from holdfast.runs.model import Project

Row = dict[str, Any]


def source_id(project_id: str, kind: str, url: str) -> str:
    """The id of a source: the same for the same (project, kind, url)."""
    return hashlib.sha256(f"{project_id}\n{kind}\n{url}".encode()).hexdigest()[:32]


class Rows:
    """Rows to be taken in together; a version's later fate is merged into its new row."""

    def __init__(self) -> None:
        self.projects: list[Row] = []
        self.sources: dict[str, Row] = {}
        self.runs: dict[str, Row] = {}
        self.files: dict[str, Row] = {}
        self.run_files: list[Row] = []
        self.changes: dict[str, Row] = {}
        self.positions: list[Row] = []
        self._times: dict[str, int | None] = {}

    def project(self, project: Project) -> None:
        """A project that the index does not have."""
        self.projects.append(
            {
                "id": project.id,
                "name": project.name,
                "folder": project.folder,
                "description": project.description,
                "created_at": self._time(project.created),
            }
        )

    def batch(self, run: TakenRun, batch: Batch, project_id: str) -> None:
        """One batch of `run`; batches of a project come in their order."""
        begin = run.begin
        assert begin is not None
        if batch.begin is not None:
            self._run(begin, project_id, None)
        if batch.end is not None:
            self._run(begin, project_id, batch.end)
        for line in batch.files:
            self.run_files.append(
                {"run_id": begin.run_id, "file_id": line.file_id, "outcome": line.outcome}
            )
            if line.outcome in ("new_file", "new_version"):
                self._file(line, project_id)
            if line.supersedes is not None:
                self._change(line.supersedes, "superseded_by", begin.run_id)
            if line.processed is not None and line.file_id is not None:
                self._change(line.file_id, "processed_at", self._time(line.processed))
        for mark in batch.marks:
            self._change(mark.file_id, "processed_at", self._time(mark.processed))

    def position(self, run: TakenRun, project_id: str, lines: int, run_json: str | None) -> None:
        """How far `run` was taken in; `run_json` is the SHA-256 of its sealed record."""
        self.positions.append(
            {
                "run_dir": run.run_dir,
                "project_id": project_id,
                "bytes": run.position.size,
                "batches": run.position.batches,
                "lines": lines,
                "hash": run.position.hash.hex(),
                "run_json": run_json,
                "sealed": run.ended and run_json is not None,
            }
        )

    def fates(self, project_id: str, superseded: dict[str, str | None]) -> None:
        """Put the fold's word in the place of the journals' (where runs of a project raced)."""
        for file_id, row in self.files.items():
            if row["project_id"] == project_id:
                row["superseded_by"] = superseded.get(file_id)

    def _run(self, begin: BeginLine, project_id: str, end: EndLine | None) -> None:
        source = None
        if begin.source is not None:
            source = source_id(project_id, begin.source.kind, begin.source.url)
            self.sources[source] = {
                "id": source,
                "project_id": project_id,
                "kind": begin.source.kind,
                "url": begin.source.url,
            }
        self.runs[begin.run_id] = {
            "id": begin.run_id,
            "project_id": project_id,
            "timestamp": begin.timestamp,
            "sequence": begin.sequence,
            "action": begin.action,
            "status": "in_progress" if end is None else end.status,
            "created_at": self._time(begin.created),
            "completed_at": None if end is None else self._time(end.completed),
            "error_message": None if end is None else end.error,
            "source_id": source,
        }

    def _file(self, line: FileLine, project_id: str) -> None:
        assert line.file_id is not None
        self.files[line.file_id] = {
            "id": line.file_id,
            "project_id": project_id,
            "run_id": line.run_id,
            "filename": line.path,
            "file_path": line.stored,
            "file_hash": line.sha256,
            "file_size_bytes": line.size,
            "superseded_by": None,
            "created_at": self._time(line.created),
            "processed_at": None,
        }

    def _change(self, file_id: str, column: str, value: object) -> None:
        row = self.files.get(file_id)
        if row is None:
            empty = {"id": file_id, "superseded_by": None, "processed_at": None}
            row = self.changes.setdefault(file_id, empty)
        if row[column] is None:
            row[column] = value

    def _time(self, text: str) -> int | None:
        """Microseconds since the epoch; None for a time that is none."""
        if text not in self._times:
            try:
                self._times[text] = parse_rfc3339(text) // 1000
            except Invalid:
                self._times[text] = None
        return self._times[text]

    def tables(self) -> list[tuple[str, str, Any]]:
        """(statement, name of the view it reads, Arrow table), in the order to be run."""
        import pyarrow as pa

        text, whole, flag = pa.string(), pa.int64(), pa.bool_()
        time = pa.timestamp("us", tz="UTC")

        def table(rows: list[Row], **columns: Any) -> Any:
            return pa.table(
                {
                    name: pa.array([row[name] for row in rows], type=kind)
                    for name, kind in columns.items()
                }
            )

        projects = table(
            self.projects, id=text, name=text, folder=text, description=text, created_at=time
        )
        sources = table(list(self.sources.values()), id=text, project_id=text, kind=text, url=text)
        runs = table(
            list(self.runs.values()),
            id=text,
            project_id=text,
            timestamp=text,
            sequence=pa.int32(),
            action=text,
            status=text,
            created_at=time,
            completed_at=time,
            error_message=text,
            source_id=text,
        )
        files = table(
            list(self.files.values()),
            id=text,
            project_id=text,
            run_id=text,
            filename=text,
            file_path=text,
            file_hash=text,
            file_size_bytes=whole,
            superseded_by=text,
            created_at=time,
            processed_at=time,
        )
        changes = table(list(self.changes.values()), id=text, superseded_by=text, processed_at=time)
        run_files = table(self.run_files, run_id=text, file_id=text, outcome=text)
        positions = table(
            self.positions,
            run_dir=text,
            project_id=text,
            bytes=whole,
            batches=whole,
            lines=whole,
            hash=text,
            run_json=text,
            sealed=flag,
        )
        every = [
            ("take_projects", "new_projects", projects),
            ("take_sources", "new_sources", sources),
            ("take_runs", "new_runs", runs),
            ("take_changes", "changes", changes),
            ("take_files", "new_files", files),
            ("take_run_files", "new_run_files", run_files),
            ("take_positions", "new_positions", positions),
        ]
        return [item for item in every if item[2].num_rows]
