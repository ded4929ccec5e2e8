"""Runs every comparison, or those named: `python benchmarks/run.py ingest_small log`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ALL = ["startup", "log", "objects", "ingest_small", "ingest_large"]


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(ALL))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    for name in names or ALL:
        print(f"== {name}", flush=True)
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name(f"{name}.py"))], check=False
        )
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
