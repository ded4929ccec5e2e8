"""``dataset read``, ``scan`` and ``export``: rows and bytes out of a snapshot."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.dataset import AtOption, NameArgument, existing
from holdfast.cli.output import count, is_terminal, path_fields, path_text, size_text
from holdfast.cli.session import Session
from holdfast.errors import Invalid

if TYPE_CHECKING:
    from pyarrow.compute import Expression

    from holdfast.cli.dataset_output import Selection
    from holdfast.datasets.snapshot import DatasetSnapshot

SHOWN = 50
"""Rows that a terminal is shown where nobody says how many."""

OutputOption = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE", help="A new file; never overwritten."),
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", help="table, jsonl, csv, parquet, arrow or raw."),
]
ColumnsOption = Annotated[
    str | None, typer.Option("--columns", metavar="A,B", help="Only these, in this order.")
]
RowsOption = Annotated[
    int | None, typer.Option("-n", "--limit", min=0, max=2**63 - 1, help="At most so many rows.")
]


def read(
    session: Session,
    name: NameArgument,
    at: AtOption = None,
    columns: ColumnsOption = None,
    form: FormatOption = None,
    output: OutputOption = None,
    limit: RowsOption = None,
) -> None:
    """Give a snapshot's rows, or its bytes.

    A terminal shows a table; a pipe gets JSON Lines, or the bytes of a raw dataset. Everything is
    checked against its digests while it is read.
    """
    _check_answer(session, output)
    with session.open(read_only=True) as repo:
        dataset = existing(repo, name)
        snapshot = dataset.latest() if at is None else dataset.at(at)
        from holdfast.cli.dataset_output import Selection

        selection = Selection(snapshot, _names(columns), None, limit)
        _deliver(session, name, selection, form, output)


def scan(
    session: Session,
    name: NameArgument,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="CONDITION", help="As in: n > 5 and kind = 'a'."),
    ] = None,
    columns: ColumnsOption = None,
    limit: RowsOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what would be read and why; read nothing.")
    ] = False,
    at: AtOption = None,
    form: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Give the rows for which a condition holds; files that cannot have any are not read.

    A condition compares columns with numbers, 'text', true, false, date '2024-01-02' and
    timestamp '2024-01-02T00:00:00Z' by = != < <= > >=, `in (…)`, `is null`, `is not null`, and
    joins such with and, or, not and parentheses. A column whose name is no word stands in double
    quotes.
    """
    from holdfast.cli.dataset_output import Selection
    from holdfast.cli.where import parse_where

    if not explain:
        _check_answer(session, output)
    condition = None if where is None else parse_where(where)
    with session.open(read_only=True) as repo:
        dataset = existing(repo, name)
        snapshot = dataset.latest() if at is None else dataset.at(at)
        _check_columns(snapshot, condition, _names(columns))
        if explain:
            plan = snapshot.scan(condition, _names(columns), limit).explain()
            if session.json:
                session.out.value(plan.to_json())
            for line in str(plan).splitlines():
                session.out.line(line)
            return
        selection = Selection(snapshot, _names(columns), condition, limit)
        _deliver(session, name, selection, form, output)


def _check_answer(session: Session, output: str | None) -> None:
    if session.json and output is None:
        raise Invalid(
            "reading with --json", found="no -o FILE",
            hint="name a file with -o; without --json a pipe gets JSON Lines",
        )  # fmt: skip


def _check_columns(
    snapshot: DatasetSnapshot, condition: Expression | None, columns: tuple[str, ...] | None
) -> None:
    """Refuse a column that no file of a Parquet snapshot has, as its statistics list them: it would
    count as null in every row, and a slip of the pen as "no such rows"."""
    from holdfast.datasets.expression import fields_of, parse

    stats = [file.stats for file in snapshot.files]
    if snapshot.manifest.codec != "parquet" or not stats:
        return
    known = {column.name for s in stats if s is not None for column in s.columns}
    if any(s is None or not s.columns for s in stats):
        return
    compared = None if condition is None else fields_of(parse(condition))
    for name in (*(columns or ()), *(compared or ())):
        if name not in known:
            raise Invalid(
                "scanning", f"dataset {snapshot.manifest.dataset_id}",
                found=f"no column {name!r}", expected=f"one of {', '.join(sorted(known))}",
            )  # fmt: skip


