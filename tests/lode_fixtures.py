"""The stores that the original wrote, if they are here, and the wrappers of their expectations."""

from __future__ import annotations

import base64
import json
import os
import shutil
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_SHARED = Path(__file__).parents[2] / "shared" / "fixtures"
FIXTURES = Path(os.environ.get("HOLDFAST_FIXTURES") or _SHARED)
LODE = FIXTURES / "lode"

needs_lode = pytest.mark.skipif(
    not LODE.is_dir(),
    reason=f"no stores of the original at {LODE}; HOLDFAST_FIXTURES names the fixtures' folder",
)


def case_names() -> list[str]:
    """The stores; none where the fixtures are absent."""
    if not LODE.is_dir():
        return []
    return sorted(path.name for path in LODE.iterdir() if (path / "store").is_dir())


@cache
def expected(case: str) -> dict[str, Any]:
    """What the original did and read; wrappers as they are."""
    text = (LODE / case / "expected.json").read_text("utf-8")
    return json.loads(text, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))


@cache
def vectors() -> dict[str, Any]:
    """The golden vectors; empty where the fixtures are absent, so that parametrising works."""
    path = LODE / "vectors" / "vectors.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def materialise(case: str, folder: Path) -> Path:
    """A writable copy of a store, with the folders that Git does not keep."""
    target = folder / case
    shutil.copytree(LODE / case / "store", target)
    prefix = f"lode/{case}/store/"
    for line in (FIXTURES / "empty_dirs.txt").read_text("utf-8").splitlines():
        if line.startswith(prefix):
            (target / line[len(prefix) :]).mkdir(parents=True, exist_ok=True)
    for parent, _, files in os.walk(target):
        os.chmod(parent, 0o755)
        for file in files:
            os.chmod(os.path.join(parent, file), 0o644)
    return target


def manifest_paths(case: str) -> list[str]:
    """The paths of all manifests in a store, copies included."""
    store = LODE / case / "store"
    return sorted(str(p.relative_to(store)) for p in store.rglob("manifest.json"))


def unwrap(value: Any) -> Any:
    """A value of the expectations as Python has it.

    ``$bytes`` → bytes; ``$strbytes`` → str with surrogates for what is no UTF-8; ``$f64``,
    ``$float`` → float; ``$f32`` → numpy.float32; ``$time`` → an aware datetime, with digits below
    the microsecond as `NanoTime`.
    """
    if isinstance(value, list):
        return [unwrap(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    if "$strbytes" in value:
        return base64.b64decode(value["$strbytes"]).decode("utf-8", "surrogateescape")
    if "$f64" in value:
        return _hex_float(value["$f64"])
    if "$float" in value:
        return float(value["$float"])
    if "$f32" in value:
        import numpy as np

        return np.float32(_hex_float(value["$f32"]))
    if "$time" in value:
        return _time(value["$time"])
    return {key: unwrap(item) for key, item in value.items()}


def _hex_float(text: str) -> float:
    return float(text) if text.lstrip("+-").lower() in ("inf", "nan") else float.fromhex(text)


class NanoTime(datetime):
    """A datetime with the attribute `nanosecond` (0 to 999), as `pandas.Timestamp` has it."""

    nanosecond = 0


def _time(text: str) -> datetime:
    zone: Any = UTC
    if text.endswith("Z"):
        clock = text[:-1]
    else:
        clock, zone_text = text[:-6], text[-6:]
        offset = timedelta(hours=int(zone_text[1:3]), minutes=int(zone_text[4:6]))
        zone = timezone(-offset if zone_text[0] == "-" else offset)
    clock, _, fraction = clock.partition(".")
    ns = int(fraction.ljust(9, "0")) if fraction else 0
    day, _, hours = clock.partition("T")
    out = NanoTime(
        *(int(part) for part in day.split("-")),
        *(int(part) for part in hours.split(":")),
        ns // 1000,
        tzinfo=zone,
    )
    out.nanosecond = ns % 1000
    return out
