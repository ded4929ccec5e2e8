"""Reference sets: Zarr metadata, and for each chunk where its bytes lie (spec/datasets.md §9.8).

A reference set makes arrays out of files that are there already, without copying them. Its JSON is
version 1 of the kerchunk form, Zarr 2 metadata inline and ``[path, offset, length]`` for each
chunk, so that readers of that form can open it. One more key says what it must hold::

    {"version": 1,
     "refs": {"t/.zarray": "{…}", "t/0.0": ["datasets/era/…/blob", 4016, 1523]},
     "holdfast": {"format": 1,
                  "files": {"datasets/era/…/blob": {"size": 90112, "sha256": "…"}},
                  "ranges": {"t/0.0": "<SHA-256 of those 1523 bytes>"},
                  "attribute_types": {"t": {"scale_factor": "<f4"}},
                  "left_out": ["t@comment"]}}

Paths are those of the store that holds the files. What is inline begins with ``base64:`` where it
is not plain text.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

from holdfast import canonical_json
from holdfast.digests import Digest, hasher
from holdfast.errors import Invalid, ManifestInvalid, Unsupported
from holdfast.interop.reference_metadata import check_metadata

FORMAT = 1
_READING = "reading the reference set"
_PIECE = 8 << 20
_INLINE = "base64:"
_OPTIONAL = ("blocks_sha256", "volume", "snapshot")


class Readable(Protocol):
    """A verified file: `holdfast.snapshotting.verified_file.VerifiedFile`."""

    @property
    def path(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def checksum(self) -> Digest | None: ...

    @property
    def blocks_sha256(self) -> str: ...

    def read_at(self, offset: int, length: int) -> bytes: ...

    def stream(self, piece: int = ...) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that references point into: its path in the store, size in bytes and SHA-256.

    Where `volume` is not empty it is the snapshot `snapshot` of that volume: `path` and `sha256`
    are those of its manifest, which fixes every byte, and `size` is its total length.
    """

    path: str
    size: int
    sha256: str
    blocks_sha256: str = ""
    volume: str = ""
    snapshot: str = ""

    @classmethod
    def of(cls, file: Readable) -> SourceFile:
        """What is to be known of `file`; it is read once where its SHA-256 is not known."""
        source = getattr(file, "source", None)
        if isinstance(source, cls):
            return source
        if file.checksum is not None and file.checksum.algorithm == "sha256":
            return cls(file.path, file.size, file.checksum.hex, file.blocks_sha256)
        state = hasher()
        for piece in file.stream():
            state.update(piece)
        return cls(file.path, file.size, state.hexdigest(), file.blocks_sha256)


