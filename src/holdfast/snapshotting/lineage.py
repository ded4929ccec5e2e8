"""Who made a snapshot, why and from what: the extra field ``holdfast`` of a manifest.

The original ignores it. Fields in this order, empty ones left out: ``author``, ``message``,
``run``, ``inputs``, ``nonce``, ``real``, ``replaces``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.errors import Invalid, Unsupported
from holdfast.records import is_input
from holdfast.snapshotting.fields import Fields
from holdfast.snapshotting.manifest_json import Ordered

FIELD = "holdfast"
MARK_FIELD = "holdfast_mark"
_SURROGATE = re.compile("[\ud800-\udfff]")
MARKS = frozenset({"healed", "gc", "replacement"})


@dataclass(frozen=True, slots=True)
class Lineage:
    """Origin of a snapshot.

    Attributes:
        author: who committed it.
        message: what it is, in the author's words.
        run: id of the run that made it.
        inputs: references of what it was made from.
        nonce: random text that tells two commits under one id apart.
        real: of a marked snapshot: the newest unmarked snapshot below it; "" where there is none.
        replaces: the snapshot of which this one holds the rows that were not erased; "" for none.
    """

    author: str = ""
    message: str | None = None
    run: str | None = None
    inputs: tuple[str, ...] = ()
    nonce: str = ""
    real: str = ""
    replaces: str = ""

    def __post_init__(self) -> None:
        """Text becomes what it reads back as: the COMMIT of the ledger takes no other."""
        for name in ("author", "message", "run"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, _SURROGATE.sub("\ufffd", value))


def lineage_of(
    message: str | None = None, inputs: Sequence[str] = (), run: str | None = None
) -> Lineage:
    """The lineage that a caller names.

    Raises:
        Invalid: an input that no COMMIT could name.
    """
    named = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    for item in named:
        if not is_input(item):
            raise Invalid(
                "naming what it was made from",
                repr(item),
                expected="commit:<logseq>, asl1:<hash id>:<digest> or sha256:<64 hex digits>",
            )
    return Lineage(message=message, inputs=named, run=run)


def lineage_fields(lineage: Lineage | None, mark: str) -> list[tuple[str, Any]]:
    """The extra fields at the end of a manifest; none where there is nothing to say."""
    out: list[tuple[str, Any]] = []
    if lineage is not None:
        facts = (
            ("author", lineage.author),
            ("message", lineage.message),
            ("run", lineage.run),
            ("inputs", list(lineage.inputs)),
            ("nonce", lineage.nonce),
            ("real", lineage.real),
            ("replaces", lineage.replaces),
        )
        out.append((FIELD, Ordered((name, value) for name, value in facts if value)))
    if mark:
        out.append((MARK_FIELD, mark))
    return out


def read_lineage(fields: Fields, path: str) -> tuple[Lineage | None, str]:
    """Lineage and mark of a manifest.

    Raises:
        ManifestInvalid: a field of another type.
        Unsupported: a mark that is not known here.
    """
    mark = fields.text(MARK_FIELD)
    if mark and mark not in MARKS:
        raise Unsupported(
            "reading the manifest",
            path,
            found=f"the mark {mark[:60]!r}",
            expected=", ".join(sorted(MARKS)),
            hint="a newer Holdfast wrote it; upgrade",
        )
    inner = fields.object(FIELD)
    if inner is None:
        return None, mark
    lineage = Lineage(
        author=inner.text("author"),
        message=inner.optional_text("message"),
        run=inner.optional_text("run"),
        inputs=inner.texts("inputs"),
        nonce=inner.text("nonce"),
        real=inner.text("real"),
        replaces=inner.text("replaces"),
    )
    return lineage, mark
