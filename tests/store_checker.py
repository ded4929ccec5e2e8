"""Is a store as spec/datasets.md says? The rules once more, from the page and by other means.

Nothing here comes from Holdfast: a store is walked, every byte under ``datasets/`` and
``volumes/``, and of flat datasets, is derived again from what its manifests say. A manifest with
the field ``holdfast`` is held to the rules for writing; others, the original's, to those of §1–8.

Tests call `check_store` on what they have written.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from store_checker_files import check_payload
from store_checker_text import dataset_text, decoded, encoded, parsed, volume_text

MIB = 1 << 20
EXTENSIONS = {"noop": "", "gzip": ".gz", "zstd": ".zst"}
HASHES = {
    "md5": hashlib.md5,
    "sha256": hashlib.sha256,
    "blake2b-16": lambda data: hashlib.blake2b(data, digest_size=16),
}
ID = re.compile(r"[1-9][0-9]{0,19}\Z")
TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?(Z|[+-](?!00:00)\d\d:\d\d)\Z", re.ASCII
)
SEGMENT = re.compile(r"(?:[A-Za-z0-9._~$&+=:@-]|%[0-9A-F]{2})*\Z")
MARKS = ("", "healed", "gc", "replacement")


@dataclass
class Checked:
    """What was seen; `problems` is empty in a good store."""

    seen: Counter = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def check_store(store, **options):
    """Assert that a store obeys the rules; how many things of each kind were looked at.

    Args:
        store: a folder, or anything with `list` and `get`.
        portable: JSON Lines are in the codec's canonical form, Parquet has a schema of `Field`s.
        linear: all manifests form one line, up to the one that the pointer names.
        crashed: writers were killed: there may be files that no manifest names, and copies of the
            newest manifest may be missing.
    """
    checked = look_at(store, **options)
    assert not checked.problems, "\n".join(checked.problems)
    return checked.seen


def look_at(store, *, portable=False, linear=True, crashed=False):
    """As `check_store`, but tells."""
    return _Checker(_files_of(store), portable, linear, crashed).run()


def _files_of(store):
    """Path → a function that reads the file."""
    if not isinstance(store, (str, os.PathLike)):
        return {e.path: (lambda p=e.path: store.get(p)) for e in store.list()}
    root = Path(store)
    out = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        hidden = any(part.startswith(".hf-") for part in name.split("/"))
        if path.is_file() and not hidden and not name.startswith("locks/"):
            out[name] = path.read_bytes
    return out


class _Checker:
    def __init__(self, files, portable, linear, crashed):
        self.files = files
        self.portable = portable
        self.linear = linear
        self.crashed = crashed
        self.out = Checked()
        self.named = set()
        self.rows = {}

    def run(self):
        models = defaultdict(list)
        flat = "holdfast.json" not in self.files
        for path in self.files:
            parts = path.split("/")
            if parts[0] in ("datasets", "volumes") and len(parts) > 2:
                models["/".join(parts[:2])].append(path)
            elif flat and len(parts) == 3 and parts[2] == "manifest.json":
                models[parts[0]] = [p for p in self.files if p.startswith(parts[0] + "/")]
        for folder, paths in sorted(models.items()):
            if folder.startswith("volumes/"):
                self.volume(folder, paths)
            else:
                self.dataset(folder, paths)
            self.strangers(folder, paths)
        return self.out

    def wrong(self, path, what):
        self.out.problems.append(f"{path}: {what}")

    def rule(self, holds, path, what):
        if not holds:
            self.wrong(path, what)
        return holds

    def get(self, path):
        return self.files[path]()

    def strangers(self, folder, paths):
        for path in paths:
            rest = path[len(folder) + 1 :]
            known = path in self.named or re.match(
                r"tags/[A-Za-z0-9_-][A-Za-z0-9._-]*\.tag\Z|erasures/[^/]+\.json\Z", rest
            )
            staged = folder.startswith("volumes/") and re.match(
                r"data/\d+-\d+\.bin(\.blk)?\Z", rest
            )
            if not (known or staged or self.crashed):
                self.wrong(path, "no manifest names it")

    # Datasets

    def dataset(self, folder, paths):
        self.out.seen["datasets"] += 1
        name = folder.rpartition("/")[2]
        if not folder.startswith("datasets/"):
            layout, snapshots = "flat", folder
        elif any(p.startswith((f"{folder}/segments/", f"{folder}/partitions/")) for p in paths):
            layout, snapshots = "hive", f"{folder}/segments"
        else:
            layout, snapshots = "default", f"{folder}/snapshots"
        self.out.seen[layout] += 1
        manifests = self.manifests(snapshots, paths)
        for id, (path, value) in manifests.items():
            with self.malformed(path):
                self.dataset_manifest(folder, name, layout, id, path, value)
                self.repeats(path, value, "files", manifests)
        self.line(f"{folder}/latest", manifests)
        self.stray_copies(folder, layout, manifests, paths)

    def manifests(self, snapshots, paths):
        """Id → (path, object), ascending."""
        out = {}
        for path in paths:
            match = re.match(rf"{re.escape(snapshots)}/([^/]+)/manifest\.json\Z", path)
            if match is None:
                continue
            self.named.add(path)
            self.out.seen["manifests"] += 1
            try:
                value = parsed(self.get(path))
            except ValueError as error:
                self.wrong(path, f"no JSON: {error}")
                continue
            self.rule(ID.match(match[1]), path, "its id is not decimal")
            if self.rule(isinstance(value, dict), path, "no object"):
                out[match[1]] = (path, value)
        return dict(sorted(out.items(), key=lambda item: (len(item[0]), item[0])))

    def dataset_manifest(self, folder, name, layout, id, path, value):
        ours = "holdfast" in value
        self.same_bytes(path, value, dataset_text(value))
        self.rule(value["dataset_id"] == name, path, f"dataset_id {value['dataset_id']}")
        self.common(path, value, id)
        codec, compressor = value.get("codec"), value["compressor"]
        self.rule(codec in (None, "jsonl", "parquet"), path, f"codec {codec}")
        self.rule(compressor in EXTENSIONS, path, f"compressor {compressor}")
        self.rule(
            value["partitioner"] == ("hive" if layout == "hive" else "noop"), path, "partitioner"
        )
        for bound in ("min_timestamp", "max_timestamp"):
            self.rule(TIME.match(value.get(bound, "2000-01-01T00:00:00Z")), path, bound)
        files = value["files"] or []
        names = [file["path"].encode() for file in files]
        self.rule(names == sorted(set(names)), path, "files are not sorted by path, or repeated")
        rows, own = 0, set()
        for file in files:
            writer, partition = self.data_path(
                folder, layout, codec, compressor, file["path"], path
            )
            if writer == id:
                own.add(partition)
            self.rule(order(writer) <= order(id), path, f"names the later {file['path']}")
            rows += self.data_file(path, value, file, partition, ours)
        self.rule(rows == value["row_count"], path, f"{value['row_count']} rows, not {rows}")
        if not codec and ours:
            self.rule(len(files) <= 1, path, "several blobs")
        if layout == "hive" and value.get("holdfast_mark", "") in ("", "replacement"):
            for partition in own:
                copy = f"{folder}/partitions/{partition}/segments/{id}/manifest.json"
                self.named.add(copy)
                if copy in self.files:
                    self.out.seen["copies"] += 1
                    self.rule(self.get(copy) == self.get(path), copy, "another copy")
                else:
                    self.rule(self.crashed, copy, "the copy is missing")

    def data_path(self, folder, layout, codec, compressor, path, manifest):
        stem = "data" if codec else "blob"
        name = rf"{stem}(?:-\d{{5}})?{re.escape(EXTENSIONS.get(compressor, '?'))}"
        middle = {"default": "/snapshots", "flat": "", "hive": "/partitions/(?P<p>.+)/segments"}
        shape = rf"{re.escape(folder)}{middle[layout]}/(?P<id>[^/]+)/data/{name}\Z"
        match = re.match(shape, path)
        if not self.rule(match, manifest, f"names {path}, which is no path of a data file"):
            return "0", ""
        partition = match.groupdict().get("p") or ""
        for segment in filter(None, partition.split("/")):
            text = segment.partition("=")[2]
            self.rule(
                "=" in segment and SEGMENT.match(text) and text == encoded(decoded(text)),
                path,
                f"partition {segment}",
            )
            self.rule(len(segment.encode()) <= 255, path, "a segment over 255 bytes")
        return match["id"], partition

    def data_file(self, manifest, value, file, partition, ours):
        """Its rows."""
        path = file["path"]
        data = self.stored(manifest, value, file, file["size_bytes"], ours)
        if data is None:
            return 0
        if path not in self.rows:
            # Files of a parent that an append repeats are decoded once.
            self.rows[path] = self.payload(path, value, file, partition, data, ours)
        return self.rows[path]

    def payload(self, path, value, file, partition, data, ours):
        codec, compressor = value.get("codec"), value["compressor"]
        self.out.seen[codec or "raw"] += 1
        self.out.seen[compressor] += 1
        try:
            payload = self.decompressed(path, compressor, data)
            rows, problems = check_payload(
                codec, payload, file.get("stats"), partition, portable=self.portable, ours=ours
            )
        except Exception as error:
            self.wrong(path, f"unreadable: {error!r}")
            return 0
        for problem in problems:
            self.wrong(path, problem)
        return rows

    def stored(self, manifest, value, file, size, ours):
        """The bytes of a file or block, checked; None where it is not there."""
        path = file["path"]
        self.named.add(path)
        if not self.rule(path in self.files, manifest, f"names {path}, which is not there"):
            return None
        self.out.seen["files"] += 1
        data = self.get(path)
        self.rule(len(data) == size, path, f"{len(data)} bytes, not {size}")
        algorithm = value.get("checksum_algorithm")
        self.rule(bool(algorithm) == ("checksum" in file), manifest, f"checksum of {path}")
        if algorithm and self.rule(algorithm in HASHES, manifest, f"algorithm {algorithm}"):
            found = HASHES[algorithm](data).hexdigest()
            self.rule(found == file.get("checksum"), path, f"its {algorithm} is {found}")
            self.out.seen[algorithm] += 1
        fixed = file.get("blocks_sha256")
        if fixed or (ours and size >= MIB):
            self.sidecar(path, data, fixed)
        return data

    def sidecar(self, path, data, fixed):
        self.rule(len(data) >= MIB, path, "a sidecar for a small file")
        blocks = (data[at : at + MIB] for at in range(0, len(data), MIB))
        sidecar = b"".join(hashlib.sha256(block).digest() for block in blocks)
        self.named.add(path + ".blk")
        self.out.seen["sidecars"] += 1
        if self.rule(path + ".blk" in self.files, path, "it has no sidecar"):
            self.rule(self.get(path + ".blk") == sidecar, path + ".blk", "other hashes")
        self.rule(hashlib.sha256(sidecar).hexdigest() == fixed, path, "other blocks_sha256")

    def decompressed(self, path, compressor, data):
        if compressor == "gzip":
            self.rule(data[:4] == b"\x1f\x8b\x08\x00" and data[4:8] == bytes(4), path, "its header")
            return gzip.decompress(data)
        if compressor == "zstd" and data:
            import zstandard

            self.rule(data[:4] == b"\x28\xb5\x2f\xfd" and data[4] & 4, path, "no content checksum")
            with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as out:
                payload = out.read()
            self.rule(payload, path, "no content, and yet bytes")
            return payload
        return data

    def stray_copies(self, folder, layout, manifests, paths):
        if layout != "hive":
            return
        for path in paths:
            match = re.match(r".*/partitions/.+/segments/([^/]+)/manifest\.json\Z", path)
            if match and path not in self.named and match[1] not in manifests:
                self.wrong(path, "a copy of a manifest that is not there")

    # Volumes

    def volume(self, folder, paths):
        self.out.seen["volumes"] += 1
        name = folder.rpartition("/")[2]
        manifests = self.manifests(f"{folder}/snapshots", paths)
        totals = {value.get("total_length") for _, value in manifests.values()}
        self.rule(len(totals) <= 1, folder, f"total lengths {totals}")
        for id, (path, value) in manifests.items():
            with self.malformed(path):
                self.volume_manifest(folder, name, id, path, value)
                parent = manifests.get(value.get("parent_snapshot_id"))
                if parent is not None:
                    kept = all(block in value["blocks"] for block in parent[1]["blocks"])
                    self.rule(kept, path, "a block of its parent is missing")
                self.repeats(path, value, "blocks", manifests)
        self.line(f"{folder}/latest", manifests)

    def volume_manifest(self, folder, name, id, path, value):
        self.same_bytes(path, value, volume_text(value))
        self.rule(value["volume_id"] == name, path, f"volume_id {value['volume_id']}")
        self.common(path, value, id)
        end = 0
        for block in value["blocks"]:
            offset, length = block["offset"], block["length"]
            self.rule(offset >= end and length > 0, path, f"block at {offset}")
            end = offset + length
            self.rule(block["path"] == f"{folder}/data/{offset}-{length}.bin", path, block["path"])
            self.stored(path, value, block, length, "holdfast" in value)
        self.rule(end <= value["total_length"], path, "a block beyond the end")

    # Both

    @contextmanager
    def malformed(self, path):
        try:
            yield
        except (KeyError, TypeError, AttributeError) as error:
            self.wrong(path, f"malformed: {error!r}")

    def same_bytes(self, path, value, text):
        data = self.get(path)
        if "holdfast" not in value:
            # What the original could not decode it writes as an escape; no files are null.
            data = data.replace(b"\\ufffd", "\ufffd".encode())
            data = data.replace(b'"files": null', b'"files": []') if "codec" in value else data
        self.rule(data == text.encode(), path, f"other bytes than\n{text}")

    def common(self, path, value, id):
        self.rule(value["snapshot_id"] == id, path, f"snapshot_id {value['snapshot_id']}")
        schema = "lode-volume-manifest" if "volume_id" in value else "lode-manifest"
        self.rule(value["schema_name"] == schema, path, f"schema_name {value['schema_name']}")
        self.rule(value["format_version"] == "1.0.0", path, "its version")
        self.rule(isinstance(value["metadata"], dict), path, "metadata is no object")
        self.rule(TIME.match(value["created_at"]), path, f"created_at {value['created_at']}")
        self.rule(value.get("holdfast_mark", "") in MARKS, path, "its mark")

    def repeats(self, path, value, content, manifests):
        """A healed or collecting snapshot has what the newest real one below it has."""
        if value.get("holdfast_mark", "") not in ("healed", "gc"):
            return
        self.out.seen[value["holdfast_mark"]] += 1
        real = value.get("holdfast", {}).get("real", "")
        if real in manifests or not real:
            wanted = manifests[real][1][content] if real else []
            self.rule(value[content] == wanted, path, f"not the content of {real or 'nothing'}")

    def line(self, pointer, manifests):
        self.named.add(pointer)
        ids = list(manifests)
        if not self.linear or not ids:
            return
        if self.rule(pointer in self.files, pointer, "there is none"):
            content = self.get(pointer)
            # A writer that died between its two steps left a pointer to nothing.
            ahead = self.crashed and ID.match(content.decode()) and content.decode() not in ids
            good = content == ids[-1].encode() or ahead
            self.rule(good, pointer, f"{content!r}, not {ids[-1]}")
        before = None
        for id, (path, value) in manifests.items():
            parent = value.get("parent_snapshot_id")
            self.rule(parent is None or order(parent) < order(id), path, f"parent {parent}")
            # What was between may be collected; a parent that is older than what is there is a
            # second line.
            if before is not None:
                forked = parent is None or order(parent) < order(before)
                self.rule(not forked, path, f"its parent is {parent}, not {before}")
            before = id


def order(id):
    return len(id), id
