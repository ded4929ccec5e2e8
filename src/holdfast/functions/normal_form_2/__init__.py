"""Normal form 2: an identity by what a function does (docs/spec/functions.md).

Pure: nothing here does I/O or runs the code that it reads; it imports no third-party package.
"""

from __future__ import annotations

from holdfast.functions.normal_form_2.denormalize import denormalize_2
from holdfast.functions.normal_form_2.encode import encode_ast
from holdfast.functions.normal_form_2.normalize import hash_2, normalize_2
from holdfast.functions.normal_form_2.printer import print_ast

__all__ = ["denormalize_2", "encode_ast", "hash_2", "normalize_2", "print_ast"]
