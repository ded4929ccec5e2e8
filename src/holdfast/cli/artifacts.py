"""``put``, ``get``, ``tombstone``, ``lift``, ``snapshot``: artifacts of the ledger."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from holdfast.cli.output import path_fields, path_text, size_text
from holdfast.cli.session import Session
from holdfast.errors import Invalid, from_oserror

if TYPE_CHECKING:
    from holdfast.ledger.artifact import Reference
    from holdfast.ledger.ledger import Ledger

U32_MAX = 2**32 - 1

ReferenceArgument = Annotated[
    str,
    typer.Argument(metavar="REF", help="asl1:… or at least 8 hex digits of the digest."),
]


def put(
    session: Session,
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="What to keep; - is standard input.")
    ],
    type_tag: Annotated[
        str | None,
        typer.Option(
            "--type-tag", metavar="N", help="A 32-bit number that says what the bytes are."
        ),
    ] = None,
) -> None:
    """Keep one file's bytes and print their reference."""
    tag = None if type_tag is None else u32(type_tag, "--type-tag")
    source = _open_source(file)
    try:
        with session.open() as repo:
            reference = repo.ledger.put_stream(source, tag)
            size = repo.ledger.stat(reference).size if session.json else 0
    finally:
        if file != "-":
            source.close()
    if session.json:
        session.out.value({"reference": reference.text, "size": size, "type_tag": tag})
    session.out.result(reference.text)


def get(
    session: Session,
    what: Annotated[
        str,
        typer.Argument(
            metavar="REF|sha256:HEX|PROJECT/PATH",
            help="An artifact or stored file by its digest (8 digits or more), or a current file.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="A new file; never overwritten."),
    ] = None,
) -> None:
    """Give bytes back, checked against their digest.

    Without -o they go to standard output, where a terminal only takes plain text. The digest is
    known to be right when the command ends with exit code 0.
    """
    from holdfast.cli.delivery import chunks_of, to_file, to_stdout
    from holdfast.cli.target import find_content

    if output is None and session.json:
        raise Invalid("getting with --json", found="no -o FILE", hint="name a file with -o")
    with session.open(read_only=True) as repo:
        content = find_content(repo, what)
        with closing(content.open()) as readable:
            if output is None:
                to_stdout(chunks_of(readable))
                return
            size = to_file(chunks_of(readable), output)
    if session.json:
        session.out.value({"id": content.id, "size": size, **path_fields(output, "output")})
    session.out.line(f"{size_text(size)} of {content.id} written to {path_text(output)}")
    session.next(f"show {content.id}")


def tombstone(
    session: Session,
    ref: ReferenceArgument,
    scope: Annotated[int, typer.Option(min=0, max=U32_MAX, help="Yours to define.")] = 0,
    reason: Annotated[int, typer.Option(min=0, max=U32_MAX, help="Yours to define.")] = 0,
) -> None:
    """Hide an artifact; its bytes stay.

    Prints the logseq that `holdfast lift` needs to bring it back.
    """
    with session.open() as repo:
        reference = _find(repo.ledger, ref)
        logseq = repo.ledger.tombstone(reference, scope, reason)
    if session.json:
        session.out.value({"reference": reference.text, "logseq": logseq})
    session.out.result(str(logseq))
    session.next(f"lift {reference.text} {logseq}")


def lift(
    session: Session,
    ref: ReferenceArgument,
    logseq: Annotated[
        int, typer.Argument(metavar="LOGSEQ", min=1, max=2**64 - 1, help="What tombstone printed.")
    ],
) -> None:
    """Undo one tombstone.

    Prints the logseq of the lift.
    """
    with session.open() as repo:
        reference = _find(repo.ledger, ref)
        lifted = repo.ledger.lift(reference, logseq)
    if session.json:
        session.out.value({"reference": reference.text, "tombstone": logseq, "logseq": lifted})
    session.out.result(str(lifted))
    session.next(f"show {reference.text}")


def snapshot(session: Session) -> None:
    """Write down the state of the index and print its id.

    Opening the repository then reads less of the log.
    """
    with session.open() as repo:
        number = repo.ledger.snapshot()
        logseq = repo.ledger.position()
    if session.json:
        session.out.value({"snapshot": number, "logseq": logseq})
    session.out.result(str(number))
    session.next("status")


def u32(text: str, option: str) -> int:
    """The number that `text` writes, decimal or 0x…; raises `Invalid`."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= U32_MAX:
        raise Invalid(
            f"reading {option}", repr(text), expected="a number from 0 to 4294967295 (or 0x…)"
        )
    return value


def _find(ledger: Ledger, ref: str) -> Reference:
    from holdfast.cli.target import find_artifact

    return find_artifact(ledger, ref)


def _open_source(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return open(file, "rb")
    except OSError as error:
        raise from_oserror(error, "reading", file) from None


COMMANDS = {
    "put": put,
    "get": get,
    "tombstone": tombstone,
    "lift": lift,
    "snapshot": snapshot,
}
