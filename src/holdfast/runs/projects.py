"""Projects and their folders (spec/runs.md §1): ``runs/<folder>/project.json``, create-only.

The file fixes its own bytes by a SHA-256 over the rest, because nothing else refers to it before
the project's first run.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING

from holdfast import canonical_json
from holdfast.clock import rfc3339
from holdfast.errors import Invalid, ManifestInvalid, NotFound, PathExists, Unsupported
from holdfast.runs.model import Project
from holdfast.runs.naming import (
    RESERVED_FOLDERS,
    check_project_name,
    folder_candidates,
    is_project_folder,
    is_uuid,
)

if TYPE_CHECKING:
    from holdfast.clock import Clock, Ids
    from holdfast.store.protocol import Store

PROJECT_SCHEMA = "holdfast.project/1"
FILE = "project.json"
MAX_SIZE = 1 << 20
"""Bytes of a project's file at most."""
_FIELDS = frozenset(["created", "description", "folder", "id", "name", "schema", "sha256"])


def encode(project: Project) -> bytes:
    """The bytes of ``project.json``."""
    value = {
        "schema": PROJECT_SCHEMA,
        "id": project.id,
        "name": project.name,
        "folder": project.folder,
        "created": project.created,
        "description": project.description,
    }
    digest = hashlib.sha256(canonical_json.dumps(value)).hexdigest()
    return canonical_json.dumps({**value, "sha256": digest})


def decode(data: bytes, name: str = FILE) -> Project:
    """The project that `data` holds.

    Raises:
        ManifestInvalid: not canonical, not its own SHA-256, or a field of another type.
        Unsupported: a schema of a later version.
    """
    doing = "reading the project"
    try:
        value = canonical_json.loads_canonical(data)
    except Invalid as error:
        raise ManifestInvalid(doing, name, found=error.found, offset=error.offset) from None
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ManifestInvalid(doing, name, found="not an object of strings")
    schema = value.get("schema", "")
    if schema != PROJECT_SCHEMA and schema.startswith("holdfast.project/"):
        raise Unsupported(doing, name, found=schema, expected=PROJECT_SCHEMA)
    if value.keys() != _FIELDS:
        raise ManifestInvalid(doing, name, found=f"fields {sorted(value)!r:.80}")
    project = Project(
        value["id"], value["name"], value["folder"], value["created"], value["description"]
    )
    if schema != PROJECT_SCHEMA or encode(project) != data:
        raise ManifestInvalid(doing, name, found="not the SHA-256 that it names")
    if not is_uuid(project.id):
        raise ManifestInvalid(doing, name, found=f"field id: {project.id!r:.80}")
    if not is_project_folder(project.folder):
        raise ManifestInvalid(doing, name, found=f"field folder: {project.folder!r:.80}")
    try:
        check_project_name(project.name)
    except Invalid as error:
        raise ManifestInvalid(doing, name, found=f"field name: {error.found}") from None
    return project


def read(store: Store, key: str) -> bytes:
    """The bytes of the project's file `key`. Raises `NotFound`; `ManifestInvalid`: too many."""
    data = store.read_range(key, 0, MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise ManifestInvalid(
            "reading the project", key, found=f"more than {MAX_SIZE} bytes", offset=MAX_SIZE
        )
    return data


class Projects:
    """The projects of one store, below `prefix`."""

    def __init__(self, store: Store, prefix: str, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._prefix = prefix
        self._clock = clock
        self._ids = ids
        self._known: dict[str, Project] = {}

    def key(self, folder: str) -> str:
        """The key of a project's file."""
        return f"{self._prefix}/{folder}/{FILE}"

    def folders(self) -> list[str]:
        """Folders that can be a project's, ascending."""
        return [
            name
            for name in self._store.children(self._prefix)[0]
            if name not in RESERVED_FOLDERS and not name.startswith(".")
        ]

    def list(self) -> list[Project]:
        """Every project, by folder; a folder without a project's file is none."""
        return [project for name in self.folders() if (project := self._load(name)) is not None]

    def find(self, name_or_id: str) -> Project | None:
        """The project of that id or name, or None."""
        for known in self._known.values():
            if known.id == name_or_id:
                return known
        by_name = None
        for project in self.list():
            if project.id == name_or_id:
                return project
            if project.name == name_or_id:
                by_name = project
        return by_name

    def get(self, name_or_id: str) -> Project:
        """The project of that id, name, or else folder. Raises `NotFound`."""
        found = self.find(name_or_id)
        if found is None and name_or_id in self.folders():
            found = self._load(name_or_id)
        if found is None:
            raise NotFound(
                "looking up the project",
                repr(name_or_id),
                hint="`holdfast ls` lists the projects",
            )
        return found

    def resolve(self, name_or_id: str, description: str = "") -> Project:
        """As `find`; an unknown name is created, durable on return.

        Raises:
            NotFound: an unknown id.
            Invalid: a name that cannot be one.
        """
        found = self.find(name_or_id)
        if found is not None:
            return found
        if is_uuid(name_or_id):
            raise NotFound("looking up the project", name_or_id, found="no project of that id")
        name = check_project_name(name_or_id)
        created = rfc3339(self._clock.now_ns())
        for folder in folder_candidates(name):
            taken = self._load(folder)
            if taken is None:
                project = Project(self._ids.uuid4(), name, folder, created, description)
                try:
                    self._store.put(self.key(folder), encode(project))
                except PathExists:
                    taken = self._load(folder)
                else:
                    self._known[folder] = project
                    return project
            if taken is not None and taken.name == name:
                return taken
        raise AssertionError("unreachable")

    def _load(self, folder: str) -> Project | None:
        known = self._known.get(folder)
        if known is not None:
            return known
        try:
            data = read(self._store, self.key(folder))
        except NotFound:
            return None
        project = decode(data, self.key(folder))
        # A file system that folds case answers for a twin's folder; the file says whose it is.
        if _folded(project.folder) != _folded(folder):
            raise ManifestInvalid(
                "reading the project",
                self.key(folder),
                found=f"the project of the folder {project.folder!r:.80}",
            )
        self._known[project.folder] = project
        return project


def _folded(folder: str) -> str:
    return unicodedata.normalize("NFC", folder.casefold())
