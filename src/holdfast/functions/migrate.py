"""Moving older layouts to v1 (spec/functions.md §4).

For each function: read → check → write v1 → read v1 back and check it → announce it → only then
delete the old files. A crash at any moment leaves the old files, or a sound function in v1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from holdfast.clock import rfc3339
from holdfast.errors import HoldfastError, Integrity, ManifestInvalid, NotFound, StorageFailure
from holdfast.functions.imports import dependencies_of
from holdfast.functions.layout import Schema, parse_path
from holdfast.functions.mapping import Mapping, check_mapping_hash
from holdfast.functions.object_json import FunctionObject
from holdfast.functions.reading import check_code
from holdfast.functions.schema_v0 import FunctionV0
from holdfast.functions.writing import Addition

if TYPE_CHECKING:
    from holdfast.functions.pool import FunctionPool

_AT_ONCE = 100
_OLD = (Schema.V0, Schema.ORIGINAL)


@dataclass(frozen=True, slots=True)
class Failed:
    """A function that was not migrated: its old files are as they were."""

    hash: str
    path: str
    error: HoldfastError


@dataclass(slots=True)
class MigrationReport:
    """What a migration did, or in a dry run would do.

    Attributes:
        migrated: functions that were written in v1, or got mappings there.
        finished: those that were in v1 already, whose old files were only to be deleted.
        kept: with `keep_v0`, those that were in v1 already; nothing was done.
        failed: damaged ones, named, their files kept.
        strays: files in the old layout's place that are no functions; kept.
        deleted: number of old files deleted.
    """

    dry_run: bool = False
    keep_v0: bool = False
    migrated: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    deleted: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    def raise_failed(self) -> None:
        """Raise the error of the first function that failed, if any did."""
        if self.failed:
            raise self.failed[0].error


@dataclass(slots=True)
class _Plan:
    """A function to migrate, and the files to delete afterwards, the object last."""

    addition: Addition
    files: list[str]


def migrate(
    pool: FunctionPool,
    hash: str | None = None,
    *,
    keep_v0: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> MigrationReport:
    """Migrate one function (a prefix is accepted) or all.

    Running it again is safe and goes on where it was: with `keep_v0` old files that came later are
    merged, without it the files that are still there go. A function that fails harms no other.

    Args:
        progress: told now and then how many functions were looked at.

    Raises:
        NotFound: no such function.
        StorageFailure, NoSpace: the store fails; nothing was deleted that is not in v1, and
            running it again goes on.
        Denied: the pool is open for reading only, and it is no dry run.
    """
    if not dry_run:
        pool.check_writable()
    report = MigrationReport(dry_run, keep_v0)
    if hash is not None:
        hashes: Iterator[str] = iter([pool.find(hash)])
    else:
        hashes = _old_hashes(pool, report)
    seen = 0
    while part := list(islice(hashes, _AT_ONCE)):
        plans = []
        for each in part:
            try:
                plan = _plan(pool, each)
            except HoldfastError as error:
                report.failed.append(_failed(pool, each, error))
                continue
            if plan is not None:
                plans.append(plan)
        _carry_out(pool, plans, report)
        seen += len(part)
        if progress is not None:
            progress(seen)
    return report


def _old_hashes(pool: FunctionPool, report: MigrationReport) -> Iterator[str]:
    """The functions in older layouts; files among them that are none are noted as strays."""
    layout, store = pool.layout, pool.store
    found: set[str] = set()
    folders, files = store.children(layout.objects)
    report.strays += [entry.path for entry in files]
    for two in folders:
        if two == "sha256":
            continue
        for entry in store.children(f"{layout.objects}/{two}")[1]:
            place = parse_path(layout.relative(entry.path))
            if place is not None and place.schema is Schema.V0:
                found.add(place.hash)
            else:
                report.strays.append(entry.path)
    for two in store.children(layout.original)[0]:
        for name in store.children(f"{layout.original}/{two}")[0]:
            place = parse_path(f"objects/sha256/{two}/{name}/object.json")
            if place is not None:
                found.add(place.hash)
    return iter(sorted(found))


def _plan(pool: FunctionPool, hash: str) -> _Plan | None:
    """What is to be written and deleted; None when the function is in no older layout.

    Raises:
        HoldfastError: something of it is damaged.
    """
    layout, store = pool.layout, pool.store
    objects: list[FunctionObject] = []
    mappings: list[tuple[str, Mapping]] = []
    files: list[str] = []
    original = layout.object(hash, Schema.ORIGINAL)
    below = [entry.path for entry in store.list(layout.folder(hash, Schema.ORIGINAL))]
    if below:
        for path in below:
            place = parse_path(layout.relative(path))
            if place is None:
                raise ManifestInvalid("migrating", path, found="a file that is no mapping")
            if place.mapping is not None and place.language is not None:
                mapping = Mapping.from_bytes(store.get(path), path)
                check_mapping_hash(mapping, place.mapping, path)
                mappings.append((place.language, mapping))
                files.append(path)
        if original in below:
            found = FunctionObject.from_bytes(store.get(original), hash, original)
            check_code(found, original)
            needs = tuple(dependencies_of(found.normalized_code))
            objects.append(replace(found, dependencies=needs))
            files.append(original)
        elif not store.exists(layout.object(hash)):
            raise NotFound("migrating", original, found="mappings without their object")
    path = layout.object(hash, Schema.V0)
    if store.exists(path):
        old = FunctionV0.from_bytes(store.get(path), hash, path)
        created = rfc3339(pool.clock.now_ns())
        needs = tuple(dependencies_of(old.normalized_code))
        found = FunctionObject(
            hash, old.normalized_code, 1, created, pool.author, dependencies=needs
        )
        check_code(found, path)
        objects.append(found)
        mappings += old.mappings.items()
        files.append(path)
    if not files:
        return None
    if store.exists(layout.object(hash)):
        objects.insert(0, pool.reader.object(hash)[0])
    elif not mappings:
        raise ManifestInvalid("migrating", files[-1], found="no mapping in any language")
    addition = Addition(objects[0])
    for language, mapping in mappings:
        addition.add(language, mapping)
    return _Plan(addition, files)


def _carry_out(pool: FunctionPool, plans: Sequence[_Plan], report: MigrationReport) -> None:
    if not plans:
        return
    try:
        _write(pool, plans, report)
    except StorageFailure:
        raise
    except HoldfastError as error:
        if len(plans) == 1:
            hash = plans[0].addition.object.hash
            report.failed.append(_failed(pool, hash, error))
            return
        # One of them stands in the way of the others: each for itself.
        for plan in plans:
            _carry_out(pool, [plan], report)


def _write(pool: FunctionPool, plans: Sequence[_Plan], report: MigrationReport) -> None:
    if report.dry_run:
        for plan in plans:
            _count(report, plan, _is_complete(pool, plan))
        return
    written, _ = pool.write([plan.addition for plan in plans], "migrate")
    new = {w.hash: bool(w.new) for w in written}
    for plan in plans:
        hash = plan.addition.object.hash
        try:
            _validate(pool, plan)
        except HoldfastError as error:
            report.failed.append(_failed(pool, hash, error))
            continue
        if not report.keep_v0:
            for path in plan.files:
                pool.store.delete(path)
                report.deleted += 1
        _count(report, plan, not new[hash])


def _count(report: MigrationReport, plan: _Plan, complete: bool) -> None:
    hash = plan.addition.object.hash
    if not complete:
        report.migrated.append(hash)
    elif report.keep_v0:
        report.kept.append(hash)
    else:
        report.finished.append(hash)


def _is_complete(pool: FunctionPool, plan: _Plan) -> bool:
    hash = plan.addition.object.hash
    paths = [pool.layout.mapping(hash, *key) for key in plan.addition.mappings]
    return all(pool.store.exists(p) for p in (pool.layout.object(hash), *paths))


def _validate(pool: FunctionPool, plan: _Plan) -> None:
    """Read back what v1 holds: the object has its hash, every mapping is there with its own."""
    hash = plan.addition.object.hash
    path = pool.layout.object(hash)
    check_code(FunctionObject.from_bytes(pool.store.get(path), hash, path), path)
    there = {
        (place.language, place.hash)
        for place in pool.reader.mapping_places(hash)
        if place.schema is Schema.V1
    }
    if not there:
        raise Integrity("migrating", path, found="no mapping in any language")
    for language, mapping_hash in plan.addition.mappings:
        if (language, mapping_hash) not in there:
            raise Integrity("migrating", path, found=f"no mapping {language}@{mapping_hash}")
        path = pool.layout.mapping(hash, language, mapping_hash)
        check_mapping_hash(Mapping.from_bytes(pool.store.get(path), path), mapping_hash, path)


def _failed(pool: FunctionPool, hash: str, error: HoldfastError) -> Failed:
    path = pool.layout.object(hash, Schema.V0)
    if not pool.store.exists(path):
        path = pool.layout.object(hash, Schema.ORIGINAL)
    return Failed(hash, path, error)
