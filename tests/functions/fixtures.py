"""Where the pools and inputs of the original program are, if they are here."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_SHARED = Path(__file__).parents[3] / "shared" / "fixtures"
OUVERTURE = Path(os.environ.get("HOLDFAST_FIXTURES") or _SHARED) / "ouverture"

needs_ouverture = pytest.mark.skipif(
    not OUVERTURE.is_dir(),
    reason=f"no fixtures of the original at {OUVERTURE}; HOLDFAST_FIXTURES names their folder",
)


@cache
def expected() -> dict[str, Any]:
    """What the original did with each input."""
    return json.loads((OUVERTURE / "expected.json").read_text("utf-8"))


def input_cases() -> list[Any]:
    """One parameter for each input, named as its file; none where the fixtures are absent."""
    if not OUVERTURE.is_dir():
        return []
    return [pytest.param(case, id=Path(case["input"]).name) for case in expected()["inputs"]]


def source_of(case: dict[str, Any]) -> bytes:
    """The bytes of a case's input."""
    return (OUVERTURE / case["input"]).read_bytes()
