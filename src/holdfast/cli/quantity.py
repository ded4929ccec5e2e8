"""Numbers of bytes as people write them: ``4096``, ``64KiB``, ``1.5 GiB``."""

from __future__ import annotations

import re
from fractions import Fraction

from holdfast.errors import Invalid

_FORM = re.compile(r"(\d{1,30}(?:\.\d{1,30})?) ?([A-Za-z]*)\Z", re.ASCII)
_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgtpe", 1):
    _UNITS[f"{_letter}b"] = 1000**_power
    _UNITS[f"{_letter}ib"] = 1024**_power

LARGEST = 2**63 - 1


def parse_bytes(text: str, what: str) -> int:
    """The number of bytes that `text` says; ``KB`` is 1000 of them, ``KiB`` 1024.

    Raises:
        Invalid: it says none, not a whole one, or more than 2**63 - 1.
    """
    match = _FORM.match(text.strip())
    unit = None if match is None else _UNITS.get(match[2].lower())
    if match is not None and unit is not None:
        value = Fraction(match[1]) * unit
        if value.denominator == 1 and value <= LARGEST:
            return int(value)
    raise Invalid(
        f"reading {what}",
        repr(text),
        expected="a whole number of bytes, as in 4096, 64KiB or 1.5GiB",
    )