class Range(NamedTuple):
    """Bytes of a source file, and their SHA-256 in hex."""

    path: str
    offset: int
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ReferenceSet:
    """Zarr keys, each with its bytes or with the range that holds them.

    Args:
        refs: Zarr key → bytes, or `Range`.
        files: the files that ranges point into, by path.
        attribute_types: variable → attribute → NumPy type of numbers, which JSON does not keep.
        left_out: attributes that have no form in JSON, as ``variable@attribute``.
    """

    refs: Mapping[str, bytes | Range]
    files: Mapping[str, SourceFile]
    attribute_types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def to_json(self, root: str = "") -> bytes:
        """The set as JSON; `root` is put before each path in ``refs``, for readers that resolve
        them as URLs (``file:///archive/``). What is stored has no root."""
        refs: dict[str, Any] = {}
        ranges: dict[str, str] = {}
        for key in sorted(self.refs):
            value = self.refs[key]
            if isinstance(value, Range):
                refs[key] = [root + value.path, value.offset, value.length]
                ranges[key] = value.sha256
            else:
                refs[key] = _inline(value)
        files = {
            path: {"size": file.size, "sha256": file.sha256}
            | {name: v for name in _OPTIONAL if (v := getattr(file, name))}
            for path, file in sorted(self.files.items())
        }
        known: dict[str, Any] = {"format": FORMAT, "files": files, "ranges": ranges}
        if self.attribute_types:
            known["attribute_types"] = {k: dict(v) for k, v in self.attribute_types.items()}
        if self.left_out:
            known["left_out"] = list(self.left_out)
        return json.dumps(
            {"version": 1, "refs": refs, "holdfast": known},
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode("utf-8", "surrogatepass")

    @classmethod
    def from_json(cls, data: bytes, path: str = "") -> Self:
        """The set that `data` holds; `path` names it in errors.

        Raises:
            ManifestInvalid: not such a set: the message names the key.
            Unsupported: a newer format, templates, or a codec that is not in
                `reference_metadata.CODECS`.
        """
        try:
            document = canonical_json.loads(data)
        except Invalid as error:
            raise ManifestInvalid(_READING, path, found=error.found, offset=error.offset) from None
        return cls(**_Parser(path).parse(document))


def _inline(data: bytes) -> str:
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if text and not text.startswith(_INLINE):
        return text
    return _INLINE + base64.b64encode(data).decode()


class _Parser:
    """Reads a decoded document; everything in it is hostile."""

    def __init__(self, path: str) -> None:
        self.path = path

    def parse(self, document: Any) -> dict[str, Any]:
        top = self._object(document, "document")
        if top.get("version") != 1:
            raise Unsupported(_READING, self.path, found=f"version {top.get('version')!r}")
        for name in ("templates", "gen"):
            if top.get(name):
                raise Unsupported(_READING, self.path, found=f"field {name}")
        known = self._object(top.get("holdfast"), "holdfast")
        if known.get("format") != FORMAT:
            raise Unsupported(_READING, self.path, found=f"format {known.get('format')!r}")
        files = {
            path: self._file(path, value)
            for path, value in self._object(known.get("files"), "holdfast.files").items()
        }
        digests = self._object(known.get("ranges"), "holdfast.ranges")
        refs = {
            key: self._ref(key, value, files, digests)
            for key, value in self._object(top.get("refs"), "refs").items()
        }
        for key, ref in refs.items():
            check_metadata(key, None if isinstance(ref, Range) else ref, self.path)
        return {
            "refs": refs,
            "files": files,
            "attribute_types": self._types(known.get("attribute_types", {})),
            "left_out": tuple(str(v) for v in self._list(known.get("left_out", []))),
        }

    def _file(self, path: str, value: Any) -> SourceFile:
        entry = self._object(value, f"holdfast.files[{path}]")
        blocks = entry.get("blocks_sha256", "")
        volume, snapshot = entry.get("volume", ""), entry.get("snapshot", "")
        if not isinstance(volume, str) or not isinstance(snapshot, str):
            raise self._wrong(f"holdfast.files[{path}]", "a volume or snapshot that is no text")
        return SourceFile(
            path,
            self._count(entry.get("size"), f"holdfast.files[{path}].size"),
            self._sha256(entry.get("sha256"), f"holdfast.files[{path}].sha256"),
            self._sha256(blocks, f"holdfast.files[{path}].blocks_sha256") if blocks else "",
            volume,
            snapshot,
        )

    def _ref(
        self, key: str, value: Any, files: Mapping[str, SourceFile], digests: Mapping[str, Any]
    ) -> bytes | Range:
        where = f"refs[{key}]"
        if isinstance(value, str):
            if not value.startswith(_INLINE):
                return value.encode("utf-8", "surrogatepass")
            try:
                return base64.b64decode(value[len(_INLINE) :], validate=True)
            except (binascii.Error, ValueError):
                raise self._wrong(where, "base64 that is damaged") from None
        if not isinstance(value, list) or len(value) != 3:
            raise self._wrong(where, "neither text nor [path, offset, length]")
        path = value[0]
        if not isinstance(path, str) or path not in files:
            raise self._wrong(where, f"a path that holdfast.files does not have: {path!r}")
        offset, length = self._count(value[1], where), self._count(value[2], where)
        if offset + length > files[path].size:
            raise self._wrong(where, f"a range that ends beyond the file: {offset} + {length}")
        digest = self._sha256(digests.get(key), f"holdfast.ranges[{key}]")
        return Range(path, offset, length, digest)

    def _types(self, value: Any) -> dict[str, dict[str, str]]:
        out: dict[str, dict[str, str]] = {}
        for name, types in self._object(value, "holdfast.attribute_types").items():
            fields = self._object(types, f"holdfast.attribute_types[{name}]")
            out[name] = {k: str(v) for k, v in fields.items()}
        return out

    def _object(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(where, f"{type(value).__name__}, not an object")
        return value

    def _list(self, value: Any) -> list[Any]:
        return value if isinstance(value, list) else []

    def _count(self, value: Any, where: str) -> int:
        if type(value) is not int or value < 0:
            raise self._wrong(where, f"{value!r}, not a number of bytes")
        return value

    def _sha256(self, value: Any, where: str) -> str:
        hex_digits = isinstance(value, str) and len(value) == 64
        if not hex_digits or not set(value) <= set("0123456789abcdef"):
            raise self._wrong(where, f"{str(value)[:80]!r}, not a SHA-256")
        return str(value)

    def _wrong(self, where: str, found: str) -> ManifestInvalid:
        return ManifestInvalid(_READING, self.path, found=f"{where}: {found}")


class ReferenceBuilder:
    """Collects references into one file; `finish` reads the ranges once and names their digests."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._inline: dict[str, bytes] = {}
        self._ranges: dict[str, tuple[int, int]] = {}
        self.attribute_types: dict[str, dict[str, str]] = {}
        self.left_out: list[str] = []

    def add_metadata(self, key: str, value: Any) -> None:
        """Zarr metadata, as JSON. NaN and infinities are written as Zarr writes them."""
        self._inline[key] = json.dumps(value, separators=(",", ":")).encode()

    def add_inline(self, key: str, data: bytes) -> None:
        """A chunk that is kept in the set itself."""
        self._inline[key] = data

    def add_range(self, key: str, offset: int, length: int) -> None:
        """A chunk that lies in the file. Raises `Invalid` where the file ends before it does."""
        self.check(offset, length)
        self._ranges[key] = (offset, length)

    def stored(self, offset: int, length: int) -> bytes:
        """Bytes of the file. Raises `Invalid` where the file ends before they do."""
        self.check(offset, length)
        return self._file.read_at(offset, length)

    def check(self, offset: int, length: int) -> None:
        """Raises `Invalid` where the file ends before these bytes do."""
        if offset < 0 or length < 0 or offset + length > self._file.size:
            raise Invalid(
                "making references to",
                self._file.path,
                found=f"{length} bytes at {offset}",
                expected=f"a range within {self._file.size} bytes",
            )

    def finish(self) -> ReferenceSet:
        """The set; reads every range once, in the order of the file, 8 MiB at a time."""
        refs: dict[str, bytes | Range] = dict(self._inline)
        by_offset: Iterable[tuple[str, tuple[int, int]]] = sorted(
            self._ranges.items(), key=lambda item: item[1]
        )
        for key, (offset, length) in by_offset:
            refs[key] = Range(self._file.path, offset, length, self._digest(offset, length))
        source = SourceFile.of(self._file)
        return ReferenceSet(
            refs, {source.path: source}, self.attribute_types, tuple(sorted(self.left_out))
        )

    def _digest(self, offset: int, length: int) -> str:
        state = hasher()
        for at in range(offset, offset + length, _PIECE):
            state.update(self._file.read_at(at, min(_PIECE, offset + length - at)))
        return state.hexdigest()
