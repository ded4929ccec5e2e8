"""Other Pythons on this machine, and code of ours run by them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_SRC = Path(__file__).parents[2] / "src"
VERSIONS = ("3.11", "3.12", "3.13")


@cache
def _found() -> dict[str, str]:
    named = [path for path in os.environ.get("HOLDFAST_PYTHONS", "").split(":") if path]
    on_path = [path for v in VERSIONS if (path := shutil.which(f"python{v}"))]
    found: dict[str, str] = {}
    for path in named + on_path:
        script = "import sys; print('%d.%d' % sys.version_info[:2])"
        asked = subprocess.run([path, "-c", script], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            found.setdefault(asked.stdout.strip(), path)
    return found


def python(version: str) -> str:
    """The path of that Python; skips the test, saying so, when there is none."""
    if version == "{}.{}".format(*sys.version_info[:2]):
        return sys.executable
    if version not in _found():
        pytest.skip(f"no python{version} on PATH or in HOLDFAST_PYTHONS")
    return _found()[version]


def run_on(version: str, script: str, value: Any) -> Any:
    """Runs `script` with `value` as JSON on its input; what it prints, as JSON."""
    done = subprocess.run(
        [python(version), "-W", "ignore", "-c", script],
        input=json.dumps(value).encode("ascii"),
        capture_output=True,
        check=False,
        env={"PYTHONPATH": str(_SRC), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath},
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
    return json.loads(done.stdout)
