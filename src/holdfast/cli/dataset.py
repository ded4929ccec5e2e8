"""``dataset create``, ``write``, ``log``, ``diff``, ``tag`` and ``list``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.dataset_fields import dataset_snapshot_fields, tag_fields
from holdfast.cli.output import count, size_text
from holdfast.cli.session import Session
from holdfast.errors import AlreadyExists, HoldfastError, Invalid, NotFound

if TYPE_CHECKING:
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.repository import Repository

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The dataset.")]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="WHEN", help="A snapshot's id, a tag, or a time (RFC 3339)."),
]
LimitOption = Annotated[
    int, typer.Option("-n", "--limit", min=1, max=2**63 - 1, help="How many, newest first.")
]
MessageOption = Annotated[
    str | None, typer.Option("-m", "--message", help="A line for people, kept with the snapshot.")
]
MetadataOption = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="KEY=TEXT", help="Kept with the snapshot; repeatable."),
]
ParentOption = Annotated[
    str | None,
    typer.Option("--parent", metavar="ID", help="Commit only on top of this snapshot."),
]
SchemaOption = Annotated[
    str | None,
    typer.Option("--schema", metavar="FILE", help="Columns: JSON list of name, type, nullable."),
]


def create(
    session: Session,
    name: NameArgument,
    layout: Annotated[str | None, typer.Option("--layout", help="default or hive.")] = None,
    partition_by: Annotated[
        list[str] | None,
        typer.Option("--partition-by", metavar="COLUMN", help="Chooses hive; repeatable."),
    ] = None,
    codec: Annotated[str, typer.Option("--codec", help="parquet, jsonl or raw.")] = "parquet",
    compressor: Annotated[
        str | None, typer.Option("--compressor", help="none, gzip or zstd.")
    ] = None,
    schema: SchemaOption = None,
    message: MessageOption = None,
) -> None:
    """Make a dataset: commit its first snapshot, which is empty.

    Not needed for a dataset of the usual form: the first `write` makes one.
    """
    from holdfast.cli.dataset_setup import Setup, latest_of, read_schema

    setup = Setup(tuple(partition_by or ()), () if schema is None else read_schema(schema))
    options: dict[str, Any] = {"codec": codec, "layout": layout, "compressor": compressor}
    if setup.keys:
        options["partition_by"] = setup.keys
    elif layout == "hive":
        raise Invalid(
            "making the dataset", name, found="the hive layout without keys",
            hint="name them with --partition-by",
        )  # fmt: skip
    if setup.fields:
        options["schema"] = list(setup.fields)
    with session.open() as repo:
        latest = latest_of(repo.dataset(name))
        if latest is not None:
            raise AlreadyExists(
                "making the dataset", name, found=f"snapshot {latest.id} of it",
                hint="its form is fixed; write into it, or choose another name",
            )  # fmt: skip
        dataset = repo.dataset(name, **options)
        empty: Any = b"" if codec == "raw" else []
        made = dataset.write(empty, setup.metadata(), message=message, on_conflict="raise")
        layout = dataset.layout.name
    if session.json:
        session.out.value({"dataset": name, "layout": layout, **dataset_snapshot_fields(made)})
    session.out.line(f"Made dataset {name}: {layout} layout, codec {codec}")
    session.out.line(f"Its first snapshot, {made.id}, is empty")
    session.next(f"dataset write {name} FILE")


def write(
    session: Session,
    name: NameArgument,
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="What to write; - is standard input.")
    ],
    form: Annotated[
        str | None,
        typer.Option("--format", help="csv, jsonl, parquet, arrow or raw; else as FILE tells."),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Keep the rows that are there, and add these.")
    ] = False,
    metadata: MetadataOption = None,
    message: MessageOption = None,
    parent: ParentOption = None,
    schema: SchemaOption = None,
    text: Annotated[
        bool, typer.Option("--text", help="CSV: take every column as text, as it stands.")
    ] = False,
    delimiter: Annotated[str, typer.Option("--delimiter", help="CSV: between values.")] = ",",
) -> None:
    """Commit a snapshot with exactly the rows of a file; nothing is appended without --append."""
    from holdfast.cli.dataset_input import (
        CODECS,
        CsvOptions,
        data_of,
        format_of,
        found_format,
        opened_input,
    )
    from holdfast.cli.dataset_setup import (
        Setup,
        latest_of,
        open_for_writing,
        read_schema,
        setup_in,
    )
    from holdfast.cli.progress import byte_meter

    said = pairs(metadata)
    fields = None if schema is None else read_schema(schema)
    named = format_of(file, form)
    with session.open() as repo:
        latest = latest_of(repo.dataset(name))
        if form is None and latest is not None and not latest.manifest.codec:
            named = "raw"
        setup = Setup() if latest is None else setup_in(latest.metadata)
        setup = Setup(setup.keys, setup.fields if fields is None else fields)
        with byte_meter(f"writing {name}", _size_of(file)) as told, opened_input(file, told) as src:
            kind = found_format(src, named)
            _check_kind(name, kind, latest)
            dataset = open_for_writing(repo, name, latest, CODECS[kind], setup)
            commit = dataset.append if append and latest is not None else dataset.write
            with data_of(src, kind, CsvOptions(delimiter, text, setup.fields)) as data:
                made = commit(data, {**setup.metadata(), **said}, message=message, parent=parent)
    _say_written(session, name, kind, made, appended=append and latest is not None)


def _size_of(file: str) -> int | None:
    try:
        return None if file == "-" else os.stat(file).st_size
    except OSError:
        return None


def _check_kind(name: str, kind: str, latest: DatasetSnapshot | None) -> None:
    stored = None if latest is None else latest.manifest.codec or "raw"
    if stored is not None and (stored == "raw") != (kind == "raw"):
        raise Invalid(
            "writing to", f"dataset {name}",
            found=f"{kind} for a dataset of {'bytes' if stored == 'raw' else 'rows'}",
            hint="give --format raw" if stored == "raw" else "choose another dataset",
        )  # fmt: skip


def _say_written(
    session: Session,
    name: str,
    kind: str,
    made: DatasetSnapshot,
    *,
    appended: bool,
) -> None:
    fields = dataset_snapshot_fields(made)
    if session.json:
        session.out.value({"dataset": name, "format": kind, "appended": appended, **fields})
        return
    rows = f"{count(made.row_count, 'row')}, " if made.manifest.codec else ""
    size = f"{rows}{count(fields['files'], 'file')}, {size_text(fields['bytes'])}"
    session.out.line(f"snapshot {made.id} of {name}: {size}")
    if appended:
        session.out.line("The rows that were there, and these")
    elif made.manifest.codec:
        session.out.line("A new snapshot with exactly these rows; nothing was appended")
    else:
        session.out.line("A new snapshot with exactly these bytes")
    session.next(f"dataset read {name}")


def pairs(given: Sequence[str] | None) -> dict[str, str]:
    """``KEY=TEXT`` as metadata. Raises `Invalid`."""
    out: dict[str, str] = {}
    for item in given or ():
        key, sign, value = item.partition("=")
        if not sign or not key or key in out:
            raise Invalid("reading --metadata", repr(item), expected="KEY=TEXT, each key once")
        out[key] = value
    return out


def log(session: Session, name: NameArgument, limit: LimitOption = 20) -> None:
    """Show a dataset's snapshots, newest first."""
    with session.open(read_only=True) as repo:
        dataset = existing(repo, name)
        tags: dict[str, list[str]] = {}
        for tag in dataset.tags().values():
            tags.setdefault(tag.snapshot_id, []).append(tag.name)
        found = list(islice(dataset.history(), limit))
    if session.json:
        rows = [{**dataset_snapshot_fields(s), "tags": tags.get(s.id, [])} for s in found]
        session.out.value({"dataset": name, "snapshots": rows})
        return
    session.out.table(
        ["snapshot", "created", ">rows", ">files", ">size", "tags", "message"],
        [
            (
                s.id,
                s.created_at[:19].replace("T", " "),
                f"{s.row_count:,}" if s.manifest.codec else "",
                f"{len(s.files):,}",
                size_text(sum(f.size_bytes for f in s.files)),
                ", ".join(tags.get(s.id, [])),
                s.message or (f"({s.manifest.mark})" if s.manifest.mark else ""),
            )
            for s in found
        ],
    )
    if len(found) > 1:
        session.next(f"dataset diff {name} {found[1].id} {found[0].id}")
    else:
        session.next(f"dataset read {name}")


