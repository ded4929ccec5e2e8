"""Runs every comparison, or those named: `python benchmarks/run.py ingest_small log`.

`--full` makes those larger that have a full size: it is handed on to them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ALL = [
    "startup",
    "log",
    "objects",
    "ingest_small",
    "ingest_large",
    "datasets_commits",
    "datasets_tables",
    "datasets_scan",
    "datasets_stream",
    "volumes",
]
FULL = {"datasets_stream"}


def main(names: list[str]) -> int:
    full = "--full" in names
    names = [name for name in names if name != "--full"]
    unknown = sorted(set(names) - set(ALL))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    for name in names or ALL:
        print(f"== {name}", flush=True)
        options = ["--full"] if full and name in FULL else []
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *options], check=False
        )
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
