"""What a command's argument names: an artifact, a stored file, a run, a commit or a project.

An argument is looked at as everything that it could be; when two readings hold, the command stops
and lists both rather than guess.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from holdfast.errors import Invalid, NotFound

if TYPE_CHECKING:
    from holdfast.ledger.artifact import Reference
    from holdfast.ledger.ledger import Ledger
    from holdfast.repository import Repository
    from holdfast.runs.model import FileVersion, Project, RunInfo
    from holdfast.runs.runs import Runs

T = TypeVar("T")

MIN_PREFIX = 8
MIN_RUN_PREFIX = 4
MAX_LISTED = 8

_HEX = re.compile(r"[0-9a-f]+\Z")
_UUID_PREFIX = re.compile(r"[0-9a-f-]{4,36}\Z")
_REFERENCE = re.compile(r"asl1:([0-9a-f]{4}):([0-9a-f]+)\Z")
_COMMIT = re.compile(r"(?:commit:)?([1-9][0-9]{0,19})\Z")


@dataclass(frozen=True, slots=True)
class Commit:
    """A COMMIT record of the ledger, by its logseq."""

    logseq: int


class Readable(Protocol):
    """A stream that checks its bytes while they are read."""

    def read(self, size: int = -1, /) -> bytes | None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that `get` can give: how to name them, and how to open them."""

    id: str
    open: Callable[[], Readable]


# -- artifacts ----------------------------------------------------------------------------------


def hex_prefix(text: str) -> str | None:
    """The hex digits of `text` when it can be a digest or the beginning of one."""
    text = text.lower()
    return text if MIN_PREFIX <= len(text) <= 64 and _HEX.match(text) else None


def find_artifact(ledger: Ledger, text: str) -> Reference:
    """The reference that `text` writes: ``asl1:…``, whole or cut, or a digest prefix.

    Raises:
        Invalid: not a reference, or a prefix that fits several; the message lists them.
        NotFound: a prefix that fits none. A whole reference is not looked up.
    """
    from holdfast.ledger.artifact import Reference

    lower = text.strip().lower()
    match = _REFERENCE.match(lower)
    if match is not None and len(match[2]) >= 64:
        return Reference.parse(lower)
    digits = hex_prefix(match[2] if match is not None else lower)
    if digits is None:
        raise Invalid(
            "reading the reference",
            repr(text),
            expected=f"asl1:0001:<hex>, or at least {MIN_PREFIX} hex digits of the digest",
        )
    return one_of(text, [(r, r.text) for r in ledger.find(digits)], "artifact")


def one_of(text: str, found: list[tuple[T, str]], kind: str) -> T:
    """The only one of `found`, pairs of a thing and its name. Raises `NotFound`, `Invalid`."""
    if len(found) == 1:
        return found[0][0]
    if not found:
        raise NotFound(f"looking for the {kind}", repr(text), found="there is none")
    names = [name for _, name in found]
    listed = ", ".join(names[:MAX_LISTED])
    if len(names) > MAX_LISTED:
        listed += f" and {len(names) - MAX_LISTED} more"
    raise Invalid(
        f"looking for the {kind}",
        repr(text),
        found=f"it fits {len(names)}: {listed}",
        hint="give more of it",
        candidates=names,
    )


# -- projects and files -------------------------------------------------------------------------


def find_project(runs: Runs, text: str) -> tuple[Project, bytes]:
    """The project and the path in it (empty: all) that ``PROJECT[/PATH]`` names.

    A project is named by its name, its folder or its id, in this order.

    Raises:
        NotFound: no such project; the message lists those there are.
    """
    projects = runs.projects()
    found: list[tuple[int, int, Project, str]] = []
    for project in projects:
        for order, name in enumerate((project.name, project.folder, project.id)):
            if text == name or text.startswith(name + "/"):
                found.append((-len(name), order, project, text[len(name) + 1 :]))
    if not found:
        names = ", ".join(p.name for p in projects[:MAX_LISTED]) or "none"
        raise NotFound(
            "looking for the project of", repr(text), found=f"the projects here are: {names}"
        )
    _, _, project, rest = min(found, key=lambda item: item[:2])
    return project, os.fsencode(rest.strip("/"))


def find_file(runs: Runs, text: str) -> FileVersion:
    """The current version of the file that ``PROJECT/PATH`` names. Raises `NotFound`."""
    project, path = find_project(runs, text)
    version = runs.get_latest_file(project.id, path) if path else None
    if version is None:
        raise NotFound(
            "looking for the file",
            repr(text),
            found="not a current file" if path else "a project, not a file",
            hint=f"see `holdfast ls {project.name}`",
        )
    return version


