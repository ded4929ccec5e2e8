"""Reading artifacts: whole, streamed, or only their description. Every digest is checked."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import Erased, HoldfastError, Integrity, Invalid, NotFound
from holdfast.ledger.artifact import (
    SHA256,
    ArtifactHasher,
    Reference,
    artifact_prefix,
    decode_artifact,
    require_verifiable,
)
from holdfast.ledger.block import block_path
from holdfast.ledger.places import NO_TAG, Places
from holdfast.ledger.sealed import Piece
from holdfast.ledger.segment import Extent
from holdfast.records import COMMIT_TYPE_TAG

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.ledger.commit_index import CommitIndex
    from holdfast.ledger.index import Index
    from holdfast.ledger.log import Log
    from holdfast.ledger.lookup import Location, Standing
    from holdfast.ledger.sealed import Files

_PREFIX = re.compile(r"[0-9a-f]{8,}\Z")
_JOINED = 4096
_WINDOW = 4096


class ArtifactInfo(NamedTuple):
    """What the ledger knows of an artifact: size in bytes, type tag or None, whether a tombstone
    hides it, and the logseq from which on it was there."""

    reference: Reference
    size: int
    type_tag: int | None
    tombstoned: bool
    logseq: int


class ArtifactReader:
    """Artifacts of one index state. Safe from several threads.

    Args:
        prefix: the ledger's folder, for errors.
        limit: logseq above which commit records are not seen; None: all.
    """

    def __init__(
        self,
        index: Index,
        files: Files,
        log: Log,
        commits: CommitIndex,
        *,
        prefix: str,
        limit: int | None = None,
    ) -> None:
        self._index = index
        self._files = files
        self._log = log
        self._commits = commits
        self._prefix = prefix
        self._limit = limit

    def get(self, reference: Reference, *, verify: bool = True) -> bytes:
        """The artifact's bytes.

        Raises:
            NotFound: not there, tombstoned (logseqs in ``details["tombstones"]``) or erased.
            Integrity: the bytes are damaged.
            Unsupported: a hash id that cannot be verified.
        """
        standing = self._index.standing(reference)
        if len(standing.visible) != 1 or self._index.state.erased:
            standing = self._found(reference, standing)
        fault: HoldfastError | None = None
        for location in standing.visible:
            try:
                return self._read(location, verify)
            except (Integrity, NotFound) as error:
                # Another copy may be whole; without one, the best copy's fault is the answer.
                fault = fault or error
        if fault is not None:
            raise fault
        return self._commit_bytes(reference)

    def get_many(self, references: Iterable[Reference]) -> Iterator[bytes]:
        """The bytes of each of `references`, in order; neighbours are read together where a
        store is far. Raises as `get`, at the artifact that fails."""
        source = iter(references)
        while window := list(islice(source, _WINDOW)):
            places = self._index.places(window) or self._places(window)
            paths = {block: block_path(block) for block in set(places.blocks) if block}
            pieces = [
                (paths[block], offset, length)
                for block, offset, length in zip(*places[:3], strict=True)
                if length
            ]
            found = self._files.read_many(pieces)
            for reference, length, tag in zip(
                window, places.lengths, places.type_tags, strict=True
            ):
                data = next(found) if length else None
                if data is not None:
                    prefix = artifact_prefix(length, None if tag == NO_TAG else tag)
                    if _digest(prefix, data) == reference.digest:
                        yield data
                        continue
                # Not plain, or damaged: asked for alone it is answered or says what is wrong.
                yield self.get(reference)

    def open(self, reference: Reference) -> ArtifactStream:
        """A stream over the artifact's bytes in constant memory; see `ArtifactStream`."""
        standing = self._found(reference, self._index.standing(reference))
        location = standing.visible[0] if standing.visible else None
        if location is not None and location.extents and location.size:
            require_verifiable(reference, "reading")
            return ArtifactStream(reference, self._chunks(location), location)
        data = self.get(reference)
        return ArtifactStream(reference, iter((data,) if data else ()), None)

    def stat(self, reference: Reference) -> ArtifactInfo:
        """What is known of the artifact, a tombstoned one too. Raises as `get`, except for that."""
        standing = self._index.standing(reference)
        if not standing.visible and not standing.hidden:
            standing = self._found(reference, standing, tombstoned_too=True)
        if reference in self._index.state.erased:
            raise self._erased(reference)
        places = (*standing.visible, *standing.hidden)
        if places:
            return self._info(places[0], tombstoned=not standing.visible)
        logseq = self._commits.by_reference(reference) or 0
        data = self._commit_bytes(reference)
        return ArtifactInfo(reference, len(data), COMMIT_TYPE_TAG, False, logseq)

    def exists(self, reference: Reference) -> bool:
        """Whether `get` would find the artifact."""
        try:
            standing = self._index.standing(reference)
            if not standing.visible or reference in self._index.state.erased:
                standing = self._found(reference, standing)
        except NotFound:
            return False
        return bool(standing.visible) or self._commit_logseq(reference) is not None

    def find(self, prefix: str) -> list[Reference]:
        """The references whose digest begins with `prefix` (lowercase hex), ascending: tombstoned
        ones and commit records too.

        Raises:
            Invalid: fewer than 8 hex digits, or other characters.
        """
        if not _PREFIX.match(prefix):
            raise Invalid("finding", repr(prefix), expected="at least 8 lowercase hex digits")
        self._index.refresh()
        # That nothing else begins so is an answer too: only verified segments give it.
        self._index.verify()
        found = set(self._index.find_prefix(prefix))
        commits = self._commits.find_prefix(prefix)
        found.update(r for r in commits if self._commit_logseq(r) is not None)
        return sorted(found - self._index.state.erased)

    def must_have_bytes(self, reference: Reference) -> None:
        """Check that the artifact's bytes are there, hidden or not, without reading them all.

        Raises:
            NotFound: they are gone, or there is no such artifact; `Erased`.
        """
        standing = self._found(reference, self._index.standing(reference), tombstoned_too=True)
        for location in (*standing.visible, *standing.hidden):
            try:
                if location.extents is None:
                    self._log.frame(location.logseq, reference)
                for block_id, offset, length in location.extents or ():
                    if length:
                        self._files.read(Piece(block_path(block_id), offset + length - 1, 1))
                return
            except (NotFound, Integrity):
                continue
        raise NotFound("lifting the tombstone of", reference.text, found="its bytes are gone")

    def _found(
        self, reference: Reference, standing: Standing, *, tombstoned_too: bool = False
    ) -> Standing:
        """`standing`, made sure of: on a miss after a refresh and with every segment verified.

        Raises:
            NotFound: erased, or hidden by a tombstone.
        """
        if not standing.visible and self._index.refresh():
            standing = self._index.standing(reference)
        if reference in self._index.state.erased:
            raise self._erased(reference)
        if standing.visible:
            return standing
        if standing.hidden and not tombstoned_too:
            standing_tombstones = self._index.state.tombstones.get(reference, {})
            raise NotFound(
                "reading",
                reference.text,
                found=f"a tombstone at logseq {', '.join(map(str, standing_tombstones))}",
                hint="lift it to read the artifact again",
                tombstones=list(standing_tombstones),
            )
        if not standing.hidden:
            self._index.verify()
            standing = self._index.standing(reference)
            if self._index.fault is not None and not standing.visible:
                raise self._index.fault
        return standing

    def _commit_logseq(self, reference: Reference) -> int | None:
        logseq = self._commits.by_reference(reference)
        if logseq is not None and self._limit is not None and logseq > self._limit:
            return None
        return logseq

    def _commit_bytes(self, reference: Reference) -> bytes:
        logseq = self._commit_logseq(reference)
        if logseq is None:
            raise NotFound("reading", reference.text, found="no such artifact")
        return self._log.frame(logseq, reference)

    def _erased(self, reference: Reference) -> Erased:
        return Erased("reading", reference.text, found="an artifact whose bytes were erased")

    def _info(self, location: Location, *, tombstoned: bool) -> ArtifactInfo:
        reference, logseq = location.reference, location.logseq
        size, type_tag = location.size, location.type_tag
        if location.extents is None:
            artifact = decode_artifact(self._log.frame(logseq, reference), reference.text)
            size, type_tag = len(artifact.data), artifact.type_tag
            return ArtifactInfo(reference, size, type_tag, tombstoned, logseq)
        # Of a segment that was only recognised nothing but digests proves what it says.
        self._index.verify(location.segment_id)
        if not logseq:
            logseq = self._commits.seal_of(location.segment_id)
        return ArtifactInfo(reference, size, type_tag, tombstoned, logseq)

    def _read(self, location: Location, verify: bool) -> bytes:
        extents = location.extents
        if extents is None:
            frame = self._log.frame(location.logseq, location.reference)
            return decode_artifact(frame, location.reference).data
        if len(extents) == 1:
            block_id, offset, length = extents[0]
            piece = Piece(block_path(block_id), offset, length)
            data = self._files.read(piece) if length else b""
        else:
            pieces = [Piece(block_path(e.block_id), e.offset, e.length) for e in extents]
            piece = pieces[0]
            data = b"".join([self._files.read(p) for p in pieces])
        if verify:
            self._check(location.reference, data, location.type_tag, piece)
        return data

    def _check(self, reference: Reference, data: bytes, type_tag: int | None, piece: Piece) -> None:
        if reference.hash_id != SHA256:
            require_verifiable(reference, "reading")
        digest = _digest(artifact_prefix(len(data), type_tag), data)
        if digest != reference.digest:
            raise Integrity(
                f"reading {reference.text} from",
                f"{self._prefix}/{piece.path}",
                found=f"bytes of digest {digest.hex()}",
                offset=piece.offset,
            )

    def _places(self, references: Sequence[Reference]) -> Places:
        """The places of a few, asked for one by one; see `Places`."""
        places = Places([], [], [], [])
        for reference in references:
            standing = self._index.standing(reference)
            extent, tag = Extent(0, 0, 0), None
            if len(standing.visible) == 1 and not self._index.state.erased:
                location = standing.visible[0]
                if location.extents is not None and len(location.extents) == 1:
                    extent, tag = location.extents[0], location.type_tag
            fields = (*extent, NO_TAG if tag is None else tag)
            for column, value in zip(places, fields, strict=True):
                column.append(value)
        return places

    def _chunks(self, location: Location) -> Iterator[bytes]:
        for block_id, offset, length in location.extents or ():
            yield from self._files.chunks(Piece(block_path(block_id), offset, length))


