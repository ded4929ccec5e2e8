"""Python functions with names in many languages, kept by what they do (spec/functions.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.functions.mapping import Mapping
    from holdfast.functions.migrate import MigrationReport
    from holdfast.functions.model import Added, Loaded, MappingInfo
    from holdfast.functions.normal_forms import denormalize, normalize
    from holdfast.functions.normalized import NormalizedFunction
    from holdfast.functions.planning import Source
    from holdfast.functions.pool import FunctionPool
    from holdfast.functions.validate import Validation

_HOMES = {
    "Added": "model",
    "FunctionPool": "pool",
    "Loaded": "model",
    "Mapping": "mapping",
    "MappingInfo": "model",
    "MigrationReport": "migrate",
    "NormalizedFunction": "normalized",
    "Source": "planning",
    "Validation": "validate",
    "denormalize": "normal_forms",
    "normalize": "normal_forms",
}
__all__ = [
    "Added",
    "FunctionPool",
    "Loaded",
    "Mapping",
    "MappingInfo",
    "MigrationReport",
    "NormalizedFunction",
    "Source",
    "Validation",
    "denormalize",
    "normalize",
]


def __getattr__(name: str) -> object:
    # Lazily: the normal forms import nothing else, and run on Pythons that have nothing else.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
