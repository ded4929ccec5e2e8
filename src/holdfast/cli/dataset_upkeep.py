"""``dataset diff``, ``expire``, ``retention`` and ``erase-rows``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.dataset import NameArgument, existing
from holdfast.cli.output import count, size_text
from holdfast.cli.session import Session
from holdfast.errors import Invalid

if TYPE_CHECKING:
    from holdfast.datasets.diff import Diff
    from holdfast.datasets.manifest import FileRef

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the ledger.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
_LISTED = 10


def diff(
    session: Session,
    name: NameArgument,
    old: Annotated[str, typer.Argument(metavar="A", help="A snapshot's id, a tag, or a time.")],
    new: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    rows: Annotated[
        bool, typer.Option("--rows", help="Compare row by row; keeps what differs in memory.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="A,B", help="With --rows: columns that tell rows apart."),
    ] = None,
) -> None:
    """Show what changed from one snapshot to another."""
    if key is not None and not rows:
        raise Invalid("reading the command line", found="--key without --rows")
    keys = None if key is None else key.split(",")
    with session.open(read_only=True) as repo:
        found = existing(repo, name).diff(old, new)
        by_row = found.rows(keys) if rows else None
    added = [] if by_row is None else _values(by_row.added)
    removed = [] if by_row is None else _values(by_row.removed)
    changed = [] if by_row is None else [_values(pair) for pair in by_row.changed]
    if session.json:
        answer = {"dataset": name, **_diff_fields(found)}
        if by_row is not None:
            answer["rows"] = {"added": added, "removed": removed, "changed": changed}
        session.out.value(answer)
        return
    _print_diff(session, found)
    for sign, values in (("-", removed), ("+", added)):
        for value in values:
            session.out.line(f"{sign} {_text(value)}", "red" if sign == "-" else "green")
    for before, after in changed:
        session.out.line(f"- {_text(before)}", "red")
        session.out.line(f"+ {_text(after)}", "green")
    if by_row is None and found:
        session.next(f"dataset diff {name} {old} {new} --rows")


def _values(rows: Sequence[Any]) -> list[Any]:
    """Rows as JSON values, as JSON Lines have them."""
    from holdfast.datasets.codecs.jsonl import Jsonl

    out = bytearray()

    class Sink:
        def write(self, data: Any) -> None:
            out.extend(data)

    encoder = Jsonl(statistics=False).encoder(Sink())
    encoder.write(list(rows))
    encoder.finish()
    return [json.loads(line) for line in out.splitlines()]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _diff_fields(found: Diff) -> dict[str, Any]:
    return {
        "from": found.old.id,
        "to": found.new.id,
        "rows_before": found.rows_before,
        "rows_after": found.rows_after,
        "bytes_added": found.bytes_added,
        "bytes_removed": found.bytes_removed,
        "files_kept": len(found.kept),
        "files_added": [_file_fields(file) for file in found.added],
        "files_removed": [_file_fields(file) for file in found.removed],
        "columns_added": list(found.columns_added),
        "columns_removed": list(found.columns_removed),
        "form_changes": {k: list(v) for k, v in found.form_changes.items()},
        "metadata_changes": {k: list(v) for k, v in found.metadata_changes.items()},
    }


def _file_fields(file: FileRef) -> dict[str, Any]:
    rows = None if file.stats is None else file.stats.row_count
    return {"path": file.path, "size": file.size_bytes, "rows": rows}


def _print_diff(session: Session, found: Diff) -> None:
    out = session.out
    out.line(f"from  {found.old.id}  {found.old.created_at}  {count(found.rows_before, 'row')}")
    out.line(f"to    {found.new.id}  {found.new.created_at}  {count(found.rows_after, 'row')}")
    if not found:
        out.line("The same files")
    for word, files, size, style in (
        ("removed", found.removed, found.bytes_removed, "red"),
        ("added", found.added, found.bytes_added, "green"),
    ):
        if files:
            out.line(f"{word}: {count(len(files), 'file')}, {size_text(size)}")
        for file in files[:_LISTED]:
            rows = "" if file.stats is None else f"  {count(file.stats.row_count, 'row')}"
            sign = "-" if word == "removed" else "+"
            out.line(f"  {sign} {file.path}  {size_text(file.size_bytes)}{rows}", style)
        if len(files) > _LISTED:
            out.line(f"  and {len(files) - _LISTED} more")
    if found.kept and found:
        out.line(f"kept: {count(len(found.kept), 'file')}")
    for column in found.columns_removed:
        out.line(f"column removed: {column}")
    for column in found.columns_added:
        out.line(f"column added: {column}")
    for changes in (found.form_changes, found.metadata_changes):
        for key, (before, after) in changes.items():
            out.line(f"{key}: {_text(before)} -> {_text(after)}")


def expire(
    session: Session,
    name: NameArgument,
    snapshots: Annotated[list[str], typer.Argument(metavar="SNAPSHOT...", help="Their ids.")],
    reason: ReasonOption = "",
) -> None:
    """Let snapshots be forgotten; `gc` then frees what only they need."""
    with session.open() as repo:
        expired = existing(repo, name).expire(snapshots, reason)
    if session.json:
        session.out.value({"dataset": name, "expired": expired})
    session.out.line(f"{count(len(expired), 'snapshot')} of {name} expired")
    session.next("gc")


def retention(
    session: Session,
    name: NameArgument,
    keep_last: Annotated[int, typer.Option("--keep-last", min=0, help="The newest N.")] = 0,
    daily: Annotated[int, typer.Option("--daily", min=0, help="One of each of N days.")] = 0,
    weekly: Annotated[int, typer.Option("--weekly", min=0, help="One of each of N weeks.")] = 0,
    monthly: Annotated[int, typer.Option("--monthly", min=0, help="One of each of N months.")] = 0,
    untag: Annotated[
        bool, typer.Option("--untag", help="Tags keep nothing; they go with their snapshots.")
    ] = False,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
) -> None:
    """Expire all snapshots but those that a rule keeps, tagged ones and the latest."""
    with session.open(read_only=dry_run) as repo:
        report = existing(repo, name).apply_retention(
            keep_last=keep_last,
            daily=daily,
            weekly=weekly,
            monthly=monthly,
            tags=not untag,
            dry_run=dry_run,
            reason=reason,
        )
    if session.json:
        kept = [{"snapshot": id, "reasons": list(report.reasons[id])} for id in report.kept]
        session.out.value(
            {"dataset": name, "dry_run": dry_run, "kept": kept, "expired": list(report.expired)}
        )
        return
    rows = [(id, "kept", ", ".join(report.reasons[id])) for id in report.kept]
    word = "would expire" if dry_run else "expired"
    rows += [(id, word, "") for id in report.expired]
    session.out.table(["snapshot", "", "why"], sorted(rows, reverse=True))
    session.out.line(f"{len(report.kept)} kept, {len(report.expired)} {word}")
    if report.expired and not dry_run:
        session.next("gc")


def erase_rows(
    session: Session,
    name: NameArgument,
    where: Annotated[
        str, typer.Option("--where", metavar="CONDITION", help="Rows for which it is true.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept for ever.")],
    sure: Annotated[bool, typer.Option("--yes", help="They cannot be had back.")] = False,
) -> None:
    """Destroy rows in every snapshot, for good: for those that the law demands it of.

    Snapshots that held them are replaced by others; expired ones are freed. Not reached: backups,
    and copies that others took.
    """
    from holdfast.cli.where import parse_where

    condition = parse_where(where)
    if not sure:
        with session.open(read_only=True) as repo:
            rows = existing(repo, name).scan(condition).count()
        raise Invalid(
            "erasing rows of", f"dataset {name}",
            found=f"no --yes; {count(rows, 'row')} of the latest snapshot would be destroyed",
            hint="erased rows cannot be had back: give --yes",
        )  # fmt: skip
    with session.open() as repo:
        report = existing(repo, name).erase_rows(condition, reason)
    if session.json:
        session.out.value(
            {
                "dataset": name,
                "erasure": report.id or None,
                "rows": report.rows,
                "replacements": report.replacements,
                "files": report.files,
                "bytes": report.bytes,
            }
        )
    elif not report.id:
        session.out.line("No row fits; nothing was done")
    else:
        session.out.line(f"{count(report.rows, 'row')} of {name} destroyed")
        for old, new in report.replacements.items():
            session.out.line(f"{old} -> {new}")
        session.next(f"dataset log {name}")
