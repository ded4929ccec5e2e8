"""Admission of segments: nothing is answered from a file that does not match its seal.

The SHA-256 of a segment is compared with its seal at first use (spec/ledger.md §5.4). Between
opens, a file recognised by its identity (device, inode, size, mtime, ctime) counts as admitted for
finding things, never for saying that something is not there: a miss needs every segment verified
in this process. The cache of identities can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Integrity, NotFound
from holdfast.ledger.sealed import Files, Held, Identity
from holdfast.ledger.segment import segment_path
from holdfast.ledger.segment_reader import SegmentReader

if TYPE_CHECKING:
    from holdfast.ledger.replay import SealedSegment
    from holdfast.store.calls import SystemCalls

CACHE_NAME = "segments.json"
_SCHEMA = "holdfast.cache.segments/1"
_MAX_CACHE = 64 * 2**20
"""Bytes of the cache at most: 200 for each segment. What is longer is not ours."""

Known = tuple[bytes, Identity | None]


class Segments:
    """The segment files of one ledger.

    Args:
        files: how to read them.
        cache: where identities of verified segments are kept between opens; None: nowhere.
        calls: system calls for the cache.
        prefix: the ledger's folder, for errors.
    """

    def __init__(
        self,
        files: Files,
        *,
        prefix: str,
        cache: str | None = None,
        calls: SystemCalls | None = None,
    ) -> None:
        self._files = files
        self._prefix = prefix
        self._cache = cache
        self._calls = calls
        self._readers: Held[tuple[bytes, SegmentReader]] = Held()
        self._verified: dict[int, Known] = {}
        self._recognised: dict[int, Known] | None = None
        self._changed = False
        self._lock = threading.Lock()

    def reader(self, segment: SealedSegment, *, verified: bool = False) -> SegmentReader:
        """The admitted segment. With `verified`, one whose bytes this process has hashed.

        Raises:
            Integrity: the file is missing, or its SHA-256 is not the sealed one.
        """
        if not verified or self._verified.get(segment.segment_id, (b"",))[0] == segment.sha256:
            held = self._readers.get(segment.segment_id)
            if held is not None and held[0] == segment.sha256:
                return held[1]
        path = segment_path(segment.segment_id)
        name = f"{self._prefix}/{path}"
        try:
            view = self._files.open(path)
        except NotFound:
            raise Integrity(
                "reading the segment", name, found="no such file", expected="a sealed segment"
            ) from None
        known = (segment.sha256, view.identity)
        if not self._admits(segment.segment_id, known, verified):
            self._verify(segment, known, view.data, name)
        reader = SegmentReader(view.data, name)
        self._readers.put(segment.segment_id, (segment.sha256, reader), len(view.data))
        return reader

    def verify(self, segments: Iterable[SealedSegment]) -> None:
        """Hash every one of `segments` that this process has not hashed yet.

        Raises:
            Integrity: one is missing or damaged.
        """
        for segment in segments:
            if self._verified.get(segment.segment_id, (b"",))[0] != segment.sha256:
                self.reader(segment, verified=True)

    def close(self, *, keep: bool = True) -> None:
        """Release the files; with `keep`, keep what was verified for the next open."""
        self._readers.clear()
        if keep and self._changed and self._cache is not None:
            self._save(self._cache)
            self._changed = False

    def _admits(self, segment_id: int, known: Known, verified: bool) -> bool:
        if known[1] is None:
            return False
        if self._verified.get(segment_id) == known:
            return True
        return not verified and self._load().get(segment_id) == known

    def _verify(self, segment: SealedSegment, known: Known, data: memoryview, name: str) -> None:
        found = hashlib.sha256(data).digest()
        if found != segment.sha256:
            raise Integrity(
                "checking the segment",
                name,
                found=f"SHA-256 {found.hex()}",
                expected=f"{segment.sha256.hex()}, as sealed",
            )
        self._verified[segment.segment_id] = known
        if known[1] is not None and self._load().get(segment.segment_id) != known:
            self._changed = True

    def _load(self) -> dict[int, Known]:
        with self._lock:
            if self._recognised is None:
                self._recognised = self._read_cache() if self._cache is not None else {}
            return self._recognised

    def _read_cache(self) -> dict[int, Known]:
        """What the cache says; nothing when it is missing or damaged, which costs time only."""
        from holdfast.store.durable import read_file

        if self._calls is None or self._cache is None:
            return {}
        try:
            if not self._calls.stat(self._cache).is_folder:
                return {}
            path = f"{self._cache}/{CACHE_NAME}"
            value = json.loads(read_file(self._calls, path, longest=_MAX_CACHE))
            if value["schema"] != _SCHEMA:
                return {}
            out: dict[int, Known] = {}
            for number, (sha256, identity) in value["segments"].items():
                device, inode, size, mtime, ctime = (int(part) for part in identity)
                out[int(number)] = (bytes.fromhex(sha256), (device, inode, size, mtime, ctime))
            return out
        except (
            HoldfastError,
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
        ):
            return {}

    def _save(self, folder: str) -> None:
        from holdfast.store.durable import make_folders, replace_file

        if self._calls is None:
            return
        known = {**self._load(), **self._verified}
        value = {
            "schema": _SCHEMA,
            "segments": {
                str(number): [sha256.hex(), list(identity)]
                for number, (sha256, identity) in sorted(known.items())
                if identity is not None
            },
        }
        data = json.dumps(value, separators=(",", ":")).encode()
        try:
            make_folders(self._calls, folder)
            if not self._calls.stat(folder).is_folder:
                return  # a symlink: who put it there may want another's file overwritten
            replace_file(self._calls, os.path.join(folder, CACHE_NAME), data)
        except (HoldfastError, OSError):
            # A cache that cannot be written costs the next open a hash of the segments.
            return