def find_by_sha256(runs: Runs, text: str) -> FileVersion:
    """The stored file whose bytes have the digest ``sha256:HEX``, whole or cut.

    Raises:
        Invalid: no such digest, or one that fits several; the message lists them.
        NotFound: there is none.
    """
    prefix = text.lower().removeprefix("sha256:")
    if hex_prefix(prefix) is None:
        raise Invalid(
            "reading the digest",
            repr(text),
            expected=f"sha256: and {MIN_PREFIX} to 64 hex digits",
        )
    return one_of(text, _files_with(runs, prefix), "file with the digest")


def _files_with(runs: Runs, prefix: str) -> list[tuple[FileVersion, str]]:
    """Stored files by the beginning of their SHA-256, with the names of their contents."""
    if len(prefix) == 64:
        version = runs.find_sha256(prefix)
        return [] if version is None else [(version, f"sha256:{prefix}")]
    return [(v, f"sha256:{v.sha256}") for v in runs.find_sha256_prefix(prefix)]


# -- what `get` and `show` take -----------------------------------------------------------------


def find_content(repo: Repository, text: str) -> Content:
    """What `get` shall give for `text`: an artifact, a file by digest, or a project's file."""
    from holdfast.runs.model import FileVersion

    if text.lower().startswith("sha256:"):
        return _file_content(repo, find_by_sha256(repo.runs, text))
    if text.lower().startswith("asl1:"):
        return _artifact_content(repo, find_artifact(repo.ledger, text))
    digits = None if "/" in text else hex_prefix(text)
    if digits is None:
        return _file_content(repo, find_file(repo.runs, text))
    found: list[tuple[Reference | FileVersion, str]] = [
        (reference, reference.text) for reference in repo.ledger.find(digits)
    ]
    found += _files_with(repo.runs, digits)
    content = one_of(text, found, "artifact or file")
    if isinstance(content, FileVersion):
        return _file_content(repo, content)
    return _artifact_content(repo, content)


def _artifact_content(repo: Repository, reference: Reference) -> Content:
    return Content(reference.text, lambda: repo.ledger.open_artifact(reference))


def _file_content(repo: Repository, version: FileVersion) -> Content:
    if version.kind != "file" or version.stored is None:
        raise Invalid(
            "getting",
            f"{version.project}/{version.name}",
            found=f"a {version.kind}, which has no bytes",
            hint="`holdfast show` tells what is known of it",
        )
    return Content(f"sha256:{version.sha256}", lambda: repo.runs.open_file(version))


def find_target(
    repo: Repository, text: str
) -> Reference | Commit | RunInfo | FileVersion | Project:
    """What `show` shall show for `text`.

    Raises:
        NotFound: it names nothing here.
        Invalid: it names several things; the message lists them.
    """
    lower = text.lower()
    if lower.startswith("asl1:"):
        return find_artifact(repo.ledger, text)
    if lower.startswith("sha256:"):
        return find_by_sha256(repo.runs, text)
    commit = _COMMIT.match(lower)
    if commit is not None and lower.startswith("commit:"):
        return Commit(int(commit[1]))
    found: list[tuple[Reference | Commit | RunInfo | FileVersion | Project, str]] = []
    if commit is not None and int(commit[1]) <= repo.ledger.position():
        found.append((Commit(int(commit[1])), f"commit:{commit[1]}"))
    if "/" not in text and hex_prefix(text):
        found += [(r, r.text) for r in repo.ledger.find(lower)]
        found += _files_with(repo.runs, lower)
    found += [(run, f"run {run.run_id}") for run in _runs_named(repo.runs, text)]
    found += _named(repo.runs, text)
    return one_of(text, found, "artifact, run, commit, project or file")


def _runs_named(runs: Runs, text: str) -> list[RunInfo]:
    is_folder = text.rpartition("/")[2].count("_") >= 3
    if not is_folder and not _UUID_PREFIX.match(text.lower()):
        return []
    try:
        return [runs.find_run(text)]
    except NotFound:
        return []


def _named(runs: Runs, text: str) -> list[tuple[FileVersion | Project, str]]:
    try:
        project, path = find_project(runs, text)
    except NotFound:
        return []
    if not path:
        return [(project, f"project {project.name}")]
    version = runs.get_latest_file(project.id, path)
    return [] if version is None else [(version, f"file {project.name}/{version.name}")]
