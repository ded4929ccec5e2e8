"""What a scan will read and what not, and why; made from manifests alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class FilePlan:
    """A data file in a scan.

    Attributes:
        rows: how many it holds; None where the manifest does not say.
        bytes: its stored size.
        kept: whether it is read.
        why: the reason, for people.
    """

    path: str
    snapshot: str
    rows: int | None
    bytes: int
    kept: bool
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The plan of a scan. ``str()`` gives it as text.

    Attributes:
        where: the condition as text, None for none.
        columns: those that are read besides the condition's; None: all.
        files: every file of the snapshots, in the order of reading.
        schema_from: where no file is kept, the file that is opened for its columns' types; a
            `count` opens none. "" otherwise.
        row_groups: what is left out within a file.
    """

    dataset: str
    snapshots: tuple[str, ...]
    where: str | None
    columns: tuple[str, ...] | None
    limit: int | None
    files: tuple[FilePlan, ...]
    schema_from: str
    row_groups: str

    @property
    def kept(self) -> tuple[FilePlan, ...]:
        """The files that are read."""
        return tuple(file for file in self.files if file.kept)

    @property
    def pruned(self) -> tuple[FilePlan, ...]:
        """The files that are not."""
        return tuple(file for file in self.files if not file.kept)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, totals included."""
        return {**asdict(self), "kept": _totals(self.kept), "pruned": _totals(self.pruned)}

    def __str__(self) -> str:
        lines = [
            f"scan of dataset {self.dataset}, {_snapshots(self.snapshots)}",
            f"  where    {self.where or 'no condition'}",
            f"  columns  {'all' if self.columns is None else ', '.join(self.columns) or 'none'}",
        ]
        if self.limit is not None:
            lines.append(f"  limit    {self.limit} rows; reading stops there")
        lines.append(f"  within   {self.row_groups}")
        for word, files in (("read", self.kept), ("pruned", self.pruned)):
            lines.append(f"{word}: {_line(_totals(files))}")
            lines.extend(f"  {file.path}  ({file.why})" for file in files[:_SHOWN])
            if len(files) > _SHOWN:
                lines.append(f"  … and {len(files) - _SHOWN} more")
        if self.schema_from:
            lines.append(f"types of columns from: {self.schema_from}")
        return "\n".join(lines)


def _snapshots(ids: tuple[str, ...]) -> str:
    if len(ids) == 1:
        return f"snapshot {ids[0]}"
    return f"{len(ids)} snapshots" + (f", {ids[0]} to {ids[-1]}" if ids else "")


def _totals(files: tuple[FilePlan, ...]) -> dict[str, Any]:
    rows = [file.rows for file in files if file.rows is not None]
    return {
        "files": len(files),
        "rows": sum(rows) if len(rows) == len(files) else None,
        "bytes": sum(file.bytes for file in files),
    }


def _line(totals: dict[str, Any]) -> str:
    rows = "an unknown number of" if totals["rows"] is None else f"{totals['rows']:,}"
    return f"{totals['files']:,} files, {rows} rows, {totals['bytes']:,} bytes"
