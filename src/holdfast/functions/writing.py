"""Writing functions durably (docs/decisions/0751).

A function is there when its object is. So its mappings are made durable first, in one batch, and
the objects after them; a crash leaves mappings of functions that are not there, never a function
without its names. All this happens under one lease, so that what lies below a function that is not
there was left by a dead process: it is written anew, or removed where it is torn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.errors import Conflict, ManifestInvalid, NotFound, PathExists
from holdfast.functions.language import (
    LANGUAGE_FILE,
    language_file,
    language_folder,
    needs_file,
    parse_language_file,
)
from holdfast.functions.layout import parse_path
from holdfast.functions.mapping import Mapping, check_mapping_hash
from holdfast.store.filesystem import FileSystemStore

if TYPE_CHECKING:
    from holdfast.functions.layout import Layout
    from holdfast.functions.object_json import FunctionObject
    from holdfast.store.protocol import Batch, Store

LEASE = "functions"
_TRIES = 16

File = tuple[str, bytes]


@dataclass(slots=True)
class Addition:
    """An object, with mappings to add to it by language and hash."""

    object: FunctionObject
    mappings: dict[tuple[str, str], Mapping] = field(default_factory=dict)

    def add(self, language: str, mapping: Mapping) -> str:
        """Take `mapping` in; its hash."""
        hash = mapping.hash
        self.mappings[(language, hash)] = mapping
        return hash


@dataclass(frozen=True, slots=True)
class Written:
    """What an addition came to: the files that make it up, and those of them that are new."""

    hash: str
    files: tuple[File, ...]
    new: frozenset[str]


class Writer:
    """Adds functions to the pool at `layout` in `store`."""

    def __init__(self, store: Store, layout: Layout) -> None:
        self._store = store
        self._layout = layout

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Keep other writers of functions out; nothing where the store has no leases."""
        leases = self._store.leases
        if leases is None:
            yield
            return
        if isinstance(self._store, FileSystemStore):
            # Before the lease makes its own folder there: that one is not made durable.
            self._store.folders.ensure(self._store.root)
        with leases.acquire(LEASE):
            yield

    def write(self, additions: Sequence[Addition]) -> list[Written]:
        """Add all, durable on return. One addition for each hash; what is there stays as it is.
        The caller holds `lease`.

        Raises:
            Integrity, ManifestInvalid: a mapping that is there is damaged.
            StorageFailure, NoSpace, Denied: the store refused; some of the functions may be there,
                each whole.
        """
        there: dict[str, bytes] = {}
        below_new: list[File] = []
        objects: list[File] = []
        names: list[File] = []
        mappings: list[File] = []
        parts: list[tuple[str, list[str]]] = []
        for addition in additions:
            path = self._layout.object(addition.object.hash)
            language_files, mapping_files = self._files(addition)
            paths = [path, *(p for p, _ in language_files), *(p for p, _ in mapping_files)]
            parts.append((addition.object.hash, paths))
            data = self._present(path)
            if data is None:
                objects.append((path, addition.object.to_bytes()))
                below_new += language_files
                below_new += mapping_files
                self._settle_left(addition.object.hash, set(paths))
                continue
            there[path] = data
            for files, missing in ((language_files, names), (mapping_files, mappings)):
                for file in files:
                    found = self._same(file)
                    if found is None:
                        missing.append(file)
                    else:
                        there[file[0]] = found
        old = frozenset(there)
        self._write_below_new(below_new)
        there.update(below_new)
        for files in (names, mappings, objects):
            there.update(self._put(files))
        return [
            Written(
                hash,
                tuple((p, there[p]) for p in paths),
                frozenset(p for p in paths if p not in old),
            )
            for hash, paths in parts
        ]

    def _files(self, addition: Addition) -> tuple[list[File], list[File]]:
        hash = addition.object.hash
        languages: dict[str, bytes] = {}
        mappings: list[File] = []
        for (language, mapping_hash), mapping in addition.mappings.items():
            folder = language_folder(language)
            if needs_file(folder):
                languages[self._layout.language(hash, folder)] = language_file(language)
            mappings.append(
                (self._layout.mapping(hash, language, mapping_hash), mapping.to_bytes())
            )
        return list(languages.items()), mappings

    def _present(self, path: str) -> bytes | None:
        try:
            return self._store.get(path)
        except NotFound:
            return None

    def _same(self, file: File) -> bytes | None:
        """The bytes of a file that is there, None when it is not. Its content must be the same:
        the original orders the names in it in another way.

        Raises:
            ManifestInvalid: it is damaged.
        """
        path, data = file
        there = self._present(path)
        if there is not None and there != data:
            if path.endswith("/mapping.json"):
                expected = Mapping.from_bytes(data, path).hash
                check_mapping_hash(Mapping.from_bytes(there, path), expected, path)
            elif path.endswith("/" + LANGUAGE_FILE):
                parse_language_file(there, path)
        return there

    def _settle_left(self, hash: str, ours: set[str]) -> None:
        """What a dead process left below an object that is not there would be there with it: make
        it durable where it is whole, else remove it."""
        if self._store.leases is None:
            return  # such stores have no torn files
        left = [e.path for e in self._store.list(self._layout.folder(hash)) if e.path not in ours]
        named: set[str] = set()
        # A name after the mappings below it in the listing, but needed to judge them.
        for path in sorted(left, key=lambda path: not path.endswith("/" + LANGUAGE_FILE)):
            place = parse_path(self._layout.relative(path))
            if place is None or place.language is None:
                continue
            data = self._store.get(path)
            try:
                if place.mapping is None:
                    parse_language_file(data, path)
                    named.add(place.language)
                else:
                    check_mapping_hash(Mapping.from_bytes(data, path), place.mapping, path)
                    if needs_file(place.language) and place.language not in named:
                        name = self._layout.language(hash, place.language)
                        if name not in ours:
                            raise ManifestInvalid("writing", path, found="no language")
            except ManifestInvalid:
                self._store.delete(path)
            else:
                self._replace(path, data)

    def _write_below_new(self, files: Sequence[File]) -> None:
        """The files below functions that are not there yet, durable on return."""
        if not files:
            return
        left: list[File] = []
        with self._store.batch() as batch:
            for path, data in files:
                if not _try_put(batch, path, data):
                    left.append((path, data))
            batch.commit()
        for path, data in left:
            self._replace(path, data)

    def _replace(self, path: str, data: bytes) -> None:
        """Replace what a dead process may have left torn, or not durable."""
        for _ in range(_TRIES):
            try:
                self._store.compare_and_swap(path, self._present(path), data)
                return
            except Conflict:
                continue
        raise Conflict("writing", path, found="another writer, again and again")

    def _put(self, files: Sequence[File]) -> dict[str, bytes]:
        """Create each file, durable on return; the bytes that are then there, by path. Where there
        are no leases another writer may be faster: an object of the same function, made by another
        author, stands for ours."""
        out: dict[str, bytes] = dict(files)
        waiting = list(files)
        for _ in range(len(files) + 1):
            if not waiting:
                return out
            try:
                self._store.put_many(waiting)
                return out
            except PathExists:
                left = []
                for file in waiting:
                    there = self._same(file)
                    if there is None:
                        left.append(file)
                    else:
                        out[file[0]] = there
                waiting = left
        raise Conflict("writing", waiting[0][0], found="another writer, again and again")


def _try_put(batch: Batch, path: str, data: bytes) -> bool:
    try:
        batch.put(path, data)
    except PathExists:
        return False
    return True
