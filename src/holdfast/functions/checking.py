"""Checking one function from the bytes of its files (spec/functions.md §1, 3). Pure: no store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field

from holdfast.errors import HoldfastError
from holdfast.functions.identity import recompute_hash
from holdfast.functions.imports import dependencies_of
from holdfast.functions.language import (
    LANGUAGE_FILE,
    decode_folder,
    needs_file,
    parse_language_file,
)
from holdfast.functions.layout import Layout, Place, Schema, parse_path
from holdfast.functions.mapping import Mapping, check_mapping_hash
from holdfast.functions.names import name_problems
from holdfast.functions.object_json import FunctionObject
from holdfast.functions.schema_v0 import FunctionV0
from holdfast.records import Finding, Severity

MODEL = "function"
_NORMAL_NAME = re.compile(r"\b_holdfast_v_[0-9]+\b")


@dataclass(slots=True)
class Checkup:
    """What the check of one function found. `path`: of its object; `dependencies`: what its code
    imports."""

    hash: str
    findings: list[Finding] = field(default_factory=list)
    path: str = ""
    dependencies: tuple[str, ...] = ()

    def add(self, code: str, path: str, message: str, severity: Severity = Severity.ERROR) -> None:
        """Note a finding."""
        self.findings.append(Finding(severity, code, path, message, MODEL))

    @property
    def sound(self) -> bool:
        """Whether nothing is lost or wrong."""
        return all(f.severity is not Severity.ERROR for f in self.findings)


def check_function(layout: Layout, hash: str, files: MappingOf[str, bytes]) -> Checkup:
    """Check the function whose files are `files` by path in the store, of all layouts.

    Recomputed: the hash of the code by its normal form, the hashes of the mappings, the imports.
    Checked: every format, the identifiers, the languages, that there is an object and a mapping.
    """
    out = Checkup(hash)
    files = _without_unfinished(out, layout, hash, files)
    objects = {s: layout.object(hash, s) for s in Schema}
    mapped = False
    codes: list[str] = []
    form_2: FunctionObject | None = None
    mappings: dict[str, Mapping] = {}
    for path, data in files.items():
        place = parse_path(layout.relative(path))
        try:
            if place is None or place.hash != hash:
                out.add("unexpected_file", path, "no file of a function", Severity.WARNING)
            elif place.schema is Schema.V0:
                old = FunctionV0.from_bytes(data, hash, path)
                mapped = mapped or bool(old.mappings)
                codes.append(old.normalized_code)
                _check_code(out, path, old.normalized_code, 1)
                for language, mapping in old.mappings.items():
                    _check_names(out, path, mapping, f" in {language!r}")
            elif place.mapping is not None:
                mappings[path] = _check_mapping(out, path, place, data)
                mapped = True
            elif place.language is not None:
                parse_language_file(data, path)
            else:
                found = FunctionObject.from_bytes(data, hash, path)
                codes.append(found.normalized_code)
                _check_code(out, path, found.normalized_code, found.normal_form)
                _check_dependencies(out, path, found)
                form_2 = found if found.normal_form == 2 else form_2
        except HoldfastError as error:
            # A damaged file is there all the same: that it is damaged says enough.
            if place is not None:
                mapped = mapped or place.mapping is not None or place.schema is Schema.V0
            out.findings.append(Finding.of(error, path, MODEL))
    if form_2 is not None:
        _check_keys(out, form_2, mappings)
    _check_languages(out, layout, hash, files)
    there = [s for s, path in objects.items() if path in files]
    out.path = objects[there[0] if there else Schema.V1]
    if not there:
        path = layout.object(hash, Schema.ORIGINAL)
        if any(p.startswith(path.removesuffix("object.json")) for p in files):
            # The original wrote the object first.
            out.add("missing", path, "the object is gone, its mappings are there")
    elif not mapped:
        out.add("no_mapping", out.path, "the function has no mapping in any language")
    if codes:
        out.dependencies = tuple(_imports(codes[0]))
    return out


def _imports(code: str) -> list[str]:
    try:
        return dependencies_of(code)
    except HoldfastError:
        return []  # that it cannot be read was found above


def _without_unfinished(
    out: Checkup, layout: Layout, hash: str, files: MappingOf[str, bytes]
) -> MappingOf[str, bytes]:
    """`files` without mappings in v1 of an object that is not there. They are of an addition that a
    crash cut off, may be torn, and nobody was told of them."""
    path = layout.object(hash)
    if path in files:
        return files
    folder = layout.folder(hash) + "/"
    left = [p for p in files if p.startswith(folder) and parse_path(layout.relative(p))]
    if left:
        message = "mappings of a function that is not there"
        out.add("unfinished", path, message, Severity.WARNING)
    return {p: data for p, data in files.items() if p not in left}


def _check_code(out: Checkup, path: str, code: str, normal_form: int) -> None:
    try:
        found = recompute_hash(code, normal_form)
    except HoldfastError as error:
        out.add("malformed", path, f"the code cannot be read: {error}")
        return
    if found != out.hash:
        message = f"the code has the hash {found} in normal form {normal_form}"
        out.add("digest_mismatch", path, message)


def _check_dependencies(out: Checkup, path: str, found: FunctionObject) -> None:
    imported = _imports(found.normalized_code)
    # The original left the field empty.
    if list(found.dependencies) != imported and (found.dependencies or found.normal_form != 1):
        message = f"dependencies are {list(found.dependencies)}, the code imports {imported}"
        out.add("wrong_dependencies", path, message)


def _check_mapping(out: Checkup, path: str, place: Place, data: bytes) -> Mapping:
    mapping = Mapping.from_bytes(data, path)
    assert place.mapping is not None
    check_mapping_hash(mapping, place.mapping, path)
    _check_names(out, path, mapping, "")
    return mapping


def _check_keys(out: Checkup, found: FunctionObject, mappings: MappingOf[str, Mapping]) -> None:
    """Every mapping names the same things, and only such as are in the code and its imports."""
    in_code = set(_NORMAL_NAME.findall(found.normalized_code))
    all_keys = {key for m in mappings.values() for key in m.name_mapping}
    for path, mapping in mappings.items():
        for key in sorted(mapping.name_mapping.keys() - in_code):
            out.add("bad_name", path, f"{key!r:.60} is not in the code")
        for key in sorted((all_keys & in_code) - mapping.name_mapping.keys()):
            out.add("bad_name", path, f"{key} has no name")
        for key in sorted(mapping.alias_mapping.keys() - set(found.dependencies)):
            out.add("bad_name", path, f"the alias of {key!r:.70}, which is not imported")


def _check_names(out: Checkup, path: str, mapping: Mapping, where: str) -> None:
    for problem in name_problems(mapping):
        out.add("bad_name", path, problem + where)


def _check_languages(out: Checkup, layout: Layout, hash: str, files: MappingOf[str, bytes]) -> None:
    """Every folder of a language stands for one."""
    base = layout.folder(hash) + "/"
    for folder in sorted(set(_folders(base, files))):
        path = f"{base}{folder}"
        if needs_file(folder):
            if f"{path}/{LANGUAGE_FILE}" not in files:
                out.add("missing", f"{path}/{LANGUAGE_FILE}", "no file names the language")
        elif decode_folder(folder) is None:
            out.add("bad_language", path, "a folder that stands for no language")


def _folders(base: str, files: MappingOf[str, bytes]) -> Iterator[str]:
    for path in files:
        if path.startswith(base):
            folder, slash, _ = path[len(base) :].partition("/")
            if slash:
                yield folder
