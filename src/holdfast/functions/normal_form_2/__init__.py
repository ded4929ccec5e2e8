"""Normal form 2: an identity by what a function does (spec/functions.md §3, docs/spec/functions.md).

Pure: nothing here does I/O or runs the code that it reads; it imports no third-party package.
"""

from __future__ import annotations

from holdfast.functions.normal_form_2.denormalize import denormalize_2
from holdfast.functions.normal_form_2.encode import encode_ast
from holdfast.functions.normal_form_2.normalize import normalize_2
from holdfast.functions.normal_form_2.printer import print_ast

__all__ = ["denormalize_2", "encode_ast", "normalize_2", "print_ast"]
