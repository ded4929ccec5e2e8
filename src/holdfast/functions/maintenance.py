"""Looking after a pool: verify, repair, collect (records.Maintainable)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, NotFound
from holdfast.functions.anchor import MODEL
from holdfast.functions.checking import check_function
from holdfast.functions.layout import Schema, parse_path
from holdfast.functions.validate import check_parts, missing_dependencies
from holdfast.functions.writing import Written
from holdfast.records import Checked, Finding, GcReport, Severity

if TYPE_CHECKING:
    from holdfast.functions.pool import FunctionPool


def verify(pool: FunctionPool, *, deep: bool) -> Iterator[Finding | Checked]:
    """Check everything; `deep` reads and recomputes, else it is looked for what is missing or not
    announced."""
    if deep:
        dependencies: dict[str, list[str]] = {}
        hashes: set[str] = set()
        for part in check_parts(pool.store, pool.layout):
            yield from part.findings
            yield Checked(part.files, part.bytes)
            hashes.update(part.hashes)
            for dependency, callers in part.dependencies.items():
                dependencies.setdefault(dependency, []).extend(callers)
        yield from missing_dependencies(dependencies, hashes)
    else:
        for hash in pool.reader.hashes(unfinished=True):
            if not pool.reader.schemas(hash):
                message = "mappings of a function that is not there"
                path = pool.layout.object(hash)
                yield Finding(Severity.WARNING, "unfinished", path, message, MODEL)
    for path in _unanchored(pool):
        message = "no COMMIT of the ledger fixes it"
        yield Finding(Severity.WARNING, "unanchored", path, message, MODEL, repairable=True)


def repair(pool: FunctionPool) -> Iterator[Finding]:
    """Announce sound functions whose COMMIT a crash kept back."""
    by_hash: dict[str, list[str]] = {}
    for path in _unanchored(pool):
        place = parse_path(pool.layout.relative(path))
        if place is not None:
            by_hash.setdefault(place.hash, []).append(path)
    for hash, paths in by_hash.items():
        folder = pool.layout.folder(hash)
        files = {e.path: pool.store.get(e.path) for e in pool.store.list(folder)}
        if not check_function(pool.layout, hash, files).sound:
            continue  # `verify` says what is wrong with it
        object_path = pool.layout.object(hash)
        chosen = sorted({object_path, *paths})
        written = Written(hash, tuple((p, files[p]) for p in chosen), frozenset())
        logseq = pool.anchor.commit([written], "repair")
        for path in paths:
            message = f"fixed by COMMIT {logseq} now"
            yield Finding(Severity.INFO, "unanchored", path, message, MODEL)


def collect(pool: FunctionPool, *, dry_run: bool) -> GcReport:
    """Remove mappings of functions that are not there and never were: no COMMIT names them."""
    report = GcReport()
    anchored = pool.anchor.anchored() or {}
    # A writer puts mappings before the object: nothing is litter while one is at work.
    with nullcontext() if dry_run else pool.writer.lease():
        for hash in pool.reader.hashes(unfinished=True):
            if pool.reader.schemas(hash):
                continue
            entries = list(pool.store.list(pool.layout.folder(hash)))
            if pool.layout.object(hash) in anchored or any(e.path in anchored for e in entries):
                continue  # lost, not left over
            for entry in entries:
                place = parse_path(pool.layout.relative(entry.path))
                if place is None or place.schema is not Schema.V1:
                    continue
                try:
                    if not dry_run:
                        pool.store.delete(entry.path)
                except HoldfastError as error:
                    report.failed.append((entry.path, str(error)))
                else:
                    report.removed.append((entry.path, entry.size))
    return report


def _unanchored(pool: FunctionPool) -> Iterator[str]:
    """The files of functions in v1 that no COMMIT fixes; nothing where nobody can tell."""
    anchored = pool.anchor.anchored()
    if anchored is None:
        return
    for hash in pool.list():
        try:
            if pool.reader.schemas(hash)[0] is not Schema.V1:
                continue  # older layouts are announced when they are migrated
        except (IndexError, NotFound):
            continue
        for entry in pool.store.list(pool.layout.folder(hash)):
            place = parse_path(pool.layout.relative(entry.path))
            if place is not None and entry.path not in anchored:
                yield entry.path
