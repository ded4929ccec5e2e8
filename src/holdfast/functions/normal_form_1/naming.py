"""Which name is printed for which name, so that printing and renaming are one walk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

FUNCTION_NAME: Final = "_ouverture_v_0"
POOL_MODULE: Final = "ouverture.pool"


def normal_name(number: int) -> str:
    """The normal name with that number; 0 is the function itself."""
    return f"_ouverture_v_{number}"


@dataclass(frozen=True, slots=True)
class Naming:
    """Names to print instead of the names in the tree.

    Attributes:
        names: for names in expressions; may be a dotted text.
        bound: for parameters and the names of nested functions.
        attributes: hash → name to print for the whole of ``hash._ouverture_v_0``.
        in_annotations: `names` for the annotations of parameters, which the original leaves out.
        imported: hash → alias to print in pool imports that have none.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    bound: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    in_annotations: Mapping[str, str] = field(default_factory=dict)
    imported: Mapping[str, str] = field(default_factory=dict)

    def of_annotations(self) -> Naming:
        """The naming inside the annotation of a parameter."""
        return Naming(names=self.in_annotations)