def tag(
    session: Session,
    name: NameArgument,
    tag: Annotated[
        str | None, typer.Argument(metavar="TAG", help="Without it, all tags are shown.")
    ] = None,
    at: AtOption = None,
    move: Annotated[
        bool, typer.Option("--move", help="Take the tag from the snapshot that has it.")
    ] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Take the tag away.")] = False,
    message: MessageOption = None,
) -> None:
    """Give a snapshot (default: the latest) a name; tagged snapshots do not expire."""
    if tag is None or delete:
        given = [n for n, v in (("--at", at), ("--move", move), ("-m", message)) if v]
        if given or (delete and tag is None):
            found = f"--delete with {given[0]}" if delete and given else "no TAG"
            raise Invalid("reading the command line", found=found)
    with session.open(read_only=tag is None) as repo:
        dataset = existing(repo, name)
        if tag is None:
            found_tags = list(dataset.tags().values())
        elif delete:
            found_tags = [dataset.untag(tag)]
        else:
            try:
                found_tags = [dataset.tag(tag, at, message=message, move=move)]
            except AlreadyExists as error:
                error.hint = "move it with --move, or choose another name"
                raise
    if session.json:
        values = [tag_fields(t) for t in found_tags]
        session.out.value({"dataset": name, "deleted": delete, "tags": values})
    elif tag is not None:
        done = "is taken away from" if delete else "names"
        session.out.line(f"{tag} {done} snapshot {found_tags[0].snapshot_id} of {name}")
        session.next(f"dataset tag {name}" if delete else f"dataset read {name} --at {tag}")
    elif not found_tags:
        session.out.line("No tags")
    else:
        session.out.table(
            ["tag", "snapshot", "set", "author", "message"],
            [
                (t.name, t.snapshot_id, t.time[:19].replace("T", " "), t.author, t.message or "")
                for t in found_tags
            ],
        )


