"""The decision table (spec/runs.md §3), pure: what becomes of a path that a run met."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.runs.model import Outcome


class Content(NamedTuple):
    """What makes two contents the same: kind, SHA-256 of a file, target of a symlink.

    Modes and times are not content: a run's list keeps them as that run saw them.
    """

    kind: str
    sha256: str | None = None
    target: bytes | None = None


class Known(NamedTuple):
    """A version that the project has: its content, and whether it was processed successfully."""

    file_id: str
    content: Content
    processed: bool


class Decision(NamedTuple):
    """What is to be done.

    Attributes:
        outcome: see `Outcome`.
        same: the version that the entry is (duplicate, processed again), or None.
        reuse: an older version of this path whose stored bytes the new version refers to.
        supersedes: the version that is no longer current.
    """

    outcome: Outcome
    same: Known | None = None
    reuse: Known | None = None
    supersedes: Known | None = None


def decide(
    content: Content | None, current: Known | None, older: Known | None, *, seen: bool
) -> Decision:
    """The row of the table that holds.

    Args:
        content: what was met; None where it could not be read.
        current: the path's current version.
        older: a superseded version of this path with this content.
        seen: whether the project ever had a version of this path.
    """
    if content is None:
        return Decision(Outcome.FAILED)
    if current is None:
        if not seen:
            return Decision(Outcome.NEW_FILE)
        return Decision(Outcome.NEW_VERSION, reuse=older)
    if current.content == content:
        outcome = Outcome.DUPLICATE if current.processed else Outcome.PROCESSED_AGAIN
        return Decision(outcome, same=current)
    return Decision(Outcome.NEW_VERSION, reuse=older, supersedes=current)


def becomes_removed(
    path: bytes,
    *,
    last_source: str | None,
    source: str,
    last_order: int,
    begin_order: int,
    unread: frozenset[bytes],
) -> bool:
    """Whether a current path that a whole walk did not meet becomes `removed`.

    Only a path last seen from the same source, not seen by another run since this one began, and
    not at or below something that could not be read.
    """
    if last_source != source or last_order >= begin_order:
        return False
    if not unread:
        return True
    if b"" in unread or path in unread:
        return False
    at = path.find(b"/")
    while at >= 0:
        if path[:at] in unread:
            return False
        at = path.find(b"/", at + 1)
    return True
