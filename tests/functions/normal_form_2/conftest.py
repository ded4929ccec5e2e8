"""Where the fixtures and other Pythons are."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def inputs() -> Path:
    """The inputs of the original program's fixtures."""
    for place in (os.environ.get("HOLDFAST_FIXTURES"), str(_ROOT.parent / "shared" / "fixtures")):
        if place and (found := Path(place) / "ouverture" / "inputs").is_dir():
            return found
    pytest.skip("no fixtures: neither HOLDFAST_FIXTURES nor ../shared/fixtures")


def _python(version: str) -> str:
    places = [p for p in os.environ.get("HOLDFAST_PYTHONS", "").split(":") if p]
    for place in (*places, shutil.which(f"python{version}")):
        if place is None:
            continue
        asked = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([place, "-c", asked], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return place
    pytest.skip(f"no Python {version}: neither on PATH nor in HOLDFAST_PYTHONS")


@pytest.fixture(scope="session", params=["3.12", "3.13"])
def other_python(request: pytest.FixtureRequest) -> str:
    """Another Python's program."""
    return _python(request.param)
