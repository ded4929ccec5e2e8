"""Hashes of functions on whichever Python runs this, as JSON lines; used by the test of versions.

PYTHONPATH=src python tests/functions/normal_form_2_hashes.py STDLIB-FOLDER EVERY-NTH-FILE
PYTHONPATH=src python tests/functions/normal_form_2_hashes.py - < sources.json
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from normal_form_2_stdlib import function_sources, lone_function, stdlib_files

from holdfast.errors import Invalid
from holdfast.functions.normal_form_2 import normalize_2


def hashes(sources: list[str]) -> dict[str, list[str]]:
    """SHA-256 of each source → hash, SHA-256 of the normal text; refused sources are left out."""
    out = {}
    for source in sources:
        try:
            found = normalize_2(source)[0]
        except Invalid:
            continue
        text = hashlib.sha256(found.normalized_code.encode("utf-8", "surrogatepass")).hexdigest()
        out[hashlib.sha256(source.encode()).hexdigest()] = [found.hash, text]
    return out


def stdlib_sources(folder: str | None, step: int) -> list[str]:
    """The functions of every `step`th module below `folder`, each alone."""
    out = []
    for path in stdlib_files(folder)[::step]:
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        out.extend(s for f in function_sources(text) if (s := lone_function(f)) is not None)
    return out


if __name__ == "__main__":
    if sys.argv[1] == "-":
        given = json.load(sys.stdin)
    else:
        given = stdlib_sources(sys.argv[1], int(sys.argv[2]))
    json.dump(hashes(given), sys.stdout)
