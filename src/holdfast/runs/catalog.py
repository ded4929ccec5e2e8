"""Which runs there are: found by folder, id or project, without reading their files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Invalid, NotFound
from holdfast.runs.artifacts import artifact_folder
from holdfast.runs.finish import read_claim, tally
from holdfast.runs.lines import safe_key
from holdfast.runs.naming import check_artifact_type, is_uuid, parse_run_folder
from holdfast.runs.run_record import info_of

if TYPE_CHECKING:
    from holdfast.runs.journals import Journals
    from holdfast.runs.model import Project, RunInfo
    from holdfast.runs.projects import Projects
    from holdfast.store.protocol import Store

SHORTEST_ID = 4


class RunCatalog:
    """The runs of one store."""

    def __init__(self, store: Store, journals: Journals, projects: Projects, prefix: str) -> None:
        self._store = store
        self._journals = journals
        self._projects = projects
        self._prefix = prefix
        self._ended: dict[str, RunInfo] = {}
        self._ids: dict[str, str] = {}

    def run_dirs(self, project: Project) -> list[str]:
        """Keys of the project's run folders, oldest first."""
        folder = f"{self._prefix}/{project.folder}"
        names = [n for n in self._store.children(folder)[0] if parse_run_folder(n) is not None]
        return [f"{folder}/{name}" for name in sorted(names, key=_age)]

    def info(self, run_dir: str) -> RunInfo | None:
        """The run in that folder; None when it was claimed and no more."""
        known = self._ended.get(run_dir)
        if known is not None:
            return known
        try:
            begin, end = self._journals.peek(run_dir)
        except NotFound:
            return None
        info = info_of(begin, end, run_dir)
        if end is not None:
            self._ended[run_dir] = info
        self._ids[info.run_id] = run_dir
        return info

    def list(
        self,
        project: Project | None,
        *,
        status: str | None = None,
        action: str | None = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> list[RunInfo]:
        """See `Runs.list_runs`. Raises `NotFound` for an unknown `before`."""
        projects = self._projects.list() if project is None else [project]
        last = None if before is None else self.by_id(before)
        # By the names of folders first, so that a limit reads few runs more than it gives.
        dirs = [run_dir for found in projects for run_dir in self.run_dirs(found)]
        dirs.sort(key=_second, reverse=True)
        out: list[RunInfo] = []
        for second, group in itertools.groupby(dirs, _second):
            if last is not None and second > last.timestamp:
                continue
            if limit is not None and len(out) >= limit:
                break
            infos = [info for run_dir in group if (info := self.info(run_dir)) is not None]
            for info in sorted(infos, key=_begun, reverse=True):
                if (
                    (last is None or _begun(info) < _begun(last))
                    and (status is None or info.status == status)
                    and (action is None or info.action == action)
                ):
                    out.append(info)
        return out if limit is None else out[:limit]

    def by_id(self, run_id: str) -> RunInfo:
        """The run of that id. Raises `NotFound`."""
        run_dir = self._ids.get(run_id)
        if run_dir is None and is_uuid(run_id):
            run_dir = next((d for i, d in self._claims() if i == run_id), None)
        info = None if run_dir is None else self.info(run_dir)
        if info is None:
            raise NotFound(
                "looking up the run", run_id, hint="`holdfast log --model run` lists the runs"
            )
        return info

    def find(self, text: str) -> RunInfo:
        """See `Runs.find_run`."""
        if is_uuid(text):
            return self.by_id(text)
        text = text.strip("/")
        wanted = text[len(self._prefix) + 1 :] if text.startswith(f"{self._prefix}/") else text
        folder, _, name = wanted.rpartition("/")
        found: list[RunInfo] = []
        if parse_run_folder(name) is not None:
            for project in self._projects.list():
                if folder in ("", project.folder, project.name):
                    info = self.info(f"{self._prefix}/{project.folder}/{name}")
                    if info is not None:
                        found.append(info)
        elif len(text) >= SHORTEST_ID:
            for run_id, run_dir in self._claims():
                if run_id.startswith(text) and (info := self.info(run_dir)) is not None:
                    found.append(info)
        if not found:
            raise NotFound(
                "looking up the run",
                repr(text),
                hint="give a run folder's name or at least 4 digits of its id",
            )
        if len(found) > 1:
            raise Invalid(
                "looking up the run",
                repr(text),
                found=f"{len(found)} runs: " + ", ".join(i.run_dir for i in found[:5]),
                hint="give more of it",
            )
        return found[0]

    def metadata(self, info: RunInfo) -> RunInfo:
        """`info` with artifact types, and with the counts so far of a run in progress."""
        begin, end = self._journals.peek(info.run_dir)
        artifacts: dict[str, int] = {}
        batches = self._journals.read(info.run_dir).batches
        for batch in batches:
            for line in batch.artifacts:
                artifacts[line.artifact] = artifacts.get(line.artifact, 0) + 1
        if end is not None:
            return info_of(begin, end, info.run_dir, artifacts=artifacts)
        counts, size = tally(batches, info.run_dir)
        return info_of(
            begin,
            None,
            info.run_dir,
            counts={
                name: count for name in counts.__struct_fields__ if (count := getattr(counts, name))
            },
            size=size,
            artifacts=artifacts,
        )

    def artifact_folder(self, info: RunInfo, artifact_type: str) -> str:
        """Where a finished run's artifacts lie. Raises `NotFound` when it has none of that type."""
        check_artifact_type(artifact_type)
        if artifact_type not in self._store.children(info.run_dir)[0]:
            raise NotFound("looking up artifacts of", info.run_dir, found=f"no {artifact_type}")
        return artifact_folder(self._store, info.run_dir, artifact_type)

    def resolve(self, reference: str) -> tuple[str | None, bool]:
        """(key or None, whether it is a legacy path)."""
        text = reference.strip("/")
        text = text[len(self._prefix) + 1 :] if text.startswith(f"{self._prefix}/") else text
        if not safe_key(text):
            return None, False
        parts = text.split("/")
        candidates = [text]
        if parse_run_folder(parts[0]) is not None:
            candidates = [f"{p.folder}/{text}" for p in self._projects.list()]
        elif is_uuid(parts[0]):
            try:
                info = self.by_id(parts[0])
            except NotFound:
                return None, False
            candidates = ["/".join([info.run_dir[len(self._prefix) + 1 :], *parts[1:]])]
        for candidate in candidates:
            if self._exists(f"{self._prefix}/{candidate}"):
                return f"{self._prefix}/{candidate}", False
        for day in sorted(self._store.children(f"{self._prefix}/archive")[0], reverse=True):
            key = f"{self._prefix}/archive/{day}/{text}"
            if self._exists(key):
                return key, True
        return None, False

    def _exists(self, key: str) -> bool:
        try:
            return self._store.exists(key)
        except HoldfastError:
            return False

    def _claims(self) -> Iterator[tuple[str, str]]:
        """(run id, run folder) of every run."""
        for project in self._projects.list():
            for run_dir in self.run_dirs(project):
                known = self._ended.get(run_dir)
                if known is not None:
                    yield known.run_id, run_dir
                    continue
                run_id = read_claim(self._store, run_dir)
                if run_id is not None:
                    yield run_id, run_dir


def _age(name: str) -> tuple[str, int]:
    found = parse_run_folder(name)
    assert found is not None
    return found.timestamp, found.sequence


def _second(run_dir: str) -> str:
    return _age(run_dir.rpartition("/")[2])[0]


def _begun(info: RunInfo) -> tuple[str, str, int, str]:
    return info.timestamp, info.created, info.sequence, info.run_dir
