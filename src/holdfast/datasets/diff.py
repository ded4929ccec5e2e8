"""What differs between two snapshots (spec/datasets.md §9.7): from the manifests alone, and row by
row from the files that only one of them has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.errors import Invalid
from holdfast.snapshotting.manifest_json import encode

if TYPE_CHECKING:
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.manifest import DatasetManifest, FileRef
    from holdfast.datasets.snapshot import DatasetSnapshot


@dataclass(frozen=True, slots=True)
class RowDiff:
    """Rows that only one of two snapshots has. `changed` pairs the old row of a key with the new
    one; it is empty where rows are compared whole."""

    added: tuple[Any, ...]
    removed: tuple[Any, ...]
    changed: tuple[tuple[Any, Any], ...] = ()


class Diff:
    """What changed from snapshot `old` to snapshot `new`. Nothing but the manifests is read, except
    by `rows`."""

    def __init__(self, dataset: Dataset, old: DatasetSnapshot, new: DatasetSnapshot) -> None:
        self._dataset = dataset
        self.old = old
        self.new = new
        before = {_key(f): f for f in old.files}
        after = {_key(f): f for f in new.files}
        self.added: tuple[FileRef, ...] = tuple(f for k, f in after.items() if k not in before)
        """Files that only the new one names."""
        self.removed: tuple[FileRef, ...] = tuple(f for k, f in before.items() if k not in after)
        """Files that only the old one names."""
        self.kept: tuple[FileRef, ...] = tuple(f for k, f in after.items() if k in before)
        """Files that both name: nothing in them changed."""

    @property
    def rows_before(self) -> int:
        """Rows of the old snapshot."""
        return self.old.row_count

    @property
    def rows_after(self) -> int:
        """Rows of the new snapshot."""
        return self.new.row_count

    @property
    def bytes_added(self) -> int:
        """Stored bytes of the files that came."""
        return sum(f.size_bytes for f in self.added)

    @property
    def bytes_removed(self) -> int:
        """Stored bytes of the files that went."""
        return sum(f.size_bytes for f in self.removed)

    @property
    def columns_added(self) -> tuple[str, ...]:
        """Columns that only the new one has, as far as statistics tell."""
        return tuple(c for c in _columns(self.new.manifest) if c not in _columns(self.old.manifest))

    @property
    def columns_removed(self) -> tuple[str, ...]:
        """Columns that only the old one has, as far as statistics tell."""
        return tuple(c for c in _columns(self.old.manifest) if c not in _columns(self.new.manifest))

    @property
    def form_changes(self) -> dict[str, tuple[str, str]]:
        """Codec, compressor, partitioner and checksum, where they differ: (old, new)."""
        out = {}
        for name in ("codec", "compressor", "partitioner", "checksum_algorithm"):
            pair = (getattr(self.old.manifest, name), getattr(self.new.manifest, name))
            if pair[0] != pair[1]:
                out[name] = pair
        return out

    @property
    def metadata_changes(self) -> dict[str, tuple[Any, Any]]:
        """Keys of the metadata whose values differ: (old, new), None for none."""
        before, after = self.old.metadata, self.new.metadata
        return {
            key: (before.get(key), after.get(key))
            for key in sorted({*before, *after})
            if (key in before) != (key in after) or before.get(key) != after.get(key)
        }

    def __bool__(self) -> bool:
        """Whether anything of the content differs."""
        return bool(self.added or self.removed)

    def rows(self, key: str | Sequence[str] | None = None) -> RowDiff:
        """Row by row; reads the files that only one of the two names, and keeps their rows in
        memory.

        Args:
            key: column or columns that tell a row from the others; rows with the same key and
                other values are `changed`. Without it rows are compared whole, each as often as
                it stands there.

        Raises:
            Invalid: raw bytes; a key that a row lacks, or that stands twice.
        """
        before = list(self._rows(self.old, self.removed))
        after = list(self._rows(self.new, self.added))
        if key is None:
            return RowDiff(_without(after, before), _without(before, after))
        keys = (key,) if isinstance(key, str) else tuple(key)
        old, new = self._by_key(before, keys), self._by_key(after, keys)
        return RowDiff(
            added=tuple(row for k, row in new.items() if k not in old),
            removed=tuple(row for k, row in old.items() if k not in new),
            changed=tuple(
                (old[k], row) for k, row in new.items() if k in old and _text(old[k]) != _text(row)
            ),
        )

    def _rows(self, snapshot: DatasetSnapshot, files: Sequence[FileRef]) -> Iterator[Any]:
        codec = self._dataset.codec_of(snapshot)
        if codec is None and files:
            raise Invalid("comparing the rows of", snapshot, found="raw bytes")
        for file in files:
            assert codec is not None
            for rows in codec.read_rows(snapshot.source(file)):
                yield from rows

    def _by_key(self, rows: Sequence[Any], keys: tuple[str, ...]) -> dict[bytes, Any]:
        out: dict[bytes, Any] = {}
        for row in rows:
            if not isinstance(row, dict) or any(key not in row for key in keys):
                raise Invalid(
                    "comparing the rows of",
                    f"dataset {self._dataset.id}",
                    found=f"a row without the key {', '.join(keys)}",
                )
            text = _text([row[key] for key in keys])
            if text in out:
                raise Invalid(
                    "comparing the rows of",
                    f"dataset {self._dataset.id}",
                    found=f"the key {text.decode(errors='replace')[:80]} twice in one snapshot",
                    hint="name more columns as the key, or none",
                )
            out[text] = row
        return out


def _key(file: FileRef) -> tuple[str, int, str]:
    return file.path, file.size_bytes, file.checksum


def _columns(manifest: DatasetManifest) -> dict[str, None]:
    """Names of the columns that the statistics of its files tell, in their order."""
    return {c.name: None for f in manifest.files if f.stats for c in f.stats.columns}


def _without(rows: Sequence[Any], others: Sequence[Any]) -> tuple[Any, ...]:
    """The rows that do not stand among `others`, each as often as it stands there less."""
    left = Counter(_text(row) for row in others)
    out = []
    for row in rows:
        text = _text(row)
        if left[text] > 0:
            left[text] -= 1
        else:
            out.append(row)
    return tuple(out)


def _text(value: Any) -> bytes:
    """A spelling of a row's values that tells different ones apart, keys in any order."""
    try:
        return encode({"": value})
    except Invalid:
        return repr(value).encode("utf-8", "surrogatepass")  # NaN, or a type that JSON lacks
