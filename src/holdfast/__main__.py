"""``python -m holdfast``."""

from __future__ import annotations

import sys

from holdfast.cli.entry import run

if __name__ == "__main__":
    sys.argv[0] = "holdfast"
    sys.exit(run())
