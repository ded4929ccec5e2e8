"""Normal forms by their number: the one door to `normal_form_1` and `normal_form_2`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import Unsupported

if TYPE_CHECKING:
    from holdfast.functions.mapping import Mapping
    from holdfast.functions.normalized import NormalizedFunction

NEWEST = 2
"""The normal form of new functions."""


def normalize(
    source: str | bytes, normal_form: int = NEWEST, filename: str = "<source>"
) -> list[NormalizedFunction]:
    """The functions of a source, one result each, callees before callers. Nothing is executed.

    Raises:
        Invalid: not Python, or something that the normal form cannot keep; the message says what.
        Unsupported: another normal form than 1 and 2.
    """
    if normal_form == 1:
        from holdfast.functions.normal_form_1 import normalize_1

        return [normalize_1(source, filename)]
    if normal_form == 2:
        from holdfast.functions.normal_form_2 import normalize_2

        return normalize_2(source, filename)
    raise _unknown(normal_form)


def denormalize(normalized_code: str, normal_form: int, mapping: Mapping) -> str:
    """The function's source under the names of `mapping`.

    Raises:
        Invalid: code that cannot be read, or names that cannot be given to it.
        Unsupported: another normal form than 1 and 2.
    """
    if normal_form == 1:
        from holdfast.functions.normal_form_1 import denormalize_1

        return denormalize_1(
            normalized_code, mapping.name_mapping, mapping.alias_mapping, mapping.docstring
        )
    if normal_form == 2:
        from holdfast.functions.normal_form_2 import denormalize_2

        return denormalize_2(
            normalized_code, mapping.name_mapping, mapping.alias_mapping, mapping.docstring
        )
    raise _unknown(normal_form)


def _unknown(normal_form: int) -> Unsupported:
    return Unsupported("normalising", found=f"normal form {normal_form}", expected="1 or 2")
