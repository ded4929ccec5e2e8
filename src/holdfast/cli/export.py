"""``export-log``: the history as one file that needs no Holdfast to be read."""

from __future__ import annotations

from typing import Annotated, BinaryIO, cast

import typer

from holdfast.cli.output import path_fields, path_text, size_text
from holdfast.cli.session import Session


def export_log(
    session: Session,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="The new file to write.")
    ],
) -> None:
    """Write the whole log as one file.

    The file is the canonical log of docs/spec/ledger.md, readable without Holdfast.
    """
    from holdfast.cli.delivery import NewFile

    with session.open(read_only=True) as repo, NewFile(output) as file:
        repo.ledger.export_log(cast(BinaryIO, file))
        file.publish()
    if session.json:
        session.out.value({**path_fields(output, "output"), "size": file.size})
    session.out.line(f"{size_text(file.size)} written to {path_text(output)}")
    session.next("verify")


COMMANDS = {"export-log": export_log}
