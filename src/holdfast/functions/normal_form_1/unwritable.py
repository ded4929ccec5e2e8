"""What cannot be written for Python 3.11, as an exception inside and as a typed error outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.errors import Invalid


class Unwritable(Exception):
    """A tree that the printer has no text for; `writing` makes it `Invalid`."""


@contextmanager
def writing(filename: str) -> Iterator[None]:
    """Makes the printer's failures typed.

    Raises:
        Invalid: no spelling for Python 3.11, nested too deeply, or a number with more digits than
            Python writes.
    """
    try:
        yield
    except Unwritable as error:
        raise Invalid(
            "normalising",
            filename,
            found=str(error),
            expected="what Python 3.11 can read",
            hint="normal form 1 is that of Python 3.11; use normal form 2",
        ) from error
    except RecursionError as error:
        raise too_deep(filename) from error
    except ValueError as error:
        raise Invalid("normalising", filename, found=str(error)) from error


def too_deep(filename: str) -> Invalid:
    """The error for a source that needs more stack than there is."""
    return Invalid(
        "parsing",
        filename,
        found="expressions or blocks nested too deeply",
        hint="split the function",
    )