def list_(session: Session) -> None:
    """Show the datasets of the repository."""
    found: list[tuple[str, DatasetSnapshot | None, str | None]] = []
    with session.open(read_only=True) as repo:
        for name in repo.datasets():
            try:
                found.append((name, repo.dataset(name).latest(), None))
            except HoldfastError as error:
                found.append((name, None, str(error)))
    if session.json:
        values = [
            {
                "dataset": name,
                "error": error,
                "latest": None if latest is None else dataset_snapshot_fields(latest),
            }
            for name, latest, error in found
        ]
        session.out.value({"datasets": values})
        return
    if not found:
        session.out.line("No datasets yet")
        session.next("dataset write NAME FILE")
        return
    session.out.table(
        ["dataset", "codec", ">rows", ">files", "latest", "created"],
        [
            (n, "", "", "", error, "")
            if s is None
            else (
                n,
                s.manifest.codec or "raw",
                f"{s.row_count:,}" if s.manifest.codec else "",
                f"{len(s.files):,}",
                s.id,
                s.created_at[:19].replace("T", " "),
            )
            for n, s, error in found
        ],
    )
    session.next(f"dataset log {found[0][0]}")


def existing(repo: Repository, name: str) -> Dataset:
    """The dataset `name`. Raises `NotFound` where it has no snapshot, and names those there are."""
    dataset = repo.dataset(name)
    if dataset.chain.newest() is None:
        names = repo.datasets()
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise NotFound(
            "looking for the dataset",
            repr(name),
            found=f"the datasets here are: {listed or 'none'}",
        )
    return dataset
