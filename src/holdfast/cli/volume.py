"""``volume create``, ``stage``, ``commit``, ``resume``, ``log`` and ``list``."""

from __future__ import annotations

import shlex
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.dataset import LimitOption, MessageOption, MetadataOption, ParentOption, pairs
from holdfast.cli.dataset_fields import volume_snapshot_fields
from holdfast.cli.output import count, path_text, size_text
from holdfast.cli.quantity import parse_bytes
from holdfast.cli.session import Session
from holdfast.errors import Busy, HoldfastError, Invalid, NotFound

if TYPE_CHECKING:
    from holdfast.volumes.snapshot import VolumeSnapshot
    from holdfast.volumes.volume import Volume

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The volume.")]


def create(
    session: Session,
    name: NameArgument,
    length: Annotated[
        str, typer.Option("--length", metavar="N", help="Its bytes, as in 1GiB; fixed for ever.")
    ],
    message: MessageOption = None,
) -> None:
    """Make a volume: keep how long its space of bytes is."""
    from holdfast.cli.volume_setup import keep_length

    total = parse_bytes(length, "--length")
    with session.open() as repo:
        keep_length(repo, name, total, message)
    if session.json:
        session.out.value({"volume": name, "total_length": total})
    session.out.line(
        f"Made volume {name}: {total:,} bytes ({size_text(total)}), none of them there"
    )
    session.next(f"volume stage {name} OFFSET FILE")


def stage(
    session: Session,
    name: NameArgument,
    offset: Annotated[
        str, typer.Argument(metavar="OFFSET", help="Where it begins, as in 0 or 64MiB.")
    ],
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The bytes; - is standard input.")],
    commit: Annotated[bool, typer.Option("--commit", help="Commit the block at once.")] = False,
    message: MessageOption = None,
    metadata: MetadataOption = None,
) -> None:
    """Write a block: durable, but not visible before `volume commit`.

    It waits for a commit by any process. `holdfast gc` removes blocks that nobody committed.
    """
    from holdfast.cli.dataset_input import opened_input
    from holdfast.cli.progress import byte_meter
    from holdfast.cli.volume_setup import existing

    if not commit and (message is not None or metadata):
        raise Invalid("reading the command line", found="-m or --metadata without --commit")
    at = parse_bytes(offset, "OFFSET")
    said = pairs(metadata)
    with session.open() as repo, existing(repo, name) as volume:
        with byte_meter(f"staging {name}") as told, opened_input(file, told) as source:
            block = volume.stage_write_at(at, source.pieces())
        made = volume.commit([block], said, message=message) if commit else None
    fields = {"offset": block.offset, "length": block.length, "path": block.path}
    if session.json:
        session.out.value({"volume": name, **fields, "snapshot": None if made is None else made.id})
        return
    text = f"{block.length:,} bytes at {block.offset:,} of {name}"
    if made is None:
        session.out.line(f"{text}, staged")
        session.next(f"volume commit {name}")
    else:
        session.out.line(f"{text}, committed as snapshot {made.id}")
        session.next(f"volume map {name}")


