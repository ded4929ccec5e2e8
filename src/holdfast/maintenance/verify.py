"""`verify`: is every byte what it was when it was acknowledged?

Each model checks its own files; what lies between the models is checked here: `holdfast.json`, the
files that COMMIT records fix, and what belongs to nobody.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from holdfast.digests import sha256_hex
from holdfast.errors import HoldfastError, NotFound
from holdfast.ingest.report import Progress, Progressed
from holdfast.maintenance.folders import folders_of
from holdfast.maintenance.report import VerifyReport
from holdfast.records import Checked, CommitRecord, Finding, ObjectRef, Severity

if TYPE_CHECKING:
    from holdfast.repository import Repository
    from holdfast.store.protocol import Entry, Store

PIECE = 1 << 20
KNOWN_FOLDERS = frozenset({"ledger", "runs", "datasets", "volumes", "locks", "cache"})
"""Top folders that a model, or nobody's truth, lives in."""

Step = Finding | Checked


def verify(
    repository: Repository, *, deep: bool = True, progress: Progress | None = None
) -> VerifyReport:
    """Check the repository; `deep` reads every byte, else structure and sizes are checked.

    Memory does not grow with the repository, only with what is found.
    """
    started = time.monotonic()
    report = VerifyReport(repository.url, deep)
    shown = 0.0
    for step in check(repository, deep=deep):
        if isinstance(step, Finding):
            report.findings.append(step)
        else:
            report.files += step.files
            report.bytes += step.bytes
        if progress is not None and time.monotonic() >= shown + 0.1:
            shown = time.monotonic()
            progress(_progressed(report))
    report.sort()
    report.seconds = time.monotonic() - started
    if progress is not None:
        progress(_progressed(report))
    return report


def _progressed(report: VerifyReport) -> Progressed:
    return Progressed(report.files, report.bytes, {"findings": len(report.findings)})


def check(repository: Repository, *, deep: bool = True) -> Iterator[Step]:
    """Findings, and what was read between them."""
    yield from _guarded("holdfast.json", "repository", lambda: _config(repository))
    yield from _guarded("ledger", "ledger", lambda: repository.ledger.verify(deep=deep))
    yield from _guarded("runs", "run", lambda: repository.runs.verify(deep=deep))
    for folder in folders_of(repository):
        model = folder.model
        yield from _guarded(
            folder.path,
            folder.kind,
            lambda model=model: model.verify(deep=deep),  # type: ignore[misc]
        )
    yield from _guarded("ledger", "ledger", lambda: _commits(repository, deep=deep))
    yield from _guarded("", "repository", lambda: _strays(repository))


def _guarded(path: str, model: str, steps: Callable[[], Iterable[Step]]) -> Iterator[Step]:
    """The steps, with an error that ends them as the last finding."""
    try:
        yield from steps()
    except HoldfastError as error:
        where = path if error.target is None else error.target
        yield Finding.of(error, where, model)


def _config(repository: Repository) -> Iterator[Step]:
    from holdfast.opening import LOG, lost_log
    from holdfast.repository_config import CONFIG, RepositoryConfig

    data = repository.store.get(CONFIG)
    yield Checked(1, len(data))
    RepositoryConfig.from_bytes(data)
    for logseq, record in repository.ledger.commits(model="repository", name=CONFIG, limit=1):
        digest = sha256_hex(data)
        if all(fixed.sha256 != digest for fixed in record.objects):
            message = f"sha256 is {digest}, not what COMMIT {logseq} fixes"
            yield Finding(Severity.ERROR, "digest_mismatch", CONFIG, message, "repository")
        return
    lost = lost_log(repository)
    if lost is not None:
        yield Finding(Severity.ERROR, "missing", LOG, str(lost), "ledger")
        return
    yield Finding(
        Severity.WARNING,
        "unanchored",
        CONFIG,
        "no COMMIT of the ledger fixes it",
        "repository",
        repairable=True,
    )


def _commits(repository: Repository, *, deep: bool) -> Iterator[Step]:
    """Every file that a COMMIT fixes is there, with its size and, when `deep`, its digest."""
    for logseq, record in repository.ledger.commits():
        if record.model == "repository":
            continue
        for fixed in record.objects:
            problem = _object(repository.store, fixed, deep=deep)
            if problem is not None:
                code, message = problem
                if code == "missing" and _is_collected(repository, record):
                    continue
                what = f"{message}; COMMIT {logseq} of {record.model} {record.name!r} fixes it"
                yield Finding(Severity.ERROR, code, fixed.path, what, record.model)
            yield Checked(1, fixed.size if deep else 0)


def _is_collected(repository: Repository, record: CommitRecord) -> bool:
    """Whether the snapshot of a COMMIT is expired or erased: then its files may be gone."""
    ledger = repository.ledger
    return ledger.tombstone_of(record.model, record.name, record.id) is not None


def _object(store: Store, fixed: ObjectRef, *, deep: bool) -> tuple[str, str] | None:
    """(code, message) of what is wrong with the file, or None."""
    try:
        size = store.size(fixed.path)
        if size != fixed.size:
            return "size_mismatch", f"{size} bytes, expected {fixed.size}"
        if deep and (found := _sha256(store, fixed.path)) != fixed.sha256:
            return "digest_mismatch", f"sha256 is {found}, expected {fixed.sha256}"
    except NotFound:
        return "missing", "the file is gone"
    except HoldfastError as error:
        return error.code, str(error)
    return None


def _sha256(store: Store, path: str) -> str:
    state = hashlib.sha256()
    offset = 0
    while piece := store.read_range(path, offset, PIECE):
        state.update(piece)
        offset += len(piece)
    return state.hexdigest()


def _strays(repository: Repository) -> Iterator[Step]:
    """Files at the top that no model owns, and temporary files that a dead process left."""
    from holdfast.repository import DATASETS, VOLUMES, is_name
    from holdfast.repository_config import CONFIG

    store = repository.store
    folders, files = store.children("")
    for name in [f for f in folders if f not in KNOWN_FOLDERS]:
        for entry in store.list(name):
            yield _unexpected(entry.path)
    for folder in (DATASETS, VOLUMES):
        names, beside = store.children(folder)
        for entry in beside:
            yield _unexpected(entry.path)
        for name in [n for n in names if not is_name(n)]:
            for entry in store.list(f"{folder}/{name}"):
                yield _unexpected(entry.path)
    for entry in files:
        if entry.path != CONFIG:
            yield _unexpected(entry.path)
    for temp in stale_temps(store):
        yield Finding(
            Severity.WARNING,
            "litter",
            temp.path,
            f"a temporary file of a dead process, {temp.size} bytes",
            "repository",
            repairable=True,
        )


def stale_temps(store: Store) -> Iterable[Entry]:
    """Temporary files that nobody writes any more; stores without visible ones have none."""
    find: Callable[[str], Iterable[Entry]] | None = getattr(store, "stale_temps", None)
    return () if find is None else find("")


def _unexpected(path: str) -> Finding:
    return Finding(
        Severity.INFO, "unexpected_file", path, "no model of Holdfast knows this file", "repository"
    )
