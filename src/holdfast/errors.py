"""The error tree, cut by what a handler would do.

::

    HoldfastError
    ├── Invalid            bad input: mend the call            exit 2
    │   ├── InvalidPath
    │   ├── SchemaViolation
    │   ├── OverlappingBlocks
    │   └── ManifestInvalid
    ├── NotFound           nothing there                       exit 3
    │   ├── Erased
    │   ├── NoSnapshots
    │   └── RangeMissing
    ├── AlreadyExists      something there already             exit 4
    │   └── PathExists
    ├── Conflict           somebody was faster: retry          exit 4
    │   └── SnapshotConflict
    ├── Integrity          bytes are not what was written      exit 5
    │   └── InvalidFormat
    ├── StorageFailure     the disk or the server failed       exit 6
    │   └── NoSpace
    ├── Busy               somebody holds it: wait             exit 7
    ├── Unsupported        a version or ability not had here   exit 8
    └── Denied             not allowed                         exit 9

Each class has a stable ``code``; codes are append-only.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    INTEGRITY = 5
    STORAGE = 6
    BUSY = 7
    UNSUPPORTED = 8
    DENIED = 9
    NAMED_FAILURES = 10
    INTERRUPTED = 130


def one_line(text: str) -> str:
    """`text` with control characters and lone surrogates escaped, so that it stays one line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


class HoldfastError(Exception):
    """Base of every error that Holdfast raises on purpose.

    Args:
        doing: what was being done, as a phrase that starts with a verb ("reading the log").
        target: on what: a path, a reference, a name.
        found: what was found instead.
        expected: what had been expected, where that helps.
        offset: byte offset in `target`.
        hint: what to do next; each class has a default.
        **details: further machine-readable facts, kept in `details` and shown with ``--json``.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL
    default_hint: ClassVar[str] = ""

    def __init__(
        self,
        doing: str,
        target: object = None,
        *,
        found: str = "",
        expected: str = "",
        offset: int | None = None,
        hint: str = "",
        **details: Any,
    ) -> None:
        self.doing = doing
        self.target = None if target is None else str(target)
        self.found = found
        self.expected = expected
        self.offset = offset
        self.hint = hint or self.default_hint
        self.details = details
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.doing
        if self.target is not None:
            text += f" {self.target}"
        if self.offset is not None:
            text += f" at offset {self.offset}"
        if self.found:
            text += f": {self.found}"
        if self.expected:
            text += f" (expected {self.expected})"
        if self.hint:
            text += f"; {self.hint}"
        return one_line(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.__dict__)

    def to_json(self) -> dict[str, Any]:
        """The error as a JSON value with the stable fields of ``--json``."""
        out: dict[str, Any] = {"code": self.code, "message": str(self), "doing": self.doing}
        for name in ("target", "found", "expected", "offset", "hint"):
            value = getattr(self, name)
            if value not in (None, ""):
                out[name] = value
        if self.details:
            out["details"] = {k: _plain(v) for k, v in self.details.items()}
        return out


def _rebuild(cls: type[HoldfastError], state: dict[str, Any]) -> HoldfastError:
    error = cls.__new__(cls)
    error.__dict__.update(state)
    error.args = (str(error),)
    return error


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value)


class Invalid(HoldfastError):
    """Bad input; the same call fails again."""

    code = "invalid"
    exit_code = ExitCode.USAGE


class InvalidPath(Invalid):
    """A path that is empty, absolute, leaves its root, or holds NUL or a backslash."""

    code = "invalid_path"


class SchemaViolation(Invalid):
    """A value that does not fit the declared schema."""

    code = "schema_violation"


class OverlappingBlocks(Invalid):
    """A block of a volume that covers bytes of another one."""

    code = "overlapping_blocks"


class ManifestInvalid(Invalid):
    """A manifest that parses but breaks a rule of its format."""

    code = "manifest_invalid"


class NotFound(HoldfastError):
    """What was asked for is not there."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND


class Erased(NotFound):
    """It was there, and its bytes were erased on purpose; the log still proves that it was."""

    code = "erased"


class NoSnapshots(NotFound):
    """A dataset or volume that nothing was committed to yet."""

    code = "no_snapshots"


class RangeMissing(NotFound):
    """A range of a volume that is not committed in full. Details: ``missing_offset``,
    ``missing_length``, the first gap in it."""

    code = "range_missing"


class AlreadyExists(HoldfastError):
    """Something is there already, and nothing is ever overwritten."""

    code = "already_exists"
    exit_code = ExitCode.CONFLICT


class PathExists(AlreadyExists):
    """A create-only write met an existing path."""

    code = "path_exists"


class Conflict(HoldfastError):
    """Another writer was faster; nothing was written, a retry is safe."""

    code = "conflict"
    exit_code = ExitCode.CONFLICT
    default_hint = "read the present state and try again"


class SnapshotConflict(Conflict):
    """Another snapshot was committed on the same parent."""

    code = "snapshot_conflict"


class Integrity(HoldfastError):
    """Bytes are not the bytes that were written."""

    code = "integrity"
    exit_code = ExitCode.INTEGRITY
    default_hint = "run `holdfast verify` to see all that is damaged"


class InvalidFormat(Integrity):
    """A stored file that cannot be decompressed or decoded."""

    code = "invalid_format"


class StorageFailure(HoldfastError):
    """The disk or the server failed. Details: ``errno``, ``operation``."""

    code = "storage_failure"
    exit_code = ExitCode.STORAGE
    default_hint = "nothing was acknowledged; mend the storage and run it again"


class NoSpace(StorageFailure):
    """No space, or the quota is used up."""

    code = "no_space"
    default_hint = "nothing was acknowledged; free space and run it again"


class Busy(HoldfastError):
    """Somebody else holds what is needed. Details: ``holder``."""

    code = "busy"
    exit_code = ExitCode.BUSY
    default_hint = "wait for it to end, or try again"


class Unsupported(HoldfastError):
    """A version from the future, or an ability that is not to be had here."""

    code = "unsupported"
    exit_code = ExitCode.UNSUPPORTED


class Denied(HoldfastError):
    """Not allowed: permissions, a read-only store, a rule."""

    code = "denied"
    exit_code = ExitCode.DENIED


_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BAD_NAME = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR})
# ELOOP: a symlink where O_NOFOLLOW forbids one.
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP})
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR})


def from_oserror(error: OSError, doing: str, target: object = None) -> HoldfastError:
    """The typed error for an `OSError` of the system (not for one that means a lost race).

    Returns:
        `NoSpace`, `Denied`, `NotFound`, `InvalidPath` or `StorageFailure`, with ``errno`` in its
        details.
    """
    number = error.errno or 0
    name = errno.errorcode.get(number, "unknown error")
    found = f"{error.strerror or error} [{name}]"
    if number in _NO_SPACE:
        kind: type[HoldfastError] = NoSpace
    elif number in _DENIED:
        kind = Denied
    elif number in _MISSING:
        kind = NotFound
    elif number in _BAD_NAME:
        kind = InvalidPath
    else:
        kind = StorageFailure
    return kind(doing, target, found=found, errno=name)