def _names(columns: str | None) -> tuple[str, ...] | None:
    if columns is None:
        return None
    names = tuple(name.strip() for name in columns.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise Invalid("reading --columns", repr(columns), expected="names, each once: A,B,C")
    return names


def _deliver(
    session: Session, name: str, selection: Selection, named: str | None, output: str | None
) -> None:
    from holdfast.cli.dataset_output import Counter, format_for
    from holdfast.cli.delivery import to_file, to_stdout

    kind = format_for(output or "", named)
    if selection.is_raw:
        _deliver_bytes(session, name, selection, kind, output)
        return
    if kind == "raw":
        raise Invalid(
            "reading", selection.snapshot, found="rows, not bytes",
            hint="choose another --format, or `holdfast dataset export NAME -o DIR`",
        )  # fmt: skip
    if output is None:
        kind = kind or ("table" if is_terminal(sys.stdout) else "jsonl")
        if kind == "table":
            _show(session, name, selection)
        else:
            to_stdout(Counter().encoded(selection, kind, streamed=True))
        return
    if kind in (None, "table"):
        raise Invalid(
            "writing", output, found="no format",
            hint="give --format jsonl, csv, parquet or arrow, or a name that ends so",
        )  # fmt: skip
    counter = Counter()
    size = to_file(counter.encoded(selection, str(kind), streamed=False), output)
    _say_delivered(session, name, selection.snapshot, str(kind), counter.rows, size, output)


def _show(session: Session, name: str, selection: Selection) -> None:
    from holdfast.cli.dataset_output import table_of

    # Where a limit is given, all of it is shown.
    most = SHOWN if selection.limit is None else selection.limit
    head, rows, more = table_of(selection, most)
    if not rows:
        session.out.line("No rows")
    else:
        session.out.table(head, rows)
    if more:
        session.out.line(f"The first {most} rows; -n for more, -o FILE for all", "dim")
    session.next(f"dataset export {name} -o FILE.parquet")


def _deliver_bytes(
    session: Session, name: str, selection: Selection, kind: str | None, output: str | None
) -> None:
    from holdfast.cli.delivery import chunks_of, to_file, to_stdout

    snapshot = selection.snapshot
    if kind not in (None, "raw") and not (output is not None and kind != "table"):
        raise Invalid("reading", snapshot, found="bytes, not rows", hint="leave --format out")
    if selection.columns or selection.where is not None or selection.limit is not None:
        raise Invalid("reading", snapshot, found="bytes, which have no rows and no columns")
    with snapshot.open() as file:
        if output is None:
            to_stdout(chunks_of(file))
            return
        size = to_file(chunks_of(file), output)
    _say_delivered(session, name, snapshot, "raw", snapshot.row_count, size, output)


def _say_delivered(
    session: Session,
    name: str,
    snapshot: DatasetSnapshot,
    kind: str,
    rows: int,
    size: int,
    output: str,
    files: int = 1,
) -> None:
    if session.json:
        session.out.value(
            {
                "dataset": name,
                "snapshot": snapshot.id,
                "format": kind,
                "rows": rows,
                "files": files,
                "size": size,
                **path_fields(output, "output"),
            }
        )
    what = "" if kind == "raw" else f"{count(rows, 'row')}, "
    session.out.line(
        f"{what}{size_text(size)} of snapshot {snapshot.id} written to {path_text(output)}"
    )
    session.next(f"dataset log {name}")


def export(
    session: Session,
    name: NameArgument,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE|DIR", help="New; a folder ends with a slash."),
    ],
    form: Annotated[
        str | None,
        typer.Option("--format", help="jsonl, csv, parquet, arrow or raw; else as FILE's name."),
    ] = None,
    at: AtOption = None,
) -> None:
    """Write a snapshot into one new file, or file by file into a new folder.

    A folder gets a file for each data file, below its partition; without --format each as it is
    stored, decompressed.
    """
    with session.open(read_only=True) as repo:
        from holdfast.cli.dataset_output import Selection

        dataset = existing(repo, name)
        snapshot = dataset.latest() if at is None else dataset.at(at)
        selection = Selection(snapshot)
        if output.endswith("/") or os.path.isdir(output):
            _export_folder(session, name, selection, form, output)
        else:
            _deliver(session, name, selection, form, output)


def _export_folder(
    session: Session, name: str, selection: Selection, form: str | None, output: str
) -> None:
    from holdfast.cli.dataset_output import Counter, format_for
    from holdfast.cli.delivery import NewFolder

    stored = selection.snapshot.manifest.codec or "raw"
    kind = format_for("", form) or stored
    if kind == "table" or (kind == "raw") != (stored == "raw"):
        raise Invalid(
            "exporting", selection.snapshot, found=f"{kind} of a dataset whose files are {stored}",
            expected="raw" if stored == "raw" else "jsonl, csv, parquet or arrow",
        )  # fmt: skip
    size = 0
    counter = Counter()
    with NewFolder(output) as folder:
        for number, (partition, file) in enumerate(_by_partition(selection)):
            path = f"{partition}/{number:05d}" if partition else f"{number:05d}"
            if kind == stored:
                data = selection.snapshot.source(file).stream()
            else:
                data = counter.encoded(selection.of(file), kind, streamed=False)
            size += folder.write(f"{path}.{'bin' if kind == 'raw' else kind}", data)
        folder.publish()
    files = len(selection.snapshot.files)
    rows = selection.snapshot.row_count
    _say_delivered(session, name, selection.snapshot, kind, rows, size, output, files)


def _by_partition(selection: Selection) -> Iterator[tuple[str, Any]]:
    from holdfast.datasets.partition import partition_of

    for file in selection.snapshot.files:
        yield partition_of(file.path), file
