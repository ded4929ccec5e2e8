"""What a restore says when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.ingest.report import Named


@dataclass(slots=True)
class RestoreReport:
    """What was restored to `target`.

    Attributes:
        files: paths restored: files, symlinks and empty folders; bytes: of the files.
        damaged: paths whose stored bytes are not what was recorded; they are not restored.
        errors: paths that could not be restored for another reason.
        unset: paths restored without their mode or time, which the system refused.
        missing: paths that the run had named as not taken in.
    """

    target: str
    files: int = 0
    bytes: int = 0
    damaged: list[Named] = field(default_factory=list)
    errors: list[Named] = field(default_factory=list)
    unset: list[Named] = field(default_factory=list)
    missing: list[Named] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether everything that the run holds was restored."""
        return not (self.damaged or self.errors)

    def to_json(self) -> dict[str, Any]:
        """As JSON; the fields are stable."""
        return {
            "ok": self.ok,
            "target": self.target,
            "files": self.files,
            "bytes": self.bytes,
            "damaged": [n.to_json() for n in self.damaged],
            "errors": [n.to_json() for n in self.errors],
            "unset": [n.to_json() for n in self.unset],
            "missing": [n.to_json() for n in self.missing],
            "seconds": round(self.seconds, 3),
        }
