"""Whether a stored function is what its hash says (spec/functions.md §3)."""

from __future__ import annotations

from holdfast.errors import Unsupported


def recompute_hash(normalized_code: str, normal_form: int) -> str:
    """The hash of stored code. Nothing is executed.

    Raises:
        Invalid: code that cannot be read.
        Unsupported: another normal form than 1 and 2.
    """
    if normal_form == 1:
        from holdfast.functions.normal_form_1 import hash_1

        return hash_1(normalized_code)
    if normal_form == 2:
        from holdfast.functions.normal_form_2 import hash_2

        return hash_2(normalized_code)
    raise Unsupported("hashing", found=f"normal form {normal_form}", expected="1 or 2")
