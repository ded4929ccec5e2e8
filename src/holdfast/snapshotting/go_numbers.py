"""Floating-point numbers as Go spells them: the shortest digits that read back to the same value,
laid out as its JSON (spec/datasets.md §3) or its ``%v`` (§4) lays them out."""

from __future__ import annotations

import math
import sys
from typing import Any

from holdfast.errors import Invalid


def decimal_digits(value: Any) -> tuple[str, str, int]:
    """Sign ("" or "-"), digits ``d1 d2 …`` and exponent e of the shortest decimal
    ``d1.d2… × 10**e`` that reads back as `value`: a finite float, or one of numpy's float16 and
    float32, whose digits are the shortest in their own precision."""
    if isinstance(value, float):
        text = float.__repr__(value)
    else:
        import numpy as np

        text = np.format_float_scientific(value, unique=True, trim="-")
    sign = "-" if text.startswith("-") else ""
    mantissa, _, power = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) + len(whole) - 1 - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return (sign, digits, exponent) if digits else (sign, "0", 0)


def go_float(value: Any) -> str:
    """A number in JSON as Go's encoding/json prints it: plain where 1e-6 <= abs(x) < 1e21, else
    with an exponent (``1e+21``, ``1e-7``); ``-0`` keeps its sign.

    Raises:
        Invalid: NaN or infinity.
    """
    if not math.isfinite(value):
        raise Invalid("writing JSON", found=f"the number {float(value)}")
    sign, digits, exponent = decimal_digits(value)
    if -6 <= exponent < 21:
        return sign + _plain(digits, exponent)
    return f"{sign}{_mantissa(digits)}e{'-' if exponent < 0 else '+'}{abs(exponent)}"


def go_float_v(value: Any) -> str:
    """A number as Go's ``%v`` prints it: plain while -4 <= e < 6, else ``d.ddde+06``; NaN, +Inf
    and -Inf are words."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = decimal_digits(value)
    if -4 <= exponent < 6:
        return sign + _plain(digits, exponent)
    return f"{sign}{_mantissa(digits)}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def is_numpy_float(value: Any) -> bool:
    """Whether it is a float of numpy's that is not a Python float."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.float16, numpy.float32))


def _mantissa(digits: str) -> str:
    return digits[0] + ("." + digits[1:] if len(digits) > 1 else "")


def _plain(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits.ljust(exponent + 1, "0")
    return digits[: exponent + 1] + "." + digits[exponent + 1 :]
