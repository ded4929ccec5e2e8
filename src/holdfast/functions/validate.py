"""Validating a pool: everything that can be recomputed is (spec/functions.md §2).

A large pool in a local folder is checked by one process for each core. They are started as programs
of their own: a script that calls `validate` need not be one that can be imported again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, NotFound
from holdfast.functions.checking import MODEL, Checkup, check_function
from holdfast.functions.layout import Layout, Schema, parse_path
from holdfast.records import Finding, Severity

if TYPE_CHECKING:
    from holdfast.functions.pool import FunctionPool
    from holdfast.store.protocol import Store

_MANY = 2000
"""From about this many functions on, processes are worth starting."""


@dataclass(slots=True)
class Validation:
    """What validating found.

    Attributes:
        checked: functions.
        unsound: hashes of those with an ERROR, ascending.
        findings: everything, WARNINGs too (a dependency that is not in the pool, a stray file).
    """

    checked: int = 0
    unsound: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every function is sound."""
        return not self.unsound and all(f.severity is not Severity.ERROR for f in self.findings)


@dataclass(slots=True)
class Part:
    """The check of the functions whose hashes begin with the same two digits."""

    checked: int = 0
    files: int = 0
    bytes: int = 0
    unsound: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    dependencies: dict[str, list[str]] = field(default_factory=dict)
    """Hash of a function → the objects of those that import it."""
    hashes: list[str] = field(default_factory=list)
    """Functions that are there: those that others may depend on."""

    def take(self, checkup: Checkup, there: bool) -> None:
        """Add what was found of one function."""
        self.findings += checkup.findings
        if there:
            self.checked += 1
            self.hashes.append(checkup.hash)
        if not checkup.sound:
            self.unsound.append(checkup.hash)
        for dependency in checkup.dependencies:
            self.dependencies.setdefault(dependency, []).append(checkup.path)


def validate(pool: FunctionPool, hash: str | None = None, *, jobs: int | None = None) -> Validation:
    """Check one function, or the whole pool.

    Args:
        hash: a prefix is accepted; None for all.
        jobs: processes; default one for each core when there is much to do. 1: none.

    Raises:
        NotFound: no such function.
    """
    if hash is not None:
        return _validate_one(pool, hash)
    out = Validation()
    dependencies: dict[str, list[str]] = {}
    hashes: set[str] = set()
    for part in check_parts(pool.store, pool.layout, jobs=jobs):
        out.checked += part.checked
        out.unsound += part.unsound
        out.findings += part.findings
        hashes.update(part.hashes)
        for dependency, callers in part.dependencies.items():
            dependencies.setdefault(dependency, []).extend(callers)
    out.findings += missing_dependencies(dependencies, hashes)
    out.unsound.sort()
    return out


def _validate_one(pool: FunctionPool, hash: str) -> Validation:
    if len(hash) < 64:
        hash = pool.find(hash)
    part = Part()
    files = _files_of(pool.store, pool.layout, hash, part)
    if not files and not part.findings:
        raise NotFound("validating the function", hash)
    checkup = check_function(pool.layout, hash, files)
    part.take(checkup, True)
    missing = {d: [checkup.path] for d in checkup.dependencies if not pool.reader.schemas(d)}
    part.findings += missing_dependencies(missing, set())
    unsound = [hash] if any(f.severity is Severity.ERROR for f in part.findings) else []
    return Validation(1, unsound, part.findings)


def missing_dependencies(dependencies: dict[str, list[str]], there: set[str]) -> Iterator[Finding]:
    """A WARNING for each function that imports one that is not there: it may come later."""
    for dependency in sorted(dependencies.keys() - there):
        for path in sorted(dependencies[dependency]):
            message = f"the function imports {dependency}, which is not in the pool"
            yield Finding(Severity.WARNING, "missing_dependency", path, message, MODEL)


def check_parts(store: Store, layout: Layout, *, jobs: int | None = None) -> Iterator[Part]:
    """The check of the whole pool, in parts."""
    twos: set[str] = set()
    strays = Part()
    for where in (layout.objects, layout.original):
        folders, files = store.children(where)
        for name in folders:
            if len(name) == 2 and all(c in "0123456789abcdef" for c in name):
                twos.add(name)
            elif f"{where}/{name}" != layout.original:
                strays.findings += [_stray(e.path) for e in store.list(f"{where}/{name}")]
        strays.findings += [_stray(entry.path) for entry in files]
    yield strays
    names = sorted(twos)
    if jobs is None:
        jobs = os.cpu_count() or 1
    if jobs > 1 and _is_local(store) and _is_large(store, layout, names):
        from holdfast.functions.processes import check_in_processes

        yield from check_in_processes(store, layout, names, jobs)
        return
    for two in names:
        yield check_part(store, layout, two)


def check_part(store: Store, layout: Layout, two: str) -> Part:
    """Check the functions whose hashes begin with `two`."""
    out = Part()
    functions: dict[str, dict[str, bytes]] = {}
    for where in (layout.objects, layout.original):
        for entry in store.list(f"{where}/{two}"):
            hash = _hash_of(layout, where, two, entry.path)
            if hash is None:
                out.findings.append(_stray(entry.path))
                continue
            files = functions.setdefault(hash, {})
            _read(store, entry.path, files, out)
    for hash in sorted(functions):
        files = functions[hash]
        there = any(layout.object(hash, s) in files for s in Schema)
        out.take(check_function(layout, hash, files), there)
    return out


def _hash_of(layout: Layout, where: str, two: str, path: str) -> str | None:
    """The function to which a file below ``<where>/<two>`` belongs, whatever it is."""
    place = parse_path(layout.relative(path))
    if place is not None:
        return place.hash
    name = path[len(where) + len(two) + 2 :].partition("/")[0]
    hash = two + name
    return hash if len(hash) == 64 and all(c in "0123456789abcdef" for c in hash) else None


def _files_of(store: Store, layout: Layout, hash: str, part: Part) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for schema in (Schema.V1, Schema.ORIGINAL):
        for entry in store.list(layout.folder(hash, schema)):
            _read(store, entry.path, files, part)
    path = layout.object(hash, Schema.V0)
    if store.exists(path):
        _read(store, path, files, part)
    return files


def _read(store: Store, path: str, files: dict[str, bytes], part: Part) -> None:
    try:
        data = store.get(path)
    except NotFound:
        return  # removed meanwhile: a migration is at work
    except HoldfastError as error:
        part.findings.append(Finding.of(error, path, MODEL))
        return
    files[path] = data
    part.files += 1
    part.bytes += len(data)


def _stray(path: str) -> Finding:
    return Finding(Severity.WARNING, "unexpected_file", path, "no file of a function", MODEL)


def _is_local(store: Store) -> bool:
    from holdfast.store.calls import OsCalls
    from holdfast.store.filesystem import FileSystemStore

    return type(store) is FileSystemStore and type(store.calls) is OsCalls


def _is_large(store: Store, layout: Layout, names: list[str]) -> bool:
    if len(names) < 64:
        return False
    count = sum(len(store.children(f"{layout.objects}/{two}")[0]) for two in names[:16])
    return count * len(names) // 16 >= _MANY
