"""From a source that may be anything to a tree, or to a typed error.

The original reads the file as UTF-8 text, keeps a byte order mark (which the parser refuses) and
ignores coding declarations. Nothing is executed.
"""

from __future__ import annotations

import ast
from typing import Final

from holdfast.errors import Invalid
from holdfast.functions.normal_form_1.misread import refuse_misread
from holdfast.functions.normal_form_1.unwritable import too_deep

# The tree of a source takes up to 600 times its size; the largest function of the standard
# library has 60 kB.
MAX_SOURCE: Final = 1 << 20


def parse(source: str | bytes, filename: str) -> ast.Module:
    """The syntax tree of a source.

    Args:
        source: the text, or its bytes in UTF-8; at most `MAX_SOURCE` characters.
        filename: for messages.

    Raises:
        Invalid: not UTF-8, not Python, too large, or nested too deeply.
        Unsupported: this Python reads it otherwise than 3.11.
    """
    if len(source) > MAX_SOURCE:
        raise Invalid(
            "reading the source",
            filename,
            found=f"{len(source)} bytes",
            expected=f"one function of at most {MAX_SOURCE} bytes",
            hint="keep data out of the function",
        )
    if isinstance(source, bytes):
        try:
            source = source.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Invalid(
                "reading the source",
                filename,
                offset=error.start,
                found=f"byte 0x{error.object[error.start]:02x}: {error.reason}",
                expected="UTF-8",
                hint="save the file as UTF-8",
            ) from error
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    try:
        tree = ast.parse(source, filename)
    except SyntaxError as error:
        raise Invalid("parsing", filename, found=_described(error)) from error
    except (RecursionError, MemoryError) as error:
        raise too_deep(filename) from error
    except UnicodeEncodeError as error:
        raise Invalid(
            "parsing", filename, found="a lone surrogate", expected="text that UTF-8 can hold"
        ) from error
    except (ValueError, OverflowError) as error:
        raise Invalid("parsing", filename, found=str(error)) from error
    refuse_misread(source, filename)
    return tree


def _described(error: SyntaxError) -> str:
    text = str(error.msg)
    if error.lineno is not None:
        text += f", line {error.lineno}"
        if error.offset is not None:
            text += f", column {error.offset}"
    return text
