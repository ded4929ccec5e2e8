"""What a server's reply means: read out of the errors of `obstore`, and told as Holdfast's own.

obstore gives one class for most failures and the status only within its text; this module is the
only place that looks at that text. Replies can repeat what was sent, so only the status, the code
and the kind of failure are ever passed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from holdfast.errors import (
    Denied,
    HoldfastError,
    InvalidPath,
    NoSpace,
    NotFound,
    StorageFailure,
    Unsupported,
)


class Meaning(Enum):
    """What a failed request tells."""

    MISSING = auto()
    """No such object."""
    NO_BUCKET = auto()
    REFUSED = auto()
    """A condition was not met: the server says that it did nothing."""
    RANGE = auto()
    """The range begins at or beyond the end."""
    DENIED = auto()
    NO_SPACE = auto()
    UNSUPPORTED = auto()
    BAD_NAME = auto()
    TRANSIENT = auto()
    """No reply, or one that says: try again. Whether a write happened is not known."""
    UNREACHABLE = auto()
    """No connection: nothing was sent, nothing happened; worth another try."""
    FAILED = auto()
    """Refused for good; nothing happened."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A failed request: what it means, the HTTP status (None: no reply), and a short text."""

    meaning: Meaning
    status: int | None
    text: str

    def error(self, doing: str, target: str, *, hint: str = "") -> HoldfastError:
        """The typed error for this reply, with ``status`` in its details."""
        kind = _KINDS[self.meaning]
        if self.meaning is Meaning.NO_BUCKET and not hint:
            hint = "create the bucket first, or mend its name"
        if self.meaning is Meaning.DENIED and not hint:
            hint = "check the credentials and what they allow"
        if self.status is None:
            return kind(doing, target, found=self.text, hint=hint)
        return kind(doing, target, found=self.text, hint=hint, status=self.status)


_KINDS: dict[Meaning, type[HoldfastError]] = {
    Meaning.MISSING: NotFound,
    Meaning.NO_BUCKET: NotFound,
    Meaning.REFUSED: StorageFailure,
    Meaning.RANGE: StorageFailure,
    Meaning.DENIED: Denied,
    Meaning.NO_SPACE: NoSpace,
    Meaning.UNSUPPORTED: Unsupported,
    Meaning.BAD_NAME: InvalidPath,
    Meaning.TRANSIENT: StorageFailure,
    Meaning.UNREACHABLE: StorageFailure,
    Meaning.FAILED: StorageFailure,
}

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9._-]{1,60})</Code>")
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_FULL = frozenset({"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull", "StorageFull"})
_LOST = (
    ("kind: Timeout", "the server did not answer in time"),
    ("error sending request", "the connection broke"),
    ("error decoding response body", "the answer broke off"),
    ("connection closed", "the connection broke"),
)


def read_reply(error: Exception) -> Reply:
    """What `error`, raised by obstore, means."""
    from obstore import exceptions

    text = str(error)
    found = _STATUS.search(text)
    status = int(found.group(1)) if found else None
    code_match = _CODE.search(text)
    code = code_match.group(1) if code_match else ""
    short = " ".join(x for x in (f"HTTP {status}" if status else "", code) if x)
    if code == "NoSuchBucket" or "ContainerNotFound" in code:
        return Reply(Meaning.NO_BUCKET, status, "the bucket is not there")
    if code in _FULL or status == 507:
        return Reply(Meaning.NO_SPACE, status, short)
    if isinstance(error, FileNotFoundError):
        return Reply(Meaning.MISSING, status, "not there")
    if isinstance(
        error,
        (
            exceptions.AlreadyExistsError,
            exceptions.PreconditionError,
            exceptions.NotModifiedError,
        ),
    ):
        return Reply(Meaning.REFUSED, status, short or "the condition was not met")
    refused = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
    if isinstance(error, refused) or status in (401, 403):
        return Reply(Meaning.DENIED, status, short or "not allowed")
    if isinstance(error, exceptions.NotSupportedError) or status == 501:
        return Reply(Meaning.UNSUPPORTED, status, short or "the server cannot do that")
    if isinstance(error, exceptions.InvalidPathError) or (
        isinstance(error, ValueError) and "parse path" in text
    ):
        return Reply(Meaning.BAD_NAME, status, "a name that object stores do not take")
    if status == 416:
        return Reply(Meaning.RANGE, status, short)
    if status is not None:
        meaning = Meaning.TRANSIENT if status in _TRANSIENT_STATUS else Meaning.FAILED
        return Reply(meaning, status, short)
    if "kind: Connect" in text:
        return Reply(Meaning.UNREACHABLE, None, "no connection to the server")
    for sign, words in _LOST:
        if sign in text:
            return Reply(Meaning.TRANSIENT, None, words)
    if "HTTP error" in text or "Http(" in text or "reqwest" in text:
        return Reply(Meaning.TRANSIENT, None, "the exchange with the server failed")
    if "credential" in text.lower() or "metadata" in text.lower():
        return Reply(Meaning.DENIED, None, "no credentials could be had")
    return Reply(Meaning.FAILED, None, f"{type(error).__name__} without an HTTP status")
