"""Who won a conditional write, when the reply alone does not tell. Pure logic.

Every write carries a random token in the object's metadata, and every compare-and-swap carries
the tokens of the versions before it along, newest first. Reading the tokens back after an unclear
reply then proves one of three things: this write is there (or was, and was built upon by others);
it never took place; or neither can be shown any more. The third is told as a failure: what was
not proved is reported neither as a success nor as a lost race.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

METADATA_KEY = "holdfasttokens"
"""Letters only: Azure takes nothing else, and some proxies drop names with underscores."""

TOKEN_BYTES = 8
HISTORY = 48
"""Tokens kept: 48 of 16 hex digits and their commas are 815 bytes of the 2 KB that S3 allows."""

_TOKENS = re.compile(r"[0-9a-f]{16}(?:,[0-9a-f]{16})*\Z")


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an object: its tag (as the server gave it), version id, tokens and size."""

    e_tag: str | None
    version: str | None
    tokens: tuple[str, ...]
    size: int


class Verdict(Enum):
    """What became of a conditional write."""

    OURS = auto()
    """It took place."""
    LOST = auto()
    """It did not, and another's is there."""
    UNCHANGED = auto()
    """It did not so far: it may be sent again."""
    UNKNOWN = auto()
    """Nothing can be proved."""


def read_tokens(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """The tokens in an object's metadata; () where there are none or others than ours."""
    text = attributes.get(METADATA_KEY, "")
    return tuple(text.split(",")) if _TOKENS.match(text) else ()


def write_tokens(token: str, before: tuple[str, ...] = ()) -> dict[str, str]:
    """The metadata of a write with `token` on top of a version with the tokens `before`."""
    return {METADATA_KEY: ",".join((token, *before)[:HISTORY])}


def settle_create(
    found: Version | None, token: str, *, unclear: bool, bare_size: int | None = None
) -> Verdict:
    """Who created the path, judged by the version `found` there.

    `unclear`: a reply to this write was lost or may hide a success. `bare_size`: the size of this
    write's object where the way of writing it keeps no token.
    """
    if found is None:
        return Verdict.UNCHANGED
    if token in found.tokens:
        return Verdict.OURS
    if unclear and not found.tokens and found.size == bare_size:
        return Verdict.UNKNOWN  # ours, or a twin of the same size that another wrote
    if unclear and len(found.tokens) >= HISTORY:
        return Verdict.UNKNOWN  # its first versions are no longer named
    return Verdict.LOST


def settle_swap(base: Version, found: Version | None, token: str, *, unclear: bool) -> Verdict:
    """Whether the version `base` was replaced by this write, judged by the version `found` now."""
    if found is None:
        return Verdict.UNKNOWN if unclear else Verdict.LOST
    if token in found.tokens:
        return Verdict.OURS
    if found.e_tag == base.e_tag and found.tokens == base.tokens:
        return Verdict.UNCHANGED
    if not unclear:
        return Verdict.LOST
    if base.tokens and base.tokens[0] in found.tokens:
        return Verdict.LOST  # the line from base to now is whole, and this write is not in it
    return Verdict.UNKNOWN
