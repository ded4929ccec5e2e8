"""Names of leases, and the texts that name who holds them."""

from __future__ import annotations

import os
from typing import Any

from holdfast.clock import Clock, rfc3339
from holdfast.errors import Busy, Invalid


def check_name(name: str) -> str:
    """`name`, if it is names parted by single slashes; raises `Invalid`."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in name or "\\" in name:
        raise Invalid("taking the lease", repr(name), expected="names parted by single slashes")
    return name


def busy(name: str, holder: str | None, timeout: float | None) -> Busy:
    """The error that names the holder; None: shared by others."""
    waited = "" if not timeout else f" after {timeout:g} s"
    return Busy(
        "taking the lease",
        name,
        found=f"held by {holder or 'others, shared'}{waited}",
        holder=holder or "shared",
    )


def holder_facts(clock: Clock, command: str | None) -> dict[str, Any]:
    """Who this process is, since now."""
    import platform
    import sys

    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "command": command or " ".join(sys.argv[:3])[:200],
        "since": rfc3339(clock.now_ns()),
    }


def holder_text(facts: dict[str, Any]) -> str:
    """`holder_facts` as a text for people."""
    return (
        f"process {facts.get('pid')} on {facts.get('host')} "
        f"({facts.get('command')}) since {facts.get('since')}"
    )
