"""A reader of a whole ledger, written from docs/spec/ledger.md and docs/spec/ledger_index.md alone.

It puts the two decoders beside it together and imports nothing of Holdfast. The input is a dict of
files, path below ``ledger/`` to bytes, wherever they were copied from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ledger import independent_decoder as pages
from ledger import independent_index_decoder as index

Files = dict[str, bytes]


@dataclass
class Decoded:
    """What a ledger holds: records and commits in order, and by reference the artifacts."""

    kinds: list[str | None] = field(default_factory=list)
    commits: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    artifacts: dict[str, tuple[bytes, int | None]] = field(default_factory=dict)
    """(bytes, type tag), what a tombstone hides too."""
    tombstones: dict[str, set[int]] = field(default_factory=dict)
    """Logseqs of those in force."""
    snapshots: list[dict[str, Any]] = field(default_factory=list)

    def visible(self, reference: str) -> bool:
        return reference in self.artifacts and not self.tombstones.get(reference)


def decode(files: Files) -> Decoded:
    """The ledger in `files`, of a file system or an object store."""
    on_objects = len(files["log/head"]) != 1024
    records, frames = (log_of_objects if on_objects else log_of_files)(files)
    out = Decoded()
    sealed: list[tuple[int, str]] = []
    inline: list[tuple[str, int]] = []
    for logseq, kind, data, _ in records:
        payload = pages.decode_payload(kind, data)
        name = payload["record"]
        out.kinds.append(name)
        if name == "SEGMENT_SEAL":
            sha256 = payload["segment_hash"].hex()
            sealed.append((payload["segment_id"], sha256))
            segment(files, payload["segment_id"], sha256, out)
        elif name == "INLINE_PUT":
            inline.append((payload["ref"], logseq))
            out.artifacts[payload["ref"]] = pages.decode_artifact(frames[payload["ref"]])
        elif name == "TOMBSTONE":
            out.tombstones.setdefault(payload["ref"], set()).add(logseq)
        elif name == "TOMBSTONE_LIFT":
            out.tombstones[payload["ref"]].remove(payload["logseq"])
        elif name == "COMMIT":
            frame = frames[payload["ref"]]
            out.commits.append((logseq, pages.decode_commit(frame)))
            out.artifacts[payload["ref"]] = (frame, pages.COMMIT_TAG)
        elif name == "SNAPSHOT_ANCHOR":
            data = files[f"snapshots/{payload['snapshot_id']:020d}.json"]
            assert hashlib.sha256(data).digest() == payload["snapshot_hash"]
            snapshot = index.decode_snapshot(data)
            assert (snapshot["snapshot_id"], snapshot["logseq"]) == (payload["snapshot_id"], logseq)
            assert snapshot["prev_record_hash"] == records[logseq - 2][3].hex()
            assert snapshot["segments"] == sealed
            assert snapshot["inline"] == inline
            assert [(t["ref"], t["logseq"]) for t in snapshot["tombstones"]] == sorted(
                ((ref, at) for ref, all_of in out.tombstones.items() for at in all_of),
                key=lambda item: item[1],
            )
            out.snapshots.append(snapshot)
        else:
            assert name == "BATCH"
    return out


def segment(files: Files, number: int, sha256: str, out: Decoded) -> None:
    data = files[f"index/shard-000/segment-{number:020d}.idx"]
    assert hashlib.sha256(data).hexdigest() == sha256
    for record in index.decode_segment(data):
        reference = pages.text(record["hash_id"], record["digest"])
        out.artifacts[reference] = (
            index.read_artifact(record, files.__getitem__),
            record["type_tag"],
        )


def log_of_files(files: Files) -> tuple[list[Any], dict[str, bytes]]:
    """(records, frames by reference) of a log on a file system, up to head."""
    names = sorted(n for n in files if re.fullmatch(r"log/\d{20}\.asl", n))
    logseq, offset, record_hash = pages.decode_head(files["log/head"])
    records: list[Any] = []
    frames: dict[str, bytes] = {}
    for name in names:
        assert int(name[4:24]) == len(records) + 1
        take(records, files[name])
        sidecar = f"{name[:24]}.commits"
        if sidecar in files:
            pages.take_frames(records, pages.decode_sidecar(files[sidecar]), frames)
    assert (logseq, record_hash) == (len(records), records[-1][3])
    assert len(files[names[-1]]) == offset
    return records, frames


def log_of_objects(files: Files) -> tuple[list[Any], dict[str, bytes]]:
    """(records, frames by reference) of a log on an object store: by name, until there is none."""
    records: list[Any] = []
    frames: dict[str, bytes] = {}
    while (name := f"log/{len(records) + 1:020d}.asl") in files:
        first = len(records) + 1
        take(records, files[name])
        sidecar = f"log/{first:020d}-{records[-1][3][:8].hex()}.commits"
        if sidecar in files:
            pages.take_frames(records, pages.decode_sidecar(files[sidecar]), frames)
    hint = re.fullmatch(rb"(\d{20}) (\d{20}) ([0-9a-f]{64})\n", files["log/head"])
    assert hint is not None
    assert records[int(hint[2]) - 1][3].hex() == hint[3].decode()
    return records, frames


def take(records: list[Any], data: bytes) -> None:
    previous = records[-1][3] if records else bytes(32)
    records += pages.decode_log(data, len(records) + 1, previous)


def exported(data: bytes) -> list[str | None]:
    """The names of the records of a log that ``holdfast export-log`` wrote."""
    decode_payload: Callable[[int, bytes], dict[str, Any]] = pages.decode_payload
    return [
        decode_payload(kind, payload)["record"] for _, kind, payload, _ in pages.decode_log(data)
    ]