def commit(
    session: Session,
    name: NameArgument,
    blocks: Annotated[
        list[str] | None,
        typer.Argument(metavar="OFFSET-LENGTH...", help="Only these blocks; else all."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be committed.")
    ] = False,
    message: MessageOption = None,
    metadata: MetadataOption = None,
    parent: ParentOption = None,
) -> None:
    """Make staged blocks visible, all in one snapshot.

    Without names it takes every block that is staged, and refuses while another process is staging.
    """
    from holdfast.cli.volume_setup import adopt, existing

    said = pairs(metadata)
    with session.open(read_only=dry_run) as repo, existing(repo, name) as volume:
        wanted = _wanted(volume, blocks, look_only=dry_run)
        made = None
        if not dry_run:
            adopted = [adopt(volume, offset, length) for offset, length in wanted]
            made = volume.commit(adopted, said, message=message, parent=parent)
    if session.json:
        listed = [{"offset": offset, "length": length} for offset, length in wanted]
        answer = None if made is None else volume_snapshot_fields(made)
        session.out.value({"volume": name, "dry_run": dry_run, "new": listed, "snapshot": answer})
        return
    size = size_text(sum(length for _, length in wanted))
    if made is None:
        for offset, length in wanted:
            session.out.line(f"{offset}-{length}")
        session.out.line(f"{count(len(wanted), 'block')}, {size}, would be committed")
        session.next(f"volume commit {name}")
    else:
        session.out.line(f"snapshot {made.id} of {name}: {count(len(wanted), 'new block')}, {size}")
        session.next(f"volume map {name}")


def _wanted(volume: Volume, named: list[str] | None, *, look_only: bool) -> list[tuple[int, int]]:
    """(offset, length) of the staged blocks to commit. Raises `NotFound`, `Busy`, `Invalid`."""
    from holdfast.cli.volume_setup import staged_ranges

    if named:
        staged = set(staged_ranges(volume))
        return [_named(volume, text, staged) for text in named]
    leases = volume.store.leases
    if leases is None or look_only:
        found = staged_ranges(volume)
    else:
        # Blocks of a process that is still at work are not ours to commit.
        try:
            with leases.acquire(volume.places.stagers, timeout=0):
                found = staged_ranges(volume)
        except Busy as error:
            error.hint = "wait until it is done, or name the blocks to commit: OFFSET-LENGTH"
            raise
    if not found and not look_only:
        raise NotFound(
            "committing to", f"volume {volume.id}", found="nothing is staged",
            hint=f"see `holdfast volume map {volume.id}`",
        )  # fmt: skip
    return found


def _named(volume: Volume, text: str, staged: set[tuple[int, int]]) -> tuple[int, int]:
    offset, _, length = text.partition("-")
    if not (offset.isascii() and offset.isdigit() and length.isascii() and length.isdigit()):
        raise Invalid("reading the block", repr(text), expected="OFFSET-LENGTH, both in bytes")
    if len(text) > 40 or (int(offset), int(length)) not in staged:
        raise NotFound(
            "looking for the block", text, found=f"it is not staged in {volume.id}",
            hint=f"see `holdfast volume commit {volume.id} --dry-run`",
        )  # fmt: skip
    return int(offset), int(length)


def resume(
    session: Session,
    name: NameArgument,
    source: Annotated[str, typer.Argument(metavar="FILE|URL", help="What to bring in.")],
    at: Annotated[
        str, typer.Option("--at", metavar="OFFSET", help="Where in the volume it begins.")
    ] = "0",
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Let a URL lead into private networks.")
    ] = False,
    message: MessageOption = None,
    metadata: MetadataOption = None,
) -> None:
    """Bring a file or URL in, range by range; only what is missing is read.

    Commits as it goes: after Ctrl-C or a crash the same command goes on where this one ended.
    """
    from holdfast.cli.progress import byte_meter
    from holdfast.cli.volume_setup import existing
    from holdfast.volumes.importing import import_into
    from holdfast.volumes.sources import open_source

    offset = parse_bytes(at, "--at")
    said = pairs(metadata)
    with (
        session.open() as repo,
        existing(repo, name) as volume,
        open_source(source, allow_private=allow_private) as opened,
    ):
        with byte_meter(f"importing {opened.name}", opened.size) as told:
            report = import_into(
                volume,
                opened,
                at=offset,
                metadata=said,
                message=message,
                progress=lambda so_far: told(so_far.done),
            )
        covered, total = volume.map().covered, volume.total_length
    if session.json:
        session.out.value(
            {
                "volume": name,
                "bytes_read": report.bytes_read,
                "bytes_kept": report.bytes_kept,
                "snapshots": list(report.snapshots),
                "covered": covered,
                "total_length": total,
            }
        )
        return
    session.out.line(
        f"{size_text(report.bytes_read)} of {path_text(source)} brought in, "
        f"{size_text(report.bytes_kept)} there before"
    )
    session.out.line(f"{_share(covered, total)} of {name} is there")
    session.next(f"volume map {shlex.quote(name)}")


def _share(part: int, total: int) -> str:
    """Never 100% before all is there."""
    return f"{part * 1000 // total / 10:.1f}%"


def log(session: Session, name: NameArgument, limit: LimitOption = 20) -> None:
    """Show a volume's snapshots, newest first."""
    from holdfast.cli.volume_setup import existing

    with session.open(read_only=True) as repo:
        found = list(islice(existing(repo, name).history(), limit))
    if session.json:
        rows = [volume_snapshot_fields(snapshot) for snapshot in found]
        session.out.value({"volume": name, "snapshots": rows})
        return
    if not found:
        session.out.line("Nothing was committed yet")
        session.next(f"volume stage {name} OFFSET FILE")
        return
    session.out.table(
        ["snapshot", "created", ">blocks", ">there", "message"],
        [
            (
                s.id,
                s.created_at[:19].replace("T", " "),
                f"{len(s.blocks):,}",
                size_text(sum(block.length for block in s.blocks)),
                s.message or (f"({s.mark})" if s.mark else ""),
            )
            for s in found
        ],
    )
    session.next(f"volume map {name}")


def list_(session: Session) -> None:
    """Show the volumes of the repository; new ones appear with their first block."""
    from holdfast.cli.volume_setup import existing

    found: list[tuple[str, int | None, VolumeSnapshot | None, str | None]] = []
    with session.open(read_only=True) as repo:
        from holdfast.repository import VOLUMES, is_name

        for name in filter(is_name, repo.store.children(VOLUMES)[0]):
            try:
                volume = existing(repo, name)
                latest = None if volume.chain.latest() is None else volume.latest()
                found.append((name, volume.total_length, latest, None))
            except NotFound:
                continue
            except HoldfastError as error:
                found.append((name, None, None, str(error)))
    if session.json:
        values = [
            {
                "volume": name,
                "error": error,
                "total_length": length,
                "latest": None if latest is None else volume_snapshot_fields(latest),
            }
            for name, length, latest, error in found
        ]
        session.out.value({"volumes": values})
        return
    if not found:
        session.out.line("No volumes yet")
        session.next("volume create NAME --length N")
        return
    session.out.table(
        ["volume", ">length", ">there", ">blocks", "latest", "created"],
        [
            (n, "" if length is None else size_text(length), "", "", error or "nothing yet", "")
            if s is None
            else (
                n,
                size_text(s.total_length),
                _share(sum(b.length for b in s.blocks), s.total_length),
                f"{len(s.blocks):,}",
                s.id,
                s.created_at[:19].replace("T", " "),
            )
            for n, length, s, error in found
        ],
    )
    session.next(f"volume map {found[0][0]}")