def _digest(prefix: bytes, data: bytes) -> bytes:
    if len(data) <= _JOINED:
        return sha256(prefix + data).digest()
    state = sha256(prefix)
    state.update(data)
    return state.digest()


class ArtifactStream(io.RawIOBase):
    """An artifact's bytes as a readable stream, not seekable.

    The digest is known to be right only at the end: the read that would return the end of the
    stream raises `Integrity` instead when the bytes were damaged. Read to the end before trusting.
    """

    def __init__(
        self, reference: Reference, chunks: Iterator[bytes], location: Location | None
    ) -> None:
        self.reference = reference
        self._chunks = chunks
        self._left = b""
        self._state: ArtifactHasher | None = None
        if location is not None:
            self._state = ArtifactHasher(location.size, location.type_tag)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        if not self._left:
            self._left = next(self._chunks, b"")
            if not self._left:
                self._finish()
                return 0
            if self._state is not None:
                self._state.update(self._left)
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def chunks(self) -> Iterator[bytes]:
        """What is left of the bytes, in pieces of up to 1 MiB; raises `Integrity` at the end."""
        if self._left:
            left, self._left = self._left, b""
            yield left
        for chunk in self._chunks:
            if self._state is not None:
                self._state.update(chunk)
            yield chunk
        self._finish()

    def _finish(self) -> None:
        state, self._state = self._state, None
        if state is not None and (found := state.finish()) != self.reference:
            raise Integrity(
                "reading", self.reference.text, found=f"bytes of digest {found.digest.hex()}"
            )
