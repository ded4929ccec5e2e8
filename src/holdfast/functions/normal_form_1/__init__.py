"""Normal form 1: what the original program computes on CPython 3.11, on every Python.

It verifies and migrates existing pools and lets translations join existing functions
(spec/functions.md §3). Its flaws are kept on purpose: free names are renamed, numbering follows
the spelling, `except … as`, `global`, match captures, keywords and classes keep their names.
"""

from holdfast.functions.normal_form_1.denormalize import denormalize_1, hash_1
from holdfast.functions.normal_form_1.normalize import normalize_1

__all__ = ["denormalize_1", "hash_1", "normalize_1"]
