"""``volume read`` and ``volume map``: what of a volume is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.dataset_read import OutputOption
from holdfast.cli.output import count, is_terminal, path_fields, path_text, size_text
from holdfast.cli.quantity import parse_bytes
from holdfast.cli.session import Session
from holdfast.cli.volume import NameArgument
from holdfast.errors import Invalid

if TYPE_CHECKING:
    from holdfast.volumes.blocks import Range
    from holdfast.volumes.snapshot import VolumeMap, VolumeSnapshot
    from holdfast.volumes.volume import Volume

AtOption = Annotated[
    str | None, typer.Option("--at", metavar="WHEN", help="A snapshot's id, or a time (RFC 3339).")
]
SHADES = " ░▒▓█"
PLAIN = ".:+*#"
WIDTH = 64
ROWS = 8
_LISTED = 20
_PIECE = 8 << 20


def read(
    session: Session,
    name: NameArgument,
    offset: Annotated[str, typer.Argument(metavar="OFFSET", help="As in 0 or 64MiB.")],
    length: Annotated[str, typer.Argument(metavar="LENGTH", help="As in 4096 or 1MiB.")],
    output: OutputOption = None,
    at: AtOption = None,
) -> None:
    """Give a range of bytes back, checked; a gap in it is an error, never zeros."""
    from holdfast.cli.delivery import to_file, to_stdout
    from holdfast.cli.volume_setup import existing

    start, size = parse_bytes(offset, "OFFSET"), parse_bytes(length, "LENGTH")
    if session.json and output is None:
        raise Invalid("reading with --json", found="no -o FILE", hint="name a file with -o")
    with session.open(read_only=True) as repo:
        volume = existing(repo, name)
        snapshot = volume.latest() if at is None else volume.at(at)
        snapshot.index.find(start, size)  # all of it is there, before anything is given
        if output is None:
            to_stdout(_pieces(snapshot, start, size))
            return
        to_file(_pieces(snapshot, start, size), output)
    if session.json:
        session.out.value(
            {
                "volume": name,
                "snapshot": snapshot.id,
                "offset": start,
                "size": size,
                **path_fields(output, "output"),
            }
        )
    session.out.line(f"{size_text(size)} of {name} at {start:,} written to {path_text(output)}")
    session.next(f"volume map {name}")


def _pieces(snapshot: VolumeSnapshot, offset: int, length: int) -> Iterator[bytes]:
    end = offset + length
    while offset < end:
        size = min(_PIECE, end - offset)
        yield snapshot.read_at(offset, size)
        offset += size


def map_(session: Session, name: NameArgument, at: AtOption = None) -> None:
    """Show which parts of a volume are there."""
    from holdfast.cli.volume_setup import existing, staged_ranges

    with session.open(read_only=True) as repo:
        volume = existing(repo, name)
        found, snapshot = _map_of(volume, at)
        staged = staged_ranges(volume) if at is None else []
    if session.json:
        session.out.value(
            {
                "volume": name,
                "snapshot": snapshot,
                "total_length": found.total_length,
                "covered": found.covered,
                "complete": found.complete,
                "ranges": _ranges(found.runs),
                "missing": _ranges(found.gaps),
                "staged": _ranges(staged),
            }
        )
        return
    for line in picture(found.cells(WIDTH * ROWS), found.total_length):
        session.out.line(line)
    share = found.covered * 1000 // found.total_length / 10
    session.out.line(
        f"{size_text(found.covered)} of {size_text(found.total_length)} there ({share:.1f}%)"
    )
    _list_ranges(session, "missing", found.gaps)
    _list_ranges(session, "staged, not committed", staged)
    if staged:
        session.next(f"volume commit {name}")
    elif found.complete:
        session.next(f"volume read {name} 0 {found.total_length} -o FILE")
    else:
        session.next(f"volume resume {name} FILE")


def _map_of(volume: Volume, at: str | None) -> tuple[VolumeMap, str | None]:
    if at is None and volume.chain.latest() is None:
        return volume.map(), None
    snapshot = volume.latest() if at is None else volume.at(at)
    return snapshot.map(), snapshot.id


def picture(cells: Sequence[float], total_length: int) -> list[str]:
    """Lines of `WIDTH` cells, each with its offset before it; fewer lines for fewer cells. Shaded
    on a terminal, in plain characters elsewhere; only a part that is whole has the darkest sign,
    and only one that is empty the lightest."""
    signs = SHADES if is_terminal(sys.stdout) and _can_show(SHADES) else PLAIN
    edge = "│" if signs is SHADES else "|"
    lines = []
    count_of_cells = len(cells)
    digits = len(f"{total_length:,}")
    for start in range(0, count_of_cells, WIDTH):
        offset = start * total_length // count_of_cells
        row = "".join(_sign(part, signs) for part in cells[start : start + WIDTH])
        lines.append(f"{offset:>{digits},} {edge}{row}{edge}")
    return lines


def _sign(part: float, signs: str) -> str:
    if part >= 1:
        return signs[-1]
    return signs[0] if part <= 0 else signs[1 + min(2, int(part * 3))]


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _ranges(ranges: Sequence[tuple[int, int]] | Sequence[Range]) -> list[dict[str, int]]:
    return [{"offset": offset, "length": length} for offset, length in ranges]


def _list_ranges(
    session: Session, what: str, ranges: Sequence[tuple[int, int]] | Sequence[Range]
) -> None:
    if not ranges:
        return
    total = size_text(sum(length for _, length in ranges))
    session.out.line(f"{what}: {count(len(ranges), 'range')}, {total}")
    session.out.table(
        [">offset", ">length", ""],
        [(f"{o:,}", f"{n:,}", size_text(n)) for o, n in ranges[:_LISTED]],
    )
    if len(ranges) > _LISTED:
        session.out.line(f"and {len(ranges) - _LISTED:,} more; --json has all")
