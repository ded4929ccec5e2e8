"""Sidecar frames: the bytes that belong to records (spec/ledger.md §2).

::

    Frame  u64 logseq · u32 length · bytes        little-endian
    erased frame: length 0xFFFFFFFF, no bytes

Several frames may bear one logseq: what a writer that failed left behind. The one whose digest the
log names counts.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from holdfast.errors import Integrity, Invalid, NotFound
from holdfast.ledger.artifact import Reference, artifact_prefix, require_verifiable
from holdfast.ledger.log import Entry
from holdfast.records import COMMIT_TYPE_TAG

FRAME_HEADER = 12
ERASED = 0xFFFFFFFF
"""The length of a frame whose bytes were erased."""

_HEADER = struct.Struct("<QI")
_CHUNK = 2**20

Read = Callable[[int, int], bytes]
"""Reads (size, offset) of a file; short only at its end."""


class Frame(NamedTuple):
    """Where a frame lies: its logseq, the offset of its bytes, how many; -1 when erased."""

    logseq: int
    offset: int
    length: int

    @property
    def start(self) -> int:
        """Offset of the frame's header."""
        return self.offset - FRAME_HEADER

    @property
    def end(self) -> int:
        """Offset behind the frame."""
        return self.offset + max(self.length, 0)


def encode_frames(first: int, entries: Iterable[Entry]) -> bytes:
    """The frames of `entries`, the first of which has logseq `first`.

    Raises:
        Invalid: a frame of 4 GiB - 1 or more.
    """
    out: list[bytes] = []
    for logseq, entry in enumerate(entries, first):
        frame = entry.frame
        if frame is not None:
            if len(frame) >= ERASED:
                raise Invalid(
                    "appending to the log",
                    found=f"a frame of {len(frame)} bytes",
                    expected=f"less than {ERASED}",
                )
            out.append(_HEADER.pack(logseq, len(frame)))
            out.append(frame)
    return b"".join(out)


def encode_erased(logseq: int) -> bytes:
    """The frame that is left when the bytes of `logseq` are erased."""
    return _HEADER.pack(logseq, ERASED)


def fits(reference: Reference, frame: bytes) -> bool:
    """Whether `reference` names `frame`, as ``ArtifactBytes`` or as a commit record's bytes.

    Raises:
        Unsupported: a hash id that is not known here.
    """
    require_verifiable(reference, "reading the frame of")
    if hashlib.sha256(frame).digest() == reference.digest:
        return True
    prefix = artifact_prefix(len(frame), COMMIT_TYPE_TAG)
    return hashlib.sha256(prefix + frame).digest() == reference.digest


class FrameIndex:
    """Where the frames of one sidecar lie: 20 bytes of memory per frame, none of their bytes.

    `end` is the offset behind the last whole frame. `extend` takes in what was appended.
    """

    def __init__(self) -> None:
        self.end = 0
        self._logseqs = array("Q")
        self._offsets = array("Q")
        self._lengths = array("I")
        self._ascending = True

    def __len__(self) -> int:
        return len(self._logseqs)

    def __iter__(self) -> Iterator[Frame]:
        """The frames in file order."""
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, i: int) -> Frame:
        length = self._lengths[i]
        return Frame(self._logseqs[i], self._offsets[i], -1 if length == ERASED else length)

    def extend(self, read: Read, size: int) -> None:
        """Take in the whole frames from `end` to `size`; what is incomplete stays behind `end`."""
        unpack = _HEADER.unpack_from
        logseqs, offsets, lengths = self._logseqs, self._offsets, self._lengths
        newest = logseqs[-1] if logseqs else 0
        position = self.end
        while position + FRAME_HEADER <= size:
            chunk = read(min(_CHUNK, size - position), position)
            base = position
            last = base + len(chunk)
            while position + FRAME_HEADER <= last:
                logseq, length = unpack(chunk, position - base)
                after = position + FRAME_HEADER + (0 if length == ERASED else length)
                # No record has logseq 0: zeros are what a power loss leaves of an append.
                if after > size or not logseq:
                    self.end = position
                    return
                if logseq < newest:
                    self._ascending = False
                newest = logseq
                logseqs.append(logseq)
                offsets.append(position + FRAME_HEADER)
                lengths.append(length)
                position = after
            if last < min(base + FRAME_HEADER, size):  # the file shrank meanwhile
                break
        self.end = min(position, size)

    def find(self, logseq: int) -> list[Frame]:
        """The frames of `logseq`, in file order."""
        logseqs = self._logseqs
        if not self._ascending:
            return [self[i] for i, found in enumerate(logseqs) if found == logseq]
        found = []
        for i in range(bisect_left(logseqs, logseq), len(logseqs)):
            if logseqs[i] != logseq:
                break
            found.append(self[i])
        return found

    def tail_after(self, logseq: int) -> int:
        """The offset from which on there are only frames above `logseq` (or nothing whole)."""
        offset = self.end
        for i in range(len(self) - 1, -1, -1):
            if self._logseqs[i] <= logseq:
                break
            offset = self._offsets[i] - FRAME_HEADER
        return offset

    def cut(self, offset: int) -> None:
        """Forget the frames from `offset` on."""
        while self._offsets and self._offsets[-1] > offset:
            self._logseqs.pop()
            self._offsets.pop()
            self._lengths.pop()
        self.end = min(self.end, offset)


def pick(
    frames: Iterable[Frame], logseq: int, reference: Reference, read: Read, target: object
) -> bytes:
    """The bytes of the frame among `frames` that `reference` names.

    Raises:
        NotFound: none of `frames` has bytes; ``details["erased"]`` tells whether one was erased.
        Integrity: frames with bytes are there, and none fits.
        Unsupported: a hash id that is not known here.
    """
    doing = f"reading the frame of record {logseq} in"
    erased = False
    other: Frame | None = None
    for frame in frames:
        if frame.length < 0:
            erased = True
            continue
        data = read(frame.length, frame.offset)
        if len(data) == frame.length and fits(reference, data):
            return data
        other = frame
    if other is not None:
        raise Integrity(
            doing,
            target,
            found="bytes of another digest",
            expected=reference.text,
            offset=other.start,
            logseq=logseq,
        )
    raise NotFound(
        doing,
        target,
        found="its bytes were erased" if erased else "no frame",
        expected=reference.text,
        logseq=logseq,
        erased=erased,
    )
